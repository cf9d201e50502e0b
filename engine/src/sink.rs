//! The contract of a sink: a writer on every worker, a committer beside the coordinator.
//!
//! Exactly once goes like this. At a barrier the writer makes everything it was given durable
//! but invisible (closed pending files, say) and hands over *committables*; they are stored in
//! the checkpoint; when its manifest is written, the committer makes them visible. Committing
//! is idempotent, because after a crash between manifest and commit it happens again, before
//! the sources start. What a sink refuses, it refuses before it acknowledges the barrier: to
//! the dead letters (same checkpoint), or counted as rejected where the user said so.
//!
//! A writer never blocks its worker: long work goes to the [`Pool`](crate::task::pool::Pool),
//! and [`SinkWriter::ready`] and [`SinkWriter::flush`] say when it is done. What waits for a network does so
//! on the runtime, and wakes the worker ([`WriterContext::waker`]) when there is news.

use std::sync::Arc;

use crate::{
    error::Result,
    metrics::Metrics,
    record::{Origin, Record},
    task::pool::{Pool, Waker},
    time::Clock,
};

/// Where records go.
pub trait Sink<T>: Send + Sync + 'static {
    /// What writes, one per subtask.
    type Writer: SinkWriter<T>;

    /// Makes the writer of one subtask. `restored`: this subtask's share of the writers' states.
    fn writer(&self, ctx: WriterContext, restored: Vec<Vec<u8>>) -> Result<Self::Writer>;

    /// Makes what is written visible; `None` for a sink without a commit (at least once).
    fn committer(&self, _ctx: CommitterContext) -> Result<Option<Box<dyn Committer>>> {
        Ok(None)
    }
}

/// Writes the records of one subtask.
pub trait SinkWriter<T>: 'static {
    /// Takes one record. Counts it on `ctx` as written, rejected or dead-lettered, now or later
    /// (before [`flush`](Self::flush) is done).
    fn write(&mut self, record: Record<T>, ctx: &mut SinkContext<'_>) -> Result<()>;

    /// Whether another record can be taken now. When not, the worker asks again after it was
    /// woken (work on the pool wakes it when done).
    fn ready(&mut self, _ctx: &mut SinkContext<'_>) -> Result<bool> {
        Ok(true)
    }

    /// Before a barrier is acknowledged: makes everything durable. `false`: not yet, ask again.
    fn flush(&mut self, _ctx: &mut SinkContext<'_>) -> Result<bool> {
        Ok(true)
    }

    /// After [`flush`](Self::flush): what is to be made visible once the checkpoint is complete.
    fn prepare_commit(&mut self) -> Result<Vec<Vec<u8>>> {
        Ok(Vec::new())
    }

    /// The writer's own state, as items that can be redistributed when rescaled.
    fn snapshot(&mut self) -> Result<Vec<Vec<u8>>> {
        Ok(Vec::new())
    }

    /// Called when the processing time asked for by [`next_wakeup`](Self::next_wakeup) has come.
    fn on_processing_time(&mut self, _now: i64, _ctx: &mut SinkContext<'_>) -> Result<()> {
        Ok(())
    }

    /// When [`on_processing_time`](Self::on_processing_time) wants to be called (rolling by time).
    fn next_wakeup(&self) -> Option<i64> {
        None
    }
}

/// Makes committables visible. Runs beside the coordinator, may block, must be idempotent.
pub trait Committer: Send {
    /// Makes these visible; what is visible already is fine.
    fn commit(&mut self, committables: &[Vec<u8>]) -> Result<()>;

    /// The same for what a savepoint holds, when the job is started from it. A savepoint may have
    /// been moved, and what it held may have been committed and carried away long ago: what is
    /// neither pending nor visible here is not missed.
    fn commit_savepoint(&mut self, committables: &[Vec<u8>]) -> Result<()> {
        self.commit(committables)
    }

