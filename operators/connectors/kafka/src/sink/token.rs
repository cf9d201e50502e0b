//! The commits topic: one compacted partition, where every transaction leaves what is published so far.
//!
//! Kafka Connect keeps the offsets of its exactly-once sources in the same way. (Offsets of a consumer group could be
//! written in a transaction too, but expire after a week: a savepoint that is older would be published again.)

use std::{thread::sleep, time::Duration};

use hurtig_engine::error::{Error, Result};
use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication},
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
    message::Message,
};

use super::{committer::Commits, limits::TIMEOUT, published::Published};
use crate::client::Context;

/// How long another job's open transaction is waited for: brokers allow no longer ones unless told to.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

const PAUSE: Duration = Duration::from_millis(50);

/// Makes the topic if it is not there.
pub(super) fn make_topic(commits: &Commits, runtime: &tokio::runtime::Handle, sink: &str) -> Result<()> {
    let admin: AdminClient<Context> =
        commits.consumer.create_with_context(Context::default()).map_err(|e| Error::sink(sink, e))?;
    // As many replicas as the broker makes of its own accord; small segments, so that compaction keeps up.
    let topic = NewTopic::new(&commits.topic, 1, TopicReplication::Fixed(-1))
        .set("cleanup.policy", "compact")
        .set("segment.bytes", "16777216")
        .set("min.cleanable.dirty.ratio", "0.1");
    let options = AdminOptions::new().request_timeout(Some(TIMEOUT));
    let made =
        runtime.block_on(admin.create_topics([&topic], &options)).map_err(|e| unreachable_broker(commits, sink, &e))?;
    match made.into_iter().next() {
        None | Some(Ok(_)) => Ok(()),
        Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => suits(commits, &admin, runtime, sink),
        // Who may not create it may have one that somebody else has created.
        Some(Err((_, code))) if exists(commits, sink)? => {
            tracing::debug!("{sink}: topic '{}' is there, and could not have been made: {code}", commits.topic);
            suits(commits, &admin, runtime, sink)
        }
        Some(Err((topic, code))) => Err(Error::sink(
            sink,
            format!("topic '{topic}' cannot be made: {code}; make it with one partition and cleanup.policy=compact"),
        )),
    }
}

/// Whether a topic that somebody else has made keeps tokens: one that deletes what is old would one day have epochs
/// published twice.
fn suits(commits: &Commits, admin: &AdminClient<Context>, runtime: &tokio::runtime::Handle, sink: &str) -> Result<()> {
    let topic = commits.topic.as_str();
    let options = AdminOptions::new().request_timeout(Some(TIMEOUT));
    let described = runtime.block_on(admin.describe_configs([&ResourceSpecifier::Topic(topic)], &options));
    let policy = match described.map(|all| all.into_iter().next()) {
        Ok(Some(Ok(resource))) => resource.get("cleanup.policy").and_then(|e| e.value.clone()),
        Ok(Some(Err(e))) => {
            tracing::warn!("{sink}: whether topic '{topic}' has cleanup.policy=compact cannot be asked: {e}");
            None
        }
        Ok(None) => None,
        Err(e) => {
            tracing::warn!("{sink}: whether topic '{topic}' has cleanup.policy=compact cannot be asked: {e}");
            None
        }
    };
    let metadata = admin.inner().fetch_metadata(Some(topic), TIMEOUT);
    let metadata = metadata.map_err(|e| unreachable_broker(commits, sink, &e))?;
    let partitions = metadata.topics().iter().find(|t| t.name() == topic).map(|t| t.partitions().len());
    match unsuitable(topic, policy.as_deref(), partitions.unwrap_or_default()) {
        Some(reason) => Err(Error::sink(sink, reason)),
        None => Ok(()),
    }
}

/// What is wrong with a commits topic, and what to do. What is not known (no policy, no partitions) is not wrong.
fn unsuitable(topic: &str, policy: Option<&str>, partitions: usize) -> Option<String> {
    match policy {
        Some(policy) if policy != "compact" => Some(format!(
            "topic '{topic}' has cleanup.policy={policy}, which would forget what is published: set it to compact, or \
             use another commits_topic"
        )),
        _ if partitions > 1 => Some(format!(
            "topic '{topic}' has {partitions} partitions, and a commits topic has one: make it anew with one, or use \
             another commits_topic"
        )),
        _ => None,
    }
}

