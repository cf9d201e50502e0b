//! The lake: Parquet files, exactly once, in directories by event time.
//!
//! Records gather by partition and become row groups on the job's pool; files are hidden until
//! their checkpoint is complete, by the same machinery as the JSON files
//! ([`part_files`](hurtig_operators::connectors::part_files)).
//!
//! ```
//! use std::sync::Arc;
//!
//! use arrow::{
//!     array::{Float64Array, RecordBatch, StringArray, TimestampMillisecondArray},
//!     datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit},
//!     error::ArrowError,
//! };
//! use hurtig_engine::record::Record;
//! use hurtig_lake::{ParquetSchema, ParquetSink, ToArrow};
//! use hurtig_operators::connectors::testing::SinkHarness;
//!
//! #[derive(serde::Serialize)]
//! struct Reading {
//!     meter_id: String,
//!     time: i64,
//!     kwh: f64,
//! }
//!
//! impl ToArrow for Reading {
//!     fn schema() -> SchemaRef {
//!         Arc::new(Schema::new(vec![
//!             Field::new("meter_id", DataType::Utf8, false),
//!             Field::new("time", DataType::Timestamp(TimeUnit::Millisecond, None), false),
//!             Field::new("kwh", DataType::Float64, false),
//!         ]))
//!     }
//!
//!     fn to_batch(rows: &[Self]) -> Result<RecordBatch, ArrowError> {
//!         RecordBatch::try_new(Self::schema(), vec![
//!             Arc::new(StringArray::from_iter_values(rows.iter().map(|r| &r.meter_id))),
//!             Arc::new(TimestampMillisecondArray::from_iter_values(rows.iter().map(|r| r.time))),
//!             Arc::new(Float64Array::from_iter_values(rows.iter().map(|r| r.kwh))),
//!         ])
//!     }
//! }
//!
//! let dir = std::env::temp_dir().join(format!("hurtig-doc-lake-{}", std::process::id()));
//! let sink = ParquetSink::new(&dir, ParquetSchema::<Reading>::of()); // by month, zstd
//! let mut harness = SinkHarness::start(&sink, "1")?;
//! let reading = Reading { meter_id: "m-1".into(), time: 1_720_184_399_999, kwh: 0.25 };
//! harness.write(Record::at(reading, 1_720_184_399_999))?;
//! harness.checkpoint()?;
//! assert!(dir.join("year=2024/month=07").is_dir());
//! # std::fs::remove_dir_all(&dir)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod format;
mod schema;
mod sink;
#[cfg(test)]
mod tests;

pub use format::{ParquetFormat, Rows};
pub use schema::{ParquetSchema, ToArrow};
pub use sink::{ParquetCompression, ParquetSink};
