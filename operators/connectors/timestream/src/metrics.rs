//! The sink's gauges: those of every such sink, and what tells Timestream's records apart.

use hurtig_engine::metrics::{Gauge, Metrics};

use crate::table::TableName;

/// What one writer shows.
#[derive(Clone)]
pub(crate) struct SinkMetrics {
    /// Those of every sink of requests.
    pub sink: hurtig_async_sink::SinkMetrics,
    /// `numMagneticRecords`: how many of `numRecordsSend` went into the magnetic store.
    pub magnetic: Gauge,
    /// `numTooOld`, `numFuture`: records that were not sent for their time.
    pub too_old: Gauge,
    pub future: Gauge,
}

impl SinkMetrics {
    pub fn new(metrics: &Metrics, table: &TableName) -> Self {
        let name = table.to_string();
        let gauge = |gauge: &str| metrics.gauge(gauge, &[("table", &name)]);
        SinkMetrics {
            sink: hurtig_async_sink::SinkMetrics::new(metrics, "table", &name),
            magnetic: gauge("numMagneticRecords"),
            too_old: gauge("numTooOld"),
            future: gauge("numFuture"),
        }
    }
}
