//! The sink's gauges, under the names of Flink's sinks where it has one.

use std::sync::Arc;

use hurtig_engine::metrics::{Gauge, Metrics};

use crate::{delivery::Counts, table::TableName};

/// What one writer shows.
#[derive(Clone)]
pub(crate) struct SinkMetrics {
    /// `numRecordsSend`: records that Timestream took; `numMagneticRecords` of them into the magnetic store.
    pub sent: Gauge,
    pub magnetic: Gauge,
    /// `numRecordsSendPerSecond`: over the last second.
    pub rate: Gauge,
    /// `numTooOld`, `numFuture`: records that were not sent for their time.
    pub too_old: Gauge,
    pub future: Gauge,
    /// `currentSendTime`: how long the last batch took, in ms, attempts and waits included.
    pub send_time: Gauge,
    /// `requestsInFlight`
    pub in_flight: Gauge,
    /// `bufferedRecords`: taken and not acknowledged.
    pub buffered: Gauge,
    /// `numRequests`, `numRequestsRetried`, `numRequestsThrottled`, `numRequestsSplit`, `numRecordsRejected`.
    pub counts: Arc<Counts>,
}

impl SinkMetrics {
    pub fn new(metrics: &Metrics, table: &TableName) -> Self {
        let name = table.to_string();
        let gauge = |gauge: &str| metrics.gauge(gauge, &[("table", &name)]);
        SinkMetrics {
            sent: gauge("numRecordsSend"),
            magnetic: gauge("numMagneticRecords"),
            rate: gauge("numRecordsSendPerSecond"),
            too_old: gauge("numTooOld"),
            future: gauge("numFuture"),
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
