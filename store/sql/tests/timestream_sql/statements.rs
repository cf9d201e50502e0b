//! Statements other than queries, names, filters, errors, limits, the wire.

use futures::StreamExt;
use hurtig_timestream_sql::{
    EngineOptions, Error,
    datum::rows,
    unload::{UnloadCompression, UnloadFormat},
};

use crate::{devops, fixture::*};

#[tokio::test]
async fn what_grafana_asks() {
    let engine = engine(devops::memory());
    assert_eq!(table(&engine, "SELECT 1").await, [["1"]]);
    assert_eq!(table(&engine, "SHOW DATABASES").await, [["sampleDB"]]);
    assert_eq!(table(&engine, "SHOW TABLES FROM \"sampleDB\"").await, [["DevOps"]]);
    assert!(table(&engine, "SHOW TABLES FROM sampledb LIKE 'X%'").await.is_empty());
    assert_eq!(table(&engine, "SHOW TABLES FROM sampledb LIKE 'D_v%'").await, [["DevOps"]]);
    let answer = ask(&engine, "SHOW MEASURES FROM \"sampleDB\".\"DevOps\"").await;
    assert_eq!(answer.names, ["measure_name", "data_type", "dimensions"]);
    assert_eq!(text(&answer.rows[0].data[2]), "[(region, varchar), (az, varchar), (hostname, varchar)]");
    let answer = ask(&engine, "DESCRIBE sampleDB.DevOps").await;
    assert_eq!(answer.names, ["Column", "Type", "Timestream attribute type"]);
    let last: Vec<_> = answer.rows[5].data.iter().map(text).collect();
    assert_eq!(last, ["time", "timestamp", "TIMESTAMP"]);
    // A panel's query, with the plugin's macros put in.
    let rows = table(
        &engine,
        "SELECT hostname, CREATE_TIME_SERIES(time, measure_value::double) AS cpu FROM \"sampleDB\".\"DevOps\"
         WHERE time BETWEEN from_milliseconds(1704063600000) AND from_milliseconds(1704067200000)
           AND measure_name = 'cpu_utilization' GROUP BY hostname ORDER BY hostname",
    )
    .await;
    assert_eq!(rows.len(), 4);
}

#[tokio::test]
async fn the_wire() {
    let engine = engine(devops::memory());
    let execution = engine
        .execute("SELECT 1.0 AS d, CAST(NULL AS VARCHAR) AS n, ARRAY[1] AS a, now() AS t, 1m AS i, true AS b, count(*) FROM sampleDB.DevOps WHERE false")
        .await
        .expect("a query");
    let columns = serde_json::to_value(execution.columns()).expect("JSON");
    assert_eq!(
        columns,
        serde_json::json!([
            {"Name": "d", "Type": {"ScalarType": "DOUBLE"}},
            {"Name": "n", "Type": {"ScalarType": "VARCHAR"}},
            {"Name": "a", "Type": {"ArrayColumnInfo": {"Type": {"ScalarType": "BIGINT"}}}},
            {"Name": "t", "Type": {"ScalarType": "TIMESTAMP"}},
            {"Name": "i", "Type": {"ScalarType": "INTERVAL_DAY_TO_SECOND"}},
            {"Name": "b", "Type": {"ScalarType": "BOOLEAN"}},
            {"Name": "_col6", "Type": {"ScalarType": "BIGINT"}},
        ])
    );
    let batches = execution.collect().await.expect("a result");
    let found = serde_json::to_value(rows(&batches[0]).expect("rows")).expect("JSON");
    assert_eq!(
        found,
        serde_json::json!([{"Data": [
            {"ScalarValue": "1.0"}, {"NullValue": true}, {"ArrayValue": [{"ScalarValue": "1"}]},
            {"ScalarValue": "2024-01-01 00:00:00.000000000"}, {"ScalarValue": "0 00:01:00.000000000"},
            {"ScalarValue": "true"}, {"ScalarValue": "0"},
        ]}])
    );
    let sql = "SELECT create_time_series(time, measure_value::double) AS ts FROM (SELECT * FROM sampleDB.DevOps
        WHERE hostname = 'host-24Gju' AND measure_name = 'cpu_utilization' ORDER BY time DESC LIMIT 1)";
    let execution = engine.execute(sql).await.expect("a query");
    let columns = serde_json::to_value(execution.columns()).expect("JSON");
    let series = serde_json::json!({"TimeSeriesMeasureValueColumnInfo": {"Type": {"ScalarType": "DOUBLE"}}});
    assert_eq!(columns, serde_json::json!([{"Name": "ts", "Type": series}]));
    let batches = execution.collect().await.expect("a result");
    let found = serde_json::to_value(rows(&batches[0]).expect("rows")).expect("JSON");
    assert_eq!(found[0]["Data"][0]["TimeSeriesValue"][0]["Time"], "2023-12-31 23:58:49.877000000");
}

