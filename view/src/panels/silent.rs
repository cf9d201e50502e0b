//! Meters that have said nothing for a while, the longest silent first.

use serde::Serialize;

use crate::{error::Result, moment::Moment, options::ViewOptions, readings::Readings, sql::time, view::View};

/// Who is silent.
#[derive(Debug, Default, Serialize)]
pub struct Silent {
    /// After how long a meter is.
    pub silent_after_ms: i64,
    /// How many are.
    pub total: i64,
    /// The longest silent of them.
    pub meters: Vec<SilentMeter>,
}

/// A meter that says nothing.
#[derive(Debug, Serialize)]
pub struct SilentMeter {
    /// Its name.
    pub id: String,
    /// Where it is.
    pub region: String,
    /// When it has said something last.
    pub seen_ms: i64,
    /// How long ago that is.
    pub silent_ms: i64,
}

/// The statement: newest points only, no file is read.
pub fn statement(readings: &Readings, options: &ViewOptions, moment: Moment) -> String {
    let Readings { table, meter, region, .. } = readings;
    let since = time(moment.now_ms - options.silent_after_ms());
    format!(
        "SELECT meter, region, seen, count(*) OVER () AS total\n\
         FROM (SELECT {meter} AS meter, max_by({region}, time) AS region, max(time) AS seen FROM {table} GROUP BY {meter})\n\
         WHERE seen < {since} ORDER BY seen, meter LIMIT {}",
        options.list_rows
    )
}

/// The answer.
pub async fn ask(view: &View, readings: Option<&Readings>, moment: Moment) -> Result<Silent> {
    let options = view.options();
    let silent_after_ms = options.silent_after_ms();
    let Some(readings) = readings else { return Ok(Silent { silent_after_ms, ..Silent::default() }) };
    let rows = view.run(&statement(readings, options, moment)).await?;
    let meters = rows.texts("meter")?.into_iter().zip(rows.texts("region")?).zip(rows.times("seen")?);
    let meters = meters.filter_map(|((id, region), seen)| {
        let seen_ms = seen?;
        Some(SilentMeter { id: id?, region: region.unwrap_or_default(), seen_ms, silent_ms: moment.now_ms - seen_ms })
    });
    Ok(Silent { silent_after_ms, total: rows.count("total")?, meters: meters.collect() })
}
