//! The contract of a source, after Flink's FLIP-27: an enumerator finds splits, readers read them.
//!
//! The enumerator lives beside the checkpoint coordinator and is snapshot when a checkpoint is
//! triggered. Readers live on the workers, own the splits they were given, and put each split's
//! position into the checkpoint. A restore gives all splits (unassigned and the readers') back
//! to the enumerator, which assigns them afresh: parallelism may have changed.
//!
//! A reader never blocks: what waits for a network does so on the runtime of its
//! [`ReaderContext`] and wakes the worker when there is something to read.

use std::{
    collections::HashMap,
    sync::{Arc, RwLock},
};

use crate::{
    checkpoint::CheckpointId,
    error::{Result, from_bytes, to_bytes},
    metrics::Metrics,
    record::{Data, Origin},
    task::pool::Waker,
    time::Clock,
};

/// A part of a source that is read in order by one reader: a file, a shard, a partition.
/// A split is also its own position: a reader's snapshot is its splits, moved on.
pub trait Split: Data {
    /// Unique within the source, stable over restarts: `meters/a.csv`, `shardId-000000000001`.
    fn id(&self) -> String;
}

/// Where records come from.
pub trait Source: Send + Sync + 'static {
    /// What is read.
    type Item: Data;
    /// What is assigned.
    type Split: Split;
    /// What reads.
    type Reader: SourceReader<Item = Self::Item, Split = Self::Split>;

    /// Finds the splits. `restored` is what [`SplitEnumerator::snapshot`] gave at the checkpoint.
    /// An unusable source (a directory that does not exist, a stream that cannot be reached) is an
    /// error here, before anything runs; this, and only this, may wait for the network
    /// (`ctx.runtime.block_on`).
    fn enumerator(
        &self,
        ctx: EnumeratorContext,
        restored: Option<Vec<u8>>,
    ) -> Result<Box<dyn SplitEnumerator<Self::Split>>>;

    /// Makes the reader of one subtask.
    fn reader(&self, ctx: ReaderContext) -> Result<Self::Reader>;

    /// Whether it comes to an end by itself.
    fn boundedness(&self) -> Boundedness;
}

/// Whether a source ends (Flink's word).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Boundedness {
    /// It ends, and with it the job.
    Bounded,
    /// It goes on until the job is stopped.
    ContinuousUnbounded,
}

/// Finds splits and says which reader gets which.
pub trait SplitEnumerator<S>: Send {
    /// Called once after [`Source::enumerator`] on a restore, before the first [`poll`](Self::poll):
    /// the readers' unfinished splits at their positions, all of them. A split that was assigned and
    /// is not among them has been read to its end, whether or not
    /// [`split_finished`](Self::split_finished) was called before the checkpoint.
    fn add_splits_back(&mut self, splits: Vec<S>);

    /// Assigns what can be assigned now. Called at start, after a split has finished, when
    /// [`EnumeratorWaker::wake`] was called, and from time to time. Must not block: whoever asks a
    /// network does so on the runtime, and keeps the answer for the next call.
    fn poll(&mut self, ctx: &mut Assignments<S>) -> Result<()>;

    /// A reader has read this split to its end. It goes on holding its source's watermark until the
    /// next [`poll`](Self::poll) was carried out: what is assigned there to the same reader (a shard's
    /// child) takes over without a gap in event time.
    fn split_finished(&mut self, _id: &str) {}

    /// What a restore needs, without the splits that are with readers.
    fn snapshot(&self) -> Result<Vec<u8>>;
}

/// What an enumerator decides in one [`SplitEnumerator::poll`].
#[derive(Debug)]
pub struct Assignments<S> {
    readers: usize,
    assigned: Vec<(usize, S)>,
    unassigned: usize,
    no_more: bool,
}

impl<S> Assignments<S> {
    /// An empty decision over `readers` readers.
    pub fn new(readers: usize) -> Self {
        Assignments { readers, assigned: Vec::new(), unassigned: 0, no_more: false }
    }

    /// How many readers there are.
    pub fn readers(&self) -> usize {
        self.readers
    }