#[tokio::test]
async fn names_in_any_case() {
    let engine = engine(Memory::default().with("Home", "Meters", meters()));
    for column in ["DeviceID", "deviceid", "\"DeviceID\"", "\"deviceid\"", "M.DEVICEID"] {
        for name in ["Home.Meters", "\"home\".\"METERS\""] {
            let answer =
                ask(&engine, &format!("SELECT {column} FROM {name} M WHERE {column} = 'x' ORDER BY {column}")).await;
            assert_eq!((answer.names[0].as_str(), answer.rows.len()), ("DeviceID", 1), "{column}");
        }
    }
    let answer =
        ask(&engine, "SELECT deviceID AS Id, count(*), deviceid, deviceid FROM home.meters GROUP BY deviceid").await;
    assert_eq!(answer.names, ["Id", "_col1", "DeviceID", "DeviceID"]);
    // A column that is called as a function, a unit, a type.
    let rows =
        table(&engine, "SELECT hour(time), HOUR, now() + INTERVAL '1' HOUR, extract(hour FROM time) FROM home.meters")
            .await;
    assert_eq!(rows, [["0", "7", "2024-01-01 01:00:00.000000000", "0"]]);
    // What looks like syntax within strings, comments, quoted names stays.
    let rows = table(
        &engine,
        "SELECT 'measure_value::double 30s' AS \"30s\" /* 30s */ FROM home.meters -- measure_value::double",
    )
    .await;
    assert_eq!(rows, [["measure_value::double 30s"]]);
}

fn meters() -> Table {
    use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampNanosecondArray};
    let batch = RecordBatch::try_from_iter(vec![
        ("DeviceID", std::sync::Arc::new(StringArray::from(vec!["x"])) as ArrayRef),
        ("Hour", std::sync::Arc::new(Int64Array::from(vec![7]))),
        ("time", std::sync::Arc::new(TimestampNanosecondArray::from(vec![NOW_NS]))),
    ]);
    Table::new(vec![batch.expect("a batch")])
}

#[tokio::test]
async fn filters_reach_the_table_as_constants() {
    let memory = devops::memory();
    let filters = memory.0["sampleDB"]["DevOps"].filters.clone();
    let engine = engine(memory);
    let sql = "WITH c AS (SELECT bin(time, 1h) AS hour, avg(measure_value::double) AS v FROM sampleDB.DevOps
        WHERE time BETWEEN ago(1h) AND now() AND hostname = 'host-24Gju' AND measure_name = 'cpu_utilization'
        GROUP BY bin(time, 1h)) SELECT * FROM c";
    assert_eq!(table(&engine, sql).await.len(), 1);
    let found = filters.lock().expect("lock").join("; ");
    for part in [
        "time >= TimestampNanosecond(1704063600000000000, None)",
        "time <= TimestampNanosecond(1704067200000000000, None)",
        "hostname = Utf8(\"host-24Gju\")",
        "measure_name = Utf8(\"cpu_utilization\")",
    ] {
        assert!(found.contains(part), "{part} is not among {found}");
    }
}

