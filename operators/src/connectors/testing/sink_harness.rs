//! One writer of a sink with its committer: writes, flushes, commits, crashes.

use std::{sync::Arc, time::Duration};

use hurtig_engine::{
    error::Result,
    metrics::Metrics,
    record::{Origin, Record},
    sink::{Books, Committer, CommitterContext, Sink, SinkContext, SinkWriter, WriterContext},
    task::pool::{Pool, Waker},
    time::{Clock, MIN_WATERMARK, ManualClock},
};
use tokio::runtime::Runtime;

/// A refused record: origin, time, raw form, reason.
pub type Refused = (Origin, i64, Vec<u8>, String);

/// One writer and the committer of its sink. Dropping it is the end of an attempt: it waits for
/// what the writer still has with the pool.
pub struct SinkHarness<T, S: Sink<T>> {
    /// The writer.
    pub writer: S::Writer,
    /// The committer, for a sink that has one.
    pub committer: Option<Box<dyn Committer>>,
    /// The books.
    pub books: Books,
    /// What the sink refused.
    pub letters: Vec<Refused>,
    /// The clock the writer was given, standing at 0.
    pub clock: Arc<ManualClock>,
    /// The last to go: going, it waits.
    _runtime: Runtime,
}

impl<T, S: Sink<T>> SinkHarness<T, S> {
    /// Subtask 0 of job `job`, uid `sink`, in attempt `attempt`.
    pub fn start(sink: &S, attempt: &str) -> Result<Self> {
        Self::start_subtask(sink, "sink", 0, attempt)
    }

    /// A subtask in an attempt.
    pub fn start_subtask(sink: &S, uid: &str, subtask: usize, attempt: &str) -> Result<Self> {
        let clock = Arc::new(ManualClock::new(0));
        let runtime = super::runtime();
        let committer = sink.committer(committer_context(uid))?;
        let writer = sink.writer(
            WriterContext {
                job: "job".into(),
                uid: uid.into(),
                name: "the sink".into(),
                subtask,
                parallelism: subtask + 1,
                attempt: attempt.into(),
                clock: clock.clone() as Arc<dyn Clock>,
                pool: Pool::new(runtime.handle().clone(), Waker::default()),
                runtime: runtime.handle().clone(),
                waker: Waker::default(),
                metrics: Metrics::default(),
            },
            Vec::new(),
        )?;
        let (books, letters) = (Books::default(), Vec::new());
        Ok(SinkHarness { writer, committer, books, letters, clock, _runtime: runtime })
    }

    fn with<R>(&mut self, f: impl FnOnce(&mut S::Writer, &mut SinkContext<'_>) -> R) -> R {
        let now = self.clock.now_ms();
        let mut ctx = SinkContext::new(&mut self.books, &mut self.letters, MIN_WATERMARK, now);
        f(&mut self.writer, &mut ctx)
    }

    /// Writes one record as the engine does: waits until the writer is ready, counts it as read.
    pub fn write(&mut self, record: Record<T>) -> Result<()> {
        while !self.with(|w, ctx| w.ready(ctx))? {
            std::thread::sleep(Duration::from_micros(50));
        }
        self.books.read += 1;
        self.with(|w, ctx| w.write(record, ctx))
    }

    /// Writes one record if the writer is ready for it, and says whether.
    pub fn write_if_ready(&mut self, record: impl FnOnce() -> Record<T>) -> Result<bool> {
        let ready = self.with(|w, ctx| w.ready(ctx))?;
        if ready {
            self.books.read += 1;
            self.with(|w, ctx| w.write(record(), ctx))?;
        }
        Ok(ready)
    }

    /// Writes values without a timestamp.
    pub fn write_all(&mut self, values: impl IntoIterator<Item = T>) -> Result<()> {
        values.into_iter().try_for_each(|v| self.write(Record::new(v)))
    }

    /// Moves the clock and calls the writer as the engine would.
    pub fn advance(&mut self, ms: i64) -> Result<()> {
        self.clock.advance(ms);
        let now = self.clock.now_ms();
        match self.writer.next_wakeup() {
            Some(at) if at <= now => self.with(|w, ctx| w.on_processing_time(now, ctx)),
            _ => Ok(()),
        }
    }

    /// Flushes as at a barrier and gives the committables.
    pub fn flush(&mut self) -> Result<Vec<Vec<u8>>> {
        while !self.with(|w, ctx| w.flush(ctx))? {
            std::thread::sleep(Duration::from_micros(50));
        }
        self.writer.prepare_commit()
    }

    /// Makes committables visible.
    pub fn commit(&mut self, committables: &[Vec<u8>]) -> Result<()> {
        self.committer.as_mut().map_or(Ok(()), |c| c.commit(committables))
    }

    /// A whole checkpoint.
    pub fn checkpoint(&mut self) -> Result<()> {
        let committables = self.flush()?;
        self.commit(&committables)
    }
}

/// What a committer is made with, in generation 1.
pub fn committer_context(uid: &str) -> CommitterContext {
    CommitterContext {
        job: "job".into(),
        uid: uid.into(),
        name: "the sink".into(),
        generation: 1,
        clock: Arc::new(ManualClock::new(0)),
        runtime: super::shared_runtime(),
    }
}
