//! What librdkafka has to say besides records: errors, logs, statistics, the fate of commits.

use std::{
    ops::Deref,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicI64, Ordering::Relaxed},
        mpsc,
    },
    thread,
    time::Duration,
};

use rdkafka::{
    ClientContext, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::ConsumerContext,
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
};
use serde::Deserialize;

/// What a client tells, for whoever made it.
#[derive(Debug, Default)]
pub(crate) struct News {
    /// The last thing that went wrong, in librdkafka's words.
    trouble: Mutex<Option<(RDKafkaErrorCode, String)>>,
    statistics: Mutex<Option<Statistics>>,
    committed: Mutex<Vec<(String, i32, i64)>>,
    /// Offset commits that the broker took.
    pub commits_succeeded: AtomicI64,
    /// Offset commits that failed.
    pub commits_failed: AtomicI64,
}

impl News {
    /// The last trouble, once.
    pub fn take_trouble(&self) -> Option<(RDKafkaErrorCode, String)> {
        lock(&self.trouble).take()
    }

    /// Offsets that were committed since this was last asked.
    pub fn take_committed(&self) -> Vec<(String, i32, i64)> {
        std::mem::take(&mut lock(&self.committed))
    }

    /// Whether somebody has to do something before the client can go on.
    pub fn is_final(&self) -> bool {
        matches!(&*lock(&self.trouble), Some((code, _)) if severity(*code) != Severity::Passing)
    }

    /// New statistics, once.
    pub fn take_statistics(&self) -> Option<Statistics> {
        lock(&self.statistics).take()
    }
}

/// The context of every client of this crate.
#[derive(Debug, Clone, Default)]
pub(crate) struct Context(pub Arc<News>);

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            // What matters comes as an error too, and is dealt with there.
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
                tracing::error!("librdkafka: {facility}: {message}");
            }
            _ => tracing::debug!("librdkafka: {facility}: {message}"),
        }
    }

    fn stats_raw(&self, statistics: &[u8]) {
        match serde_json::from_slice(statistics) {
            Ok(read) => *lock(&self.0.statistics) = Some(read),
            Err(e) => tracing::debug!("librdkafka's statistics cannot be read: {e}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
        let code = if is_cut_handshake(code, reason) { RDKafkaErrorCode::BrokerTransportFailure } else { code };
        if code != RDKafkaErrorCode::PartitionEOF {
            tracing::debug!("librdkafka: {code}: {reason}");
            let mut trouble = lock(&self.0.trouble);
            // That no broker is left comes behind the reason for it, and says less; so does a connection that was closed
            // because of wrong credentials.
            let says_less = match &*trouble {
                None => false,
                Some((before, _)) => {
                    code == RDKafkaErrorCode::AllBrokersDown
                        || (severity(*before) != Severity::Passing && severity(code) == Severity::Passing)
                }
            };
            if !says_less {
                *trouble = Some((code, one_line(reason)));
            }
        }
    }
}

/// librdkafka calls whatever ends a SASL handshake wrong credentials, also a connection that was lost.
fn is_cut_handshake(code: RDKafkaErrorCode, reason: &str) -> bool {
    const CUT: [&str; 4] = ["Broker transport failure", "Timed out", "Disconnected", "Connection reset"];
    code == RDKafkaErrorCode::Authentication && CUT.iter().any(|words| reason.contains(words))
}

impl ConsumerContext for Context {
    fn commit_callback(&self, result: KafkaResult<()>, offsets: &TopicPartitionList) {
        match result {
            Ok(()) => {
                self.0.commits_succeeded.fetch_add(1, Relaxed);
                let done = offsets.elements().into_iter().filter_map(|e| {
                    Some((e.topic().to_owned(), e.partition(), e.offset().to_raw().filter(|o| *o >= 0)?))
                });
                *lock(&self.0.committed) = done.collect();
            }
            Err(e) => {
                // Offsets are in the checkpoint: what the group is told is for whoever watches.
                if self.0.commits_failed.fetch_add(1, Relaxed) == 0 {
                    tracing::warn!("kafka: offsets cannot be committed to the group (monitoring only): {e}");
                }
            }
        }
    }
}

/// How long closing a client is waited for.
const CLOSING: Duration = Duration::from_secs(2);

/// A client whose end nobody waits for longer than [`CLOSING`]: librdkafka keeps a consumer that has commits under way
/// for `session.timeout.ms` when its broker is away, and a job could not be cancelled meanwhile. It ends by itself.
pub(crate) struct Closing<C: Send + 'static>(Option<C>);

impl<C: Send + 'static> Closing<C> {
    pub fn new(client: C) -> Self {
        Closing(Some(client))
    }
}

