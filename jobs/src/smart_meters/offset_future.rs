//! `OffsetFutureTimestreamPoints`: readings from meters whose clocks are fast.
//!
//! Timestream refuses records that are dated more than 15 minutes ahead, and a meter with a fast
//! clock would lose everything it measures. So such a reading is dated at its arrival. What the
//! talk's operator of this name does, with what it lacks:
//!
//! | the talk's | this one |
//! |---|---|
//! | 15 minutes, fixed | [`future_threshold`](OffsetFutureTimestreamPoints::future_threshold) |
//! | the original time is lost | kept as `original_time`, and every case is noted in the `outside-window` files, whose books count them |
//! | always clamps | [`FuturePolicy`]: clamp, side output, drop |
//! | several future readings of a meter that arrive in one millisecond fall onto one time, and the store takes them for conflicting repeats | each gets its own nanosecond behind the arrival, in the order in which they came: keyed state, so that a restart or another parallelism changes nothing |
//! | compares with the wall clock: another run, another result | compares with the arrival, as the source replays it |
//! | fails where a record has no arrival time | passes it on: who does not know when it came cannot say that it is early |
//! | leaves readings that are too old to the store, which refuses them | [`LatePolicy`], from the store's retention |

use compact_str::CompactString;
use hurtig_engine::{error::Result, operator::Output, task::OutputTag, time::NO_TIMESTAMP};
use hurtig_operators::{
    collector::Collector,
    keyed_process::{KeyedContextOf, KeyedProcessFunction},
};
use hurtig_state::{ValueState, ValueStateDescriptor};

use super::{
    payload::TimestreamPayload,
    span::Span,
    window::{Action, FuturePolicy, LatePolicy, OutsideWindow, Side, outside_window},
};

/// Corrects, diverts or refuses readings outside of the store's window. Keyed by meter.
#[derive(Debug, Clone)]
pub struct OffsetFutureTimestreamPoints {
    threshold: i64,
    future: FuturePolicy,
    /// The greatest age in milliseconds.
    retention: i64,
    late: LatePolicy,
    outside: OutputTag<OutsideWindow>,
    /// The last time a reading of this meter was clamped to, in nanoseconds.
    last_clamped: ValueState<i64>,
}

impl Default for OffsetFutureTimestreamPoints {
    fn default() -> Self {
        OffsetFutureTimestreamPoints {
            threshold: Span::mins(15).millis(),
            future: FuturePolicy::default(),
            retention: i64::MAX,
            late: LatePolicy::default(),
            outside: outside_window(),
            last_clamped: ValueState::default(),
        }
    }
}

impl OffsetFutureTimestreamPoints {
    /// How far ahead of its arrival a reading may be dated (15 minutes unless stated).
    #[must_use]
    pub fn future_threshold(mut self, threshold: Span) -> Self {
        self.threshold = threshold.millis();
        self
    }

    /// What to do with a reading that is further ahead.
    #[must_use]
    pub fn future_policy(mut self, policy: FuturePolicy) -> Self {
        self.future = policy;
        self
    }

    /// How old a reading may be at its arrival: the memory store's retention, or the magnetic
    /// store's where that takes writes.
    #[must_use]
    pub fn retention(mut self, retention: Span) -> Self {
        self.retention = retention.millis();
        self
    }

    /// What to do with a reading that is older.
    #[must_use]
    pub fn late_policy(mut self, policy: LatePolicy) -> Self {
        self.late = policy;
        self
    }

    /// On which side of the window a reading lies, if it lies outside.
    fn side(&self, payload: &TimestreamPayload) -> Option<Side> {
        if payload.arrival == NO_TIMESTAMP {
            return None;
        }
        let ahead = payload.time_ms().saturating_sub(payload.arrival);
        if ahead > self.threshold {
            Some(Side::Future)
        } else if ahead.saturating_neg() > self.retention {
            Some(Side::Late)
        } else {
            None
        }
    }
}

impl KeyedProcessFunction<CompactString, TimestreamPayload> for OffsetFutureTimestreamPoints {
    type Out = TimestreamPayload;

