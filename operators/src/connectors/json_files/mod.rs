//! JSON lines in files, exactly once: hidden until their checkpoint is complete, in directories
//! by event time, rolled by size and time, plain or gzip.
//!
//! ```
//! use hurtig_engine::record::Record;
//! use hurtig_operators::connectors::{
//!     json_files::JsonFilesSink,
//!     part_files::{EventTimePartition, PartitionBy},
//!     testing::SinkHarness,
//! };
//!
//! #[derive(Clone, serde::Serialize)]
//! struct Reading {
//!     meter_id: String,
//!     ts: i64,
//! }
//!
//! let dir = std::env::temp_dir().join(format!("hurtig-doc-json-{}", std::process::id()));
//! let sink = JsonFilesSink::<Reading>::new(&dir)
//!     .partition_by(PartitionBy::event_time_of(|r: &Reading| r.ts, EventTimePartition::Day));
//!
//! let mut harness = SinkHarness::start(&sink, "1")?;
//! harness.write(Record::new(Reading { meter_id: "m-1".into(), ts: 1_720_184_399_999 }))?;
//! harness.checkpoint()?;
//! let day = dir.join("year=2024/month=07/day=05");
//! let file = std::fs::read_dir(&day)?.next().expect("a file")?.path();
//! assert_eq!(std::fs::read_to_string(&file)?, "{\"meter_id\":\"m-1\",\"ts\":1720184399999}\n");
//! # std::fs::remove_dir_all(&dir)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod format;
mod sink;
#[cfg(test)]
mod tests;

pub use format::{JsonChunk, JsonFormat};
pub use sink::JsonFilesSink;
