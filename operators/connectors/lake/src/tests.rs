//! The sink as a whole: what goes in comes out of the files.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow::{
    array::{Array, AsArray, Int64Array, RecordBatch, StringArray},
    datatypes::{DataType, Field, Int64Type, Schema, SchemaRef},
    error::ArrowError,
};
use hurtig_engine::record::{Origin, Record};
use hurtig_operators::connectors::{
    part_files::{EventTimePartition, PartitionBy, PendingFile},
    testing::SinkHarness,
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde::Serialize;

use super::*;

const DAY: i64 = 86_400_000;

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Reading {
    meter: String,
    wh: i64,
}

impl ToArrow for Reading {
    fn schema() -> SchemaRef {
        Arc::new(Schema::new(vec![
            Field::new("meter", DataType::Utf8, false),
            Field::new("wh", DataType::Int64, false),
        ]))
    }

    fn to_batch(rows: &[Self]) -> Result<RecordBatch, ArrowError> {
        if let Some(bad) = rows.iter().find(|r| r.wh < 0) {
            return Err(ArrowError::InvalidArgumentError(format!("{} Wh", bad.wh)));
        }
        RecordBatch::try_new(
            Self::schema(),
            vec![
                Arc::new(StringArray::from_iter_values(rows.iter().map(|r| &r.meter))),
                Arc::new(Int64Array::from_iter_values(rows.iter().map(|r| r.wh))),
            ],
        )
    }
}

fn reading(wh: i64) -> Reading {
    Reading { meter: format!("m-{}", wh % 7), wh }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(dir) else { return found };
    for entry in entries {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// All readings in a file.
fn read(path: &Path) -> Vec<Reading> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).expect("a file")).expect("Parquet");
    let mut found = Vec::new();
    for batch in reader.build().expect("a reader") {
        let batch = batch.expect("a batch");
        let meters = batch.column_by_name("meter").expect("a column").as_string::<i32>();
        let wh = batch.column_by_name("wh").expect("a column").as_primitive::<Int64Type>();
        found.extend((0..batch.num_rows()).map(|i| Reading { meter: meters.value(i).into(), wh: wh.value(i) }));
    }
    found
}

fn read_all(dir: &Path) -> Vec<Reading> {
    let mut all: Vec<_> = files(dir).iter().flat_map(|f| read(f)).collect();
    all.sort_by_key(|r| r.wh);
    all
}

#[test]
fn there_and_back_by_month_in_row_groups() {
    let dir = tempfile::tempdir().expect("dir");
    for compression in [ParquetCompression::Zstd, ParquetCompression::Snappy, ParquetCompression::None] {
        let root = dir.path().join(format!("{compression:?}"));
        let sink = ParquetSink::new(&root, ParquetSchema::<Reading>::of()).compression(compression);
        let mut harness = SinkHarness::start(&sink, "1").expect("started");
        for wh in 0..200_000 {
            harness.write(Record::at(reading(wh), wh % 2 * 31 * DAY)).expect("written");
        }
        let committables = harness.flush().expect("flushed");
        assert!(files(&root).iter().all(|p| p.to_string_lossy().ends_with(".pending")));
        assert_eq!((harness.books.read, harness.books.written), (200_000, 200_000));
        harness.commit(&committables).expect("committed");
        harness.commit(&committables).expect("committed again");
        let names: Vec<_> = files(&root)
            .iter()
            .map(|p| p.strip_prefix(&root).expect("inside").to_string_lossy().into_owned())
            .collect();
        assert_eq!(names.len(), 2);
        assert!(names[0].starts_with("year=1970/month=01/part-sink.") && names[0].ends_with("-0-1-0.parquet"));
        assert!(names[1].starts_with("year=1970/month=02/"), "{names:?}");
        assert_eq!(read_all(&root), (0..200_000).map(reading).collect::<Vec<_>>());
        let file = File::open(root.join(&names[0])).expect("a file");
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("Parquet");
        assert_eq!(reader.metadata().num_row_groups(), 2, "65,536 rows, and the rest");
    }
}

#[test]
fn few_files_little_memory_and_rolling() {
    let dir = tempfile::tempdir().expect("dir");
    let by_day = PartitionBy::event_time(EventTimePartition::Day);
    let sink = ParquetSink::new(dir.path(), ParquetSchema::<Reading>::of().row_bytes(|r| 40 + r.meter.len()))
        .partition_by(by_day)
        .max_open_files(3)
        .max_buffered_bytes(20_000)
        .roll_at_bytes(8_000);
    let mut harness = SinkHarness::start(&sink, "1").expect("started");
    for wh in 0..20_000 {
        harness.write(Record::at(reading(wh), wh / 100 % 10 * DAY)).expect("written");
        assert!(harness.writer.open_files() <= 3);
    }
    let committables = harness.flush().expect("flushed");
    harness.commit(&committables).expect("committed");
    assert_eq!(read_all(dir.path()), (0..20_000).map(reading).collect::<Vec<_>>());
    for file in committables.iter().map(|c| PendingFile::from_bytes(c).expect("a pending file")) {
        assert!(file.bytes < 20_000 && file.rows <= 1_000, "{file:?}");
    }
    assert!(harness.books.balance());
}

