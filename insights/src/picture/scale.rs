//! From values to pixels, with ticks that people would choose.

use plotters::coord::{ranged1d::Ranged, types::RangedCoordf64};

/// A scale for numbers.
#[derive(Debug, Clone)]
pub struct Scale {
    values: (f64, f64),
    pixels: (f64, f64),
    ticks: Vec<f64>,
}

impl Scale {
    /// From these values to these pixels, with about so many ticks. Nothing and no numbers have a scale too.
    pub fn new(values: (f64, f64), pixels: (f64, f64), ticks: usize) -> Self {
        let (low, high) = values;
        let values = match low.is_finite() && high.is_finite() && high > low {
            true => (low, high),
            false if low.is_finite() => (low, low + 1.0),
            false => (0.0, 1.0),
        };
        let ticks = RangedCoordf64::from(values.0..values.1).key_points(ticks);
        Scale { values, pixels, ticks }
    }

    /// From nothing to somewhat more than the most of these.
    pub fn from_zero(values: impl IntoIterator<Item = f64>, pixels: (f64, f64), ticks: usize) -> Self {
        let most = values.into_iter().filter(|v| v.is_finite()).fold(0.0, f64::max);
        Scale::new((0.0, most * 1.06), pixels, ticks)
    }

    /// Where a value is. One beyond the ends is at the end.
    pub fn at(&self, value: f64) -> f64 {
        let share = ((value - self.values.0) / (self.values.1 - self.values.0)).clamp(0.0, 1.0);
        self.pixels.0 + share * (self.pixels.1 - self.pixels.0)
    }

    /// The values with a line each.
    pub fn ticks(&self) -> &[f64] {
        &self.ticks
    }
}