    /// On every start, after [`commit`](Self::commit) of what the checkpoint held: removes what
    /// earlier attempts of this job left behind and no checkpoint knows.
    fn remove_orphans(&mut self) -> Result<()> {
        Ok(())
    }
}

/// What a writer may use. Names of files must carry `attempt`, so that a late writer of an old
/// attempt can never touch what a new one writes.
#[derive(Clone)]
pub struct WriterContext {
    /// The job's name.
    pub job: String,
    /// The sink's uid.
    pub uid: String,
    /// The sink's name.
    pub name: String,
    /// This subtask's index.
    pub subtask: usize,
    /// How many there are.
    pub parallelism: usize,
    /// Unique for every start of this subtask: by the run's id, its generation and its attempt.
    pub attempt: String,
    /// The injected clock.
    pub clock: Arc<dyn Clock>,
    /// For encoding and file work beyond a millisecond.
    pub pool: Pool,
    /// The runtime for the network.
    pub runtime: tokio::runtime::Handle,
    /// Wakes the worker: what [`SinkWriter::ready`] or [`SinkWriter::flush`] waits for has come.
    pub waker: Waker,
    /// Where its gauges are registered.
    pub metrics: Metrics,
}

/// What a committer may use.
#[derive(Clone)]
pub struct CommitterContext {
    /// The job's name.
    pub job: String,
    /// The sink's uid.
    pub uid: String,
    /// The sink's name.
    pub name: String,
    /// Counts the runs over one checkpoint storage: what a newer run wrote, an older one must not
    /// touch any more.
    pub generation: u64,
    /// The injected clock.
    pub clock: Arc<dyn Clock>,
    /// The runtime for the network.
    pub runtime: tokio::runtime::Handle,
}

/// What a sink does with its books and its refusals while it takes a record.
pub struct SinkContext<'a> {
    pub(crate) books: &'a mut Books,
    pub(crate) letters: &'a mut Vec<(Origin, i64, Vec<u8>, String)>,
    pub(crate) watermark: i64,
    pub(crate) now: i64,
}

impl<'a> SinkContext<'a> {
    /// A context over the caller's books: what the sink operator and test harnesses make.
    pub fn new(
        books: &'a mut Books,
        letters: &'a mut Vec<(Origin, i64, Vec<u8>, String)>,
        watermark: i64,
        now: i64,
    ) -> Self {
        SinkContext { books, letters, watermark, now }
    }

    /// `n` records are as good as written (they will be visible with the checkpoint).
    #[inline]
    pub fn written(&mut self, n: u64) {
        self.books.written += n;
    }

    /// `n` records are refused and by policy not kept.
    pub fn rejected(&mut self, n: u64) {
        self.books.rejected += n;
    }

    /// One record is refused and kept: its origin, time, raw form and the reason.
    pub fn dead_letter(&mut self, origin: Origin, time: i64, raw: Vec<u8>, reason: impl Into<String>) {
        self.books.dead_lettered += 1;
        self.letters.push((origin, time, raw, reason.into()));
    }

    /// The sink's current watermark.
    pub fn watermark(&self) -> i64 {
        self.watermark
    }

    /// Processing time, from the injected clock.
    pub fn now(&self) -> i64 {
        self.now
    }
}

/// A sink's books. They are in the checkpoint, and after every flush
/// `read = written + rejected + dead_lettered`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Books {
    /// Records that arrived.
    pub read: u64,
    /// Records that were written.
    pub written: u64,
    /// Records refused and by policy not kept.
    pub rejected: u64,
    /// Records refused and sent to the dead letters.
    pub dead_lettered: u64,
}

impl Books {
    /// Whether everything that arrived is accounted for.
    pub fn balance(&self) -> bool {
        self.read == self.written + self.rejected + self.dead_lettered
    }

    /// Adds another subtask's books.
    pub fn add(&mut self, other: &Books) {
        self.read += other.read;
        self.written += other.written;
        self.rejected += other.rejected;
        self.dead_lettered += other.dead_lettered;
    }
}
