//! What is written, and what becomes of it.

use compact_str::CompactString;
use smallvec::SmallVec;

use crate::value::MeasureValue;

/// A dimension's name and value.
pub type Dimension = (CompactString, CompactString);

/// One record of a `WriteRecords` request.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// What it was measured of, in any order.
    pub dimensions: SmallVec<[Dimension; 4]>,
    /// The measure's name.
    pub measure_name: CompactString,
    /// What was measured.
    pub measure: Measure,
    /// Nanoseconds since 1970-01-01T00:00:00Z.
    pub time: i64,
    /// From 1 on; the higher one wins.
    pub version: u64,
}

/// A record's value or values.
#[derive(Debug, Clone, PartialEq)]
pub enum Measure {
    /// One: it goes into the column `measure_value::TYPE`.
    Single(MeasureValue),
    /// Several (`MULTI`): each goes into the column of its name.
    Multi(SmallVec<[(CompactString, MeasureValue); 4]>),
}

/// What became of a request's records: `taken + rejected` are all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Taken, into the memory store's window.
    pub memory: usize,
    /// Taken, older than that.
    pub magnetic: usize,
    /// Not taken.
    pub rejected: Vec<Rejected>,
}

/// A record that was not taken, as Timestream's `RejectedRecord`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// Which one of the request.
    pub index: usize,
    /// Why, in Timestream's words.
    pub reason: String,
    /// The version that is there.
    pub existing_version: Option<u64>,
}

impl Outcome {
    /// How many were taken.
    pub fn taken(&self) -> usize {
        self.memory + self.magnetic
    }
}
