//! `hurtig store serve` killed at random moments, against a map of what it has said: random writes with versions, late and
//! repeated, while files are written, merged and dropped. What was acknowledged is there, once and in its newest version; of
//! a request that got no answer each record is there or not. What is rejected, too, is what the map says.
//!
//! The table `aging` has a retention that is another in each round, and readings around all that it ends with: an hour, 1,
//! 2 and 3 days back, and a quarter of an hour ahead. The server goes by the system's clock, as this does, so a reading is
//! taken or not, seen or not, when all moments between question and answer say so; when they do not agree, both are right.
//! What has expired once may be gone for good or be seen again when the retention becomes longer: that is all that the
//! retention takes from the map.
//!
//! `HURTIG_STORE_KILLS` says how many times (10), `HURTIG_STORE_KILLS_SEED` with which writes.

use std::{
    collections::{HashMap, HashSet},
    ops::RangeInclusive,
    path::Path,
    sync::Arc,
    time::Duration,
};

use hurtig_engine::time::{Clock, SystemClock};
use hurtig_store::{Queries, Retention, Store, StoreOptions};
use hurtig_timestream_sql::datum::{self, Datum};
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::{
    store_wire::Served,
    support::{directory, files_below},
};

/// Who writes at a time, each for meters of its own.
const WRITERS: usize = 2;
const METERS: usize = 12;
/// Minutes back that readings are of.
const MINUTES: i64 = 2_000;
/// Of the table that ages: few, so that points are written again.
const AGING_METERS: usize = 3;
/// Longer than two hundred answers take on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(180);
/// Of a server: so little memory that it writes files all the time, and merges and drops them at once.
const SERVER: [&str; 12] = [
    "--table",
    "meters/readings",
    "--table",
    "meters/aging",
    "--memory-hours",
    "1",
    "--magnetic-days",
    "30",
    "--magnetic-writes",
    "--memory=96KiB",
    "--maintenance-interval",
    "50ms",
];
const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;
/// How far ahead a reading may be.
const AHEAD_MS: i64 = 15 * MINUTE_MS;
/// Readings that are about to expire, or just have, are so far from that at most.
const NEAR_MS: i64 = 4_000;

fn now_ms() -> i64 {
    SystemClock.now_ms()
}

/// How long a table keeps readings, and whether it takes those that are older than an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kept {
    days: u32,
    late: bool,
}

impl Kept {
    /// When the server takes a reading of this time.
    fn taken(self, time: i64) -> RangeInclusive<i64> {
        time - AHEAD_MS..=if self.late { self.until(time) } else { time + HOUR_MS }
    }

    /// The last moment at which it is seen.
    fn until(self, time: i64) -> i64 {
        time + i64::from(self.days) * DAY_MS
    }
}

const A_DAY: Kept = Kept { days: 1, late: true };

/// A table, and how long it keeps what.
#[derive(Debug, Clone, Copy)]
struct Table {
    name: &'static str,
    kept: Kept,
}

const TABLES: [Table; 2] = [
    Table { name: "readings", kept: Kept { days: 30, late: true } },
    Table { name: "aging", kept: Kept { days: 30, late: true } },
];

/// A meter's, a measure's and a time's.
type Key = (usize, &'static str, i64);

/// A version and a value that a point may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Known {
    version: u64,
    value: i64,
}

/// Why a record was rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rejected {
    /// This version is there.
    Version(u64),
    /// The table takes no reading of its time.
    Time,
}

#[derive(Debug, Clone, Copy)]
struct Reading {
    key: Key,
    known: Known,
}

impl Reading {
    fn random(rng: &mut StdRng, table: &str, writer: usize, start_ms: i64) -> Self {
        let is_aging = table == "aging";
        let meter = rng.random_range(0..if is_aging { AGING_METERS } else { METERS }) * WRITERS + writer;
        let measure = ["kw", "state"][rng.random_range(0..2)];
        let time = if is_aging { aging(rng, start_ms) } else { start_ms - rng.random_range(0..MINUTES) * MINUTE_MS };
        let known = Known { version: rng.random_range(1..4), value: rng.random_range(0..3) };
        Reading { key: (meter, measure, time), known }
    }

    /// What becomes of a point, and the version that is there when it is rejected.
    fn applied(&self, there: Option<Known>) -> (Option<Known>, Option<u64>) {
        match there {
            Some(there) if there.version > self.known.version => (Some(there), Some(there.version)),
            Some(there) if there.version == self.known.version && there.value != self.known.value => {
                (Some(there), Some(there.version))
            }
            _ => (Some(self.known), None),
        }
    }

