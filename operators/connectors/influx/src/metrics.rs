//! The sink's gauges, under the names of Flink's sinks where it has one.

use std::sync::Arc;

use hurtig_engine::metrics::{Gauge, Metrics};

use crate::delivery::Counts;

/// What one writer shows.
#[derive(Clone)]
pub(crate) struct SinkMetrics {
    /// `numRecordsSend`: lines that the server took.
    pub sent: Gauge,
    /// `numRecordsSendPerSecond`: over the last second.
    pub rate: Gauge,
    /// `currentSendTime`: how long the last batch took, in ms, attempts and waits included.
    pub send_time: Gauge,
    /// `requestsInFlight`
    pub in_flight: Gauge,
    /// `bufferedRecords`: values taken and not acknowledged.
    pub buffered: Gauge,
    /// `numRequests`, `numRequestsRetried`, `numRequestsThrottled`, `numRequestsSplit`, `numRecordsRejected`.
    pub counts: Arc<Counts>,
}

impl SinkMetrics {
    pub fn new(metrics: &Metrics, url: &str) -> Self {
        let gauge = |name: &str| metrics.gauge(name, &[("url", url)]);
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
