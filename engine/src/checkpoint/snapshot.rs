//! What a barrier collects: the snapshot of one subtask, first on local disk, then stored.
//!
//! A task fills a [`SubtaskSnapshot`] of [`LocalKeyedState`] when its barriers are aligned. The
//! upload turns the keyed part into [`StoredKeyedState`]; everything else is small and travels
//! inside the manifest.
//!
//! Invariants:
//! - The snapshot owns its local directory: whoever uploads it removes it.
//! - A [`StoredFile`] never changes once it is in a manifest; its object is written once.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::manifest::blob;

/// A checkpoint's number: one sequence a job, ascending also over restarts and restores.
pub type CheckpointId = u64;

/// Why a checkpoint is taken, and so what the tasks do after its barrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum CheckpointKind {
    /// Periodic, or asked for by hand.
    Checkpoint,
    /// A checkpoint that is also exported to a self-contained directory.
    Savepoint,
    /// A savepoint after which the job stops.
    StopWithSavepoint {
        /// Sources send the last watermark first, so that every window and timer fires.
        drain: bool,
    },
    /// The last one, at the end of the input.
    Final,
}

impl CheckpointKind {
    /// Whether a self-contained directory is written too.
    pub fn is_savepoint(self) -> bool {
        matches!(self, CheckpointKind::Savepoint | CheckpointKind::StopWithSavepoint { .. })
    }

    /// Whether the job is over once this checkpoint is committed.
    pub fn ends_job(self) -> bool {
        matches!(self, CheckpointKind::StopWithSavepoint { .. } | CheckpointKind::Final)
    }
}

/// What travels in band between the batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Barrier {
    /// The checkpoint this barrier belongs to.
    pub id: CheckpointId,
    /// What the tasks do with it.
    pub kind: CheckpointKind,
}

/// One operator of one subtask. `F` is the keyed state: [`LocalKeyedState`] or [`StoredKeyedState`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OperatorSnapshot<F> {
    /// The operator's stable id: what a restore matches by.
    pub uid: String,
    /// The operator's name, for people.
    pub name: String,
    /// The operator's watermark (the least one wins when rescaled).
    pub watermark: i64,
    /// Operator (list) state: items that are dealt out anew when rescaled.
    #[serde(with = "blob::list", default)]
    pub state: Vec<Vec<u8>>,
    /// Keyed state of this subtask's key groups.
    pub keyed: Option<F>,
    /// What a sink has written and not yet committed.
    #[serde(with = "blob::list", default)]
    pub committables: Vec<Vec<u8>>,
    /// A source reader's splits at their positions.
    #[serde(with = "blob::list", default)]
    pub splits: Vec<Vec<u8>>,
    /// The books: read, written, rejected, dead-lettered.
    #[serde(default)]
    pub counters: BTreeMap<String, u64>,
}

impl<F> OperatorSnapshot<F> {
    /// Whether a restore without this operator would lose something.
    pub fn has_state(&self) -> bool {
        self.keyed.is_some() || !(self.state.is_empty() && self.committables.is_empty() && self.splits.is_empty())
    }

    /// Bytes that travel inside the manifest.
    pub fn inline_bytes(&self) -> u64 {
        [&self.state, &self.committables, &self.splits].iter().flat_map(|l| l.iter()).map(|b| b.len() as u64).sum()
    }
}

/// All operators of one subtask's chain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SubtaskSnapshot<F> {
    /// The vertex's stable id.
    pub vertex_uid: String,
    /// The vertex's name, for people.
    pub vertex_name: String,
    /// The vertex's parallelism when the snapshot was taken.
    pub parallelism: u16,
    /// This subtask's index, from 0.
    pub subtask: u16,
    /// The chain's operators, first to last.
    pub operators: Vec<OperatorSnapshot<F>>,
    /// From the first barrier to the last.
    pub alignment_ms: i64,
    /// How long the chain stood still.
    pub sync_ms: i64,
}

/// A keyed backend's files as the worker left them: hard links in a directory of their own.
#[derive(Clone, Debug, PartialEq)]
pub struct LocalKeyedState {
    /// The directory that holds the files, and nothing else.
    pub dir: PathBuf,
    /// The files in it.
    pub files: Vec<LocalFile>,
    /// What the backend needs to open them again; opaque here.
    pub meta: Vec<u8>,
    /// First and last key group, both included.
    pub key_groups: (u16, u16),
}

/// One file of a [`LocalKeyedState`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalFile {
    /// Name inside the directory.
    pub name: String,
    /// Length in bytes.
    pub len: u64,
    /// Never written again under this inode (an SST file): may be linked and shared by
    /// checkpoints. Anything else is copied.
    pub immutable: bool,
}

/// Keyed state in the checkpoint storage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredKeyedState {
    /// The files.
    pub files: Vec<StoredFile>,
    /// What the backend needs to open them again; opaque here.
    #[serde(with = "blob")]
    pub meta: Vec<u8>,
    /// First and last key group, both included.
    pub key_groups: (u16, u16),
}

impl StoredKeyedState {
    /// Bytes of all files and of `meta`.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|f| f.len).sum::<u64>() + self.meta.len() as u64
    }
}

/// Where one local file is stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredFile {
    /// Name on local disk. Not unique: RocksDB counts anew after a restore.
    pub name: String,
    /// Name in the storage, written once and never reused.
    pub object: String,
    /// Length in bytes.
    pub len: u64,
    /// CRC-32 of the content.
    pub crc32: u32,
    /// See [`LocalFile::immutable`].
    pub immutable: bool,
    /// The local file this was last seen as, while this process lives: spares reading a file
    /// again only to learn that it has not changed.
    #[serde(skip)]
    pub seen_as: Option<FileIdentity>,
}

/// A local file's content without reading it: equal identities mean the same unchanged inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileIdentity {
    device: u64,
    inode: u64,
    len: u64,
    modified: (i64, i64),
}

impl FileIdentity {
    /// The identity of the file that `metadata` describes; `None` where the system has none.
    #[cfg(unix)]
    pub fn of(metadata: &Metadata) -> Option<Self> {
        use std::os::unix::fs::MetadataExt;
        Some(FileIdentity {
            device: metadata.dev(),
            inode: metadata.ino(),
            len: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        })
    }

    /// The identity of the file that `metadata` describes; `None` where the system has none.
    #[cfg(not(unix))]
    pub fn of(_metadata: &Metadata) -> Option<Self> {
        None
    }
}