    fn to_json(self) -> Value {
        let (meter, measure, time) = self.key;
        json!({
            "Dimensions": [{ "Name": "meter", "Value": format!("meter-{meter}") }],
            "MeasureName": measure,
            "MeasureValue": self.known.value.to_string(),
            "MeasureValueType": if measure == "kw" { "DOUBLE" } else { "BIGINT" },
            "Time": time.to_string(),
            "Version": self.known.version,
        })
    }
}

/// A time that a table takes, or keeps, only just now, or one of the last three days.
fn aging(rng: &mut StdRng, start_ms: i64) -> i64 {
    let limit = match rng.random_range(0..8) {
        0..4 => -rng.random_range(1..=3) * DAY_MS,
        4 => -HOUR_MS,
        5 => AHEAD_MS,
        _ => return start_ms - rng.random_range(0..300) * 15 * MINUTE_MS,
    };
    // Not every millisecond, so that points are written again.
    (now_ms() + limit + rng.random_range(-NEAR_MS..NEAR_MS)) / 250 * 250
}

/// What may be there: of each point one of several, of which all but those that nobody was told of are certain.
#[derive(Debug, Default)]
struct Model(HashMap<Key, Vec<Option<Known>>>);

impl Model {
    fn possible(&mut self, key: Key) -> &mut Vec<Option<Known>> {
        self.0.entry(key).or_insert_with(|| vec![None])
    }

    /// A request was answered at one of these moments: these were rejected, all others are there.
    fn answered(
        &mut self,
        readings: &[Reading],
        rejected: &HashMap<usize, Rejected>,
        kept: Kept,
        during: &RangeInclusive<i64>,
    ) {
        for (index, reading) in readings.iter().enumerate() {
            let taken = kept.taken(reading.key.2);
            let told = match rejected.get(&index) {
                Some(Rejected::Time) => {
                    let always = taken.contains(during.start()) && taken.contains(during.end());
                    assert!(!always, "{reading:?} was rejected for its time during {during:?} by {kept:?}");
                    continue;
                }
                Some(Rejected::Version(version)) => Some(*version),
                None => None,
            };
            assert!(overlap(&taken, during), "{reading:?} was not rejected for its time during {during:?} by {kept:?}");
            let possible = self.possible(reading.key);
            let before = possible.clone();
            possible.retain(|there| reading.applied(*there).1 == told);
            assert!(!possible.is_empty(), "{reading:?}: it was told {told:?}, and there was one of {before:?}");
            possible.iter_mut().for_each(|there| *there = reading.applied(*there).0);
        }
    }

    /// A request was not answered, if the server had it at all then at one of these moments.
    fn unanswered(&mut self, readings: &[Reading], kept: Kept, during: &RangeInclusive<i64>) {
        for reading in readings.iter().filter(|reading| overlap(&kept.taken(reading.key.2), during)) {
            let possible = self.possible(reading.key);
            let applied: Vec<_> = possible.iter().map(|there| reading.applied(*there).0).collect();
            for one in applied {
                if !possible.contains(&one) {
                    possible.push(one);
                }
            }
        }
    }

    /// This is what there was at one of these moments.
    fn found(&mut self, found: &HashMap<Key, i64>, kept: Kept, during: &RangeInclusive<i64>) {
        for key in found.keys() {
            assert!(self.0.contains_key(key), "{key:?} was never written");
            assert!(kept.until(key.2) >= *during.start(), "{key:?} is there during {during:?}, with {kept:?}");
        }
        for (key, possible) in &mut self.0 {
            let value = found.get(key).copied();
            // It has expired, whether it is still there or not.
            if value.is_none() && kept.until(key.2) < *during.end() {
                continue;
            }
            let before = possible.clone();
            possible.retain(|there| there.map(|there| there.value) == value);
            assert!(!possible.is_empty(), "{key:?} is {value:?}, and had to be one of {before:?}");
        }
    }

    /// What has expired by now may have been dropped.
    fn expired(&mut self, kept: Kept, now: i64) {
        for (_, possible) in self.0.iter_mut().filter(|(key, _)| kept.until(key.2) < now) {
            if !possible.contains(&None) {
                possible.push(None);
            }
        }
    }
}

