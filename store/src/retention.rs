//! How long a table keeps its readings, and which it takes.
//!
//! Timestream has two windows: readings younger than the memory store's retention go there; older ones are for the
//! magnetic store, which takes them only when the table has magnetic store writes enabled. What is further in the future
//! than 15 minutes, or older than the magnetic store keeps, is rejected.

use serde::{Deserialize, Serialize};

const NANOS_PER_HOUR: i64 = 3_600_000_000_000;
const NANOS_PER_DAY: i64 = 24 * NANOS_PER_HOUR;
/// How far ahead of the clock a reading may be.
pub const FUTURE: i64 = 15 * 60 * 1_000_000_000;

/// A table's retention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retention {
    /// Hours in the memory store: 1 to 8,766 (6 by default).
    pub memory_hours: u32,
    /// Days in the magnetic store: 1 to 73,000.
    pub magnetic_days: u32,
    /// Whether what is older than the memory store keeps is taken.
    pub magnetic_writes: bool,
}

impl Default for Retention {
    fn default() -> Self {
        Retention { memory_hours: 6, magnetic_days: 73_000, magnetic_writes: false }
    }
}

/// Where a reading belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tier {
    /// Recent.
    Memory,
    /// Older.
    Magnetic,
}

impl Retention {
    /// Where a reading of `time` belongs now, or why it is rejected (times in nanoseconds).
    pub fn tier(&self, time: i64, now: i64) -> Result<Tier, String> {
        let in_window = time <= now.saturating_add(FUTURE);
        if in_window && time >= self.memory_from(now) {
            Ok(Tier::Memory)
        } else if in_window && self.magnetic_writes && time >= self.magnetic_from(now) {
            Ok(Tier::Magnetic)
        } else {
            Err(format!(
                "The record timestamp is outside the time range [{}, {}) of the data ingestion window.",
                iso(if self.magnetic_writes { self.magnetic_from(now) } else { self.memory_from(now) }),
                iso(now.saturating_add(FUTURE))
            ))
        }
    }

    /// The oldest reading of the memory store.
    pub fn memory_from(&self, now: i64) -> i64 {
        now.saturating_sub(i64::from(self.memory_hours).saturating_mul(NANOS_PER_HOUR))
    }

    /// The oldest reading that is kept: both stores' time together, as Timestream keeps it.
    pub fn magnetic_from(&self, now: i64) -> i64 {
        now.saturating_sub(i64::from(self.magnetic_days).saturating_mul(NANOS_PER_DAY))
    }
}

fn iso(nanos: i64) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(nanos)).map_or_else(|_| nanos.to_string(), |t| t.to_string())
}
