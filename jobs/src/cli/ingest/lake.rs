//! The bypass: readings as rows of the talk's integrated Parquet table.

use std::{borrow::Cow, sync::Arc};

use arrow::{
    array::{Float64Array, RecordBatch, StringArray, TimestampMicrosecondArray},
    datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit},
    error::ArrowError,
};
use compact_str::CompactString;
use hurtig_engine::{Result, operator::Output, task::RuntimeContext};
use hurtig_ingest::{Message, RecordId};
use hurtig_lake::ToArrow;
use hurtig_operators::{collector::Collector, connectors::files::TimeParser, process::ProcessFunction};
use serde::{Deserialize, Serialize};

/// One row of the table. Rows wait in memory for a row group: short texts lie in the row itself, and
/// the id becomes text as late as it can.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IntegratedReading {
    meter_id: CompactString,
    reading_type: CompactString,
    reading_value: f64,
    /// In microseconds since the epoch.
    reading_date_time: i64,
    reading_source: CompactString,
    record: RecordId,
    part: u32,
}

impl ToArrow for IntegratedReading {
    fn schema() -> SchemaRef {
        let text = |name: &str| Field::new(name, DataType::Utf8, false);
        Arc::new(Schema::new(vec![
            text("meter_id"),
            text("reading_type"),
            Field::new("reading_value", DataType::Float64, false),
            Field::new("reading_date_time", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), false),
            text("reading_source"),
            text("record_id"),
        ]))
    }

    fn to_batch(rows: &[Self]) -> std::result::Result<RecordBatch, ArrowError> {
        let texts = |of: fn(&Self) -> &str| Arc::new(StringArray::from_iter_values(rows.iter().map(of)));
        let times = TimestampMicrosecondArray::from_iter_values(rows.iter().map(|r| r.reading_date_time));
        RecordBatch::try_new(
            Self::schema(),
            vec![
                texts(|r| &r.meter_id),
                texts(|r| &r.reading_type),
                Arc::new(Float64Array::from_iter_values(rows.iter().map(|r| r.reading_value))),
                Arc::new(times.with_timezone("UTC")),
                texts(|r| &r.reading_source),
                Arc::new(StringArray::from_iter_values(rows.iter().map(|r| r.record.of_part(r.part)))),
            ],
        )
    }
}

/// The reading in a message, as the talk's batch path writes it.
#[derive(Deserialize)]
struct Wire<'a> {
    meter_id: CompactString,
    reading_type: CompactString,
    reading_value: serde_json::Value,
    #[serde(borrow)]
    reading_date_time: Cow<'a, str>,
    #[serde(default)]
    reading_source: CompactString,
}

/// Makes rows of messages; what is no reading goes to the dead letters.
#[derive(Clone)]
pub struct ToReading {
    times: Option<TimeParser>,
}

impl ToReading {
    pub fn new() -> Self {
        ToReading { times: None }
    }

    /// The row, and its event time in milliseconds.
    fn reading(&self, message: &Message) -> std::result::Result<(IntegratedReading, i64), String> {
        let wire: Wire = serde_json::from_slice(&message.data).map_err(|e| format!("not a reading: {e}"))?;
        let value = match &wire.reading_value {
            serde_json::Value::String(text) => text.trim().parse().ok(),
            other => other.as_f64(),
        };
        let value: f64 = value.ok_or_else(|| format!("reading_value {} is no number", wire.reading_value))?;
        let times = self.times.as_ref().ok_or("the operator is not open")?;
        let time = times.parse(&wire.reading_date_time).map_err(|e| format!("reading_date_time: {e}"))?;
        let reading = IntegratedReading {
            meter_id: wire.meter_id,
            reading_type: wire.reading_type,
            reading_value: value,
            reading_date_time: time.saturating_mul(1_000),
            reading_source: wire.reading_source,
            record: message.id,
            part: message.part,
        };
        Ok((reading, time))
    }
}

impl ProcessFunction<Message> for ToReading {
    type Out = IntegratedReading;

    fn open(&mut self, _ctx: &mut RuntimeContext<'_>, _restored: Vec<Vec<u8>>) -> Result<()> {
        self.times = Some(TimeParser::new(None, "UTC").map_err(hurtig_engine::Error::Config)?);
        Ok(())
    }

    fn process_element<O: Output<IntegratedReading>>(
        &mut self,
        message: Message,
        out: &mut Collector<'_, O>,
    ) -> Result<()> {
        match self.reading(&message) {
            Ok((reading, time)) => out.collect_at(reading, time),
            Err(reason) => out.dead_letter(message.data, reason),
        }
        Ok(())
    }
}