#[tokio::test]
async fn errors_say_where_and_what() {
    let engine = engine(devops::memory());
    for (sql, expected) in [
        ("SELECT nothing FROM sampleDB.DevOps", "line 1:8: Column 'nothing' does not exist"),
        ("SELECT *\nFROM sampleDB.Nope", "line 2:15: Table 'sampleDB.Nope' does not exist"),
        ("SELECT * FROM nope.DevOps", "line 1:15: Database 'nope' does not exist"),
        ("SELECT * FROM DevOps", "line 1:15: Database must be specified"),
        ("SELECT foo(1)", "Function foo not registered"),
        ("SELECT FROM", "Expected an expression, found: FROM"),
        ("", "empty"),
        ("SELECT 1 SELECT", "line 1:10"),
        ("SELECT 1.5h", "line 1:8: a duration is a whole number"),
        ("SELECT ago(1)", "Unexpected parameters (bigint) for function ago"),
        ("SELECT bin(now(), 0s)", "must be positive"),
        ("SELECT 1 / 0", "Division by zero"),
        ("SELECT CAST('x' AS BIGINT)", "Cannot cast"),
        ("INSERT INTO sampleDB.DevOps VALUES (1)", "SELECT"),
        ("DROP TABLE sampleDB.DevOps", "SELECT"),
        ("SELECT 'open", "line 1:8"),
    ] {
        let error = try_ask(&engine, sql).await.expect_err(sql);
        assert!(error.is_validation() && error.to_string().contains(expected), "{sql}: {error:?}");
    }
}

#[tokio::test]
async fn a_query_has_a_limit_of_memory() {
    let options = EngineOptions { memory_limit_bytes: 100_000, ..EngineOptions::default() };
    let engine = engine_with(devops::memory(), options);
    let error = try_ask(&engine, "SELECT * FROM sampleDB.DevOps a, sampleDB.DevOps b ORDER BY a.time")
        .await
        .expect_err("a limit");
    assert!(matches!(error, Error::MemoryLimit { limit: 100_000, .. }), "{error:?}");
    // And it is each query's own.
    assert_eq!(value(&engine, "SELECT count(*) FROM sampleDB.DevOps").await, devops::readings().len().to_string());
}

#[tokio::test]
async fn a_dropped_query_is_cancelled() {
    let options = EngineOptions { batch_size: 128, ..EngineOptions::default() };
    let engine = engine_with(devops::memory(), options);
    // Some 10^14 rows: it ends because it is dropped.
    let sql = "SELECT a.time FROM sampleDB.DevOps a, sampleDB.DevOps b, sampleDB.DevOps c, sampleDB.DevOps d";
    let mut stream = engine.execute(sql).await.expect("a query").into_stream();
    let first = stream.next().await.expect("a batch").expect("rows");
    assert!(first.num_rows() > 0);
}

#[tokio::test]
async fn unload_is_parsed() {
    let engine = engine(devops::memory());
    let sql = "UNLOAD (SELECT time, measure_value::double AS v, region FROM sampleDB.DevOps WHERE time > ago(1h))
        TO 's3://bucket/prefix' WITH (partitioned_by = ARRAY['region'], format = 'PARQUET', compression = 'GZIP', max_file_size = '16MB')";
    let prepared = engine.prepare(sql).await.expect("a statement");
    let (query, options) = prepared.into_unload().expect("UNLOAD");
    assert_eq!(
        (options.to.as_str(), options.partitioned_by.as_slice()),
        ("s3://bucket/prefix", &["region".to_owned()][..])
    );
    assert_eq!((options.format, options.compression), (UnloadFormat::Parquet, UnloadCompression::Gzip));
    assert_eq!(options.max_file_size, Some(16 << 20));
    assert_eq!(query.columns()[1].name.as_deref(), Some("v"));
    let batches = query.execute().await.expect("a query").collect().await.expect("rows");
    assert!(batches.iter().map(|b| b.num_rows()).sum::<usize>() > 1000);
    let error =
        engine.prepare("UNLOAD (SELECT 1) TO 's3://b' WITH (format = 'ORC')").await.expect_err("no such format");
    assert!(error.to_string().contains("CSV or PARQUET"), "{error}");
}
