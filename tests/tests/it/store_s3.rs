//! The store with its files in S3, which `scripts/servers.sh` starts: killed while it writes them, opened again, merged,
//! expired. What was acknowledged is there once, at every step. And UNLOAD into S3.

use std::{collections::HashSet, path::Path, sync::Arc};

use aws_sdk_timestreamwrite::types::{Dimension, MeasureValueType, Record};
use hurtig_engine::time::{Clock, SystemClock};
use hurtig_state::ManualClock;
use hurtig_store::{Measure, MeasureValue, Queries, Storage, Store, StoreOptions};
use hurtig_tests::servers::{Server, left_out};
use hurtig_timestream_sql::datum::{self, Datum};

use crate::{
    s3::location,
    store_wire::{Served, run_script},
    support::directory,
};

const HOUR_MS: i64 = 3_600_000;
const DAYS: i64 = 7;

fn reading(n: usize, start_ms: i64) -> Record {
    let dimension = Dimension::builder().name("meter").value(format!("m-{}", n % 70)).build().expect("all");
    Record::builder()
        .dimensions(dimension)
        .measure_name("n")
        .measure_value(n.to_string())
        .measure_value_type(MeasureValueType::Bigint)
        // Of two days, so that there are files of several, and most are late.
        .time((start_ms - (n as i64 * 7_919) % (48 * HOUR_MS)).to_string())
        .build()
}

/// The numbers of all readings, each of which is there once.
async fn numbers(store: &Store) -> HashSet<usize> {
    let queries = Queries::new(store, Default::default()).expect("queries");
    let rows = queries.execute("SELECT measure_value::bigint FROM meters.readings").await.expect("a query");
    let mut numbers = HashSet::new();
    for batch in rows.collect().await.expect("rows") {
        for row in datum::rows(&batch).expect("rows") {
            let Some(Datum::Scalar(number)) = row.data.first() else { panic!("{row:?}") };
            assert!(numbers.insert(number.parse().expect("a number")), "{number} is there twice");
        }
    }
    numbers
}

async fn open(dir: &Path, place: &str, clock: Arc<dyn Clock>) -> Store {
    let mut options = StoreOptions::new(dir, clock);
    options.magnetic = Some(Storage::open(place).expect("a place"));
    Store::open(options).await.expect("it opens")
}

#[test]
fn unload_into_s3() {
    let Some(s3) = location() else { return };
    if left_out(&[Server::Python]) {
        return;
    }
    let (dir, place) = (directory(), format!("{s3}-unload"));
    let served = Served::start(dir.path(), &["--unload-to", &place]);
    run_script("unload.py", &[&served.url, &place]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_in_s3_survive_kill_9_and_age() {
    let Some(s3) = location() else { return };
    let (dir, place, start_ms) = (directory(), format!("{s3}-store"), SystemClock.now_ms());
    let days = DAYS.to_string();
    let server = [
        "--table",
        "meters/readings",
        "--magnetic-days",
        &days,
        "--magnetic-writes",
        "--memory=16KiB",
        "--maintenance-interval",
        "50ms",
        "--magnetic",
        &place,
    ];
    // Killed in the middle of a request each time, and most times while files are on their way.
    let mut acknowledged = HashSet::new();
    let mut unanswered = HashSet::new();
    for round in 0..4 {
        let served = Served::start(dir.path(), &server);
        let client = served.client("any", "any");
        let mut next = round * 10_000;
        let write = |from: usize| {
            let readings = (from..from + 100).map(|n| reading(n, start_ms)).collect();
            client.write_records().database_name("meters").table_name("readings").set_records(Some(readings)).send()
        };
        for _ in 0..30 {
            let done = write(next).await.expect("acknowledged");
            assert_eq!(done.records_ingested().map(|r| r.total()), Some(100));
            acknowledged.extend(next..next + 100);
            next += 100;
        }
        let last = tokio::spawn(write(next));
        unanswered.extend(next..next + 100);
        drop(served);
        // Whether it was in time does not matter.
        drop(last.await);
    }
    assert!(!dir.path().join("magnetic").exists(), "files lie in the store's directory");

    let clock = Arc::new(ManualClock::new(SystemClock.now_ms()));
    let objects = Storage::open(&place).expect("a place");
    let files =
        async || objects.list("").await.expect("a list").iter().filter(|name| name.ends_with(".parquet")).count();
    let all_there = |found: &HashSet<usize>| {
        assert!(acknowledged.is_subset(found), "{} are missing", acknowledged.difference(found).count());
        let more: Vec<_> = found.difference(&acknowledged).filter(|n| !unanswered.contains(n)).collect();
        assert!(more.is_empty(), "never written: {more:?}");
    };
    let store = open(dir.path(), &place, clock.clone()).await;
    let mut found = numbers(&store).await;
    all_there(&found);
    assert!(files().await > 0, "nothing was in S3 when it was killed");
    store.flush().await.expect("flushed");
    assert_eq!(numbers(&store).await, found);
    // Five files more of one day.
    for n in 1_000_000..1_000_005 {
        let late = hurtig_store::Record {
            dimensions: [("meter".into(), "m-late".into())].into_iter().collect(),
            measure_name: "n".into(),
            measure: Measure::Single(MeasureValue::Bigint(n)),
            time: (start_ms - 3 * HOUR_MS) * 1_000_000 + n,
            version: 1,
        };
        let outcome = store.write("meters", "readings", &[late]).await.expect("written");
        assert_eq!((outcome.taken(), outcome.rejected), (1, vec![]));
        found.insert(usize::try_from(n).expect("a number"));
        store.flush().await.expect("flushed");
    }

    // Merged: fewer files, the same readings.
    let before = files().await;
    store.merge().await.expect("merged");
    assert_eq!(numbers(&store).await, found);
    // What is retired stays for a while, for those who read beside.
    clock.advance(10 * 60_000);
    store.sweep().await.expect("swept");
    assert!(files().await < before, "{before} files were not merged");
    assert_eq!(numbers(&store).await, found);
    drop(store);
    let store = open(dir.path(), &place, clock.clone()).await;
    assert_eq!(numbers(&store).await, found);

    // Expired: first nothing, then all of it.
    clock.advance(HOUR_MS);
    store.drop_expired().await.expect("nothing to drop");
    assert_eq!(numbers(&store).await, found);
    clock.advance((DAYS + 1) * 24 * HOUR_MS);
    store.drop_expired().await.expect("dropped");
    assert_eq!(numbers(&store).await, HashSet::new());
    clock.advance(10 * 60_000);
    store.sweep().await.expect("swept");
    assert_eq!(files().await, 0);
}
