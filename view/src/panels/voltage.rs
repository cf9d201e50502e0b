//! Meters whose last voltage is out of tolerance, the worst first.

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
}

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

/// The answer.
pub async fn ask(view: &View, readings: Option<&Readings>) -> Result<Voltage> {
    let options = view.options();
    let nominal_volts = options.nominal_voltage;
    let mut voltage = Voltage {
        nominal_volts,
        low_volts: options.low_volts(),
        high_volts: options.high_volts(),
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
    Ok(voltage)
}
