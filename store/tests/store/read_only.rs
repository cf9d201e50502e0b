//! A store that is read beside the process that writes it.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
};

use hurtig_state::ManualClock;
use hurtig_store::{Error, Measure, MeasureValue, NewTable, Queries, Record, Store, StoreOptions};

const NOW: i64 = 1_700_000_000_000;

fn options(dir: &Path) -> StoreOptions {
    StoreOptions::new(dir, Arc::new(ManualClock::new(NOW)))
}

fn reading(n: u64) -> Record {
    Record {
        dimensions: [("meter".into(), format!("m-{}", n % 50).into())].into_iter().collect(),
        measure_name: "kw".into(),
        measure: Measure::Single(MeasureValue::Double(n as f64)),
        time: (NOW - 3_600_000) * 1_000_000 + n as i64,
        version: 1,
    }
}

/// How many rows a reader sees now, how many different ones, and how many of the first `n`.
async fn seen(dir: &Path, n: u64) -> [u64; 3] {
    let store = Store::open_read_only(options(dir)).await.expect("a store to read");
    let queries = Queries::new(&store, Default::default()).expect("queries");
    let sql = format!(
        "SELECT count(*), count(DISTINCT time), count(CASE WHEN measure_value::double < {n} THEN 1 END) \
         FROM meters.readings"
    );
    let rows = queries.execute(&sql).await.expect("a query").collect().await.expect("rows");
    let row = serde_json::json!(hurtig_timestream_sql::datum::rows(&rows[0]).expect("a row")[0]);
    [0, 1, 2].map(|at| row["Data"][at]["ScalarValue"].as_str().expect("a value").parse().expect("a count"))
}

#[test]
fn a_reader_sees_what_was_acknowledged_while_it_is_written_flushed_and_merged() {
    // What others let fail must not fail here.
    let _failpoints = fail::FailScenario::setup();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let dir = tempfile::tempdir().expect("a directory");
        let store = Store::open(options(dir.path())).await.expect("a store");
        store.create_database("meters", None).expect("a database");
        store.create_table("meters", "readings", NewTable::default()).expect("a table");
        let (acknowledged, is_over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let writing = tokio::spawn({
            let (store, acknowledged, is_over) = (store.clone(), acknowledged.clone(), is_over.clone());
            async move {
                let mut n = 0;
                while !is_over.load(SeqCst) {
                    let records: Vec<_> = (n..n + 40).map(reading).collect();
                    n += 40;
                    let outcome = store.write("meters", "readings", &records).await.expect("written");
                    assert_eq!(outcome.taken(), 40);
                    acknowledged.store(n, SeqCst);
                    if n % 400 == 0 {
                        store.flush().await.expect("flushed");
                    }
                    if n % 4_000 == 0 {
                        store.maintain().await.expect("merged");
                    }
                }
            }
        });
        let mut greatest = 0;
        while greatest < 6_000 {
            let before = acknowledged.load(SeqCst);
            if before == greatest {
                tokio::task::yield_now().await;
                continue;
            }
            let [rows, different, of_those] = seen(dir.path(), before).await;
            assert_eq!(of_those, before, "of those that were acknowledged before");
            // Of what is being written some may be there already.
            assert!(rows == different && rows <= acknowledged.load(SeqCst) + 40, "{rows} rows, {different} different");
            greatest = before;
        }
        is_over.store(true, SeqCst);
        writing.await.expect("it wrote");
        drop(store);
        let all = acknowledged.load(SeqCst);
        assert_eq!(seen(dir.path(), all).await, [all; 3]);
    });
}

#[test]
fn nothing_can_be_written_into_it() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let dir = tempfile::tempdir().expect("a directory");
        let store = Store::open(options(dir.path())).await.expect("a store");
        store.create_database("meters", None).expect("a database");
        store.create_table("meters", "readings", NewTable::default()).expect("a table");
        let reader = Store::open_read_only(options(dir.path())).await.expect("beside it");
        assert!(matches!(reader.write("meters", "readings", &[reading(1)]).await, Err(Error::ReadOnly)));
        assert!(matches!(reader.create_database("other", None), Err(Error::ReadOnly)));
        assert!(matches!(reader.flush().await, Err(Error::ReadOnly)));
        assert!(matches!(reader.maintain().await, Err(Error::ReadOnly)));
        assert!(matches!(Store::open(options(dir.path())).await, Err(Error::InUse { .. })), "the writer has the lock");
    });
}

#[test]
fn reading_makes_no_directory_and_says_where_files_should_be() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let _failpoints = fail::FailScenario::setup();
        let dir = tempfile::tempdir().expect("a directory");
        let elsewhere = tempfile::tempdir().expect("another");
        let mut chosen = options(dir.path());
        chosen.magnetic = Some(hurtig_store::Storage::directory(elsewhere.path()).expect("a place"));
        let store = Store::open(chosen.clone()).await.expect("a store");
        store.create_database("meters", None).expect("a database");
        store.create_table("meters", "readings", NewTable::default()).expect("a table");
        store.write("meters", "readings", &[reading(1)]).await.expect("written");
        // As long as there is no file, it does not matter where they would be.
        assert_eq!(seen(dir.path(), 2).await, [1; 3]);
        store.flush().await.expect("flushed");
        let refused = Store::open_read_only(options(dir.path())).await.expect_err("the files are elsewhere");
        assert!(matches!(&refused, Error::Missing { .. }) && refused.to_string().contains("--magnetic"), "{refused}");
        assert!(!dir.path().join("magnetic").exists());
        assert!(Store::open_read_only(chosen).await.is_ok());
    });
}