fn overlap(one: &RangeInclusive<i64>, other: &RangeInclusive<i64>) -> bool {
    one.start() <= other.end() && other.start() <= one.end()
}

/// One who writes until there is no server any more.
struct Writer {
    number: usize,
    rng: StdRng,
    /// Of each table.
    models: [Model; TABLES.len()],
    acknowledged: usize,
    rejected_for_time: usize,
}

impl Writer {
    async fn write(&mut self, url: &str, tables: &[Table], start_ms: i64, tell: &Semaphore) {
        let http = reqwest::Client::new();
        loop {
            for (model, table) in self.models.iter_mut().zip(tables) {
                let count = self.rng.random_range(1..=100);
                let mut keys = HashSet::new();
                let readings = (0..count).map(|_| Reading::random(&mut self.rng, table.name, self.number, start_ms));
                let readings: Vec<_> = readings.filter(|reading| keys.insert(reading.key)).collect();
                let before = now_ms();
                let answer = send(&http, url, table.name, &readings).await;
                let during = before..=now_ms();
                let Some(rejected) = answer else { return model.unanswered(&readings, table.kept, &during) };
                model.answered(&readings, &rejected, table.kept, &during);
                self.acknowledged += readings.len();
                self.rejected_for_time += rejected.values().filter(|why| **why == Rejected::Time).count();
            }
            tell.add_permits(1);
        }
    }
}

/// The answer's status and body, if there was one.
async fn post(http: &reqwest::Client, url: &str, operation: &str, body: Value) -> Option<(u16, Value)> {
    let post = http.post(url).header("x-amz-target", format!("Timestream_20181101.{operation}")).body(body.to_string());
    let answer = post.send().await.ok()?;
    let status = answer.status().as_u16();
    Some((status, serde_json::from_str(&answer.text().await.ok()?).expect("JSON")))
}

/// The rejected ones, if there was an answer.
async fn send(
    http: &reqwest::Client,
    url: &str,
    table: &str,
    readings: &[Reading],
) -> Option<HashMap<usize, Rejected>> {
    let records: Vec<_> = readings.iter().map(|reading| reading.to_json()).collect();
    let body = json!({ "DatabaseName": "meters", "TableName": table, "Records": records });
    let (status, body) = post(http, url, "WriteRecords", body).await?;
    match status {
        200 => assert_eq!(body["RecordsIngested"]["Total"], readings.len(), "{body}"),
        419 => (),
        _ => panic!("{status}: {body}"),
    }
    let rejected = body["RejectedRecords"].as_array().into_iter().flatten();
    let one = |rejected: &Value| {
        let index = rejected["RecordIndex"].as_u64().expect("an index");
        let reason = rejected["Reason"].as_str().expect("a reason");
        let why = match rejected["ExistingVersion"].as_u64() {
            Some(version) => Rejected::Version(version),
            None if reason.starts_with("The record timestamp is outside the time range [") => Rejected::Time,
            None => panic!("no version: {rejected}"),
        };
        (usize::try_from(index).expect("an index"), why)
    };
    Some(rejected.map(one).collect())
}

/// Changes how long the table keeps readings that ages.
async fn keep(url: &str, kept: Kept) {
    let body = json!({
        "DatabaseName": "meters",
        "TableName": "aging",
        "RetentionProperties":
            { "MemoryStoreRetentionPeriodInHours": 1, "MagneticStoreRetentionPeriodInDays": kept.days },
        "MagneticStoreWriteProperties": { "EnableMagneticStoreWrites": kept.late },
    });
    let (status, body) = post(&reqwest::Client::new(), url, "UpdateTable", body).await.expect("an answer");
    assert_eq!(status, 200, "{body}");
}

/// What is in a table of a store that was opened again.
struct Found {
    points: HashMap<Key, i64>,
    during: RangeInclusive<i64>,
}

async fn rows(queries: &Queries, sql: &str) -> Vec<Vec<Option<String>>> {
    let mut all = Vec::new();
    for batch in queries.execute(sql).await.expect("a query").collect().await.expect("rows") {
        let text = |datum: Datum| match datum {
            Datum::Scalar(text) => Some(text),
            _ => None,
        };
        all.extend(datum::rows(&batch).expect("rows").into_iter().map(|row| row.data.into_iter().map(text).collect()));
    }
    all
}

