//! `hurtig store serve` killed at random moments, against a map of what it has said: random writes with versions, late and
//! repeated, while files are written and merged. What was acknowledged is there, once and in its newest version; of a
//! request that got no answer each record is there or not. What is rejected, too, is what the map says.
//!
//! `HURTIG_STORE_KILLS` says how many times (10), `HURTIG_STORE_KILLS_SEED` with which writes.

use std::{
    collections::{HashMap, HashSet},
    path::Path,
    sync::Arc,
    time::Duration,
};

use hurtig_engine::time::{Clock, SystemClock};
use hurtig_store::{Queries, Store, StoreOptions};
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
/// Longer than two hundred answers take on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(180);
/// Of a server: so little memory that it writes files all the time, and merges them at once.
const SERVER: [&str; 10] = [
    "--table",
    "meters/readings",
    "--memory-hours",
    "1",
    "--magnetic-days",
    "30",
    "--magnetic-writes",
    "--memory=96KiB",
    "--maintenance-interval",
    "50ms",
];

/// A meter's, a measure's and a minute's.
type Key = (usize, &'static str, i64);

/// A version and a value that a point may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Known {
    version: u64,
    value: i64,
}

#[derive(Debug, Clone, Copy)]
struct Reading {
    key: Key,
    known: Known,
}

impl Reading {
    fn random(rng: &mut StdRng, writer: usize) -> Self {
        let meter = rng.random_range(0..METERS) * WRITERS + writer;
        let key = (meter, ["kw", "state"][rng.random_range(0..2)], rng.random_range(0..MINUTES));
        Reading { key, known: Known { version: rng.random_range(1..4), value: rng.random_range(0..3) } }
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

    fn to_json(self, start_ms: i64) -> Value {
        let (meter, measure, minute) = self.key;
        json!({
            "Dimensions": [{ "Name": "meter", "Value": format!("meter-{meter}") }],
            "MeasureName": measure,
            "MeasureValue": self.known.value.to_string(),
            "MeasureValueType": if measure == "kw" { "DOUBLE" } else { "BIGINT" },
            "Time": (start_ms - minute * 60_000).to_string(),
            "Version": self.known.version,
        })
    }
}

/// What may be there: of each point one of several, of which all but those that nobody was told of are certain.
#[derive(Debug, Default)]
struct Model(HashMap<Key, Vec<Option<Known>>>);

impl Model {
    fn possible(&mut self, key: Key) -> &mut Vec<Option<Known>> {
        self.0.entry(key).or_insert_with(|| vec![None])
    }

    /// A request was answered: these were rejected, all others are there.
    fn answered(&mut self, readings: &[Reading], rejected: &HashMap<usize, u64>) {
        for (index, reading) in readings.iter().enumerate() {
            let possible = self.possible(reading.key);
            let before = possible.clone();
            let told = rejected.get(&index).copied();
            possible.retain(|there| reading.applied(*there).1 == told);
            assert!(!possible.is_empty(), "{reading:?}: it was told {told:?}, and there was one of {before:?}");
            possible.iter_mut().for_each(|there| *there = reading.applied(*there).0);
        }
    }

    /// A request was not answered.
    fn unanswered(&mut self, readings: &[Reading]) {
        for reading in readings {
            let possible = self.possible(reading.key);
            let applied: Vec<_> = possible.iter().map(|there| reading.applied(*there).0).collect();
            for one in applied {
                if !possible.contains(&one) {
                    possible.push(one);
                }
            }
        }
    }

