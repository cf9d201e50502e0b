//! Fields of a time (`year(time)` …), `date_add`, `date_diff`; all in UTC.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, Int64Array, StringArray, TimestampNanosecondArray},
    compute::cast,
    datatypes::{DataType, Int64Type, TimestampNanosecondType},
};
use datafusion::{
    common::{Result, exec_err, plan_datafusion_err, plan_err},
    logical_expr::{ScalarFunctionArgs, ScalarUDF},
};
use jiff::{Span, Timestamp, Unit, civil::DateTime, tz::Offset};

use super::{arrays, columnar, columnar_with_aliases, is_number, is_text, is_time, unexpected};
use crate::series::TIMESTAMP;

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![
        field("year", &[], |a| each(a, |d| i64::from(d.year()))),
        field("quarter", &[], |a| each(a, |d| (i64::from(d.month()) + 2) / 3)),
        field("month", &[], |a| each(a, |d| i64::from(d.month()))),
        field("week", &["week_of_year"], |a| each(a, |d| i64::from(d.date().iso_week_date().week()))),
        field("year_of_week", &["yow"], |a| each(a, |d| i64::from(d.date().iso_week_date().year()))),
        field("day", &["day_of_month"], |a| each(a, |d| i64::from(d.day()))),
        field("day_of_week", &["dow"], |a| each(a, |d| i64::from(d.weekday().to_monday_one_offset()))),
        field("day_of_year", &["doy"], |a| each(a, |d| i64::from(d.day_of_year()))),
        field("hour", &[], |a| each(a, |d| i64::from(d.hour()))),
        field("minute", &[], |a| each(a, |d| i64::from(d.minute()))),
        field("second", &[], |a| each(a, |d| i64::from(d.second()))),
        field("millisecond", &[], |a| each(a, |d| i64::from(d.subsec_nanosecond()) / 1_000_000)),
        columnar("date_add", types_of_add, |_| Ok(TIMESTAMP), date_add),
        columnar("date_diff", types_of_diff, |_| Ok(DataType::Int64), date_diff),
    ]
}

/// A time's date and time of day in UTC.
pub(super) fn civil(nanoseconds: i64) -> DateTime {
    Offset::UTC.to_datetime(Timestamp::from_nanosecond(i128::from(nanoseconds)).unwrap_or_default())
}

/// The time of a date and time of day in UTC.
pub(super) fn nanoseconds(civil: DateTime) -> Result<i64> {
    let out = || plan_datafusion_err!("{civil} is no time between 1677 and 2262");
    let timestamp = Offset::UTC.to_timestamp(civil).map_err(|_| out())?;
    i64::try_from(timestamp.as_nanosecond()).map_err(|_| out())
}

fn field(name: &str, aliases: &[&str], invoke: fn(&ScalarFunctionArgs) -> Result<ArrayRef>) -> Arc<ScalarUDF> {
    columnar_with_aliases(name, aliases, types_of_field, |_| Ok(DataType::Int64), invoke)
}

fn types_of_field(name: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    match types {
        [t] if is_time(t) => Ok(vec![TIMESTAMP]),
        _ => unexpected(name, types, &format!("{name}(timestamp), {name}(date)")),
    }
}

fn each(args: &ScalarFunctionArgs, field: impl Fn(DateTime) -> i64) -> Result<ArrayRef> {
    let columns = arrays(args)?;
    let [times] = columns.as_slice() else { return exec_err!("one argument expected") };
    let fields: Int64Array = times.as_primitive::<TimestampNanosecondType>().unary(|t| field(civil(t)));
    Ok(Arc::new(fields))
}

fn types_of_add(name: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    match types {
        [unit, value, time] if is_text(unit) && is_number(value) && is_time(time) => {
            Ok(vec![DataType::Utf8, DataType::Int64, TIMESTAMP])
        }
        _ => unexpected(name, types, "date_add(varchar, bigint, timestamp)"),
    }
}

