//! Timestream's SQL over the store: what it answers, and what it reads for that.

use std::sync::Arc;

use arrow::util::pretty::pretty_format_batches;
use datafusion::physical_plan::displayable;
use fail::FailScenario;
use hurtig_state::ManualClock;
use hurtig_store::{Measure, MeasureValue, NewTable, Queries, Record, Retention, Store, StoreOptions};
use hurtig_timestream_sql::EngineOptions;
use tempfile::TempDir;

const NOW_MS: i64 = 1_700_000_000_000;
const MINUTE: i64 = 60_000_000_000;

fn reading(meter: &str, region: &str, minutes_ago: i64, kw: f64) -> Record {
    Record {
        dimensions: [("meter".into(), meter.into()), ("region".into(), region.into())].into_iter().collect(),
        measure_name: "kw".into(),
        measure: Measure::Single(MeasureValue::Double(kw)),
        time: NOW_MS * 1_000_000 - minutes_ago * MINUTE,
        version: 1,
    }
}

/// Three meters, of which one has been silent for an hour. Half of it is in a file, half in memory.
async fn store() -> (TempDir, Store, Queries) {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Store::open(StoreOptions::new(dir.path(), Arc::new(ManualClock::new(NOW_MS)))).await.expect("a store");
    store.create_database("meters", None).expect("a database");
    let retention = Retention { magnetic_writes: true, ..Retention::default() };
    store.create_table("meters", "readings", NewTable { retention, ..NewTable::default() }).expect("a table");
    let write = async |readings: &[Record]| {
        let outcome = store.write("meters", "readings", readings).await.expect("written");
        assert_eq!((outcome.taken(), outcome.rejected), (readings.len(), vec![]));
    };
    write(&[reading("m-1", "EAST", 90, 1.0), reading("m-2", "WEST", 80, 2.0), reading("m-3", "EAST", 70, 3.0)]).await;
    store.flush().await.expect("flushed");
    write(&[reading("m-1", "EAST", 5, 1.5), reading("m-2", "WEST", 4, 2.5)]).await;
    let queries = Queries::new(&store, EngineOptions::default()).expect("queries");
    (dir, store, queries)
}

async fn answer(queries: &Queries, sql: &str) -> String {
    let batches = queries.execute(sql).await.expect(sql).collect().await.expect(sql);
    pretty_format_batches(&batches).expect("a table").to_string()
}

