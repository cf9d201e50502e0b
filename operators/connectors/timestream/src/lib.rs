//! Amazon Timestream for LiveAnalytics, and what speaks its API: hurtig's sink.
//!
//! At least once, and idempotent: a checkpoint waits until everything before it is acknowledged, and what is
//! written again after a restore has the same dimensions, time, measure name and version, which Timestream takes
//! without a second row. What it refuses goes to the dead letters one by one, each with Timestream's reason.
//!
//! ```
//! use hurtig_timestream::{TimestreamRecord, TimestreamSink};
//!
//! #[derive(Clone, serde::Serialize, serde::Deserialize)]
//! struct Reading {
//!     meter_id: String,
//!     time: i64,
//!     kwh: f64,
//!     voltage: f64,
//! }
//!
//! let sink = TimestreamSink::new("meters", "readings", |r: &Reading| {
//!     TimestreamRecord::multi("reading", r.time)
//!         .dimension("meter_id", &r.meter_id)
//!         .measure("kwh", r.kwh)
//!         .measure("voltage", r.voltage)
//! });
//! // stream.sink_to(sink)
//! # let _ = sink;
//! ```
//!
//! [`record`] and [`limits`] have what can be written, [`queue`] what goes together when, [`delivery`] what an answer
//! means; none of them knows a network.

mod builder;
mod common;
pub mod delivery;
mod error;
mod failure;
pub mod limits;
mod metrics;
mod payload;
pub mod queue;
pub mod record;
mod table;
mod transport;
mod window;
mod writer;

pub use builder::{TimestreamSink, TooOld};
pub use common::{CommonAttributes, factor_out};
pub use delivery::Refusal;
pub use error::{Error, Result};
pub use failure::Failure;
pub use payload::TimestreamPayload;
pub use record::{Measure, MeasureValue, TimeUnit, TimestreamRecord};
pub use table::{TableInfo, TableName};
pub use transport::{TimestreamTransport, Transport};
pub use window::{Route, Window};
pub use writer::TimestreamWriter;
