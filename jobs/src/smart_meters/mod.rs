//! The talk's smart-meter job, in one process.
//!
//! ```text
//! generator, files, ┐   Message    TimestreamPayload
//! Kinesis, Kafka ───┴─▶ readings ─▶ MapToTimestreamPayload ─┬─▶ RawLake       <lake>/raw       JSON lines, as read
//!                                                           ├─▶ ReadingsLake  <lake>/typed/readings      Delta Lake
//!                                                           └─▶ OffsetFutureTimestreamPoints ─┬─▶ OutsideWindow
//!                                                                    by meter                 ├─▶ WriteOnce ─▶ time-series store
//!   whatever cannot be used, from any of them ─▶ dead letters                                 └─▶ sums by minute and by hour ─▶ <lake>/typed
//! ```
//!
//! The operators' names are those of the job on AWS that the talk shows
//! (`amazon-kinesis-timestream-grafana`), and so are the options [`Options`] takes besides its
//! own. What that job does wrong, the operators' own pages say.
//!
//! ```
//! use hurtig::{prelude::*, smart_meters};
//!
//! let options = smart_meters::Options { meters: 10, bounded: true, ..Default::default() };
//! let env = Environment::new("smart-meters");
//! smart_meters::build(&env, &options, "data".as_ref())?;
//! let graph = env.graph()?;
//! assert!(graph.is_bounded());
//! # Ok::<(), Error>(())
//! ```

mod aggregate;
mod columns;
pub mod cost;
mod csv_row;
mod glance;
mod in_time;
pub mod influx_url;
mod judged;
mod lateness;
mod layout;
mod mapping;
mod message;
mod offset_future;
mod options;
mod payload;
mod pipeline;
mod reading;
mod sinks;
mod sources;
mod span;
mod spec;
#[cfg(any(feature = "store", feature = "timestream", feature = "influx"))]
mod stores;
mod stream_lines;
mod stream_message;
mod stream_options;
#[cfg(any(feature = "kinesis", feature = "kafka"))]
mod streams;
#[cfg(feature = "sql")]
mod tables;
#[cfg(test)]
mod tests;
mod time_series;
#[cfg(feature = "delta")]
pub mod upkeep;
mod window;
mod write_once;

pub use self::{
    aggregate::{Aggregate, Energy, EnergyKey, SumEnergy, Total},
    in_time::InTime,
    judged::{Judge, Judged, Verdict},
    lateness::Lateness,
    layout::Layout,
    mapping::{MapToTimestreamPayload, RawLine, raw_lines},
    message::{Message, Messages},
    offset_future::OffsetFutureTimestreamPoints,
    options::Options,
    payload::{Dimension, Measure, PayloadError, TimeUnit, TimestreamPayload},
    pipeline::{build, uids},
    reading::Reading,
    span::Span,
    spec::{Format, PartitionBy, SinkSpec, SourceSpec, Typed},
    stream_lines::StreamLines,
    stream_message::FlatJson,
    stream_options::{Guarantee, StartFrom, StreamOptions},
    time_series::{Novelty, TimeSeriesRecord, TimeSeriesSink},
    window::{Action, FuturePolicy, LatePolicy, OutsideWindow, Side, outside_window},
    write_once::WriteOnce,
};

#[cfg(feature = "sql")]
pub use self::tables::LakeTables;
#[cfg(feature = "store")]
pub use self::{pipeline::build_on, stores::embedded::store as embedded_store};

/// Region, endpoint and credentials: as every AWS tool takes them, but for the region that the options name.
#[cfg(any(feature = "kinesis", feature = "timestream"))]
fn aws(options: &Options) -> hurtig_aws::AwsConfig {
    match &options.region {
        Some(region) => hurtig_aws::AwsConfig::new().region(region.as_str()),
        None => hurtig_aws::AwsConfig::new(),
    }
}
