//! What becomes of messages that were handed to librdkafka.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
};

use hurtig_engine::{record::Origin, task::pool::Waker};
use rdkafka::{
    ClientContext,
    config::RDKafkaLogLevel,
    error::{KafkaError, RDKafkaErrorCode},
    message::OwnedMessage,
    producer::{DeliveryResult, ProducerContext},
};

use crate::client::{Context, lock};

/// Where a message came from, and its time.
pub(super) type Mark = (Origin, i64);

/// A message that was not taken.
pub(super) struct Failure {
    pub code: RDKafkaErrorCode,
    pub message: OwnedMessage,
    pub mark: Mark,
}

/// What a producer's own thread and its writer share.
#[derive(Default)]
pub(super) struct Fate {
    /// Messages that nobody has heard of yet.
    pub in_flight: AtomicUsize,
    /// Messages that were taken, since this was last asked.
    pub delivered: AtomicUsize,
    /// Whether the writer waits.
    pub waiting: AtomicBool,
    /// At so many messages in flight it is worth waking it.
    pub enough: usize,
    failures: Mutex<Vec<Failure>>,
    waker: Waker,
}

impl Fate {
    /// Wakes `waker` when there is room again.
    pub fn new(waker: Waker, enough: usize) -> Self {
        Fate { enough, waker, ..Fate::default() }
    }

    /// What was not taken since this was last asked.
    pub fn take_failures(&self) -> Vec<Failure> {
        std::mem::take(&mut lock(&self.failures))
    }
}

/// The context of a producer.
#[derive(Clone)]
pub(super) struct Deliveries {
    pub context: Context,
    pub fate: Arc<Fate>,
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.context.log(level, facility, message);
    }

    fn stats_raw(&self, statistics: &[u8]) {
        self.context.stats_raw(statistics);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.context.error(error, reason);
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Box<Mark>;

    fn delivery(&self, result: &DeliveryResult<'_>, mark: Box<Mark>) {
        let fate = &self.fate;
        match result {
            Ok(_) => drop(fate.delivered.fetch_add(1, SeqCst)),
            Err((e, message)) => {
                let code = e.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
                lock(&fate.failures).push(Failure { code, message: message.detach(), mark: *mark });
            }
        }
        let left = fate.in_flight.fetch_sub(1, SeqCst) - 1;
        if left <= fate.enough && fate.waiting.load(SeqCst) {
            fate.waker.wake();
        }
    }
}

/// What a failure means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is the message's own fault: to the dead letters.
    Refused,
    /// Another message of the same batch was refused: send it again.
    Again,
    /// The job cannot go on like this.
    Fatal,
}

/// Judges a failure that librdkafka will not retry.
pub(super) fn verdict(code: RDKafkaErrorCode) -> Verdict {
    use RDKafkaErrorCode as Code;
    match code {
        Code::MessageSizeTooLarge
        | Code::MessageBatchTooLarge
        | Code::InvalidMessage
        | Code::InvalidMessageSize
        | Code::InvalidRecord
        | Code::InvalidTimestamp
        | Code::InvalidTopic
        | Code::InvalidArgument
        | Code::UnknownPartition
        | Code::BadMessage => Verdict::Refused,
        Code::InvalidDifferentRecord => Verdict::Again,
        _ => Verdict::Fatal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_a_messages_own_fault_is_refused() {
        assert_eq!(verdict(RDKafkaErrorCode::MessageSizeTooLarge), Verdict::Refused);
        assert_eq!(verdict(RDKafkaErrorCode::InvalidDifferentRecord), Verdict::Again);
        for code in [
            RDKafkaErrorCode::MessageTimedOut,
            RDKafkaErrorCode::TopicAuthorizationFailed,
            RDKafkaErrorCode::UnknownTopic,
            RDKafkaErrorCode::NotEnoughReplicas,
        ] {
            assert_eq!(verdict(code), Verdict::Fatal, "{code}");
        }
    }
}
