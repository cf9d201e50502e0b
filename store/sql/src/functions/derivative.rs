//! `derivative_linear(ts, interval)`: the change from point to point, per interval; `non_negative_derivative_linear`
//! leaves out what is negative (a counter that was set back).
//!
//! The first point has no point before it: the result begins with the second one.

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
    series::{Series, SeriesBuilder, known, timeseries_type, timeseries_value},
};

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    let returns = |_: &[DataType]| Ok(timeseries_type(DataType::Float64));
    vec![
        columnar("derivative_linear", types, returns, |a| derivative(a, |_| true)),
        columnar("non_negative_derivative_linear", types, returns, |a| derivative(a, |rate| rate >= 0.0)),
    ]
}

fn types(name: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    match types {
        [series, per] if timeseries_value(series).is_some_and(is_number) && is_interval(per) => {
            Ok(vec![series.clone(), DataType::Interval(IntervalUnit::MonthDayNano)])
        }
        _ => unexpected(name, types, &format!("{name}(timeseries, interval day to second)")),
    }
}

fn derivative(args: &ScalarFunctionArgs, keep: fn(f64) -> bool) -> Result<ArrayRef> {
    let columns = arrays(args)?;
    let [series, per] = columns.as_slice() else { return exec_err!("two arguments expected") };
    let (series, per) = (Series::of(series)?, per.as_primitive::<IntervalMonthDayNanoType>());
    let doubles = series.doubles()?;
    let (mut builder, mut rates) = (SeriesBuilder::default(), Vec::new());
    for row in 0..series.len() {
        let Some(points) = series.row(row).filter(|_| per.is_valid(row)) else {
            builder.null();
            continue;
        };
        let per = interval::step(per.value(row))? as f64;
        let (times, values) = known(series.times, &doubles, points);
        for (time, value) in times.windows(2).zip(values.windows(2)) {
            let rate = (value[1] - value[0]) * per / (time[1] - time[0]) as f64;
            if keep(rate) {
                builder.times.push(time[1]);
                rates.push(rate);
            }
        }
        builder.end();
    }
    builder.finish(Arc::new(Float64Array::from(rates)))
}
