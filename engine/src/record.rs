//! A record on its way: the value, its event time, and where it came from.

use serde::{Deserialize, Serialize};

use crate::time::NO_TIMESTAMP;

/// What can travel on an edge. Record types have a byte form even though a batch moves by
/// pointer inside one process: state, savepoints and hosts beyond this process need it.
pub trait Data: Serialize + serde::de::DeserializeOwned + Clone + Send + 'static {}

impl<T: Serialize + serde::de::DeserializeOwned + Clone + Send + 'static> Data for T {}

/// One element of a stream (Flink's `StreamRecord`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record<T> {
    /// What the user's code works on.
    pub value: T,
    /// Event time in milliseconds since the epoch, or [`NO_TIMESTAMP`].
    pub timestamp: i64,
    /// Where it was read. Kept up to the first aggregation.
    pub origin: Origin,
}

impl<T> Record<T> {
    /// A record without timestamp or origin.
    pub fn new(value: T) -> Self {
        Record { value, timestamp: NO_TIMESTAMP, origin: Origin::NONE }
    }

    /// A record at `timestamp`, without origin.
    pub fn at(value: T, timestamp: i64) -> Self {
        Record { value, timestamp, origin: Origin::NONE }
    }

    /// The same place and time with another value.
    #[inline]
    pub fn with<U>(&self, value: U) -> Record<U> {
        Record { value, timestamp: self.timestamp, origin: self.origin }
    }
}

/// Split and position of a record in its source, packed into eight bytes: 20 bits for the
/// split's number in this run (see [`crate::source::SplitNames`]), 44 for the position in it
/// (byte offset, index, offset: whatever the source counts by, up to 17 tera).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Origin(u64);

impl Origin {
    const POSITION_BITS: u32 = 44;

    /// Made by an aggregation, a timer or a test: there is no single place it came from.
    pub const NONE: Origin = Origin(u64::MAX);

    /// The record at `position` of split number `split`.
    #[inline]
    pub const fn new(split: u32, position: u64) -> Self {
        Origin(((split as u64) << Self::POSITION_BITS) | (position & ((1 << Self::POSITION_BITS) - 1)))
    }

    /// The split's number in this run.
    pub const fn split(self) -> u32 {
        (self.0 >> Self::POSITION_BITS) as u32
    }

    /// The position in the split.
    pub const fn position(self) -> u64 {
        self.0 & ((1 << Self::POSITION_BITS) - 1)
    }

    /// Whether there is no place to point to.
    pub const fn is_none(self) -> bool {
        self.0 == u64::MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origin_keeps_split_and_position() {
        let o = Origin::new(1_000_000, 17_000_000_000_000);
        assert_eq!((o.split(), o.position()), (1_000_000, 17_000_000_000_000));
        assert!(!o.is_none());
        assert!(Origin::NONE.is_none());
    }
}
