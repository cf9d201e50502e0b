//! One meter: its last values, and a day of its energy and voltage by the minute.

use serde::Serialize;

use crate::{
    error::{Error, Result},
    moment::Moment,
    options::ViewOptions,
    readings::{Readings, VALUE},
    sql::{text, time},
    view::View,
};

const DAY_MS: i64 = 86_400_000;

/// One meter.
#[derive(Debug, Serialize)]
pub struct Meter {
    /// Its name.
    pub id: String,
    /// Where it is.
    pub region: String,
    /// When it has said something last.
    pub seen_ms: i64,
    /// Whether that is too long ago.
    pub silent: bool,
    /// After how long it is.
    pub silent_after_ms: i64,
    /// Its last voltage, and when that was.
    pub volts: Option<Last>,
    /// Its last energy, and when that was.
    pub kwh: Option<Last>,
    /// Whether the last voltage is out of tolerance.
    pub outside: bool,
    /// What it should be.
    pub nominal_volts: f64,
    /// The lowest voltage within the tolerance.
    pub low_volts: f64,
    /// The highest voltage within the tolerance.
    pub high_volts: f64,
    /// The day's beginning; not part of it.
    pub from_ms: i64,
    /// The day's end.
    pub to_ms: i64,
    /// The day's energy, kWh.
    pub sum_kwh: f64,
    /// How many of the day's minutes had a voltage out of tolerance.
    pub steps_outside: usize,
    /// The day's minutes that have readings.
    pub steps: Vec<Step>,
}

/// A last value.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Last {
    /// The value.
    pub value: f64,
    /// When it was measured.
    pub at_ms: i64,
}

/// A minute.
#[derive(Debug, Serialize)]
pub struct Step {
    /// Its beginning.
    pub at_ms: i64,
    /// Energy.
    pub kwh: Option<f64>,
    /// Mean voltage.
    pub volts: Option<f64>,
    /// The lowest voltage.
    pub low: Option<f64>,
    /// The highest voltage.
    pub high: Option<f64>,
}

/// The statement for the last values: newest points only, no file is read.
pub fn last_statement(readings: &Readings, id: &str) -> String {
    let Readings { table, meter, region, .. } = readings;
    let id = text(id);
    format!(
        "SELECT measure_name, max(time) AS seen, max_by({VALUE}, time) AS value, max_by({region}, time) AS region\n\
         FROM {table} WHERE {meter} = {id} GROUP BY measure_name ORDER BY measure_name"
    )
}

/// The statement for the day that ends at `to_ms`.
pub fn day_statement(readings: &Readings, options: &ViewOptions, id: &str, to_ms: i64) -> String {
    let Readings { table, meter, .. } = readings;
    let (from, to) = (time(to_ms - DAY_MS), time(to_ms));
    let (id, energy, voltage) = (text(id), text(&options.energy), text(&options.voltage));
    let of = |measure: &str| format!("CASE WHEN measure_name = {measure} THEN {VALUE} END");
    let (energy, voltage) = (of(&energy), of(&voltage));
    format!(
        "SELECT bin(time, 1m) AS step, sum({energy}) AS kwh,\n       \
         avg({voltage}) AS volts,\n       min({voltage}) AS low,\n       max({voltage}) AS high\n\
         FROM {table} WHERE {meter} = {id} AND time > {from} AND time <= {to}\n\
         GROUP BY bin(time, 1m) ORDER BY step"
    )
}

/// The answer.
pub async fn ask(
    view: &View,
    readings: Option<&Readings>,
    id: String,
    until: Option<i64>,
    moment: Moment,
) -> Result<Meter> {
    let options = view.options();
    let unknown = || Error::NotFound(format!("There is no meter '{id}' in {}.{}.", options.database, options.table));
    let readings = readings.ok_or_else(unknown)?;
    let last = view.run(&last_statement(readings, &id)).await?;
    let (names, seen, values) = (last.texts("measure_name")?, last.times("seen")?, last.doubles("value")?);
    let newest = seen.iter().copied().enumerate().max_by_key(|(_, seen)| *seen);
    let Some((at, Some(seen_ms))) = newest else { return Err(unknown()) };
    let region = last.texts("region")?.into_iter().nth(at).flatten().unwrap_or_default();
    let last_of = |measure: &str| {
        let place = names.iter().position(|name| name.as_deref() == Some(measure))?;
        let value = values.get(place).copied().flatten()?;
        Some(Last { value, at_ms: seen.get(place).copied().flatten()? })
    };
    let (volts, kwh) = (last_of(&options.voltage), last_of(&options.energy));
    // A meter that has been silent for longer than a day has its day when it still spoke.
    let to_ms = until.unwrap_or(if moment.now_ms - seen_ms < DAY_MS { moment.now_ms } else { seen_ms });
    let rows = view.run(&day_statement(readings, options, &id, to_ms)).await?;
    let (at, kwhs, means) = (rows.times("step")?, rows.doubles("kwh")?, rows.doubles("volts")?);
    let (lows, highs) = (rows.doubles("low")?, rows.doubles("high")?);
    let values = at.into_iter().zip(kwhs).zip(means).zip(lows).zip(highs);
    let steps: Vec<Step> = values
        .filter_map(|((((at, kwh), volts), low), high)| Some(Step { at_ms: at?, kwh, volts, low, high }))
        .collect();
    let (low_volts, high_volts) = (options.low_volts(), options.high_volts());
    let is_outside = |volts: f64| volts < low_volts || volts > high_volts;
    let silent_after_ms = options.silent_after_ms();
    Ok(Meter {
        region,
        seen_ms,
        silent: moment.now_ms - seen_ms > silent_after_ms,
        silent_after_ms,
        outside: volts.is_some_and(|last| is_outside(last.value)),
        volts,
        kwh,
        nominal_volts: options.nominal_voltage,
        low_volts,
        high_volts,
        from_ms: to_ms - DAY_MS,
        to_ms,
        sum_kwh: steps.iter().filter_map(|step| step.kwh).sum(),
        steps_outside: steps.iter().filter(|s| s.low.is_some_and(is_outside) || s.high.is_some_and(is_outside)).count(),
        steps,
        id,
    })
}
