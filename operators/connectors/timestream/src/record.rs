//! What Timestream stores: dimensions, a time, a measure's name, and one value or many.

use std::{borrow::Cow, fmt, hash::BuildHasher, hash::Hasher};

use foldhash::quality::FixedState;
use serde_json::{Value, json};

/// One record of `WriteRecords`.
///
/// ```
/// use hurtig_timestream::{TimeUnit, TimestreamRecord};
///
/// let one = TimestreamRecord::single("kwh", 1.5, 1_700_000_000_000).dimension("meter_id", "m1");
/// let many = TimestreamRecord::multi("reading", 1_700_000_000)
///     .time_unit(TimeUnit::Seconds)
///     .dimension("meter_id", "m1")
///     .measure("kwh", 1.5)
///     .measure("status", "ok")
///     .version(3);
/// assert_eq!(one.time_ms(), many.time_ms());
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct TimestreamRecord {
    /// Names and values, all `VARCHAR`.
    pub dimensions: Vec<(String, String)>,
    /// `MeasureName`
    pub measure_name: String,
    /// What was measured.
    pub measure: Measure,
    /// `Time`, in `time_unit` since 1970-01-01T00:00:00Z.
    pub time: i64,
    /// `TimeUnit`
    pub time_unit: TimeUnit,
    /// `Version`, 1 or more; `None` is the sink's.
    pub version: Option<i64>,
}

/// One value, or several with their names (`MULTI`).
#[derive(Debug, Clone, PartialEq)]
pub enum Measure {
    /// `MeasureValue`
    Single(MeasureValue),
    /// `MeasureValues`
    Multi(Vec<(String, MeasureValue)>),
}

/// A value of one of Timestream's types.
#[derive(Debug, Clone, PartialEq)]
pub enum MeasureValue {
    /// Finite; what is not goes to the dead letters.
    Double(f64),
    /// A signed integer.
    Bigint(i64),
    /// A text of 1 to 2,048 characters.
    Varchar(String),
    /// True or false.
    Boolean(bool),
    /// A time, in the record's own unit since 1970-01-01T00:00:00Z.
    Timestamp(i64),
}

/// What a `Time` counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum TimeUnit {
    /// `SECONDS`
    Seconds,
    /// `MILLISECONDS`, Timestream's default.
    #[default]
    Milliseconds,
    /// `MICROSECONDS`
    Microseconds,
    /// `NANOSECONDS`
    Nanoseconds,
}

impl TimestreamRecord {
    /// A single-measure record at `time` in milliseconds.
    pub fn single(measure_name: impl Into<String>, value: impl Into<MeasureValue>, time: i64) -> Self {
        Self::of(measure_name.into(), Measure::Single(value.into()), time)
    }

    /// A multi-measure record at `time` in milliseconds; [`measure`](Self::measure) adds its values.
    pub fn multi(measure_name: impl Into<String>, time: i64) -> Self {
        Self::of(measure_name.into(), Measure::Multi(Vec::new()), time)
    }

    fn of(measure_name: String, measure: Measure, time: i64) -> Self {
        let time_unit = TimeUnit::default();
        TimestreamRecord { dimensions: Vec::new(), measure_name, measure, time, time_unit, version: None }
    }

    /// Adds a dimension.
    #[must_use]
    pub fn dimension(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.dimensions.push((name.into(), value.into()));
        self
    }

    /// Adds a value; makes a multi-measure record of one that had a single value, which then is its first.
    #[must_use]
    pub fn measure(mut self, name: impl Into<String>, value: impl Into<MeasureValue>) -> Self {
        let added = (name.into(), value.into());
        match &mut self.measure {
            Measure::Multi(values) => values.push(added),
            Measure::Single(first) => {
                let first = (self.measure_name.clone(), first.clone());
                self.measure = Measure::Multi(vec![first, added]);
            }
        }
        self
    }

    /// The unit of the time that was given, and of its [`MeasureValue::Timestamp`]s.
    #[must_use]
    pub fn time_unit(mut self, unit: TimeUnit) -> Self {
        self.time_unit = unit;
        self
    }

    /// Of two records with the same dimensions, time and measure name, the one with the higher version counts. Must be
    /// the same when the job runs again: a counter of the source, never the time of processing.
    #[must_use]
    pub fn version(mut self, version: i64) -> Self {
        self.version = Some(version);
        self
    }

    /// The time in milliseconds, rounded down.
    pub fn time_ms(&self) -> i64 {
        match self.time_unit {
            TimeUnit::Seconds => self.time.saturating_mul(1_000),
            TimeUnit::Milliseconds => self.time,
            TimeUnit::Microseconds => self.time.div_euclid(1_000),
            TimeUnit::Nanoseconds => self.time.div_euclid(1_000_000),
        }
    }

