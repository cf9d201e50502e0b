//! The fleet at a glance.

use serde::Serialize;

use crate::{
    error::Result,
    moment::Moment,
    options::ViewOptions,
    readings::{Readings, VALUE},
    rows::first,
    sql::{double, time},
    view::View,
};

const DAY_MS: i64 = 86_400_000;

/// How many there are, and how they are.
#[derive(Debug, Default, Serialize)]
pub struct Fleet {
    /// Meters that have ever said something.
    pub meters: i64,
    /// Their regions.
    pub regions: i64,
    /// Meters that have said nothing for `silent_after_ms`.
    pub silent: i64,
    /// How long that is.
    pub silent_after_ms: i64,
    /// Meters with a voltage.
    pub measured: i64,
    /// Those of them whose last one is out of tolerance.
    pub outside: i64,
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

/// The statement: the newest points twice (they are known, no file is read), and two quarters of an hour.
pub fn statement(readings: &Readings, options: &ViewOptions, moment: Moment) -> String {
    let Readings { table, meter, region, is_energy, is_voltage } = readings;
    let (now, silent_after) = (moment.now_ms, options.silent_after_ms());
    let silent_since = time(now - silent_after);
    let (low, high) = (double(options.low_volts()), double(options.high_volts()));
    let energy = |end: i64| {
        let (from, to) = (time(end - silent_after), time(end));
        format!("SELECT sum({VALUE}) AS kwh FROM {table} WHERE {is_energy} AND time > {from} AND time <= {to}")
    };
    let (energy_now, energy_before) = (energy(now), energy(now - DAY_MS));
    format!(
        "SELECT f.meters, f.regions, f.silent, v.measured, v.outside, e.kwh, b.kwh AS kwh_before\n\
         FROM (SELECT count(*) AS meters, count(DISTINCT region) AS regions, count_if(seen < {silent_since}) AS silent\n      \
         FROM (SELECT {meter} AS meter, max_by({region}, time) AS region, max(time) AS seen FROM {table} GROUP BY {meter})) f\n\
         CROSS JOIN (SELECT count(*) AS measured, count_if(volts NOT BETWEEN {low} AND {high}) AS outside\n      \
         FROM (SELECT {meter} AS meter, max_by({VALUE}, time) AS volts FROM {table} WHERE {is_voltage} GROUP BY {meter})) v\n\
         CROSS JOIN ({energy_now}) e\n\
         CROSS JOIN ({energy_before}) b"
    )
}

/// The answer.
pub async fn ask(view: &View, readings: Option<&Readings>, moment: Moment) -> Result<Fleet> {
    let options = view.options();
    let silent_after_ms = options.silent_after_ms();
    let mut fleet =
        Fleet { silent_after_ms, low_volts: options.low_volts(), high_volts: options.high_volts(), ..Fleet::default() };
    let Some(readings) = readings else { return Ok(fleet) };
    let rows = view.run(&statement(readings, options, moment)).await?;
    fleet.meters = rows.count("meters")?;
    fleet.regions = rows.count("regions")?;
    fleet.silent = rows.count("silent")?;
    fleet.measured = rows.count("measured")?;
    fleet.outside = rows.count("outside")?;
    fleet.kwh = first(rows.doubles("kwh")?).unwrap_or(0.0);
    let hours = silent_after_ms as f64 / 3_600_000.0;
    fleet.kw = fleet.kwh / hours;
    fleet.kw_day_before = first(rows.doubles("kwh_before")?).map(|kwh| kwh / hours);
    Ok(fleet)
}