fn exists(commits: &Commits, sink: &str) -> Result<bool> {
    let client = reader(commits, "read_committed", sink)?;
    let metadata = client.fetch_metadata(Some(&commits.topic), TIMEOUT);
    let metadata = metadata.map_err(|e| unreachable_broker(commits, sink, &e))?;
    Ok(metadata.topics().iter().any(|t| t.name() == commits.topic && t.error().is_none()))
}

/// Reads what is published. To be called after `init_transactions`, when nothing of an earlier committer is under way
/// any more.
pub(super) fn load(commits: &Commits, sink: &str) -> Result<Published> {
    let failed = |e: KafkaError| unreachable_broker(commits, sink, &e);
    let (all, stable) = (reader(commits, "read_uncommitted", sink)?, reader(commits, "read_committed", sink)?);
    // A transaction of another job hides what was committed after its beginning.
    let (_, end) = all.fetch_watermarks(&commits.topic, 0, TIMEOUT).map_err(failed)?;
    let mut waited = Duration::ZERO;
    while stable.fetch_watermarks(&commits.topic, 0, TIMEOUT).map_err(failed)?.1 < end {
        if waited == PAUSE * 100 {
            tracing::warn!("{sink}: waiting for another job's transaction on topic '{}' to end", commits.topic);
        }
        if waited > PATIENCE {
            let reason = format!("a transaction on topic '{}' does not end; find out whose it is", commits.topic);
            return Err(Error::sink(sink, reason));
        }
        sleep(PAUSE);
        waited += PAUSE;
    }
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&commits.topic, 0, Offset::Beginning).map_err(failed)?;
    stable.assign(&list).map_err(failed)?;
    let mut published = Published::default();
    let mut silent = Duration::ZERO;
    loop {
        match stable.poll(PAUSE) {
            None if silent > TIMEOUT => return Err(failed(KafkaError::NoMessageReceived)),
            None => silent += PAUSE,
            Some(Ok(message)) => {
                silent = Duration::ZERO;
                if message.key() == Some(commits.id.as_bytes()) {
                    published = Published::from_json(message.payload().unwrap_or(b"{\"attempts\":[]}"))?;
                }
            }
            Some(Err(KafkaError::PartitionEOF(_))) => return Ok(published),
            // What passes by itself is tried again by librdkafka.
            Some(Err(e)) => {
                tracing::debug!("{sink}: reading '{}': {e}", commits.topic);
                silent += PAUSE;
                if silent > TIMEOUT {
                    return Err(failed(e));
                }
            }
        }
    }
}

fn reader(commits: &Commits, isolation: &str, sink: &str) -> Result<BaseConsumer<Context>> {
    let mut config: ClientConfig = commits.consumer.clone();
    config
        .set("group.id", &commits.id)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("enable.partition.eof", "true")
        .set("auto.offset.reset", "earliest")
        .set("fetch.wait.max.ms", "50")
        .set("isolation.level", isolation);
    config.create_with_context(Context::default()).map_err(|e| Error::sink(sink, e))
}

fn unreachable_broker(commits: &Commits, sink: &str, e: &KafkaError) -> Error {
    let servers = commits.consumer.get("bootstrap.servers").unwrap_or_default();
    Error::sink(
        sink,
        format!(
            "{servers}: topic '{}' cannot be read or made: {e}; check the broker and the topic's ACLs",
            commits.topic
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::unsuitable;

    #[test]
    fn a_commits_topic_keeps_what_it_is_told() {
        assert_eq!(unsuitable("c", Some("compact"), 1), None);
        assert_eq!(unsuitable("c", None, 0), None, "not known");
        for (policy, partitions, word) in [
            (Some("delete"), 1, "cleanup.policy=delete"),
            (Some("compact,delete"), 1, "cleanup.policy=compact,delete"),
            (Some("compact"), 3, "3 partitions"),
            (None, 2, "2 partitions"),
        ] {
            let reason = unsuitable("c", policy, partitions).expect(word);
            assert!(reason.contains(word) && reason.contains("commits_topic") && !reason.contains('\n'), "{reason}");
        }
    }
}
