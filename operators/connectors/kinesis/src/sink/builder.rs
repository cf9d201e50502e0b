//! The sink and its options.

use std::{sync::Arc, time::Duration};

use hurtig_aws::AwsConfig;
use hurtig_engine::{
    error::{Error, Result},
    sink::{Sink, WriterContext},
};
use hurtig_operators::schema::SerializationSchema;

use super::{lanes::LaneOptions, writer::KinesisWriter};
use crate::{
    scaling::{LoadMeter, ShardLimits},
    service::is_stream,
};

type Text<T> = Arc<dyn Fn(&T) -> String + Send + Sync>;
type Hash<T> = Arc<dyn Fn(&T) -> u128 + Send + Sync>;

/// Writes to a Kinesis data stream: see the [module](super).
pub struct KinesisSink<T, S> {
    pub(super) stream: Arc<str>,
    pub(super) schema: S,
    pub(super) keys: Keys<T>,
    pub(super) options: SinkOptions,
    pub(super) aws: AwsConfig,
}

/// What decides about the shard, and what identifies a record.
pub(super) struct Keys<T> {
    pub partition: Text<T>,
    pub hash: Option<Hash<T>>,
    pub dedup: Option<Text<T>>,
}

impl<T> Clone for Keys<T> {
    fn clone(&self) -> Self {
        Keys { partition: self.partition.clone(), hash: self.hash.clone(), dedup: self.dedup.clone() }
    }
}

/// All that is a number or a switch.
#[derive(Debug, Clone)]
pub(super) struct SinkOptions {
    pub lanes: LaneOptions,
    pub max_record_size: usize,
    pub max_in_flight: usize,
    pub max_buffered: usize,
    pub max_buffered_bytes: usize,
    pub linger: Duration,
    pub list_every: Duration,
    pub meter: Option<LoadMeter>,
}

/// The KPL's `AggregationMaxSize`.
const AGGREGATE: usize = 50 << 10;
/// What a stream takes unless its limit was raised (`UpdateMaxRecordSize`).
const RECORD: usize = 1 << 20;
/// What the service takes in a record, and in a request.
const LARGEST: usize = 10 << 20;

impl<T, S: Clone> Clone for KinesisSink<T, S> {
    fn clone(&self) -> Self {
        KinesisSink {
            stream: self.stream.clone(),
            schema: self.schema.clone(),
            keys: self.keys.clone(),
            options: self.options.clone(),
            aws: self.aws.clone(),
        }
    }
}

impl<T, S> KinesisSink<T, S> {
    /// Into `stream` (its name, or its ARN), as `schema` makes bytes of a value; the order of values
    /// with the same partition key is kept. A partition key has 1 to 256 characters.
    pub fn new(
        stream: impl Into<Arc<str>>,
        schema: S,
        partition_key: impl Fn(&T) -> String + Send + Sync + 'static,
    ) -> Self {
        KinesisSink {
            stream: stream.into(),
            schema,
            keys: Keys { partition: Arc::new(partition_key), hash: None, dedup: None },
            options: SinkOptions {
                lanes: LaneOptions {
                    max_batch_size: 500,
                    max_batch_size_in_bytes: 5 << 20,
                    aggregate: None,
                    limits: ShardLimits::default(),
                    backoff_min_ms: 50,
                    backoff_max_ms: 10_000,
                },
                max_record_size: RECORD,
                max_in_flight: 4,
                max_buffered: 10_000,
                max_buffered_bytes: 16 << 20,
                linger: Duration::from_millis(100),
                list_every: Duration::from_secs(60),
                meter: None,
            },
            aws: AwsConfig::new(),
        }
    }

    /// Region, endpoint and credentials; by default as every AWS tool takes them.
    #[must_use]
    pub fn aws(mut self, aws: AwsConfig) -> Self {
        self.aws = aws;
        self
    }

    /// Places records by a number of their own instead of the MD5 of the partition key
    /// (`ExplicitHashKey`): `0..2^128`, shard by shard.
    #[must_use]
    pub fn explicit_hash_key(mut self, hash_key: impl Fn(&T) -> u128 + Send + Sync + 'static) -> Self {
        self.keys.hash = Some(Arc::new(hash_key));
        self
    }

    /// Adds to every record's partition key what tells its repetitions: `key U+001F dedup`. Where it
    /// goes and its order are still decided by the key in front ([`dedup_key_of`](super::dedup_key_of) takes
    /// them apart). Must be the same when the job runs again, so it comes from the value: a time, a counter of
    /// the device; and must not hold U+001F.
    #[must_use]
    pub fn with_dedup_key(mut self, dedup: impl Fn(&T) -> String + Send + Sync + 'static) -> Self {
        self.keys.dedup = Some(Arc::new(dedup));
        self
    }

    /// Packs many records into one, in the KPL's format, up to its usual 50 KiB. A shard then has
    /// at most one aggregate under way.
    #[must_use]
    pub fn aggregate(self) -> Self {
        self.aggregate_up_to(AGGREGATE)
    }

