//! What a message says: dimensions, measures, a time.
//!
//! The rules are the talk's (`JsonToTimestreamPayloadFn`): of a flat JSON object, a key that ends
//! in `_measure` (in any case) is a DOUBLE measure by its whole name, `time` is the time,
//! `timeunit` its unit (milliseconds if it is missing), and everything else is a dimension.
//! What cannot be read is an error with a reason, never a panic and never a guess.
//!
//! ```
//! use hurtig::smart_meters::TimestreamPayload;
//!
//! let payload = TimestreamPayload::from_json(
//!     r#"{"meter_id":"m-1","region":"uk","time":1700000000000,"kwh_measure":0.25,"model":"A100"}"#,
//! )?;
//! assert_eq!(payload.meter_id, "m-1");
//! assert_eq!(payload.measures[0].name, "kwh_measure");
//! assert_eq!(payload.dimensions[0].name, "model");
//! # Ok::<(), hurtig::smart_meters::PayloadError>(())
//! ```

use std::{borrow::Cow, fmt};

use compact_str::CompactString;
use hurtig_engine::time::NO_TIMESTAMP;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};

/// One message, understood.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TimestreamPayload {
    /// What the meter's id is called in the message: `meter_id`, `DeviceID` …
    pub meter_dimension: CompactString,
    /// The meter.
    pub meter_id: CompactString,
    /// Its region; empty where the message has none.
    pub region: CompactString,
    /// All other dimensions, in the message's order.
    pub dimensions: Vec<Dimension>,
    /// The measures, in the message's order; at least one.
    pub measures: Vec<Measure>,
    /// When it was measured, in nanoseconds since the epoch.
    pub time: i64,
    /// What `time` was before it was corrected.
    pub original_time: Option<i64>,
    /// When the message reached the source, in milliseconds; [`NO_TIMESTAMP`] if unknown.
    pub arrival: i64,
    /// How far its split's event time had come, in milliseconds; [`NO_TIMESTAMP`] if unknown.
    pub split_time: i64,
}

/// A name and a value that say what was measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dimension {
    /// The message's key.
    pub name: CompactString,
    /// Its value as text.
    pub value: CompactString,
}

/// A number that was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measure {
    /// The message's key: `kwh_measure`.
    pub name: CompactString,
    /// Finite.
    pub value: f64,
}

/// What a number in `time` counts (Timestream's words).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum TimeUnit {
    /// Seconds.
    Seconds,
    /// Thousandths; what is meant when nothing is said.
    #[default]
    Milliseconds,
    /// Millionths.
    Microseconds,
    /// Billionths.
    Nanoseconds,
}

/// Why a message is not a payload. Its text is the dead letter's reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// Not a JSON object.
    #[error("bad JSON: {0}")]
    Json(String),
    /// A measure without a value.
    #[error("null measure: '{0}' has no value")]
    NullMeasure(String),
    /// A measure that is no finite number.
    #[error("'{name}' is not a number: {text}")]
    NotANumber {
        /// The key.
        name: String,
        /// What it holds.
        text: String,
    },
    /// No `time`.
    #[error("no time: the key 'time' is missing or null")]
    NoTime,
    /// A `time` that is no whole number of its unit between the years 1677 and 2262.
    #[error(
        "'{0}' is not a time: a whole number since 1970 in the message's timeunit is needed, between the years 1677 and 2262"
    )]
    BadTime(String),
    /// An unknown `timeunit`.
    #[error("'{0}' is not a timeunit: SECONDS, MILLISECONDS, MICROSECONDS or NANOSECONDS are")]
    BadTimeUnit(String),
    /// A nested value.
    #[error("'{0}' holds an object or an array: a message is a flat JSON object")]
    NotFlat(String),
    /// Nothing that says which meter it was.
    #[error("no meter: none of the keys meter_id, meterid, device_id, deviceid is there")]
    NoMeter,
    /// No measure at all.
    #[error("no measure: no key ends in '_measure'")]
    NoMeasure,
}

/// What a meter's id is called, without case and underscores.
const METER_KEYS: [&str; 2] = ["meterid", "deviceid"];

impl TimestreamPayload {
    /// Reads one message.
    pub fn from_json(line: impl AsRef<[u8]>) -> Result<Self, PayloadError> {
        let draft: Draft = serde_json::from_slice(line.as_ref()).map_err(|e| not_json(&e))?;
        draft.finish()
    }

    /// The time in milliseconds since the epoch.
    #[inline]
    pub fn time_ms(&self) -> i64 {
        self.time.div_euclid(1_000_000)
    }

    /// The time as it was read.
    #[inline]
    pub fn time_as_read(&self) -> i64 {
        self.original_time.unwrap_or(self.time)
    }
}

