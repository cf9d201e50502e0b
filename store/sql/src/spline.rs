//! The natural cubic spline: two times continuously differentiable, straight at both ends.
//!
//! Times are counted in seconds from the first point, so that their powers stay small.

use crate::functions::Curve;

pub(crate) struct NaturalSpline<'a> {
    times: &'a [i64],
    values: &'a [f64],
    /// The second derivative at every point, per square second.
    curvature: Vec<f64>,
}

impl<'a> NaturalSpline<'a> {
    /// Through points of rising times.
    pub fn new(times: &'a [i64], values: &'a [f64]) -> Self {
        let n = times.len();
        let mut curvature = vec![0.0; n];
        if n > 2 {
            // Thomas' algorithm on the tridiagonal system; the first and the last are 0.
            let step = |i: usize| seconds(times[i + 1] - times[i]);
            let slope = |i: usize| (values[i + 1] - values[i]) / step(i);
            let (mut upper, mut right) = (vec![0.0; n], vec![0.0; n]);
            for i in 1..n - 1 {
                let pivot = 2.0 * (step(i - 1) + step(i)) - step(i - 1) * upper[i - 1];
                upper[i] = step(i) / pivot;
                right[i] = (6.0 * (slope(i) - slope(i - 1)) - step(i - 1) * right[i - 1]) / pivot;
            }
            for i in (1..n - 1).rev() {
                curvature[i] = right[i] - upper[i] * curvature[i + 1];
            }
        }
        NaturalSpline { times, values, curvature }
    }
}

impl Curve for NaturalSpline<'_> {
    fn at(&self, time: i64) -> Option<f64> {
        let right = match self.times.binary_search(&time) {
            Ok(i) => return Some(self.values[i]),
            Err(0) => return None,
            Err(i) if i == self.times.len() => return None,
            Err(i) => i,
        };
        let left = right - 1;
        let h = seconds(self.times[right] - self.times[left]);
        let (a, b) = (seconds(self.times[right] - time), seconds(time - self.times[left]));
        let (m0, m1) = (self.curvature[left], self.curvature[right]);
        Some(
            (m0 * a.powi(3) + m1 * b.powi(3)) / (6.0 * h)
                + (self.values[left] / h - m0 * h / 6.0) * a
                + (self.values[right] / h - m1 * h / 6.0) * b,
        )
    }
}

fn seconds(nanoseconds: i64) -> f64 {
    nanoseconds as f64 / 1e9
}
