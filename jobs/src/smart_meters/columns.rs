//! The job's tables as Arrow columns. All times are UTC.

use std::sync::Arc;

use arrow::{
    array::{
        ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
        TimestampMillisecondArray, TimestampNanosecondArray,
    },
    datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit},
    error::ArrowError,
};
use hurtig_lake::ToArrow;

use super::{aggregate::Aggregate, payload::Dimension, reading::Reading, time_series::TimeSeriesRecord};

const UTC: &str = "UTC";

impl ToArrow for Reading {
    fn schema() -> SchemaRef {
        schema_of(vec![
            text("meter_id"),
            time("time", TimeUnit::Microsecond),
            text("measure"),
            number("value"),
            text("unit"),
            text("region"),
            text("source"),
        ])
    }

    fn to_batch(rows: &[Self]) -> Result<RecordBatch, ArrowError> {
        let times = TimestampMicrosecondArray::from_iter_values(rows.iter().map(|r| r.time));
        let columns: Vec<ArrayRef> = vec![
            texts(rows, |r| &r.meter_id),
            Arc::new(times.with_timezone(UTC)),
            texts(rows, |r| &r.measure),
            numbers(rows, |r| r.value),
            texts(rows, |r| &r.unit),
            texts(rows, |r| &r.region),
            texts(rows, |r| &r.source),
        ];
        RecordBatch::try_new(Self::schema(), columns)
    }
}

impl ToArrow for Aggregate {
    fn schema() -> SchemaRef {
        schema_of(vec![
            text("meter_id"),
            text("region"),
            time("window_start", TimeUnit::Millisecond),
            time("window_end", TimeUnit::Millisecond),
            number("sum"),
            Field::new("count", DataType::Int64, false),
            number("min"),
            number("max"),
            number("avg"),
            text("measure"),
        ])
    }

    fn to_batch(rows: &[Self]) -> Result<RecordBatch, ArrowError> {
        let moments = |of: fn(&Aggregate) -> i64| -> ArrayRef {
            Arc::new(TimestampMillisecondArray::from_iter_values(rows.iter().map(of)).with_timezone(UTC))
        };
        let counts = rows.iter().map(|r| i64::try_from(r.count).unwrap_or(i64::MAX));
        let columns: Vec<ArrayRef> = vec![
            texts(rows, |r| &r.meter_id),
            texts(rows, |r| &r.region),
            moments(|r| r.window_start),
            moments(|r| r.window_end),
            numbers(rows, |r| r.sum),
            Arc::new(Int64Array::from_iter_values(counts)),
            numbers(rows, |r| r.min),
            numbers(rows, |r| r.max),
            numbers(rows, |r| r.avg),
            texts(rows, |r| &r.measure),
        ];
        RecordBatch::try_new(Self::schema(), columns)
    }
}

impl ToArrow for TimeSeriesRecord {
    fn schema() -> SchemaRef {
        schema_of(vec![
            text("meter_id"),
            text("region"),
            text("dimensions").with_nullable(true),
            text("measure_name"),
            number("measure_value"),
            time("time", TimeUnit::Nanosecond),
            time("original_time", TimeUnit::Nanosecond).with_nullable(true),
        ])
    }

    fn to_batch(rows: &[Self]) -> Result<RecordBatch, ArrowError> {
        let dimensions = rows.iter().map(|r| as_json(&r.dimensions)).collect::<Result<StringArray, _>>()?;
        let times = TimestampNanosecondArray::from_iter_values(rows.iter().map(|r| r.time));
        let originals: TimestampNanosecondArray = rows.iter().map(|r| r.original_time).collect();
        let columns: Vec<ArrayRef> = vec![
            texts(rows, |r| &r.meter_id),
            texts(rows, |r| &r.region),
            Arc::new(dimensions),
            texts(rows, |r| &r.measure.name),
            numbers(rows, |r| r.measure.value),
            Arc::new(times.with_timezone(UTC)),
            Arc::new(originals.with_timezone(UTC)),
        ];
        RecordBatch::try_new(Self::schema(), columns)
    }
}

/// Dimensions as a JSON object; nothing where there are none.
fn as_json(dimensions: &[Dimension]) -> Result<Option<String>, ArrowError> {
    if dimensions.is_empty() {
        return Ok(None);
    }
    let object = dimensions.iter().map(|d| (d.name.to_string(), d.value.as_str().into()));
    let object: serde_json::Map<String, serde_json::Value> = object.collect();
    serde_json::to_string(&object).map(Some).map_err(|e| ArrowError::JsonError(e.to_string()))
}

fn schema_of(fields: Vec<Field>) -> SchemaRef {
    Arc::new(Schema::new(fields))
}

fn text(name: &str) -> Field {
    Field::new(name, DataType::Utf8, false)
}

fn number(name: &str) -> Field {
    Field::new(name, DataType::Float64, false)
}

fn time(name: &str, unit: TimeUnit) -> Field {
    Field::new(name, DataType::Timestamp(unit, Some(UTC.into())), false)
}

fn texts<T>(rows: &[T], of: impl Fn(&T) -> &str) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(rows.iter().map(of)))
}

fn numbers<T>(rows: &[T], of: impl Fn(&T) -> f64) -> ArrayRef {
    Arc::new(Float64Array::from_iter_values(rows.iter().map(of)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smart_meters::{Measure, Novelty, TimestreamPayload};
    use arrow::array::{Array, AsArray};

    #[test]
    fn dimensions_and_corrected_times_are_columns() {
        let payload =
            TimestreamPayload::from_json(r#"{"meter_id":"m","time":5,"kwh_measure":1,"model":"A\"1","floor":2}"#);
        let payload = payload.expect("a payload");
        let plain = TimeSeriesRecord::new(&payload, &payload.measures[0], Novelty::New);
        let corrected = TimeSeriesRecord {
            dimensions: Vec::new(),
            original_time: Some(9),
            measure: Measure { name: "v_measure".into(), value: 2.0 },
            ..plain.clone()
        };
        let batch = TimeSeriesRecord::to_batch(&[plain, corrected]).expect("a batch");
        let dimensions = batch.column(2).as_string::<i32>();
        let object: serde_json::Value = serde_json::from_str(dimensions.value(0)).expect("an object");
        assert_eq!(object, serde_json::json!({"model": "A\"1", "floor": "2"}));
        assert!(dimensions.is_null(1));
        let originals = batch.column(6);
        assert_eq!((originals.is_null(0), originals.is_null(1)), (true, false));
    }
}
