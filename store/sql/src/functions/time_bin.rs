//! `bin(x, step)`: down to a whole multiple of the step; of times, counted from 1970-01-01.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, TimestampNanosecondArray},
    datatypes::{DataType, Float64Type, Int64Type, IntervalMonthDayNanoType, IntervalUnit, TimestampNanosecondType},
};
use datafusion::{
    common::{Result, ScalarValue, exec_err, plan_err},
    logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF},
};

use super::{arrays, columnar, is_interval, is_number, is_time, unexpected};
use crate::{interval, series::TIMESTAMP};

pub(super) fn bin() -> Arc<ScalarUDF> {
    columnar("bin", types, |t| Ok(t[0].clone()), invoke)
}

fn types(name: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    match types {
        [x, step] if is_time(x) && is_interval(step) => {
            Ok(vec![TIMESTAMP, DataType::Interval(IntervalUnit::MonthDayNano)])
        }
        [x, step] if x.is_integer() && (step.is_integer() || *step == DataType::Null) => {
            Ok(vec![DataType::Int64, DataType::Int64])
        }
        [x, step] if is_number(x) && is_number(step) => Ok(vec![DataType::Float64, DataType::Float64]),
        _ => {
            unexpected(name, types, "bin(timestamp, interval day to second), bin(bigint, bigint), bin(double, double)")
        }
    }
}

fn invoke(args: &ScalarFunctionArgs) -> Result<ArrayRef> {
    // The step is a constant nearly always; then a column is one loop over its numbers.
    if let [x, ColumnarValue::Scalar(step)] = args.args.as_slice() {
        let x = x.to_array(if matches!(x, ColumnarValue::Scalar(_)) { 1 } else { args.number_rows })?;
        match step {
            ScalarValue::IntervalMonthDayNano(Some(step)) => {
                let step = interval::step(*step)?;
                let times = x.as_primitive::<TimestampNanosecondType>();
                let binned: TimestampNanosecondArray = times.unary(|t| floor(t, step));
                return Ok(Arc::new(binned));
            }
            ScalarValue::Int64(Some(step)) if *step > 0 => {
                let binned: Int64Array = x.as_primitive::<Int64Type>().unary(|v| floor(v, *step));
                return Ok(Arc::new(binned));
            }
            ScalarValue::Float64(Some(step)) if *step > 0.0 => {
                let binned: Float64Array = x.as_primitive::<Float64Type>().unary(|v| (v / step).floor() * step);
                return Ok(Arc::new(binned));
            }
            _ => {}
        }
    }
    let columns = arrays(args)?;
    let [x, step] = columns.as_slice() else { return exec_err!("bin takes two arguments") };
    match x.data_type() {
        DataType::Timestamp(_, _) => {
            let (x, step) =
                (x.as_primitive::<TimestampNanosecondType>(), step.as_primitive::<IntervalMonthDayNanoType>());
            let binned = x
                .iter()
                .zip(step.iter())
                .map(|(x, step)| x.zip(step).map(|(x, step)| Ok(floor(x, interval::step(step)?))).transpose())
                .collect::<Result<TimestampNanosecondArray>>()?;
            Ok(Arc::new(binned))
        }
        DataType::Int64 => {
            let (x, step) = (x.as_primitive::<Int64Type>(), step.as_primitive::<Int64Type>());
            let binned = x
                .iter()
                .zip(step.iter())
                .map(|(x, step)| match x.zip(step) {
                    Some((_, step)) if step <= 0 => plan_err!("bin: the step must be positive"),
                    Some((x, step)) => Ok(Some(floor(x, step))),
                    None => Ok(None),
                })
                .collect::<Result<Int64Array>>()?;
            Ok(Arc::new(binned))
        }
        _ => {
            let (x, step) = (x.as_primitive::<Float64Type>(), step.as_primitive::<Float64Type>());
            let binned = x
                .iter()
                .zip(step.iter())
                .map(|(x, step)| match x.zip(step) {
                    Some((_, step)) if step.is_nan() || step <= 0.0 => plan_err!("bin: the step must be positive"),
                    Some((x, step)) => Ok(Some((x / step).floor() * step)),
                    None => Ok(None),
                })
                .collect::<Result<Float64Array>>()?;
            Ok(Arc::new(binned))
        }
    }
}

/// Below zero too; saturating at the lowest number, where no multiple is left.
fn floor(x: i64, step: i64) -> i64 {
    x.saturating_sub(x.rem_euclid(step))
}