impl TimeUnit {
    /// The unit called `name`, in any case.
    pub fn parse(name: &str) -> Option<Self> {
        const NAMES: [(&str, TimeUnit); 4] = [
            ("SECONDS", TimeUnit::Seconds),
            ("MILLISECONDS", TimeUnit::Milliseconds),
            ("MICROSECONDS", TimeUnit::Microseconds),
            ("NANOSECONDS", TimeUnit::Nanoseconds),
        ];
        NAMES.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, unit)| *unit)
    }

    /// A time of this unit in nanoseconds, if that fits.
    pub fn to_nanos(self, time: i64) -> Option<i64> {
        time.checked_mul(match self {
            TimeUnit::Seconds => 1_000_000_000,
            TimeUnit::Milliseconds => 1_000_000,
            TimeUnit::Microseconds => 1_000,
            TimeUnit::Nanoseconds => 1,
        })
    }
}

/// The parser's words without the column: alike problems have alike reasons, so that dead letters
/// can be counted by reason.
#[cold]
fn not_json(e: &serde_json::Error) -> PayloadError {
    let text = e.to_string();
    PayloadError::Json(text.split(" at line ").next().unwrap_or_default().to_owned())
}

/// A payload in the making. The whole object is read before anything is judged, so that broken
/// JSON is called broken JSON wherever it breaks.
#[derive(Default)]
struct Draft {
    meter: Option<Dimension>,
    region: CompactString,
    dimensions: Vec<Dimension>,
    measures: Vec<Measure>,
    time: Option<Result<i64, String>>,
    unit: Option<Result<TimeUnit, String>>,
    /// The first thing that is wrong.
    problem: Option<PayloadError>,
}

impl Draft {
    fn put(&mut self, key: &str, value: Scalar<'_>) {
        if let Scalar::Nested = value {
            self.fail(PayloadError::NotFlat(key.to_owned()));
        } else if is_measure(key) {
            self.put_measure(key, value);
        } else if key.eq_ignore_ascii_case("time") {
            self.time = value.into_time();
        } else if key.eq_ignore_ascii_case("timeunit") {
            let text = value.into_text();
            self.unit = text.map(|t| TimeUnit::parse(&t).ok_or_else(|| t.to_string()));
        } else if let Some(value) = value.into_text() {
            self.put_dimension(key, value);
        }
    }

    fn put_measure(&mut self, key: &str, value: Scalar<'_>) {
        let number = match &value {
            Scalar::Null => return self.fail(PayloadError::NullMeasure(key.to_owned())),
            Scalar::Float(f) => Some(*f),
            Scalar::Int(i) => Some(*i as f64),
            Scalar::Unsigned(u) => Some(*u as f64),
            Scalar::Text(t) => t.trim().parse().ok(),
            Scalar::Bool(_) | Scalar::Nested => None,
        };
        // Timestream refuses "-0.0"; adding zero makes it 0.0 and nothing else any different.
        match number.filter(|n| n.is_finite()).map(|n| n + 0.0) {
            Some(value) => match self.measures.iter_mut().find(|m| m.name == key) {
                Some(measure) => measure.value = value,
                None => self.measures.push(Measure { name: key.into(), value }),
            },
            None => {
                let text = value.into_text().unwrap_or_default().into();
                self.fail(PayloadError::NotANumber { name: key.to_owned(), text });
            }
        }
    }

    fn put_dimension(&mut self, key: &str, value: CompactString) {
        if self.meter.as_ref().is_none_or(|m| m.name == key) && is_meter(key) {
            self.meter = Some(Dimension { name: key.into(), value });
        } else if key.eq_ignore_ascii_case("region") {
            self.region = value;
        } else {
            match self.dimensions.iter_mut().find(|d| d.name == key) {
                Some(dimension) => dimension.value = value,
                None => self.dimensions.push(Dimension { name: key.into(), value }),
            }
        }
    }

    #[cold]
    fn fail(&mut self, problem: PayloadError) {
        self.problem.get_or_insert(problem);
    }

    fn finish(self) -> Result<TimestreamPayload, PayloadError> {
        if let Some(problem) = self.problem {
            return Err(problem);
        }
        let unit = self.unit.transpose().map_err(PayloadError::BadTimeUnit)?.unwrap_or_default();
        let time = self.time.ok_or(PayloadError::NoTime)?.map_err(PayloadError::BadTime)?;
        let time = unit.to_nanos(time).ok_or_else(|| PayloadError::BadTime(time.to_string()))?;
        let meter = self.meter.ok_or(PayloadError::NoMeter)?;
        if self.measures.is_empty() {
            return Err(PayloadError::NoMeasure);
        }
        Ok(TimestreamPayload {
            meter_dimension: meter.name,
            meter_id: meter.value,
            region: self.region,
            dimensions: self.dimensions,
            measures: self.measures,
            time,
            original_time: None,
            arrival: NO_TIMESTAMP,
            split_time: NO_TIMESTAMP,
        })
    }
}

