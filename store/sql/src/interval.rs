//! Intervals: how many nanoseconds they are, and how Presto prints them.

use arrow::datatypes::IntervalMonthDayNano;
use datafusion::common::{Result, plan_err};

const DAY: i64 = 86_400_000_000_000;

/// An interval day to second in nanoseconds.
pub(crate) fn nanoseconds(interval: IntervalMonthDayNano) -> Result<i64> {
    if interval.months != 0 {
        return plan_err!("an interval of months has no fixed length: use an interval day to second");
    }
    match i64::from(interval.days).checked_mul(DAY).and_then(|d| d.checked_add(interval.nanoseconds)) {
        Some(nanoseconds) => Ok(nanoseconds),
        None => plan_err!("the interval is too long"),
    }
}

/// A length as a step: more than nothing.
pub(crate) fn step(interval: IntervalMonthDayNano) -> Result<i64> {
    match nanoseconds(interval)? {
        step if step > 0 => Ok(step),
        _ => plan_err!("the interval must be positive"),
    }
}

/// `0 00:01:00.000000000`: days, hours, minutes, seconds.
pub(crate) fn day_to_second(nanoseconds: i64) -> String {
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let n = nanoseconds.unsigned_abs();
    let (days, rest) = (n / DAY.unsigned_abs(), n % DAY.unsigned_abs());
    let (seconds, nanos) = (rest / 1_000_000_000, rest % 1_000_000_000);
    format!("{sign}{days} {:02}:{:02}:{:02}.{nanos:09}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// `1-2`: years and months.
pub(crate) fn year_to_month(months: i32) -> String {
    let sign = if months < 0 { "-" } else { "" };
    let n = months.unsigned_abs();
    format!("{sign}{}-{}", n / 12, n % 12)
}
