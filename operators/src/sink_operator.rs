//! The operator at the end of a stream: drives a sink's writer and keeps its books.

use std::sync::Arc;

use hurtig_engine::{
    Origin, Record, Result,
    checkpoint::CheckpointId,
    operator::{Operator, OperatorFactory, Output, Progress},
    sink::{Books, Sink, SinkContext, SinkWriter, WriterContext},
    task::{RuntimeContext, SnapshotContext, TaskContext},
};

/// Makes [`SinkOperator`]s.
pub struct SinkFactory<S> {
    sink: Arc<S>,
}

impl<S> SinkFactory<S> {
    /// For `sink`.
    pub fn new(sink: Arc<S>) -> Self {
        SinkFactory { sink }
    }
}

impl<S> Clone for SinkFactory<S> {
    fn clone(&self) -> Self {
        SinkFactory { sink: self.sink.clone() }
    }
}

/// Drives one writer.
pub struct SinkOperator<W> {
    writer: W,
    books: Books,
    name: Arc<str>,
    letters: Vec<(Origin, i64, Vec<u8>, String)>,
    /// Handed over with a checkpoint that is not known to be complete. If it is given up while
    /// the job goes on, they must be in the next one; committing twice does no harm.
    uncommitted: Vec<(CheckpointId, Vec<Vec<u8>>)>,
}

impl<T: 'static, S: Sink<T>> OperatorFactory<T> for SinkFactory<S> {
    type Out = ();
    type Operator = SinkOperator<S::Writer>;

    fn create(&self, ctx: &mut RuntimeContext<'_>) -> Result<Self::Operator> {
        let restored = ctx.restored();
        let count = |name: &str| restored.counters.get(name).copied().unwrap_or(0);
        let books = Books {
            read: count("read"),
            written: count("written"),
            rejected: count("rejected"),
            dead_lettered: count("dead_lettered"),
        };
        let writer_ctx = WriterContext {
            job: ctx.job().to_owned(),
            uid: ctx.uid().to_owned(),
            name: ctx.name().to_owned(),
            subtask: ctx.subtask(),
            parallelism: ctx.parallelism(),
            attempt: ctx.attempt().to_owned(),
            clock: ctx.clock(),
            pool: ctx.pool(),
            runtime: ctx.runtime(),
            waker: ctx.waker(),
            metrics: ctx.metrics(),
        };
        let writer = self.sink.writer(writer_ctx, restored.state)?;
        Ok(SinkOperator { writer, books, name: ctx.name().into(), letters: Vec::new(), uncommitted: Vec::new() })
    }
}

impl<W> SinkOperator<W> {
    /// Calls the writer with a context over the books, then sends off what it refused.
    #[inline]
    fn with_writer<R>(
        &mut self,
        task: &mut TaskContext,
        call: impl FnOnce(&mut W, &mut SinkContext<'_>) -> Result<R>,
    ) -> Result<R> {
        let (watermark, now) = (task.current_watermark(), task.current_processing_time());
        let mut ctx = SinkContext::new(&mut self.books, &mut self.letters, watermark, now);
        let result = call(&mut self.writer, &mut ctx)?;
        for (origin, time, raw, reason) in self.letters.drain(..) {
            task.dead_letter(&self.name, origin, time, raw, reason);
        }
        Ok(result)
    }
}

impl<T: 'static, W: SinkWriter<T>> Operator<T> for SinkOperator<W> {
    type Out = ();

    #[inline]
    fn process<O: Output<()>>(&mut self, record: Record<T>, out: &mut O) -> Result<()> {
        self.books.read += 1;
        let task = out.ctx();
        // What is before a sink in its chain may emit for long (a flat map, a window that fires):
        // it has to hear at once that the writer has enough. Asking once will do.
        let ask = !task.is_paused();
        let ready = self.with_writer(task, |writer, ctx| {
            writer.write(record, ctx)?;
            Ok(!ask || writer.ready(ctx)?)
        })?;
        if !ready {
            task.pause();
        }
        Ok(())
    }