    /// [`aggregate`](Self::aggregate) up to so many bytes, at most the largest record.
    #[must_use]
    pub fn aggregate_up_to(mut self, bytes: usize) -> Self {
        self.options.lanes.aggregate = Some(bytes.clamp(1 << 10, LARGEST));
        self
    }

    /// The largest record, keys included; 1 MiB by default, as streams have it. Larger ones go to the
    /// dead letters. At most 10 MiB, for streams whose limit was raised.
    #[must_use]
    pub fn max_record_size(mut self, bytes: usize) -> Self {
        self.options.max_record_size = bytes.clamp(1, LARGEST);
        self
    }

    /// Records in a request, 1 to 500; 500 by default (Flink's `sink.batch.max-size`).
    #[must_use]
    pub fn max_batch_size(mut self, records: usize) -> Self {
        self.options.lanes.max_batch_size = records.clamp(1, 500);
        self
    }

    /// Bytes in a request; 5 MiB by default, at most the service's 10 MiB.
    #[must_use]
    pub fn max_batch_size_in_bytes(mut self, bytes: usize) -> Self {
        self.options.lanes.max_batch_size_in_bytes = bytes.clamp(1, LARGEST);
        self
    }

    /// Requests under way per subtask, 4 by default (Flink's `sink.requests.max-inflight`).
    #[must_use]
    pub fn max_in_flight_requests(mut self, requests: usize) -> Self {
        self.options.max_in_flight = requests.max(1);
        self
    }

    /// Records that wait for their acknowledgement per subtask, before the job is slowed down: 10,000 by
    /// default (Flink's `sink.requests.max-buffered`).
    #[must_use]
    pub fn max_buffered_requests(mut self, records: usize) -> Self {
        self.options.max_buffered = records.max(1);
        self
    }

    /// Their bytes: 16 MiB by default.
    #[must_use]
    pub fn max_buffered_bytes(mut self, bytes: usize) -> Self {
        self.options.max_buffered_bytes = bytes.max(1);
        self
    }

    /// How long a record waits for others to go with it, 100 ms by default (Flink's
    /// `sink.flush-buffer.timeout`).
    #[must_use]
    pub fn linger(mut self, linger: Duration) -> Self {
        self.options.linger = linger;
        self
    }

    /// What a shard is written at most: 1 MB and 1,000 records a second by default, which is Kinesis's limit.
    /// [`ShardLimits::UNLIMITED`] for a local server without limits; then only throttling slows it down.
    #[must_use]
    pub fn shard_limits(mut self, limits: ShardLimits) -> Self {
        self.options.lanes.limits = limits;
        self
    }

    /// The waits between attempts at what was refused: they double from the first to the second.
    #[must_use]
    pub fn backoff(mut self, min: Duration, max: Duration) -> Self {
        let ms = |d: Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX).max(1);
        self.options.lanes.backoff_min_ms = ms(min);
        self.options.lanes.backoff_max_ms = ms(max).max(ms(min));
        self
    }

    /// How often the shards are listed though nothing points to a change, from a second to a day; every
    /// minute by default.
    #[must_use]
    pub fn shard_discovery_interval(mut self, interval: Duration) -> Self {
        self.options.list_every = interval.clamp(Duration::from_secs(1), Duration::from_secs(86_400));
        self
    }

    /// Tells `meter` what every shard takes and refuses: for an autoscaler in the same process.
    #[must_use]
    pub fn load_meter(mut self, meter: LoadMeter) -> Self {
        self.options.meter = Some(meter);
        self
    }

    fn check(&self) -> Result<()> {
        let o = &self.options;
        if !is_stream(&self.stream) {
            return Err(Error::Config(format!(
                "'{}' is neither a stream's name nor its ARN (arn:aws:kinesis:…:stream/name)",
                self.stream
            )));
        }
        if let Some(aggregate) = o.lanes.aggregate.filter(|a| *a > o.max_record_size) {
            return Err(Error::Config(format!(
                "stream {}: an aggregate of {aggregate} bytes is larger than the largest record ({}): lower \
                 aggregate_up_to, or raise max_record_size and the stream's own limit",
                self.stream, o.max_record_size
            )));
        }
        if o.max_record_size > o.lanes.max_batch_size_in_bytes {
            return Err(Error::Config(format!(
                "stream {}: a record of {} bytes does not fit into a request of {}: raise max_batch_size_in_bytes",
                self.stream, o.max_record_size, o.lanes.max_batch_size_in_bytes
            )));
        }
        Ok(())
    }
}

impl<T: 'static, S: SerializationSchema<T>> Sink<T> for KinesisSink<T, S> {
    type Writer = KinesisWriter<T, S>;

    fn writer(&self, ctx: WriterContext, _restored: Vec<Vec<u8>>) -> Result<Self::Writer> {
        self.check()?;
        Ok(KinesisWriter::new(self, ctx))
    }
}
