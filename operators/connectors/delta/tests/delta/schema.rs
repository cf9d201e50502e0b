//! Columns that come later, and tables that do not fit.

use std::{fs, sync::Arc};

use arrow::{
    array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray},
    datatypes::{DataType, Field, Schema},
};
use hurtig_delta::{DeltaSink, Table};
use hurtig_engine::record::Record;
use hurtig_lake::ParquetSchema;
use hurtig_operators::connectors::{part_files::EventTimePartition, testing::SinkHarness};

use super::support::{Harness, JULY, ask, at, block_on, reading, sink, table};

/// Rows of a text and, if there is one, a number of this type.
fn with(number: Option<(&'static str, DataType)>) -> ParquetSchema<(String, i64)> {
    let mut fields = vec![Field::new("meter", DataType::Utf8, false)];
    fields.extend(number.iter().map(|(name, kind)| Field::new(*name, kind.clone(), true)));
    let schema = Arc::new(Schema::new(fields));
    let columns = schema.clone();
    ParquetSchema::new(schema, move |rows: &[(String, i64)]| {
        let mut arrays: Vec<ArrayRef> = vec![Arc::new(StringArray::from_iter_values(rows.iter().map(|r| &r.0)))];
        match number.as_ref().map(|(_, kind)| kind) {
            Some(DataType::Int64) => arrays.push(Arc::new(Int64Array::from_iter_values(rows.iter().map(|r| r.1)))),
            Some(_) => arrays.push(Arc::new(Float64Array::from_iter_values(rows.iter().map(|r| r.1 as f64)))),
            None => {}
        }
        RecordBatch::try_new(columns.clone(), arrays)
    })
}

fn write(sink: &DeltaSink<(String, i64)>, attempt: &str, value: i64) {
    let mut harness = SinkHarness::start(sink, attempt).expect("a writer");
    harness.write(Record::at((format!("m-{value}"), value), JULY)).expect("written");
    harness.checkpoint().expect("a checkpoint");
}

#[test]
fn a_new_measure_is_a_new_column() {
    let dir = tempfile::tempdir().expect("dir");
    write(&DeltaSink::new(dir.path(), with(None)), "1", 1);
    write(&DeltaSink::new(dir.path(), with(Some(("wh", DataType::Int64)))), "2", 2);
    // A job of before goes on as well.
    write(&DeltaSink::new(dir.path(), with(None)), "3", 3);
    write(&DeltaSink::new(dir.path(), with(Some(("volt", DataType::Float64)))), "4", 4);
    let found = ask(&table(dir.path()), "SELECT meter, wh, volt, year, month FROM t ORDER BY meter");
    assert_eq!(found, ["m-1   2024 7", "m-2 2  2024 7", "m-3   2024 7", "m-4  4.0 2024 7"]);
}

/// The one line that is said of a sink.
fn refused<T: Send + 'static>(sink: &DeltaSink<T>) -> String {
    let Err(said) = SinkHarness::start(sink, "9") else { panic!("it was taken") };
    let said = said.to_string();
    assert!(!said.contains('\n'), "one line: {said}");
    said
}

#[test]
fn a_table_that_does_not_fit_is_one_line_before_anything_runs() {
    let dir = tempfile::tempdir().expect("dir");
    let number = Some(("wh", DataType::Int64));
    write(&DeltaSink::new(dir.path(), with(number.clone())), "1", 1);
    let other = refused(&DeltaSink::new(dir.path(), with(Some(("wh", DataType::Float64)))));
    assert!(other.contains("'wh' is long, and the job's is double"), "{other}");
    let days = refused(&DeltaSink::new(dir.path(), with(number)).partition(EventTimePartition::Day));
    assert!(days.contains("partitioned by year, month") && days.contains("by year, month, day"), "{days}");
    let nanos = with(Some(("n", DataType::UInt64)));
    assert!(refused(&DeltaSink::new(dir.path().join("new"), nanos)).contains("Delta Lake has no type for"));
    assert_eq!(table(dir.path()).rows(), 1);
}

#[test]
fn files_without_a_log_are_not_written_beside() {
    let dir = tempfile::tempdir().expect("dir");
    fs::create_dir_all(dir.path().join("year=2024/month=07")).expect("made");
    fs::write(dir.path().join("year=2024/month=07/.part-1.parquet.pending"), b"").expect("written");
    let mut harness = Harness::start(&sink(dir.path()), "1").expect("what is hidden is nothing");
    harness.write(at(reading(1))).expect("written");
    drop(harness);
    let old = tempfile::tempdir().expect("dir");
    fs::create_dir_all(old.path().join("year=2024/month=07")).expect("made");
    fs::write(old.path().join("year=2024/month=07/part-1.parquet"), b"").expect("written");
    let said = refused(&sink(old.path()));
    assert!(said.contains("part-1.parquet") && said.contains("no log") && said.contains("another directory"), "{said}");
}

#[test]
fn a_log_that_is_damaged_is_one_line() {
    let dir = tempfile::tempdir().expect("dir");
    drop(Harness::start(&sink(dir.path()), "1").expect("a writer"));
    fs::write(dir.path().join("_delta_log/00000000000000000000.json"), b"{\"metaData\":").expect("written");
    let said = block_on(Table::open(dir.path())).expect_err("it is damaged").to_string();
    assert!(!said.contains('\n') && said.contains("the log of the Delta table"), "{said}");
    assert!(block_on(Table::open(&dir.path().join("none"))).expect("no error").is_none());
}
