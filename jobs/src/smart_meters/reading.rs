//! A row of the `readings` table: one measured value as it was read.

use std::collections::BTreeMap;

use compact_str::CompactString;
use hurtig_engine::time::NO_TIMESTAMP;
use serde::{Deserialize, Serialize};

use super::payload::{Dimension, TimestreamPayload};

/// One measured value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// The meter.
    pub meter_id: CompactString,
    /// When it was measured, in microseconds since the epoch.
    pub time: i64,
    /// What was measured, without `_measure`: `kwh`, `voltage` …
    pub measure: CompactString,
    /// How much.
    pub value: f64,
    /// Of what: `kWh`, `V` …; empty where the measure's name does not say.
    pub unit: CompactString,
    /// The meter's region, or empty.
    pub region: CompactString,
    /// What else the message says, as a JSON object in the order of its keys; empty where there is nothing.
    pub dimensions: CompactString,
    /// What it was read from: `file`, `generator` …
    pub source: CompactString,
    /// When it arrived, in microseconds since the epoch; none where the source does not say.
    pub arrived: Option<i64>,
}

impl Reading {
    /// The values that a message holds, as they were read from `source`.
    pub fn all(payload: TimestreamPayload, source: CompactString) -> impl Iterator<Item = Reading> {
        let time = payload.time_as_read().div_euclid(1_000);
        let TimestreamPayload { meter_id, region, measures, arrival, dimensions, .. } = payload;
        let dimensions = as_object(dimensions);
        let arrived = (arrival != NO_TIMESTAMP).then(|| arrival.saturating_mul(1_000));
        measures.into_iter().map(move |m| {
            let measure = measure_of(&m.name);
            Reading {
                meter_id: meter_id.clone(),
                time,
                value: m.value,
                unit: CompactString::const_new(unit_of(measure)),
                measure: measure.into(),
                region: region.clone(),
                dimensions: dimensions.clone(),
                source: source.clone(),
                arrived,
            }
        })
    }
}

/// Dimensions by their names: the same ones are the same text.
fn as_object(dimensions: Vec<Dimension>) -> CompactString {
    if dimensions.is_empty() {
        return CompactString::const_new("");
    }
    let sorted: BTreeMap<_, _> = dimensions.iter().map(|d| (d.name.as_str(), d.value.as_str())).collect();
    serde_json::to_string(&sorted).unwrap_or_default().into()
}

/// `kwh_measure` → `kwh`.
pub fn measure_of(key: &str) -> &str {
    const END: usize = "_measure".len();
    let end = key.len().saturating_sub(END);
    match key.get(end..) {
        Some(tail) if end > 0 && tail.eq_ignore_ascii_case("_measure") => &key[..end],
        _ => key,
    }
}

/// The unit of a measure that the samples and meters at hand use; empty for others.
pub fn unit_of(measure: &str) -> &'static str {
    const UNITS: [(&str, &str); 15] = [
        ("kwh", "kWh"),
        ("wh", "Wh"),
        ("therm", "therm"),
        ("kw", "kW"),
        ("watt", "W"),
        ("kva", "kVA"),
        ("kvar", "kvar"),
        ("voltage", "V"),
        ("vltg", "kV"),
        ("current", "A"),
        ("crrnt", "A"),
        ("frequency", "Hz"),
        ("temperature", "°C"),
        ("humidity", "%"),
        ("pf", "1"),
    ];
    UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(measure)).map_or("", |(_, unit)| unit)
}

/// Whether a measure is energy that was used in an interval, and so can be added up.
pub fn is_energy(measure: &str) -> bool {
    ["kwh", "wh", "therm"].iter().any(|m| m.eq_ignore_ascii_case(measure))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_becomes_a_row_a_measure() {
        let p = TimestreamPayload::from_json(
            r#"{"meter_id":"m","region":"uk","time":1700000000123,"kwh_measure":0.5,"Voltage_Measure":230.1,"odd_measure":1}"#,
        );
        let rows: Vec<_> = Reading::all(p.expect("payload"), "file".into()).collect();
        let short: Vec<_> = rows.iter().map(|r| (&*r.measure, r.value, &*r.unit)).collect();
        assert_eq!(short, [("kwh", 0.5, "kWh"), ("Voltage", 230.1, "V"), ("odd", 1.0, "")]);
        assert!(rows.iter().all(|r| r.time == 1_700_000_000_123_000 && r.region == "uk" && r.source == "file"));
    }

    #[test]
    fn what_else_is_said_is_the_same_text_in_any_order() {
        let of = |json: &str| {
            let payload = TimestreamPayload::from_json(json).expect("payload");
            Reading::all(payload, "x".into()).map(|r| r.dimensions).collect::<Vec<_>>()
        };
        let model = of(r#"{"meter_id":"m","time":5,"phase":"L1","model":"A\"1","kwh_measure":1,"v_measure":2}"#);
        assert_eq!(model, [r#"{"model":"A\"1","phase":"L1"}"#; 2]);
        assert_eq!(of(r#"{"model":"A\"1","meter_id":"m","kwh_measure":1,"time":5,"phase":"L1"}"#), model[..1]);
        assert_eq!(of(r#"{"meter_id":"m","time":5,"kwh_measure":1}"#), [""]);
    }

    #[test]
    fn when_it_arrived_is_said_where_it_is_known() {
        let mut p = TimestreamPayload::from_json(r#"{"meter_id":"m","time":5,"kwh_measure":1}"#).expect("payload");
        assert_eq!(Reading::all(p.clone(), "x".into()).map(|r| r.arrived).collect::<Vec<_>>(), [None]);
        p.arrival = 7;
        assert_eq!(Reading::all(p, "x".into()).map(|r| r.arrived).collect::<Vec<_>>(), [Some(7_000)]);
    }

    #[test]
    fn a_corrected_time_does_not_reach_the_readings() {
        let mut p = TimestreamPayload::from_json(r#"{"meter_id":"m","time":5,"kwh_measure":1}"#).expect("payload");
        p.original_time = Some(7_000_000);
        assert_eq!(Reading::all(p, "x".into()).map(|r| r.time).collect::<Vec<_>>(), [7_000]);
    }

    #[test]
    fn names_without_the_ending_stay_as_they_are() {
        assert_eq!(
            (measure_of("kwh_measure"), measure_of("_measure"), measure_of("é"), measure_of("")),
            ("kwh", "_measure", "é", "")
        );
        assert!(is_energy("KWH") && is_energy("therm") && !is_energy("kw"));
    }
}
