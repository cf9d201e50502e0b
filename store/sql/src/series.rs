//! The `timeseries` value: a list of points (time, value), ordered by time, each time once.
//!
//! In Arrow it is `List<Struct<time: Timestamp(ns), value: T>>`. That it is a series and no array of rows, the name of
//! the list's item says, which is a part of the type: it survives every plan. (Metadata of the item is lost when
//! Arrow puts lists together.)

use std::{ops::Range, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, Float64Array, ListArray, StructArray, TimestampNanosecondArray},
    buffer::{NullBuffer, OffsetBuffer, ScalarBuffer},
    compute::cast,
    datatypes::{DataType, Field, FieldRef, Fields, TimeUnit, TimestampNanosecondType},
};
use datafusion::common::{Result, exec_err};

/// The name of a series' items: what tells it apart from an array of rows.
const POINT: &str = "timeseries point";

/// The type of times.
pub(crate) const TIMESTAMP: DataType = DataType::Timestamp(TimeUnit::Nanosecond, None);

/// The type of a series of values of `value`'s type.
pub fn timeseries_type(value: DataType) -> DataType {
    DataType::List(point_field(value))
}

/// The type of a series' values; `None` when `data_type` is not a series.
pub fn timeseries_value(data_type: &DataType) -> Option<&DataType> {
    let DataType::List(item) = data_type else { return None };
    if item.name() != POINT {
        return None;
    }
    match item.data_type() {
        DataType::Struct(fields) => fields.get(1).map(|f| f.data_type()),
        _ => None,
    }
}

fn point_fields(value: DataType) -> Fields {
    Fields::from(vec![Field::new("time", TIMESTAMP, true), Field::new("value", value, true)])
}

fn point_field(value: DataType) -> FieldRef {
    Arc::new(Field::new(POINT, DataType::Struct(point_fields(value)), true))
}

/// A column of series, taken apart.
pub(crate) struct Series<'a> {
    list: &'a ListArray,
    pub times: &'a [i64],
    pub values: &'a ArrayRef,
}

impl<'a> Series<'a> {
    pub fn of(array: &'a ArrayRef) -> Result<Self> {
        let Some(list) = array.as_list_opt::<i32>() else {
            return exec_err!("expected a timeseries, got {}", array.data_type());
        };
        let Some(points) = list.values().as_struct_opt() else {
            return exec_err!("expected a timeseries, got {}", array.data_type());
        };
        match points.columns() {
            [times, values] => match times.as_primitive_opt::<TimestampNanosecondType>() {
                Some(times) => Ok(Series { list, times: times.values(), values }),
                None => exec_err!("expected a timeseries, got {}", array.data_type()),
            },
            _ => exec_err!("expected a timeseries, got {}", array.data_type()),
        }
    }

    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Where the points of one series are; `None` for NULL.
    pub fn row(&self, row: usize) -> Option<Range<usize>> {
        if self.list.is_null(row) {
            return None;
        }
        let offsets = self.list.value_offsets();
        Some(offsets[row] as usize..offsets[row + 1] as usize)
    }

    /// The values as DOUBLE.
    pub fn doubles(&self) -> Result<Float64Array> {
        Ok(cast(self.values, &DataType::Float64)?.as_primitive().clone())
    }
}

/// The points of one series whose value is there.
pub(crate) fn known(times: &[i64], values: &Float64Array, points: Range<usize>) -> (Vec<i64>, Vec<f64>) {
    points.filter(|i| values.is_valid(*i)).map(|i| (times[i], values.value(i))).unzip()
}

/// Builds a column of series.
#[derive(Default)]
pub(crate) struct SeriesBuilder {
    lengths: Vec<usize>,
    valid: Vec<bool>,
    ended: usize,
    pub times: Vec<i64>,
}

impl SeriesBuilder {
    /// Ends a series of as many points as were pushed to `times` since the last one.
    pub fn end(&mut self) {
        self.lengths.push(self.times.len() - self.ended);
        self.ended = self.times.len();
        self.valid.push(true);
    }

    pub fn null(&mut self) {
        self.lengths.push(0);
        self.valid.push(false);
    }

    /// The column; `values` has one value for every time.
    pub fn finish(self, values: ArrayRef) -> Result<ArrayRef> {
        let data_type = values.data_type().clone();
        let times = Arc::new(TimestampNanosecondArray::new(ScalarBuffer::from(self.times), None)) as ArrayRef;
        let points = StructArray::try_new(point_fields(data_type.clone()), vec![times, values], None)?;
        let list = ListArray::try_new(
            point_field(data_type),
            OffsetBuffer::from_lengths(self.lengths),
            Arc::new(points),
            Some(NullBuffer::from(self.valid)),
        )?;
        Ok(Arc::new(list))
    }
}
