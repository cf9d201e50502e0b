//! The points of one series in memory: by time, in columns, in chunks.
//!
//! Readings come nearly in order, so adding one is a push onto the last chunk. One that comes late is put into the middle
//! of its chunk, which is never longer than [`CHUNK`]: that bounds what a push in the middle has to move.

use std::sync::Arc;

use compact_str::CompactString;
use smallvec::SmallVec;

use crate::{
    row::{ColumnId, Row, Values},
    value::MeasureValue,
    version::{Verdict, judge},
};

/// Points of a chunk at most.
const CHUNK: usize = 1_024;

/// The points of a series, no two with one time.
#[derive(Debug, Clone, Default)]
pub struct Points {
    /// Shared with the queries that read them: a writer copies a chunk that is being read.
    chunks: Vec<Arc<Chunk>>,
}

/// Some points in a row.
#[derive(Debug, Clone, Default)]
pub struct Chunk {
    times: Vec<i64>,
    versions: Vec<u64>,
    columns: SmallVec<[Column; 1]>,
}

/// The values of one column, one for each time of the chunk.
#[derive(Debug, Clone)]
pub struct Column {
    /// Which one.
    pub id: ColumnId,
    /// The values; where there is none it is anything.
    pub data: Data,
    /// Where there is one; none when there is one everywhere.
    pub valid: Option<Vec<bool>>,
}

/// Values of one type.
#[derive(Debug, Clone)]
pub enum Data {
    /// Doubles.
    Double(Vec<f64>),
    /// Integers.
    Bigint(Vec<i64>),
    /// Texts.
    Varchar(Vec<CompactString>),
    /// Truths.
    Boolean(Vec<bool>),
    /// Nanoseconds since 1970.
    Timestamp(Vec<i64>),
}

/// What became of a point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Put {
    /// There was none of its time.
    New,
    /// It has taken another's place.
    Replaced,
    /// It was there.
    Same,
    /// It was rejected, for this reason; the version that is there.
    Rejected(String, u64),
}

impl Points {
    /// Adds a point by the rule of versions.
    pub fn put(&mut self, row: Row) -> Put {
        match self.find(row.time) {
            Ok((chunk, at)) => {
                let chunk = Arc::make_mut(&mut self.chunks[chunk]);
                let old = chunk.versions[at];
                match judge(old, row.version, chunk.values(at) == row.values) {
                    Verdict::Replace => {
                        chunk.set(at, row);
                        Put::Replaced
                    }
                    Verdict::Same => Put::Same,
                    Verdict::Reject(reason) => Put::Rejected(reason, old),
                }
            }
            Err(place) => {
                self.insert(place, row);
                Put::New
            }
        }
    }

    /// Adds a point that was accepted before: it takes the place of one with its time.
    pub fn force(&mut self, row: Row) {
        match self.find(row.time) {
            Ok((chunk, at)) => Arc::make_mut(&mut self.chunks[chunk]).set(at, row),
            Err(place) => self.insert(place, row),
        }
    }

    /// The point of this time.
    pub fn get(&self, time: i64) -> Option<Row> {
        let (chunk, at) = self.find(time).ok()?;
        Some(self.chunks[chunk].row(at))
    }

    /// Whether there is a point of this time.
    pub fn contains(&self, time: i64) -> bool {
        self.find(time).is_ok()
    }

    /// The chunks in order of time.
    pub fn chunks(&self) -> &[Arc<Chunk>] {
        &self.chunks
    }

    /// How many points.
    pub fn len(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.len()).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// The newest point.
    pub fn last(&self) -> Option<Row> {
        self.chunks.last().map(|chunk| chunk.row(chunk.len() - 1))
    }

    /// Where this time is, or where it would be: a chunk, and a place in it.
    fn find(&self, time: i64) -> Result<(usize, usize), (usize, usize)> {
        let after = self.chunks.partition_point(|chunk| chunk.first() <= time);
        let Some(chunk) = after.checked_sub(1) else { return Err((0, 0)) };
        match self.chunks[chunk].times.binary_search(&time) {
            Ok(at) => Ok((chunk, at)),
            Err(at) => Err((chunk, at)),
        }
    }

