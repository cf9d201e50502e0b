//! Points as Arrow batches: from memory's chunks to columns, and from series' numbers to their dimensions.

use std::{ops::Range, sync::Arc};

use arrow::{
    array::{
        ArrayRef, BooleanBuilder, Float64Builder, Int64Builder, RecordBatch, StringViewArray, StringViewBuilder,
        TimestampNanosecondBuilder, UInt32Array, UInt32Builder, UInt64Builder, make_view, new_null_array,
    },
    buffer::NullBuffer,
    datatypes::{DataType, SchemaRef},
};

use crate::{
    columns::ColumnDef,
    error::{Error, Result},
    points::{Chunk, Column, Data},
    registry::Series,
    row::{Row, SeriesId},
    schema::{MEASURE_NAME, SERIES, core_schema},
    value::{MeasureType, MeasureValue},
};

/// Gathers points into a batch of [`core_schema`].
pub struct CoreBuilder {
    schema: SchemaRef,
    series: UInt32Builder,
    versions: UInt64Builder,
    times: TimestampNanosecondBuilder,
    columns: Vec<Values>,
    rows: usize,
}

/// A column's values as they gather.
enum Values {
    Double(Float64Builder),
    Bigint(Int64Builder),
    Varchar(StringViewBuilder),
    Boolean(BooleanBuilder),
    Timestamp(TimestampNanosecondBuilder),
}

impl CoreBuilder {
    /// For a table with these columns.
    pub fn new(columns: &[ColumnDef]) -> Self {
        CoreBuilder {
            schema: core_schema(columns),
            series: UInt32Builder::new(),
            versions: UInt64Builder::new(),
            times: TimestampNanosecondBuilder::new(),
            columns: columns.iter().map(|c| Values::new(c.measure_type)).collect(),
            rows: 0,
        }
    }

    /// How many points it has.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Adds some of a chunk's points.
    pub fn push(&mut self, series: SeriesId, chunk: &Chunk, range: Range<usize>) {
        self.rows += range.len();
        self.series.append_value_n(series, range.len());
        self.versions.append_slice(&chunk.versions()[range.clone()]);
        self.times.append_slice(&chunk.times()[range.clone()]);
        for (id, values) in self.columns.iter_mut().enumerate() {
            match chunk.column(id as u16) {
                Some(column) => values.push(column, range.clone()),
                None => values.push_nulls(range.len()),
            }
        }
    }

    /// Adds one point.
    pub fn push_row(&mut self, series: SeriesId, row: &Row) {
        self.rows += 1;
        self.series.append_value(series);
        self.versions.append_value(row.version);
        self.times.append_value(row.time);
        for (id, values) in self.columns.iter_mut().enumerate() {
            values.push_value(row.values.iter().find(|(c, _)| *c as usize == id).map(|(_, value)| value));
        }
    }

    /// What was gathered; it goes on empty.
    pub fn finish(&mut self) -> Result<RecordBatch> {
        self.rows = 0;
        let mut arrays: Vec<ArrayRef> =
            vec![Arc::new(self.series.finish()), Arc::new(self.versions.finish()), Arc::new(self.times.finish())];
        arrays.extend(self.columns.iter_mut().map(Values::finish));
        Ok(RecordBatch::try_new(self.schema.clone(), arrays)?)
    }
}

impl Values {
    fn new(measure: MeasureType) -> Self {
        match measure {
            MeasureType::Double => Values::Double(Float64Builder::new()),
            MeasureType::Bigint => Values::Bigint(Int64Builder::new()),
            MeasureType::Varchar => Values::Varchar(StringViewBuilder::new()),
            MeasureType::Boolean => Values::Boolean(BooleanBuilder::new()),
            MeasureType::Timestamp => Values::Timestamp(TimestampNanosecondBuilder::new()),
        }
    }

    fn push(&mut self, column: &Column, range: Range<usize>) {
        let valid = column.valid.as_deref().map(|valid| &valid[range.clone()]);
        match (self, &column.data) {
            (Values::Double(out), Data::Double(v)) => match valid {
                None => out.append_slice(&v[range]),
                Some(valid) => out.append_values(&v[range], valid),
            },
            (Values::Bigint(out), Data::Bigint(v)) => match valid {
                None => out.append_slice(&v[range]),
                Some(valid) => out.append_values(&v[range], valid),
            },
            (Values::Timestamp(out), Data::Timestamp(v)) => match valid {
                None => out.append_slice(&v[range]),
                Some(valid) => out.append_values(&v[range], valid),
            },
            (Values::Boolean(out), Data::Boolean(v)) => {
                range.for_each(|at| out.append_option(column.is_valid(at).then(|| v[at])));
            }
            (Values::Varchar(out), Data::Varchar(v)) => {
                range.for_each(|at| out.append_option(column.is_valid(at).then(|| v[at].as_str())));
            }
            // A column has one type.
            (other, _) => other.push_nulls(range.len()),
        }
    }

    fn push_nulls(&mut self, n: usize) {
        match self {
            Values::Double(out) => out.append_nulls(n),
            Values::Bigint(out) => out.append_nulls(n),
            Values::Timestamp(out) => out.append_nulls(n),
            Values::Boolean(out) => out.append_nulls(n),
            Values::Varchar(out) => (0..n).for_each(|_| out.append_null()),
        }
    }

