//! Parquet: pruned by statistics, with columns in any case, and files that differ from the table.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray},
    datatypes::DataType,
};
use parquet::{arrow::ArrowWriter, file::properties::WriterProperties};

use crate::fixture::*;

pub fn file(columns: Vec<(&str, ArrayRef)>) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter(columns).expect("a batch");
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(10)).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).expect("a writer");
    writer.write(&batch).expect("written");
    writer.into_inner().expect("a file")
}

async fn lake() -> Lake {
    let lake = Lake::new();
    lake.table(
        "CREATE EXTERNAL TABLE t (meterId string, `value` bigint, added string, `time` timestamp) PARTITIONED BY (year int, month int)
        STORED AS PARQUET LOCATION 's3://b/t/' TBLPROPERTIES ('projection.enabled'='true',
        'projection.year.type'='integer', 'projection.year.range'='2020,2030',
        'projection.month.type'='integer', 'projection.month.range'='1,12', 'projection.month.digits'='2')",
    );
    let ids = |range: std::ops::Range<i64>| {
        Arc::new(StringArray::from_iter_values(range.map(|id| format!("m{id}")))) as ArrayRef
    };
    let times = TimestampMicrosecondArray::from_iter_values((0..30).map(|at| at * 1_000_000)).with_timezone("UTC");
    let january = file(vec![
        ("meterId", ids(0..30)),
        ("VALUE", Arc::new(Int64Array::from_iter_values(0..30))),
        ("time", Arc::new(times)),
    ]);
    let narrow = file(vec![("value", Arc::new(Int32Array::from_iter_values(100..105))), ("meterid", ids(0..5))]);
    lake.put("t/year=2024/month=01/a.parquet", january).await;
    lake.put("t/year=2024/month=02/b.parquet", narrow).await;
    lake
}

#[tokio::test]
async fn columns_are_found_in_any_case_and_missing_ones_are_null() {
    let lake = lake().await;
    let rows =
        lake.rows("SELECT * FROM t WHERE year = 2024 AND month IN (1, 2) AND meterid = 'm3'").await.expect("rows");
    assert_eq!(rows, ["m3|103|NULL|NULL|2024|2", "m3|3|NULL|1970-01-01T00:00:03|2024|1"]);
    assert_eq!(
        lake.rows("SELECT month, sum(value) FROM t WHERE year = 2024 GROUP BY month").await.expect("rows"),
        ["1|435", "2|510"]
    );
    assert_eq!(lake.rows("SELECT count(*) FROM t WHERE year = 2024").await.expect("rows"), ["35"]);
    assert_eq!(lake.rows("SELECT count(added) FROM t WHERE month = 1").await.expect("rows"), ["0"]);
    let schema = lake.session.table("t").await.expect("a table").schema().as_arrow().clone();
    assert_eq!(schema.field_with_name("year").expect("a column").data_type(), &DataType::Int32);
}

#[tokio::test]
async fn row_groups_are_pruned_although_the_file_spells_the_column_otherwise() {
    let lake = lake().await;
    let sql = "SELECT value FROM t WHERE year = 2024 AND month = 1 AND value = 25";
    assert_eq!(lake.rows(sql).await.expect("rows"), ["25"]);
    let plan = lake.rows(&format!("EXPLAIN ANALYZE {sql}")).await.expect("a plan").concat();
    assert!(plan.contains("predicate=value@1 = 25"), "{plan}");
    assert!(plan.contains("row_groups_pruned_statistics=3 total → 1 matched"), "{plan}");
}

#[tokio::test]
async fn a_file_that_is_no_parquet_is_named() {
    let lake = lake().await;
    lake.put("t/year=2024/month=03/c.parquet", "{\"value\":1}").await;
    let refused = lake.refused("SELECT value FROM t WHERE month = 3").await;
    assert!(refused.contains("Parquet") || refused.contains("parquet"), "{refused}");
}