    fn insert(&mut self, (chunk, at): (usize, usize), row: Row) {
        let Some(there) = self.chunks.get_mut(chunk) else { return self.chunks.push(Arc::new(Chunk::of(row))) };
        if there.len() < CHUNK {
            Arc::make_mut(there).insert(at, row);
        } else if at == CHUNK {
            // In order, full chunks stay full.
            self.chunks.insert(chunk + 1, Arc::new(Chunk::of(row)));
        } else {
            // A late one halves its chunk.
            let there = Arc::make_mut(there);
            let mut rest = there.split_off(CHUNK / 2);
            match at.checked_sub(CHUNK / 2) {
                None => there.insert(at, row),
                Some(at) => rest.insert(at, row),
            }
            self.chunks.insert(chunk + 1, Arc::new(rest));
        }
    }
}

impl Chunk {
    fn of(row: Row) -> Self {
        let mut chunk = Chunk::default();
        chunk.insert(0, row);
        chunk
    }

    /// How many points.
    pub fn len(&self) -> usize {
        self.times.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.times.is_empty()
    }

    /// Their times, ascending.
    pub fn times(&self) -> &[i64] {
        &self.times
    }

    /// Their versions.
    pub fn versions(&self) -> &[u64] {
        &self.versions
    }

    /// The column of this number, when any of the points has a value in it.
    pub fn column(&self, id: ColumnId) -> Option<&Column> {
        self.columns.iter().find(|c| c.id == id)
    }

    /// One of them.
    pub fn row(&self, at: usize) -> Row {
        Row { time: self.times[at], version: self.versions[at], values: self.values(at) }
    }

    fn first(&self) -> i64 {
        self.times.first().copied().unwrap_or(i64::MAX)
    }

    fn values(&self, at: usize) -> Values {
        self.columns.iter().filter_map(|c| c.get(at).map(|value| (c.id, value))).collect()
    }

    fn insert(&mut self, at: usize, row: Row) {
        let before = self.times.len();
        self.times.insert(at, row.time);
        self.versions.insert(at, row.version);
        let mut values = row.values.into_iter().peekable();
        for column in &mut self.columns {
            // Behind a column that is new, the values of all are seen to below.
            column.insert(at, values.next_if(|(id, _)| *id == column.id).map(|(_, value)| value));
        }
        for (id, value) in values {
            self.add_value(id, at, value, before);
        }
    }

    /// A value for a point that is there already, in a column that may not be.
    fn add_value(&mut self, id: ColumnId, at: usize, value: MeasureValue, before: usize) {
        match self.columns.iter().position(|c| c.id >= id) {
            Some(i) if self.columns[i].id == id => self.columns[i].set(at, Some(value)),
            place => {
                let mut column = Column::missing(id, &value, before);
                column.insert(at, Some(value));
                self.columns.insert(place.unwrap_or(self.columns.len()), column);
            }
        }
    }

    fn set(&mut self, at: usize, row: Row) {
        self.versions[at] = row.version;
        for column in &mut self.columns {
            if !row.values.iter().any(|(id, _)| *id == column.id) {
                column.set(at, None);
            }
        }
        let others = self.times.len() - 1;
        for (id, value) in row.values {
            self.add_value(id, at, value, others);
        }
    }

    fn split_off(&mut self, at: usize) -> Chunk {
        Chunk {
            times: self.times.split_off(at),
            versions: self.versions.split_off(at),
            columns: self.columns.iter_mut().map(|c| c.split_off(at)).collect(),
        }
    }
}

/// Runs the same on the values of any type.
macro_rules! on_data {
    ($data:expr, $values:ident => $do:expr) => {
        match $data {
            Data::Double($values) => $do,
            Data::Bigint($values) | Data::Timestamp($values) => $do,
            Data::Varchar($values) => $do,
            Data::Boolean($values) => $do,
        }
    };
}

impl Column {
    /// `len` points without a value in it.
    fn missing(id: ColumnId, like: &MeasureValue, len: usize) -> Self {
        let data = match like {
            MeasureValue::Double(_) => Data::Double(vec![0.0; len]),
            MeasureValue::Bigint(_) => Data::Bigint(vec![0; len]),
            MeasureValue::Varchar(_) => Data::Varchar(vec![CompactString::default(); len]),
            MeasureValue::Boolean(_) => Data::Boolean(vec![false; len]),
            MeasureValue::Timestamp(_) => Data::Timestamp(vec![0; len]),
        };
        Column { id, data, valid: (len > 0).then(|| vec![false; len]) }
    }

    fn len(&self) -> usize {
        on_data!(&self.data, values => values.len())
    }

    /// Whether this point has a value.
    pub fn is_valid(&self, at: usize) -> bool {
        self.valid.as_ref().is_none_or(|valid| valid[at])
    }