impl<C: Send + 'static> Deref for Closing<C> {
    type Target = C;

    fn deref(&self) -> &C {
        match &self.0 {
            Some(client) => client,
            None => unreachable!("only dropping takes the client"),
        }
    }
}

impl<C: Send + 'static> Drop for Closing<C> {
    fn drop(&mut self) {
        let client = self.0.take();
        let (closed, wait) = mpsc::channel::<()>();
        // Without a thread the client is closed right here.
        let thread = thread::Builder::new().name("kafka-close".to_owned()).spawn(move || {
            drop(client);
            drop(closed);
        });
        if thread.is_ok() && wait.recv_timeout(CLOSING) == Err(mpsc::RecvTimeoutError::Timeout) {
            tracing::debug!("kafka: a client that cannot reach its broker is closed in the background");
        }
    }
}

/// The part of librdkafka's statistics that is looked at.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Statistics {
    #[serde(default)]
    brokers: std::collections::HashMap<String, Broker>,
    #[serde(default)]
    topics: std::collections::HashMap<String, Topic>,
}

#[derive(Debug, Deserialize)]
struct Broker {
    state: String,
    nodeid: i64,
}

#[derive(Debug, Deserialize)]
struct Topic {
    partitions: std::collections::HashMap<String, Partition>,
}

/// One partition's figures.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) struct Partition {
    pub fetchq_cnt: i64,
    pub eof_offset: i64,
    pub hi_offset: i64,
    pub ls_offset: i64,
}

impl Statistics {
    /// How many brokers there is a connection to.
    pub fn connected(&self) -> i64 {
        let up = |b: &&Broker| b.state == "UP" && b.nodeid >= 0;
        i64::try_from(self.brokers.values().filter(up).count()).unwrap_or(i64::MAX)
    }

    /// The figures of one partition.
    pub fn partition(&self, topic: &str, partition: i32) -> Option<Partition> {
        self.topics.get(topic)?.partitions.get(&partition.to_string()).copied()
    }
}

/// What an error means for a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Severity {
    /// It passes by itself: go on.
    Passing,
    /// Somebody has to do something: with this hint.
    Final(&'static str),
}

/// Whether a client can go on after `code`.
pub(crate) fn severity(code: RDKafkaErrorCode) -> Severity {
    use RDKafkaErrorCode as Code;
    match code {
        Code::Authentication
        | Code::SaslAuthenticationFailed
        | Code::UnsupportedSASLMechanism
        | Code::IllegalSASLState => Severity::Final("check sasl.username, sasl.password and sasl.mechanism"),
        Code::SSL => Severity::Final("check security.protocol and the ssl.* properties"),
        Code::TopicAuthorizationFailed => Severity::Final("have the topic's ACLs changed for this user"),
        Code::GroupAuthorizationFailed => Severity::Final("have the group's ACLs changed for this user"),
        Code::ClusterAuthorizationFailed => Severity::Final("have the cluster's ACLs changed for this user"),
        Code::TransactionalIdAuthorizationFailed => {
            Severity::Final("have the transactional id's ACLs changed for this user")
        }
        Code::InvalidTopic => Severity::Final("a topic's name has letters, digits, '.', '_' and '-' only"),
        Code::UnsupportedVersion | Code::UnsupportedFeature => Severity::Final("the broker is too old for this"),
        Code::Fatal => Severity::Final("the client cannot go on; the job restarts with a new one"),
        _ => Severity::Passing,
    }
}

/// The first line of what somebody says.
pub(crate) fn one_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().trim().to_owned()
}

/// A lock whose holder may have panicked: what it guards is whole all the same.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

#[cfg(test)]
mod tests {
    use rdkafka::ClientContext;

    use super::*;

    #[test]
    fn a_handshake_that_was_cut_passes_and_a_wrong_password_does_not() {
        let context = Context::default();
        let error = || KafkaError::Global(RDKafkaErrorCode::Authentication);
        let cut = "sasl_plaintext://b:9092/bootstrap: SASL PLAIN mechanism handshake failed: Local: Broker transport \
                   failure: broker's supported mechanisms: (n/a) (after 0ms in state DOWN)";
        context.error(error(), cut);
        assert!(!context.0.is_final());
        context.error(error(), "sasl_plaintext://b:9092/bootstrap: SASL authentication error: Authentication failed");
        assert!(context.0.is_final());
        // The broker closes the connection then, which is no news.
        context.error(KafkaError::Global(RDKafkaErrorCode::BrokerTransportFailure), "Disconnected");
        assert!(context.0.is_final());
    }
}
