//! The embedded time-series store as a part of a job: `--sink embedded`.
//!
//! An [`EmbeddedStore`] is a place: the directory of a store, opened once in this process by whoever needs it first, and shared
//! by the sink's subtasks, by queries and by whatever is served from it. A [`StoreSink`] writes there, as the Timestream sink
//! writes to Timestream: at least once, and idempotent, since the store knows a record by its dimensions, time and measure
//! name. What a job writes again after a restore changes nothing.
//!
//! ```no_run
//! use hurtig::embedded::{EmbeddedStore, StoreSink, TableSpec};
//! use hurtig_store::{Measure, MeasureValue, Record};
//!
//! let store = EmbeddedStore::new("data/store").table(TableSpec::new("meters", "readings"));
//! let sink = StoreSink::new(&store, "meters", "readings", |(meter, time_ms, kwh): &(String, i64, f64)| Record {
//!     dimensions: [("meter_id".into(), meter.as_str().into())].into_iter().collect(),
//!     measure_name: "kwh".into(),
//!     measure: Measure::Single(MeasureValue::Double(*kwh)),
//!     time: time_ms * 1_000_000,
//!     version: 1,
//! });
//! // stream.sink_to(sink)
//! # let _ = sink;
//! ```

mod batches;
mod place;
mod sink;
mod writer;

pub use self::{
    place::{EmbeddedStore, TableSpec},
    sink::StoreSink,
    writer::StoreWriter,
};
