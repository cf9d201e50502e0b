//! [`KafkaSink`] and what can be chosen about it.

use std::marker::PhantomData;

use hurtig_engine::{
    error::{Error, Result},
    sink::{Committer, CommitterContext, Sink, WriterContext},
};
use rdkafka::ClientConfig;

use super::{
    committer::{Commits, KafkaCommitter},
    direct::DirectWriter,
    epoch::EpochWriter,
    handed_over::Outcomes,
    limits::{Limits, TIMEOUT},
    serializer::KafkaRecordSerializationSchema,
    writer::{KafkaWriter, Way},
};
use crate::{
    properties::{Properties, check},
    reach::{connection, reach},
};

/// What a sink promises (Flink's word).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DeliveryGuarantee {
    /// Nothing: records are handed to the client and counted as written. What is in its queue when the job dies is
    /// lost.
    None,
    /// Every record is acknowledged by the broker before its barrier is. After a failure what came since the last
    /// checkpoint comes again.
    #[default]
    AtLeastOnce,
    /// Readers with `read_committed` see each record once. Records become visible with their checkpoint.
    ExactlyOnce,
}

const RESERVED: &[(&str, &str)] = &[
    ("transactional.id", "use transactional_id_prefix()"),
    ("enable.idempotence", "the delivery guarantee decides"),
    ("delivery.report.only.error", "the sink has to hear of every message"),
    ("enable.gapless.guarantee", "the sink deals with refused messages itself"),
];

const DEFAULTS: &[(&str, &str)] = &[
    // What one writer holds at most.
    ("queue.buffering.max.kbytes", "32768"),
    ("queue.buffering.max.messages", "100000"),
    ("linger.ms", "5"),
    ("reconnect.backoff.max.ms", "2000"),
    // As Java's clients choose: a key's messages stay together whoever writes them.
    ("partitioner", "murmur2_random"),
];

/// Long enough for the largest epoch, and below what brokers allow if nobody has changed it (15 minutes).
const TRANSACTION_TIMEOUT_MS: &str = "300000";

/// A topic, or several, as a sink: see the [crate](crate).
pub struct KafkaSink<T, S> {
    properties: Properties,
    guarantee: DeliveryGuarantee,
    prefix: String,
    commits_topic: String,
    max_epoch_bytes: u64,
    outcomes: Outcomes,
    schema: S,
    item: PhantomData<fn(T)>,
}

impl KafkaSink<(), ()> {
    /// Begins to describe a sink. Servers and a serializer have to be given.
    pub fn builder() -> KafkaSinkBuilder<()> {
        KafkaSinkBuilder {
            properties: Properties::default(),
            guarantee: DeliveryGuarantee::AtLeastOnce,
            prefix: "hurtig".to_owned(),
            commits_topic: "hurtig-commits".to_owned(),
            max_epoch_bytes: 32 << 20,
            schema: (),
        }
    }
}

/// Describes a [`KafkaSink`].
#[derive(Debug, Clone)]
pub struct KafkaSinkBuilder<S> {
    properties: Properties,
    guarantee: DeliveryGuarantee,
    prefix: String,
    commits_topic: String,
    max_epoch_bytes: u64,
    schema: S,
}

impl<S> KafkaSinkBuilder<S> {
    /// The servers to begin with: `host:port`, several with commas.
    #[must_use]
    pub fn bootstrap_servers(self, servers: impl Into<String>) -> Self {
        self.property("bootstrap.servers", servers)
    }

    /// What is promised: at least once if nothing is said.
    #[must_use]
    pub fn delivery_guarantee(mut self, guarantee: DeliveryGuarantee) -> Self {
        self.guarantee = guarantee;
        self
    }

    /// The transactional id is `prefix/job/uid`, for exactly once; the prefix is `hurtig` if nothing is said. Two
    /// jobs must not have the same: the later one fences the other.
    #[must_use]
    pub fn transactional_id_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// The compacted topic that says which epochs are published, for exactly once: `hurtig-commits` if nothing is
    /// said. It is made if it is not there, and may be shared by all jobs of a cluster.
    #[must_use]
    pub fn commits_topic(mut self, topic: impl Into<String>) -> Self {
        self.commits_topic = topic.into();
        self
    }

    /// About how many bytes, compressed, a subtask may gather between two checkpoints, for exactly once: 32 MiB if
    /// nothing is said. From half of it on the job is slowed down. What checkpoints that were given up have left behind
    /// counts too.
    #[must_use]
    pub fn max_epoch_bytes(mut self, bytes: u64) -> Self {
        self.max_epoch_bytes = bytes;
        self
    }

    /// An option for librdkafka, by its own name: `compression.type`, `security.protocol`, …
    #[must_use]
    pub fn property(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.properties.set(name, value);
        self
    }

    /// How values become messages: a [`TopicSerializer`](crate::TopicSerializer), or one's own.
    #[must_use]
    pub fn record_serializer<Z>(self, schema: Z) -> KafkaSinkBuilder<Z> {
        KafkaSinkBuilder {
            properties: self.properties,
            guarantee: self.guarantee,
            prefix: self.prefix,
            commits_topic: self.commits_topic,
            max_epoch_bytes: self.max_epoch_bytes,
            schema,
        }
    }