async fn plan(queries: &Queries, sql: &str) -> String {
    let plan = queries.prepare(sql).await.expect(sql).physical_plan().await.expect(sql).expect("a plan");
    displayable(plan.as_ref()).indent(false).to_string()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

#[test]
fn the_last_value_of_each_meter_reads_no_file() {
    let _failpoints = FailScenario::setup();
    runtime().block_on(async {
        let (_dir, store, queries) = store().await;
        let last = "SELECT meter, max_by(measure_value::double, time) AS kw FROM meters.readings \
                    WHERE region = 'EAST' GROUP BY meter ORDER BY meter";
        let expected =
            "+-------+-----+\n| meter | kw  |\n+-------+-----+\n| m-1   | 1.5 |\n| m-3   | 3.0 |\n+-------+-----+";
        assert_eq!(answer(&queries, last).await, expected);
        assert!(!plan(&queries, last).await.contains("DataSourceExec"), "{}", plan(&queries, last).await);
        // The same when it is in a file altogether.
        store.flush().await.expect("flushed");
        assert_eq!(answer(&queries, last).await, expected);

        let silent = "SELECT meter FROM meters.readings GROUP BY meter HAVING max(time) < ago(1h)";
        assert_eq!(answer(&queries, silent).await, "+-------+\n| meter |\n+-------+\n| m-3   |\n+-------+");
        assert!(!plan(&queries, silent).await.contains("DataSourceExec"));

        // What asks for older points reads them.
        let before = "SELECT max_by(measure_value::double, time) AS kw FROM meters.readings WHERE time < ago(1h) \
                      GROUP BY meter ORDER BY 1";
        let expected = "+-----+\n| kw  |\n+-----+\n| 1.0 |\n| 2.0 |\n| 3.0 |\n+-----+";
        assert_eq!(answer(&queries, before).await, expected);
        assert!(plan(&queries, before).await.contains("DataSourceExec"));
    });
}

#[test]
fn times_and_dimensions_are_found_before_anything_is_read() {
    let _failpoints = FailScenario::setup();
    runtime().block_on(async {
        let (_dir, _store, queries) = store().await;
        let recent = "SELECT meter, bin(time, 1h) AS hour, sum(measure_value::double) AS kw FROM meters.readings \
                      WHERE time > ago(10m) GROUP BY meter, bin(time, 1h) ORDER BY meter";
        assert!(!plan(&queries, recent).await.contains("DataSourceExec"), "the file is older");
        assert!(answer(&queries, recent).await.contains("| m-2   | 2023-11-14T22:00:00 | 2.5 |"));
        let nobody = "SELECT count(*) AS n FROM meters.readings WHERE meter = 'm-9'";
        assert_eq!(answer(&queries, nobody).await, "+---+\n| n |\n+---+\n| 0 |\n+---+");
        assert!(!plan(&queries, nobody).await.contains("DataSourceExec"));
        let one = "SELECT count(*) AS n FROM meters.readings WHERE meter LIKE '%1' AND time BETWEEN ago(2h) AND now()";
        assert_eq!(answer(&queries, one).await, "+---+\n| n |\n+---+\n| 2 |\n+---+");
    });
}

#[test]
fn what_there_is_can_be_asked() {
    let _failpoints = FailScenario::setup();
    runtime().block_on(async {
        let (_dir, _store, queries) = store().await;
        assert!(answer(&queries, "SHOW DATABASES").await.contains("meters"));
        assert!(answer(&queries, "SHOW TABLES FROM meters").await.contains("readings"));
        let measures = answer(&queries, "SHOW MEASURES FROM meters.readings").await;
        assert!(measures.contains("kw") && measures.contains("double") && measures.contains("region"), "{measures}");
        let columns = answer(&queries, "DESCRIBE meters.readings").await;
        for words in ["DIMENSION", "MEASURE_NAME", "TIMESTAMP", "MEASURE_VALUE", "measure_value::double"] {
            assert!(columns.contains(words), "{columns}");
        }
        let wrong = queries.execute("SELECT * FROM meters.nothing").await.expect_err("no such table").to_string();
        assert!(wrong.contains("nothing") && !wrong.contains('\n'), "{wrong}");
    });
}

#[test]
fn a_last_value_whose_file_was_dropped_does_not_come_back_with_a_longer_retention() {
    let _failpoints = FailScenario::setup();
    runtime().block_on(async {
        let (_dir, store, queries) = store().await;
        let days = |days| Retention { memory_hours: 1, magnetic_days: days, magnetic_writes: true };
        let keep = |retention| {
            store.update_table("meters", "readings", |meta| meta.retention = retention).expect("updated");
        };
        keep(days(10));
        let two_days = 2 * 24 * 60;
        let old = [reading("m-1", "EAST", two_days, 9.0), reading("m-9", "EAST", two_days, 9.0)];
        assert_eq!(store.write("meters", "readings", &old).await.expect("written").taken(), 2);
        // In a file of their own day, and known.
        store.flush().await.expect("flushed");
        let last = "SELECT meter, max(time) AS last, max_by(measure_value::double, time) AS kw FROM meters.readings \
                    GROUP BY meter ORDER BY meter";
        assert!(answer(&queries, last).await.contains("m-9"));
        keep(days(1));
        store.maintain().await.expect("dropped");
        keep(days(10));
        let scanned = answer(&queries, "SELECT meter FROM meters.readings WHERE measure_value::double = 9.0").await;
        assert!(!scanned.contains("m-"), "{scanned}");
        let known = answer(&queries, last).await;
        assert!(!known.contains("m-9"), "{known}");
        assert!(known.contains("| m-1   | 2023-11-14T22:08:20 | 1.5 |"), "{known}");
    });
}
