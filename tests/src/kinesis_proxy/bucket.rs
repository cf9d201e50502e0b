//! Token buckets: what a shard takes and gives in a second.

use std::time::Instant;

use super::faults::Limits;

/// Fills by `rate` a second up to what one second brings, and may be overdrawn.
#[derive(Debug, Clone)]
pub struct Bucket {
    rate: f64,
    level: f64,
    filled: Instant,
}

impl Bucket {
    /// A full one.
    pub fn new(rate: f64, now: Instant) -> Self {
        Bucket { rate, level: rate, filled: now }
    }

    /// Whether `amount` is there; more than a whole second's is given from a full bucket, which is
    /// then overdrawn.
    pub fn has(&mut self, amount: f64, now: Instant) -> bool {
        self.fill(now);
        // Rounding must not keep a full bucket from being full.
        self.level + 1e-6 >= amount.min(self.rate)
    }

    /// Whether it is not overdrawn.
    pub fn is_in_credit(&mut self, now: Instant) -> bool {
        self.fill(now);
        self.level > 0.0
    }

    /// Takes it, even if it is not there.
    pub fn take(&mut self, amount: f64) {
        self.level -= amount;
    }

    fn fill(&mut self, now: Instant) {
        self.level = (self.level + self.rate * (now - self.filled).as_secs_f64()).min(self.rate);
        self.filled = now;
    }
}

/// One shard's.
#[derive(Debug, Clone)]
pub struct ShardBuckets {
    limits: Limits,
    bytes_in: Bucket,
    records_in: Bucket,
    reads: Bucket,
    bytes_out: Bucket,
    iterators: Bucket,
}

impl ShardBuckets {
    /// Full ones.
    pub fn new(limits: Limits, now: Instant) -> Self {
        let bucket = |rate| Bucket::new(rate, now);
        ShardBuckets {
            limits,
            bytes_in: bucket(limits.bytes_in),
            records_in: bucket(limits.records_in),
            reads: bucket(limits.reads),
            bytes_out: bucket(limits.bytes_out),
            iterators: bucket(limits.reads),
        }
    }

    /// What they were made for.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Whether a record of so many bytes is taken.
    pub fn put(&mut self, bytes: usize, now: Instant) -> bool {
        let fits = self.records_in.has(1.0, now) && self.bytes_in.has(bytes as f64, now);
        if fits {
            self.records_in.take(1.0);
            self.bytes_in.take(bytes as f64);
        }
        fits
    }

    /// Whether it may be read from. A refused call counts as a call, as it does there.
    pub fn read(&mut self, now: Instant) -> bool {
        let may = self.reads.has(1.0, now);
        if may {
            self.reads.take(1.0);
        }
        may && self.bytes_out.is_in_credit(now)
    }

    /// So much was read.
    pub fn has_read(&mut self, bytes: usize) {
        self.bytes_out.take(bytes as f64);
    }

    /// Whether it gives an iterator.
    pub fn iterator(&mut self, now: Instant) -> bool {
        let may = self.iterators.has(1.0, now);
        if may {
            self.iterators.take(1.0);
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[allow(clippy::disallowed_methods, reason = "where time begins does not matter")]
    fn start() -> Instant {
        Instant::now()
    }

    #[test]
    fn a_shard_takes_a_thousand_records_a_second() {
        let start = start();
        let mut shard = ShardBuckets::new(Limits::default(), start);
        let taken = |shard: &mut ShardBuckets, at| (0..2_000).filter(|_| shard.put(10, at)).count();
        assert_eq!(taken(&mut shard, start), 1_000);
        assert_eq!(taken(&mut shard, start + Duration::from_millis(500)), 500);
        assert_eq!(taken(&mut shard, start + Duration::from_secs(60)), 1_000, "nothing is saved up");
    }

    #[test]
    fn a_shard_takes_a_mebibyte_a_second_and_a_small_one_after_a_large_one_that_failed() {
        let start = start();
        let mut shard = ShardBuckets::new(Limits::default(), start);
        assert!(shard.put(700_000, start));
        assert!(!shard.put(700_000, start));
        assert!(shard.put(300_000, start));
        assert!(shard.put(1 << 20, start + Duration::from_secs(2)), "the largest record");
    }

    #[test]
    fn ten_mebibytes_read_are_followed_by_a_pause() {
        let start = start();
        let mut shard = ShardBuckets::new(Limits::default(), start);
        assert!(shard.read(start));
        shard.has_read(10 << 20);
        assert!(!shard.read(start + Duration::from_secs(4)));
        assert!(shard.read(start + Duration::from_secs(5)));
    }

    #[test]
    fn five_reads_a_second() {
        let start = start();
        let mut shard = ShardBuckets::new(Limits::default(), start);
        assert_eq!((0..10).filter(|_| shard.read(start)).count(), 5);
        assert_eq!((0..10).filter(|_| shard.iterator(start)).count(), 5);
        assert!(shard.read(start + Duration::from_millis(200)));
    }
}
