//! `integral_trapezoidal(ts[, interval])`: the area below the series, in values times intervals (of a second unless
//! said otherwise).

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, Float64Array},
    datatypes::{DataType, IntervalMonthDayNanoType, IntervalUnit},
};
use datafusion::{
    common::{Result, exec_err},
    logical_expr::{ScalarFunctionArgs, ScalarUDF},
};

use super::{arrays, columnar, is_interval, is_number, unexpected};
use crate::{
    interval,
    series::{Series, known, timeseries_value},
};

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![columnar("integral_trapezoidal", types, |_| Ok(DataType::Float64), integral)]
}

fn types(name: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    match types {
        [series] if timeseries_value(series).is_some_and(is_number) => Ok(types.to_vec()),
        [series, per] if timeseries_value(series).is_some_and(is_number) && is_interval(per) => {
            Ok(vec![series.clone(), DataType::Interval(IntervalUnit::MonthDayNano)])
        }
        _ => unexpected(name, types, &format!("{name}(timeseries), {name}(timeseries, interval day to second)")),
    }
}

fn integral(args: &ScalarFunctionArgs) -> Result<ArrayRef> {
    let columns = arrays(args)?;
    let (series, per) = match columns.as_slice() {
        [series] => (series, None),
        [series, per] => (series, Some(per.as_primitive::<IntervalMonthDayNanoType>())),
        _ => return exec_err!("one or two arguments expected"),
    };
    let series = Series::of(series)?;
    let doubles = series.doubles()?;
    let areas = (0..series.len())
        .map(|row| {
            let per = match per {
                None => 1e9,
                Some(per) if per.is_valid(row) => interval::step(per.value(row))? as f64,
                Some(_) => return Ok(None),
            };
            Ok(series.row(row).map(|points| {
                let (times, values) = known(series.times, &doubles, points);
                let parts = times.windows(2).zip(values.windows(2));
                parts.map(|(t, v)| (v[0] + v[1]) / 2.0 * ((t[1] - t[0]) as f64 / per)).fold(0.0, |sum, part| sum + part)
            }))
        })
        .collect::<Result<Float64Array>>()?;
    Ok(Arc::new(areas))
}