async fn read(store: &Store, Table { name, kept }: Table) -> Found {
    let retention = Retention { memory_hours: 1, magnetic_days: kept.days, magnetic_writes: kept.late };
    assert_eq!(store.table("meters", name).expect("a table").retention(), retention, "{name}");
    let queries = Queries::new(store, Default::default()).expect("queries");
    let sql =
        "SELECT meter, measure_name, to_milliseconds(time), measure_value::double, measure_value::bigint FROM meters";
    let (before, mut points) = (now_ms(), HashMap::new());
    for row in rows(&queries, &format!("{sql}.{name}")).await {
        let text = |at: usize| row[at].as_deref();
        let meter = text(0).and_then(|meter| meter.strip_prefix("meter-")?.parse().ok()).expect("a meter");
        let time: i64 = text(2).and_then(|time| time.parse().ok()).expect("a time");
        let (measure, value) = match (text(1), text(3), text(4)) {
            (Some("kw"), Some(value), None) => ("kw", value.parse::<f64>().expect("a number") as i64),
            (Some("state"), None, Some(value)) => ("state", value.parse().expect("a number")),
            other => panic!("{other:?}"),
        };
        let key = (meter, measure, time);
        assert_eq!(points.insert(key, value), None, "{key:?} is there twice");
    }
    // The last points are found in a way of their own.
    let mut last: HashMap<(String, &str), i64> = HashMap::new();
    for (meter, measure, time) in points.keys() {
        let last = last.entry((format!("meter-{meter}"), measure)).or_insert(*time);
        *last = (*last).max(*time);
    }
    let sql = "SELECT meter, measure_name, to_milliseconds(max(time)) FROM meters";
    let got = rows(&queries, &format!("{sql}.{name} GROUP BY meter, measure_name")).await;
    let during = before..=now_ms();
    let got: HashMap<_, _> = got.iter().map(|row| ((row[0].clone(), row[1].as_deref()), row[2].clone())).collect();
    for ((meter, measure), time) in last.into_iter().filter(|(_, time)| kept.until(*time) >= *during.end()) {
        let got = got.get(&(Some(meter.clone()), Some(measure))).cloned().flatten();
        assert_eq!(got, Some(time.to_string()), "the last {measure} of {meter}");
    }
    Found { points, during }
}

async fn open(dir: &Path) -> Store {
    let store = Store::open(StoreOptions::new(dir, Arc::new(SystemClock))).await.expect("it opens");
    // What counts no more does not take room for ever.
    let mut known = HashSet::new();
    for table in TABLES {
        let files = store.table("meters", table.name).expect("a table").files();
        known.extend(files.iter().map(|file| dir.join("magnetic").join(&file.meta().name)));
    }
    let there = files_below(&dir.join("magnetic")).into_iter().collect::<HashSet<_>>();
    assert_eq!(there, known, "files that are there, and those that count");
    store
}

/// Files of the table that ages, of which all would have expired by then.
fn expired_files(store: &Store, kept: Kept, now: i64) -> HashSet<u64> {
    let files = store.table("meters", "aging").expect("a table").files();
    let expired = |newest: i64| kept.until(newest.div_euclid(1_000_000)) < now;
    files.iter().filter(|file| expired(file.meta().times.1)).map(|file| file.meta().id).collect()
}

#[test]
fn what_was_acknowledged_is_there_once_however_often_it_is_killed() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let rounds = number("HURTIG_STORE_KILLS").unwrap_or(10);
    let seed = number("HURTIG_STORE_KILLS_SEED").unwrap_or_else(|| now_ms().unsigned_abs());
    eprintln!("HURTIG_STORE_KILLS_SEED={seed}");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(kill(rounds, seed));
}

/// Looks at all there is after a kill. The map knows no less of it than before.
async fn check(dir: &Path, tables: &[Table], writers: &mut [Writer]) -> (Store, Vec<usize>) {
    let store = open(dir).await;
    let mut counts = Vec::new();
    for (at, table) in tables.iter().enumerate() {
        let found = read(&store, *table).await;
        for writer in &mut *writers {
            let its = found.points.iter().filter(|((meter, ..), _)| meter % WRITERS == writer.number);
            let its = its.map(|(key, value)| (*key, *value)).collect();
            writer.models[at].found(&its, table.kept, &found.during);
            writer.models[at].expired(table.kept, *found.during.end());
        }
        counts.push(found.points.len());
    }
    (store, counts)
}

