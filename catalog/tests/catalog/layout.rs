//! Tables without a projection: Hive's layout, and no layout at all.

use crate::fixture::*;
use hurtig_catalog::{FileTable, LocalFiles, Location, ScanOptions, Statement};
use std::sync::Arc;

const JSON: &str = "ROW FORMAT SERDE 'org.apache.hive.hcatalog.data.JsonSerDe'";

async fn hive() -> Lake {
    let lake = Lake::new();
    lake.table(&format!(
        "CREATE EXTERNAL TABLE t (v int) PARTITIONED BY (year int, region string) {JSON} LOCATION 's3://b/t'"
    ));
    for (key, v) in [
        ("t/year=2023/region=eu/a.json", 1),
        ("t/year=2023/region=u%3As/b.json", 2),
        ("t/Year=02024/region=eu/deep/c.json", 3),
        ("t/year=2024/region=__HIVE_DEFAULT_PARTITION__/d.json", 4),
        ("t/year=2023/_temporary/region=eu/e.json", 5),
        ("t/year=2023/region=eu/.hidden", 6),
        ("t/year=2023/region=eu/_SUCCESS", 7),
        ("t/year=2023/f.json", 8),
        // A file, although its name is as a directory's.
        ("t/year=2023/region=eu2", 12),
        ("t/month=1/region=eu/g.json", 9),
        ("t/h.json", 10),
        ("t2/year=2023/region=eu/i.json", 11),
    ] {
        lake.put(key, format!("{{\"v\":{v}}}")).await;
    }
    lake.put("t/year=2023/region=eu/empty.json", "").await;
    lake.bucket.forget();
    lake
}

#[tokio::test]
async fn without_a_filter_one_listing_finds_all() {
    let lake = hive().await;
    let rows = lake.rows("SELECT v, year, region FROM t").await.expect("rows");
    assert_eq!(rows, ["1|2023|eu", "2|2023|u:s", "3|2024|eu", "4|2024|NULL"]);
    assert_eq!(lake.bucket.lists(), ["t"]);
}

#[tokio::test]
async fn with_a_filter_each_level_is_pruned_before_the_next() {
    let lake = hive().await;
    let rows = lake.rows("SELECT v FROM t WHERE year = 2024").await.expect("rows");
    assert_eq!(rows, ["3", "4"]);
    assert_eq!(lake.bucket.lists(), ["t", "t/Year=02024", "t/year=2024"]);
    lake.bucket.forget();
    assert_eq!(lake.rows("SELECT v FROM t WHERE region = 'eu' AND year < 2024").await.expect("rows"), ["1"]);
    assert_eq!(lake.bucket.lists(), ["t", "t/year=2023", "t/year=2023/region=eu"]);
    assert_eq!(lake.rows("SELECT v FROM t WHERE region IS NULL").await.expect("rows"), ["4"]);
    assert_eq!(lake.rows("SELECT v FROM t WHERE region <> 'eu'").await.expect("rows"), ["2"]);
    assert_eq!(
        lake.rows("SELECT v FROM t WHERE year = 2023 AND region = 'u:s' OR year = 2024 AND region = 'eu'")
            .await
            .expect("rows"),
        ["2", "3"]
    );
    assert_eq!(lake.rows("SELECT v FROM t WHERE v > 3 OR year = 2023 AND v = 1").await.expect("rows"), ["1", "4"]);
    assert!(lake.rows("SELECT v FROM t WHERE year = 1").await.expect("rows").is_empty());
}

#[tokio::test]
async fn a_directory_that_is_no_value_is_an_error_with_its_place() {
    let lake = hive().await;
    lake.put("t/year=soon/region=eu/x.json", "{\"v\":1}").await;
    assert_eq!(
        lake.refused("SELECT v FROM t WHERE year = 2023").await,
        "s3://b/t/year=soon: Invalid partition value 'soon' for int partition key: year"
    );
    assert_eq!(
        lake.refused("SELECT v FROM t").await,
        "s3://b/t/year=soon/region=eu/x.json: Invalid partition value 'soon' for int partition key: year"
    );
}

#[tokio::test]
async fn too_many_directories_are_refused() {
    let mut lake = hive().await;
    lake.options.max_locations = 1;
    lake.table(&format!(
        "CREATE EXTERNAL TABLE t (v int) PARTITIONED BY (year int, region string) {JSON} LOCATION 's3://b/t'"
    ));
    assert_eq!(
        lake.refused("SELECT v FROM t WHERE year > 0").await,
        "the query would look at 3 locations of table default.t, and may at 1: narrow the filter on year"
    );
}

