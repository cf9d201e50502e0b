//! Time is injected: nothing in this crate reads the wall clock, so that a run can be replayed.

use std::sync::atomic::{AtomicI64, Ordering};

/// Where the time for TTL comes from. Read once per access to a state with TTL: keep it cheap.
pub trait Clock: Send + Sync + 'static {
    /// Milliseconds since the epoch.
    fn now_ms(&self) -> i64;
}

/// A clock that stands still until it is moved: for tests and simulations.
///
/// ```
/// use hurtig_state::{Clock, ManualClock};
/// let clock = ManualClock::new(10);
/// clock.advance(5);
/// assert_eq!(clock.now_ms(), 15);
/// ```
#[derive(Debug, Default)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock standing at `now_ms`.
    #[must_use]
    pub fn new(now_ms: i64) -> Self {
        Self(AtomicI64::new(now_ms))
    }

    /// Sets the time.
    pub fn set(&self, now_ms: i64) {
        self.0.store(now_ms, Ordering::Relaxed);
    }

    /// Moves the time on.
    pub fn advance(&self, ms: i64) {
        self.0.fetch_add(ms, Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}
