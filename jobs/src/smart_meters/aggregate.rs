//! Energy per meter and region over a minute or an hour: rows of `aggregates_1m` and
//! `aggregates_1h`.
//!
//! Sums are exact: every value is rounded once to a billionth, and whole billionths are added.
//! A float sum depends on the order in which readings arrive; this one does not, so that a run
//! that was killed twenty times writes the same bytes as one that was not.

use compact_str::CompactString;
use hurtig_operators::window::TimeWindow;
use hurtig_state::AggregateFunction;
use serde::{Deserialize, Serialize};

use super::{
    payload::TimestreamPayload,
    reading::{is_energy, measure_of},
};

/// Billionths in one.
const SCALE: f64 = 1e9;

/// What is added up by itself: a meter in a region, and what it measures.
pub type EnergyKey = (CompactString, CompactString, CompactString);

/// An energy that was used in an interval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Energy {
    /// The meter.
    pub meter_id: CompactString,
    /// Its region.
    pub region: CompactString,
    /// `kwh`, `wh` or `therm`.
    pub measure: CompactString,
    /// How much.
    pub value: f64,
    /// How far its split's event time had come when it was read, in milliseconds.
    pub split_time: i64,
}

impl Energy {
    /// The energies in a message: usually one.
    pub fn all(payload: TimestreamPayload) -> impl Iterator<Item = Energy> {
        let TimestreamPayload { meter_id, region, measures, split_time, .. } = payload;
        measures.into_iter().filter_map(move |m| {
            let measure = measure_of(&m.name);
            is_energy(measure).then(|| Energy {
                meter_id: meter_id.clone(),
                region: region.clone(),
                measure: measure.to_ascii_lowercase().into(),
                value: m.value,
                split_time,
            })
        })
    }

    /// What it is added up by.
    pub fn key(&self) -> EnergyKey {
        (self.meter_id.clone(), self.region.clone(), self.measure.clone())
    }
}

/// What is kept of a window.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Total {
    /// In billionths.
    sum: i128,
    count: u64,
    min: f64,
    max: f64,
}

impl Total {
    /// The sum.
    pub fn sum(&self) -> f64 {
        self.sum as f64 / SCALE
    }
}

/// Adds energies up.
#[derive(Debug, Clone, Copy, Default)]
pub struct SumEnergy;

impl AggregateFunction for SumEnergy {
    type In = Energy;
    type Acc = Total;
    type Out = Total;

    fn create_accumulator(&self) -> Total {
        Total { sum: 0, count: 0, min: f64::INFINITY, max: f64::NEG_INFINITY }
    }

    #[inline]
    fn add(&self, total: &mut Total, energy: Energy) {
        // A float beyond i128 saturates; the sum then does so as well, and never wraps around.
        total.sum = total.sum.saturating_add((energy.value * SCALE).round() as i128);
        total.count += 1;
        total.min = total.min.min(energy.value);
        total.max = total.max.max(energy.value);
    }

    fn get_result(&self, total: &Total) -> Total {
        *total
    }

    fn merge(&self, total: &mut Total, other: Total) {
        total.sum = total.sum.saturating_add(other.sum);
        total.count += other.count;
        total.min = total.min.min(other.min);
        total.max = total.max.max(other.max);
    }
}

/// A row of `aggregates_1m` or `aggregates_1h`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Aggregate {
    /// The meter.
    pub meter_id: CompactString,
    /// Its region.
    pub region: CompactString,
    /// The window's first millisecond since the epoch.
    pub window_start: i64,
    /// The first millisecond behind it.
    pub window_end: i64,
    /// The energy in it.
    pub sum: f64,
    /// From how many readings.
    pub count: u64,
    /// The least of them.
    pub min: f64,
    /// The greatest.
    pub max: f64,
    /// `sum / count`.
    pub avg: f64,
    /// `kwh`, `wh` or `therm`.
    pub measure: CompactString,
}

impl Aggregate {
    /// The row of a window that has fired.
    pub fn of(key: &EnergyKey, window: TimeWindow, total: Total) -> Self {
        let (meter_id, region, measure) = key.clone();
        let sum = total.sum();
        Aggregate {
            meter_id,
            region,
            window_start: window.start,
            window_end: window.end,
            sum,
            count: total.count,
            min: total.min,
            max: total.max,
            avg: sum / total.count as f64,
            measure,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn total(values: &[f64]) -> Total {
        let mut total = SumEnergy.create_accumulator();
        for value in values {
            let energy = Energy {
                meter_id: "m".into(),
                region: "uk".into(),
                measure: "kwh".into(),
                value: *value,
                split_time: 0,
            };
            SumEnergy.add(&mut total, energy);
        }
        total
    }

    #[test]
    fn the_order_of_arrival_does_not_change_a_sum() {
        let mut values: Vec<f64> = (1..=1_000).map(|i| f64::from(i * i) * 0.123).collect();
        let floats = |v: &[f64]| v.iter().fold(0.0, |sum, value| sum + value);
        let (forwards, as_floats) = (total(&values), floats(&values));
        values.reverse();
        assert_eq!(total(&values), forwards);
        assert_ne!(floats(&values), as_floats, "a float sum would differ: otherwise this test proves nothing");
        assert_eq!(forwards.sum(), 41_061_520.5);
    }

    #[test]
    fn merging_is_adding() {
        let (a, b) = (total(&[0.1, 0.2]), total(&[0.3, -4.0]));
        let mut merged = a;
        SumEnergy.merge(&mut merged, b);
        assert_eq!(merged, total(&[0.1, 0.2, 0.3, -4.0]));
    }

    #[test]
    fn a_row_has_everything() {
        let key = ("m".into(), "uk".into(), "kwh".into());
        let row = Aggregate::of(&key, TimeWindow { start: 60_000, end: 120_000 }, total(&[0.1, 0.2]));
        assert_eq!((row.sum, row.count, row.min, row.max), (0.3, 2, 0.1, 0.2));
        assert_eq!((row.avg, row.window_start, row.window_end), (0.15, 60_000, 120_000));
    }

    #[test]
    fn only_energy_is_added_up() {
        let p = TimestreamPayload::from_json(
            r#"{"meter_id":"m","time":5,"kwh_measure":1,"voltage_measure":230,"THERM_MEASURE":2}"#,
        );
        let all: Vec<_> = Energy::all(p.expect("payload")).map(|e| (e.measure.to_string(), e.value)).collect();
        assert_eq!(all, [("kwh".to_owned(), 1.0), ("therm".to_owned(), 2.0)]);
    }
}
