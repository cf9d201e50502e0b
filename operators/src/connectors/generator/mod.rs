//! A fleet of smart meters, made up: realistic, deterministic, replayable.
//!
//! Reading number *i* is a pure function of the seed and *i*: its meter, its times, its value,
//! and whether it is late, repeated, empty, corrupt or from the future. So a position in the
//! stream is an index, a restore goes on exactly where it was, the number of splits does not
//! depend on the parallelism, and what was injected can be counted without reading anything
//! ([`Fleet::injected`]). Arrival is derived from the index too; the clock only paces.
//!
//! ```
//! use std::time::Duration;
//!
//! use hurtig_operators::connectors::generator::{Fleet, GeneratorConfig, GeneratorSource};
//!
//! let config = GeneratorConfig {
//!     meters: 1_000,
//!     interval: Duration::from_secs(60),
//!     duration: Some(Duration::from_secs(3600)),
//!     share_corrupt: 0.01,
//!     ..GeneratorConfig::default()
//! };
//! let fleet = Fleet::new(&config)?;
//! assert_eq!(fleet.len(), Some(60_000));
//! let injected = fleet.injected(0..60_000);
//! assert!(injected.corrupt > 500 && injected.corrupt < 700);
//!
//! let lines = GeneratorSource::json_lines(&config)?; // raw, corrupt ones and all
//! let readings = GeneratorSource::readings(&config)?; // typed; corrupt ones are dead letters
//! let loads = GeneratorSource::map(&config, |e| (e.reading.meter, e.reading.wh))?;
//! # let _ = (lines, readings, loads);
//! # Ok::<(), hurtig_engine::error::Error>(())
//! ```

mod config;
mod event;
mod fleet;
mod load;
mod reader;
mod source;
mod split;
#[cfg(test)]
mod tests;

pub use config::GeneratorConfig;
pub use event::{Fault, FleetEvent, JsonLine, MeterReading};
pub use fleet::{Fleet, Injected};
pub use reader::GeneratorReader;
pub use source::{AsJsonLine, AsReading, EventMapper, GeneratorEnumerator, GeneratorSource, MapEvent};
pub use split::GeneratorSplit;
