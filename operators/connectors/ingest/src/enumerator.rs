//! Gives the ranges to the readers, a few at a time, and knows which files are done.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{
            AtomicU64,
            Ordering::{Relaxed, SeqCst},
        },
    },
};

use hurtig_engine::{
    error::{Error, Result, from_bytes, to_bytes},
    source::{Assignments, Split, SplitEnumerator},
};
use serde::{Deserialize, Serialize};
use tokio::{sync::Notify, task::AbortHandle};

use crate::{
    progress::IngestProgress,
    split::{RangeSplit, file_name},
    store::Found,
};

/// How many files may be cut before the enumerator takes them, and how many ranges it keeps: of a
/// million files the rest is looked at later.
const PLANNED: usize = 256;
const PENDING: usize = 1024;

/// What a checkpoint holds of the enumerator.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct State {
    /// Every file that was cut into ranges, with the version of it: it is not read again.
    known: BTreeMap<String, String>,
    /// Ranges that no reader has.
    pending: VecDeque<RangeSplit>,
    files: u64,
    ranges: u64,
    bytes: u64,
}

/// What the enumerator, the search for files and the readers share.
#[derive(Default)]
pub(crate) struct Shared {
    inner: Mutex<Inner>,
    /// Snapshots of the enumerator so far.
    snapshots: AtomicU64,
    /// The last of them that is in a completed checkpoint.
    completed: AtomicU64,
    pub progress: Arc<IngestProgress>,
    /// The enumerator has taken something: there is room again.
    room: Notify,
}

#[derive(Default)]
struct Inner {
    /// Files that were cut and whose ranges the enumerator has not taken yet.
    planned: VecDeque<(Found, Vec<RangeSplit>)>,
    /// Nothing more will be found.
    complete: bool,
    error: Option<Error>,
    /// Which enumerator this is of: a search that belongs to an earlier one is not listened to.
    generation: u64,
    /// How many ranges of a file are not read to their end.
    unfinished: HashMap<String, usize>,
    /// Files read to their end, with the number of snapshots before that.
    finished: HashMap<String, u64>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// How many snapshots of the enumerator there were.
    pub fn snapshots(&self) -> u64 {
        self.snapshots.load(SeqCst)
    }

    /// The enumerator's snapshot of this number is in a checkpoint that is complete.
    pub fn completed(&self, snapshot: u64) {
        self.completed.fetch_max(snapshot, SeqCst);
    }

    /// Search number `generation` has cut a file into `ranges`.
    pub fn planned(&self, generation: u64, file: Found, ranges: Vec<RangeSplit>) {
        let mut inner = self.lock();
        if inner.generation != generation {
            return;
        }
        inner.unfinished.insert(file_name(&file.path, &file.etag), ranges.len());
        inner.planned.push_back((file, ranges));
    }

    /// Waits until there are not too many files that are cut and not taken.
    pub async fn room(&self) {
        while self.lock().planned.len() >= PLANNED {
            self.room.notified().await;
        }
    }

    /// Search number `generation` is over.
    pub fn end(&self, generation: u64, result: Result<()>) {
        let mut inner = self.lock();
        match result {
            _ if inner.generation != generation => {}
            Ok(()) => inner.complete = true,
            Err(e) => inner.error = Some(e),
        }
    }

    /// Whether a completed checkpoint knows that this version of a file was read to its end: then
    /// the event that announced it may go.
    pub fn is_durable(&self, name: &str) -> bool {
        let mut inner = self.lock();
        if inner.unfinished.contains_key(name) {
            return false;
        }
        match inner.finished.get(name) {
            Some(before) if self.completed.load(SeqCst) <= *before => false,
            _ => {
                inner.finished.remove(name);
                true
            }
        }
    }
}

/// Assigns ranges in order, to each reader a few more than it has open.
pub struct RangeEnumerator {
    state: State,
    shared: Arc<Shared>,
    /// By split id: the reader it is with.
    assigned: HashMap<String, (usize, String)>,
    /// How many each reader may have.
    share: usize,
    bounded: bool,
    search: Option<AbortHandle>,
}

impl Drop for RangeEnumerator {
    fn drop(&mut self) {
        if let Some(search) = &self.search {
            search.abort();
        }
    }
}

impl RangeEnumerator {
    pub(crate) fn new(shared: Arc<Shared>, share: usize, bounded: bool, restored: Option<&[u8]>) -> Result<Self> {
        let state = match restored {
            Some(bytes) => from_bytes("the ingestion's enumerator", bytes)?,
            None => State::default(),
        };
        // An earlier attempt may have left something behind.
        let mut inner = shared.lock();
        *inner = Inner { generation: inner.generation + 1, ..Inner::default() };
        drop(inner);
        let enumerator = RangeEnumerator { state, shared, assigned: HashMap::new(), share, bounded, search: None };
        enumerator.account(&[]);
        Ok(enumerator)
    }

