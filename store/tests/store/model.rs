//! The store against a map: random writes with versions, late and repeated; files written, merged and expired at any time,
//! failures and crashes in between. What is read is what the map says, and no acknowledged record is lost.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use arrow::array::{
    Array, AsArray, RecordBatch,
    types::{Float64Type, Int64Type, TimestampNanosecondType},
};
use datafusion::prelude::{SessionConfig, SessionContext};
use fail::FailScenario;
use hurtig_state::{Clock, ManualClock};
use hurtig_store::{LastPoints, Measure, MeasureValue, NewTable, Record, Retention, Store, StoreOptions, StoreTable};
use proptest::prelude::*;
use tempfile::TempDir;

const HOUR: i64 = 3_600_000_000_000;
const RETENTION: Retention = Retention { memory_hours: 6, magnetic_days: 3, magnetic_writes: true };
const START_MS: i64 = 1_700_000_000_000;

#[derive(Debug, Clone)]
enum Step {
    Write(Vec<Reading>),
    Flush,
    FlushFails,
    Maintain,
    MergeFails,
    Hours(u8),
    Crash(Vec<u8>),
    Reopen,
}

/// A record to be.
#[derive(Debug, Clone)]
struct Reading {
    meter: u8,
    /// Two hours each before now; ahead of it when negative.
    ago: i8,
    version: u64,
    value: i8,
    kind: u8,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let reading = (0..5_u8, -1..40_i8, 1..4_u64, 0..3_i8, 0..3_u8)
        .prop_map(|(meter, ago, version, value, kind)| Reading { meter, ago, version, value, kind });
    let step = prop_oneof![
        8 => prop::collection::vec(reading, 1..60).prop_map(Step::Write),
        4 => Just(Step::Flush),
        1 => Just(Step::FlushFails),
        2 => Just(Step::Maintain),
        1 => Just(Step::MergeFails),
        1 => (1..10_u8).prop_map(Step::Hours),
        1 => prop::collection::vec(any::<u8>(), 0..40).prop_map(Step::Crash),
        1 => Just(Step::Reopen),
    ];
    prop::collection::vec(step, 1..40)
}

/// Meter, region, measure name, time.
type Key = (String, Option<String>, String, i64);
/// `measure_value::double`, `kw`, `state`.
type Values = (Option<f64>, Option<f64>, Option<String>);

#[derive(Default)]
struct Model(BTreeMap<Key, (u64, Values)>);

impl Model {
    /// Whether it is taken.
    fn put(&mut self, key: Key, version: u64, values: Values, now: i64) -> bool {
        let time = key.3;
        if time > now + HOUR / 4 || time < now - 3 * 24 * HOUR {
            return false;
        }
        match self.0.get(&key) {
            Some((old, _)) if *old > version => false,
            Some((old, there)) if *old == version => *there == values,
            _ => {
                self.0.insert(key, (version, values));
                true
            }
        }
    }

    fn kept(&self, now: i64) -> Vec<(Key, Values)> {
        let kept = self.0.iter().filter(|(key, _)| key.3 >= now - 3 * 24 * HOUR);
        kept.map(|(key, (_, values))| (key.clone(), values.clone())).collect()
    }
}

fn record(reading: &Reading, now: i64) -> (Record, Key, Values) {
    let meter = format!("meter-{}", reading.meter);
    let region = reading.meter.is_multiple_of(2).then(|| "a region with a long name".to_owned());
    // Whole two hours, so that readings meet.
    let time = now.div_euclid(2 * HOUR) * 2 * HOUR - i64::from(reading.ago) * 2 * HOUR;
    let value = f64::from(reading.value);
    let (name, measure, values): (_, _, Values) = match reading.kind {
        0 => ("kw", Measure::Single(MeasureValue::Double(value)), (Some(value), None, None)),
        1 => {
            let both =
                [("kw".into(), MeasureValue::Double(value)), ("state".into(), MeasureValue::Varchar("ok".into()))];
            ("readings", Measure::Multi(both.into_iter().collect()), (None, Some(value), Some("ok".to_owned())))
        }
        _ => {
            let one = [("state".into(), MeasureValue::Varchar(value.to_string().into()))];
            ("readings", Measure::Multi(one.into_iter().collect()), (None, None, Some(value.to_string())))
        }
    };
    let mut dimensions = vec![("meter".into(), meter.as_str().into())];
    dimensions.extend(region.iter().map(|r| ("region".into(), r.as_str().into())));
    let record = Record {
        dimensions: dimensions.into_iter().collect(),
        measure_name: name.into(),
        measure,
        time,
        version: reading.version,
    };
    (record, (meter, region, name.into(), time), values)
}

