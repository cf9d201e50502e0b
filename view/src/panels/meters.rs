//! Meters by a part of their name: what the search offers.

use serde::Serialize;

use crate::{error::Result, readings::Readings, sql::text, view::View};

/// So many are offered.
const OFFERED: usize = 12;

/// Some meters.
#[derive(Debug, Default, Serialize)]
pub struct Meters {
    /// How many there are.
    pub total: i64,
    /// The first of them, by name.
    pub meters: Vec<Found>,
}

/// A meter.
#[derive(Debug, Serialize)]
pub struct Found {
    /// Its name.
    pub id: String,
    /// Where it is.
    pub region: String,
    /// When it has said something last.
    pub seen_ms: i64,
}

/// The statement: newest points only, no file is read.
pub fn statement(readings: &Readings, find: &str) -> String {
    let Readings { table, meter, region, .. } = readings;
    let found = match find.is_empty() {
        true => String::new(),
        false => format!("WHERE strpos(lower({meter}), lower({})) > 0 ", text(find)),
    };
    format!(
        "SELECT meter, region, seen, count(*) OVER () AS total\n\
         FROM (SELECT {meter} AS meter, max_by({region}, time) AS region, max(time) AS seen FROM {table} {found}GROUP BY {meter})\n\
         ORDER BY meter LIMIT {OFFERED}"
    )
}

/// The answer.
pub async fn ask(view: &View, readings: Option<&Readings>, find: &str) -> Result<Meters> {
    let Some(readings) = readings else { return Ok(Meters::default()) };
    let rows = view.run(&statement(readings, find)).await?;
    let meters = rows.texts("meter")?.into_iter().zip(rows.texts("region")?).zip(rows.times("seen")?);
    let meters = meters
        .filter_map(|((id, region), seen)| Some(Found { id: id?, region: region.unwrap_or_default(), seen_ms: seen? }));
    Ok(Meters { total: rows.count("total")?, meters: meters.collect() })
}