    fn push_value(&mut self, value: Option<&MeasureValue>) {
        match (self, value) {
            (Values::Double(out), Some(MeasureValue::Double(x))) => out.append_value(*x),
            (Values::Bigint(out), Some(MeasureValue::Bigint(x))) => out.append_value(*x),
            (Values::Timestamp(out), Some(MeasureValue::Timestamp(x))) => out.append_value(*x),
            (Values::Boolean(out), Some(MeasureValue::Boolean(x))) => out.append_value(*x),
            (Values::Varchar(out), Some(MeasureValue::Varchar(x))) => out.append_value(x),
            (other, _) => other.push_nulls(1),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Values::Double(out) => Arc::new(out.finish()),
            Values::Bigint(out) => Arc::new(out.finish()),
            Values::Timestamp(out) => Arc::new(out.finish()),
            Values::Boolean(out) => Arc::new(out.finish()),
            Values::Varchar(out) => Arc::new(out.finish()),
        }
    }
}

/// The columns of `schema` for a batch of [`core_schema`]: dimensions and measure names by the series' numbers, all else
/// as it is, or null where the batch has no such column.
pub fn with_dimensions(core: &RecordBatch, series: &[Arc<Series>], schema: &SchemaRef) -> Result<RecordBatch> {
    let numbers = core.column_by_name(SERIES).and_then(|c| c.as_any().downcast_ref::<UInt32Array>());
    let numbers = numbers.ok_or_else(|| Error::Validation(format!("a batch without the column {SERIES}")))?;
    let runs = runs(numbers.values());
    let arrays = schema.fields().iter().map(|field| match core.column_by_name(field.name()) {
        Some(column) => Ok(column.clone()),
        None if field.name() == MEASURE_NAME => strings(&runs, series, |s| Some(&s.measure_name)),
        // A dimension, which some series lack; or a measure of texts that the batch has no value of, and no series either.
        None if *field.data_type() == DataType::Utf8View => strings(&runs, series, |s| s.dimension(field.name())),
        None => Ok(new_null_array(field.data_type(), core.num_rows())),
    });
    let arrays = arrays.collect::<Result<Vec<_>>>()?;
    let options = arrow::record_batch::RecordBatchOptions::new().with_row_count(Some(core.num_rows()));
    Ok(RecordBatch::try_new_with_options(schema.clone(), arrays, &options)?)
}

fn runs(numbers: &[SeriesId]) -> Vec<(SeriesId, usize)> {
    numbers.chunk_by(|a, b| a == b).map(|run| (run[0], run.len())).collect()
}

/// A text for each run of rows: it is laid down once, the rows point to it.
fn strings<'a>(
    runs: &[(SeriesId, usize)],
    series: &'a [Arc<Series>],
    text: impl Fn(&'a Series) -> Option<&'a str>,
) -> Result<ArrayRef> {
    let rows = runs.iter().map(|(_, n)| n).sum();
    let (mut views, mut valid, mut bytes) = (Vec::with_capacity(rows), Vec::new(), Vec::new());
    for &(number, n) in runs {
        let text = series.get(number as usize).and_then(|s| text(s));
        let view = text.map_or(0, |text| {
            let offset = bytes.len();
            if text.len() > 12 {
                bytes.extend_from_slice(text.as_bytes());
            }
            make_view(text.as_bytes(), 0, offset as u32)
        });
        if text.is_none() && valid.is_empty() {
            valid.resize(views.len(), true);
        }
        if text.is_none() || !valid.is_empty() {
            valid.resize(views.len() + n, text.is_some());
        }
        views.resize(views.len() + n, view);
    }
    let nulls = (!valid.is_empty()).then(|| NullBuffer::from(valid));
    Ok(Arc::new(StringViewArray::try_new(views.into(), vec![bytes.into()], nulls)?))
}

/// The point in a row of a batch of [`core_schema`] that has the columns `ids`, in their order behind the first three.
pub fn row_at(core: &RecordBatch, at: usize, columns: &[(u16, MeasureType)]) -> Option<Row> {
    use arrow::array::{
        Array, AsArray,
        types::{Float64Type, Int64Type, TimestampNanosecondType, UInt64Type},
    };
    let version = core.column(1).as_primitive_opt::<UInt64Type>()?.value(at);
    let time = core.column(2).as_primitive_opt::<TimestampNanosecondType>()?.value(at);
    let mut row = Row { time, version, values: smallvec::SmallVec::new() };
    for (i, &(id, measure)) in columns.iter().enumerate() {
        let column = core.column(i + 3);
        if column.is_null(at) {
            continue;
        }
        let value = match measure {
            MeasureType::Double => MeasureValue::Double(column.as_primitive_opt::<Float64Type>()?.value(at)),
            MeasureType::Bigint => MeasureValue::Bigint(column.as_primitive_opt::<Int64Type>()?.value(at)),
            MeasureType::Timestamp => {
                MeasureValue::Timestamp(column.as_primitive_opt::<TimestampNanosecondType>()?.value(at))
            }
            MeasureType::Boolean => MeasureValue::Boolean(column.as_boolean_opt()?.value(at)),
            MeasureType::Varchar => MeasureValue::Varchar(column.as_string_view_opt()?.value(at).into()),
        };
        row.values.push((id, value));
    }
    Some(row)
}
