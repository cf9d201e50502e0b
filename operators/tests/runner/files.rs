//! Jobs that write files: the same directory again, and a savepoint carried elsewhere.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use hurtig_engine::{
    graph::JobGraph,
    runner::{JobConfig, JobState, LocalRunner, Restore},
    time::{Clock, SystemClock},
};
use hurtig_operators::{
    connectors::{
        files::FileSource,
        generator::{GeneratorConfig, GeneratorSource},
        json_files::JsonFilesSink,
        part_files::{EventTimePartition, PartitionBy},
    },
    prelude::*,
};
use hurtig_state::BackendKind;

use super::jobs::config;

/// Meter and time: no two readings of this fleet are the same.
type Reading = (u32, i64);

fn fleet(count: Option<u64>, rate: Option<u64>) -> GeneratorConfig {
    GeneratorConfig { meters: 100, interval: hours(6), splits: 4, count, rate, ..GeneratorConfig::default() }
}

/// Readings by month into `lake`.
fn job(fleet: &GeneratorConfig, lake: &Path, parallelism: usize) -> JobGraph {
    let env = Environment::new("lake");
    env.set_parallelism(parallelism);
    let source = GeneratorSource::map(fleet, |e| (e.reading.meter, e.reading.time)).unwrap();
    let by_month = PartitionBy::event_time_of(|r: &Reading| r.1, EventTimePartition::Month);
    env.from_source(source, WatermarkStrategy::no_watermarks(), "fleet")
        .sink_to(JsonFilesSink::<Reading>::new(lake).partition_by(by_month))
        .name("lake");
    env.graph().unwrap()
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

/// How often each reading is in the files; a file that is not committed fails the test.
fn readings(dir: &Path) -> BTreeMap<Reading, usize> {
    let mut readings = BTreeMap::new();
    for file in files(dir) {
        assert!(!file.file_name().unwrap().to_str().unwrap().starts_with('.'), "{} is pending", file.display());
        for line in fs::read_to_string(&file).unwrap().lines() {
            *readings.entry(serde_json::from_str(line).unwrap()).or_default() += 1;
        }
    }
    readings
}

/// Every one of the first `count` readings, `times` times.
fn expected(count: u64, times: usize) -> BTreeMap<Reading, usize> {
    let source = GeneratorSource::readings(&fleet(Some(count), None)).unwrap();
    let reading = |i| source.fleet().event(i).reading;
    (0..count).map(|i| ((reading(i).meter, reading(i).time), times)).collect()
}

fn must_be(lake: &Path, expected: &BTreeMap<Reading, usize>, what: &str) {
    let found = readings(lake);
    let wrong = found.iter().find(|(reading, times)| expected.get(reading) != Some(times));
    let missing = expected.keys().find(|reading| !found.contains_key(reading));
    assert!(found == *expected, "{what}: wrong {wrong:?}, missing {missing:?}");
}

fn run(graph: JobGraph, config: JobConfig) {
    assert_eq!(LocalRunner::submit(graph, config).unwrap().wait().unwrap().state, JobState::Finished);
}

#[test]
fn two_runs_into_the_same_directory_keep_out_of_each_others_way() {
    let dir = tempfile::tempdir().unwrap();
    let lake = dir.path().join("lake");
    for (times, data) in ["first", "second", "third"].into_iter().enumerate() {
        run(job(&fleet(Some(5_000), None), &lake, 2), config(&dir.path().join(data), BackendKind::Heap));
        must_be(&lake, &expected(5_000, times + 1), data);
    }
}

#[test]
fn a_savepoint_goes_on_from_another_data_directory() {
    for (before, after) in [(1, 2), (2, 1)] {
        let dir = tempfile::tempdir().unwrap();
        let lake = dir.path().join("lake");
        let endless = job(&fleet(None, Some(20_000)), &lake, before);
        let handle = LocalRunner::submit(endless, config(&dir.path().join("a"), BackendKind::Heap)).unwrap();
        while handle.status().books.iter().all(|b| b.books.written < 500) {
            assert!(handle.wait_timeout(ms(2)).unwrap().is_none(), "it never ends by itself");
        }
        let savepoint = handle.stop(Some(dir.path().join("savepoints").display().to_string()), false).unwrap();
        handle.wait().unwrap();
        let first: usize = readings(&lake).values().sum();
        assert!((500..50_000).contains(&first), "stopped in the middle: {first}");
        fs::remove_dir_all(dir.path().join("a")).unwrap();

        let mut config = config(&dir.path().join("b"), BackendKind::Heap);
        config.restore = Restore::Path(savepoint);
        run(job(&fleet(Some(50_000), None), &lake, after), config);
        must_be(&lake, &expected(50_000, 1), &format!("from {before} to {after}"));
    }
}

/// What is marked as committed is the user's to move; what is not marked is looked for.
#[test]
fn committed_files_may_be_moved_away() {
    let dir = tempfile::tempdir().unwrap();
    let (lake, data) = (dir.path().join("lake"), dir.path().join("data"));
    let job = || job(&fleet(Some(5_000), None), &lake, 1);
    run(job(), config(&data, BackendKind::Heap));
    let marks = files(&data.join("checkpoints/lake/commits"));
    assert!(!marks.is_empty(), "every committed checkpoint has its mark");

    let latest = || JobConfig { restore: Restore::Latest, ..config(&data, BackendKind::Heap) };
    // Killed between commit and mark: it is committed again, which changes nothing, and marked.
    marks.iter().for_each(|mark| fs::remove_file(mark).unwrap());
    run(job(), latest());
    must_be(&lake, &expected(5_000, 1), "committed twice");
    assert!(!files(&data.join("checkpoints/lake/commits")).is_empty(), "a restore marks what it commits");

    fs::rename(&lake, dir.path().join("elsewhere")).unwrap();
    run(job(), latest());
    assert!(!lake.exists(), "nothing was written again");

    files(&data.join("checkpoints/lake/commits")).iter().for_each(|mark| fs::remove_file(mark).unwrap());
    let error = LocalRunner::submit(job(), latest()).unwrap().wait().unwrap_err().to_string();
    assert!(error.contains("neither") && error.contains("restore from another checkpoint"), "{error}");
}

/// The machine's clock on another day.
struct Later(i64);

impl Clock for Later {
    fn now_ms(&self) -> i64 {
        SystemClock.now_ms() + self.0
    }
}

/// What could not be used is the same whenever it is read: no letter knows what day it is.
#[test]
fn a_replay_writes_the_same_dead_letters() {
    let dir = tempfile::tempdir().unwrap();
    let input = dir.path().join("in");
    fs::create_dir(&input).unwrap();
    fs::write(input.join("a.json"), "no number\n5000\n{}\n7000\n6000\n13\n[]\n").unwrap();
    let mut written = Vec::new();
    for (days, data) in [(0, "today"), (30, "later")] {
        let out = dir.path().join(data);
        let env = Environment::new("letters");
        // A number is its own time; 13 has none, and comes to a window all the same.
        let strategy = WatermarkStrategy::monotonous_timestamps()
            .with_timestamp_assigner(|n: &i64, _: i64| if *n == 13 { i64::MIN } else { *n });
        env.from_source(FileSource::new(input.to_str().unwrap()).json_lines::<i64>(), strategy, "numbers")
            .key_by(|n: &i64| *n)
            .window(TumblingEventTimeWindows::of(secs(1)))
            .aggregate(Last, |_: &i64, _: TimeWindow, n: i64| n)
            .sink_to(DiscardingSink);
        env.dead_letters_to(JsonFilesSink::<DeadLetter>::new(out.join("letters")));
        let mut config = config(&out, BackendKind::Heap);
        config.clock = Arc::new(Later(days * 86_400_000));
        run(env.graph().unwrap(), config);
        let mut letters: Vec<DeadLetter> = files(&out.join("letters"))
            .iter()
            .flat_map(|f| {
                fs::read_to_string(f).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect::<Vec<_>>()
            })
            .collect();
        letters.sort_by_key(|l| l.position);
        written.push(letters);
    }
    assert_eq!(written[0], written[1]);
    let found: Vec<_> = written[0].iter().map(|l| (l.raw.as_slice(), l.time)).collect();
    let newest = Some(7000);
    assert_eq!(found, [(&b"no number"[..], None), (b"{}", Some(5000)), (b"13", None), (b"[]", newest)]);
    assert!(written[0].iter().all(|l| l.split == "a.json"));
}

#[derive(Clone)]
struct Last;

impl AggregateFunction for Last {
    type In = i64;
    type Acc = i64;
    type Out = i64;

    fn create_accumulator(&self) -> i64 {
        0
    }

    fn add(&self, accumulator: &mut i64, value: i64) {
        *accumulator = value;
    }

    fn get_result(&self, accumulator: &i64) -> i64 {
        *accumulator
    }

    fn merge(&self, accumulator: &mut i64, other: i64) {
        *accumulator = other;
    }
}