    /// The sink, or what is wrong with it. Nothing is asked of a broker yet.
    pub fn build<T>(self) -> Result<KafkaSink<T, S>>
    where
        T: 'static,
        S: KafkaRecordSerializationSchema<T>,
    {
        let wrong = |reason: &str| Error::Config(format!("kafka sink: {reason}"));
        self.properties.bootstrap_servers()?;
        self.properties.refuse(RESERVED)?;
        if self.max_epoch_bytes < 1 << 20 {
            return Err(wrong("max_epoch_bytes is below 1 MiB: give more, or records would not get through"));
        }
        if self.prefix.is_empty() || self.commits_topic.is_empty() {
            return Err(wrong("transactional_id_prefix and commits_topic may not be empty"));
        }
        if self.schema.topics().contains(&self.commits_topic) {
            return Err(wrong("commits_topic is the sink's own topic: give it another name"));
        }
        let sink = KafkaSink {
            properties: self.properties,
            guarantee: self.guarantee,
            prefix: self.prefix,
            commits_topic: self.commits_topic,
            max_epoch_bytes: self.max_epoch_bytes,
            outcomes: Outcomes::default(),
            schema: self.schema,
            item: PhantomData,
        };
        check(&sink.config("check"))?;
        check(&sink.transactional("check", "check").producer)?;
        Ok(sink)
    }
}

impl<T, S> KafkaSink<T, S> {
    fn config(&self, client: &str) -> ClientConfig {
        let mut defaults = DEFAULTS.to_vec();
        defaults.push(("client.id", client));
        let idempotent = if self.guarantee == DeliveryGuarantee::None { "false" } else { "true" };
        self.properties.config(&defaults, &[("enable.idempotence", idempotent)])
    }

    fn transactional(&self, job: &str, uid: &str) -> Commits {
        let id = transactional_id(&self.prefix, job, uid);
        let mut defaults = DEFAULTS.to_vec();
        defaults.push(("client.id", &id));
        defaults.push(("transaction.timeout.ms", TRANSACTION_TIMEOUT_MS));
        let fixed =
            [("transactional.id", id.as_str()), ("enable.idempotence", "true"), ("delivery.report.only.error", "true")];
        let producer = self.properties.config(&defaults, &fixed);
        let mut consumer = connection(&producer);
        if let Some(most) = producer.get("message.max.bytes") {
            consumer.set("message.max.bytes", most);
        }
        Commits { id, topic: self.commits_topic.clone(), producer, consumer }
    }
}

impl<T: 'static, S: KafkaRecordSerializationSchema<T>> Sink<T> for KafkaSink<T, S> {
    type Writer = KafkaWriter<S>;

    fn writer(&self, ctx: WriterContext, _restored: Vec<Vec<u8>>) -> Result<KafkaWriter<S>> {
        let client = format!("hurtig-{}-{}-{}", ctx.job, ctx.uid, ctx.subtask);
        let mut config = self.config(&client);
        let topics = self.schema.topics();
        let reached = reach(&config, topics.first().map(String::as_str), TIMEOUT);
        reached.map_err(|e| Error::sink(&ctx.name, e.into_reason()))?;
        let limits = Limits::ask(&config, &topics, &ctx.runtime, &ctx.name)?;
        let way = match self.guarantee {
            DeliveryGuarantee::ExactlyOnce => {
                Way::Epochs(EpochWriter::new(self.max_epoch_bytes, limits, &self.outcomes, &ctx))
            }
            guarantee => {
                limit_batches(&mut config, &limits);
                let acknowledged = guarantee == DeliveryGuarantee::AtLeastOnce;
                Way::Direct(DirectWriter::new(&config, acknowledged, limits, &ctx)?)
            }
        };
        Ok(KafkaWriter::new(ctx.name, self.schema.clone(), way))
    }

    fn committer(&self, ctx: CommitterContext) -> Result<Option<Box<dyn Committer>>> {
        if self.guarantee != DeliveryGuarantee::ExactlyOnce {
            return Ok(None);
        }
        let commits = self.transactional(&ctx.job, &ctx.uid);
        let committer = KafkaCommitter::new(commits, self.schema.topics(), self.outcomes.clone(), ctx);
        Ok(Some(Box::new(committer)))
    }
}

/// An id of a sink's own: two of them are only the same if job and uid are. Kafka takes any characters here; a job's
/// or uid's own slash is escaped as in an address.
fn transactional_id(prefix: &str, job: &str, uid: &str) -> String {
    let escaped = |part: &str| part.replace('%', "%25").replace('/', "%2F");
    format!("{prefix}/{}/{}", escaped(job), escaped(uid))
}

/// A topic that takes less than others refuses whole batches, and nobody could tell which message was too large.
pub(super) fn limit_batches(config: &mut ClientConfig, limits: &Limits) {
    let batch = config.get("batch.size").and_then(|v| v.parse().ok()).unwrap_or(1_000_000);
    config.set("batch.size", limits.batch_bytes().min(batch).to_string());
}

#[cfg(test)]
mod tests {
    use super::transactional_id;

    #[test]
    fn no_two_sinks_have_one_transactional_id() {
        assert_eq!(transactional_id("hurtig", "meter day", "sink"), "hurtig/meter day/sink");
        let parts = ["a", "b", "a-b", "b-c", "c", "a/b", "b/c", "a%2Fb", "%", ""];
        let all = || parts.iter().flat_map(|job| parts.iter().map(move |uid| (*job, *uid)));
        let ids: std::collections::BTreeSet<_> = all().map(|(job, uid)| transactional_id("p", job, uid)).collect();
        assert_eq!(ids.len(), all().count());
    }
}
