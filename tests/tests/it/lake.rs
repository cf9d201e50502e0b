//! The lake as others find it: read by others' programs, asked over PostgreSQL's wire, and right after kills.

use std::path::Path;

use hurtig_tests::{
    lake::{Settings, run as disturb},
    program::{command, query, run_well},
    servers::{Server, left_out, readers},
};
use serde_json::{Value, json};

use crate::{
    running::Running,
    support::{directory, words},
};

/// A small fleet with all faults, in the lake of a data directory: some forty checkpoints.
fn fleet(data: &Path) {
    run_well(words(&format!(
        "run smart-meters --meters 200 --readings-per-meter 300 --rate 60000 --bounded --checkpoint-interval 50ms --late-share 0.05 \
         --late-by 3d --json --rest-port off --view-port off --compact-every 200ms --data-dir {}",
        data.display()
    )))
    .expect("it ends");
}

/// What a script in Python says, as JSON.
fn says(script: &str, arguments: &[&str]) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/lake").join(script);
    let said = readers().expect("Python").arg(&script).args(arguments).output().expect("it runs");
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    serde_json::from_slice(&said.stdout).expect("JSON")
}

#[test]
fn others_read_the_same() {
    if left_out(&[Server::Readers]) {
        return;
    }
    let dir = directory();
    let data = dir.path().join("data");
    fleet(&data);
    let ours = |sql: &str| query(&data, sql).expect("an answer").join(" ");
    let of_readings = "SELECT count(*), round(sum(value), 3), count(DISTINCT meter_id) FROM readings";
    let compact =
        |more: &str| run_well(words(&format!("lake compact --data-dir {} {more}", data.display()))).expect("compacted");
    // As the job left it, compacted in part; and compacted, with the old files gone.
    for compacted in [false, true] {
        if compacted {
            let said = compact("--min-files 2 --vacuum-after 0s").out;
            assert!(said.contains("readings: ") && said.contains("repeats"), "{said}");
        }
        let said = says("readers.py", &[&data.join("lake").display().to_string()]);
        let (first, others) = (&said["deltalake"], ["pyarrow", "pyarrow, files", "duckdb"]);
        others.iter().for_each(|other| assert_eq!(said[other], *first, "{other}: {said}"));
        let text = format!("{},{},{}", first["rows"], first["sum"], first["meters"]);
        assert_eq!(ours(of_readings), text, "{said}");
        assert_eq!(
            ours("SELECT count(*) FROM readings WHERE year = 2024 AND month = 1"),
            said["duckdb, pruned"].to_string()
        );
        assert_eq!(said["partitions"], json!(["year", "month"]));
        let lines = crate::support::lines_below(&data.join("lake/raw")).len();
        assert_eq!(said["duckdb, raw"], json!(lines));
        let operations = said["operations"].as_array().expect("a list");
        assert!(operations.contains(&json!("WRITE")), "{operations:?}");
        assert!(!compacted || operations.contains(&json!("OPTIMIZE")), "{operations:?}");
    }
    let partitions = ours("SELECT table_name, sum(files), sum(rows) > 0 FROM lake_partitions GROUP BY 1 ORDER BY 1");
    assert!(partitions.starts_with("aggregates_1h,") && partitions.contains(" readings,"), "{partitions}");
    let listed =
        run_well(words(&format!("lake partitions readings --data-dir {}", data.display()))).expect("listed").out;
    assert!(listed.contains("year=2024/month=01"), "{listed}");
    let repeats = "SELECT count(*) - count(DISTINCT meter_id || measure || time) FROM readings";
    assert_eq!(ours(repeats), "0", "repeats are gone");
    let nothing = hurtig_tests::program::run(words("lake compact --data-dir /nonexistent")).expect("it runs");
    assert!(nothing.code == Some(2) && nothing.err.contains("there is no Delta table below"), "{}", nothing.err);
}

