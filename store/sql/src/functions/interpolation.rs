//! `interpolate_linear`, `interpolate_spline_cubic`, `interpolate_locf`, `interpolate_fill`: a series' values at given
//! times (an array: the result is a series) or at one time (the result is a number).
//!
//! Before the first and after the last known point linear and spline have no value: NULL. `locf` has none before the
//! first. `fill` has its constant wherever the series has no point.

use std::{ops::Range, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, Float64Array, ListArray, TimestampNanosecondArray},
    datatypes::{DataType, Field, Float64Type, TimestampNanosecondType},
};
use datafusion::{
    common::{Result, exec_err},
    logical_expr::{ScalarFunctionArgs, ScalarUDF},
};

use super::{arrays, columnar, is_number, is_time, unexpected};
use crate::{
    series::{Series, SeriesBuilder, TIMESTAMP, known, timeseries_type, timeseries_value},
    spline::NaturalSpline,
};

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![
        columnar("interpolate_linear", two, returns, |a| interpolate(a, |t, v, _| Box::new(Linear(t, v)))),
        columnar("interpolate_spline_cubic", two, returns, |a| {
            interpolate(a, |t, v, _| Box::new(NaturalSpline::new(t, v)))
        }),
        columnar("interpolate_locf", two, returns, |a| interpolate(a, |t, v, _| Box::new(Locf(t, v)))),
        columnar("interpolate_fill", three, returns, |a| interpolate(a, |t, v, fill| Box::new(Fill(t, v, fill)))),
    ]
}

/// A value at any time. It is asked for rising times mostly.
pub(crate) trait Curve {
    fn at(&self, time: i64) -> Option<f64>;
}

fn arguments(types: &[DataType]) -> Option<Vec<DataType>> {
    let [series, at, ..] = types else { return None };
    let numbers = timeseries_value(series).is_some_and(is_number) || *series == DataType::Null;
    let at = match at {
        DataType::List(item) if is_time(item.data_type()) => {
            DataType::List(Arc::new(Field::new_list_field(TIMESTAMP, true)))
        }
        t if is_time(t) => TIMESTAMP,
        _ => return None,
    };
    let series = if *series == DataType::Null { timeseries_type(DataType::Float64) } else { series.clone() };
    numbers.then(|| vec![series, at])
}

fn two(name: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    match arguments(types) {
        Some(coerced) if types.len() == 2 => Ok(coerced),
        _ => unexpected(
            name,
            types,
            &format!("{name}(timeseries(double), array(timestamp)), {name}(timeseries(double), timestamp)"),
        ),
    }
}

fn three(name: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    match (arguments(types), types) {
        (Some(mut coerced), [_, _, fill]) if is_number(fill) => {
            coerced.push(DataType::Float64);
            Ok(coerced)
        }
        _ => unexpected(
            name,
            types,
            &format!(
                "{name}(timeseries(double), array(timestamp), double), {name}(timeseries(double), timestamp, double)"
            ),
        ),
    }
}

fn returns(types: &[DataType]) -> Result<DataType> {
    Ok(match types.get(1) {
        Some(DataType::List(_)) => timeseries_type(DataType::Float64),
        _ => DataType::Float64,
    })
}

type MakeCurve = for<'a> fn(&'a [i64], &'a [f64], Option<f64>) -> Box<dyn Curve + 'a>;

fn interpolate(args: &ScalarFunctionArgs, curve: MakeCurve) -> Result<ArrayRef> {
    let columns = arrays(args)?;
    let (series, at, fill) = match columns.as_slice() {
        [series, at] => (series, at, None),
        [series, at, fill] => (series, at, Some(fill.as_primitive::<Float64Type>())),
        _ => return exec_err!("two or three arguments expected"),
    };
    let series = Series::of(series)?;
    let values = series.doubles()?;
    let points = |row: usize| series.row(row).map(|points: Range<usize>| known(series.times, &values, points));
    let fill = |row: usize| fill.and_then(|fill| fill.is_valid(row).then(|| fill.value(row)));

    if let Some(times) = at.as_primitive_opt::<TimestampNanosecondType>() {
        let times: &TimestampNanosecondArray = times;
        let out: Float64Array = (0..series.len())
            .map(|row| {
                let (known_times, known_values) = points(row).filter(|_| times.is_valid(row))?;
                curve(&known_times, &known_values, fill(row)).at(times.value(row))
            })
            .collect();
        return Ok(Arc::new(out));
    }
    let Some(lists) = at.as_list_opt::<i32>() else { return exec_err!("expected times, got {}", at.data_type()) };
    let lists: &ListArray = lists;
    let (offsets, times) = (lists.value_offsets(), lists.values().as_primitive::<TimestampNanosecondType>());
    let (mut builder, mut out) = (SeriesBuilder::default(), Vec::new());
    for row in 0..series.len() {
        let Some((known_times, known_values)) = points(row).filter(|_| lists.is_valid(row)) else {
            builder.null();
            continue;
        };
        let curve = curve(&known_times, &known_values, fill(row));
        let wanted = (offsets[row] as usize..offsets[row + 1] as usize).filter(|i| times.is_valid(*i));
        let mut wanted: Vec<i64> = wanted.map(|i| times.value(i)).collect();
        // A series is ordered, and has each time once, whatever the array was.
        if !wanted.is_sorted_by(|a, b| a < b) {
            wanted.sort_unstable();
            wanted.dedup();
        }
        out.extend(wanted.iter().map(|time| curve.at(*time)));
        builder.times.extend(wanted);
        builder.end();
    }
    builder.finish(Arc::new(Float64Array::from(out)))
}

struct Linear<'a>(&'a [i64], &'a [f64]);

impl Curve for Linear<'_> {
    fn at(&self, time: i64) -> Option<f64> {
        let Linear(times, values) = self;
        match times.binary_search(&time) {
            Ok(i) => Some(values[i]),
            Err(0) => None,
            Err(i) if i == times.len() => None,
            Err(i) => {
                // The share of the way, so that what lies between stays between.
                let share = (time - times[i - 1]) as f64 / (times[i] - times[i - 1]) as f64;
                Some(values[i - 1] * (1.0 - share) + values[i] * share)
            }
        }
    }
}

struct Locf<'a>(&'a [i64], &'a [f64]);

impl Curve for Locf<'_> {
    fn at(&self, time: i64) -> Option<f64> {
        let after = self.0.partition_point(|t| *t <= time);
        after.checked_sub(1).map(|i| self.1[i])
    }
}

struct Fill<'a>(&'a [i64], &'a [f64], Option<f64>);

impl Curve for Fill<'_> {
    fn at(&self, time: i64) -> Option<f64> {
        match self.0.binary_search(&time) {
            Ok(i) => Some(self.1[i]),
            Err(_) => self.2,
        }
    }
}
