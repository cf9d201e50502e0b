//! "Now" on the page: the clock's, unless the readings are of another time.

use serde::Serialize;

/// Readings that end longer ago than this are history that is replayed.
const REPLAY_MS: i64 = 3_600_000;

/// The time that a panel is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Moment {
    /// What the page calls now, in milliseconds since the epoch.
    pub now_ms: i64,
    /// The clock's time.
    pub clock_ms: i64,
    /// The newest reading's time; none when there is none.
    pub newest_ms: Option<i64>,
    /// Whether now is the newest reading's time.
    pub replay: bool,
}

impl Moment {
    /// When the clock shows `clock_ms` and the newest reading is of `newest_ms`.
    pub fn new(clock_ms: i64, newest_ms: Option<i64>) -> Self {
        let ended = newest_ms.filter(|newest| clock_ms.saturating_sub(*newest) > REPLAY_MS);
        Moment { now_ms: ended.unwrap_or(clock_ms), clock_ms, newest_ms, replay: ended.is_some() }
    }
}