fn is_measure(key: &str) -> bool {
    const END: &[u8] = b"_measure";
    let key = key.as_bytes();
    key.len() >= END.len() && key[key.len() - END.len()..].eq_ignore_ascii_case(END)
}

/// Whether `key` names the meter: one of [`METER_KEYS`], with or without underscores.
fn is_meter(key: &str) -> bool {
    METER_KEYS.iter().any(|name| {
        let letters = key.bytes().filter(|b| *b != b'_').map(|b| b.to_ascii_lowercase());
        key.len() <= name.len() + 1 && letters.eq(name.bytes())
    })
}

impl<'de> Deserialize<'de> for Draft {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct DraftVisitor;

        impl<'de> Visitor<'de> for DraftVisitor {
            type Value = Draft;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Draft, A::Error> {
                let mut draft = Draft::default();
                while let Some(Key(key)) = map.next_key()? {
                    draft.put(&key, map.next_value()?);
                }
                Ok(draft)
            }
        }

        d.deserialize_map(DraftVisitor)
    }
}

/// A key, borrowed from the line unless it has escapes.
#[derive(Deserialize)]
pub(super) struct Key<'a>(#[serde(borrow)] pub Cow<'a, str>);

/// A value of a flat object.
pub(super) enum Scalar<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Unsigned(u64),
    Float(f64),
    Text(Cow<'a, str>),
    /// An object or an array, passed over.
    Nested,
}

impl Scalar<'_> {
    pub fn into_text(self) -> Option<CompactString> {
        Some(match self {
            Scalar::Null | Scalar::Nested => return None,
            Scalar::Bool(b) => CompactString::const_new(if b { "true" } else { "false" }),
            Scalar::Int(i) => compact_str::format_compact!("{i}"),
            Scalar::Unsigned(u) => compact_str::format_compact!("{u}"),
            Scalar::Float(f) => compact_str::format_compact!("{f}"),
            Scalar::Text(t) => t.into(),
        })
    }

    pub fn into_time(self) -> Option<Result<i64, String>> {
        Some(match self {
            Scalar::Null | Scalar::Nested => return None,
            Scalar::Int(i) => Ok(i),
            Scalar::Unsigned(u) => i64::try_from(u).map_err(|_| u.to_string()),
            Scalar::Text(t) => t.trim().parse().map_err(|_| t.into_owned()),
            Scalar::Bool(b) => Err(b.to_string()),
            Scalar::Float(f) => Err(f.to_string()),
        })
    }
}

