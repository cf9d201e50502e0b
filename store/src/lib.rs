//! The embedded time-series store: what Timestream for LiveAnalytics does, in one process and one directory.
//!
//! Readings are records of dimensions, a measure, a time and a version. What is recent is in memory, behind a write-ahead log;
//! what has aged is in Parquet files on a directory or in S3. A record is acknowledged when it would survive a power loss.
//!
//! ```
//! use std::sync::Arc;
//! use hurtig_store::{Measure, MeasureValue, NewTable, Record, Store, StoreOptions};
//!
//! # tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
//! # let dir = tempfile::tempdir()?;
//! # let clock = Arc::new(hurtig_state::ManualClock::new(1_700_000_000_000));
//! let store = Store::open(StoreOptions::new(dir.path(), clock)).await?;
//! store.create_database("meters", None)?;
//! store.create_table("meters", "readings", NewTable::default())?;
//!
//! let reading = Record {
//!     dimensions: [("meter".into(), "m-1".into())].into_iter().collect(),
//!     measure_name: "kw".into(),
//!     measure: Measure::Single(MeasureValue::Double(1.2)),
//!     time: 1_700_000_000_000_000_000,
//!     version: 1,
//! };
//! let outcome = store.write("meters", "readings", &[reading]).await?;
//! assert_eq!((outcome.memory, outcome.rejected.len()), (1, 0));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod columns;
mod core_batch;
mod error;
mod frame;
mod limits;
mod magnetic;
mod manifest;
mod points;
mod queries;
mod query;
mod record;
mod registry;
mod retention;
mod row;
mod schema;
mod shard;
mod store;
mod table;
mod unload;
mod value;
mod version;
mod wal;
mod wire;

pub use self::{
    error::{Error, Result},
    limits::RECORDS_PER_REQUEST,
    magnetic::storage::Storage,
    manifest::{DatabaseMeta, TableMeta},
    queries::Queries,
    query::{LastPoints, StoreTable},
    record::{Dimension, Measure, Outcome, Record, Rejected},
    retention::Retention,
    store::{NewTable, Store, StoreOptions, Taken},
    unload::{Unload, UnloadPlace, Unloaded},
    value::{MeasureType, MeasureValue},
    wire::{AccessKeys, QueryEngine, QueryLimits, RunningQuery, Server, ServerOptions, Tls},
};
