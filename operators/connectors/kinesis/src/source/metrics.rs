//! What can be seen of a source.

use hurtig_engine::metrics::{Gauge, Metrics};

/// A reader's figures over all its shards. They count from the start of the attempt.
#[derive(Clone)]
pub(super) struct ReaderMetrics {
    metrics: Metrics,
    stream: String,
    /// Shards that are being read.
    pub shards: Gauge,
    /// Calls that were throttled.
    pub throttled: Gauge,
    /// Calls that failed and were tried again.
    pub retried: Gauge,
    /// Iterators that expired.
    pub expired: Gauge,
    /// Members of aggregates that lie outside their shard's range.
    pub out_of_range: Gauge,
    /// Records that were fetched and not yet emitted.
    pub pending: Gauge,
    /// Their bytes.
    pub pending_bytes: Gauge,
}

impl ReaderMetrics {
    pub fn new(metrics: &Metrics, stream: &str) -> Self {
        let gauge = |name| metrics.gauge(name, &[("stream", stream)]);
        ReaderMetrics {
            shards: gauge("shardsAssigned"),
            throttled: gauge("numReadsThrottled"),
            retried: gauge("numReadsRetried"),
            expired: gauge("numExpiredIterators"),
            out_of_range: gauge("numOutOfRangeMembers"),
            pending: gauge("pendingRecords"),
            pending_bytes: gauge("pendingBytes"),
            metrics: metrics.clone(),
            stream: stream.to_owned(),
        }
    }

    /// How far a shard's reading is behind its newest record, as Kinesis says with each read.
    pub fn millis_behind_latest(&self, shard_id: &str) -> Gauge {
        self.metrics.gauge("millisBehindLatest", &[("stream", &self.stream), ("shardId", shard_id)])
    }

    /// The shard is no longer read here.
    pub fn remove(&self, gauge: &Gauge) {
        self.metrics.remove(gauge);
    }
}

/// The enumerator's figures.
pub(super) struct EnumeratorMetrics {
    /// Shards that wait for their parents.
    pub waiting: Gauge,
    /// Shards that are with readers.
    pub assigned: Gauge,
    /// Shards that were read to the end and are still listed.
    pub finished: Gauge,
    /// Listings that failed and were tried again.
    pub retried: Gauge,
}

impl EnumeratorMetrics {
    pub fn new(metrics: &Metrics, stream: &str) -> Self {
        let gauge = |name| metrics.gauge(name, &[("stream", stream)]);
        EnumeratorMetrics {
            waiting: gauge("shardsWaitingForParents"),
            assigned: gauge("shardsWithReaders"),
            finished: gauge("shardsFinished"),
            retried: gauge("numListingsRetried"),
        }
    }
}
