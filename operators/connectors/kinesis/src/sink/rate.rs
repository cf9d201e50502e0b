//! How fast one shard is written: a token bucket whose rate goes up by a little with every success
//! and down by a share when the shard throttles (additive increase, multiplicative decrease).
//!
//! It starts at the shard's limit and never goes above: other writers, and the other subtasks of
//! this sink, are seen by the throttling they cause.

use crate::scaling::ShardLimits;

/// Up by this share of the limit, at most ten times a second.
const INCREASE: f64 = 0.02;
/// Down to this share of the rate, at most once in [`SETTLE_MS`].
const DECREASE: f64 = 0.7;
/// Never below this share of the limit.
const LEAST: f64 = 0.02;
/// What was sent before a decrease may still be throttled after it.
const SETTLE_MS: u64 = 200;
/// Tokens are saved up for this long.
const BURST_MS: f64 = 250.0;
/// A shard that had to wait is not asked again before there is so much, so that requests do not
/// become ever smaller.
const QUANTUM_MS: f64 = 50.0;

/// The rate of one shard. Times are milliseconds on any clock that only goes forward.
#[derive(Debug, Clone)]
pub struct ShardRate {
    limits: ShardLimits,
    /// The share of the limits, 0 to 1.
    share: f64,
    /// Bytes and records that may be sent now; below 0 after a record larger than what was there.
    tokens: (f64, f64),
    filled_at: u64,
    raised_at: u64,
    cut_at: Option<u64>,
    starved: bool,
    not_before: u64,
    throttles_in_a_row: u32,
}

impl ShardRate {
    /// At the limit, with a full bucket.
    pub fn new(limits: ShardLimits, now: u64) -> Self {
        let tokens = (limits.bytes_per_second * BURST_MS / 1e3, limits.records_per_second * BURST_MS / 1e3);
        ShardRate {
            limits,
            share: 1.0,
            tokens,
            filled_at: now,
            raised_at: now,
            cut_at: None,
            starved: false,
            not_before: 0,
            throttles_in_a_row: 0,
        }
    }

    /// Bytes per second at which it is written now.
    pub fn bytes_per_second(&self) -> f64 {
        self.limits.bytes_per_second * self.share
    }

    /// The share of the limits, 0 to 1.
    pub fn share(&self) -> f64 {
        self.share
    }

    /// Whether another record may go.
    pub fn may_send(&mut self, now: u64) -> bool {
        self.fill(now);
        if now < self.not_before {
            return false;
        }
        let quantum = if self.starved { QUANTUM_MS } else { 0.0 };
        let (bytes, records) = self.per_ms();
        // Without a limit there is nothing to count.
        let has =
            |tokens: f64, per_ms: f64| per_ms.is_infinite() || (tokens > 0.0 && tokens + 1e-6 >= per_ms * quantum);
        let enough = has(self.tokens.0, bytes) && has(self.tokens.1, records);
        self.starved = !enough;
        enough
    }

    /// A record of this size goes.
    pub fn sent(&mut self, bytes: usize) {
        self.tokens.0 -= bytes as f64;
        self.tokens.1 -= 1.0;
    }

    /// When [`may_send`](Self::may_send) says yes again.
    pub fn available_at(&self, now: u64) -> u64 {
        let quantum = if self.starved { QUANTUM_MS } else { 0.0 };
        let (bytes, records) = self.per_ms();
        let wait = |tokens: f64, per_ms: f64| ((per_ms * quantum).max(1e-3) - tokens).max(0.0) / per_ms;
        let wait = wait(self.tokens.0, bytes).max(wait(self.tokens.1, records)).ceil();
        // An unlimited shard divides by infinity: no wait.
        let wait = if wait.is_finite() { wait as u64 } else { 0 };
        (self.filled_at + wait).max(self.not_before).max(now)
    }

    /// The shard took what it was sent.
    pub fn succeeded(&mut self, now: u64) {
        self.throttles_in_a_row = 0;
        if now >= self.raised_at + 100 {
            self.raised_at = now;
            self.share = (self.share + INCREASE).min(1.0);
        }
    }

    /// The shard refused for its limits: `delay(n)` says how long to leave it alone after `n` times.
    pub fn throttled(&mut self, now: u64, delay: impl FnOnce(u32) -> u64) {
        if self.cut_at.is_none_or(|at| now >= at + SETTLE_MS) {
            self.cut_at = Some(now);
            self.share = (self.share * DECREASE).max(LEAST);
            self.not_before = now + delay(self.throttles_in_a_row);
            self.throttles_in_a_row = self.throttles_in_a_row.saturating_add(1);
            self.tokens = (self.tokens.0.min(0.0), self.tokens.1.min(0.0));
        }
    }

    /// Bytes and records per millisecond.
    fn per_ms(&self) -> (f64, f64) {
        (self.bytes_per_second() / 1e3, self.limits.records_per_second * self.share / 1e3)
    }

    fn fill(&mut self, now: u64) {
        let elapsed = now.saturating_sub(self.filled_at) as f64;
        if elapsed > 0.0 {
            let (bytes, records) = self.per_ms();
            self.tokens.0 = (self.tokens.0 + bytes * elapsed).min(bytes * BURST_MS);
            self.tokens.1 = (self.tokens.1 + records * elapsed).min(records * BURST_MS);
            self.filled_at = now;
        }
    }
}
