//! One subtask's writer: makes lines of values, hands them to the queue, keeps the books.

use std::future::ready;

use hurtig_async_sink::{AsyncWriter, Settled, SinkMetrics, dead_letter_as_json, seed};
use hurtig_engine::{
    error::{Error as EngineError, Result},
    record::Record,
    sink::{SinkContext, SinkWriter, WriterContext},
    time::NO_TIMESTAMP,
};
use serde::Serialize;

use crate::{
    builder::InfluxSink,
    delivery::Delivery,
    http::Http,
    line::{Escaping, encode},
    point::Point,
    queue::{Item, Queue},
    schema::PointSchema,
};

/// Writes for one subtask.
pub struct InfluxWriter<T, P> {
    name: String,
    schema: P,
    escaping: Escaping,
    sending: AsyncWriter<T, Queue, String, ()>,
    scratch: Vec<Point>,
}

impl<T: Serialize, P: PointSchema<T>> InfluxWriter<T, P> {
    pub(crate) fn new(sink: &InfluxSink<T, P>, ctx: WriterContext) -> Result<Self> {
        let options = &sink.options;
        let url = sink.api.url(&sink.base)?;
        let place = url.to_string();
        let metrics = SinkMetrics::new(&ctx.metrics, "url", &place);
        let name = ctx.name.clone();
        let delivery = Delivery {
            transport: Http::new(url, sink.authorization().as_deref(), options.gzip)?,
            url: place.clone(),
            backoff: options.backoff,
            seed: seed(&ctx),
            counts: metrics.counts.clone(),
        };
        // A connection is made with the first request.
        let connect = ready(Ok((delivery, ())));
        let (queue, bounds) = (Queue::new(options.limits), (options.max_buffered, options.linger));
        let sending = AsyncWriter::start(ctx, place, queue, metrics, bounds, connect);
        Ok(InfluxWriter { name, schema: sink.schema.clone(), escaping: options.escaping, sending, scratch: Vec::new() })
    }

    /// Takes note of answers; an error if there will be no more.
    fn collect(&mut self, ctx: &mut SinkContext<'_>) -> Result<()> {
        self.sending.collect()?.into_iter().for_each(|settled| settle(settled, ctx));
        Ok(())
    }
}

impl<T: Serialize + 'static, P: PointSchema<T>> SinkWriter<T> for InfluxWriter<T, P> {
    fn write(&mut self, record: Record<T>, ctx: &mut SinkContext<'_>) -> Result<()> {
        let mut made = std::mem::take(&mut self.scratch);
        if let Err(e) = self.schema.points(&record.value, record.timestamp, &mut made) {
            made.clear();
            self.scratch = made;
            let reason = e.refused_or(|reason| EngineError::sink(&self.name, reason))?;
            dead_letter_as_json(record, reason, ctx);
            return Ok(());
        }
        let event_time = (record.timestamp != NO_TIMESTAMP).then(|| record.timestamp.saturating_mul(1_000_000));
        let (mut going, mut refusals) = (Vec::with_capacity(made.len()), Vec::new());
        for mut point in made.drain(..) {
            point.time_ns = point.time_ns.or(event_time);
            let mut line = Vec::with_capacity(128);
            match encode(&point, self.escaping, &mut line) {
                Ok(identity) => going.push((identity, line)),
                Err(reason) => refusals.push(reason),
            }
        }
        self.scratch = made;
        if going.is_empty() {
            settle(Settled { record, refusals }, ctx);
            return Ok(());
        }
        self.sending.push(record, going.len(), refusals, |queue, value| {
            let mut is_full = false;
            for (identity, line) in going {
                is_full |= queue.push(Item { value, identity, line });
            }
            is_full
        });
        Ok(())
    }

    fn ready(&mut self, ctx: &mut SinkContext<'_>) -> Result<bool> {
        self.collect(ctx)?;
        Ok(self.sending.ready())
    }

    fn flush(&mut self, ctx: &mut SinkContext<'_>) -> Result<bool> {
        self.collect(ctx)?;
        Ok(self.sending.is_flushed())
    }

    fn on_processing_time(&mut self, now: i64, ctx: &mut SinkContext<'_>) -> Result<()> {
        self.sending.on_processing_time(now);
        self.collect(ctx)
    }

    fn next_wakeup(&self) -> Option<i64> {
        self.sending.next_wakeup()
    }
}

/// Every line of a value has its answer.
fn settle<T: Serialize>(settled: Settled<T, String>, ctx: &mut SinkContext<'_>) {
    let Settled { record, refusals: mut reasons } = settled;
    if reasons.is_empty() {
        ctx.written(1);
        return;
    }
    reasons.dedup();
    dead_letter_as_json(record, reasons.join("; "), ctx);
}
