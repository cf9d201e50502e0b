//! Meters whose last voltage is out of tolerance, the worst first, and how all last voltages lie.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    error::Result,
    options::ViewOptions,
    readings::{Readings, VALUE},
    sql::double,
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
    pub total: i64,
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
    pub meters: i64,
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

/// The statement: newest points only, no file is read.
pub fn statement(readings: &Readings, options: &ViewOptions) -> String {
    let Readings { table, meter, region, is_voltage, .. } = readings;
    let (low, high, nominal) =
        (double(options.low_volts()), double(options.high_volts()), double(options.nominal_voltage));
    format!(
        "SELECT meter, region, volts, seen, count(*) OVER () AS total\n\
         FROM (SELECT {meter} AS meter, max_by({region}, time) AS region, max_by({VALUE}, time) AS volts, max(time) AS seen\n      \
         FROM {table} WHERE {is_voltage} GROUP BY {meter})\n\
         WHERE volts NOT BETWEEN {low} AND {high} ORDER BY abs(volts - {nominal}) DESC, meter LIMIT {}",
        options.list_rows
    )
}

/// The statement for the distribution: newest points only, no file is read.
pub fn distribution_statement(readings: &Readings, options: &ViewOptions) -> String {
    let Readings { table, meter, is_voltage, .. } = readings;
    let (low, step) = (double(options.low_volts()), double(step_volts(options)));
    format!(
        "SELECT CAST(floor((volts - {low}) / {step}) AS BIGINT) AS step, count(*) AS meters\n\
         FROM (SELECT {meter} AS meter, max_by({VALUE}, time) AS volts FROM {table} WHERE {is_voltage} GROUP BY {meter})\n\
         GROUP BY 1 ORDER BY 1"
    )
}

fn step_volts(options: &ViewOptions) -> f64 {
    options.nominal_voltage * options.tolerance / STEPS as f64
}

/// The answer.
pub async fn ask(view: &View, readings: Option<&Readings>) -> Result<Voltage> {
    let options = view.options();
    let nominal_volts = options.nominal_voltage;
    let mut voltage = Voltage {
        nominal_volts,
        low_volts: options.low_volts(),
        high_volts: options.high_volts(),
        step_volts: step_volts(options),
        ..Voltage::default()
    };
    let Some(readings) = readings else { return Ok(voltage) };
    let rows = view.run(&statement(readings, options)).await?;
    voltage.total = rows.count("total")?;
    let who = rows.texts("meter")?.into_iter().zip(rows.texts("region")?);
    let what = rows.doubles("volts")?.into_iter().zip(rows.times("seen")?);
    let meters = who.zip(what).filter_map(|((id, region), (volts, at))| {
        let (volts, region) = (volts?, region.unwrap_or_default());
        Some(Outside { id: id?, region, volts, deviation: volts / nominal_volts - 1.0, at_ms: at? })
    });
    voltage.meters = meters.collect();
    let rows = view.run(&distribution_statement(readings, options)).await?;
    let mut distribution: BTreeMap<i64, i64> = BTreeMap::new();
    for (step, meters) in rows.integers("step")?.into_iter().zip(rows.integers("meters")?) {
        // Within the tolerance the steps are 0 to 45.
        let step = step.unwrap_or(0).clamp(-STEPS, 3 * STEPS - 1);
        *distribution.entry(step).or_default() += meters.unwrap_or(0);
    }
    let from_volts = |step: i64| voltage.low_volts + step as f64 * voltage.step_volts;
    voltage.distribution =
        distribution.into_iter().map(|(step, meters)| Step { from_volts: from_volts(step), meters }).collect();
    Ok(voltage)
}