async fn kill(rounds: u64, seed: u64) {
    let (dir, start_ms) = (directory(), now_ms() / MINUTE_MS * MINUTE_MS);
    let mut rng = StdRng::seed_from_u64(seed);
    let writer = |number| Writer {
        number,
        rng: StdRng::seed_from_u64(seed.wrapping_add(1 + number as u64)),
        models: Default::default(),
        acknowledged: 0,
        rejected_for_time: 0,
    };
    let mut writers: Vec<Writer> = (0..WRITERS).map(writer).collect();
    let (mut files, mut old, mut tables) = (HashSet::new(), HashSet::new(), TABLES);
    for round in 1..=rounds {
        let served = Served::start(dir.path(), &SERVER);
        // Of the last round there is something to drop.
        let is_last = round == rounds;
        let kept = Kept { days: rng.random_range(1..=3), late: rng.random_range(0..4) > 0 };
        let kept = if is_last { Kept { days: 3, late: true } } else { kept };
        keep(&served.url, kept).await;
        writers.iter_mut().for_each(|writer| writer.models[1].expired(tables[1].kept, now_ms()));
        tables[1].kept = kept;
        let answers = Arc::new(Semaphore::new(0));
        let writing = writers.drain(..).map(|mut writer| {
            let (url, answers) = (served.url.clone(), answers.clone());
            tokio::spawn(async move {
                writer.write(&url, &tables, start_ms, &answers).await;
                writer
            })
        });
        let writing: Vec<_> = writing.collect();
        // Somewhere between two answers: that is what the moment after some answer is.
        let some = rng.random_range(if is_last { 100 } else { 1 }..200);
        let answered = tokio::time::timeout(PATIENCE, answers.acquire_many(some)).await;
        answered.expect("the server answers, and nobody has been contradicted").expect("answers").forget();
        tokio::time::sleep(Duration::from_micros(rng.random_range(0..20_000))).await;
        // With SIGKILL.
        drop(served);
        for task in writing {
            writers.push(task.await.expect("a writer that the server has not contradicted"));
        }
        files.extend(files_below(&dir.path().join("magnetic")));
        let (store, counts) = check(dir.path(), &tables, &mut writers).await;
        eprintln!("kill {round}: {counts:?} points after {some} more answers, with {kept:?}");
        if is_last {
            store.flush().await.expect("files");
            old = expired_files(&store, A_DAY, now_ms());
        }
    }
    assert!(!files.is_empty(), "nothing was in files when it was killed");
    assert!(!old.is_empty(), "nothing is old enough to be dropped");
    drop_files(dir.path(), &old, &mut tables, &mut writers).await;
    let acknowledged: usize = writers.iter().map(|writer| writer.acknowledged).sum();
    let late: usize = writers.iter().map(|writer| writer.rejected_for_time).sum();
    assert!(late > 0, "no reading was rejected for its time");
    eprintln!("{acknowledged} records answered, {late} of them rejected for their time");
    eprintln!("{} files seen after {rounds} kills, {} of the last dropped", files.len(), old.len());
}

/// The retention becomes a day, and the server is killed when it has dropped what is older.
async fn drop_files(dir: &Path, old: &HashSet<u64>, tables: &mut [Table], writers: &mut [Writer]) {
    let served = Served::start(dir, &SERVER);
    keep(&served.url, A_DAY).await;
    let now = now_ms();
    writers.iter_mut().for_each(|writer| writer.models[1].expired(tables[1].kept, now));
    tables[1].kept = A_DAY;
    // No event tells of it. What is read beside the server may be changing just now.
    let (mut left, mut error) = (None, None);
    let dropping = async {
        loop {
            match Store::open_read_only(StoreOptions::new(dir, Arc::new(SystemClock))).await {
                Ok(store) => left = Some(expired_files(&store, A_DAY, now)),
                Err(e) => error = Some(e),
            }
            if left.as_ref().is_some_and(HashSet::is_empty) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let dropped = tokio::time::timeout(PATIENCE, dropping).await;
    assert!(
        dropped.is_ok(),
        "files of readings that have all expired are still there: {left:?}; last error: {error:?}"
    );
    // With SIGKILL.
    drop(served);
    let (store, _) = check(dir, tables, writers).await;
    let files = store.table("meters", "aging").expect("a table").files();
    let back: Vec<_> = files.iter().map(|file| file.meta()).filter(|meta| old.contains(&meta.id)).collect();
    assert!(back.is_empty(), "dropped, and there again: {back:?}");
    assert!(expired_files(&store, A_DAY, now).is_empty(), "files that were dropped are there in another form");
}
