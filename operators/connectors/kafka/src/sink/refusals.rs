//! What a transaction's producer tells: only what is refused. The commit acknowledges all the rest at once.

use std::sync::{Arc, Mutex};

use rdkafka::{
    ClientContext,
    config::RDKafkaLogLevel,
    error::{KafkaError, RDKafkaErrorCode},
    producer::{DeliveryResult, ProducerContext},
};

use crate::client::{Context, lock};

/// The context of a committer's producer, with `delivery.report.only.error`.
#[derive(Clone, Default)]
pub(super) struct Refusals {
    pub context: Context,
    first: Arc<Mutex<Option<RDKafkaErrorCode>>>,
}

impl Refusals {
    /// Why the first message was refused that was.
    pub fn first(&self) -> Option<RDKafkaErrorCode> {
        *lock(&self.first)
    }
}

impl ClientContext for Refusals {
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

impl ProducerContext for Refusals {
    // Of what is not told about nothing may be kept.
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((e, _)) = result {
            let code = e.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
            let mut first = lock(&self.first);
            // The innocent ones of a batch are refused too, and come before the one that is meant.
            if first.is_none_or(|first| first == RDKafkaErrorCode::InvalidDifferentRecord) {
                *first = Some(code);
            }
        }
    }
}
