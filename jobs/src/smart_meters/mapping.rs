//! `MapToTimestreamPayload`: from a message's text to a [`TimestreamPayload`].
//!
//! In the talk's job a message that cannot be read throws, the job restarts, reads the message
//! again, and so on for ever. Here it goes to the dead letters with its raw bytes, its place in
//! the source and the reason, and the job goes on.

use compact_str::CompactString;
use hurtig_engine::{Record, error::Result, operator::Output, task::OutputTag, time::NO_TIMESTAMP};
use hurtig_operators::{collector::Collector, process::ProcessFunction};
use serde::{Deserialize, Serialize, Serializer, ser::Error as _};
use serde_json::value::RawValue;

use super::{Message, TimestreamPayload};

/// The operator's name in the job.
pub const NAME: &str = "MapToTimestreamPayload";

/// A message that was understood, as text: what the raw part of the lake keeps.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct RawLine {
    /// As it was read.
    pub text: Vec<u8>,
    /// When it arrived, in milliseconds since the epoch; [`NO_TIMESTAMP`] where the source does not say.
    pub arrival: i64,
}

/// In JSON the text stands for itself: it is an object already, and not a byte of it changes.
impl Serialize for RawLine {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        if !serializer.is_human_readable() {
            return (&self.text, self.arrival).serialize(serializer);
        }
        let text: &RawValue = serde_json::from_slice(&self.text).map_err(S::Error::custom)?;
        text.serialize(serializer)
    }
}

/// Where [`MapToTimestreamPayload`] puts the text of what it understood.
pub fn raw_lines() -> OutputTag<RawLine> {
    OutputTag::new("raw")
}

/// Reads messages. Emits payloads stamped with their own time, and their text as [`raw_lines`];
/// what cannot be read becomes a dead letter.
#[derive(Debug, Clone)]
pub struct MapToTimestreamPayload {
    raw: OutputTag<RawLine>,
    /// A key that says something of the message and nothing of what was measured.
    left_out: Option<CompactString>,
}

impl Default for MapToTimestreamPayload {
    fn default() -> Self {
        MapToTimestreamPayload { raw: raw_lines(), left_out: None }
    }
}

impl MapToTimestreamPayload {
    /// `key` becomes no dimension; when a message arrived is not what it is about.
    #[must_use]
    pub fn leaving_out(self, key: Option<&str>) -> Self {
        MapToTimestreamPayload { left_out: key.map(Into::into), ..self }
    }
}

impl ProcessFunction<Message> for MapToTimestreamPayload {
    type Out = TimestreamPayload;

    fn process_element<O: Output<TimestreamPayload>>(
        &mut self,
        message: Message,
        out: &mut Collector<'_, O>,
    ) -> Result<()> {
        let Message { line, arrival, split_time } = message;
        match TimestreamPayload::from_json(&line) {
            Ok(mut payload) => {
                payload.arrival = arrival;
                payload.split_time = split_time;
                if let Some(key) = &self.left_out {
                    payload.dimensions.retain(|d| d.name != *key);
                }
                let timestamp = payload.time_ms();
                let origin = out.origin();
                out.task().output(&self.raw, Record { value: RawLine { text: line, arrival }, timestamp, origin });
                out.collect_at(payload, timestamp);
            }
            Err(problem) => {
                // When it arrived is the only time that can be trusted in what cannot be read.
                let time = if arrival == NO_TIMESTAMP { out.timestamp() } else { arrival };
                let origin = out.origin();
                out.task().dead_letter(NAME, origin, time, line, problem.to_string());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hurtig_engine::{Origin, task::TaskContext};

    struct Collected {
        records: Vec<Record<TimestreamPayload>>,
        ctx: TaskContext,
    }

    impl Output<TimestreamPayload> for Collected {
        fn collect(&mut self, record: Record<TimestreamPayload>) {
            self.records.push(record);
        }

        fn is_full(&self) -> bool {
            false
        }

        fn ctx(&mut self) -> &mut TaskContext {
            &mut self.ctx
        }
    }

    fn map(line: &str, arrival: i64) -> Vec<Record<TimestreamPayload>> {
        map_by(MapToTimestreamPayload::default(), line, arrival)
    }

    fn map_by(mut map: MapToTimestreamPayload, line: &str, arrival: i64) -> Vec<Record<TimestreamPayload>> {
        let mut out = Collected { records: Vec::new(), ctx: TaskContext::detached(NAME) };
        let mut collector = Collector::new(&mut out, 77, Origin::new(1, 2), NAME);
        let message = Message { line: line.into(), arrival, split_time: 4_000 };
        let done = map.process_element(message, &mut collector);
        assert!(done.is_ok(), "a message never fails the job: {line}");
        out.records
    }

    #[test]
    fn a_payload_carries_its_own_time_and_the_arrival() {
        let records = map(r#"{"meter_id":"m","timeunit":"SECONDS","time":5,"kwh_measure":1}"#, 6_000);
        assert_eq!(records.len(), 1);
        assert_eq!((records[0].timestamp, records[0].origin), (5_000, Origin::new(1, 2)));
        let payload = &records[0].value;
        assert_eq!((payload.arrival, payload.split_time, payload.time), (6_000, 4_000, 5_000_000_000));
    }

    #[test]
    fn the_arrivals_key_is_no_dimension() {
        let line = r#"{"meter_id":"m","time":5,"arrived":9,"model":"A100","kwh_measure":1}"#;
        let records = map_by(MapToTimestreamPayload::default().leaving_out(Some("arrived")), line, 9);
        let names: Vec<_> = records[0].value.dimensions.iter().map(|d| d.name.as_str()).collect();
        assert_eq!(names, ["model"]);
    }

    #[test]
    fn raw_lines_are_written_as_they_were_read() {
        let line =
            br#"{ "Time":1700000000000,  "x_measure": 0.30000000000000004, "x_measure":1e2,"caf\u00e9":"\u00e9" }"#;
        let raw = RawLine { text: line.to_vec(), arrival: 5 };
        assert_eq!(serde_json::to_vec(&raw).expect("json"), line);
        let bytes = hurtig_engine::error::to_bytes("a line", &raw).expect("bytes");
        assert_eq!(hurtig_engine::error::from_bytes::<RawLine>("a line", &bytes).expect("back"), raw);
    }

    #[test]
    fn what_cannot_be_read_goes_no_further() {
        for line in ["", "{", "\u{fffd}", r#"{"meter_id":"m","time":5,"kwh_measure":null}"#, r#"{"time":5}"#] {
            assert!(map(line, NO_TIMESTAMP).is_empty(), "{line}");
        }
    }
}
