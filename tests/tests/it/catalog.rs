//! Tables over files by the binary: the lake's own DDL reads what the job wrote, and a table in S3 is read by partition
//! projection.

use hurtig_store::Storage;
use hurtig_tests::program::{run, run_well};

use crate::{
    s3::location,
    support::{directory, lines_below, words},
};

/// What the binary says; the exit code, standard output, standard error.
fn said(arguments: &[&str]) -> (Option<i32>, String, String) {
    let said = run(arguments).expect("it runs");
    (said.code, said.out, said.err)
}

#[test]
fn the_lake_s_own_ddl_reads_what_the_job_wrote() {
    let dir = directory();
    let data = dir.path().join("data").display().to_string();
    run_well(words(&format!(
        "run smart-meters --meters 50 --readings-per-meter 40 --bounded --json --rest-port off --view-port off --data-dir {data}"
    )))
    .expect("it ends");
    let (code, ddl, told) = said(&["lake", "ddl", "--create", "--data-dir", &data]);
    assert_eq!(code, Some(0), "{told}");
    assert!(ddl.matches("CREATE EXTERNAL TABLE").count() == 4 && told.lines().count() == 4, "{ddl}\n{told}");
    let ask = |sql: &str| {
        let (code, out, err) = said(&["query", "--format", "csv", "--data-dir", &data, sql]);
        assert_eq!(code, Some(0), "{sql}: {err}");
        out
    };
    let of = |table: &str| {
        format!(
            "SELECT count(*) AS n, sum(CAST(round(value * 1000) AS BIGINT)) AS sum, min(time) < max(time) AS spread FROM {table}"
        )
    };
    let own = ask(&of("readings"));
    assert!(!own.contains("\n0,"), "{own}");
    assert_eq!(ask(&of("meters.readings")), own);
    let hours = |table: &str| format!("SELECT count(*) AS n, sum(count) AS readings FROM {table}");
    assert_eq!(ask(&hours("meters.aggregates_1h")), ask(&hours("aggregates_1h")));
    let lines = lines_below(&dir.path().join("data/lake/raw")).len();
    assert_eq!(ask("SELECT count(*) AS n FROM meters.raw"), format!("n\n{lines}\n"));
    let (code, _, told) = said(&["lake", "ddl", "nothing", "--data-dir", &data]);
    assert!(code == Some(2) && told.contains("raw, readings, aggregates_1m and aggregates_1h"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_in_s3_by_partition_projection() {
    let Some(s3) = location() else { return };
    let (dir, place) = (directory(), format!("{s3}-projected"));
    let storage = Storage::open(&place).expect("a place");
    for (hour, line) in [
        (
            "2023/month=01/day=05/hour=07",
            "{\"meter_id\":\"m-1\",\"reading_value\":\"1.5\"}\n{\"Meter_ID\":\"m-2\",\"reading_value\":2}\n",
        ),
        ("2023/month=02/day=05/hour=07", "{\"meter_id\":\"m-1\",\"reading_value\":32}\n"),
        ("2024/month=01/day=05/hour=07", "{\"meter_id\":\"m-1\",\"reading_value\":64}\n"),
    ] {
        storage.put(&format!("year={hour}/part-0.json"), line.into()).await.expect("written");
    }
    let catalog = dir.path().join("catalog.json").display().to_string();
    let query = |sql: &str| said(&["query", "--format", "csv", "--catalog", &catalog, sql]);
    // With the comma behind the last partition, as people have it.
    let ddl = format!(
        "CREATE EXTERNAL TABLE readings_json (meter_id STRING, reading_value DOUBLE)
         PARTITIONED BY (year INT, month INT, day INT, hour INT,
         ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe'
         LOCATION '{place}/'
         TBLPROPERTIES (
           'projection.enabled' = 'true',
           'projection.year.type' = 'integer', 'projection.year.range' = '2012,2100',
           'projection.month.type' = 'integer', 'projection.month.range' = '1,12', 'projection.month.digits' = '2',
           'projection.day.type' = 'integer', 'projection.day.range' = '1,31', 'projection.day.digits' = '2',
           'projection.hour.type' = 'integer', 'projection.hour.range' = '0,23', 'projection.hour.digits' = '2',
           'storage.location.template' = '{place}/year=${{year}}/month=${{month}}/day=${{day}}/hour=${{hour}}/')"
    );
    let (code, out, err) = query(&ddl);
    assert!(code == Some(0) && out.contains("default.readings_json is created"), "{out}{err}");
    let sums = "SELECT meter_id, sum(reading_value) AS sum, min(hour) AS hour FROM readings_json \
                WHERE year = 2023 AND month = 1 GROUP BY meter_id ORDER BY meter_id";
    assert_eq!(query(sums), (Some(0), "meter_id,sum,hour\nm-1,1.5,7\nm-2,2.0,7\n".into(), String::new()));
    let (code, _, err) = query("SELECT count(*) FROM readings_json");
    let refused = code == Some(1) && err.contains("794,592 locations") && err.contains("filter by year");
    assert!(refused && err.lines().count() == 1, "{err}");
    let (code, _, err) =
        query("CREATE EXTERNAL TABLE t (a int) ROW FORMAT SERDE 'com.example.Serde' LOCATION 's3://b/t/'");
    assert!(code == Some(1) && err.contains("com.example.Serde") && err.lines().count() == 1, "{err}");
}
