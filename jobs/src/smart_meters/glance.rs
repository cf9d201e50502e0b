//! A glance at a message's text: what the source must know of it before the operators read it.
//!
//! A watermark is made of every message's time, and a source that knows when a message arrived
//! says so. Only that is picked out here, but the whole text is checked on the way: of what is no
//! JSON nothing can be trusted, and a time found in it would make other messages late.

use std::fmt;

use hurtig_operators::connectors::files::TimeParser;
use serde::{
    Deserializer as _,
    de::{IgnoredAny, MapAccess, Visitor},
};

use super::payload::{Key, Scalar, TimeUnit};

/// The event time in milliseconds, by the same rules as the payload's.
pub fn event_time(line: &[u8]) -> Option<i64> {
    let (mut time, mut unit) = (None, None);
    let is_one_of_both = |key: &str| key.eq_ignore_ascii_case("time") || key.eq_ignore_ascii_case("timeunit");
    pick(line, is_one_of_both, |key, value| {
        if key.len() == "time".len() {
            time = value.into_time();
        } else {
            unit = value.into_text();
        }
    })?;
    let unit = unit.map_or(Some(TimeUnit::default()), |name| TimeUnit::parse(&name))?;
    Some(unit.to_nanos(time?.ok()?)?.div_euclid(1_000_000))
}

/// When the message arrived, in milliseconds, as it says itself under `key`: whole milliseconds
/// since 1970, or a time in words as [`TimeParser`] reads them.
pub fn arrival(line: &[u8], key: &str, times: &TimeParser) -> Option<i64> {
    let mut arrival = None;
    pick(line, |k| k == key, |_, value| arrival = value.into_text())?;
    times.parse(&arrival?).ok()
}

/// Hands over the values of the keys that are `wanted`; `None` if the text is no JSON object.
fn pick(line: &[u8], wanted: impl Fn(&str) -> bool, found: impl FnMut(&str, Scalar<'_>)) -> Option<()> {
    struct Picking<W, F>(W, F);

    impl<'de, W: Fn(&str) -> bool, F: FnMut(&str, Scalar<'_>)> Visitor<'de> for Picking<W, F> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a JSON object")
        }

        fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
            while let Some(Key(key)) = map.next_key()? {
                if (self.0)(&key) {
                    (self.1)(&key, map.next_value()?);
                } else {
                    map.next_value::<IgnoredAny>()?;
                }
            }
            Ok(())
        }
    }

    let mut json = sonic_rs::Deserializer::from_str(std::str::from_utf8(line).ok()?);
    json.deserialize_map(Picking(wanted, found)).ok()?;
    json.end().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smart_meters::TimestreamPayload;

    #[test]
    fn the_time_is_found_without_keeping_the_rest() {
        for (line, time) in [
            (r#"{"meter_id":"m","time":1700000000000,"kwh_measure":1.5}"#, 1_700_000_000_000),
            (r#"{"Time": 1700000000000 ,"DeviceID":"x"}"#, 1_700_000_000_000),
            (r#"{"TIME" : "1700000000000"}"#, 1_700_000_000_000),
            (r#"{"timeunit":"SECONDS","time":1700000000}"#, 1_700_000_000_000),
            (r#"{"time":1700000000123456789,"timeUnit":"nanoseconds"}"#, 1_700_000_000_123),
            (r#"{"time":-1}"#, -1),
            (r#"{"note":"\"time\":5","time":6}"#, 6),
            (r#"{"note":"time","lifetime":5,"time":6}"#, 6),
            (r#"{"inner":{"time":5},"time":6}"#, 6),
            ("{\"t\\u0069me\":7}", 7),
        ] {
            assert_eq!(event_time(line.as_bytes()), Some(time), "{line}");
        }
    }

    #[test]
    fn a_time_that_cannot_be_trusted_is_none() {
        for line in [
            "",
            "{}",
            "[5]",
            r#"{"time":null}"#,
            r#"{"time":1.5}"#,
            r#"{"time":1700000000000"#,
            r#"{"time":1700000000000,}"#,
            r#"{"time":1700000000000,"kwh_measure":}"#,
            r#"{"time":1700000000000,"kwh_measure":1.}"#,
            r#"{"time":1700000000000,"kwh_measure":0.5} and more"#,
            r#"{"time":1700000000000,"kwh_measure":0.5}{"time":5}"#,
            r#"{"time":1700000000000,"model":"A10"#,
            r#"{"time":1700000000000,"nested":{"a":[1,}}"#,
            r#"{"time":5,"timeunit":"fortnights"}"#,
            // Beyond what a clock of nanoseconds holds.
            r#"{"time":9223372036854775807}"#,
        ] {
            assert_eq!(event_time(line.as_bytes()), None, "{line}");
            assert!(TimestreamPayload::from_json(line).is_err(), "{line} is a dead letter");
        }
        assert_eq!(event_time(b"{\"time\":1700000000000,\"model\":\"\xff\"}"), None);
    }

    #[test]
    fn an_arrival_is_a_number_or_a_time_in_words() {
        let times = TimeParser::new(None, "UTC").expect("UTC");
        let at = |line: &str| arrival(line.as_bytes(), "arrived", &times);
        assert_eq!(at(r#"{"time":1,"arrived":1700000000000}"#), Some(1_700_000_000_000));
        assert_eq!(at(r#"{"arrived":"2012-01-03T00:00:00Z"}"#), Some(1_325_548_800_000));
        for line in ["{}", r#"{"arrived":"soon"}"#, r#"{"arrived":1700000000000"#] {
            assert_eq!(at(line), None, "{line}");
        }
    }
}