    fn open(&mut self, ctx: &mut KeyedContextOf<'_, CompactString>) -> Result<()> {
        self.last_clamped = ctx.state().value_state(ValueStateDescriptor::new("last-clamped"))?;
        Ok(())
    }

    fn process_element<O: Output<TimestreamPayload>>(
        &mut self,
        mut payload: TimestreamPayload,
        ctx: &mut KeyedContextOf<'_, CompactString>,
        out: &mut Collector<'_, O>,
    ) -> Result<()> {
        let Some(side) = self.side(&payload) else {
            out.collect(payload);
            return Ok(());
        };
        let action = match (side, self.future, self.late) {
            (Side::Late, _, LatePolicy::Keep) => {
                out.collect(payload);
                return Ok(());
            }
            (Side::Future, FuturePolicy::Clamp, _) => Action::Clamped,
            (Side::Future, FuturePolicy::SideOutput, _) | (Side::Late, _, LatePolicy::SideOutput) => Action::SideOutput,
            (Side::Future, FuturePolicy::Drop, _) | (Side::Late, _, LatePolicy::Drop) => Action::Dropped,
        };
        if action != Action::Clamped {
            out.output(&self.outside, OutsideWindow::new(&payload, side, action, None));
            return Ok(());
        }
        let last = self.last_clamped.get_or_insert_with(ctx, || i64::MIN)?;
        *last = next_time(*last, payload.arrival);
        let time = *last;
        out.output(&self.outside, OutsideWindow::new(&payload, side, action, Some(time)));
        payload.original_time = Some(payload.time);
        payload.time = time;
        let timestamp = payload.time_ms();
        out.collect_at(payload, timestamp);
        Ok(())
    }
}

/// The time of a clamped reading: the first nanosecond behind its arrival that no reading of the
/// meter was clamped to. It is never a whole millisecond unless a million readings arrive in
/// one, so that it does not meet the time of an ordinary reading either.
fn next_time(last: i64, arrival: i64) -> i64 {
    last.max(arrival.saturating_mul(1_000_000)).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(time: i64, arrival: i64) -> TimestreamPayload {
        let line = format!(r#"{{"meter_id":"m","time":{time},"kwh_measure":1}}"#);
        let payload = TimestreamPayload::from_json(&line).expect("a payload");
        TimestreamPayload { arrival, ..payload }
    }

    #[test]
    fn the_window_reaches_from_the_retention_to_the_threshold() {
        let offset = OffsetFutureTimestreamPoints::default().retention(Span::hours(6));
        let now = 1_700_000_000_000;
        let side = |ahead: i64| offset.side(&payload(now + ahead, now));
        assert_eq!(side(0), None);
        assert_eq!(side(15 * 60_000), None, "fifteen minutes are taken");
        assert_eq!(side(15 * 60_000 + 1), Some(Side::Future));
        assert_eq!(side(-6 * 3_600_000), None);
        assert_eq!(side(-6 * 3_600_000 - 1), Some(Side::Late));
        let wider = offset.clone().future_threshold(Span::hours(1));
        assert_eq!(wider.side(&payload(now + 3_600_000, now)), None, "the threshold can be set");
    }

    #[test]
    fn without_an_arrival_nothing_is_early_or_late() {
        let offset = OffsetFutureTimestreamPoints::default().retention(Span::mins(1));
        for time in [-9_000_000_000_000, 0, 9_000_000_000_000] {
            assert_eq!(offset.side(&payload(time, NO_TIMESTAMP)), None);
        }
    }

    #[test]
    fn no_two_readings_of_a_meter_fall_onto_one_time() {
        let arrivals = [1_000, 1_000, 1_000, 999, 1_000, 1_001, 1_001];
        let mut last = i64::MIN;
        let times = arrivals.map(|arrival| {
            last = next_time(last, arrival);
            last
        });
        assert_eq!(
            times,
            [1_000_000_001, 1_000_000_002, 1_000_000_003, 1_000_000_004, 1_000_000_005, 1_001_000_001, 1_001_000_002]
        );
        assert_eq!(next_time(i64::MAX, 5), i64::MAX, "and nothing overflows");
    }
}
