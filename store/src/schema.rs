//! A table as Arrow sees it: dimensions, `measure_name`, `time`, and the measures' columns. Files have two columns more.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use compact_str::CompactString;

use crate::{columns::ColumnDef, value::MeasureType};

/// The column of measures' names.
pub const MEASURE_NAME: &str = "measure_name";
/// The column of times.
pub const TIME: &str = "time";
/// A file's column of versions.
pub const VERSION: &str = "__version";
/// A file's column of series' numbers.
pub const SERIES: &str = "__series";

/// The type of times.
pub const TIME_TYPE: DataType = DataType::Timestamp(TimeUnit::Nanosecond, None);

/// The type of a measure's column.
pub fn arrow_type(measure: MeasureType) -> DataType {
    match measure {
        MeasureType::Double => DataType::Float64,
        MeasureType::Bigint => DataType::Int64,
        MeasureType::Varchar => DataType::Utf8View,
        MeasureType::Boolean => DataType::Boolean,
        MeasureType::Timestamp => TIME_TYPE,
    }
}

/// What SQL sees.
pub fn table_schema(dimensions: &[CompactString], columns: &[ColumnDef]) -> SchemaRef {
    Arc::new(Schema::new(table_fields(dimensions, columns)))
}

/// What a file holds.
pub fn file_schema(dimensions: &[CompactString], columns: &[ColumnDef]) -> SchemaRef {
    let mut fields = table_fields(dimensions, columns);
    fields.push(Field::new(VERSION, DataType::UInt64, false));
    fields.push(Field::new(SERIES, DataType::UInt32, false));
    Arc::new(Schema::new(fields))
}

/// What the store itself reads of a file, and what points in memory become: a series is its number.
pub fn core_schema(columns: &[ColumnDef]) -> SchemaRef {
    let mut fields = vec![
        Field::new(SERIES, DataType::UInt32, false),
        Field::new(VERSION, DataType::UInt64, false),
        Field::new(TIME, TIME_TYPE, false),
    ];
    fields.extend(columns.iter().map(measure_field));
    Arc::new(Schema::new(fields))
}

fn table_fields(dimensions: &[CompactString], columns: &[ColumnDef]) -> Vec<Field> {
    let dimensions = dimensions.iter().map(|name| Field::new(name.as_str(), DataType::Utf8View, true));
    let mut fields: Vec<Field> = dimensions.collect();
    fields.push(Field::new(MEASURE_NAME, DataType::Utf8View, false));
    fields.push(Field::new(TIME, TIME_TYPE, false));
    fields.extend(columns.iter().map(measure_field));
    fields
}

fn measure_field(column: &ColumnDef) -> Field {
    Field::new(column.name.as_str(), arrow_type(column.measure_type), true)
}