#[test]
fn rows_that_do_not_fit_are_letters_and_the_others_are_written() {
    let dir = tempfile::tempdir().expect("dir");
    let sink = ParquetSink::new(dir.path(), ParquetSchema::<Reading>::of()).partition_by(PartitionBy::Nothing);
    let mut harness = SinkHarness::start(&sink, "1").expect("started");
    for wh in [1, -2, 3, -4, 5] {
        let record = Record { value: reading(wh), timestamp: wh, origin: Origin::new(0, wh.unsigned_abs()) };
        harness.write(record).expect("written");
    }
    harness.checkpoint().expect("committed");
    assert_eq!(read_all(dir.path()), [1, 3, 5].map(reading));
    assert_eq!((harness.books.written, harness.books.dead_lettered), (3, 2));
    let (origin, time, raw, reason) = &harness.letters[1];
    assert_eq!((origin.position(), *time), (4, -4));
    assert_eq!(raw, br#"{"meter":"m--4","wh":-4}"#);
    assert!(reason.contains("-4 Wh"), "{reason}");

    // Only bad ones: no file at all.
    harness.write(Record::new(reading(-1))).expect("written");
    harness.checkpoint().expect("committed");
    assert_eq!(files(dir.path()).len(), 1);

    // Columns that are not those of the schema are refused too, not written askew.
    let other =
        ParquetSchema::new(Arc::new(Schema::new(vec![Field::new("x", DataType::Int64, false)])), Reading::to_batch);
    let sink = ParquetSink::new(dir.path().join("other"), other).partition_by(PartitionBy::Nothing);
    let mut harness = SinkHarness::start(&sink, "1").expect("started");
    harness.write(Record::new(reading(1))).expect("written");
    harness.checkpoint().expect("committed");
    assert!(harness.letters[0].3.contains("as the sink's schema says"), "{}", harness.letters[0].3);
}

#[test]
fn batches_are_records_too() {
    let dir = tempfile::tempdir().expect("dir");
    let sink = ParquetSink::new(dir.path(), ParquetSchema::batches(Reading::schema()));
    let mut harness = SinkHarness::start(&sink, "1").expect("started");
    for from in (0..1_000).step_by(100) {
        let rows: Vec<_> = (from..from + 100).map(reading).collect();
        let batch = Reading::to_batch(&rows).expect("a batch");
        assert_eq!(batch.column(0).len(), 100);
        harness.write(Record::at(batch, from * DAY)).expect("written");
    }
    // A batch without a timestamp has no month.
    harness.write(Record::new(Reading::to_batch(&[reading(7)]).expect("a batch"))).expect("written");
    harness.checkpoint().expect("committed");
    assert_eq!(read_all(dir.path()), (0..1_000).map(reading).collect::<Vec<_>>());
    assert_eq!((harness.books.read, harness.books.written, harness.books.dead_lettered), (11, 10, 1));
    assert_eq!(harness.letters[0].2, b"{\"meter\":\"m-0\",\"wh\":7}\n");
}

#[test]
fn orphans_go_when_the_job_starts_again() {
    let dir = tempfile::tempdir().expect("dir");
    let sink = ParquetSink::new(dir.path(), ParquetSchema::<Reading>::of());
    let mut first = SinkHarness::start(&sink, "1").expect("started");
    first.write(Record::at(reading(1), 0)).expect("written");
    let kept = first.flush().expect("flushed");
    first.write(Record::at(reading(2), 0)).expect("written");
    first.flush().expect("flushed, and never committed");
    let mut second = SinkHarness::start(&sink, "2").expect("started");
    second.commit(&kept).expect("committed");
    second.committer.as_mut().expect("a committer").remove_orphans().expect("removed");
    assert_eq!(files(dir.path()).len(), 1);
    assert_eq!(read_all(dir.path()), [reading(1)]);
}

#[test]
fn a_panic_of_the_users_own_code_is_not_taken_for_a_full_disk() {
    let dir = tempfile::tempdir().expect("dir");
    let schema = ParquetSchema::new(Reading::schema(), |rows: &[Reading]| match rows[0].wh {
        13 => panic!("no such reading"),
        _ => Reading::to_batch(rows),
    });
    let mut harness = SinkHarness::start(&ParquetSink::new(dir.path(), schema), "1").expect("started");
    harness.write(Record::at(reading(13), 0)).expect("gathered");
    let e = harness.flush().expect_err("the panic").to_string();
    assert!(e.contains("panic on the pool: no such reading"), "{e}");
    assert!(e.contains("the sink") && !e.contains("make room") && !e.contains('\n'), "{e}");
}
