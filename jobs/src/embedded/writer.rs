//! One subtask's writer. A batch is acknowledged when the store has taken it; at a barrier the writer waits until the log that
//! holds it has been synced.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering::SeqCst},
};

use hurtig_async_sink::{Answers, AsyncWriter, Destination, Settled, SinkMetrics, dead_letter_as_json};
use hurtig_engine::{
    error::{Error, Result},
    record::Record,
    sink::{SinkContext, SinkWriter, WriterContext},
    task::pool::Waker,
};
use hurtig_store::Store;
use serde::Serialize;

use super::{
    batches::{BATCH, Batches, RecordBatch},
    sink::StoreSink,
};

/// Values that may wait: a batch that is under way, and two that are made meanwhile.
const BUFFERED: usize = 3 * BATCH;

/// Writes for one subtask.
pub struct StoreWriter<T, F> {
    name: String,
    record: F,
    sending: AsyncWriter<T, Batches, String, Store>,
    log: Arc<Log>,
    runtime: tokio::runtime::Handle,
    waker: Waker,
}

/// How far the store's log must be on the disk.
#[derive(Debug, Default)]
struct Log {
    /// Behind all that was taken.
    end: AtomicU64,
    /// What is waited for.
    awaited: AtomicU64,
    failed: Mutex<Option<String>>,
}

/// Where batches go.
struct Table {
    store: Store,
    database: Arc<str>,
    table: Arc<str>,
    log: Arc<Log>,
}

impl<T, F> StoreWriter<T, F> {
    pub(super) fn new(sink: &StoreSink<T, F>, ctx: WriterContext) -> Self
    where
        F: Clone,
    {
        let (place, log) = (format!("{}.{}", sink.database, sink.table), Arc::<Log>::default());
        let metrics = SinkMetrics::new(&ctx.metrics, "table", &place);
        let (name, runtime, waker) = (ctx.name.clone(), ctx.runtime.clone(), ctx.waker.clone());
        let (store, database, table) = (sink.store.clone(), sink.database.clone(), sink.table.clone());
        let of_table = log.clone();
        let open = async move {
            let opened = tokio::task::spawn_blocking(move || store.open()).await;
            let store = opened.map_err(|e| format!("the embedded store: {e}"))??;
            Ok((Table { store: store.clone(), database, table, log: of_table }, store))
        };
        let sending = AsyncWriter::start(ctx, place, Batches::default(), metrics, (BUFFERED, sink.linger), open);
        StoreWriter { name, record: sink.record.clone(), sending, log, runtime, waker }
    }

    /// Whether all that was taken would survive a power loss. If not, the worker is woken when it does.
    fn is_durable(&self) -> Result<bool> {
        let Some(store) = self.sending.opened() else { return Ok(false) };
        let end = self.log.end.load(SeqCst);
        if store.is_durable(end) {
            return Ok(true);
        }
        if let Some(reason) = &*self.log.failed.lock().unwrap_or_else(PoisonError::into_inner) {
            return Err(Error::sink(&self.name, reason.clone()));
        }
        if self.log.awaited.fetch_max(end, SeqCst) < end {
            let (store, log, waker) = (store.clone(), self.log.clone(), self.waker.clone());
            self.runtime.spawn(async move {
                if let Err(e) = store.durable(end).await {
                    *log.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(e.to_string());
                }
                waker.wake();
            });
        }
        Ok(false)
    }
}

impl Destination<RecordBatch> for Table {
    type Refusal = String;

    async fn deliver(&self, batch: &RecordBatch) -> Answers<String> {
        let taken = self.store.take(&self.database, &self.table, &batch.records).await.map_err(|e| e.to_string())?;
        self.log.end.fetch_max(taken.position, SeqCst);
        let mut answers = vec![None; batch.records.len()];
        for rejected in taken.outcome.rejected {
            if let Some(answer) = answers.get_mut(rejected.index) {
                *answer = Some(format!("the store rejects it: {}", rejected.reason));
            }
        }
        Ok(answers)
    }
}

impl<T: Serialize, F> StoreWriter<T, F> {
    /// Takes note of answers; an error if there will be no more.
    fn collect(&mut self, ctx: &mut SinkContext<'_>) -> Result<()> {
        let mut written = 0;
        for Settled { record, refusals } in self.sending.collect()? {
            match refusals.is_empty() {
                true => written += 1,
                false => dead_letter_as_json(record, refusals.join("; "), ctx),
            }
        }
        ctx.written(written);
        Ok(())
    }
}

impl<T, F> SinkWriter<T> for StoreWriter<T, F>
where
    T: Serialize + 'static,
    F: Fn(&T) -> hurtig_store::Record + Send + 'static,
{
    fn write(&mut self, record: Record<T>, _: &mut SinkContext<'_>) -> Result<()> {
        let made = (self.record)(&record.value);
        self.sending.push(record, 1, Vec::new(), |queue, value| queue.push(value, made));
        Ok(())
    }

    fn ready(&mut self, ctx: &mut SinkContext<'_>) -> Result<bool> {
        self.collect(ctx)?;
        Ok(self.sending.ready())
    }

    fn flush(&mut self, ctx: &mut SinkContext<'_>) -> Result<bool> {
        self.collect(ctx)?;
        Ok(self.sending.is_flushed() && self.is_durable()?)
    }

    fn on_processing_time(&mut self, now: i64, ctx: &mut SinkContext<'_>) -> Result<()> {
        self.sending.on_processing_time(now);
        self.collect(ctx)
    }

    fn next_wakeup(&self) -> Option<i64> {
        self.sending.next_wakeup()
    }
}
