//! The job's columns as the table's: what is new is added, what is another type is refused.

use arrow::datatypes::{DataType as ArrowType, Field, Schema, TimeUnit};
use deltalake_core::kernel::{DataType, StructField, StructType};

/// The table's columns for these of Parquet, all of them nullable: a later job may not have one.
///
/// # Errors
/// A type that Delta Lake does not have.
pub fn columns(schema: &Schema) -> Result<Vec<StructField>, String> {
    schema.fields().iter().map(|field| Ok(StructField::nullable(field.name(), data_type(field)?))).collect()
}

/// The columns of an event-time partition: whole numbers.
pub fn partition_columns(names: &[&str]) -> impl Iterator<Item = StructField> {
    names.iter().map(|name| StructField::nullable(*name, DataType::INTEGER))
}

/// Those of the job's columns that the table does not have yet.
///
/// # Errors
/// A column that the table has with another type, or that it wants a value of and the job does not have.
pub fn missing(table: &StructType, job: &[StructField]) -> Result<Vec<StructField>, String> {
    let mut missing = Vec::new();
    for column in job {
        match table.field(column.name()) {
            None => missing.push(column.clone()),
            Some(there) if there.data_type() == column.data_type() => {}
            Some(there) => {
                return Err(format!(
                    "its column '{}' is {}, and the job's is {}: give the job another directory, or the column another name",
                    column.name(),
                    there.data_type(),
                    column.data_type()
                ));
            }
        }
    }
    let unknown = table.fields().find(|f| !f.is_nullable() && !job.iter().any(|c| c.name() == f.name()));
    match unknown {
        Some(field) => Err(format!("its column '{}' must have a value (NOT NULL), and the job has none", field.name())),
        None => Ok(missing),
    }
}

fn data_type(field: &Field) -> Result<DataType, String> {
    Ok(match field.data_type() {
        ArrowType::Utf8 | ArrowType::LargeUtf8 | ArrowType::Utf8View => DataType::STRING,
        ArrowType::Boolean => DataType::BOOLEAN,
        ArrowType::Int8 => DataType::BYTE,
        ArrowType::Int16 => DataType::SHORT,
        ArrowType::Int32 => DataType::INTEGER,
        ArrowType::Int64 => DataType::LONG,
        ArrowType::Float32 => DataType::FLOAT,
        ArrowType::Float64 => DataType::DOUBLE,
        ArrowType::Date32 => DataType::DATE,
        ArrowType::Binary | ArrowType::LargeBinary => DataType::BINARY,
        // Readers take milliseconds in a file for what they are; nanoseconds they do not all know.
        ArrowType::Timestamp(TimeUnit::Microsecond | TimeUnit::Millisecond, Some(_)) => DataType::TIMESTAMP,
        other => {
            return Err(format!("the job's column '{}' is {other}, which Delta Lake has no type for", field.name()));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(fields: Vec<Field>) -> Result<Vec<StructField>, String> {
        columns(&Schema::new(fields))
    }

    #[test]
    fn a_new_column_is_missing_and_another_type_is_refused() {
        let table = StructType::try_new(of(vec![Field::new("a", ArrowType::Int64, false)]).expect("columns"));
        let table = table.expect("a schema");
        let same = of(vec![Field::new("a", ArrowType::Int64, true)]).expect("columns");
        assert_eq!(missing(&table, &same), Ok(vec![]));
        let wider = of(vec![Field::new("a", ArrowType::Int64, true), Field::new("b", ArrowType::Utf8, true)]);
        let new = missing(&table, &wider.expect("columns")).expect("a column");
        assert_eq!(new, [StructField::nullable("b", DataType::STRING)]);
        let other = missing(&table, &of(vec![Field::new("a", ArrowType::Utf8, true)]).expect("columns"));
        assert!(other.as_ref().is_err_and(|e| e.contains("'a' is long, and the job's is string")), "{other:?}");
        let narrow = of(vec![Field::new("t", ArrowType::Timestamp(TimeUnit::Nanosecond, None), true)]);
        assert!(narrow.is_err_and(|e| e.contains("'t'") && e.contains("no type for")));
    }
}
