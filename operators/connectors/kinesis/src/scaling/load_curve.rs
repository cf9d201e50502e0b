//! A load over time.

use super::ScalingError;

/// Bytes per second at points in time, straight lines in between.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadCurve {
    /// Milliseconds and bytes per second, by time.
    points: Vec<(i64, f64)>,
    /// Bytes of a record.
    record_bytes: f64,
}

const MINUTE: i64 = 60_000;

/// 21:00 of no particular day.
const TALK_START: i64 = 21 * 60 * MINUTE;

impl LoadCurve {
    /// The talk's: 5 MB/s, switched to on-demand at 21:23 with 10 shards, then up to 18 MB/s by 21:30, where
    /// it stays; 1,000-byte records. Time counts from midnight.
    pub fn talk() -> Self {
        let at = |minute: i64, mb: f64| (TALK_START + minute * MINUTE, mb * 1e6);
        let points = vec![at(0, 4.5), at(15, 5.0), at(23, 5.0), at(30, 18.0), at(45, 18.0)];
        LoadCurve { points, record_bytes: 1000.0 }
    }

    /// From points by time; at least two.
    pub fn new(points: Vec<(i64, f64)>, record_bytes: f64) -> Result<Self, ScalingError> {
        if points.len() < 2 || !points.windows(2).all(|w| w[0].0 < w[1].0) {
            return Err(ScalingError::Config("a load needs two points or more, by ascending time".into()));
        }
        if points.iter().any(|(_, load)| !load.is_finite() || *load < 0.0)
            || record_bytes.is_nan()
            || record_bytes < 1.0
        {
            return Err(ScalingError::Config(
                "a load is a number of MB/s from 0 up, of records of a byte or more".into(),
            ));
        }
        Ok(LoadCurve { points, record_bytes })
    }

    /// From CSV: a line per point, `time,MB/s`, where a time is `HH:MM`, `HH:MM:SS` or seconds; a header
    /// and empty lines are skipped.
    pub fn from_csv(text: &str, record_bytes: f64) -> Result<Self, ScalingError> {
        let mut points = Vec::new();
        for (i, line) in text.lines().enumerate() {
            let line = line.trim();
            let Some((time, load)) = line.split_once(',') else {
                if line.is_empty() {
                    continue;
                }
                return Err(ScalingError::Config(format!("load, line {}: write 'time,MB/s', as in 21:23,5.0", i + 1)));
            };
            match (time_of(time.trim()), load.trim().parse::<f64>()) {
                (Some(time), Ok(load)) => points.push((time, load * 1e6)),
                // Only a first line may be a header.
                _ if i == 0 => {}
                _ => {
                    let what = format!("load, line {}: '{line}' is not 'time,MB/s', as in 21:23,5.0", i + 1);
                    return Err(ScalingError::Config(what));
                }
            }
        }
        LoadCurve::new(points, record_bytes)
    }

    /// First and last moment.
    pub fn span(&self) -> (i64, i64) {
        let first = self.points.first().map_or(0, |p| p.0);
        (first, self.points.last().map_or(first, |p| p.0))
    }

    /// Bytes per second at a moment.
    pub fn at(&self, time: i64) -> f64 {
        let i = self.points.partition_point(|(t, _)| *t <= time);
        match (i.checked_sub(1).and_then(|i| self.points.get(i)), self.points.get(i)) {
            (Some((t0, l0)), Some((t1, l1))) => l0 + (l1 - l0) * (time - t0) as f64 / (t1 - t0) as f64,
            (Some((_, load)), None) | (None, Some((_, load))) => *load,
            (None, None) => 0.0,
        }
    }

    /// Bytes of a record.
    pub fn record_bytes(&self) -> f64 {
        self.record_bytes
    }
}

/// Milliseconds of `HH:MM[:SS]` or of a number of seconds.
fn time_of(text: &str) -> Option<i64> {
    let parts: Vec<_> = text.split(':').collect();
    match parts.as_slice() {
        [seconds] => seconds.parse::<f64>().ok().filter(|s| s.is_finite()).map(|s| (s * 1e3) as i64),
        [h, m] => Some((h.parse::<i64>().ok()? * 60 + m.parse::<i64>().ok()?) * MINUTE),
        [h, m, s] => {
            let minutes = h.parse::<i64>().ok()? * 60 + m.parse::<i64>().ok()?;
            Some(minutes * MINUTE + s.parse::<i64>().ok()? * 1000)
        }
        _ => None,
    }
}
