//! Which readings are too late for their window, decided by each reading's own split.
//!
//! A window operator calls a record late when the merged watermark has passed its window. The
//! watermark is the minimum over all splits, and how far the others have come when a record
//! arrives depends on threads and on restarts: a straggler may be late in one run and not in
//! the next. Here a record is late when its *own* split has gone too far, which is a matter of
//! what stands in the split and of nothing else. The merged watermark is never ahead of a
//! split's own while none is idle, so that what passes here is not late at the window. Two runs over
//! the same readings have the same rows, however often they were killed and whatever their
//! parallelism. (Of a stream, a shard that was silent may be woken behind the others: what is late at
//! the window itself becomes a row by the same rule.)
//!
//! What is late is not lost for the sums: it becomes a row of the same window by itself, a sum of one, and the table's
//! compaction adds the rows of a window up. So `sum(sum)` over a table is right at every moment.

use hurtig_engine::{Origin, Record, error::Result, operator::Output, task::OutputTag, time::NO_TIMESTAMP};
use hurtig_operators::{collector::Collector, process::ProcessFunction, window::TumblingEventTimeWindows};
use hurtig_state::AggregateFunction;

use super::{
    aggregate::{Aggregate, Energy, SumEnergy},
    span::Span,
};

/// Where [`InTime`] puts the rows of readings that came too late.
pub fn late_rows() -> OutputTag<Aggregate> {
    OutputTag::new("late-rows")
}

/// Passes what is in time for its window; what is not becomes a row of its own, as [`late_rows`].
#[derive(Debug, Clone)]
pub struct InTime {
    windows: TumblingEventTimeWindows,
    late: OutputTag<Aggregate>,
    /// How far out of order readings may be, in milliseconds.
    bound: i64,
}

impl InTime {
    /// For windows of `size`, where readings may be out of order by `bound`.
    pub fn for_windows(size: Span, bound: Span) -> Self {
        InTime { windows: TumblingEventTimeWindows::of(size.duration()), late: late_rows(), bound: bound.millis() }
    }

    /// Whether a reading at `timestamp` is too late in a split whose newest reading before it was
    /// at `split_time`.
    fn is_late(&self, timestamp: i64, split_time: i64) -> bool {
        let watermark = split_time.saturating_sub(self.bound).saturating_sub(1);
        split_time != NO_TIMESTAMP && self.windows.assign(timestamp).max_timestamp() <= watermark
    }
}

impl ProcessFunction<Energy> for InTime {
    type Out = Energy;

    #[inline]
    fn process_element<O: Output<Energy>>(&mut self, energy: Energy, out: &mut Collector<'_, O>) -> Result<()> {
        if self.is_late(out.timestamp(), energy.split_time) {
            let row = row_of_one(&self.windows, energy, out.timestamp(), out.origin());
            out.task().output(&self.late, row);
        } else {
            out.collect(energy);
        }
        Ok(())
    }
}

/// The row of a window with one reading in it: its timestamp is the window's last moment, as the window's own row has it.
fn row_of_one(windows: &TumblingEventTimeWindows, energy: Energy, timestamp: i64, origin: Origin) -> Record<Aggregate> {
    let (window, key, mut total) = (windows.assign(timestamp), energy.key(), SumEnergy.create_accumulator());
    SumEnergy.add(&mut total, energy);
    Record { value: Aggregate::of(&key, window, total), timestamp: window.max_timestamp(), origin }
}

/// Where a window puts what comes after it has fired: a silent stream's split may be woken behind the others' watermark.
pub fn after_the_window() -> OutputTag<Energy> {
    OutputTag::new("after-the-window")
}

/// Makes rows of what came after its window had fired.
#[derive(Debug, Clone)]
pub struct RowsOfOne(TumblingEventTimeWindows);

impl RowsOfOne {
    /// For windows of `size`.
    pub fn for_windows(size: Span) -> Self {
        RowsOfOne(TumblingEventTimeWindows::of(size.duration()))
    }
}

impl ProcessFunction<Energy> for RowsOfOne {
    type Out = Aggregate;

    fn process_element<O: Output<Aggregate>>(&mut self, energy: Energy, out: &mut Collector<'_, O>) -> Result<()> {
        let row = row_of_one(&self.0, energy, out.timestamp(), out.origin());
        out.collect_at(row.value, row.timestamp);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn late_is_what_comes_after_its_split_has_closed_the_window() {
        let in_time = InTime::for_windows(Span::mins(1), Span::secs(30));
        // The window of 0..60,000 is closed when the split has come to 90,000.
        assert!(!in_time.is_late(59_999, 89_999));
        assert!(in_time.is_late(59_999, 90_000));
        assert!(in_time.is_late(0, 90_000), "wherever in the window it lies");
        assert!(!in_time.is_late(60_000, 90_000), "the next window is open");
        assert!(!in_time.is_late(0, NO_TIMESTAMP), "the first reading of a split");
        let hours = InTime::for_windows(Span::hours(1), Span::secs(30));
        assert!(!hours.is_late(0, 90_000));
    }

    #[test]
    fn what_is_late_is_a_row_of_its_window_with_nothing_else_in_it() {
        let energy = Energy {
            meter_id: "m".into(),
            region: "uk".into(),
            measure: "kwh".into(),
            value: 0.25,
            split_time: 9_000_000,
        };
        let windows = TumblingEventTimeWindows::of(Span::hours(1).duration());
        let Record { value, timestamp, origin } = row_of_one(&windows, energy, 3_700_000, Origin::new(1, 2));
        assert_eq!((value.window_start, value.window_end), (3_600_000, 7_200_000));
        assert_eq!((value.sum, value.count, value.min, value.max, value.avg), (0.25, 1, 0.25, 0.25, 0.25));
        // In the partition of the window's own row, which may be another than the reading's.
        assert_eq!((timestamp, origin), (7_199_999, Origin::new(1, 2)));
    }
}
