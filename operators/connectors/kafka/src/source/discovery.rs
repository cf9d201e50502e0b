//! Which partitions there are, asked of the broker.

use std::{collections::BTreeSet, time::Duration};

use hurtig_engine::error::{Error, Result};
use rdkafka::{
    ClientConfig,
    consumer::BaseConsumer,
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
};
use regex::Regex;

use super::{
    builder::NAME,
    offsets::{TopicPartition, watermarks},
    split::KafkaSplit,
};
use crate::{
    client::{Closing, Context},
    reach::{metadata, reach, unreached},
};

/// The client that asks.
pub(super) type Client = BaseConsumer<Context>;

/// How long one question may take.
pub(super) const TIMEOUT: Duration = Duration::from_secs(30);

/// Between two questions to a broker that is not ready.
const PAUSE: Duration = Duration::from_millis(100);

fn is_not_ready(e: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        e.rdkafka_error_code(),
        Some(
            Code::NotCoordinator
                | Code::CoordinatorNotAvailable
                | Code::CoordinatorLoadInProgress
                | Code::WaitingForCoordinator
                | Code::LeaderNotAvailable
                | Code::NotLeaderForPartition
                | Code::UnstableOffsetCommit
        )
    )
}

/// Which topics are read.
#[derive(Debug, Clone)]
pub(super) enum Topics {
    /// These.
    Named(Vec<String>),
    /// All whose whole name matches.
    Pattern(Regex),
}

/// Asks the broker for partitions.
pub(super) struct Discovery {
    pub client: Closing<Client>,
    pub topics: Topics,
    servers: String,
}

impl Topics {
    /// Whether this topic is asked for.
    pub fn have(&self, topic: &str) -> bool {
        match self {
            Topics::Named(names) => names.iter().any(|n| n == topic),
            Topics::Pattern(pattern) => pattern.find(topic).is_some_and(|m| m.len() == topic.len()),
        }
    }
}

impl Discovery {
    pub fn new(config: &ClientConfig, topics: Topics, servers: &str) -> Result<Self> {
        // A client of a group is not told why it is not let in: one without asks first.
        let first = match &topics {
            Topics::Named(names) => names.first().map(String::as_str),
            Topics::Pattern(_) => None,
        };
        reach(config, first, TIMEOUT).map_err(|e| Error::source(NAME, e.into_reason()))?;
        let client = config.create_with_context(Context::default()).map_err(|e| Error::source(NAME, e))?;
        Ok(Discovery { client: Closing::new(client), topics, servers: servers.to_owned() })
    }

    /// All partitions there are now.
    pub fn partitions(&self) -> Result<BTreeSet<TopicPartition>> {
        let mut found = BTreeSet::new();
        match &self.topics {
            Topics::Named(names) => {
                for name in names {
                    let metadata = metadata(&self.client, Some(name), TIMEOUT).map_err(|e| self.error(&e))?;
                    let topic = metadata.topics().iter().find(|t| t.name() == name);
                    let topic = topic.ok_or_else(|| self.no_topic(name))?;
                    if let Some(error) = topic.error() {
                        let code = RDKafkaErrorCode::from(error);
                        return Err(match code {
                            RDKafkaErrorCode::UnknownTopicOrPartition => self.no_topic(name),
                            _ => self.error(&KafkaError::MetadataFetch(code)),
                        });
                    }
                    found.extend(topic.partitions().iter().map(|p| (name.clone(), p.id())));
                }
            }
            Topics::Pattern(_) => {
                let metadata = metadata(&self.client, None, TIMEOUT).map_err(|e| self.error(&e))?;
                for topic in metadata.topics().iter().filter(|t| t.error().is_none() && self.topics.have(t.name())) {
                    found.extend(topic.partitions().iter().map(|p| (topic.name().to_owned(), p.id())));
                }
            }
        }
        Ok(found)
    }

    /// Partitions that came later: from their first record on.
    pub fn earliest_of(&self, partitions: Vec<TopicPartition>) -> Result<Vec<KafkaSplit>> {
        let split = |at: TopicPartition| {
            let offset = self.patiently(|client| watermarks(client, &at))?.0;
            Ok(KafkaSplit { topic: at.0, partition: at.1, offset, stopping: None })
        };
        partitions.into_iter().map(split).collect()
    }

    /// Asks again while the broker only says that it is not ready: after its start leaders and coordinators are found
    /// by and by.
    pub fn patiently<R>(&self, ask: impl Fn(&Client) -> KafkaResult<R>) -> Result<R> {
        let mut waited = Duration::ZERO;
        loop {
            match ask(&self.client) {
                Ok(answer) => return Ok(answer),
                Err(e) if waited < TIMEOUT && is_not_ready(&e) => {
                    std::thread::sleep(PAUSE);
                    waited += PAUSE;
                }
                Err(e) => return Err(self.error(&e)),
            }
        }
    }

    /// What went wrong, and what to do about it, in one line.
    pub fn error(&self, error: &KafkaError) -> Error {
        Error::source(NAME, unreached(&self.client, &self.servers, error).into_reason())
    }

    fn no_topic(&self, name: &str) -> Error {
        Error::source(NAME, format!("there is no topic '{name}' at {}; create it, or correct the name", self.servers))
    }
}
