//! Values as SQL writes them, and what all insights begin with: every reading once.
//!
//! Where two are joined, the smaller one stands first: that is the one DataFusion keeps in memory.

use jiff::{Timestamp, civil::Date};

use crate::{period::Period, settings::Energy};

/// A text: whatever is in it, it stays one.
pub fn text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A time in UTC.
pub fn time(at: Timestamp) -> String {
    format!("'{at}'")
}

/// A number; one that is none is NULL.
pub fn number(value: f64) -> String {
    if value.is_finite() { format!("{value:?}") } else { "NULL".into() }
}

/// A day, as the local times that it begins are written.
pub fn day(date: Date) -> String {
    format!("TIMESTAMP '{date}T00:00:00'")
}

/// The condition that leaves a period's readings. Years and months are those of directories: what is outside is not opened.
pub fn within(period: &Period) -> String {
    let (first, last) = period.partitions();
    let partitions = match first.year() == last.year() {
        true => format!("year = {} AND month BETWEEN {} AND {}", first.year(), first.month(), last.month()),
        false => format!("year BETWEEN {} AND {}", first.year(), last.year()),
    };
    format!("time >= {} AND time < {} AND {partitions}", time(period.start()), time(period.end()))
}

/// The local time of a column with times, without a zone.
pub fn local(column: &str, period: &Period) -> String {
    format!("to_local_time({column} AT TIME ZONE {})", text(period.zone_name()))
}

/// `once`: energies, each meter and time once, however often it came. Of values that contradict each other the largest
/// counts, so that no order of arrival changes the answer.
pub fn once(energy: Energy, period: &Period) -> String {
    let factor = match energy.kwh() {
        1.0 => String::new(),
        factor => format!(" * {}", number(factor)),
    };
    format!(
        "once AS (
  SELECT meter_id, time, max(region) AS region, max(value){factor} AS kwh
  FROM readings
  WHERE lower(measure) = {} AND value IS NOT NULL
    AND {}
  GROUP BY meter_id, time)",
        text(energy.measure()),
        within(period)
    )
}

/// `seen`: the times at which a meter said anything, each once. One that is dated well ahead of its arrival was not said then.
pub fn seen(period: &Period) -> String {
    format!(
        "seen AS (
  SELECT meter_id, time, max(region) AS region
  FROM readings
  WHERE {}
    AND (arrived IS NULL OR time <= arrived + INTERVAL '15 minutes')
  GROUP BY meter_id, time)",
        within(period)
    )
}

/// `steps` and `usual`: from every reading of `table` to the meter's next, and how many seconds that usually takes: the
/// median, or what everybody was told.
pub fn steps_and_usual(table: &str, interval_seconds: Option<f64>) -> String {
    let usual = match interval_seconds {
        Some(seconds) => format!("SELECT DISTINCT meter_id, {} AS seconds FROM {table}", number(seconds)),
        None => "SELECT meter_id, median(gap) AS seconds FROM steps WHERE gap IS NOT NULL GROUP BY meter_id".into(),
    };
    format!(
        "steps AS (
  SELECT *, date_part('epoch', next) - date_part('epoch', time) AS gap
  FROM (SELECT *, lead(time) OVER (PARTITION BY meter_id ORDER BY time) AS next FROM {table})),
usual AS (
  {usual})"
    )
}
