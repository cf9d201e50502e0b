//! The gauges of such a sink, under the names of Flink's sinks where it has one.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use hurtig_engine::metrics::{Gauge, Metrics};

/// What one writer shows.
#[derive(Debug, Clone)]
pub struct SinkMetrics {
    /// `numRecordsSend`: items that were taken.
    pub sent: Gauge,
    /// `numRecordsSendPerSecond`: over the last second.
    pub rate: Gauge,
    /// `currentSendTime`: how long the last batch took, in ms, attempts and waits included.
    pub send_time: Gauge,
    /// `requestsInFlight`: batches under way.
    pub in_flight: Gauge,
    /// `bufferedRecords`: values taken and not acknowledged.
    pub buffered: Gauge,
    /// What deliveries count.
    pub counts: Arc<Counts>,
}

/// What the deliveries of a writer share.
#[derive(Debug, Default)]
pub struct Counts {
    /// `numRequests`: requests sent.
    pub requests: Gauge,
    /// `numRequestsRetried`: requests that were sent again, throttled ones included.
    pub retries: Gauge,
    /// `numRequestsThrottled`: requests that were told to wait.
    pub throttled: Gauge,
    /// `numRecordsRejected`: items that were refused.
    pub rejected: Gauge,
    /// `numRequestsSplit`: batches that were refused as a whole and sent in halves.
    pub split: Gauge,
    /// Somebody has answered.
    answered: AtomicBool,
    complained: AtomicBool,
}

impl SinkMetrics {
    /// Registers them with the label that says where the sink writes.
    pub fn new(metrics: &Metrics, label: &'static str, place: &str) -> Self {
        let gauge = |name: &str| metrics.gauge(name, &[(label, place)]);
        SinkMetrics {
            sent: gauge("numRecordsSend"),
            rate: gauge("numRecordsSendPerSecond"),
            send_time: gauge("currentSendTime"),
            in_flight: gauge("requestsInFlight"),
            buffered: gauge("bufferedRecords"),
            counts: Arc::new(Counts {
                requests: gauge("numRequests"),
                retries: gauge("numRequestsRetried"),
                throttled: gauge("numRequestsThrottled"),
                rejected: gauge("numRecordsRejected"),
                split: gauge("numRequestsSplit"),
                ..Counts::default()
            }),
        }
    }
}

impl Counts {
    /// Somebody has answered, be it with a refusal.
    pub fn note_answer(&self) {
        self.answered.store(true, Relaxed);
        self.complained.store(false, Relaxed);
    }

    /// Whether anybody ever has. Before that it is a mistake in the set-up, afterwards it is an outage.
    pub fn has_answered(&self) -> bool {
        self.answered.load(Relaxed)
    }

    /// An outage is said once, not with every request.
    pub fn complain(&self, what: &str) {
        if !self.complained.swap(true, Relaxed) {
            tracing::warn!("{what}; trying again until it succeeds");
        }
    }
}

/// For a gauge.
pub(crate) fn number(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
