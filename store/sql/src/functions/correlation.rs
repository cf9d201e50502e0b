//! `correlate_pearson(ts, ts)` and `correlate_spearman(ts, ts)`: over the times that both series have.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, Float64Array},
    datatypes::DataType,
};
use datafusion::{
    common::{Result, exec_err},
    logical_expr::{ScalarFunctionArgs, ScalarUDF},
};

use super::{arrays, columnar, is_number, unexpected};
use crate::series::{Series, known, timeseries_value};

pub(super) fn pearson() -> Arc<ScalarUDF> {
    columnar("correlate_pearson", types, |_| Ok(DataType::Float64), |a| correlate(a, coefficient))
}

pub(super) fn spearman() -> Arc<ScalarUDF> {
    columnar(
        "correlate_spearman",
        types,
        |_| Ok(DataType::Float64),
        |a| correlate(a, |x, y| coefficient(&ranks(x), &ranks(y))),
    )
}

fn types(name: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    match types {
        [x, y] if [x, y].iter().all(|t| timeseries_value(t).is_some_and(is_number)) => Ok(types.to_vec()),
        _ => unexpected(name, types, &format!("{name}(timeseries, timeseries)")),
    }
}

fn correlate(args: &ScalarFunctionArgs, coefficient: impl Fn(&[f64], &[f64]) -> Option<f64>) -> Result<ArrayRef> {
    let columns = arrays(args)?;
    let [x, y] = columns.as_slice() else { return exec_err!("two arguments expected") };
    let (x, y) = (Series::of(x)?, Series::of(y)?);
    let (x_doubles, y_doubles) = (x.doubles()?, y.doubles()?);
    let out: Float64Array = (0..x.len())
        .map(|row| {
            let (x_times, x_values) = known(x.times, &x_doubles, x.row(row)?);
            let (y_times, y_values) = known(y.times, &y_doubles, y.row(row)?);
            let (mut left, mut right) = (Vec::new(), Vec::new());
            for (time, value) in x_times.iter().zip(x_values) {
                if let Ok(i) = y_times.binary_search(time) {
                    left.push(value);
                    right.push(y_values[i]);
                }
            }
            coefficient(&left, &right)
        })
        .collect();
    Ok(Arc::new(out))
}

/// Pearson's; none for less than two points, or when one side does not change.
fn coefficient(x: &[f64], y: &[f64]) -> Option<f64> {
    let n = x.len() as f64;
    let (mean_x, mean_y) = (x.iter().sum::<f64>() / n, y.iter().sum::<f64>() / n);
    let (mut xy, mut xx, mut yy) = (0.0, 0.0, 0.0);
    for (x, y) in x.iter().zip(y) {
        xy += (x - mean_x) * (y - mean_y);
        xx += (x - mean_x).powi(2);
        yy += (y - mean_y).powi(2);
    }
    let r = xy / (xx.sqrt() * yy.sqrt());
    r.is_finite().then_some(r)
}

/// Ranks from 1; equal values share their mean rank.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    let mut first = 0;
    while first < order.len() {
        let mut last = first;
        while last + 1 < order.len() && values[order[last + 1]] == values[order[first]] {
            last += 1;
        }
        let rank = (first + last) as f64 / 2.0 + 1.0;
        for i in &order[first..=last] {
            ranks[*i] = rank;
        }
        first = last + 1;
    }
    ranks
}
