//! Apache Flink's programming model in one Rust binary, made for time-series data.
//!
//! This crate is the front door. A job needs no more than the prelude:
//!
//! ```
//! use hurtig::prelude::*;
//!
//! # #[derive(Clone, serde::Serialize, serde::Deserialize)]
//! # struct Reading { meter_id: String, time: i64, wh: i64 }
//! fn job(env: &Environment, readings: impl Source<Item = Reading>) {
//!     let watermarks = WatermarkStrategy::bounded_out_of_orderness(secs(30));
//!     env.from_source(readings, watermarks.with_timestamp_assigner(|r: &Reading, _| r.time), "readings")
//!         .filter(|r| r.wh > 0)
//!         .key_by(|r: &Reading| r.meter_id.clone())
//!         .reduce(|a, b| Reading { wh: a.wh + b.wh, ..b })
//!         .sink_to(DiscardingSink);
//! }
//! ```
//!
//! A job can be run from code as well, and watched by its handle (`examples/submit.rs`):
//!
//! ```
//! use hurtig::{connectors::generator::{GeneratorConfig, GeneratorSource, MeterReading}, prelude::*};
//! use std::sync::atomic::Ordering::Relaxed;
//!
//! # let dir = tempfile::tempdir()?;
//! let env = Environment::new("regions");
//! let fleet = GeneratorConfig { meters: 100, count: Some(1_000), ..Default::default() };
//! env.from_source(GeneratorSource::readings(&fleet)?, WatermarkStrategy::no_watermarks(), "fleet")
//!     .map(|r: MeterReading| r.region).name("Region")
//!     .sink_to(DiscardingSink);
//!
//! let job: JobHandle = env.execute_async(job_config(dir.path()))?;
//! assert_eq!(job.wait()?.state, JobState::Finished);
//! let region = job.metrics_of("Region").expect("a vertex");
//! assert!(region.iter().map(|subtask| subtask.records_in.load(Relaxed)).sum::<u64>() >= 1_000);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! - [`prelude`]: what a job usually needs. [`connectors`]: sources and sinks.
//! - [`engine`]: the runner, and the contracts of operators, sources and sinks. [`state`]: keyed
//!   state.
//! - Feature `cli`: `run`, which gives a job the options that every job has, the command line
//!   `hurtig`, and `smart_meters`, the job that comes with it. Feature `sql`: `hurtig query`, and tables over
//!   files (`catalog`). Feature `insights`: `hurtig report`, and pictures of months of readings.
//!   Feature `s3`: checkpoints, and files to ingest, on S3. Feature `store`: the time-series store, and
//!   `embedded`, which has it in the process of a job. Features `kinesis`, `kafka`, `timestream`,
//!   `influx`, `formats` (Avro and Protobuf) and `ingest` (big files, fed in only as fast as a stream
//!   takes them): a connector each, under its own name in this crate. The default build has none of them.
//!
//! `docs/getting-started.md` goes through it step by step; `examples/user_job.rs` is a whole job.

mod config;
pub mod prelude;

#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "store")]
pub mod embedded;
#[cfg(feature = "sql")]
pub mod query;
#[cfg(feature = "cli")]
pub mod smart_meters;

pub use config::job_config;
pub use hurtig_engine as engine;
pub use hurtig_operators::{self as operators, connectors};
pub use hurtig_state as state;

#[cfg(feature = "sql")]
pub use hurtig_catalog as catalog;
#[cfg(feature = "formats")]
pub use hurtig_formats as formats;
#[cfg(feature = "influx")]
pub use hurtig_influx as influx;
#[cfg(feature = "ingest")]
pub use hurtig_ingest as ingest;
#[cfg(feature = "insights")]
pub use hurtig_insights as insights;
#[cfg(feature = "kafka")]
pub use hurtig_kafka as kafka;
#[cfg(feature = "kinesis")]
pub use hurtig_kinesis as kinesis;
#[cfg(feature = "store")]
pub use hurtig_store as store;
#[cfg(feature = "timestream")]
pub use hurtig_timestream as timestream;

#[cfg(feature = "cli")]
pub use cli::run;
