//! Meters that have said nothing for a while, the longest silent first.

use serde::Serialize;

use crate::{error::Result, moment::Moment, readings::Readings, rows::ms, view::View};

/// Who is silent.
#[derive(Debug, Default, Serialize)]
pub struct Silent {
    /// After how long a meter is.
    pub silent_after_ms: i64,
    /// How many are.
    pub total: usize,
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

/// The answer.
pub async fn ask(view: &View, readings: Option<&Readings>, moment: Moment) -> Result<Silent> {
    let options = view.options();
    let silent_after_ms = options.silent_after_ms();
    let mut silent = Silent { silent_after_ms, ..Silent::default() };
    let Some(readings) = readings else { return Ok(silent) };
    let last = view.last_values(readings).await?;
    let since = moment.now_ms - silent_after_ms;
    let mut meters: Vec<_> = last.meters.iter().filter(|meter| ms(meter.seen) < since).collect();
    silent.total = meters.len();
    meters.sort_unstable_by(|a, b| (a.seen, &a.id).cmp(&(b.seen, &b.id)));
    let listed = meters.into_iter().take(options.list_rows).map(|meter| SilentMeter {
        id: meter.id.clone(),
        region: meter.region.clone().unwrap_or_default(),
        seen_ms: ms(meter.seen),
        silent_ms: moment.now_ms - ms(meter.seen),
    });
    silent.meters = listed.collect();
    Ok(silent)
}
