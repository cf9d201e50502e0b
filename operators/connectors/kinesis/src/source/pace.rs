//! How often and how much to read from one shard: Kinesis' limits, and what the shard does with
//! them. No clock: it says how long to wait.
//!
//! A shard gives 5 GetRecords a second and 2 MB/s, to all consumers together that poll it. A read
//! of 10 MiB is paid with 5 s of throttling; waiting for as long as the bytes take at 2 MB/s is
//! the same rule for every size, and costs no throttled call.

use std::time::Duration;

/// The bounds within which a shard is polled.
#[derive(Debug, Clone, Copy)]
pub struct PaceLimits {
    /// The least time between two calls: 200 ms are five calls a second.
    pub interval: Duration,
    /// The wait after an empty read; it doubles with every further one, up to [`Self::idle`].
    pub empty: Duration,
    /// The longest wait on an idle shard.
    pub idle: Duration,
    /// Bytes a second.
    pub bytes_per_second: u64,
    /// Records a call: GetRecords allows 10,000.
    pub max_records: i32,
}

impl Default for PaceLimits {
    fn default() -> Self {
        PaceLimits {
            interval: Duration::from_millis(200),
            empty: Duration::from_millis(250),
            idle: Duration::from_secs(1),
            bytes_per_second: 2_000_000,
            max_records: 10_000,
        }
    }
}

/// One shard's pace.
#[derive(Debug)]
pub struct Pace {
    limits: PaceLimits,
    /// How many bytes one call should bring.
    target: usize,
    limit: i32,
    /// The mean record of the last reads; none before the first.
    record_bytes: Option<f64>,
    /// Grows while other consumers use the same calls.
    interval: Duration,
    empties: u32,
}

/// How many records the first call asks for: one may have a mebibyte, and a reader may begin with
/// hundreds of shards at once.
const FIRST_LIMIT: i32 = 1;

/// After the first read a record is taken for as large as this at least.
const FIRST_RECORD: f64 = 1024.0;

/// How many calls' worth of throttling one shard's interval may grow to.
const MAX_INTERVAL: Duration = Duration::from_secs(2);

impl Pace {
    /// A shard that nothing is known of yet.
    pub fn new(limits: PaceLimits, target: usize) -> Self {
        Pace { limits, target, limit: FIRST_LIMIT, record_bytes: None, interval: limits.interval, empties: 0 }
    }

    /// How many records to ask for.
    pub fn limit(&self) -> i32 {
        self.limit
    }

    /// How many bytes a call should bring from now on: the buffer is shared by a reader's shards.
    pub fn set_target(&mut self, bytes: usize) {
        self.target = bytes;
        self.set_limit();
    }

    /// After a read: how long to wait before the next.
    pub fn read(&mut self, records: usize, bytes: usize) -> Duration {
        self.interval = (self.interval.mul_f64(0.9)).max(self.limits.interval);
        if records == 0 {
            let wait = self.limits.empty.saturating_mul(1 << self.empties.min(10));
            self.empties += 1;
            return wait.min(self.limits.idle.max(self.limits.empty)).max(self.interval);
        }
        self.empties = 0;
        let mean = bytes as f64 / records as f64;
        // One small record at first says little of the others.
        self.record_bytes = Some(self.record_bytes.map_or(mean.max(FIRST_RECORD), |known| 0.5 * known + 0.5 * mean));
        self.set_limit();
        let paid = Duration::from_secs_f64(bytes as f64 / self.limits.bytes_per_second.max(1) as f64);
        paid.max(self.interval)
    }

    /// After a throttled call: calls come less often for a while.
    pub fn throttled(&mut self) {
        self.interval = (self.interval * 2).min(MAX_INTERVAL.max(self.limits.interval));
    }

    fn set_limit(&mut self) {
        let fit = self.record_bytes.map_or(FIRST_LIMIT, |bytes| (self.target as f64 / bytes.max(1.0)) as i32);
        self.limit = fit.clamp(1, self.limits.max_records.max(1));
    }
}
