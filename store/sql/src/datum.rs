//! A result's values as Timestream's JSON has them: `Row` and `Datum`. Every single value is a text.

use arrow::{
    array::{
        Array, ArrayRef, AsArray, Float64Array, Int64Array, IntervalMonthDayNanoArray, ListArray, RecordBatch,
        StringArray, StructArray,
    },
    compute::cast,
    datatypes::{
        DataType, Date32Type, DurationNanosecondType, IntervalUnit, IntervalYearMonthType, Time64NanosecondType,
        TimeUnit, TimestampNanosecondType,
    },
    error::ArrowError,
};
use jiff::{Timestamp, tz::Offset};
use serde::{Deserialize, Serialize};

use crate::{
    double,
    error::{Error, Result},
    interval,
    series::{TIMESTAMP, timeseries_value},
};

/// A row of a result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Row {
    /// A value for every column.
    pub data: Vec<Datum>,
}

/// A value, as Timestream's JSON has it: an object with one member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Datum {
    /// A single value, as text.
    #[serde(rename = "ScalarValue")]
    Scalar(String),
    /// The points of a series.
    #[serde(rename = "TimeSeriesValue")]
    TimeSeries(Vec<TimeSeriesDataPoint>),
    /// The entries of an array.
    #[serde(rename = "ArrayValue")]
    Array(Vec<Datum>),
    /// A row within a row.
    #[serde(rename = "RowValue")]
    Row(Row),
    /// NULL; always `true`.
    #[serde(rename = "NullValue")]
    Null(bool),
}

/// A point of a series.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct TimeSeriesDataPoint {
    /// Its time: `2023-01-01 00:00:00.000000000`, in UTC.
    pub time: String,
    /// Its value.
    pub value: Datum,
}

impl Datum {
    /// NULL.
    pub const NULL: Datum = Datum::Null(true);
}

/// A batch's rows.
///
/// # Errors
///
/// When a column is of a type that Timestream has no value of.
pub fn rows(batch: &RecordBatch) -> Result<Vec<Row>> {
    let mut columns: Vec<_> = batch.columns().iter().map(|c| data(c).map(Vec::into_iter)).collect::<Result<_>>()?;
    let rows = (0..batch.num_rows())
        .map(|_| Row { data: columns.iter_mut().map(|column| column.next().unwrap_or(Datum::NULL)).collect() });
    Ok(rows.collect())
}

/// A column's values.
fn data(array: &ArrayRef) -> Result<Vec<Datum>> {
    let data_type = array.data_type();
    if timeseries_value(data_type).is_some() {
        return series(array.as_list());
    }
    match data_type {
        DataType::Null => Ok(vec![Datum::NULL; array.len()]),
        DataType::Utf8 => Ok(texts(array.as_string())),
        DataType::LargeUtf8 | DataType::Utf8View | DataType::Dictionary(_, _) => data(&as_plain(array)?),
        DataType::Boolean => Ok(array.as_boolean().iter().map(|v| scalar(v.map(|v| v.to_string()))).collect()),
        DataType::Int64 => Ok(integers(array.as_primitive())),
        DataType::UInt64 => {
            let values = array.as_primitive::<arrow::datatypes::UInt64Type>();
            Ok(values.iter().map(|v| scalar(v.map(|v| v.to_string()))).collect())
        }
        t if t.is_integer() => Ok(integers(converted(array, &DataType::Int64)?.as_primitive())),
        DataType::Float64 => Ok(doubles(array.as_primitive())),
        t if t.is_numeric() => Ok(doubles(converted(array, &DataType::Float64)?.as_primitive())),
        DataType::Timestamp(_, _) => {
            let times = converted(array, &TIMESTAMP)?;
            let times = times.as_primitive::<TimestampNanosecondType>();
            Ok(times.iter().map(|v| scalar(v.map(timestamp))).collect())
        }
        DataType::Date32 | DataType::Date64 => {
            let dates = converted(array, &DataType::Date32)?;
            let dates = dates.as_primitive::<Date32Type>();
            Ok(dates.iter().map(|v| scalar(v.map(|d| timestamp_of_seconds(i64::from(d) * 86_400, 10)))).collect())
        }
        DataType::Time32(_) | DataType::Time64(_) => {
            let times = converted(array, &DataType::Time64(TimeUnit::Nanosecond))?;
            let times = times.as_primitive::<Time64NanosecondType>();
            Ok(times.iter().map(|v| scalar(v.map(|t| timestamp(t).split_off(11)))).collect())
        }
        DataType::Interval(IntervalUnit::YearMonth) => {
            let months = array.as_primitive::<IntervalYearMonthType>();
            Ok(months.iter().map(|v| scalar(v.map(interval::year_to_month))).collect())
        }
        DataType::Interval(_) => {
            let intervals = converted(array, &DataType::Interval(IntervalUnit::MonthDayNano))?;
            Ok(month_day_nanos(intervals.as_primitive()))
        }
        DataType::Duration(_) => {
            let lengths = converted(array, &DataType::Duration(TimeUnit::Nanosecond))?;
            let lengths = lengths.as_primitive::<DurationNanosecondType>();
            Ok(lengths.iter().map(|v| scalar(v.map(interval::day_to_second))).collect())
        }
        DataType::List(_) => lists(array.as_list()),
        DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            data(&converted(array, &DataType::List(item.clone()))?)
        }
        DataType::Struct(_) => structs(array.as_struct()),
        other => Err(Error::Validation(format!("a result has no values of type {other}"))),
    }
}

