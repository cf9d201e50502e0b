//! The sink and its options.

use std::{marker::PhantomData, sync::Arc, time::Duration};

use backon::ExponentialBuilder;
use hurtig_aws::AwsConfig;
use hurtig_engine::{
    error::{Error as EngineError, Result},
    sink::{Committer, CommitterContext, Sink, WriterContext},
};
use hurtig_operators::connectors::discard::DiscardingSink;
use serde::Serialize;

use crate::{
    error::Error,
    limits::RECORDS_PER_REQUEST,
    payload::TimestreamPayload,
    table::{TableInfo, TableName},
    writer::{TimestreamWriter, WriterOf},
};

/// Writes into a table of Timestream for LiveAnalytics: see the [crate](crate). `L` is the sink of what is too old.
pub struct TimestreamSink<T, P, L = DiscardingSink> {
    pub(crate) table: TableName,
    pub(crate) payload: P,
    pub(crate) options: SinkOptions,
    pub(crate) aws: AwsConfig,
    side: Option<Arc<L>>,
    value: PhantomData<fn(T)>,
}

/// What becomes of a record that is older than the table keeps, or takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TooOld {
    /// It goes to the dead letters.
    #[default]
    DeadLetter,
    /// It is counted as rejected and not kept.
    Reject,
}

/// All that is a number or a switch.
#[derive(Debug, Clone)]
pub(crate) struct SinkOptions {
    pub max_batch_size: usize,
    pub max_in_flight: usize,
    pub max_buffered: usize,
    pub linger: Duration,
    pub backoff: ExponentialBuilder,
    pub version: Option<i64>,
    pub too_old: TooOld,
    pub create: Option<TableInfo>,
    pub endpoint_discovery: Option<bool>,
}

impl<T, P: Clone, L> Clone for TimestreamSink<T, P, L> {
    fn clone(&self) -> Self {
        TimestreamSink {
            table: self.table.clone(),
            payload: self.payload.clone(),
            options: self.options.clone(),
            aws: self.aws.clone(),
            side: self.side.clone(),
            value: PhantomData,
        }
    }
}

impl<T, P: TimestreamPayload<T>> TimestreamSink<T, P> {
    /// Into `table` of `database`, as `payload` makes records of a value.
    pub fn new(database: impl Into<Arc<str>>, table: impl Into<Arc<str>>, payload: P) -> Self {
        TimestreamSink {
            table: TableName { database: database.into(), table: table.into() },
            payload,
            options: SinkOptions {
                max_batch_size: RECORDS_PER_REQUEST,
                max_in_flight: 16,
                max_buffered: 10_000,
                linger: Duration::from_secs(1),
                backoff: backoff(Duration::from_millis(100), Duration::from_secs(10)),
                version: None,
                too_old: TooOld::default(),
                create: None,
                endpoint_discovery: None,
            },
            aws: AwsConfig::new(),
            side: None,
            value: PhantomData,
        }
    }

    /// What the table does not take for its age goes to `sink`, the lake for instance, with the same guarantee as
    /// everything that `sink` writes; it counts as written.
    #[must_use]
    pub fn too_old_to<L: Sink<T>>(self, sink: L) -> TimestreamSink<T, P, L> {
        let TimestreamSink { table, payload, options, aws, .. } = self;
        TimestreamSink { table, payload, options, aws, side: Some(Arc::new(sink)), value: PhantomData }
    }
}

impl<T, P, L> TimestreamSink<T, P, L> {
    /// Region, endpoint and credentials; by default as every AWS tool takes them.
    #[must_use]
    pub fn aws(mut self, aws: AwsConfig) -> Self {
        self.aws = aws;
        self
    }

    /// Whether Timestream is asked for its endpoint first (`DescribeEndpoints`), as it wants it. By default unless an
    /// endpoint is set (`endpoint_url`, `AWS_ENDPOINT_URL`, `AWS_ENDPOINT_URL_TIMESTREAM_WRITE`).
    #[must_use]
    pub fn endpoint_discovery(mut self, discovery: bool) -> Self {
        self.options.endpoint_discovery = Some(discovery);
        self
    }