fn types_of_diff(name: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    match types {
        [unit, from, to] if is_text(unit) && is_time(from) && is_time(to) => {
            Ok(vec![DataType::Utf8, TIMESTAMP, TIMESTAMP])
        }
        _ => unexpected(name, types, "date_diff(varchar, timestamp, timestamp)"),
    }
}

/// A unit: of a fixed length in nanoseconds, or so many months.
enum Length {
    Fixed(i64),
    Months(i64),
}

fn length(unit: &str) -> Result<Length> {
    const SECOND: i64 = 1_000_000_000;
    Ok(match unit.to_ascii_lowercase().as_str() {
        "nanosecond" => Length::Fixed(1),
        "microsecond" => Length::Fixed(1_000),
        "millisecond" => Length::Fixed(1_000_000),
        "second" => Length::Fixed(SECOND),
        "minute" => Length::Fixed(60 * SECOND),
        "hour" => Length::Fixed(3_600 * SECOND),
        "day" => Length::Fixed(86_400 * SECOND),
        "week" => Length::Fixed(7 * 86_400 * SECOND),
        "month" => Length::Months(1),
        "quarter" => Length::Months(3),
        "year" => Length::Months(12),
        _ => return plan_err!("'{unit}' is not a valid unit of time"),
    })
}

fn add(unit: &str, value: i64, time: i64) -> Result<i64> {
    let out = || plan_datafusion_err!("date_add: the result is no time between 1677 and 2262");
    match length(unit)? {
        Length::Fixed(n) => value.checked_mul(n).and_then(|n| time.checked_add(n)).ok_or_else(out),
        Length::Months(n) => {
            let months = value.checked_mul(n).ok_or_else(out)?;
            let span = Span::new().try_months(months).map_err(|_| out())?;
            nanoseconds(civil(time).checked_add(span).map_err(|_| out())?)
        }
    }
}

/// Whole units from `from` to `to`, towards zero.
fn diff(unit: &str, from: i64, to: i64) -> Result<i64> {
    match length(unit)? {
        Length::Fixed(n) => Ok(((i128::from(to) - i128::from(from)) / i128::from(n)) as i64),
        Length::Months(n) => {
            let span =
                civil(from).until((Unit::Month, civil(to))).map_err(|e| plan_datafusion_err!("date_diff: {e}"))?;
            Ok(i64::from(span.get_months()) / n)
        }
    }
}

fn date_add(args: &ScalarFunctionArgs) -> Result<ArrayRef> {
    let columns = arrays(args)?;
    let [units, values, times] = columns.as_slice() else { return exec_err!("date_add takes three arguments") };
    let units = texts(units)?;
    let (values, times) = (values.as_primitive::<Int64Type>(), times.as_primitive::<TimestampNanosecondType>());
    let sums = (0..times.len())
        .map(|i| {
            let there = units.is_valid(i) && values.is_valid(i) && times.is_valid(i);
            there.then(|| add(units.value(i), values.value(i), times.value(i))).transpose()
        })
        .collect::<Result<TimestampNanosecondArray>>()?;
    Ok(Arc::new(sums))
}

fn date_diff(args: &ScalarFunctionArgs) -> Result<ArrayRef> {
    let columns = arrays(args)?;
    let [units, from, to] = columns.as_slice() else { return exec_err!("date_diff takes three arguments") };
    let units = texts(units)?;
    let (from, to) = (from.as_primitive::<TimestampNanosecondType>(), to.as_primitive::<TimestampNanosecondType>());
    let differences = (0..from.len())
        .map(|i| {
            let there = units.is_valid(i) && from.is_valid(i) && to.is_valid(i);
            there.then(|| diff(units.value(i), from.value(i), to.value(i))).transpose()
        })
        .collect::<Result<Int64Array>>()?;
    Ok(Arc::new(differences))
}

/// A column of texts, of whichever of Arrow's types.
pub(super) fn texts(array: &ArrayRef) -> Result<StringArray> {
    Ok(cast(array, &DataType::Utf8)?.as_string::<i32>().clone())
}
