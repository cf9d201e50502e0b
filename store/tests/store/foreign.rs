//! Files without the directory that knows them are nobody's to remove.

use std::sync::Arc;

use hurtig_state::ManualClock;
use hurtig_store::{Error, Measure, MeasureValue, NewTable, Record, Store, StoreOptions};

const NOW_MS: i64 = 1_700_000_000_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_new_store_leaves_the_files_of_another_alone() {
    let _failpoints = fail::FailScenario::setup();
    let dir = tempfile::tempdir().expect("a directory");
    let options = || StoreOptions::new(dir.path(), Arc::new(ManualClock::new(NOW_MS)));
    let store = Store::open(options()).await.expect("a store");
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
    store.flush().await.expect("flushed");
    drop(store);

    let manifest = dir.path().join("manifest");
    let kept = std::fs::read(&manifest).expect("a manifest");
    std::fs::remove_file(&manifest).expect("lost");
    for _ in 0..2 {
        let refused = Store::open(options()).await.expect_err("it knows nothing of the files");
        assert!(matches!(&refused, Error::Foreign { .. }), "{refused}");
    }
    std::fs::write(&manifest, kept).expect("found again");
    let store = Store::open(options()).await.expect("a store");
    assert_eq!(store.table("meters", "readings").expect("a table").files().len(), 1);
}
