//! Times from and to counts since 1970-01-01: `from_milliseconds(n)`, `to_milliseconds(time)` and their like.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, AsArray, Float64Array, Int64Array, TimestampNanosecondArray},
    datatypes::{DataType, Float64Type, Int64Type, IntervalMonthDayNanoType, IntervalUnit, TimestampNanosecondType},
};
use datafusion::{
    common::{Result, exec_err, plan_err},
    logical_expr::{ScalarFunctionArgs, ScalarUDF},
};

use super::{arrays, columnar, is_interval, is_number, is_time, unexpected};
use crate::{interval, series::TIMESTAMP};

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![
        columnar("from_seconds", one_integer, |_| Ok(TIMESTAMP), from::<1_000_000_000>),
        columnar("from_milliseconds", one_integer, |_| Ok(TIMESTAMP), from::<1_000_000>),
        columnar("from_microseconds", one_integer, |_| Ok(TIMESTAMP), from::<1_000>),
        columnar("from_nanoseconds", one_integer, |_| Ok(TIMESTAMP), from::<1>),
        columnar("from_unixtime", one_double, |_| Ok(TIMESTAMP), from_unixtime),
        columnar("to_seconds", time_or_interval, |_| Ok(DataType::Int64), to::<1_000_000_000>),
        columnar("to_milliseconds", time_or_interval, |_| Ok(DataType::Int64), to::<1_000_000>),
        columnar("to_microseconds", time_or_interval, |_| Ok(DataType::Int64), to::<1_000>),
        columnar("to_nanoseconds", time_or_interval, |_| Ok(DataType::Int64), to::<1>),
        columnar("to_unixtime", one_time, |_| Ok(DataType::Float64), to_unixtime),
    ]
}

fn one_integer(name: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    match types {
        [t] if t.is_integer() || *t == DataType::Null => Ok(vec![DataType::Int64]),
        // Grafana writes some of its numbers as doubles.
        [t] if is_number(t) => Ok(vec![DataType::Int64]),
        _ => unexpected(name, types, &format!("{name}(bigint)")),
    }
}

fn one_double(name: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    match types {
        [t] if is_number(t) => Ok(vec![DataType::Float64]),
        _ => unexpected(name, types, &format!("{name}(double)")),
    }
}

fn one_time(name: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    match types {
        [t] if is_time(t) => Ok(vec![TIMESTAMP]),
        _ => unexpected(name, types, &format!("{name}(timestamp)")),
    }
}

fn time_or_interval(name: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    match types {
        [t] if is_time(t) => Ok(vec![TIMESTAMP]),
        [DataType::Duration(_)] => Ok(types.to_vec()),
        [t] if is_interval(t) => Ok(vec![DataType::Interval(IntervalUnit::MonthDayNano)]),
        _ => unexpected(name, types, &format!("{name}(timestamp), {name}(interval day to second)")),
    }
}

fn first(args: &ScalarFunctionArgs) -> Result<ArrayRef> {
    match arrays(args)?.pop() {
        Some(array) => Ok(array),
        None => exec_err!("one argument is missing"),
    }
}

fn from<const UNIT: i64>(args: &ScalarFunctionArgs) -> Result<ArrayRef> {
    let counts = first(args)?;
    let times: TimestampNanosecondArray =
        counts.as_primitive::<Int64Type>().try_unary(|n| match n.checked_mul(UNIT) {
            Some(n) => Ok(n),
            None => plan_err!("{n} is no time between 1677 and 2262"),
        })?;
    Ok(Arc::new(times))
}

fn from_unixtime(args: &ScalarFunctionArgs) -> Result<ArrayRef> {
    let seconds = first(args)?;
    // Presto's from_unixtime counts milliseconds.
    let times: TimestampNanosecondArray = seconds.as_primitive::<Float64Type>().try_unary(|s| {
        let ms = (s * 1e3).round();
        if ms.abs() < 9.2e12 { Ok(ms as i64 * 1_000_000) } else { plan_err!("{s} is no time between 1677 and 2262") }
    })?;
    Ok(Arc::new(times))
}

fn to<const UNIT: i64>(args: &ScalarFunctionArgs) -> Result<ArrayRef> {
    let array = first(args)?;
    let counts: Int64Array = match array.data_type() {
        DataType::Interval(_) => array
            .as_primitive::<IntervalMonthDayNanoType>()
            .try_unary(|i| Ok::<_, datafusion::common::DataFusionError>(interval::nanoseconds(i)? / UNIT))?,
        DataType::Duration(_) => {
            let nanos = arrow::compute::cast(&array, &DataType::Duration(arrow::datatypes::TimeUnit::Nanosecond))?;
            nanos.as_primitive::<arrow::datatypes::DurationNanosecondType>().unary(|n| n / UNIT)
        }
        _ => array.as_primitive::<TimestampNanosecondType>().unary(|t| t.div_euclid(UNIT)),
    };
    Ok(Arc::new(counts))
}

fn to_unixtime(args: &ScalarFunctionArgs) -> Result<ArrayRef> {
    let times = first(args)?;
    let seconds: Float64Array = times.as_primitive::<TimestampNanosecondType>().unary(|t| t as f64 / 1e9);
    Ok(Arc::new(seconds))
}