    /// Gives `split` to reader number `reader`.
    pub fn assign(&mut self, reader: usize, split: S) {
        self.assigned.push((reader, split));
    }

    /// Says that `n` known splits are not with a reader yet: they hold the watermark back.
    pub fn unassigned(&mut self, n: usize) {
        self.unassigned = n;
    }

    /// Says that there will never be another split: readers end when theirs do.
    pub fn no_more_splits(&mut self) {
        self.no_more = true;
    }

    /// What was decided, for whoever polls an enumerator in an enumerator's place: who gets what, how
    /// many are not assigned, and whether there will never be another.
    pub fn into_parts(self) -> (Vec<(usize, S)>, usize, bool) {
        (self.assigned, self.unassigned, self.no_more)
    }
}

/// Reads the splits of one subtask.
pub trait SourceReader: 'static {
    /// What is read.
    type Item;
    /// What is assigned.
    type Split;

    /// Takes a split on. `number` is the split's number in this run: records of this split are
    /// emitted with it.
    fn add_split(&mut self, number: u32, split: Self::Split) -> Result<()>;

    /// Emits up to about `max` records, less when `out` is full, and returns at once. Interleaves
    /// its splits: the one with the lowest watermark ([`SourceOutput::split_watermark`]) first.
    /// A split at its end is reported by [`SourceOutput::finish_split`].
    fn poll<O: SourceOutput<Self::Item>>(&mut self, max: usize, out: &mut O) -> Result<ReaderStatus>;

    /// The unfinished splits at their positions: exactly what was emitted lies before them.
    fn snapshot(&mut self, checkpoint: CheckpointId) -> Result<Vec<(u32, Self::Split)>>;

    /// The checkpoint is complete and committed: positions in it may be told to others, such as a
    /// broker that shows them.
    fn checkpoint_complete(&mut self, _checkpoint: CheckpointId) {}
}

/// What a reader says after a poll.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReaderStatus {
    /// There is more to read now.
    MoreAvailable,
    /// Nothing now; poll again when woken, or at this time (milliseconds since the epoch).
    NothingAvailable {
        /// When to look again by itself; `None`: only when woken.
        until: Option<i64>,
    },
}

/// Where a reader puts what it reads. Timestamps and watermarks are made behind it, per split.
pub trait SourceOutput<T> {
    /// Emits one record of split `split` at `position`. `arrival` is when it reached the source,
    /// in milliseconds since the epoch, as the source replays it
    /// ([`NO_TIMESTAMP`](crate::time::NO_TIMESTAMP) where that is not known).
    fn emit(&mut self, split: u32, position: u64, arrival: i64, value: T);

    /// Sends raw bytes that could not be read to the dead letters.
    fn dead_letter(&mut self, split: u32, position: u64, arrival: i64, raw: &[u8], reason: &str);

    /// Whether to stop emitting and return: what is downstream is full.
    fn is_full(&self) -> bool;

    /// How far this split's event time has come (the least value before its first record).
    fn split_watermark(&self, split: u32) -> i64;

    /// Whether this split is too far ahead of others in event time (watermark alignment): nothing of
    /// it should be emitted now.
    fn is_paused(&mut self, _split: u32) -> bool {
        false
    }

    /// The split is at its end: it no longer holds the watermark back, once the enumerator has been
    /// told and has assigned what follows it.
    fn finish_split(&mut self, split: u32);
}

/// What an enumerator may use.
#[derive(Clone)]
pub struct EnumeratorContext {
    /// The job's name.
    pub job: String,
    /// The source's uid.
    pub uid: String,
    /// How many readers there are.
    pub readers: usize,
    /// The injected clock.
    pub clock: Arc<dyn Clock>,
    /// Asks for a poll: give it to whatever looks for splits in the background.
    pub waker: EnumeratorWaker,
    /// The runtime for the network.
    pub runtime: tokio::runtime::Handle,
    /// Where its gauges are registered.
    pub metrics: Metrics,
}

/// Has the enumerator polled soon.
#[derive(Clone)]
pub struct EnumeratorWaker(Arc<dyn Fn() + Send + Sync>);

