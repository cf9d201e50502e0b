//! A row of the time series as a message of a stream: the flat JSON object that the job itself reads, so
//! that one job's output is the next one's input.

use hurtig_operators::schema::{SchemaError, SerializationSchema};
use serde::ser::{SerializeMap, Serializer as _};

use super::time_series::TimeSeriesRecord;

/// `{"time":…,"meter_id":…,"region":…,"kwh_measure":0.25}`: the time in milliseconds, or with
/// `"timeunit":"NANOSECONDS"` where it has more.
#[derive(Debug, Clone, Copy, Default)]
pub struct FlatJson;

/// Nanoseconds in a millisecond.
const MS: i64 = 1_000_000;

impl SerializationSchema<TimeSeriesRecord> for FlatJson {
    fn serialize(&mut self, row: &TimeSeriesRecord, out: &mut Vec<u8>) -> Result<(), SchemaError> {
        let mut json = serde_json::Serializer::new(out);
        let mut write = || {
            let mut map = json.serialize_map(None)?;
            if row.time % MS == 0 {
                map.serialize_entry("time", &(row.time / MS))?;
            } else {
                map.serialize_entry("time", &row.time)?;
                map.serialize_entry("timeunit", "NANOSECONDS")?;
            }
            for (name, value) in row.all_dimensions() {
                map.serialize_entry(name, value)?;
            }
            map.serialize_entry(&*row.measure.name, &row.measure.value)?;
            map.end()
        };
        write().map_err(|e: serde_json::Error| e.to_string().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smart_meters::{Measure, Novelty, TimestreamPayload};

    #[test]
    fn what_is_written_is_what_is_read() {
        for time in [1_769_860_800_000 * MS, 1_769_860_800_000 * MS + 7] {
            let row = TimeSeriesRecord {
                meter_dimension: "meter_id".into(),
                meter_id: "m-1".into(),
                region: "EU".into(),
                dimensions: Vec::new(),
                measure: Measure { name: "kwh_measure".into(), value: 0.25 },
                time,
                original_time: None,
                novelty: Novelty::New,
            };
            let mut line = Vec::new();
            FlatJson.serialize(&row, &mut line).expect("written");
            let payload = TimestreamPayload::from_json(&line).expect("read");
            let back = TimeSeriesRecord::new(&payload, &payload.measures[0], Novelty::New);
            assert_eq!(back, row, "{}", String::from_utf8_lossy(&line));
        }
    }
}