fn scalar(value: Option<String>) -> Datum {
    value.map_or(Datum::NULL, Datum::Scalar)
}

fn converted(array: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    cast(array, to).map_err(arrow_error)
}

fn as_plain(array: &ArrayRef) -> Result<ArrayRef> {
    match array.data_type() {
        DataType::Dictionary(_, value) => converted(array, value),
        _ => converted(array, &DataType::Utf8),
    }
}

fn arrow_error(error: ArrowError) -> Error {
    Error::Execution(Box::new(error.into()))
}

fn texts(array: &StringArray) -> Vec<Datum> {
    array.iter().map(|v| scalar(v.map(str::to_owned))).collect()
}

fn integers(array: &Int64Array) -> Vec<Datum> {
    array.iter().map(|v| scalar(v.map(|v| v.to_string()))).collect()
}

fn doubles(array: &Float64Array) -> Vec<Datum> {
    array.iter().map(|v| scalar(v.map(double::java))).collect()
}

fn month_day_nanos(array: &IntervalMonthDayNanoArray) -> Vec<Datum> {
    array
        .iter()
        .map(|value| {
            scalar(value.map(|value| match interval::nanoseconds(value) {
                Ok(nanoseconds) => interval::day_to_second(nanoseconds),
                Err(_) => interval::year_to_month(value.months),
            }))
        })
        .collect()
}

fn structs(array: &StructArray) -> Result<Vec<Datum>> {
    let mut columns: Vec<_> = array.columns().iter().map(|c| data(c).map(Vec::into_iter)).collect::<Result<_>>()?;
    let rows = (0..array.len()).map(|row| {
        let data = columns.iter_mut().map(|column| column.next().unwrap_or(Datum::NULL)).collect();
        if array.is_valid(row) { Datum::Row(Row { data }) } else { Datum::NULL }
    });
    Ok(rows.collect())
}

fn lists(array: &ListArray) -> Result<Vec<Datum>> {
    let mut out = Vec::with_capacity(array.len());
    for row in 0..array.len() {
        out.push(if array.is_valid(row) { Datum::Array(data(&array.value(row))?) } else { Datum::NULL });
    }
    Ok(out)
}

fn series(array: &ListArray) -> Result<Vec<Datum>> {
    let mut out = Vec::with_capacity(array.len());
    for row in 0..array.len() {
        if array.is_null(row) {
            out.push(Datum::NULL);
            continue;
        }
        let points = array.value(row);
        let points = points.as_struct();
        let times = points.column(0).as_primitive::<TimestampNanosecondType>();
        let values = data(points.column(1))?;
        let points = times.values().iter().zip(values);
        out.push(Datum::TimeSeries(
            points.map(|(time, value)| TimeSeriesDataPoint { time: timestamp(*time), value }).collect(),
        ));
    }
    Ok(out)
}

/// `2023-01-01 00:00:00.000000000`, of nanoseconds since the epoch.
pub fn timestamp(nanoseconds: i64) -> String {
    let seconds = nanoseconds.div_euclid(1_000_000_000);
    let mut out = timestamp_of_seconds(seconds, 19);
    out.push('.');
    let fraction = nanoseconds.rem_euclid(1_000_000_000);
    out.push_str(&format!("{fraction:09}"));
    out
}

fn timestamp_of_seconds(seconds: i64, length: usize) -> String {
    let civil = Offset::UTC.to_datetime(Timestamp::from_second(seconds).unwrap_or_default());
    let mut out = format!(
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02}",
        civil.year(),
        civil.month(),
        civil.day(),
        civil.hour(),
        civil.minute(),
        civil.second()
    );
    out.truncate(length);
    out
}