    fn get(&self, at: usize) -> Option<MeasureValue> {
        self.is_valid(at).then(|| match &self.data {
            Data::Double(v) => MeasureValue::Double(v[at]),
            Data::Bigint(v) => MeasureValue::Bigint(v[at]),
            Data::Varchar(v) => MeasureValue::Varchar(v[at].clone()),
            Data::Boolean(v) => MeasureValue::Boolean(v[at]),
            Data::Timestamp(v) => MeasureValue::Timestamp(v[at]),
        })
    }

    fn insert(&mut self, at: usize, value: Option<MeasureValue>) {
        let len = self.len();
        match (&mut self.valid, value.is_some()) {
            (Some(valid), is_some) => valid.insert(at, is_some),
            (None, true) => (),
            (none, false) => {
                let mut valid = vec![true; len];
                valid.insert(at, false);
                *none = Some(valid);
            }
        }
        on_data!(&mut self.data, values => values.insert(at, Default::default()));
        self.write(at, value);
    }

    fn set(&mut self, at: usize, value: Option<MeasureValue>) {
        let len = self.len();
        if value.is_none() || self.valid.is_some() {
            self.valid.get_or_insert_with(|| vec![true; len])[at] = value.is_some();
        }
        self.write(at, value);
    }

    fn write(&mut self, at: usize, value: Option<MeasureValue>) {
        match (&mut self.data, value) {
            (Data::Double(v), Some(MeasureValue::Double(x))) => v[at] = x,
            (Data::Bigint(v), Some(MeasureValue::Bigint(x))) => v[at] = x,
            (Data::Varchar(v), Some(MeasureValue::Varchar(x))) => v[at] = x,
            (Data::Boolean(v), Some(MeasureValue::Boolean(x))) => v[at] = x,
            (Data::Timestamp(v), Some(MeasureValue::Timestamp(x))) => v[at] = x,
            // A text that is no more takes no room.
            (Data::Varchar(v), None) => v[at] = CompactString::default(),
            // A column has one type: it was looked at when the column was found by its name.
            (_, Some(_)) | (_, None) => (),
        }
    }

    fn split_off(&mut self, at: usize) -> Column {
        let data = match &mut self.data {
            Data::Double(v) => Data::Double(v.split_off(at)),
            Data::Bigint(v) => Data::Bigint(v.split_off(at)),
            Data::Varchar(v) => Data::Varchar(v.split_off(at)),
            Data::Boolean(v) => Data::Boolean(v.split_off(at)),
            Data::Timestamp(v) => Data::Timestamp(v.split_off(at)),
        };
        Column { id: self.id, data, valid: self.valid.as_mut().map(|v| v.split_off(at)) }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn values() -> impl Strategy<Value = Values> {
        prop::collection::btree_map(0..3_u16, 0..3_i32, 1..3).prop_map(|map| {
            map.into_iter()
                .map(|(id, x)| match id {
                    0 => (id, MeasureValue::Double(f64::from(x))),
                    1 => (id, MeasureValue::Varchar(x.to_string().into())),
                    _ => (id, MeasureValue::Bigint(i64::from(x))),
                })
                .collect()
        })
    }

    proptest! {
        #[test]
        fn are_a_map_by_time(rows in prop::collection::vec((0..3_000_i64, 1..3_u64, values()), 0..6_000)) {
            let mut points = Points::default();
            let mut model: BTreeMap<i64, Row> = BTreeMap::new();
            for (time, version, values) in rows {
                let row = Row { time, version, values };
                let expected = match model.get(&time) {
                    None => Put::New,
                    Some(old) => match judge(old.version, version, old.values == row.values) {
                        Verdict::Replace => Put::Replaced,
                        Verdict::Same => Put::Same,
                        Verdict::Reject(reason) => Put::Rejected(reason, old.version),
                    },
                };
                if matches!(expected, Put::New | Put::Replaced) {
                    model.insert(time, row.clone());
                }
                prop_assert_eq!(points.put(row), expected);
            }
            let all: Vec<Row> = points.chunks().iter().flat_map(|c| (0..c.len()).map(|i| c.row(i))).collect();
            prop_assert_eq!(points.len(), model.len());
            prop_assert_eq!(points.last(), model.values().last().cloned());
            prop_assert_eq!(all, model.into_values().collect::<Vec<_>>());
            prop_assert!(points.chunks().iter().all(|c| !c.is_empty() && c.len() <= CHUNK));
        }
    }
}