impl EnumeratorWaker {
    /// Calls `wake`, whatever that does.
    pub fn new(wake: impl Fn() + Send + Sync + 'static) -> Self {
        EnumeratorWaker(Arc::new(wake))
    }

    /// There is something new to assign.
    pub fn wake(&self) {
        (self.0)();
    }
}

/// What a reader may use.
#[derive(Clone)]
pub struct ReaderContext {
    /// The job's name.
    pub job: String,
    /// The source's uid.
    pub uid: String,
    /// This subtask's index.
    pub subtask: usize,
    /// How many there are.
    pub parallelism: usize,
    /// Unique for every start of this subtask.
    pub attempt: String,
    /// The injected clock.
    pub clock: Arc<dyn Clock>,
    /// Wakes the worker: give it to whatever fetches in the background.
    pub waker: Waker,
    /// The runtime for the network.
    pub runtime: tokio::runtime::Handle,
    /// The names behind split numbers.
    pub splits: SplitNames,
    /// Where its gauges are registered.
    pub metrics: Metrics,
}

/// The names behind the split numbers in [`Origin`]s, shared by the whole job.
#[derive(Debug, Clone, Default)]
pub struct SplitNames(Arc<RwLock<Numbered>>);

#[derive(Debug, Default)]
struct Numbered {
    names: Vec<String>,
    numbers: HashMap<String, u32>,
}

impl SplitNames {
    /// The number of `name`, given out at first sight.
    pub fn number(&self, name: &str) -> u32 {
        let mut all = self.0.write().unwrap_or_else(|e| e.into_inner());
        if let Some(&number) = all.numbers.get(name) {
            return number;
        }
        let number = u32::try_from(all.names.len()).unwrap_or(u32::MAX);
        all.names.push(name.to_owned());
        all.numbers.insert(name.to_owned(), number);
        number
    }

    /// The name behind `number`.
    pub fn name(&self, number: u32) -> String {
        let all = self.0.read().unwrap_or_else(|e| e.into_inner());
        all.names.get(number as usize).cloned().unwrap_or_default()
    }

    /// `split@position`, or `none`.
    pub fn describe(&self, origin: Origin) -> String {
        if origin.is_none() {
            return "none".into();
        }
        format!("{}@{}", self.name(origin.split()), origin.position())
    }
}

/// An enumerator whose splits are bytes: what the coordinator deals with.
pub(crate) trait ErasedEnumerator: Send {
    fn add_splits_back(&mut self, splits: Vec<Vec<u8>>) -> Result<()>;
    fn poll(&mut self, readers: usize) -> Result<ErasedAssignments>;
    fn split_finished(&mut self, id: &str);
    fn snapshot(&self) -> Result<Vec<u8>>;
}

/// What an erased enumerator decided.
pub(crate) struct ErasedAssignments {
    /// Reader, split id, split.
    pub assigned: Vec<(usize, String, Vec<u8>)>,
    pub unassigned: usize,
    pub no_more: bool,
}

/// Erases the split type of an enumerator.
pub(crate) struct Erased<S>(pub Box<dyn SplitEnumerator<S>>);

impl<S: Split> ErasedEnumerator for Erased<S> {
    fn add_splits_back(&mut self, splits: Vec<Vec<u8>>) -> Result<()> {
        let splits = splits.iter().map(|b| from_bytes("a split", b)).collect::<Result<Vec<S>>>()?;
        self.0.add_splits_back(splits);
        Ok(())
    }

    fn poll(&mut self, readers: usize) -> Result<ErasedAssignments> {
        let mut ctx = Assignments::new(readers);
        self.0.poll(&mut ctx)?;
        let (assigned, unassigned, no_more) = ctx.into_parts();
        let assigned = assigned
            .into_iter()
            .map(|(reader, s)| Ok((reader, s.id(), to_bytes("a split", &s)?)))
            .collect::<Result<_>>()?;
        Ok(ErasedAssignments { assigned, unassigned, no_more })
    }

    fn split_finished(&mut self, id: &str) {
        self.0.split_finished(id);
    }

    fn snapshot(&self) -> Result<Vec<u8>> {
        self.0.snapshot()
    }
}
