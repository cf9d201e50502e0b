//! The readings that are sent, and what must become of them.
//!
//! Every meter sends a reading a second, each with an energy that is a multiple of an eighth: sums are
//! exact in whatever order they are made.

use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::{mix::mix, program};

/// The event time of the first reading: a whole hour, in the past of every clock.
const T0: i64 = 1_750_000_000_000 - 1_750_000_000_000 % 3_600_000;
/// Readings of a minute.
const MINUTE: u64 = 60;

/// So many meters with so many readings each.
#[derive(Debug, Clone, Copy)]
pub struct Fleet {
    /// How many meters.
    pub meters: u64,
    /// How many readings each.
    pub seconds: u64,
}

impl Fleet {
    /// Of about so many readings in all.
    pub fn of(readings: u64) -> Self {
        let meters = (readings / 1_000).clamp(10, 1_000);
        Fleet { meters, seconds: readings.div_ceil(meters) }
    }

    /// How many readings there are.
    pub fn readings(&self) -> u64 {
        self.meters * self.seconds
    }

    /// What a meter is called.
    pub fn meter(number: u64) -> String {
        format!("m-{number:05}")
    }

    /// A reading as the job reads it.
    pub fn message(meter: u64, second: u64) -> String {
        let (time, kwh) = (T0 + second as i64 * 1_000, eighths(meter, second) as f64 / 8.0);
        format!(r#"{{"time":{time},"meter_id":"{}","region":"EU","kwh_measure":{kwh:?}}}"#, Self::meter(meter))
    }

    /// Whether what the job has written is what was sent.
    pub fn check(&self, data_dir: &Path) -> Result<()> {
        let times = self.per_meter(|meter| (0..self.seconds).map(|s| eighths(meter, s)).sum::<u64>());
        let once = times.iter().map(|(meter, sum)| format!("{meter},{0},{0},{sum}", self.seconds)).collect();
        let sql = |table: &str, value: &str| {
            format!(
                "SELECT meter_id, count(*), count(DISTINCT time), CAST(sum({value} * 8) AS BIGINT) FROM {table} \
                 GROUP BY 1 ORDER BY 1"
            )
        };
        same("readings", &program::query(data_dir, &sql("readings", "value"))?, &once)?;
        same("timeseries", &program::query(data_dir, &sql("timeseries", "measure_value"))?, &once)?;

        let mut minutes = Vec::new();
        for meter in 0..self.meters {
            for first in (0..self.seconds).step_by(MINUTE as usize) {
                let seconds = first..(first + MINUTE).min(self.seconds);
                let (n, sum) = (seconds.end - first, seconds.map(|s| eighths(meter, s)).sum::<u64>());
                minutes.push(format!("{},{n},{sum}", Self::meter(meter)));
            }
        }
        let sql = "SELECT meter_id, CAST(count AS BIGINT), CAST(sum * 8 AS BIGINT) FROM aggregates_1m \
                   ORDER BY meter_id, window_start";
        same("aggregates_1m", &program::query(data_dir, sql)?, &minutes)?;
        let letters = program::query(data_dir, "SELECT operator, reason FROM dead_letters LIMIT 5")?;
        if !letters.is_empty() {
            bail!("there are dead letters: {letters:?}");
        }
        Ok(())
    }

    fn per_meter<T>(&self, of: impl Fn(u64) -> T) -> Vec<(String, T)> {
        (0..self.meters).map(|meter| (Self::meter(meter), of(meter))).collect()
    }
}

fn eighths(meter: u64, second: u64) -> u64 {
    mix(meter << 32 | second) % 1_000
}

/// Both are sorted by key.
fn same(what: &str, written: &[String], expected: &Vec<String>) -> Result<()> {
    if written == expected {
        return Ok(());
    }
    let differs = written.iter().zip(expected).find(|(w, e)| w != e);
    let differs = differs.map_or_else(String::new, |(w, e)| format!("; the first that differs is {w}, expected {e}"));
    Err(anyhow::anyhow!("{} rows, expected {}{differs}", written.len(), expected.len()))
        .with_context(|| format!("{what} is not what was sent"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_flat_json() {
        let message: serde_json::Value = serde_json::from_str(&Fleet::message(7, 61)).expect("JSON");
        assert_eq!(message["meter_id"], "m-00007");
        assert_eq!(message["time"].as_i64(), Some(T0 + 61_000));
        assert!((message["kwh_measure"].as_f64().expect("a number") * 8.0).fract() == 0.0);
        assert!(Fleet::of(1_000_000).readings() >= 1_000_000);
    }

    #[test]
    fn a_row_too_few_is_seen() {
        let rows = |rows: &[&str]| rows.iter().map(|row| (*row).to_owned()).collect::<Vec<_>>();
        same("t", &rows(&["a", "b"]), &rows(&["a", "b"])).expect("the same");
        let said = format!("{:#}", same("t", &rows(&["a"]), &rows(&["a", "b"])).expect_err("one is missing"));
        assert_eq!(said, "t is not what was sent: 1 rows, expected 2");
    }
}
