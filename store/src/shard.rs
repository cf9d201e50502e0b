//! A part of a table's series in memory: what is written to, and what is on its way into files.

use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use parking_lot::Mutex;

use crate::{
    magnetic::file::Found,
    points::{Points, Put},
    row::{Row, SeriesId},
    value::MeasureValue,
    version::{Verdict, judge},
};

/// Series by number.
pub type SeriesPoints = HashMap<SeriesId, Points>;

/// Some series of a table.
#[derive(Debug, Default)]
pub struct Shard {
    /// What is written to.
    active: SeriesPoints,
    /// What is written into files just now, if anything.
    sealed: Option<Arc<Sealed>>,
    /// How far the series are in files: the newest time of each. What is newer cannot be there.
    in_files: HashMap<SeriesId, i64>,
    /// The newest point of each series that was written since the store was opened.
    newest: HashMap<SeriesId, Row>,
    /// About how much memory `active` takes.
    bytes: usize,
}

/// Points that are written into files: they stay as they are, and what replaces one is in `active`.
#[derive(Debug, Default)]
pub struct Sealed {
    /// The points.
    pub points: SeriesPoints,
    /// Those that count no more.
    pub replaced: Mutex<HashSet<(SeriesId, i64)>>,
}

impl Shard {
    /// Whether a point of this series and time may be in a file.
    pub fn may_be_in_file(&self, series: SeriesId, time: i64) -> bool {
        self.in_files.get(&series).is_some_and(|&newest| time <= newest)
    }

    /// Takes a point by the rule of versions. `found` is the one that is in a file.
    pub fn put(&mut self, series: SeriesId, row: Row, found: Option<&Found>) -> Put {
        if let Some(points) = self.active.get_mut(&series)
            && points.contains(row.time)
        {
            let put = points.put(row.clone());
            if put == Put::Replaced {
                self.replaced_newest(series, row);
            }
            return put;
        }
        let old = match self.sealed_row(series, row.time) {
            Some(old) => Some(old),
            None => found.filter(|f| !f.file.is_deleted(f.at)).map(|f| f.row.clone()),
        };
        let put = match old {
            None => Put::New,
            Some(old) => match judge(old.version, row.version, old.values == row.values) {
                Verdict::Replace => Put::Replaced,
                Verdict::Same => return Put::Same,
                Verdict::Reject(reason) => return Put::Rejected(reason, old.version),
            },
        };
        if put == Put::Replaced {
            self.delete_below(series, row.time, found);
        }
        self.force(series, row);
        put
    }

    /// Takes a point that was accepted before.
    pub fn force(&mut self, series: SeriesId, row: Row) {
        self.bytes += size(&row);
        self.replaced_newest(series, row.clone());
        self.active.entry(series).or_default().force(row);
    }

    /// What `active` replaces in `sealed` and in a file counts no more.
    fn delete_below(&self, series: SeriesId, time: i64, found: Option<&Found>) {
        if let Some(sealed) = &self.sealed
            && sealed.points.get(&series).is_some_and(|points| points.contains(time))
        {
            sealed.replaced.lock().insert((series, time));
        } else if let Some(found) = found {
            found.file.delete(found.at);
        }
    }

    fn replaced_newest(&mut self, series: SeriesId, row: Row) {
        let newest = self.newest.entry(series).or_insert_with(|| row.clone());
        if newest.time <= row.time {
            *newest = row;
        }
    }

    fn sealed_row(&self, series: SeriesId, time: i64) -> Option<Row> {
        let sealed = self.sealed.as_ref()?;
        let row = sealed.points.get(&series)?.get(time)?;
        (!sealed.replaced.lock().contains(&(series, time))).then_some(row)
    }

    /// Everything that is written to becomes sealed. Nothing must be sealed already.
    pub fn seal(&mut self) -> Arc<Sealed> {
        let points = std::mem::take(&mut self.active);
        self.bytes = 0;
        let sealed = Arc::new(Sealed { points, replaced: Mutex::default() });
        self.sealed = Some(sealed.clone());
        sealed
    }

    /// What was sealed is in files.
    pub fn unseal(&mut self) {
        if let Some(sealed) = self.sealed.take() {
            for (&series, points) in &sealed.points {
                if let Some(row) = points.last() {
                    self.reached(series, row.time);
                }
            }
        }
    }

    /// A file has points of this series up to this time.
    pub fn reached(&mut self, series: SeriesId, time: i64) {
        let newest = self.in_files.entry(series).or_insert(time);
        *newest = (*newest).max(time);
    }

    /// Files were dropped: this is the series' newest time in those that are left. What was known from them is forgotten.
    pub fn forget(&mut self, series: SeriesId, in_files: Option<i64>) {
        match in_files {
            Some(time) => self.in_files.insert(series, time),
            None => self.in_files.remove(&series),
        };
        let sealed = self.sealed.as_ref().and_then(|sealed| sealed.points.get(&series)?.last());
        let active = self.active.get(&series).and_then(Points::last);
        // Of the same time, the active one has taken the sealed one's place.
        match sealed.into_iter().chain(active).max_by_key(|row| row.time) {
            Some(row) => self.newest.insert(series, row),
            None => self.newest.remove(&series),
        };
    }

    /// The series' newest time in files.
    pub fn newest_in_files(&self, series: SeriesId) -> Option<i64> {
        self.in_files.get(&series).copied()
    }

    /// The newest point of a series, if it was written since the store was opened.
    pub fn newest(&self, series: SeriesId) -> Option<&Row> {
        self.newest.get(&series)
    }

    /// What is written to.
    pub fn active(&self) -> &SeriesPoints {
        &self.active
    }

    /// What is sealed.
    pub fn sealed(&self) -> Option<&Arc<Sealed>> {
        self.sealed.as_ref()
    }

    /// About how many bytes `active` takes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Remembers a newest point that was read from a file.
    pub fn learn_newest(&mut self, series: SeriesId, row: Row) {
        self.replaced_newest(series, row);
    }
}

fn size(row: &Row) -> usize {
    let of = |value: &MeasureValue| match value {
        MeasureValue::Varchar(text) => 24 + if text.is_heap_allocated() { text.capacity() } else { 0 },
        MeasureValue::Boolean(_) => 2,
        _ => 9,
    };
    16 + row.values.iter().map(|(_, value)| of(value)).sum::<usize>()
}
