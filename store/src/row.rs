//! A record as the store keeps it: names have become numbers.

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::value::MeasureValue;

/// A series' number in its table.
pub type SeriesId = u32;

/// A measure column's number in its table.
pub type ColumnId = u16;

/// Values by column, ordered by column.
pub type Values = SmallVec<[(ColumnId, MeasureValue); 1]>;

/// One point of a series.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Nanoseconds since 1970-01-01T00:00:00Z.
    pub time: i64,
    /// From 1 on.
    pub version: u64,
    /// What was measured.
    pub values: Values,
}
