//! The options of a source, with Flink's names where it has one.

use std::time::Duration;

use hurtig_aws::AwsConfig;

use super::{pace::PaceLimits, unpack::OutOfRange};

/// Where a first start begins to read (Flink's `source.init.position`). A restored job goes on
/// where it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum InitialPosition {
    /// At what comes from now on. The time of the first start is kept: a restart before the first
    /// record of a shard does not skip what came in between. Only when the process dies before its
    /// first checkpoint is complete, the next start is a first start again.
    #[default]
    Latest,
    /// At the oldest record there is.
    TrimHorizon,
    /// At the first record that arrived at this time or later (milliseconds since the epoch).
    AtTimestamp(i64),
}

/// How shards are read (Flink's `source.reader.type`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ReaderType {
    /// GetRecords: 2 MB/s and five calls a second per shard, shared with all who poll it.
    #[default]
    Polling,
    /// Enhanced fan-out: SubscribeToShard, 2 MB/s per shard of one's own.
    Efo(EfoConsumer),
}

/// Whose consumer is used, and who sees to it (Flink's `source.efo.lifecycle`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EfoConsumer {
    /// SELF_MANAGED: a consumer that somebody has registered, by its ARN.
    Arn(String),
    /// JOB_MANAGED: a consumer of this name (`source.efo.consumer.name`). It is registered when
    /// it does not exist; then, and only then, a bounded job deregisters it at its end. An
    /// unbounded job leaves it: a restart needs it again, and a name can only be taken once.
    Name(String),
}

/// All options.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// Its name or its ARN, and where in it the name begins.
    pub stream: String,
    name_at: usize,
    pub aws: AwsConfig,
    pub initial: InitialPosition,
    pub reader: ReaderType,
    pub bounded: bool,
    pub discovery_interval: Duration,
    pub pace: PaceLimits,
    pub buffer_bytes: usize,
    pub out_of_range: OutOfRange,
    pub subscription_timeout: Duration,
}

impl Options {
    pub fn new(stream: String) -> Self {
        const BEFORE: &str = ":stream/";
        let name_at = stream.rfind(BEFORE).map_or(0, |at| at + BEFORE.len());
        Options {
            stream,
            name_at,
            aws: AwsConfig::new(),
            initial: InitialPosition::default(),
            reader: ReaderType::default(),
            bounded: false,
            discovery_interval: Duration::from_secs(10),
            pace: PaceLimits::default(),
            buffer_bytes: 8 << 20,
            out_of_range: OutOfRange::default(),
            subscription_timeout: Duration::from_secs(60),
        }
    }

    /// The stream's name, also where its ARN was given.
    pub fn stream_name(&self) -> &str {
        &self.stream[self.name_at..]
    }
}