    /// Makes the database and the table where they are missing, with these two retention periods (1 to 8,766 hours, 1
    /// to 73,000 days) and with writes into the magnetic store. By default a missing table is an error.
    #[must_use]
    pub fn create_if_missing(mut self, memory_hours: i64, magnetic_days: i64) -> Self {
        self.options.create = Some(TableInfo { memory_hours, magnetic_days, magnetic_writes: true });
        self
    }

    /// The version of records that bring none; Timestream's own default is 1. What is written again with the same
    /// version changes nothing; a job that writes corrections of an earlier one takes a higher version.
    #[must_use]
    pub fn version(mut self, version: i64) -> Self {
        self.options.version = Some(version);
        self
    }

    /// What becomes of records that are older than the table takes: dead letters by default.
    #[must_use]
    pub fn too_old(mut self, policy: TooOld) -> Self {
        self.options.too_old = policy;
        self
    }

    /// Records in a request, 1 to 100; 100 by default (Flink's `sink.batch.max-size`).
    #[must_use]
    pub fn max_batch_size(mut self, records: usize) -> Self {
        self.options.max_batch_size = records.clamp(1, RECORDS_PER_REQUEST);
        self
    }

    /// Requests under way per subtask, 16 by default (Flink's `sink.requests.max-inflight`); at most half of them into
    /// the magnetic store.
    #[must_use]
    pub fn max_in_flight_requests(mut self, requests: usize) -> Self {
        self.options.max_in_flight = requests.max(1);
        self
    }

    /// Values that wait for their acknowledgement per subtask, before the job is slowed down: 10,000 by default (Flink's
    /// `sink.requests.max-buffered`).
    #[must_use]
    pub fn max_buffered_requests(mut self, values: usize) -> Self {
        self.options.max_buffered = values.max(1);
        self
    }

    /// How long a record waits for others to go with it, 1 s by default (Flink's `sink.flush-buffer.timeout`).
    #[must_use]
    pub fn linger(mut self, linger: Duration) -> Self {
        self.options.linger = linger;
        self
    }

    /// The waits between attempts at what was throttled or lost: they double from the first to the second, with jitter.
    #[must_use]
    pub fn backoff(mut self, min: Duration, max: Duration) -> Self {
        let min = min.max(Duration::from_millis(1));
        self.options.backoff = backoff(min, max.max(min));
        self
    }

    fn check(&self) -> Result<(), Error> {
        for (what, name) in [("database", &self.table.database), ("table", &self.table.table)] {
            let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
            if !(3..=256).contains(&name.len()) || !name.chars().all(fits) {
                return Err(Error::Config(format!(
                    "'{name}' cannot be a {what} of Timestream: its name has 3 to 256 letters, digits, '_', '.' and '-'"
                )));
            }
        }
        if let Some(version) = self.options.version.filter(|version| *version < 1) {
            return Err(Error::Config(format!("version {version}: Timestream's versions begin at 1")));
        }
        match self.options.create {
            Some(t) if !(1..=8_766).contains(&t.memory_hours) || !(1..=73_000).contains(&t.magnetic_days) => {
                Err(Error::Config(format!(
                    "create_if_missing({}, {}): Timestream keeps 1 to 8,766 hours in memory and 1 to 73,000 days in all",
                    t.memory_hours, t.magnetic_days
                )))
            }
            _ => Ok(()),
        }
    }
}

impl<T, P, L> Sink<T> for TimestreamSink<T, P, L>
where
    T: Serialize + 'static,
    P: TimestreamPayload<T>,
    L: Sink<T>,
{
    type Writer = WriterOf<T, P, L>;

    fn writer(&self, ctx: WriterContext, restored: Vec<Vec<u8>>) -> Result<Self::Writer> {
        self.check().map_err(EngineError::from)?;
        let side = self.side.as_ref().map(|side| side.writer(ctx.clone(), restored)).transpose()?;
        Ok(TimestreamWriter::new(self, ctx, side))
    }

    fn committer(&self, ctx: CommitterContext) -> Result<Option<Box<dyn Committer>>> {
        self.side.as_ref().map_or(Ok(None), |side| side.committer(ctx))
    }
}

fn backoff(min: Duration, max: Duration) -> ExponentialBuilder {
    ExponentialBuilder::new().with_min_delay(min).with_max_delay(max)
}
