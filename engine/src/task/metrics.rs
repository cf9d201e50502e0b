//! A task's figures, written by its worker and read by REST, the progress line and the summary.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

use super::context::Counters;
use crate::{metrics::Registry, time::MIN_WATERMARK};

/// One subtask's figures.
#[derive(Debug)]
pub struct TaskMetrics {
    /// Records that came in since the job's beginning (Flink's numRecordsIn).
    pub records_in: AtomicU64,
    /// Records that went out (numRecordsOut).
    pub records_out: AtomicU64,
    /// Records that became dead letters here.
    pub dead_lettered: AtomicU64,
    /// Records for side outputs that nobody reads.
    pub unread: AtomicU64,
    /// Nanoseconds of work.
    pub busy_ns: AtomicU64,
    /// Nanoseconds with work at hand and no room downstream.
    pub backpressured_ns: AtomicU64,
    /// The current watermark, [`MIN_WATERMARK`] before the first.
    pub watermark: AtomicI64,
    /// Batches and control events that wait in the inputs.
    pub queued: AtomicU64,
    /// A source's newest event time.
    pub newest_timestamp: AtomicI64,
    /// State: bytes in the last snapshot.
    pub state_bytes: AtomicU64,
    /// Its operators' own gauges.
    pub(crate) registry: Registry,
}

impl Default for TaskMetrics {
    fn default() -> Self {
        TaskMetrics {
            records_in: AtomicU64::new(0),
            records_out: AtomicU64::new(0),
            dead_lettered: AtomicU64::new(0),
            unread: AtomicU64::new(0),
            busy_ns: AtomicU64::new(0),
            backpressured_ns: AtomicU64::new(0),
            watermark: AtomicI64::new(MIN_WATERMARK),
            queued: AtomicU64::new(0),
            newest_timestamp: AtomicI64::new(MIN_WATERMARK),
            state_bytes: AtomicU64::new(0),
            registry: Registry::default(),
        }
    }
}

impl TaskMetrics {
    pub(crate) fn publish(&self, counters: &Counters, watermark: i64) {
        self.records_in.store(counters.records_in, Relaxed);
        self.records_out.store(counters.records_out, Relaxed);
        self.dead_lettered.store(counters.dead_lettered, Relaxed);
        self.unread.store(counters.unread, Relaxed);
        self.watermark.store(watermark, Relaxed);
    }
}
