//! [`KafkaSource`] and what can be chosen about it.

use std::time::Duration;

use hurtig_engine::{
    error::{Error, Result},
    source::{Boundedness, EnumeratorContext, ReaderContext, Source, SplitEnumerator},
};
use hurtig_operators::schema::DeserializationSchema;
use rdkafka::ClientConfig;
use regex::Regex;

use super::{
    discovery::{Discovery, Topics},
    enumerator::{KafkaEnumerator, Plan},
    offsets::OffsetsInitializer,
    range::OffsetOutOfRange,
    reader::{KafkaReader, ReaderOptions},
    record::{KafkaDeserializationSchema, Tombstones, ValueOnly},
    split::KafkaSplit,
};
use crate::properties::{Properties, check};

/// How the source calls itself in errors.
pub(super) const NAME: &str = "kafka";

/// What is the connector's business.
const RESERVED: &[(&str, &str)] = &[
    ("group.id", "use group_id()"),
    ("enable.auto.commit", "offsets are committed with the checkpoints; see commit_offsets_on_checkpoints()"),
    ("enable.auto.offset.store", "offsets are committed with the checkpoints"),
    ("auto.offset.reset", "use starting_offsets() and on_offset_out_of_range()"),
    ("enable.partition.eof", "the source needs it"),
];

/// Bounded memory, and no long waits: all of them can be changed by `property`.
const DEFAULTS: &[(&str, &str)] = &[
    ("isolation.level", "read_committed"),
    // What one reader holds ahead, over all its partitions; one answer of a broker may come on top.
    ("queued.max.messages.kbytes", "16384"),
    ("fetch.max.bytes", "16777216"),
    // librdkafka waits so long once that is full; its own default, a second, leaves a fast reader idle.
    ("fetch.queue.backoff.ms", "10"),
    ("fetch.wait.max.ms", "100"),
    ("reconnect.backoff.max.ms", "2000"),
    ("statistics.interval.ms", "1000"),
];

/// Topics as a source: see the [crate](crate).
#[derive(Clone)]
pub struct KafkaSource<S> {
    properties: Properties,
    group: Option<String>,
    commit: bool,
    topics: Topics,
    starting: OffsetsInitializer,
    bounded: bool,
    interval: Option<Duration>,
    out_of_range: OffsetOutOfRange,
    schema: S,
}

impl KafkaSource<()> {
    /// Begins to describe a source. Servers, topics and a schema have to be given.
    pub fn builder() -> KafkaSourceBuilder<()> {
        KafkaSourceBuilder {
            properties: Properties::default(),
            group: None,
            commit: None,
            topics: Vec::new(),
            pattern: None,
            starting: OffsetsInitializer::Earliest,
            bounded: false,
            interval: Some(Duration::from_secs(300)),
            out_of_range: OffsetOutOfRange::Fail,
            tombstones: Tombstones::DeadLetter,
            schema: (),
        }
    }
}

/// Describes a [`KafkaSource`].
#[derive(Debug, Clone)]
pub struct KafkaSourceBuilder<S> {
    properties: Properties,
    group: Option<String>,
    commit: Option<bool>,
    topics: Vec<String>,
    pattern: Option<String>,
    starting: OffsetsInitializer,
    bounded: bool,
    interval: Option<Duration>,
    out_of_range: OffsetOutOfRange,
    tombstones: Tombstones,
    schema: S,
}

impl<S> KafkaSourceBuilder<S> {
    /// The servers to begin with: `host:port`, several with commas.
    #[must_use]
    pub fn bootstrap_servers(self, servers: impl Into<String>) -> Self {
        self.property("bootstrap.servers", servers)
    }

    /// The topics to read.
    #[must_use]
    pub fn topics<T: Into<String>>(mut self, topics: impl IntoIterator<Item = T>) -> Self {
        self.topics = topics.into_iter().map(Into::into).collect();
        self
    }

    /// Reads all topics whose whole name matches this regular expression, also those that come later.
    #[must_use]
    pub fn topic_pattern(mut self, pattern: impl Into<String>) -> Self {
        self.pattern = Some(pattern.into());
        self
    }

    /// The group whose committed offsets may be begun with, and which is told how far the job has come.
    #[must_use]
    pub fn group_id(mut self, group: impl Into<String>) -> Self {
        self.group = Some(group.into());
        self
    }

    /// Whether the group is told of the offsets of each checkpoint, once it is complete: for whoever watches
    /// the group, the job itself does not need it. On if there is a group.
    #[must_use]
    pub fn commit_offsets_on_checkpoints(mut self, commit: bool) -> Self {
        self.commit = Some(commit);
        self
    }

    /// Where to begin when the job first starts. Partitions that are found later begin with their first record.
    #[must_use]
    pub fn starting_offsets(mut self, starting: OffsetsInitializer) -> Self {
        self.starting = starting;
        self
    }

    /// Ends where the partitions end when the job first starts (Flink's `setBounded(OffsetsInitializer.latest())`).
    #[must_use]
    pub fn bounded(mut self) -> Self {
        self.bounded = true;
        self
    }

    /// How often to look for new partitions and topics: every five minutes if nothing is said, `None`: never.
    #[must_use]
    pub fn partition_discovery_interval(mut self, interval: impl Into<Option<Duration>>) -> Self {
        self.interval = interval.into();
        self
    }

