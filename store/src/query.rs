//! How queries read a table: what is asked for is found before anything is read.
//!
//! Predicates on dimensions are answered by the registry of series, predicates on time by the chunks and the files' bounds;
//! what is left is read: chunks in memory, and of the files only the ranges of rows that belong to the series. "The last
//! value of each meter" reads nothing but the newest points.

mod bounds;
mod last_points;
mod memory;
mod parquet;
mod series;
mod table;

pub use self::{last_points::LastPoints, table::StoreTable};
