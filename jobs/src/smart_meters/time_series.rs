//! What a time-series store takes, whichever it is.
//!
//! A [`TimeSeriesRecord`] is a row of a Timestream table: dimensions, one measure, a time. A
//! [`TimeSeriesSink`] is a place for such rows: the embedded store by default, Timestream itself,
//! InfluxDB or a stream by configuration.

use compact_str::CompactString;
use hurtig_engine::{error::Result, sink::Sink};
use serde::{Deserialize, Serialize};

use super::{
    judged::{Judge, Verdict},
    payload::{Dimension, Measure, TimestreamPayload},
};

/// A place for time series.
pub trait TimeSeriesSink {
    /// What writes there.
    type Sink: Sink<TimeSeriesRecord>;

    /// What the sink is called in the job: its books are printed under this name.
    fn name(&self) -> String;

    /// Makes the sink. A place that cannot be used is an error here, before anything runs.
    fn sink(&self) -> Result<Self::Sink>;
}

/// One row: a single DOUBLE measure at a time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TimeSeriesRecord {
    /// What the meter's id is called.
    pub meter_dimension: CompactString,
    /// The meter.
    pub meter_id: CompactString,
    /// Its region, or empty.
    pub region: CompactString,
    /// All other dimensions.
    pub dimensions: Vec<Dimension>,
    /// The measure by its whole name.
    pub measure: Measure,
    /// In nanoseconds since the epoch.
    pub time: i64,
    /// What the time was before it was corrected.
    pub original_time: Option<i64>,
    /// Whether the store has this row already.
    pub novelty: Novelty,
}

/// How a row relates to what was written before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Novelty {
    /// Dimensions, time and measure name have not been seen.
    New,
    /// The same row with the same value. Timestream takes it and changes nothing.
    Repeat,
    /// The same row with another value. Timestream refuses it.
    Conflict,
}

/// Timestream's limits on a record.
mod limits {
    pub const DIMENSIONS: usize = 128;
    pub const DIMENSION_NAME: usize = 60;
    pub const MEASURE_NAME: usize = 256;
    pub const RECORD: usize = 2 << 10;
}

impl TimeSeriesRecord {
    /// The row of one of a payload's measures.
    pub fn new(payload: &TimestreamPayload, measure: &Measure, novelty: Novelty) -> Self {
        TimeSeriesRecord {
            meter_dimension: payload.meter_dimension.clone(),
            meter_id: payload.meter_id.clone(),
            region: payload.region.clone(),
            dimensions: payload.dimensions.clone(),
            measure: measure.clone(),
            time: payload.time,
            original_time: payload.original_time,
            novelty,
        }
    }

    /// All dimensions with their names: the meter, the region if there is one, the others.
    pub fn all_dimensions(&self) -> impl Iterator<Item = (&str, &str)> {
        let region = (!self.region.is_empty()).then_some(("region", &*self.region));
        let meter = (&*self.meter_dimension, &*self.meter_id);
        let others = self.dimensions.iter().map(|d| (&*d.name, &*d.value));
        [Some(meter), region].into_iter().flatten().chain(others)
    }

    /// The record's size as Timestream meters it: names and values of the dimensions, the
    /// measure's name, eight bytes each for value and time.
    pub fn bytes(&self) -> usize {
        let dimensions: usize = self.all_dimensions().map(|(name, value)| name.len() + value.len()).sum();
        dimensions + self.measure.name.len() + 16
    }

    /// Why Timestream would refuse this record, whatever it holds already.
    fn problem(&self) -> Option<String> {
        let count = self.all_dimensions().count();
        if count > limits::DIMENSIONS {
            return Some(format!("{count} dimensions, and {} are the most a record can have", limits::DIMENSIONS));
        }
        if let Some((name, _)) = self.all_dimensions().find(|(name, _)| name.len() > limits::DIMENSION_NAME) {
            return Some(format!("the dimension name '{name}' is longer than {} bytes", limits::DIMENSION_NAME));
        }
        if let Some((name, _)) = self.all_dimensions().find(|(name, _)| is_reserved(name)) {
            return Some(format!("the dimension name '{name}' is reserved"));
        }
        if self.measure.name.len() > limits::MEASURE_NAME {
            return Some(format!("the measure name is longer than {} bytes", limits::MEASURE_NAME));
        }
        let bytes = self.bytes();
        (bytes > limits::RECORD).then(|| format!("{bytes} bytes, and a record can have {}", limits::RECORD))
    }
}

fn is_reserved(name: &str) -> bool {
    matches!(name, "measure_value" | "ts_non_existent_col" | "time")
        || name.starts_with("ts_")
        || name.starts_with("measure_name")
}

impl Judge for TimeSeriesRecord {
    fn verdict(&self) -> Verdict {
        match self.novelty {
            Novelty::Repeat => Verdict::Reject,
            Novelty::Conflict => Verdict::DeadLetter(
                "a record with the same time, dimensions and measure name, but another value, was written before"
                    .into(),
            ),
            Novelty::New => self.problem().map_or(Verdict::Keep, Verdict::DeadLetter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> TimeSeriesRecord {
        TimeSeriesRecord {
            meter_dimension: "meter_id".into(),
            meter_id: "m-1".into(),
            region: "uk".into(),
            dimensions: vec![Dimension { name: "model".into(), value: "A100".into() }],
            measure: Measure { name: "kwh_measure".into(), value: 0.5 },
            time: 1,
            original_time: None,
            novelty: Novelty::New,
        }
    }

    #[test]
    fn a_record_is_metered_by_its_names_and_values() {
        let r = record();
        let all: Vec<_> = r.all_dimensions().collect();
        assert_eq!(all, [("meter_id", "m-1"), ("region", "uk"), ("model", "A100")]);
        assert_eq!(r.bytes(), 8 + 3 + 6 + 2 + 5 + 4 + 11 + 16);
        assert_eq!(TimeSeriesRecord { region: "".into(), ..r }.all_dimensions().count(), 2);
    }

    #[test]
    fn what_the_store_would_refuse() {
        assert_eq!(record().verdict(), Verdict::Keep);
        assert_eq!(TimeSeriesRecord { novelty: Novelty::Repeat, ..record() }.verdict(), Verdict::Reject);
        let long = "x".repeat(61);
        let dimension = |name: &str, value: &str| Dimension { name: name.into(), value: value.into() };
        for (dimensions, measure, words) in [
            (vec![dimension("a", "b"); 127], "kwh_measure", "129 dimensions"),
            (vec![dimension(&long, "b")], "kwh_measure", "longer than 60 bytes"),
            (vec![dimension("measure_value", "b")], "kwh_measure", "reserved"),
            (vec![dimension("a", &"b".repeat(2048))], "kwh_measure", "bytes, and a record can have 2048"),
            (vec![], &*format!("{}_measure", "y".repeat(256)), "longer than 256 bytes"),
        ] {
            let measure = Measure { name: measure.into(), value: 1.0 };
            let r = TimeSeriesRecord { dimensions, measure, ..record() };
            assert!(matches!(r.verdict(), Verdict::DeadLetter(why) if why.contains(words)), "{words}");
        }
        let conflict = TimeSeriesRecord { novelty: Novelty::Conflict, ..record() };
        assert!(matches!(conflict.verdict(), Verdict::DeadLetter(why) if why.contains("another value")));
    }
}
