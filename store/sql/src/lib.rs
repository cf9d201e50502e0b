//! Timestream for LiveAnalytics' SQL on DataFusion.
//!
//! A query's text goes through four steps, and each has a module: [`tokens`](self) puts right what no SQL parser
//! reads (`measure_value::double`, `30s`), `names` finds the tables and spells every name as they do, `rewrite` turns
//! what is left into SQL that DataFusion plans, and `functions` has Timestream's functions. What the result looks
//! like on the wire is in [`column_info`] and [`datum`].
//!
//! Who keeps the tables implements [`Catalog`]. `docs/store-sql.md` lists what is supported.

pub mod catalog;
pub mod column_info;
pub mod datum;
pub mod engine;
pub mod error;
pub mod unload;

mod dialect;
mod double;
mod functions;
mod interval;
mod names;
mod rewrite;
mod series;
mod show;
mod spline;
mod statement;
mod tokens;
mod unnest;

pub use catalog::Catalog;
pub use engine::{Engine, EngineOptions, Execution, Prepared};
pub use error::{Error, Result};
pub use series::{timeseries_type, timeseries_value};
