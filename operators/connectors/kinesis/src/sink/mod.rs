//! The Kinesis sink: `PutRecords` that keep the order of every key, as fast as the shards take them.
//!
//! At least once: a checkpoint waits until everything before it is acknowledged. A record comes
//! twice when a request's answer was lost, when the job goes back to a checkpoint, and, with
//! aggregation, when a shard was split under an aggregate. [`KinesisSink::with_dedup_key`] and
//! [`Deduplicate`] are for readers that want each once.
//!
//! ```
//! use hurtig_kinesis::sink::KinesisSink;
//! use hurtig_operators::schema::JsonFormat;
//!
//! #[derive(Clone, serde::Serialize, serde::Deserialize)]
//! struct Reading {
//!     meter_id: String,
//!     time: i64,
//!     kwh: f64,
//! }
//!
//! let sink = KinesisSink::new("readings", JsonFormat::<Reading>::new(), |r: &Reading| r.meter_id.clone())
//!     .aggregate() // many readings in a record, in the KPL's format
//!     .with_dedup_key(|r: &Reading| r.time.to_string());
//! // stream.sink_to(sink)
//! # let _ = sink;
//! ```
//!
//! [`lanes`] has what may be sent when, without any network; [`rate`] how fast.

mod builder;
mod dedup;
mod driver;
pub mod heat;
pub mod lanes;
pub mod member;
mod metrics;
pub mod payload;
pub mod rate;
pub mod shard_map;
pub mod transport;
mod writer;

pub use builder::KinesisSink;
pub use dedup::{DEDUP_SEPARATOR, Deduplicate, dedup_key_of};
pub use writer::KinesisWriter;
