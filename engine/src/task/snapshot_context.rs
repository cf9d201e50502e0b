//! What an operator puts into a checkpoint, and where.

use std::path::PathBuf;

use hurtig_state::{Key, KeyedStateBackend};

use super::runtime_context::file_name;
use crate::{
    checkpoint::{CheckpointId, LocalFile, LocalKeyedState, OperatorSnapshot},
    error::{Result, to_bytes},
    graph::OperatorMeta,
};

/// Collects the snapshots of a task's operators, one after the other.
pub struct SnapshotContext<'a> {
    checkpoint: CheckpointId,
    operators: &'a [OperatorMeta],
    /// A directory of this checkpoint and subtask; made when a backend needs it.
    dir: PathBuf,
    watermark: i64,
    taken: Vec<OperatorSnapshot<LocalKeyedState>>,
}

impl<'a> SnapshotContext<'a> {
    pub(crate) fn new(checkpoint: CheckpointId, operators: &'a [OperatorMeta], dir: PathBuf, watermark: i64) -> Self {
        SnapshotContext { checkpoint, operators, dir, watermark, taken: Vec::new() }
    }

    pub(crate) fn enter(&mut self, operator: usize) {
        let (uid, name) = self.operators.get(operator).map_or(("", ""), |m| (&m.uid, &m.name));
        self.taken.push(OperatorSnapshot {
            uid: uid.to_owned(),
            name: name.to_owned(),
            watermark: self.watermark,
            state: Vec::new(),
            keyed: None,
            committables: Vec::new(),
            splits: Vec::new(),
            counters: Default::default(),
        });
    }

    /// The snapshot of the operator that is being asked.
    fn current(&mut self) -> &mut OperatorSnapshot<LocalKeyedState> {
        if self.taken.is_empty() {
            self.enter(0);
        }
        let last = self.taken.len() - 1;
        &mut self.taken[last]
    }

    /// The checkpoint's number.
    pub fn checkpoint(&self) -> CheckpointId {
        self.checkpoint
    }

    /// Operator (list) state: items that are dealt out again when the job is rescaled.
    pub fn put_state(&mut self, items: Vec<Vec<u8>>) {
        self.current().state = items;
    }

    /// What a sink's committer is to make visible.
    pub fn put_committables(&mut self, committables: Vec<Vec<u8>>) {
        self.current().committables = committables;
    }

    /// A source reader's unfinished splits.
    pub fn put_splits(&mut self, splits: Vec<Vec<u8>>) {
        self.current().splits = splits;
    }

    /// A counter that goes on after a restore.
    pub fn put_counter(&mut self, name: &str, value: u64) {
        self.current().counters.insert(name.to_owned(), value);
    }

    /// Keyed state: flushed and hard-linked into this checkpoint's directory.
    pub fn put_keyed<K: Key>(&mut self, backend: &mut KeyedStateBackend<K>) -> Result<()> {
        let uid = self.current().uid.clone();
        let dir = self.dir.join(file_name(&uid));
        if let Some(parent) = dir.parent() {
            std::fs::create_dir_all(parent).map_err(|e| crate::Error::io(parent, e))?;
        }
        let snapshot = backend.snapshot(&dir)?;
        let files = snapshot.files.iter();
        let files = files.map(|f| LocalFile { name: f.name.clone(), len: f.len, immutable: f.immutable });
        self.current().keyed = Some(LocalKeyedState {
            dir,
            files: files.collect(),
            key_groups: (snapshot.key_groups.start, snapshot.key_groups.end),
            meta: to_bytes("keyed state's description", &snapshot)?,
        });
        Ok(())
    }

    /// What was taken; at least one entry, since the task's watermark and counters go with it.
    pub(crate) fn into_operators(mut self) -> Vec<OperatorSnapshot<LocalKeyedState>> {
        self.current();
        self.taken
    }
}
