//! When what makes files fails, it is told as that, and nothing is lost.

use std::sync::Arc;

use fail::FailScenario;
use hurtig_state::ManualClock;
use hurtig_store::{Error, Measure, MeasureValue, NewTable, Queries, Record, Store, StoreOptions};

const NOW_MS: i64 = 1_700_000_000_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_panic_while_a_file_is_made_is_told_as_one() {
    let failpoints = FailScenario::setup();
    let dir = tempfile::tempdir().expect("a directory");
    let store = Store::open(StoreOptions::new(dir.path(), Arc::new(ManualClock::new(NOW_MS)))).await.expect("a store");
    store.create_database("meters", None).expect("a database");
    store.create_table("meters", "readings", NewTable::default()).expect("a table");
    let reading = Record {
        dimensions: [("meter".into(), "m-1".into())].into_iter().collect(),
        measure_name: "kw".into(),
        measure: Measure::Single(MeasureValue::Double(1.5)),
        time: NOW_MS * 1_000_000,
        version: 1,
    };
    store.write("meters", "readings", &[reading]).await.expect("written");

    fail::cfg("store-encode", "panic(out of paper)").expect("a failpoint");
    let error = store.flush().await.expect_err("it panics");
    assert!(matches!(error, Error::Encoder(_)), "{error:?}");
    assert!(error.to_string().contains("out of paper"), "{error}");
    fail::remove("store-encode");

    let queries = Queries::new(&store, Default::default()).expect("queries");
    for _ in 0..2 {
        let rows = queries.execute("SELECT measure_value::double FROM meters.readings").await.expect("a query");
        assert_eq!(rows.collect().await.expect("rows").iter().map(|b| b.num_rows()).sum::<usize>(), 1);
        store.flush().await.expect("flushed at last");
    }
    failpoints.teardown();
}
