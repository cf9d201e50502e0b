//! Files without the directory that knows them are nobody's to remove.

use std::sync::Arc;

use hurtig_state::ManualClock;
use hurtig_store::{Error, Measure, MeasureValue, NewTable, Record, Storage, Store, StoreOptions};

const NOW_MS: i64 = 1_700_000_000_000;

fn reading() -> Record {
    Record {
        dimensions: [("meter".into(), "m-1".into())].into_iter().collect(),
        measure_name: "kw".into(),
        measure: Measure::Single(MeasureValue::Double(1.5)),
        time: NOW_MS * 1_000_000,
        version: 1,
    }
}

/// With a reading, which is in its log.
async fn store(options: StoreOptions) -> Store {
    let store = Store::open(options).await.expect("a store");
    store.create_database("meters", None).expect("a database");
    store.create_table("meters", "readings", NewTable::default()).expect("a table");
    store.write("meters", "readings", &[reading()]).await.expect("written");
    store
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_new_store_leaves_the_files_of_another_alone() {
    let _failpoints = fail::FailScenario::setup();
    let dir = tempfile::tempdir().expect("a directory");
    let options = || StoreOptions::new(dir.path(), Arc::new(ManualClock::new(NOW_MS)));
    let store = store(options()).await;
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

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_place_is_one_store_s() {
    let _failpoints = fail::FailScenario::setup();
    let (one, other, place) = (tempfile::tempdir().expect("a"), tempfile::tempdir().expect("b"), tempfile::tempdir());
    let place = place.expect("a place");
    let options = |dir: &tempfile::TempDir| {
        let mut options = StoreOptions::new(dir.path(), Arc::new(ManualClock::new(NOW_MS)));
        options.magnetic = Some(Storage::directory(place.path()).expect("a place"));
        options
    };
    let first = store(options(&one)).await;
    first.flush().await.expect("flushed");
    drop(first);
    // A store with a table, whose readings are all in its log: it knows of no file, but it is not new either.
    let second = store(StoreOptions::new(other.path(), Arc::new(ManualClock::new(NOW_MS)))).await;
    drop(second);
    let refused = Store::open(options(&other)).await.expect_err("the place is taken");
    assert!(matches!(&refused, Error::Foreign { .. }), "{refused}");
    let first = Store::open(options(&one)).await.expect("its own place");
    assert_eq!(first.table("meters", "readings").expect("a table").files().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_a_kill_has_left_half_written_is_removed_and_nothing_else() {
    let _failpoints = fail::FailScenario::setup();
    let dir = tempfile::tempdir().expect("a directory");
    let options = || StoreOptions::new(dir.path(), Arc::new(ManualClock::new(NOW_MS)));
    let first = store(options()).await;
    first.flush().await.expect("flushed");
    let whole = first.table("meters", "readings").expect("a table").files()[0].meta().name.clone();
    drop(first);
    let whole = dir.path().join("magnetic").join(whole);
    assert!(whole.is_file());
    let day = whole.parent().expect("its day's directory");
    // As object_store calls a file until it is whole.
    let half = day.join("00000000000000000077.parquet#1");
    let notes = day.join("notes.txt#1");
    for file in [&half, &notes] {
        std::fs::write(file, "half of it").expect("written");
    }
    let again = Store::open(options()).await.expect("a store");
    assert!(!half.exists() && notes.exists());
    assert_eq!(again.table("meters", "readings").expect("a table").files().len(), 1);
}
