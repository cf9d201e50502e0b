//! One subtask's writer: makes records of values, hands them to the lanes, keeps the books.

use std::sync::Arc;

use hurtig_engine::{
    error::{Error, Result},
    record::Record,
    sink::{SinkContext, SinkWriter, WriterContext},
    time::Clock,
};
use hurtig_operators::schema::{SchemaError, SerializationSchema};
use tokio::task::AbortHandle;

use super::{
    builder::{Keys, KinesisSink, SinkOptions},
    dedup::DEDUP_SEPARATOR,
    driver::{Driver, Shared},
    lanes::Lanes,
    member::Member,
    metrics::SinkMetrics,
    payload,
    transport::KinesisTransport,
};
use crate::kpl::hash_key;

/// Writes for one subtask.
pub struct KinesisWriter<T, S> {
    name: String,
    schema: S,
    keys: Keys<T>,
    options: SinkOptions,
    clock: Arc<dyn Clock>,
    shared: Arc<Shared>,
    task: AbortHandle,
    sent: hurtig_engine::metrics::Gauge,
    /// When what came last must wait no longer.
    linger_until: Option<i64>,
}

/// What is not acknowledged, and whether the shards are known.
struct Left {
    records: usize,
    bytes: usize,
    connected: bool,
}

/// A key has so many characters at most.
const MAX_KEY: usize = 256;

impl<T, S: SerializationSchema<T>> KinesisWriter<T, S> {
    /// Takes records at once; the task connects and lists the shards meanwhile.
    pub(super) fn new(sink: &KinesisSink<T, S>, ctx: WriterContext) -> Self {
        let options = sink.options.clone();
        let lanes = Lanes::new(options.lanes, seed(&[&ctx.uid, &ctx.subtask.to_string(), &ctx.attempt]));
        let shared = Shared::new(lanes);
        let metrics = SinkMetrics::new(ctx.metrics, sink.stream.clone());
        let sent = metrics.sent.clone();
        let connect = KinesisTransport::connect(sink.aws.clone(), sink.stream.clone());
        let driver = Driver {
            shared: shared.clone(),
            waker: ctx.waker,
            metrics,
            meter: options.meter.clone(),
            stream: sink.stream.clone(),
            aggregating: options.lanes.aggregate.is_some(),
            max_in_flight: options.max_in_flight,
            list_every: options.list_every,
        };
        let task = ctx.runtime.spawn(driver.run(connect)).abort_handle();
        KinesisWriter {
            name: ctx.name,
            schema: sink.schema.clone(),
            keys: sink.keys.clone(),
            options,
            clock: ctx.clock,
            shared,
            task,
            sent,
            linger_until: None,
        }
    }

    /// The record as Kinesis takes it, or its bytes and why not.
    fn member(&mut self, value: &T) -> Result<Member, (Vec<u8>, SchemaError)> {
        let mut data = Vec::new();
        if let Err(e) = self.schema.serialize(value, &mut data) {
            return Err((data, e));
        }
        let mut key = (self.keys.partition)(value);
        if key.is_empty() {
            return Err((data, "its partition key is empty".into()));
        }
        let mut hash = self.keys.hash.as_ref().map(|hash| hash(value));
        if let Some(dedup) = &self.keys.dedup {
            let dedup = dedup(value);
            if dedup.contains(DEDUP_SEPARATOR) {
                return Err((data, "its deduplication key holds U+001F, which sets it apart".into()));
            }
            hash = hash.or_else(|| Some(hash_key(&key, None)));
            key.push(DEDUP_SEPARATOR);
            key.push_str(&dedup);
        }
        let characters = key.chars().count();
        if characters > MAX_KEY {
            return Err((
                data,
                format!("its partition key has {characters} characters, Kinesis takes {MAX_KEY}").into(),
            ));
        }
        let member = Member::new(key, hash, data);
        let size = payload::size_alone(&member, self.options.lanes.aggregate.is_some());
        if size > self.options.max_record_size {
            let most = self.options.max_record_size;
            let reason = format!("it has {size} bytes with its key, the sink's largest record is {most}");
            return Err((member.data.into(), reason.into()));
        }
        Ok(member)
    }

    /// What has come so far is sent without waiting for more.
    fn hurry(&mut self) {
        self.linger_until = None;
        self.shared.lock().lanes.force();
        self.shared.work.notify_one();
    }

    /// Takes note of acknowledgements; an error if there will be no more.
    fn collect(&mut self, ctx: &mut SinkContext<'_>) -> Result<Left> {
        let mut core = self.shared.lock();
        let acknowledged = core.lanes.take_acknowledged();
        let (records, bytes) = (core.lanes.buffered(), core.lanes.buffered_bytes());
        let (failed, connected) = (core.failed.clone(), core.lanes.has_shards());
        drop(core);
        ctx.written(acknowledged);
        self.sent.add(i64::try_from(acknowledged).unwrap_or(i64::MAX));
        failed.map_or(Ok(Left { records, bytes, connected }), |reason| Err(Error::sink(&self.name, reason)))
    }
}

impl<T: 'static, S: SerializationSchema<T>> SinkWriter<T> for KinesisWriter<T, S> {
    fn write(&mut self, record: Record<T>, ctx: &mut SinkContext<'_>) -> Result<()> {
        let member = match self.member(&record.value) {
            Ok(member) => member,
            Err((raw, e)) => {
                let reason = e.refused_or(|reason| Error::sink(&self.name, reason))?;
                ctx.dead_letter(record.origin, record.timestamp, raw, reason);
                return Ok(());
            }
        };
        let mut core = self.shared.lock();
        let before = core.lanes.is_full();
        core.lanes.push(member);
        let became_full = !before && core.lanes.is_full();
        drop(core);
        if became_full {
            self.shared.work.notify_one();
        }
        if self.linger_until.is_none() {
            let linger = i64::try_from(self.options.linger.as_millis()).unwrap_or(i64::MAX);
            self.linger_until = Some(self.clock.now_ms().saturating_add(linger));
        }
        Ok(())
    }

    fn ready(&mut self, ctx: &mut SinkContext<'_>) -> Result<bool> {
        let Left { records, bytes, .. } = self.collect(ctx)?;
        let ready = records < self.options.max_buffered && bytes < self.options.max_buffered_bytes;
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
        // Also with nothing to send: a job does not end well on a stream that is not there.
        self.collect(ctx).map(|left| left.records == 0 && left.connected)
    }

    fn on_processing_time(&mut self, _now: i64, ctx: &mut SinkContext<'_>) -> Result<()> {
        self.hurry();
        self.collect(ctx).map(drop)
    }

    fn next_wakeup(&self) -> Option<i64> {
        self.linger_until
    }
}

impl<T, S> Drop for KinesisWriter<T, S> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A seed of words, the same in every run of the same attempt (FNV-1a).
fn seed(words: &[&str]) -> u64 {
    let bytes = words.iter().flat_map(|w| w.bytes().chain([0]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
}