impl<'de> Deserialize<'de> for Scalar<'de> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct ScalarVisitor;

        impl<'de> Visitor<'de> for ScalarVisitor {
            type Value = Scalar<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_unit<E>(self) -> Result<Scalar<'de>, E> {
                Ok(Scalar::Null)
            }

            fn visit_bool<E>(self, v: bool) -> Result<Scalar<'de>, E> {
                Ok(Scalar::Bool(v))
            }

            fn visit_i64<E>(self, v: i64) -> Result<Scalar<'de>, E> {
                Ok(Scalar::Int(v))
            }

            fn visit_u64<E>(self, v: u64) -> Result<Scalar<'de>, E> {
                Ok(i64::try_from(v).map_or(Scalar::Unsigned(v), Scalar::Int))
            }

            fn visit_f64<E>(self, v: f64) -> Result<Scalar<'de>, E> {
                Ok(Scalar::Float(v))
            }

            fn visit_borrowed_str<E>(self, v: &'de str) -> Result<Scalar<'de>, E> {
                Ok(Scalar::Text(Cow::Borrowed(v)))
            }

            fn visit_str<E>(self, v: &str) -> Result<Scalar<'de>, E> {
                Ok(Scalar::Text(Cow::Owned(v.to_owned())))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Scalar<'de>, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Scalar::Nested)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Scalar<'de>, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Scalar::Nested)
            }
        }

        d.deserialize_any(ScalarVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> TimestreamPayload {
        TimestreamPayload::from_json(line).unwrap_or_else(|e| panic!("{line}: {e}"))
    }

    fn reason(line: &str) -> String {
        match TimestreamPayload::from_json(line) {
            Ok(p) => panic!("{line} was read as {p:?}"),
            Err(e) => e.to_string(),
        }
    }

    #[test]
    fn keys_are_sorted_into_measures_time_and_dimensions() {
        let p = read(
            r#"{"Time":1700000000000,"DeviceID":"d-1","temperature_measure":12.5,"VOLTAGE_MEASURE":"229.8","region":"eu","floor":3,"ok":true,"none":null}"#,
        );
        assert_eq!((&*p.meter_dimension, &*p.meter_id, &*p.region), ("DeviceID", "d-1", "eu"));
        assert_eq!((p.time, p.original_time), (1_700_000_000_000_000_000, None));
        let measures: Vec<_> = p.measures.iter().map(|m| (&*m.name, m.value)).collect();
        assert_eq!(measures, [("temperature_measure", 12.5), ("VOLTAGE_MEASURE", 229.8)], "by the whole key");
        let dimensions: Vec<_> = p.dimensions.iter().map(|d| (&*d.name, &*d.value)).collect();
        assert_eq!(dimensions, [("floor", "3"), ("ok", "true")]);
    }

    #[test]
    fn every_unit_of_time() {
        for (unit, time) in [
            ("SECONDS", "1700000000"),
            ("milliseconds", "1700000000000"),
            ("MicroSeconds", "1700000000000000"),
            ("NANOSECONDS", "\"1700000000000000000\""),
        ] {
            let p = read(&format!(r#"{{"meter_id":"m","x_measure":1,"time":{time},"timeUnit":"{unit}"}}"#));
            assert_eq!(p.time, 1_700_000_000_000_000_000, "{unit}");
        }
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        let meter = r#""meter_id":"m","time":1"#;
        for (line, words) in [
            (String::new(), "bad JSON"),
            (r#"{"meter_id":"m","time":17"#.to_owned(), "bad JSON"),
            (r#"[1,2]"#.to_owned(), "bad JSON"),
            (format!("{{{meter},\"x_measure\":1}} trailing"), "bad JSON"),
            (format!("{{{meter},\"x_measure\":null}}"), "null measure: 'x_measure'"),
            (format!("{{{meter},\"x_measure\":\"abc\"}}"), "'x_measure' is not a number: abc"),
            (format!("{{{meter},\"x_measure\":\"NaN\"}}"), "'x_measure' is not a number: NaN"),
            (format!("{{{meter},\"x_measure\":true}}"), "'x_measure' is not a number: true"),
            (format!("{{{meter},\"x_measure\":[1]}}"), "'x_measure' holds an object or an array"),
            (format!("{{{meter},\"x_measure\":1,\"place\":{{\"lat\":1}}}}"), "'place' holds an object"),
            (format!("{{{meter}}}"), "no measure"),
            (r#"{"time":1,"x_measure":1}"#.to_owned(), "no meter"),
            (r#"{"meter_id":"m","x_measure":1}"#.to_owned(), "no time"),
            (r#"{"meter_id":"m","x_measure":1,"time":null}"#.to_owned(), "no time"),
            (r#"{"meter_id":"m","x_measure":1,"time":"noon"}"#.to_owned(), "'noon' is not a time"),
            (r#"{"meter_id":"m","x_measure":1,"time":1.5}"#.to_owned(), "'1.5' is not a time"),
            (r#"{"meter_id":"m","x_measure":1,"time":9223372036854775807}"#.to_owned(), "is not a time"),
            (format!("{{{meter},\"x_measure\":1,\"timeunit\":\"FORTNIGHTS\"}}"), "'FORTNIGHTS' is not a timeunit"),
        ] {
            let reason = reason(&line);
            assert!(reason.contains(words), "{line}: {reason}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_broken_json() {
        let problem = TimestreamPayload::from_json(b"{\"meter_id\":\"m-\xff\",\"time\":1,\"x_measure\":1}");
        assert!(matches!(problem, Err(PayloadError::Json(_))), "{problem:?}");
    }

    #[test]
    fn broken_json_is_called_so_even_behind_a_null() {
        assert_eq!(reason(r#"{"x_measure":null,"#), "bad JSON: EOF while parsing a value");
    }

    #[test]
    fn a_message_survives_the_checkpoint() {
        let p = read(r#"{"meter_id":"m","time":1,"kwh_measure":0.1,"model":"A"}"#);
        let bytes = hurtig_engine::error::to_bytes("a payload", &p).expect("bytes");
        assert_eq!(hurtig_engine::error::from_bytes::<TimestreamPayload>("a payload", &bytes).expect("back"), p);
    }

    #[test]
    fn minus_zero_and_repeated_keys() {
        let p =
            read(r#"{"meter_id":"m","time":1,"x_measure":-0.0,"y_measure":1,"y_measure":2,"model":"A","model":"B"}"#);
        assert!(p.measures[0].value.is_sign_positive());
        assert_eq!((p.measures.len(), p.measures[1].value), (2, 2.0), "the last one counts");
        assert_eq!(p.dimensions, [Dimension { name: "model".into(), value: "B".into() }]);
    }
}
