//! The fleet at a glance.

use std::collections::HashSet;

use serde::Serialize;

use crate::{
    error::Result,
    last_values::LastValues,
    moment::Moment,
    options::ViewOptions,
    readings::{Readings, VALUE},
    rows::{first, ms},
    sql::time,
    view::View,
};

const DAY_MS: i64 = 86_400_000;

/// How many there are, and how they are.
#[derive(Debug, Default, Serialize)]
pub struct Fleet {
    /// Meters that have ever said something.
    pub meters: usize,
    /// Their regions.
    pub regions: usize,
    /// Meters that have said nothing for `silent_after_ms`.
    pub silent: usize,
    /// How long that is.
    pub silent_after_ms: i64,
    /// Meters with a voltage.
    pub measured: usize,
    /// Those of them whose last one is out of tolerance.
    pub outside: usize,
    /// The lowest voltage within it.
    pub low_volts: f64,
    /// The highest voltage within it.
    pub high_volts: f64,
    /// The energy of the last `silent_after_ms`: all meters that are not silent have spoken in it.
    pub kwh: f64,
    /// The mean power of that time.
    pub kw: f64,
    /// The same a day before; none when there were no readings.
    pub kw_day_before: Option<f64>,
}

/// The statement for the energy; how many there are, and how they are, is known from the last values.
pub fn energy_statement(readings: &Readings, options: &ViewOptions, moment: Moment) -> String {
    let Readings { table, is_energy, .. } = readings;
    let (now, silent_after) = (moment.now_ms, options.silent_after_ms());
    let energy = |end: i64| {
        let (from, to) = (time(end - silent_after), time(end));
        format!("SELECT sum({VALUE}) AS kwh FROM {table} WHERE {is_energy} AND time > {from} AND time <= {to}")
    };
    let (energy_now, energy_before) = (energy(now), energy(now - DAY_MS));
    format!("SELECT e.kwh, b.kwh AS kwh_before\nFROM ({energy_now}) e\nCROSS JOIN ({energy_before}) b")
}

/// The answer.
pub async fn ask(view: &View, readings: Option<&Readings>, moment: Moment) -> Result<Fleet> {
    let options = view.options();
    let silent_after_ms = options.silent_after_ms();
    let mut fleet =
        Fleet { silent_after_ms, low_volts: options.low_volts(), high_volts: options.high_volts(), ..Fleet::default() };
    let Some(readings) = readings else { return Ok(fleet) };
    let energy = energy_statement(readings, options, moment);
    let (last, energy) = tokio::join!(view.last_values(readings), view.run(&energy));
    let (last, energy) = (last?, energy?);
    fleet.count(&last, moment);
    fleet.kwh = first(energy.doubles("kwh")?).unwrap_or(0.0);
    let hours = silent_after_ms as f64 / 3_600_000.0;
    fleet.kw = fleet.kwh / hours;
    fleet.kw_day_before = first(energy.doubles("kwh_before")?).map(|kwh| kwh / hours);
    Ok(fleet)
}

impl Fleet {
    fn count(&mut self, last: &LastValues, moment: Moment) {
        let within = self.low_volts..=self.high_volts;
        let silent_since = moment.now_ms - self.silent_after_ms;
        let mut regions = HashSet::new();
        for meter in &last.meters {
            self.meters += 1;
            regions.extend(meter.region.as_deref());
            self.silent += usize::from(ms(meter.seen) < silent_since);
            self.measured += usize::from(meter.voltage.is_some());
            self.outside += usize::from(meter.voltage.is_some_and(|v| !within.contains(&v.volts)));
        }
        self.regions = regions.len();
    }
}