#[tokio::test]
async fn a_table_may_have_no_partitions() {
    let lake = Lake::new();
    lake.table(&format!("CREATE EXTERNAL TABLE t (v int) {JSON} LOCATION 's3://b/t/'"));
    assert!(lake.rows("SELECT v FROM t").await.expect("rows").is_empty());
    assert_eq!(lake.rows("SELECT count(*) FROM t").await.expect("rows"), ["0"]);
    lake.put("t/x.json", "{\"v\":1}").await;
    lake.put("t/y/z.json", "{\"v\":2}").await;
    assert_eq!(lake.rows("SELECT v FROM t").await.expect("rows"), ["1", "2"]);
    assert_eq!(lake.rows("SELECT count(*) FROM t").await.expect("rows"), ["2"]);
}

#[tokio::test]
async fn a_location_may_be_a_directory() {
    let dir = tempfile::tempdir().expect("a directory");
    let root = dir.path().join("with space");
    std::fs::create_dir_all(root.join("day=2024-01-01")).expect("made");
    std::fs::write(root.join("day=2024-01-01/x.json"), "{\"v\":1}\n{\"v\":2}\n").expect("written");
    std::fs::write(root.join("day=2024-01-01/.x.json.tmp"), "{").expect("written");
    for location in [root.display().to_string(), format!("file://{}/", root.display())] {
        let ddl = format!("CREATE EXTERNAL TABLE t (v int) PARTITIONED BY (day date) {JSON} LOCATION '{location}'");
        let lake = Lake::new();
        let table = FileTable::new(parsed(&ddl), Arc::new(LocalFiles), lake.clock.clone(), ScanOptions::default());
        lake.session.register_table("t", Arc::new(table.expect("a table"))).expect("registered");
        assert_eq!(
            lake.rows("SELECT v, day FROM t WHERE day > '2023-12-31'").await.expect("rows"),
            ["1|2024-01-01", "2|2024-01-01"]
        );
        assert!(lake.rows("SELECT v FROM t WHERE day = '2024-02-01'").await.expect("rows").is_empty());
    }
    let missing = format!("CREATE EXTERNAL TABLE t (v int) {JSON} LOCATION '{}/nowhere'", root.display());
    let lake = Lake::new();
    let table = FileTable::new(parsed(&missing), Arc::new(LocalFiles), lake.clock.clone(), ScanOptions::default());
    lake.session.register_table("t", Arc::new(table.expect("a table"))).expect("registered");
    assert!(lake.rows("SELECT v FROM t").await.expect("a missing directory is empty").is_empty());
}

#[tokio::test]
async fn locations_that_are_none() {
    let wrong = |text: &str| Location::parse(text).expect_err("an error").to_string();
    assert_eq!(wrong("gs://b/x"), "location 'gs://b/x': only s3://bucket/prefix/ and directories are read");
    assert_eq!(wrong("s3:///x"), "location 's3:///x': there is no bucket: write s3://bucket/prefix/");
    assert_eq!(
        wrong("lake/t"),
        "location 'lake/t': a directory is written with its whole path, from the root: /data/meters or file:///data/meters"
    );
    assert!(wrong("s3://b/x//y").contains("it is no path of an object store"));
    assert!(wrong("/a/../b").contains("it is no path of an object store"));
    for (text, shown) in
        [("s3://b", "s3://b/"), ("s3a://b/x/", "s3://b/x"), ("file:/a/b/", "/a/b"), ("file://localhost/a", "/a")]
    {
        assert_eq!(Location::parse(text).expect("a location").to_string(), shown);
    }
    let mut table = parsed(&format!("CREATE EXTERNAL TABLE t (v int) {JSON} LOCATION './lake/t'"));
    table.rebase(std::path::Path::new("/data"));
    assert_eq!(table.location, "/data/lake/t");
    for whole in ["file:/a/b", "file:///a/b", "/a/b", "s3://b/t"] {
        let mut table = parsed(&format!("CREATE EXTERNAL TABLE t (v int) {JSON} LOCATION '{whole}'"));
        table.rebase(std::path::Path::new("/data"));
        assert_eq!(table.location, whole);
    }
    let Ok(Some(Statement::CreateTable { table, .. })) =
        Statement::parse(&format!("CREATE EXTERNAL TABLE t (v int) {JSON} LOCATION 's3://b/t'"))
    else {
        panic!("a table")
    };
    let lake = Lake::new();
    let local =
        FileTable::new(*table, Arc::new(LocalFiles), lake.clock.clone(), ScanOptions::default()).expect("a table");
    lake.session.register_table("t", Arc::new(local)).expect("registered");
    assert_eq!(
        lake.refused("SELECT * FROM t").await,
        "s3://b/t cannot be opened: only directories are read here, no S3"
    );
}
