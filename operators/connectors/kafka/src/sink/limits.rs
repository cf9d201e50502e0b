//! What a topic takes, asked before anything is written: a record that a broker would refuse inside a transaction
//! would have to be refused before its checkpoint.

use std::{collections::HashMap, time::Duration};

use hurtig_engine::error::{Error, Result};
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, ConfigEntry, ResourceSpecifier},
    error::{KafkaError, RDKafkaErrorCode},
};

use super::serializer::ProducerRecord;
use crate::client::{Context, Severity, severity};

/// How long the broker may take to answer.
pub(super) const TIMEOUT: Duration = Duration::from_secs(20);

/// What is left for a record's own frame and its batch's (a batch's header has 61 bytes, a record's up to 34).
const FRAME: usize = 128;

/// librdkafka's default for `message.max.bytes`.
const MESSAGE_MAX_BYTES: usize = 1_000_000;

/// What topics take.
#[derive(Debug, Clone)]
pub(super) struct Limits {
    max_bytes: usize,
    topics: HashMap<String, TopicLimits>,
}

#[derive(Debug, Clone, Copy)]
struct TopicLimits {
    max_bytes: usize,
    compacted: bool,
    /// How far a message's time may lie before and after the broker's, in milliseconds; none where the broker dates it.
    times: Option<(i64, i64)>,
}

impl Limits {
    /// Asks for the limits of `topics`. A user who may not ask, or a topic that is made by writing to it, is no
    /// error: then librdkafka's own limit counts.
    pub fn ask(config: &ClientConfig, topics: &[String], runtime: &tokio::runtime::Handle, sink: &str) -> Result<Self> {
        let max_bytes = config.get("message.max.bytes").and_then(|v| v.parse().ok()).unwrap_or(MESSAGE_MAX_BYTES);
        let mut limits = Limits { max_bytes, topics: HashMap::new() };
        if topics.is_empty() {
            return Ok(limits);
        }
        let failed = |e: KafkaError| {
            let hint = match severity(e.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown)) {
                Severity::Final(hint) => hint,
                Severity::Passing => "check bootstrap_servers, and that the broker runs and can be reached",
            };
            let servers = config.get("bootstrap.servers").unwrap_or_default();
            Error::sink(sink, format!("{servers} does not answer: {e}; {hint}"))
        };
        let admin: AdminClient<Context> =
            config.create_with_context(Context::default()).map_err(|e| Error::sink(sink, e))?;
        let resources: Vec<_> = topics.iter().map(|t| ResourceSpecifier::Topic(t)).collect();
        let options = AdminOptions::new().request_timeout(Some(TIMEOUT));
        let described = match runtime.block_on(admin.describe_configs(&resources, &options)) {
            Ok(described) => described,
            // Something that speaks Kafka's protocol, but not all of it.
            Err(KafkaError::AdminOp(RDKafkaErrorCode::UnsupportedFeature | RDKafkaErrorCode::UnsupportedVersion)) => {
                return Ok(limits);
            }
            Err(e) => return Err(failed(e)),
        };
        for (topic, resource) in topics.iter().zip(described) {
            match resource {
                Ok(resource) => drop(limits.topics.insert(topic.clone(), TopicLimits::of(&resource.entries))),
                Err(e) => tracing::debug!("{sink}: what topic '{topic}' takes cannot be asked: {e}"),
            }
        }
        Ok(limits)
    }

    /// The most that one request to these topics may hold.
    pub fn batch_bytes(&self) -> usize {
        self.topics.values().map(|t| t.max_bytes).min().unwrap_or(usize::MAX).min(self.max_bytes)
    }

    /// Why the broker would not take this record, which is of `time` and is written at `now` (milliseconds since 1970),
    /// and published somewhat later.
    pub fn refuse(&self, record: &ProducerRecord, time: Option<i64>, now: i64) -> Option<String> {
        let of_headers: usize =
            record.headers().iter().map(|(n, v)| n.len() + v.as_ref().map_or(0, Vec::len) + 10).sum();
        let size = record.key().map_or(0, <[u8]>::len) + record.value().map_or(0, <[u8]>::len) + of_headers + FRAME;
        let topic = self.topics.get(record.topic());
        let most = topic.map_or(self.max_bytes, |t| t.max_bytes.min(self.max_bytes));
        if size > most {
            return Some(format!(
                "the message has {size} bytes, and topic '{}' takes {most} (message.max.bytes, max.message.bytes)",
                record.topic()
            ));
        }
        if topic.is_some_and(|t| t.compacted) && record.key().is_none() {
            return Some(format!("the message has no key, and topic '{}' is compacted by key", record.topic()));
        }
        if let (Some(time), Some((before, after))) = (time, topic.and_then(|t| t.times)) {
            if time > now.saturating_add(after - margin(after)) {
                return Some(format!(
                    "the message's time is {} ms ahead, and topic '{}' takes {after} (message.timestamp.after.max.ms)",
                    time.saturating_sub(now),
                    record.topic()
                ));
            }
            if time < now.saturating_sub(before - margin(before)) {
                return Some(format!(
                    "the message's time is {} ms ago, and topic '{}' takes {before} (message.timestamp.before.max.ms)",
                    now.saturating_sub(time),
                    record.topic()
                ));
            }
        }
        if record.topic().is_empty() || record.topic().len() > 249 {
            return Some(format!("'{}' is no topic", record.topic()));
        }
        None
    }
}

/// A broker's clock is another, and a checkpoint lies between writing and publishing.
fn margin(most: i64) -> i64 {
    (most / 10).min(60_000)
}

impl TopicLimits {
    fn of(entries: &[ConfigEntry]) -> Self {
        let value = |name| entries.iter().find(|e| e.name == name).and_then(|e| e.value.as_deref());
        let most = |name| value(name).and_then(|v| v.parse().ok()).unwrap_or(i64::MAX);
        let by_broker = value("message.timestamp.type") == Some("LogAppendTime");
        TopicLimits {
            max_bytes: value("max.message.bytes").and_then(|v| v.parse().ok()).unwrap_or(usize::MAX),
            compacted: value("cleanup.policy").is_some_and(|v| v.contains("compact")),
            times: (!by_broker)
                .then(|| (most("message.timestamp.before.max.ms"), most("message.timestamp.after.max.ms"))),
        }
    }
}