    /// What Timestream tells records apart by: dimensions (in whatever order), time (in whatever unit) and measure
    /// name. Records of the same identity have the same number; two others have it by accident once in 2^64.
    pub fn identity(&self) -> u64 {
        let hash = |words: [&str; 2]| {
            let mut hasher = FixedState::default().build_hasher();
            for word in words {
                hasher.write(word.as_bytes());
                hasher.write_u8(0xff); // in no UTF-8
            }
            hasher.finish()
        };
        // A sum, so that the order does not matter.
        let dimensions = self.dimensions.iter().map(|(n, v)| hash([n, v])).fold(0, u64::wrapping_add);
        let mut hasher = FixedState::default().build_hasher();
        hasher.write_u64(dimensions);
        hasher.write_i128(self.time_ns());
        hasher.write(self.measure_name.as_bytes());
        hasher.finish()
    }

    fn time_ns(&self) -> i128 {
        let ns_per = match self.time_unit {
            TimeUnit::Seconds => 1_000_000_000,
            TimeUnit::Milliseconds => 1_000_000,
            TimeUnit::Microseconds => 1_000,
            TimeUnit::Nanoseconds => 1,
        };
        i128::from(self.time) * ns_per
    }

    /// The record as it stands in a request's JSON: for logs and dead letters.
    pub fn to_json(&self) -> Value {
        let mut json = json!({
            "Dimensions": self.dimensions.iter().map(|(n, v)| json!({"Name": n, "Value": v})).collect::<Vec<_>>(),
            "MeasureName": self.measure_name,
            "MeasureValueType": self.measure.type_name(),
            "Time": self.time.to_string(),
            "TimeUnit": self.time_unit.to_string(),
        });
        match &self.measure {
            Measure::Single(value) => json["MeasureValue"] = json!(value.text()),
            Measure::Multi(values) => {
                let one =
                    |(n, v): &(String, MeasureValue)| json!({"Name": n, "Value": v.text(), "Type": v.type_name()});
                json["MeasureValues"] = values.iter().map(one).collect();
            }
        }
        if let Some(version) = self.version {
            json["Version"] = json!(version);
        }
        json
    }
}

impl Measure {
    /// `MeasureValueType`
    pub fn type_name(&self) -> &'static str {
        match self {
            Measure::Single(value) => value.type_name(),
            Measure::Multi(_) => "MULTI",
        }
    }
}

impl MeasureValue {
    /// `DOUBLE`, `BIGINT`, …
    pub fn type_name(&self) -> &'static str {
        match self {
            MeasureValue::Double(_) => "DOUBLE",
            MeasureValue::Bigint(_) => "BIGINT",
            MeasureValue::Varchar(_) => "VARCHAR",
            MeasureValue::Boolean(_) => "BOOLEAN",
            MeasureValue::Timestamp(_) => "TIMESTAMP",
        }
    }

    /// As a request has it: every value is a text. A double is the shortest that reads back as the same; `-0.0`, which
    /// Timestream refuses, is `0.0`.
    pub fn text(&self) -> Cow<'_, str> {
        match self {
            MeasureValue::Double(0.0) => "0.0".into(),
            MeasureValue::Double(x) => format!("{x:?}").into(),
            MeasureValue::Bigint(n) | MeasureValue::Timestamp(n) => n.to_string().into(),
            MeasureValue::Varchar(text) => text.into(),
            MeasureValue::Boolean(true) => "true".into(),
            MeasureValue::Boolean(false) => "false".into(),
        }
    }
}

impl fmt::Display for TimeUnit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TimeUnit::Seconds => "SECONDS",
            TimeUnit::Milliseconds => "MILLISECONDS",
            TimeUnit::Microseconds => "MICROSECONDS",
            TimeUnit::Nanoseconds => "NANOSECONDS",
        })
    }
}

impl From<f64> for MeasureValue {
    fn from(x: f64) -> Self {
        MeasureValue::Double(x)
    }
}

impl From<i64> for MeasureValue {
    fn from(n: i64) -> Self {
        MeasureValue::Bigint(n)
    }
}

impl From<bool> for MeasureValue {
    fn from(b: bool) -> Self {
        MeasureValue::Boolean(b)
    }
}

impl From<String> for MeasureValue {
    fn from(text: String) -> Self {
        MeasureValue::Varchar(text)
    }
}

impl From<&str> for MeasureValue {
    fn from(text: &str) -> Self {
        MeasureValue::Varchar(text.to_owned())
    }
}