struct World {
    clock: Arc<ManualClock>,
    dir: TempDir,
    store: Store,
}

impl World {
    async fn new() -> Self {
        let (clock, dir) = (Arc::new(ManualClock::new(START_MS)), tempfile::tempdir().expect("a directory"));
        let store = open(dir.path(), &clock).await;
        store.create_database("meters", None).expect("a database");
        let new = NewTable { retention: RETENTION, ..NewTable::default() };
        store.create_table("meters", "readings", new).expect("a table");
        World { clock, dir, store }
    }

    fn now(&self) -> i64 {
        self.clock.now_ms() * 1_000_000
    }

    /// What a query gives.
    async fn query(&self, sql: &str) -> Vec<RecordBatch> {
        let table = StoreTable::new(&self.store, "meters", "readings").expect("a table");
        let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(2));
        context.add_optimizer_rule(Arc::new(LastPoints));
        context.register_table("readings", Arc::new(table)).expect("registered");
        context.sql(sql).await.expect(sql).collect().await.expect(sql)
    }

    async fn read(&self, sql: &str) -> Vec<(Key, Values)> {
        let mut all: Vec<_> = self.query(sql).await.iter().flat_map(rows).collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    }

    async fn reopen(self) -> Self {
        let World { clock, dir, store } = self;
        drop(store);
        let store = open(dir.path(), &clock).await;
        World { clock, dir, store }
    }

    /// The directory as it is this moment, with something torn behind the log.
    async fn crash(self, torn: &[u8]) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        copy(self.dir.path(), dir.path());
        let mut segments: Vec<_> =
            std::fs::read_dir(dir.path().join("log")).expect("a log").map(|e| e.expect("a segment").path()).collect();
        segments.sort();
        if let Some(last) = segments.last() {
            let mut bytes = std::fs::read(last).expect("a segment");
            bytes.extend_from_slice(torn);
            std::fs::write(last, bytes).expect("a segment");
        }
        let store = open(dir.path(), &self.clock).await;
        World { clock: self.clock, dir, store }
    }
}

async fn open(dir: &Path, clock: &Arc<ManualClock>) -> Store {
    let options = StoreOptions { file_rows: 60, ..StoreOptions::new(dir, clock.clone()) };
    Store::open(options).await.expect("a store")
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        let to = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            std::fs::create_dir(&to).expect("a directory");
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), &to).expect("a copy");
        }
    }
}

fn rows(batch: &RecordBatch) -> Vec<(Key, Values)> {
    let text = |name: &str, at: usize| {
        let column = batch.column_by_name(name)?.as_string_view();
        column.is_valid(at).then(|| column.value(at).to_owned())
    };
    let number = |name: &str, at: usize| {
        let column = batch.column_by_name(name)?.as_primitive::<Float64Type>();
        column.is_valid(at).then(|| column.value(at))
    };
    let times = batch.column_by_name("time").expect("times").as_primitive::<TimestampNanosecondType>();
    (0..batch.num_rows())
        .map(|at| {
            let key = (
                text("meter", at).expect("a meter"),
                text("region", at),
                text("measure_name", at).expect("a name"),
                times.value(at),
            );
            (key, (number("measure_value::double", at), number("kw", at), text("state", at)))
        })
        .collect()
}

