//! Which rows of a file are which series'.
//!
//! A file's rows are sorted by series, then by time, so a series is a range of rows. The index is kept in the file's
//! footer and, decoded, in memory.

use std::ops::Range;

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::{error::Result, row::SeriesId};

/// The key of the file's metadata that holds it.
pub const KEY: &str = "hurtig.series";

/// The series of a file, ascending.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SeriesIndex {
    ids: Vec<SeriesId>,
    /// Where each ends.
    ends: Vec<u32>,
    /// The newest time of each.
    newest: Vec<i64>,
}

impl SeriesIndex {
    /// The next row is of this series and time.
    pub fn push(&mut self, series: SeriesId, time: i64) {
        if self.ids.last() != Some(&series) {
            self.ids.push(series);
            self.ends.push(self.rows());
            self.newest.push(time);
        }
        if let (Some(end), Some(newest)) = (self.ends.last_mut(), self.newest.last_mut()) {
            *end += 1;
            *newest = time;
        }
    }

    /// How many rows there are.
    pub fn rows(&self) -> u32 {
        self.ends.last().copied().unwrap_or(0)
    }

    /// The series, ascending.
    pub fn ids(&self) -> &[SeriesId] {
        &self.ids
    }

    /// The rows of a series.
    pub fn range(&self, series: SeriesId) -> Option<Range<u32>> {
        self.ids.binary_search(&series).ok().map(|at| self.range_at(at))
    }

    /// The rows of the series at this place.
    pub fn range_at(&self, at: usize) -> Range<u32> {
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        start..self.ends[at]
    }

    /// Each series with its newest time.
    pub fn newest(&self) -> impl Iterator<Item = (SeriesId, i64)> + '_ {
        self.ids.iter().copied().zip(self.newest.iter().copied())
    }

    /// As text for the footer.
    pub fn encode(&self) -> Result<String> {
        let mut before = 0;
        let deltas: Vec<(u32, u32, i64)> = (0..self.ids.len())
            .map(|at| {
                let id = self.ids[at];
                let delta = id - std::mem::replace(&mut before, id);
                (delta, self.range_at(at).len() as u32, self.newest[at])
            })
            .collect();
        Ok(STANDARD.encode(postcard::to_stdvec(&deltas)?))
    }

    /// From the footer.
    pub fn decode(text: &str) -> Option<Self> {
        let bytes = STANDARD.decode(text).ok()?;
        let deltas: Vec<(u32, u32, i64)> = postcard::from_bytes(&bytes).ok()?;
        let mut index = SeriesIndex::default();
        let (mut id, mut end) = (0_u32, 0_u32);
        for (delta, rows, newest) in deltas {
            id = id.checked_add(delta)?;
            end = end.checked_add(rows)?;
            index.ids.push(id);
            index.ends.push(end);
            index.newest.push(newest);
        }
        Some(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_rows_of_a_series_also_after_it_was_written() {
        let mut index = SeriesIndex::default();
        for (series, times) in [(0, 1..4), (7, 2..3), (8, 0..2)] {
            times.for_each(|t| index.push(series, t));
        }
        let again = SeriesIndex::decode(&index.encode().expect("a text")).expect("an index");
        assert_eq!(again, index);
        assert_eq!(again.rows(), 6);
        assert_eq!((again.range(0), again.range(7), again.range(8)), (Some(0..3), Some(3..4), Some(4..6)));
        assert_eq!(again.range(3), None);
        assert_eq!(again.newest().collect::<Vec<_>>(), [(0, 3), (7, 2), (8, 1)]);
        assert_eq!(SeriesIndex::decode("not one"), None);
    }
}
