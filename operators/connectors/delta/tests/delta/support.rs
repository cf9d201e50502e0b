//! Readings, tables of them, and questions.

use std::{future::Future, path::Path, sync::Arc};

use arrow::{
    array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray},
    datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit},
    error::ArrowError,
    util::pretty::pretty_format_batches,
};
use datafusion::prelude::SessionContext;
use hurtig_delta::{DeltaSink, DeltaTableProvider, Table};
use hurtig_engine::record::Record;
use hurtig_lake::{ParquetSchema, ToArrow};
use hurtig_operators::connectors::testing::SinkHarness;
use serde::Serialize;

pub const HOUR: i64 = 3_600_000;
pub const DAY: i64 = 24 * HOUR;
/// 2024-07-01, in milliseconds.
pub const JULY: i64 = 1_719_792_000_000;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Reading {
    pub meter: String,
    /// In milliseconds.
    pub time: i64,
    pub wh: i64,
}

impl ToArrow for Reading {
    fn schema() -> SchemaRef {
        Arc::new(Schema::new(vec![
            Field::new("meter", DataType::Utf8, false),
            Field::new("time", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), false),
            Field::new("wh", DataType::Int64, false),
        ]))
    }

    fn to_batch(rows: &[Self]) -> Result<RecordBatch, ArrowError> {
        let times = TimestampMicrosecondArray::from_iter_values(rows.iter().map(|r| r.time * 1_000));
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from_iter_values(rows.iter().map(|r| &r.meter))),
            Arc::new(times.with_timezone("UTC")),
            Arc::new(Int64Array::from_iter_values(rows.iter().map(|r| r.wh))),
        ];
        RecordBatch::try_new(Self::schema(), columns)
    }
}

pub type Harness = SinkHarness<Reading, DeltaSink<Reading>>;

pub fn sink(dir: &Path) -> DeltaSink<Reading> {
    DeltaSink::new(dir, ParquetSchema::of())
}

/// The `n`th of many: seven meters, one after the other, an hour each.
pub fn reading(n: i64) -> Reading {
    Reading { meter: format!("m-{}", n % 7), time: JULY + n * HOUR, wh: n }
}

pub fn at(reading: Reading) -> Record<Reading> {
    let time = reading.time;
    Record::at(reading, time)
}

pub fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
}

pub fn table(dir: &Path) -> Table {
    block_on(Table::open(dir)).expect("a readable log").expect("a table")
}

/// The answer to a question about the table `t`, a line a row.
pub fn ask(table: &Table, sql: &str) -> Vec<String> {
    block_on(async {
        let session = SessionContext::new();
        session.register_table("t", Arc::new(DeltaTableProvider::new(table).expect("a table"))).expect("registered");
        let batches = session.sql(sql).await.expect("a plan").collect().await.expect("an answer");
        let text = pretty_format_batches(&batches).expect("a text").to_string();
        let cells = |line: &str| line.trim_matches('|').split('|').map(|c| c.trim().to_owned()).collect::<Vec<_>>();
        text.lines().skip(3).filter(|line| line.starts_with('|')).map(|line| cells(line).join(" ")).collect()
    })
}

/// What the table holds, in order.
pub fn rows(table: &Table) -> Vec<i64> {
    let rows = ask(table, "SELECT wh FROM t ORDER BY wh");
    rows.iter().map(|wh| wh.parse().expect("a number")).collect()
}