    /// Which version of which file is known.
    pub(crate) fn known(&self) -> BTreeMap<String, String> {
        self.state.known.clone()
    }

    /// What its search has to call itself.
    pub(crate) fn generation(&self) -> u64 {
        self.shared.lock().generation
    }

    pub(crate) fn search(&mut self, task: AbortHandle) {
        self.search = Some(task);
    }

    /// Sets the counts right: what was planned and is neither pending nor given back has been read.
    fn account(&self, back: &[RangeSplit]) {
        let mut inner = self.shared.lock();
        inner.unfinished.clear();
        let (mut left, mut ranges) = (0, 0);
        for split in self.state.pending.iter().chain(back) {
            *inner.unfinished.entry(split.file.name()).or_default() += 1;
            ranges += 1;
            left += if split.file.gzip { split.file.size } else { split.end.saturating_sub(split.position) };
        }
        let progress = &self.shared.progress;
        progress.files_found.store(self.state.files, Relaxed);
        progress.files_finished.store(self.state.files.saturating_sub(inner.unfinished.len() as u64), Relaxed);
        progress.ranges_found.store(self.state.ranges, Relaxed);
        progress.ranges_finished.store(self.state.ranges.saturating_sub(ranges), Relaxed);
        progress.bytes_found.store(self.state.bytes, Relaxed);
        progress.bytes_read.store(self.state.bytes.saturating_sub(left), Relaxed);
    }

    fn file_finished(&self, inner: &mut Inner, name: &str) {
        inner.unfinished.remove(name);
        inner.finished.insert(name.to_owned(), self.shared.snapshots());
        self.shared.progress.files_finished.fetch_add(1, Relaxed);
    }

    /// Takes the files that were cut in the meantime; whether no more will come.
    fn take_planned(&mut self) -> Result<bool> {
        let shared = self.shared.clone();
        let mut inner = shared.lock();
        if let Some(e) = inner.error.take() {
            return Err(e);
        }
        let progress = &shared.progress;
        while self.state.pending.len() < PENDING
            && let Some((file, ranges)) = inner.planned.pop_front()
        {
            let bytes: u64 = ranges.iter().map(RangeSplit::bytes).sum();
            self.state.files += 1;
            self.state.ranges += ranges.len() as u64;
            self.state.bytes += bytes;
            progress.files_found.fetch_add(1, Relaxed);
            progress.ranges_found.fetch_add(ranges.len() as u64, Relaxed);
            progress.bytes_found.fetch_add(bytes, Relaxed);
            if ranges.is_empty() {
                self.file_finished(&mut inner, &file_name(&file.path, &file.etag));
            }
            self.state.known.insert(file.path, file.etag);
            self.state.pending.extend(ranges);
        }
        shared.room.notify_one();
        Ok(inner.complete && inner.planned.is_empty())
    }
}

impl SplitEnumerator<RangeSplit> for RangeEnumerator {
    fn add_splits_back(&mut self, splits: Vec<RangeSplit>) {
        self.account(&splits);
        // What was begun is finished first.
        for split in splits.into_iter().rev() {
            self.state.pending.push_front(split);
        }
    }

    fn poll(&mut self, ctx: &mut Assignments<RangeSplit>) -> Result<()> {
        let complete = self.take_planned()?;
        let mut loads = vec![0; ctx.readers()];
        for (reader, _) in self.assigned.values() {
            if let Some(load) = loads.get_mut(*reader) {
                *load += 1;
            }
        }
        while let Some((reader, load)) = loads.iter_mut().enumerate().min_by_key(|(_, load)| **load) {
            if *load >= self.share {
                break;
            }
            let Some(split) = self.state.pending.pop_front() else { break };
            *load += 1;
            self.assigned.insert(split.id(), (reader, split.file.name()));
            ctx.assign(reader, split);
        }
        ctx.unassigned(self.state.pending.len());
        if self.bounded && complete && self.state.pending.is_empty() {
            ctx.no_more_splits();
        }
        Ok(())
    }

    fn split_finished(&mut self, id: &str) {
        let Some((_, file)) = self.assigned.remove(id) else { return };
        self.shared.progress.ranges_finished.fetch_add(1, Relaxed);
        let shared = self.shared.clone();
        let mut inner = shared.lock();
        let left = inner.unfinished.get_mut(&file).map(|n| {
            *n = n.saturating_sub(1);
            *n
        });
        if left == Some(0) {
            self.file_finished(&mut inner, &file);
        }
    }

    fn snapshot(&self) -> Result<Vec<u8>> {
        let bytes = to_bytes("the ingestion's enumerator", &self.state)?;
        self.shared.snapshots.fetch_add(1, SeqCst);
        Ok(bytes)
    }
}
