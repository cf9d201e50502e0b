//! One subtask's writer: makes lines of values, hands them to the queue, keeps the books.

use std::sync::Arc;

use hurtig_engine::{
    error::{Error as EngineError, Result},
    record::Record,
    sink::{SinkContext, SinkWriter, WriterContext},
    time::{Clock, NO_TIMESTAMP, millis},
};
use serde::Serialize;
use tokio::task::AbortHandle;

use crate::{
    builder::{InfluxSink, SinkOptions},
    driver::{Driver, Shared},
    http::Http,
    line::encode,
    metrics::SinkMetrics,
    point::Point,
    queue::{Item, Queue},
    schema::PointSchema,
    waiting::{Settled, Waiting},
};

/// Writes for one subtask.
pub struct InfluxWriter<T, P> {
    name: String,
    schema: P,
    options: SinkOptions,
    clock: Arc<dyn Clock>,
    shared: Arc<Shared>,
    task: AbortHandle,
    metrics: SinkMetrics,
    waiting: Waiting<T>,
    /// When what came last must wait no longer.
    linger_until: Option<i64>,
    scratch: Vec<Point>,
}

impl<T: Serialize, P: PointSchema<T>> InfluxWriter<T, P> {
    pub(crate) fn new(sink: &InfluxSink<T, P>, ctx: WriterContext) -> Result<Self> {
        let options = sink.options.clone();
        let url = sink.api.url(&sink.base)?;
        let shared = Shared::new(Queue::new(options.limits));
        let metrics = SinkMetrics::new(&ctx.metrics, url.as_str());
        let driver = Driver {
            shared: shared.clone(),
            waker: ctx.waker,
            metrics: metrics.clone(),
            url: url.to_string(),
            backoff: options.backoff,
            seed: seed(&[&ctx.uid, &ctx.subtask.to_string(), &ctx.attempt]),
        };
        let http = Http::new(url, sink.authorization().as_deref(), options.gzip)?;
        let task = ctx.runtime.spawn(driver.run(http)).abort_handle();
        Ok(InfluxWriter {
            name: ctx.name,
            schema: sink.schema.clone(),
            options,
            clock: ctx.clock,
            shared,
            task,
            metrics,
            waiting: Waiting::default(),
            linger_until: None,
            scratch: Vec::new(),
        })
    }

    /// What has come so far is sent without waiting for more.
    fn hurry(&mut self) {
        self.linger_until = None;
        self.shared.lock().queue.force();
        self.shared.work.notify_one();
    }

    /// Takes note of answers; an error if there will be no more.
    fn collect(&mut self, ctx: &mut SinkContext<'_>) -> Result<()> {
        let mut core = self.shared.lock();
        let answers = std::mem::take(&mut core.answers);
        let failed = core.failed.clone();
        drop(core);
        for (value, reason) in answers {
            if let Some(settled) = self.waiting.answered(value, reason) {
                settle(settled, ctx);
            }
        }
        self.metrics.buffered.set(i64::try_from(self.waiting.len()).unwrap_or(i64::MAX));
        failed.map_or(Ok(()), |reason| Err(EngineError::sink(&self.name, reason)))
    }
}

impl<T: Serialize + 'static, P: PointSchema<T>> SinkWriter<T> for InfluxWriter<T, P> {
    fn write(&mut self, record: Record<T>, ctx: &mut SinkContext<'_>) -> Result<()> {
        let mut made = std::mem::take(&mut self.scratch);
        if let Err(e) = self.schema.points(&record.value, record.timestamp, &mut made) {
            made.clear();
            self.scratch = made;
            let reason = e.refused_or(|reason| EngineError::sink(&self.name, reason))?;
            settle(Settled { record, reasons: vec![reason] }, ctx);
            return Ok(());
        }
        let event_time = (record.timestamp != NO_TIMESTAMP).then(|| record.timestamp.saturating_mul(1_000_000));
        let (mut going, mut reasons) = (Vec::with_capacity(made.len()), Vec::new());
        for mut point in made.drain(..) {
            point.time_ns = point.time_ns.or(event_time);
            let mut line = Vec::with_capacity(128);
            match encode(&point, self.options.escaping, &mut line) {
                Ok(identity) => going.push((identity, line)),
                Err(reason) => reasons.push(reason),
            }
        }
        self.scratch = made;
        if going.is_empty() {
            settle(Settled { record, reasons }, ctx);
            return Ok(());
        }
        let value = self.waiting.push(record, going.len(), reasons);
        let mut core = self.shared.lock();
        let mut is_full = false;
        for (identity, line) in going {
            is_full |= core.queue.push(Item { value, identity, line });
        }
        drop(core);
        if is_full {
            self.shared.work.notify_one();
        }
        if self.linger_until.is_none() {
            self.linger_until = Some(self.clock.now_ms().saturating_add(millis(self.options.linger)));
        }
        Ok(())
    }

    fn ready(&mut self, ctx: &mut SinkContext<'_>) -> Result<bool> {
        self.collect(ctx)?;
        let ready = self.waiting.len() < self.options.max_buffered;
        if !ready && self.linger_until.is_some() {
            // Nothing more comes that it could wait for.
            self.hurry();
        }
        Ok(ready)
    }

    fn flush(&mut self, ctx: &mut SinkContext<'_>) -> Result<bool> {
        if self.linger_until.is_some() {
            self.hurry();
        }
        self.collect(ctx)?;
        Ok(self.waiting.is_empty())
    }

    fn on_processing_time(&mut self, _now: i64, ctx: &mut SinkContext<'_>) -> Result<()> {
        self.hurry();
        self.collect(ctx)
    }

    fn next_wakeup(&self) -> Option<i64> {
        self.linger_until
    }
}

impl<T, P> Drop for InfluxWriter<T, P> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Every line of a value has its answer. What is refused goes to the dead letters as the stream's own value in JSON, from
/// which its lines can be made again.
fn settle<T: Serialize>(settled: Settled<T>, ctx: &mut SinkContext<'_>) {
    let Settled { record, mut reasons } = settled;
    if reasons.is_empty() {
        ctx.written(1);
        return;
    }
    reasons.dedup();
    let mut reason = reasons.join("; ");
    let raw = serde_json::to_vec(&record.value).unwrap_or_else(|e| {
        reason.push_str(&format!(" (and the value cannot be written as JSON: {e})"));
        Vec::new()
    });
    ctx.dead_letter(record.origin, record.timestamp, raw, reason);
}

/// A seed of words, the same in every run of the same attempt (FNV-1a).
fn seed(words: &[&str]) -> u64 {
    let bytes = words.iter().flat_map(|w| w.bytes().chain([0]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
}
