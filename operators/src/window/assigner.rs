//! Which window a record belongs to.

use std::time::Duration;

use hurtig_engine::time::millis;
use serde::{Deserialize, Serialize};

/// From `start` (inclusive) to `end` (exclusive), in milliseconds since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TimeWindow {
    /// The first millisecond in it.
    pub start: i64,
    /// The first millisecond behind it.
    pub end: i64,
}

impl TimeWindow {
    /// The last millisecond in it: the timestamp of its results, and the watermark that fires it.
    pub fn max_timestamp(&self) -> i64 {
        self.end - 1
    }
}

/// Windows of one size, side by side (Flink's assigner of the same name).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TumblingEventTimeWindows {
    size: i64,
    offset: i64,
}

impl TumblingEventTimeWindows {
    /// Windows of `size`, aligned to the epoch. A size under a millisecond counts as one.
    pub fn of(size: Duration) -> Self {
        TumblingEventTimeWindows { size: millis(size).max(1), offset: 0 }
    }

    /// Shifted by `offset` milliseconds: days that begin at another zone's midnight.
    pub fn with_offset(mut self, offset: i64) -> Self {
        self.offset = offset.rem_euclid(self.size);
        self
    }

    /// The window of a record at `timestamp`. A window that would reach beyond all time is cut
    /// off there.
    #[inline]
    pub fn assign(&self, timestamp: i64) -> TimeWindow {
        let mut into = timestamp.rem_euclid(self.size) - self.offset;
        if into < 0 {
            into += self.size;
        }
        self.starting_at(timestamp.saturating_sub(into))
    }

    /// The window that begins at `start`.
    #[inline]
    pub(crate) fn starting_at(&self, start: i64) -> TimeWindow {
        TimeWindow { start, end: start.saturating_add(self.size) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hurtig_engine::time::{hours, mins};

    #[test]
    fn windows_lie_side_by_side_also_before_the_epoch() {
        let w = TumblingEventTimeWindows::of(mins(1));
        assert_eq!(w.assign(59_999), TimeWindow { start: 0, end: 60_000 });
        assert_eq!(w.assign(60_000), TimeWindow { start: 60_000, end: 120_000 });
        assert_eq!(w.assign(-1), TimeWindow { start: -60_000, end: 0 });
    }

    #[test]
    fn an_offset_shifts_them() {
        let w = TumblingEventTimeWindows::of(hours(24)).with_offset(-3_600_000);
        assert_eq!(w.assign(0).start, -3_600_000);
        assert_eq!(w.assign(82_800_000).start, 82_800_000);
    }

    #[test]
    fn the_ends_of_time_are_in_windows_too() {
        for size in [1, 7, 60_000, u64::MAX] {
            for offset in [0, 1, -1, i64::MAX] {
                let w = TumblingEventTimeWindows::of(Duration::from_millis(size)).with_offset(offset);
                for t in [i64::MIN, i64::MIN + 1, i64::MIN + 30_000, -1, 0, i64::MAX - 30_000, i64::MAX - 1] {
                    let window = w.assign(t);
                    assert!(window.start <= t && t <= window.max_timestamp(), "{t} in {window:?}");
                    assert_eq!(w.assign(window.start).end, window.end, "all of it is in it");
                }
            }
        }
    }
}
