//! Meters whose last voltage is out of tolerance, the worst first, and how all last voltages lie.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    error::Result,
    last_values::{LastValues, LastVoltage},
    readings::Readings,
    rows::ms,
    view::View,
};

/// Who is out of tolerance.
#[derive(Debug, Default, Serialize)]
pub struct Voltage {
    /// What it should be.
    pub nominal_volts: f64,
    /// The lowest voltage within the tolerance.
    pub low_volts: f64,
    /// The highest voltage within the tolerance.
    pub high_volts: f64,
    /// How many are out of it.
    pub total: usize,
    /// The worst of them.
    pub meters: Vec<Outside>,
    /// How wide a step of the distribution is, in volts: a half of the tolerance has 23, so both limits are between two.
    pub step_volts: f64,
    /// How all meters' last voltages lie, from the lowest step on; a step without a meter is left out.
    pub distribution: Vec<Step>,
}

/// Meters whose last voltage lies between two limits.
#[derive(Debug, PartialEq, Serialize)]
pub struct Step {
    /// The lower limit, which belongs to it. What is further out than twice the tolerance is in the outermost step.
    pub from_volts: f64,
    /// How many.
    pub meters: usize,
}

/// Steps of the distribution on each side of the nominal voltage within the tolerance; outside there are as many.
const STEPS: i64 = 23;

/// A meter out of tolerance.
#[derive(Debug, Serialize)]
pub struct Outside {
    /// Its name.
    pub id: String,
    /// Where it is.
    pub region: String,
    /// Its last voltage.
    pub volts: f64,
    /// How far that is from what it should be, as a share of that: -0.12 is 12 % too low.
    pub deviation: f64,
    /// When it was measured.
    pub at_ms: i64,
}

/// The answer.
pub async fn ask(view: &View, readings: Option<&Readings>) -> Result<Voltage> {
    let options = view.options();
    let mut voltage = Voltage {
        nominal_volts: options.nominal_voltage,
        low_volts: options.low_volts(),
        high_volts: options.high_volts(),
        step_volts: options.nominal_voltage * options.tolerance / STEPS as f64,
        ..Voltage::default()
    };
    let Some(readings) = readings else { return Ok(voltage) };
    let last = view.last_values(readings).await?;
    voltage.list(&last, options.list_rows);
    voltage.distribute(&last);
    Ok(voltage)
}

impl Voltage {
    fn list(&mut self, last: &LastValues, rows: usize) {
        let (within, nominal) = (self.low_volts..=self.high_volts, self.nominal_volts);
        let measured = last.meters.iter().filter_map(|meter| Some((meter, meter.voltage?)));
        let mut outside: Vec<_> = measured.filter(|(_, voltage)| !within.contains(&voltage.volts)).collect();
        self.total = outside.len();
        let distance = |voltage: &LastVoltage| (voltage.volts - nominal).abs();
        outside.sort_unstable_by(|(a, of_a), (b, of_b)| {
            distance(of_b).total_cmp(&distance(of_a)).then_with(|| a.id.cmp(&b.id))
        });
        let listed = outside.into_iter().take(rows).map(|(meter, LastVoltage { volts, at })| Outside {
            id: meter.id.clone(),
            region: meter.region.clone().unwrap_or_default(),
            volts,
            deviation: volts / nominal - 1.0,
            at_ms: ms(at),
        });
        self.meters = listed.collect();
    }

    fn distribute(&mut self, last: &LastValues) {
        let mut distribution: BTreeMap<i64, usize> = BTreeMap::new();
        for voltage in last.meters.iter().filter_map(|meter| meter.voltage) {
            let step = ((voltage.volts - self.low_volts) / self.step_volts).floor();
            // Within the tolerance the steps are 0 to 45.
            let step = (step as i64).clamp(-STEPS, 3 * STEPS - 1);
            *distribution.entry(step).or_default() += 1;
        }
        let from_volts = |step: i64| self.low_volts + step as f64 * self.step_volts;
        self.distribution =
            distribution.into_iter().map(|(step, meters)| Step { from_volts: from_volts(step), meters }).collect();
    }
}
