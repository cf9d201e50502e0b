//! A table's series: dimensions and measure name become a number.
//!
//! A fleet's dimensions are few against its readings, so everything that can be asked of them (which meters are of region
//! EAST?) is asked here and not of the readings.

use std::sync::Arc;

use compact_str::CompactString;
use hashbrown::{HashSet, HashTable};
use smallvec::SmallVec;

use crate::{
    limits,
    record::{Dimension, Measure, Record},
    row::SeriesId,
    value::MeasureType,
};

/// One series: what was measured of what.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct Series {
    /// The measure's name.
    pub measure_name: CompactString,
    /// The type of its first record's value; none when that was a `MULTI` record.
    pub measure_type: Option<MeasureType>,
    /// The dimensions, by name.
    pub dimensions: SmallVec<[Dimension; 4]>,
}

impl PartialEq for Series {
    /// What kind of value was measured first makes no other series of it.
    fn eq(&self, other: &Self) -> bool {
        self.measure_name == other.measure_name && self.dimensions == other.dimensions
    }
}

impl Eq for Series {}

impl Series {
    /// The series of a record.
    pub fn of(record: &Record) -> Self {
        let mut dimensions = record.dimensions.clone();
        dimensions.sort_unstable();
        let measure_type = match &record.measure {
            Measure::Single(value) => Some(value.measure_type()),
            Measure::Multi(_) => None,
        };
        Series { measure_name: record.measure_name.clone(), measure_type, dimensions }
    }

    /// The value of a dimension.
    pub fn dimension(&self, name: &str) -> Option<&str> {
        let at = self.dimensions.binary_search_by(|(n, _)| n.as_str().cmp(name)).ok()?;
        Some(&self.dimensions[at].1)
    }
}

/// All series of a table, by number and by what they are.
#[derive(Debug, Default)]
pub struct Registry {
    /// Shared with the queries under way; who adds to it copies it when there is one.
    series: Arc<Vec<Arc<Series>>>,
    numbers: HashTable<SeriesId>,
    /// In the order in which they came.
    dimension_names: Vec<CompactString>,
    measure_names: HashSet<CompactString>,
}

impl Registry {
    /// The number of a record's series, if it is known.
    pub fn find(&self, record: &Record) -> Option<SeriesId> {
        let mut order: SmallVec<[u8; 16]> = (0..record.dimensions.len().min(255) as u8).collect();
        order.sort_unstable_by(|&a, &b| record.dimensions[a as usize].0.cmp(&record.dimensions[b as usize].0));
        let sorted = || order.iter().map(|&i| &record.dimensions[i as usize]);
        let hash = hash(&record.measure_name, sorted());
        let is_it = |&id: &SeriesId| {
            self.series.get(id as usize).is_some_and(|s| {
                s.measure_name == record.measure_name
                    && s.dimensions.len() == record.dimensions.len()
                    && s.dimensions.iter().eq(sorted())
            })
        };
        self.numbers.find(hash, is_it).copied()
    }

    /// Adds a series, which has the next number. One that is known keeps its own.
    pub fn add(&mut self, series: Series) -> SeriesId {
        let all = &self.series;
        let hash_of = |series: &Series| hash(&series.measure_name, series.dimensions.iter());
        let hash = hash_of(&series);
        if let Some(&id) = self.numbers.find(hash, |&id| *all[id as usize] == series) {
            return id;
        }
        let id = self.series.len() as SeriesId;
        for (name, _) in &series.dimensions {
            if !self.dimension_names.contains(name) {
                self.dimension_names.push(name.clone());
            }
        }
        if !self.measure_names.contains(&series.measure_name) {
            self.measure_names.insert(series.measure_name.clone());
        }
        self.numbers.insert_unique(hash, id, |&id| all.get(id as usize).map_or(0, |s| hash_of(s)));
        Arc::make_mut(&mut self.series).push(Arc::new(series));
        id
    }

    /// The series of this number.
    pub fn get(&self, id: SeriesId) -> Option<&Arc<Series>> {
        self.series.get(id as usize)
    }

    /// All of them, by number.
    pub fn all(&self) -> &Arc<Vec<Arc<Series>>> {
        &self.series
    }

    /// The names of all dimensions, in the order in which they came.
    pub fn dimension_names(&self) -> &[CompactString] {
        &self.dimension_names
    }

    /// How many measure names there are, if that is all that a table may have and this is none of them.
    pub fn measure_names_full(&self, name: &CompactString) -> Option<usize> {
        let names = self.measure_names.len();
        (names >= limits::MEASURE_NAMES && !self.measure_names.contains(name)).then_some(names)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.series.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }
}

fn hash<'a>(measure_name: &str, dimensions: impl Iterator<Item = &'a Dimension>) -> u64 {
    use std::hash::{BuildHasher, Hasher};
    let mut hasher = foldhash::fast::FixedState::with_seed(0).build_hasher();
    hasher.write(measure_name.as_bytes());
    for (name, value) in dimensions {
        hasher.write(name.as_bytes());
        hasher.write_u8(0xff);
        hasher.write(value.as_bytes());
        hasher.write_u8(0xff);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use smallvec::smallvec;

    use super::*;
    use crate::{record::Measure, value::MeasureValue};

    fn record(dimensions: &[(&str, &str)], measure_name: &str) -> Record {
        Record {
            dimensions: dimensions.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect(),
            measure_name: measure_name.into(),
            measure: Measure::Single(MeasureValue::Bigint(1)),
            time: 0,
            version: 1,
        }
    }

    #[test]
    fn the_order_of_dimensions_does_not_matter_and_all_else_does() {
        let mut registry = Registry::default();
        let kw = record(&[("meter", "a"), ("region", "b")], "kw");
        assert_eq!(registry.find(&kw), None);
        assert_eq!(registry.add(Series::of(&kw)), 0);
        assert_eq!(registry.find(&record(&[("region", "b"), ("meter", "a")], "kw")), Some(0));
        for other in [
            record(&[("region", "a"), ("meter", "b")], "kw"),
            record(&[("region", "b"), ("meter", "a")], "kva"),
            record(&[("meter", "a")], "kw"),
            record(&[("meter", "a"), ("region", "b"), ("grid", "c")], "kw"),
        ] {
            assert_eq!(registry.find(&other), None, "{other:?}");
            let id = registry.add(Series::of(&other));
            assert_eq!(registry.find(&other), Some(id));
            assert_eq!(registry.add(Series::of(&other)), id);
        }
        assert_eq!(registry.len(), 5);
        assert_eq!(registry.dimension_names(), ["meter", "region", "grid"]);
        let no_dimensions: Series = Series { measure_name: "x".into(), measure_type: None, dimensions: smallvec![] };
        assert_eq!(no_dimensions.dimension("meter"), None);
        assert_eq!(registry.get(0).and_then(|s| s.dimension("meter").map(str::to_owned)).as_deref(), Some("a"));
    }
}