    /// This is what there is.
    fn found(&mut self, found: &HashMap<Key, i64>) {
        for key in found.keys() {
            assert!(self.0.contains_key(key), "{key:?} was never written");
        }
        for (key, possible) in &mut self.0 {
            let value = found.get(key).copied();
            let before = possible.clone();
            possible.retain(|there| there.map(|there| there.value) == value);
            assert!(!possible.is_empty(), "{key:?} is {value:?}, and had to be one of {before:?}");
        }
    }
}

/// One who writes until there is no server any more.
struct Writer {
    number: usize,
    rng: StdRng,
    model: Model,
    acknowledged: usize,
}

impl Writer {
    async fn write(&mut self, url: &str, start_ms: i64, tell: &Semaphore) {
        let http = reqwest::Client::new();
        loop {
            let count = self.rng.random_range(1..=100);
            let mut keys = HashSet::new();
            let readings = (0..count).map(|_| Reading::random(&mut self.rng, self.number));
            let readings: Vec<_> = readings.filter(|reading| keys.insert(reading.key)).collect();
            match send(&http, url, &readings, start_ms).await {
                Some(rejected) => self.model.answered(&readings, &rejected),
                None => return self.model.unanswered(&readings),
            }
            self.acknowledged += readings.len();
            tell.add_permits(1);
        }
    }
}

/// The rejected ones with the versions that are there, if there was an answer.
async fn send(http: &reqwest::Client, url: &str, readings: &[Reading], start_ms: i64) -> Option<HashMap<usize, u64>> {
    let records: Vec<_> = readings.iter().map(|reading| reading.to_json(start_ms)).collect();
    let body = json!({ "DatabaseName": "meters", "TableName": "readings", "Records": records }).to_string();
    let post = http.post(url).header("x-amz-target", "Timestream_20181101.WriteRecords").body(body);
    let answer = post.send().await.ok()?;
    let status = answer.status().as_u16();
    let body: Value = serde_json::from_str(&answer.text().await.ok()?).expect("JSON");
    match status {
        200 => assert_eq!(body["RecordsIngested"]["Total"], readings.len(), "{body}"),
        419 => (),
        _ => panic!("{status}: {body}"),
    }
    let rejected = body["RejectedRecords"].as_array().into_iter().flatten();
    let one = |rejected: &Value| {
        let index = rejected["RecordIndex"].as_u64().expect("an index");
        let version = rejected["ExistingVersion"].as_u64().unwrap_or_else(|| panic!("no version: {rejected}"));
        (usize::try_from(index).expect("an index"), version)
    };
    Some(rejected.map(one).collect())
}

/// What is in the store when it is opened again.
async fn read(dir: &Path, start_ms: i64) -> HashMap<Key, i64> {
    let store = Store::open(StoreOptions::new(dir, Arc::new(SystemClock))).await.expect("it opens");
    let queries = Queries::new(&store, Default::default()).expect("queries");
    let sql = "SELECT meter, measure_name, to_milliseconds(time), measure_value::double, measure_value::bigint \
               FROM meters.readings";
    let mut found = HashMap::new();
    for batch in queries.execute(sql).await.expect("a query").collect().await.expect("rows") {
        for row in datum::rows(&batch).expect("rows") {
            let text = |at: usize| match &row.data[at] {
                Datum::Scalar(text) => Some(text.as_str()),
                _ => None,
            };
            let meter = text(0).and_then(|meter| meter.strip_prefix("meter-")?.parse().ok()).expect("a meter");
            let time: i64 = text(2).and_then(|time| time.parse().ok()).expect("a time");
            let (measure, value) = match (text(1), text(3), text(4)) {
                (Some("kw"), Some(value), None) => ("kw", value.parse::<f64>().expect("a number") as i64),
                (Some("state"), None, Some(value)) => ("state", value.parse().expect("a number")),
                other => panic!("{other:?}"),
            };
            let key = (meter, measure, (start_ms - time) / 60_000);
            assert_eq!(found.insert(key, value), None, "{key:?} is there twice");
        }
    }
    found
}

#[test]
fn what_was_acknowledged_is_there_once_however_often_it_is_killed() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let rounds = number("HURTIG_STORE_KILLS").unwrap_or(10);
    let seed = number("HURTIG_STORE_KILLS_SEED").unwrap_or_else(|| SystemClock.now_ms().unsigned_abs());
    eprintln!("HURTIG_STORE_KILLS_SEED={seed}");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(kill(rounds, seed));
}

async fn kill(rounds: u64, seed: u64) {
    let (dir, start_ms) = (directory(), SystemClock.now_ms() / 60_000 * 60_000);
    let mut rng = StdRng::seed_from_u64(seed);
    let writer = |number| Writer {
        number,
        rng: StdRng::seed_from_u64(seed.wrapping_add(1 + number as u64)),
        model: Model::default(),
        acknowledged: 0,
    };
    let mut writers: Vec<Writer> = (0..WRITERS).map(writer).collect();
    let mut files = HashSet::new();
    for round in 0..rounds {
        let served = Served::start(dir.path(), &SERVER);
        let answers = Arc::new(Semaphore::new(0));
        let writing = writers.drain(..).map(|mut writer| {
            let (url, answers) = (served.url.clone(), answers.clone());
            tokio::spawn(async move {
                writer.write(&url, start_ms, &answers).await;
                writer
            })
        });
        let writing: Vec<_> = writing.collect();
        // Somewhere between two answers: that is what the moment after some answer is.
        let some = rng.random_range(1..200);
        let answered = tokio::time::timeout(PATIENCE, answers.acquire_many(some)).await;
        answered.expect("the server answers, and nobody has been contradicted").expect("answers").forget();
        tokio::time::sleep(Duration::from_micros(rng.random_range(0..20_000))).await;
        // With SIGKILL.
        drop(served);
        for task in writing {
            writers.push(task.await.expect("a writer that the server has not contradicted"));
        }
        files.extend(files_below(&dir.path().join("magnetic")));
        let found = read(dir.path(), start_ms).await;
        for writer in &mut writers {
            let its = found.iter().filter(|((meter, ..), _)| meter % WRITERS == writer.number);
            writer.model.found(&its.map(|(key, value)| (*key, *value)).collect());
        }
        eprintln!("kill {}: {} points after {some} more answers", round + 1, found.len());
    }
    let acknowledged: usize = writers.iter().map(|writer| writer.acknowledged).sum();
    eprintln!("{acknowledged} records acknowledged, {} files seen after {rounds} kills", files.len());
    assert!(!files.is_empty(), "nothing was in files when it was killed");
}
