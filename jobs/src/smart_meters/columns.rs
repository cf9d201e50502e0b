//! The job's tables as Arrow columns. All times are UTC, in microseconds: what Delta Lake has, and every reader of Parquet.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray},
    datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit},
    error::ArrowError,
};
use hurtig_lake::ToArrow;

use super::{aggregate::Aggregate, reading::Reading};

const UTC: &str = "UTC";

impl ToArrow for Reading {
    fn schema() -> SchemaRef {
        schema_of(vec![
            text("meter_id"),
            time("time"),
            text("measure"),
            number("value"),
            text("unit"),
            text("region"),
            text("dimensions"),
            text("source"),
            Field::new("arrived", DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into())), true),
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
            texts(rows, |r| &r.dimensions),
            texts(rows, |r| &r.source),
            Arc::new(TimestampMicrosecondArray::from_iter(rows.iter().map(|r| r.arrived)).with_timezone(UTC)),
        ];
        RecordBatch::try_new(Self::schema(), columns)
    }
}

impl ToArrow for Aggregate {
    fn schema() -> SchemaRef {
        schema_of(vec![
            text("meter_id"),
            text("region"),
            time("window_start"),
            time("window_end"),
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
            let us = rows.iter().map(|row| of(row).saturating_mul(1_000));
            Arc::new(TimestampMicrosecondArray::from_iter_values(us).with_timezone(UTC))
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

fn schema_of(fields: Vec<Field>) -> SchemaRef {
    Arc::new(Schema::new(fields))
}

fn text(name: &str) -> Field {
    Field::new(name, DataType::Utf8, false)
}

fn number(name: &str) -> Field {
    Field::new(name, DataType::Float64, false)
}

fn time(name: &str) -> Field {
    Field::new(name, DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into())), false)
}

fn texts<T>(rows: &[T], of: impl Fn(&T) -> &str) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(rows.iter().map(of)))
}

fn numbers<T>(rows: &[T], of: impl Fn(&T) -> f64) -> ArrayRef {
    Arc::new(Float64Array::from_iter_values(rows.iter().map(of)))
}
