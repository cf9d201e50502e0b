//! What lies outside of the window in which a time-series store takes records: too far ahead of
//! their arrival, or older than its retention.

use compact_str::CompactString;
use hurtig_engine::{task::OutputTag, time::NO_TIMESTAMP};
use serde::{Deserialize, Serialize};

use super::{
    judged::{Judge, Verdict},
    payload::{Dimension, Measure, TimestreamPayload},
};

/// What to do with a reading that is dated too far in the future.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum FuturePolicy {
    /// Date it at its arrival, and keep the original time beside it.
    #[default]
    Clamp,
    /// Write it to the `outside-window` files instead.
    SideOutput,
    /// Refuse it: counted as rejected, and kept nowhere but in the lake.
    Drop,
}

/// What to do with a reading that is older than the store's retention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum LatePolicy {
    /// Store it all the same: the embedded store takes readings of any age.
    #[default]
    Keep,
    /// Write it to the `outside-window` files instead.
    SideOutput,
    /// Refuse it: counted as rejected, and kept nowhere but in the lake.
    Drop,
}

/// On which side of the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// Dated too far ahead of its arrival.
    Future,
    /// Older than the retention.
    Late,
}

/// What was done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// It went on with a corrected time.
    Clamped,
    /// It went no further than to here.
    SideOutput,
    /// It was refused.
    Dropped,
}

/// A reading outside of the window: one line in the `outside-window` files, so that the meters
/// with wrong clocks can be found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OutsideWindow {
    /// On which side.
    pub side: Side,
    /// What was done about it.
    pub action: Action,
    /// The meter.
    pub meter_id: CompactString,
    /// Its region.
    pub region: CompactString,
    /// All other dimensions.
    pub dimensions: Vec<Dimension>,
    /// The measures.
    pub measures: Vec<Measure>,
    /// The time as it was read, in nanoseconds.
    pub original_time: i64,
    /// The time it was given, if it went on.
    pub time: Option<i64>,
    /// When it arrived, in milliseconds.
    pub arrival: i64,
}

impl OutsideWindow {
    /// The note about `payload`, whose time is still as it was read.
    pub fn new(payload: &TimestreamPayload, side: Side, action: Action, time: Option<i64>) -> Self {
        debug_assert!(payload.arrival != NO_TIMESTAMP, "without an arrival nothing is outside");
        OutsideWindow {
            side,
            action,
            meter_id: payload.meter_id.clone(),
            region: payload.region.clone(),
            dimensions: payload.dimensions.clone(),
            measures: payload.measures.clone(),
            original_time: payload.time,
            time,
            arrival: payload.arrival,
        }
    }
}

impl Judge for OutsideWindow {
    fn verdict(&self) -> Verdict {
        match self.action {
            Action::Clamped | Action::SideOutput => Verdict::Keep,
            Action::Dropped => Verdict::Reject,
        }
    }
}

/// Where [`OffsetFutureTimestreamPoints`](super::OffsetFutureTimestreamPoints) puts its notes.
pub fn outside_window() -> OutputTag<OutsideWindow> {
    OutputTag::new("outside-window")
}
