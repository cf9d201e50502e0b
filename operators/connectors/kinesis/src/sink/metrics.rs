//! The sink's gauges, under the names of Flink's sinks.

use std::{collections::HashMap, sync::Arc};

use hurtig_engine::metrics::{Gauge, Metrics};

use super::lanes::{Lanes, ShardTotals};
use crate::scaling::LoadMeter;

/// What one writer shows.
pub(super) struct SinkMetrics {
    metrics: Metrics,
    stream: Arc<str>,
    /// `numRecordsSend`: records acknowledged.
    pub sent: Gauge,
    /// `numRecordsSendErrors`: how often a record had to be sent again.
    errors: Gauge,
    /// `currentSendTime`: how long the last request took, in ms.
    pub send_time: Gauge,
    /// `bufferedBytes`, `bufferedRecords`: taken and not acknowledged.
    buffered_bytes: Gauge,
    buffered_records: Gauge,
    /// `hotShards`: how many shards throttle while they get more than twice the average of the others.
    pub hot_shards: Gauge,
    shards: HashMap<Arc<str>, ShardGauges>,
}

struct ShardGauges {
    /// `throttledRecords`: entries the shard refused for its limits.
    throttled: Gauge,
    /// `sendRate`: bytes per second at which the shard is written at most.
    rate: Gauge,
    /// What the load meter was told.
    told: ShardTotals,
}

impl SinkMetrics {
    pub fn new(metrics: Metrics, stream: Arc<str>) -> Self {
        let gauge = |name: &str| metrics.gauge(name, &[("stream", &stream)]);
        SinkMetrics {
            sent: gauge("numRecordsSend"),
            errors: gauge("numRecordsSendErrors"),
            send_time: gauge("currentSendTime"),
            buffered_bytes: gauge("bufferedBytes"),
            buffered_records: gauge("bufferedRecords"),
            hot_shards: gauge("hotShards"),
            shards: HashMap::new(),
            stream,
            metrics,
        }
    }

    pub fn publish(&mut self, lanes: &Lanes, meter: Option<&LoadMeter>) {
        self.errors.set(number(lanes.refused()));
        self.buffered_bytes.set(number(lanes.buffered_bytes() as u64));
        self.buffered_records.set(number(lanes.buffered() as u64));
        for shard in lanes.shards() {
            let gauges = self.shards.entry(shard.id.clone()).or_insert_with(|| {
                let labels = [("stream", &*self.stream), ("shardId", &*shard.id)];
                ShardGauges {
                    throttled: self.metrics.gauge("throttledRecords", &labels),
                    rate: self.metrics.gauge("sendRate", &labels),
                    told: ShardTotals::default(),
                }
            });
            gauges.throttled.set(number(shard.totals.throttled));
            let rate = shard.rate.bytes_per_second();
            gauges.rate.set(if rate.is_finite() { rate as i64 } else { -1 });
            let told = std::mem::replace(&mut gauges.told, shard.totals);
            if let Some(meter) = meter {
                let ShardTotals { bytes, records, throttled } = shard.totals;
                // Totals begin anew when a shard is listed again.
                let (bytes, records) = (bytes.saturating_sub(told.bytes), records.saturating_sub(told.records));
                meter.add(&shard.id, bytes, records, throttled.saturating_sub(told.throttled));
            }
        }
        self.shards.retain(|id, gauges| {
            let open = lanes.shards().iter().any(|s| s.id == *id);
            if !open {
                self.metrics.remove(&gauges.throttled);
                self.metrics.remove(&gauges.rate);
            }
            open
        });
    }
}

fn number(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
