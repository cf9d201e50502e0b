//! A query's result, column by column, as the panels take it.

use arrow::{
    array::{Array, AsArray, RecordBatch},
    compute::cast,
    datatypes::{DataType, Float64Type, Int64Type, TimeUnit, TimestampNanosecondType},
};

use crate::error::{Error, Result};

/// The rows of a result.
#[derive(Debug)]
pub struct Rows(Vec<RecordBatch>);

impl Rows {
    /// Of these batches.
    pub fn new(batches: Vec<RecordBatch>) -> Self {
        Rows(batches)
    }

    /// A column of texts.
    pub fn texts(&self, name: &str) -> Result<Vec<Option<String>>> {
        self.column(name, &DataType::Utf8, |array| {
            array.as_string::<i32>().iter().map(|v| v.map(str::to_owned)).collect()
        })
    }

    /// A column of numbers.
    pub fn doubles(&self, name: &str) -> Result<Vec<Option<f64>>> {
        self.column(name, &DataType::Float64, |array| array.as_primitive::<Float64Type>().iter().collect())
    }

    /// A column of truths.
    pub fn booleans(&self, name: &str) -> Result<Vec<Option<bool>>> {
        self.column(name, &DataType::Boolean, |array| array.as_boolean().iter().collect())
    }

    /// A column of whole numbers.
    pub fn integers(&self, name: &str) -> Result<Vec<Option<i64>>> {
        self.column(name, &DataType::Int64, |array| array.as_primitive::<Int64Type>().iter().collect())
    }

    /// A column of times, in milliseconds since the epoch.
    pub fn times(&self, name: &str) -> Result<Vec<Option<i64>>> {
        Ok(self.nanos(name)?.into_iter().map(|time| time.map(ms)).collect())
    }

    /// A column of times, in nanoseconds since the epoch.
    pub fn nanos(&self, name: &str) -> Result<Vec<Option<i64>>> {
        let nanos = DataType::Timestamp(TimeUnit::Nanosecond, None);
        self.column(name, &nanos, |array| array.as_primitive::<TimestampNanosecondType>().iter().collect())
    }

    /// How many of whatever a result of one row counts.
    pub fn count(&self, name: &str) -> Result<i64> {
        Ok(first(self.integers(name)?).unwrap_or(0))
    }

    fn column<T>(
        &self,
        name: &str,
        as_type: &DataType,
        values: impl Fn(&dyn Array) -> Vec<Option<T>>,
    ) -> Result<Vec<Option<T>>> {
        let mut all = Vec::new();
        for batch in &self.0 {
            let column = batch.column_by_name(name);
            let column = column.ok_or_else(|| Error::Answer(format!("it has no column '{name}'")))?;
            all.extend(values(&cast(column, as_type)?));
        }
        Ok(all)
    }
}

/// Nanoseconds as milliseconds.
pub fn ms(nanos: i64) -> i64 {
    nanos.div_euclid(1_000_000)
}

/// What the first row has.
pub fn first<T>(column: Vec<Option<T>>) -> Option<T> {
    column.into_iter().next().flatten()
}
