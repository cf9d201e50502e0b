//! Time as the engine sees it: milliseconds since the epoch, and a clock that is handed in.
//!
//! Nothing in the engine, the operators or the state reads the wall clock. Whoever starts a
//! job injects a [`Clock`]: the front door gives [`SystemClock`], a test or a replay gives
//! [`ManualClock`], and the run can be repeated exactly.

use std::time::Duration;

pub use hurtig_state::{Clock, ManualClock};

/// "No timestamp": what a record carries before one is assigned (Flink's `Long.MIN_VALUE`).
pub const NO_TIMESTAMP: i64 = i64::MIN;

/// The watermark before any was seen.
pub const MIN_WATERMARK: i64 = i64::MIN;

/// The watermark after the end of input: no record can be late any more, every window fires.
pub const MAX_WATERMARK: i64 = i64::MAX;

/// The machine's own clock. Only binaries and benchmarks construct it.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "the one place where the wall clock enters")]
    fn now_ms(&self) -> i64 {
        std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX))
    }
}

/// A duration in whole milliseconds, saturating.
pub fn millis(d: Duration) -> i64 {
    i64::try_from(d.as_millis()).unwrap_or(i64::MAX)
}

/// `n` milliseconds.
pub const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// `n` seconds.
pub const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// `n` minutes.
pub const fn mins(n: u64) -> Duration {
    Duration::from_secs(n * 60)
}

/// `n` hours.
pub const fn hours(n: u64) -> Duration {
    Duration::from_secs(n * 3600)
}