async fn run(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let failpoints = FailScenario::setup();
    let (mut world, mut model) = (World::new().await, Model::default());
    for step in steps {
        match step {
            Step::Write(readings) => {
                let now = world.now();
                let (mut records, mut rejected) = (Vec::new(), Vec::new());
                for (index, reading) in readings.iter().enumerate() {
                    let (record, key, values) = record(reading, now);
                    if !model.put(key, record.version, values, now) {
                        rejected.push(index);
                    }
                    records.push(record);
                }
                let outcome = world.store.write("meters", "readings", &records).await.expect("written");
                prop_assert_eq!(outcome.taken() + outcome.rejected.len(), records.len());
                prop_assert_eq!(outcome.rejected.iter().map(|r| r.index).collect::<Vec<_>>(), rejected);
            }
            Step::Flush => world.store.flush().await.expect("flushed"),
            Step::FlushFails => {
                fail::cfg("store-flush", "return").expect("a failpoint");
                // There may have been nothing to write.
                let _ = world.store.flush().await;
                fail::remove("store-flush");
            }
            Step::Maintain => world.store.maintain().await.expect("maintained"),
            Step::MergeFails => {
                fail::cfg("store-merge", "return").expect("a failpoint");
                let _ = world.store.maintain().await;
                fail::remove("store-merge");
            }
            Step::Hours(hours) => world.clock.advance(i64::from(hours) * HOUR / 1_000_000),
            Step::Crash(torn) => world = world.crash(&torn).await,
            Step::Reopen => world = world.reopen().await,
        }
        let now = world.now();
        let kept = model.kept(now);
        prop_assert_eq!(&world.read("SELECT * FROM readings").await, &kept);
        if !kept.is_empty() {
            ask(&world, &kept, now).await?;
        }
    }
    failpoints.teardown();
    Ok(())
}

/// Questions that do not read everything.
async fn ask(world: &World, kept: &[(Key, Values)], now: i64) -> Result<(), TestCaseError> {
    let from = now - 20 * HOUR;
    let recent = world
        .read(&format!(
            "SELECT * FROM readings WHERE time >= to_timestamp_nanos({from}) AND time < to_timestamp_nanos({now}) \
             AND meter IN ('meter-1', 'meter-2')"
        ))
        .await;
    let is_asked = |key: &Key| (from..now).contains(&key.3) && (key.0 == "meter-1" || key.0 == "meter-2");
    let expected: Vec<_> = kept.iter().filter(|(key, _)| is_asked(key)).cloned().collect();
    prop_assert_eq!(recent, expected);

    let newest = world.query("SELECT meter, max(time) AS time FROM readings GROUP BY meter").await;
    let mut newest: Vec<(String, i64)> = newest
        .iter()
        .flat_map(|batch| {
            let times = batch.column(1).as_primitive::<TimestampNanosecondType>().clone();
            let meters = batch.column(0).as_string_view().clone();
            (0..batch.num_rows()).map(move |at| (meters.value(at).to_owned(), times.value(at)))
        })
        .collect();
    newest.sort();
    let mut expected: BTreeMap<String, i64> = BTreeMap::new();
    for (key, _) in kept {
        let time = expected.entry(key.0.clone()).or_insert(key.3);
        *time = (*time).max(key.3);
    }
    prop_assert_eq!(newest, expected.into_iter().collect::<Vec<_>>());

    if kept.iter().all(|(key, _)| key.1.is_none()) {
        // The table may not know of regions yet.
        return Ok(());
    }
    let counted = world.query("SELECT count(*) FROM readings WHERE region IS NULL").await;
    let counted: i64 = counted.iter().map(|batch| batch.column(0).as_primitive::<Int64Type>().value(0)).sum();
    prop_assert_eq!(counted as usize, kept.iter().filter(|(key, _)| key.1.is_none()).count());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, max_shrink_iters: 400, ..ProptestConfig::default() })]
    #[test]
    fn is_a_map_whatever_happens(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
        runtime.block_on(run(steps))?;
    }
}
