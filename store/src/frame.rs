//! What the write-ahead log says, frame by frame.

use serde::{Deserialize, Serialize};

use crate::{
    columns::ColumnDef,
    error::Result,
    registry::Series,
    row::{Row, SeriesId},
};

/// A table's number, which no other table of the store ever has.
pub type TableId = u32;

/// One frame. Numbers that it gives to names follow from the order of frames.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Frame {
    /// A table's next series.
    Series(TableId, Series),
    /// A table's next column.
    Column(TableId, ColumnDef),
    /// Points that were taken; each takes the place of one with its series and time.
    Rows(TableId, Vec<(SeriesId, Row)>),
}

impl Frame {
    /// As bytes.
    pub fn encode(&self) -> Result<Vec<u8>> {
        Ok(postcard::to_stdvec(self)?)
    }

    /// From bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        Ok(postcard::from_bytes(bytes)?)
    }
}
