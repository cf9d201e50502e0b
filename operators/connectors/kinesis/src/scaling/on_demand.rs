//! What AWS says of on-demand streams, as a model.
//!
//! A new stream takes 4 MB/s and 4,000 records/s. A stream takes twice the highest load of its
//! last 30 days; it may throttle when the load grows to more than twice that within 15 minutes.
//! The limits of a single shard stay, so a hot key throttles whatever the stream as a whole takes.
//!
//! The number of shards is doubled until it is at least `ceil(2 * peak MB/s)`, 4 at least: so the talk's
//! 10 shards at 5 MB/s became 40 at 18 MB/s. AWS does not say how fast that goes; here it is a
//! parameter. What it *promises* is [`assured`](OnDemand::assured): anything above that may be throttled,
//! and what is above what the shards take, is.

use std::collections::VecDeque;

/// A new stream's.
const NEW_BYTES: f64 = 4e6;
const MIN_SHARDS: usize = 4;
/// Twice within this time.
const GROWTH_MS: i64 = 15 * 60_000;
/// So long a peak counts.
const MEMORY_MS: i64 = 30 * 24 * 3_600_000;

/// One stream.
#[derive(Debug, Clone)]
pub struct OnDemand {
    shards: usize,
    /// The loads of the last 15 minutes.
    recent: VecDeque<(i64, f64)>,
    /// Peaks before that: each lower and later than the one before.
    old: VecDeque<(i64, f64)>,
    doubling_ms: i64,
    /// When the doubling that is under way is done.
    done_at: Option<i64>,
}

impl OnDemand {
    /// A stream that had so many shards when it became on-demand (a new one has 4), and doubles
    /// them in so many milliseconds.
    pub fn new(shards: usize, doubling_ms: i64) -> Self {
        let (recent, old) = (VecDeque::new(), VecDeque::new());
        OnDemand { shards: shards.max(MIN_SHARDS), recent, old, doubling_ms, done_at: None }
    }

    /// Sees the load, in bytes per second of what is taken or not, and changes its shards.
    pub fn observe(&mut self, now: i64, load: f64) {
        self.recent.push_back((now, load));
        while let Some((at, load)) = self.recent.pop_front_if(|(at, _)| *at <= now - GROWTH_MS) {
            while self.old.pop_back_if(|(_, peak)| *peak <= load).is_some() {}
            self.old.push_back((at, load));
        }
        while self.old.pop_front_if(|(at, _)| *at < now - MEMORY_MS).is_some() {}
        if self.done_at.is_some_and(|at| at <= now) {
            self.shards *= 2;
            self.done_at = None;
        }
        if self.done_at.is_none() && self.shards < Self::wanted(self.peak()) {
            self.done_at = Some(now + self.doubling_ms);
        }
    }

    /// The open shards.
    pub fn shards(&self) -> usize {
        self.shards
    }

    /// The highest load of the last 30 days.
    pub fn peak(&self) -> f64 {
        self.recent.iter().map(|(_, load)| *load).fold(self.old_peak(), f64::max)
    }

    /// Bytes per second that are taken for sure: twice the peak of what is 15 minutes old or older.
    pub fn assured(&self) -> f64 {
        (2.0 * self.old_peak()).max(NEW_BYTES)
    }

    /// How many shards a peak, in bytes per second, asks for.
    pub fn wanted(peak: f64) -> usize {
        ((2.0 * peak / 1e6 - 1e-9).ceil().max(0.0) as usize).max(MIN_SHARDS)
    }

    fn old_peak(&self) -> f64 {
        self.old.front().map_or(0.0, |(_, peak)| *peak)
    }
}