    fn processing_time<O: Output<()>>(&mut self, now: i64, out: &mut O) -> Result<Progress> {
        if self.writer.next_wakeup().is_some_and(|t| t <= now) {
            self.with_writer(out.ctx(), |writer, ctx| writer.on_processing_time(now, ctx))?;
        }
        Ok(Progress::Done)
    }

    fn next_processing_time(&mut self) -> Result<Option<i64>> {
        Ok(self.writer.next_wakeup())
    }

    fn ready(&mut self, ctx: &mut TaskContext) -> Result<bool> {
        self.with_writer(ctx, |writer, ctx| writer.ready(ctx))
    }

    fn flush(&mut self, ctx: &mut TaskContext) -> Result<bool> {
        self.with_writer(ctx, |writer, ctx| writer.flush(ctx))
    }

    fn snapshot(&mut self, snapshot: &mut SnapshotContext<'_>) -> Result<()> {
        if !self.books.balance() {
            let reason = format!("the books do not balance after a flush: {:?}", self.books);
            return Err(hurtig_engine::Error::sink(&*self.name, reason));
        }
        self.uncommitted.push((snapshot.checkpoint(), self.writer.prepare_commit()?));
        let all = self.uncommitted.iter().flat_map(|(_, c)| c.iter().cloned());
        snapshot.put_committables(all.collect());
        snapshot.put_state(self.writer.snapshot()?);
        snapshot.put_counter("read", self.books.read);
        snapshot.put_counter("written", self.books.written);
        snapshot.put_counter("rejected", self.books.rejected);
        snapshot.put_counter("dead_lettered", self.books.dead_lettered);
        Ok(())
    }

    fn checkpoint_complete(&mut self, checkpoint: CheckpointId) {
        self.uncommitted.retain(|(id, _)| *id > checkpoint);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use hurtig_engine::{harness::OneInputHarness, operator::Then, task::pool::Ticket};

    use super::*;
    use crate::flat_map::FlatMap;

    /// Takes a hundred records; then they must go over the pool before there is room again.
    #[derive(Clone, Default)]
    struct Narrow {
        /// The most that ever waited.
        most: Arc<AtomicUsize>,
    }

    const ROOM: usize = 100;

    struct NarrowWriter {
        sink: Narrow,
        ctx: WriterContext,
        waiting: usize,
        away: Option<Ticket<()>>,
    }

    impl Sink<u64> for Narrow {
        type Writer = NarrowWriter;

        fn writer(&self, ctx: WriterContext, _restored: Vec<Vec<u8>>) -> Result<NarrowWriter> {
            Ok(NarrowWriter { sink: self.clone(), ctx, waiting: 0, away: None })
        }
    }

    impl SinkWriter<u64> for NarrowWriter {
        fn write(&mut self, _record: Record<u64>, _ctx: &mut SinkContext<'_>) -> Result<()> {
            self.waiting += 1;
            self.sink.most.fetch_max(self.waiting, SeqCst);
            Ok(())
        }

        fn ready(&mut self, ctx: &mut SinkContext<'_>) -> Result<bool> {
            Ok(self.waiting < ROOM || self.flush(ctx)?)
        }

        fn flush(&mut self, ctx: &mut SinkContext<'_>) -> Result<bool> {
            if self.waiting > 0 && self.away.get_or_insert_with(|| self.ctx.pool.spawn(|| ())).poll()?.is_some() {
                ctx.written(std::mem::take(&mut self.waiting) as u64);
                self.away = None;
            }
            Ok(self.waiting == 0)
        }
    }

    #[test]
    fn a_writer_that_has_enough_stops_what_is_before_it_in_its_chain() {
        let sink = Narrow::default();
        let chain = Then::new(FlatMap::new(|n: u64| 0..n), SinkFactory::new(Arc::new(sink.clone())));
        let mut harness = OneInputHarness::new(chain).expect("started");
        harness.push(10_000).expect("taken");
        harness.push(1).expect("taken");
        let counters = harness.snapshot().expect("the books balance").counters;
        assert_eq!((counters["read"], counters["written"]), (10_001, 10_001));
        assert_eq!(sink.most.load(SeqCst), ROOM);
    }
}
