//! A table's measure columns: names become numbers.

use compact_str::CompactString;
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use crate::{
    record::Measure,
    row::{ColumnId, Values},
    value::MeasureType,
};

/// A measure column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnDef {
    /// Its name in SQL: a measure's of a `MULTI` record, or `measure_value::TYPE`.
    pub name: CompactString,
    /// The type of its values.
    pub measure_type: MeasureType,
}

/// The columns of a table, by number and by name.
#[derive(Debug, Clone, Default)]
pub struct Columns {
    all: Vec<ColumnDef>,
    numbers: HashMap<CompactString, ColumnId>,
}

/// Why a measure has no columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoColumns {
    /// A column is not there yet.
    Unknown(Vec<ColumnDef>),
    /// A column has another type.
    Conflict {
        /// The column.
        name: CompactString,
        /// What it holds.
        is: MeasureType,
        /// What was to go into it.
        wanted: MeasureType,
    },
}

impl Columns {
    /// A measure's values by column.
    pub fn values(&self, measure: &Measure) -> Result<Values, NoColumns> {
        let mut values = Values::new();
        let mut unknown = Vec::new();
        let mut add = |name: &str, value: &crate::value::MeasureValue| {
            let wanted = value.measure_type();
            match self.numbers.get(name) {
                None => unknown.push(ColumnDef { name: name.into(), measure_type: wanted }),
                Some(&id) => match self.all[id as usize].measure_type {
                    is if is == wanted => values.push((id, value.clone())),
                    is => return Err(NoColumns::Conflict { name: name.into(), is, wanted }),
                },
            }
            Ok(())
        };
        match measure {
            Measure::Single(value) => add(value.measure_type().single_column(), value)?,
            Measure::Multi(all) => all.iter().try_for_each(|(name, value)| add(name, value))?,
        }
        if !unknown.is_empty() {
            return Err(NoColumns::Unknown(unknown));
        }
        values.sort_unstable_by_key(|(id, _)| *id);
        Ok(values)
    }

    /// Adds a column, unless there is one of its name.
    pub fn add(&mut self, column: ColumnDef) -> bool {
        let Ok(id) = ColumnId::try_from(self.all.len()) else { return false };
        if self.numbers.contains_key(&column.name) {
            return false;
        }
        self.numbers.insert(column.name.clone(), id);
        self.all.push(column);
        true
    }

    /// All of them, by number.
    pub fn all(&self) -> &[ColumnDef] {
        &self.all
    }

    /// The number of a column.
    pub fn id(&self, name: &str) -> Option<ColumnId> {
        self.numbers.get(name).copied()
    }
}

impl FromIterator<ColumnDef> for Columns {
    fn from_iter<I: IntoIterator<Item = ColumnDef>>(columns: I) -> Self {
        let mut all = Columns::default();
        columns.into_iter().for_each(|column| {
            all.add(column);
        });
        all
    }
}
