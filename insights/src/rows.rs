//! A query's answer, column by column, as pictures take it.

use arrow::{
    array::{Array, AsArray, RecordBatch},
    compute::cast,
    datatypes::{DataType, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType},
};
use jiff::{
    Timestamp,
    civil::{Date, DateTime},
    tz::TimeZone,
};

use crate::error::{Error, Result};

/// The rows of an answer.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a>(&'a [RecordBatch]);

impl<'a> Rows<'a> {
    /// Of these batches.
    pub fn new(batches: &'a [RecordBatch]) -> Self {
        Rows(batches)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.iter().map(RecordBatch::num_rows).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Texts; a null is empty.
    pub fn texts(&self, name: &str) -> Result<Vec<String>> {
        self.column(name, &DataType::Utf8, |array| {
            array.as_string::<i32>().iter().map(|text| text.unwrap_or_default().to_owned()).collect()
        })
    }

    /// Numbers; a null is no number.
    pub fn numbers(&self, name: &str) -> Result<Vec<f64>> {
        self.column(name, &DataType::Float64, |array| {
            array.as_primitive::<Float64Type>().iter().map(|number| number.unwrap_or(f64::NAN)).collect()
        })
    }

    /// Counts; a null is none.
    pub fn counts(&self, name: &str) -> Result<Vec<u64>> {
        self.column(name, &DataType::Int64, |array| {
            let counts = array.as_primitive::<Int64Type>().iter();
            counts.map(|count| u64::try_from(count.unwrap_or(0)).unwrap_or(0)).collect()
        })
    }

    /// Truths; a null is not true.
    pub fn truths(&self, name: &str) -> Result<Vec<bool>> {
        self.column(name, &DataType::Boolean, |array| {
            array.as_boolean().iter().map(|truth| truth.unwrap_or(false)).collect()
        })
    }

    /// Moments.
    pub fn times(&self, name: &str) -> Result<Vec<Option<Timestamp>>> {
        Ok(self.micros(name)?.into_iter().map(|micros| Timestamp::from_microsecond(micros?).ok()).collect())
    }

    /// Local times, as their column has them: without a zone.
    pub fn local_times(&self, name: &str) -> Result<Vec<Option<DateTime>>> {
        let utc = |at: Timestamp| TimeZone::UTC.to_datetime(at);
        Ok(self.times(name)?.into_iter().map(|at| at.map(utc)).collect())
    }

    /// Local days.
    pub fn days(&self, name: &str) -> Result<Vec<Date>> {
        let days = self.local_times(name)?.into_iter().map(|at| at.map(DateTime::date));
        days.collect::<Option<_>>().ok_or_else(|| Error::Answer(format!("its column '{name}' has no days")))
    }

    fn micros(&self, name: &str) -> Result<Vec<Option<i64>>> {
        let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
        self.column(name, &micros, |array| array.as_primitive::<TimestampMicrosecondType>().iter().collect())
    }

    fn column<T>(&self, name: &str, kind: &DataType, values: impl Fn(&dyn Array) -> Vec<T>) -> Result<Vec<T>> {
        let mut all = Vec::with_capacity(self.len());
        for batch in self.0 {
            let column = batch.column_by_name(name);
            let column = column.ok_or_else(|| Error::Answer(format!("it has no column '{name}'")))?;
            all.extend(values(&cast(&without_zone(column)?, kind)?));
        }
        Ok(all)
    }
}

/// A cast from a time with a zone to one without would change it.
fn without_zone(column: &arrow::array::ArrayRef) -> Result<arrow::array::ArrayRef> {
    match column.data_type() {
        DataType::Timestamp(unit, Some(_)) => {
            let utc = cast(column, &DataType::Timestamp(*unit, Some("UTC".into())))?;
            Ok(cast(&utc, &DataType::Timestamp(*unit, None))?)
        }
        _ => Ok(column.clone()),
    }
}
