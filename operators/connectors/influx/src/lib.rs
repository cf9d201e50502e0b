//! InfluxDB's line protocol over HTTP: hurtig's sink for InfluxDB 1, 2 and 3 (and Amazon Timestream for InfluxDB),
//! QuestDB, VictoriaMetrics and whatever else takes it.
//!
//! At least once, and idempotent: a checkpoint waits until everything before it is acknowledged, and a point that is
//! written again after a restore has the same series and time, so it takes the place of itself. Lines that the server
//! refuses go to the dead letters one by one, each with the server's reason.
//!
//! ```
//! use hurtig_influx::{InfluxSink, Point};
//!
//! #[derive(Clone, serde::Serialize, serde::Deserialize)]
//! struct Reading {
//!     meter_id: String,
//!     time_ms: i64,
//!     kwh: f64,
//! }
//!
//! let sink = InfluxSink::v2("http://127.0.0.1:8086", "grid", "meters", |r: &Reading| {
//!     Point::new("readings").tag("meter_id", &r.meter_id).field("kwh", r.kwh).at_ms(r.time_ms)
//! })
//! .token("secret");
//! // stream.sink_to(sink)
//! # let _ = sink;
//! ```
//!
//! [`line`](mod@line) writes what [`point`] holds, [`answer`] reads what servers say, [`delivery`] does what they ask for; none of
//! them knows a network.

pub mod answer;
mod api;
mod builder;
pub mod delivery;
mod error;
mod http;
pub mod line;
pub mod point;
pub mod queue;
mod schema;
mod writer;

pub use answer::Failure;
pub use api::Api;
pub use builder::InfluxSink;
pub use delivery::Transport;
pub use error::{Error, Result};
pub use line::Escaping;
pub use point::{FieldValue, Point};
pub use schema::PointSchema;
pub use writer::InfluxWriter;