#[test]
fn the_raw_zone_as_firehose_s_configuration_says() {
    let dir = directory();
    let (data, config) = (dir.path().join("data"), dir.path().join("firehose.json"));
    let job = |config: &Path| {
        let (data, config) = (data.display(), config.display());
        words(&format!(
            "run smart-meters --meters 50 --readings-per-meter 200 --bounded --json --rest-port off --view-port off --firehose {config} \
             --data-dir {data}"
        ))
    };
    std::fs::write(
        &config,
        r#"{"Prefix": "readings/!{partitionKeyFromQuery:region}/!{timestamp:yyyy-MM-dd}/",
            "ErrorOutputPrefix": "errors/!{firehose:error-output-type}/",
            "CustomTimeZone": "Europe/London",
            "DynamicPartitioningConfiguration": {"Enabled": true},
            "ProcessingConfiguration": {"Enabled": true, "Processors": [
              {"Type": "MetadataExtraction", "Parameters": [
                {"ParameterName": "JsonParsingEngine", "ParameterValue": "JQ-1.6"},
                {"ParameterName": "MetadataExtractionQuery", "ParameterValue": "{region: .region}"}]},
              {"Type": "AppendDelimiterToRecord"}]},
            "Hurtig": {"Timestamp": "Event"}}"#,
    )
    .expect("written");
    let said = run_well(job(&config)).expect("it ends");
    let books = said.event("finished").expect("a summary")["books"].clone();
    let written =
        books.as_array().expect("books").iter().find(|b| b["uid"] == "raw-lake").expect("its books")["written"].clone();
    let mut lines = 0;
    for file in crate::support::files_below(&data.join("lake/raw")) {
        let place =
            file.parent().expect("a directory").strip_prefix(data.join("lake/raw")).expect("below it").to_owned();
        for line in std::fs::read_to_string(&file).expect("lines").lines() {
            let message: Value = serde_json::from_str(line).expect("a message");
            let time = jiff::Timestamp::from_millisecond(message["time"].as_i64().expect("a time")).expect("a time");
            let day = time.in_tz("Europe/London").expect("a zone").date();
            let expected = format!("readings/{}/{day}", message["region"].as_str().expect("a region"));
            assert_eq!(place, Path::new(&expected), "{line}");
            lines += 1;
        }
    }
    assert_eq!(written, json!(lines));
    let wrong = dir.path().join("wrong.json");
    std::fs::write(&wrong, r#"{"Prefix": "a/!{partitionKeyFromLambda:k}/", "ErrorOutputPrefix": "b/"}"#)
        .expect("written");
    let said = hurtig_tests::program::run(job(&wrong)).expect("it runs");
    assert!(said.code == Some(2) && said.err.lines().count() == 1 && said.err.contains("--firehose"), "{}", said.err);
}

#[test]
fn bi_tools_ask_over_postgresql_s_wire() {
    if left_out(&[Server::Readers]) {
        return;
    }
    let dir = directory();
    let data = dir.path().join("data");
    fleet(&data);
    run_well(words(&format!("lake ddl --create --data-dir {}", data.display()))).expect("created");
    let mut server = command(words(&format!("query --serve 0 --data-dir {}", data.display()))).expect("the binary");
    let mut server = Running::start(&mut server);
    let line = server.until_said("answering PostgreSQL");
    let port = line.rsplit_once("-p ").and_then(|(_, rest)| rest.split(' ').next()).expect("a port");
    let said = says("psql.py", &[port]);
    let count: u64 = query(&data, "SELECT count(*) FROM readings").expect("an answer")[0].parse().expect("a number");
    assert_eq!(
        (&said["count"], &said["created"], &said["one"]),
        (&json!(count), &json!(count), &json!([[1]])),
        "{said}"
    );
    assert_eq!(
        said["bound"].to_string(),
        query(&data, "SELECT count(*) FROM readings WHERE month = 1").expect("an answer")[0]
    );
    assert_eq!(said["typed"], json!(["str", "datetime", "float"]));
    assert!(
        said["tables"].as_array().is_some_and(|t| t.contains(&json!("readings")) && t.contains(&json!("timeseries")))
    );
    assert_eq!(said["classes"].as_array().map(Vec::len), Some(2), "the job's own and the created one: {said}");
    assert!(said["no such table"][1].as_str().is_some_and(|line| line.contains("nothing")), "{said}");
    let refused = said["refused"].as_array().expect("a list");
    assert!(refused.len() == 8 && refused.iter().all(|code| code == "25006"), "{said}");
    assert!(said["other files"].is_string(), "{said}");
}

#[test]
fn a_million_readings_through_twenty_kills() {
    let seed = std::env::var("HURTIG_CHAOS_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(20_261_130);
    let settings = Settings {
        readings: 1_000_000,
        meters: 2_000,
        kills: 20,
        rate: 30_000,
        interval_ms: 300,
        file_kib: 1_024,
        duckdb: None,
        seed,
        dir: None,
    };
    let figures = disturb(&settings, |line| println!("{line}")).unwrap_or_else(|e| panic!("seed {seed}: {e:#}"));
    println!("{figures}");
}