    /// What to do when the broker does not have the offset that is next any more.
    #[must_use]
    pub fn on_offset_out_of_range(mut self, policy: OffsetOutOfRange) -> Self {
        self.out_of_range = policy;
        self
    }

    /// What becomes of messages without a value, for [`value_only`](Self::value_only).
    #[must_use]
    pub fn tombstones(mut self, tombstones: Tombstones) -> Self {
        self.tombstones = tombstones;
        self
    }

    /// An option for librdkafka, by its own name: `security.protocol`, `sasl.mechanism`, …
    #[must_use]
    pub fn property(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.properties.set(name, value);
        self
    }

    /// Messages become values with key, headers and all.
    #[must_use]
    pub fn deserializer<D: KafkaDeserializationSchema>(self, schema: D) -> KafkaSourceBuilder<D> {
        self.with_schema(schema)
    }

    /// Only the messages' values count.
    #[must_use]
    pub fn value_only<D: DeserializationSchema>(self, schema: D) -> KafkaSourceBuilder<ValueOnly<D>> {
        let schema = ValueOnly::new(schema, self.tombstones);
        self.with_schema(schema)
    }

    fn with_schema<D>(self, schema: D) -> KafkaSourceBuilder<D> {
        KafkaSourceBuilder {
            properties: self.properties,
            group: self.group,
            commit: self.commit,
            topics: self.topics,
            pattern: self.pattern,
            starting: self.starting,
            bounded: self.bounded,
            interval: self.interval,
            out_of_range: self.out_of_range,
            tombstones: self.tombstones,
            schema,
        }
    }
}

impl<S: KafkaDeserializationSchema> KafkaSourceBuilder<S> {
    /// The source, or what is wrong with it. Nothing is asked of a broker yet.
    pub fn build(self) -> Result<KafkaSource<S>> {
        let wrong = |reason: &str| Error::Config(format!("kafka source: {reason}"));
        self.properties.bootstrap_servers()?;
        self.properties.refuse(RESERVED)?;
        let topics = match (self.pattern, self.topics.is_empty()) {
            (None, true) => return Err(wrong("no topic is given: use topics() or topic_pattern()")),
            (Some(_), false) => return Err(wrong("topics() and topic_pattern() exclude each other")),
            (None, false) => Topics::Named(self.topics),
            (Some(pattern), true) => Topics::Pattern(Regex::new(&pattern).map_err(|e| {
                let e = e.to_string();
                wrong(&format!("'{pattern}' is not a valid pattern: {}", e.lines().last().unwrap_or_default()))
            })?),
        };
        if self.starting.needs_group() && self.group.is_none() {
            return Err(wrong("starting at a group's committed offsets needs the group: use group_id()"));
        }
        if self.commit == Some(true) && self.group.is_none() {
            return Err(wrong("offsets cannot be committed without a group: use group_id()"));
        }
        let source = KafkaSource {
            commit: self.commit.unwrap_or(self.group.is_some()),
            properties: self.properties,
            group: self.group,
            topics,
            starting: self.starting,
            bounded: self.bounded,
            interval: self.interval,
            out_of_range: self.out_of_range,
            schema: self.schema,
        };
        check(&source.config("check", "check", "check"))?;
        Ok(source)
    }
}

impl<S> KafkaSource<S> {
    fn config(&self, job: &str, uid: &str, who: &str) -> ClientConfig {
        // Assigning partitions by hand asks for a group's name too; nothing is ever committed to this one.
        let nobody = format!("hurtig-{job}-{uid}");
        let client = format!("hurtig-{job}-{uid}-{who}");
        let mut defaults = DEFAULTS.to_vec();
        defaults.push(("client.id", &client));
        self.properties.config(
            &defaults,
            &[
                ("group.id", self.group.as_deref().unwrap_or(&nobody)),
                ("enable.auto.commit", "false"),
                ("enable.auto.offset.store", "false"),
                ("auto.offset.reset", "error"),
                ("enable.partition.eof", "true"),
            ],
        )
    }
}

impl<S: KafkaDeserializationSchema> Source for KafkaSource<S> {
    type Item = S::Item;
    type Split = KafkaSplit;
    type Reader = KafkaReader<S>;

    fn enumerator(
        &self,
        ctx: EnumeratorContext,
        restored: Option<Vec<u8>>,
    ) -> Result<Box<dyn SplitEnumerator<KafkaSplit>>> {
        let config = self.config(&ctx.job, &ctx.uid, "enumerator");
        let discovery = Discovery::new(&config, self.topics.clone(), self.properties.bootstrap_servers()?)?;
        let plan = Plan { starting: self.starting.clone(), bounded: self.bounded, interval: self.interval };
        Ok(Box::new(KafkaEnumerator::start(discovery, &plan, &ctx, restored)?))
    }

    fn reader(&self, ctx: ReaderContext) -> Result<KafkaReader<S>> {
        let several = match &self.topics {
            Topics::Named(names) => names.len() > 1,
            Topics::Pattern(_) => true,
        };
        let options = ReaderOptions {
            commit: self.commit,
            out_of_range: self.out_of_range,
            // See `Tracked::is_at_end`.
            may_pause: !(self.bounded && several),
        };
        let config = self.config(&ctx.job, &ctx.uid, &ctx.subtask.to_string());
        KafkaReader::new(&config, options, self.schema.clone(), ctx)
    }

    fn boundedness(&self) -> Boundedness {
        if self.bounded { Boundedness::Bounded } else { Boundedness::ContinuousUnbounded }
    }
}
