//! The whole job through the local runner: real meters and a fleet with every fault there is.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use hurtig_engine::{
    dead_letter::DeadLetter,
    runner::{JobConfig, JobState, LocalRunner, SinkBooks},
    sink::Books,
};
use hurtig_operators::{connectors::generator::Fleet, stream::Environment};

use super::{sources::fleet, *};

/// Runs the job to its end and gives its sinks' books by uid.
fn run(options: &Options, data_dir: &Path, parallelism: usize) -> BTreeMap<String, Books> {
    let env = Environment::new("smart-meters");
    env.set_parallelism(parallelism);
    build(&env, options, data_dir).expect("built");
    let graph = env.graph().expect("a graph");
    let job = LocalRunner::submit(graph, JobConfig::new(data_dir)).expect("submitted");
    let result = job.wait().expect("it ran");
    assert_eq!((result.state, result.status.restarts), (JobState::Finished, 0));
    let books = result.status.books.into_iter();
    books
        .map(|SinkBooks { uid, name, books }| {
            assert!(books.balance(), "{name}: {books:?}");
            (uid, books)
        })
        .collect()
}

fn books(read: u64, rejected: u64) -> Books {
    Books { read, written: read - rejected, rejected, dead_lettered: 0 }
}

fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten() {
        let path = entry.expect("entry").path();
        if path.is_dir() { files.extend(files_below(&path)) } else { files.push(path) }
    }
    files
}

/// The lines of the JSON files below `dir`.
fn lines(dir: &Path) -> Vec<String> {
    let texts = files_below(dir).into_iter().map(|f| fs::read_to_string(f).expect("text"));
    texts.flat_map(|t| t.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

fn letters(dir: &Path) -> Vec<DeadLetter> {
    lines(dir).iter().map(|l| serde_json::from_str(l).expect("a dead letter")).collect()
}

fn with_reason(letters: &[DeadLetter], words: &str) -> u64 {
    letters.iter().filter(|l| l.reason.contains(words)).count() as u64
}

fn meters() -> Options {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/meters");
    Options { source: Some(SourceSpec::File(path.into())), bounded: true, ..Options::default() }
}

#[test]
fn real_meters_are_read_and_written_once() {
    let dir = tempfile::tempdir().expect("dir");
    let all = run(&meters(), dir.path(), 2);
    let layout = Layout::new(dir.path());
    assert_eq!(all[uids::RAW], books(163_271, 0));
    assert_eq!(all[uids::READINGS], books(163_271, 0));
    assert_eq!(all[uids::TIME_SERIES], books(163_271, 39), "two meters repeat themselves, 15 and 24 times");
    assert_eq!(all[uids::OUTSIDE_WINDOW], books(0, 0));
    assert_eq!(letters(&layout.dead_letters), []);

    let raw = lines(&layout.raw);
    assert_eq!(raw.len(), 163_271);
    let line = r#"{"meter_id":"uk-electricity-hdd-only-hourly-sample-2","region":"uk","time":1325548800000,"kwh_measure":0.142}"#;
    assert!(raw.iter().any(|l| l == line), "not {}", raw[0]);
    assert!(raw.iter().any(|l| l.contains(r#""region":"il""#) && l.contains(r#""therm_measure":0.06"#)));
    assert!(layout.raw.join("year=2012/month=01").is_dir(), "cut up by the month of the reading");

    #[cfg(feature = "sql")]
    sql::real_meters(&layout);
}

#[test]
fn every_fault_of_a_fleet_ends_where_it_should() {
    let dir = tempfile::tempdir().expect("dir");
    let options = Options {
        meters: 2_000,
        readings_per_meter: Some(24),
        late_share: 0.02,
        duplicate_share: 0.03,
        null_share: 0.01,
        corrupt_share: 0.015,
        future_share: 0.025,
        bounded: true,
        ..Options::default()
    };
    let expected = Injected::into(&options);
    assert!(
        expected.corrupt > 500 && expected.nulls > 300 && expected.repeats > 1_000 && expected.future > 900,
        "{expected:?}"
    );
    let all = run(&options, dir.path(), 2);
    let layout = Layout::new(dir.path());
    let letters = letters(&layout.dead_letters);

    assert_eq!(with_reason(&letters, "bad JSON"), expected.corrupt);
    assert_eq!(with_reason(&letters, "null measure"), expected.nulls);
    assert_eq!(all[uids::RAW], books(expected.valid, 0));
    assert_eq!(all[uids::READINGS], books(2 * expected.valid, 0), "kWh and volts");
    assert_eq!(all[uids::OUTSIDE_WINDOW], books(expected.future, 0));
    assert_eq!(all[uids::TIME_SERIES], books(2 * expected.valid, 2 * expected.repeats));

    // Every valid message has one energy: it is in its window's row, or in one of its own if it was too late for it.
    #[cfg(feature = "sql")]
    {
        for sums in ["aggregates_1m", "aggregates_1h"] {
            assert_eq!(sql::counted(&layout, sums), expected.valid, "{sums}");
        }
        assert!(sql::parts_of_hours(&layout) > 0, "some were late");
    }
    let known = ["bad JSON", "null measure"];
    assert!(letters.iter().all(|l| known.iter().any(|k| l.reason.contains(k))));
    assert!(letters.iter().all(|l| l.split.starts_with("fleet-") && l.position.is_some()), "each knows its place");

    // A broken message is kept byte for byte.
    let plan = Fleet::new(&fleet(&options).expect("config")).expect("a fleet");
    let letter = letters.iter().find(|l| l.reason.contains("bad JSON")).expect("a corrupt one");
    let mut line = Vec::new();
    plan.write_line(&plan.event(letter.position.expect("a position")), &mut line);
    assert_eq!(letter.raw, line);

    #[cfg(feature = "sql")]
    sql::kept(&layout, all[uids::TIME_SERIES].written);
}

/// Late readings, repeats and fast clocks are judged by what stands in a split, so that threads
/// have no say in what is written.
#[test]
fn parallelism_changes_nothing() {
    let options = Options {
        meters: 1_000,
        readings_per_meter: Some(24),
        late_share: 0.05,
        duplicate_share: 0.05,
        future_share: 0.02,
        ..Options::default()
    };
    let outcomes = [1, 3].map(|parallelism| {
        let dir = tempfile::tempdir().expect("dir");
        let books = run(&options, dir.path(), parallelism);
        let layout = Layout::new(dir.path());
        let mut letters = lines(&layout.dead_letters);
        letters.sort();
        let mut outside = lines(&layout.outside_window);
        outside.sort();
        #[cfg(feature = "sql")]
        let tables = sql::everything(&layout);
        #[cfg(not(feature = "sql"))]
        let tables = ();
        (books, letters, outside, tables)
    });
    let [one, three] = outcomes;
    assert_eq!(one.0, three.0, "books");
    assert!(one.1 == three.1, "{} and {} dead letters", one.1.len(), three.1.len());
    assert!(one.2 == three.2, "readings outside of the window");
    assert!(one.3 == three.3, "tables");
}

#[test]
fn policies_keep_future_readings_out_of_the_store() {
    let base = Options {
        meters: 200,
        readings_per_meter: Some(10),
        late_share: 0.0,
        duplicate_share: 0.0,
        null_share: 0.0,
        corrupt_share: 0.0,
        future_share: 0.1,
        ..Options::default()
    };
    let future = Injected::into(&base).future;
    assert!(future > 100);
    for (policy, rejected) in [(FuturePolicy::SideOutput, 0), (FuturePolicy::Drop, future)] {
        let dir = tempfile::tempdir().expect("dir");
        let all = run(&Options { future_policy: policy, ..base.clone() }, dir.path(), 1);
        assert_eq!(all[uids::OUTSIDE_WINDOW], books(future, rejected), "{policy:?}");
        assert_eq!(all[uids::TIME_SERIES], books(2 * (2_000 - future), 0), "{policy:?}");
        assert_eq!(all[uids::READINGS], books(4_000, 0), "the lake has them as read");
        let notes = lines(&Layout::new(dir.path()).outside_window);
        assert_eq!(notes.len() as u64, future - rejected);
        assert!(notes.iter().all(|n| n.contains(r#""side":"future","action":"side-output""#)));
    }
}

#[test]
fn a_late_policy_works_from_the_retention() {
    let base = Options {
        meters: 200,
        readings_per_meter: Some(10),
        late_share: 0.2,
        duplicate_share: 0.0,
        null_share: 0.0,
        corrupt_share: 0.0,
        future_share: 0.0,
        magnetic_writes: false,
        memory_retention: Span::mins(30),
        late_policy: LatePolicy::Drop,
        ..Options::default()
    };
    let late = Injected::into(&base).older_than(&base, 30 * 60_000);
    assert!(late > 20, "{late}");
    let dir = tempfile::tempdir().expect("dir");
    let all = run(&base, dir.path(), 2);
    assert_eq!(all[uids::OUTSIDE_WINDOW], books(late, late));
    assert_eq!(all[uids::TIME_SERIES], books(2 * (2_000 - late), 0));
}

#[test]
fn files_of_messages_are_read_like_a_stream() {
    let dir = tempfile::tempdir().expect("dir");
    let input = dir.path().join("in");
    fs::create_dir(&input).expect("dir");
    let good = r#"{"Time":1700000000000,"DeviceID":"d-1","temperature_measure":12.5,"watt_measure":300}"#;
    let text = format!(
        "{good}\n{good}\nnot JSON\n{{\"DeviceID\":\"d-1\",\"Time\":1700000000000,\"temperature_measure\":13}}\n\n"
    );
    fs::write(input.join("a.jsonl"), text).expect("file");
    let options = Options {
        source: Some(SourceSpec::File(input.to_str().expect("utf8").into())),
        timestream_db_name: "kdaflink".into(),
        timestream_table_name: "kinesisdata1".into(),
        ..Options::default()
    };
    let data = dir.path().join("data");
    let all = run(&options, &data, 1);
    let layout = Layout::of(&options, &data);
    assert_eq!(all[uids::RAW], books(3, 0));
    // Two new rows, two repeats, and one that says something else of the same moment.
    assert_eq!(all[uids::TIME_SERIES], Books { read: 5, written: 2, rejected: 2, dead_lettered: 1 });
    assert!(layout.store.join("manifest").is_file());
    let mut letters = letters(&layout.dead_letters);
    letters.sort_by(|a, b| a.reason.cmp(&b.reason));
    assert_eq!(letters.len(), 2);
    assert!(letters[0].reason.contains("another value"), "{:?}", letters[0]);
    assert_eq!(letters[0].operator, "TimestreamSink<kdaflink, kinesisdata1>");
    assert_eq!((&*letters[1].raw, &*letters[1].split), (&b"not JSON"[..], "a.jsonl"));
}

#[test]
fn broken_messages_move_no_watermark_and_arrivals_tell_fast_clocks() {
    let dir = tempfile::tempdir().expect("dir");
    let input = dir.path().join("in");
    fs::create_dir(&input).expect("dir");
    let start = 1_700_000_000_000_i64;
    let day = 24 * 3_600_000;
    let mut text = String::new();
    for i in 0..200 {
        let (time, arrived) = (start + i * 60_000, start + i * 60_000 + 500);
        text += &format!("{{\"meter_id\":\"m\",\"time\":{time},\"kwh_measure\":1,\"arrived\":{arrived}}}\n");
        // Broken, with a time of its own, far ahead.
        text += &format!("{{\"meter_id\":\"m\",\"time\":{},\"kwh_measure\":1,\n", time + 30 * day);
    }
    let (fast, arrived) = (start + 400 * day, start + 200 * 60_000);
    text += &format!("{{\"meter_id\":\"f\",\"time\":{fast},\"kwh_measure\":1,\"arrived\":{arrived}}}\n");
    fs::write(input.join("a.jsonl"), text).expect("file");
    let options = Options {
        source: Some(SourceSpec::File(input.to_str().expect("utf8").into())),
        json_arrival: Some("arrived".into()),
        ..Options::default()
    };
    let data = dir.path().join("data");
    let all = run(&options, &data, 1);
    let layout = Layout::of(&options, &data);
    let letters = letters(&layout.dead_letters);
    assert_eq!(with_reason(&letters, "late"), 0);
    assert_eq!(with_reason(&letters, "bad JSON"), 200);
    assert_eq!(all[uids::MINUTES], books(201, 0), "a window each");
    assert_eq!(all[uids::OUTSIDE_WINDOW], books(1, 0), "the fast clock is known by its arrival");
    assert!(lines(&layout.raw).iter().all(|l| l.contains("arrived")), "the lake keeps messages as they were read");
}

#[test]
fn what_cannot_be_read_is_said_before_anything_runs() {
    let dir = tempfile::tempdir().expect("dir");
    let options = Options { source: Some(SourceSpec::File("/no/such/place".into())), ..Options::default() };
    let env = Environment::new("smart-meters");
    let built = build(&env, &options, dir.path());
    let failed = built.and_then(|()| LocalRunner::submit(env.graph()?, JobConfig::new(dir.path())).map(drop));
    let line = failed.expect_err("there is nothing to read").to_string();
    assert!(line.contains("/no/such/place") && !line.contains('\n'), "{line}");
}

/// What the generator puts into the stream, counted from its plan.
#[derive(Debug, Default)]
struct Injected {
    corrupt: u64,
    nulls: u64,
    /// Repeats of messages that can be read.
    repeats: u64,
    /// More than fifteen minutes ahead.
    future: u64,
    /// What can be read.
    valid: u64,
}

impl Injected {
    fn into(options: &Options) -> Self {
        use hurtig_operators::connectors::generator::Fault;
        let plan = Fleet::new(&fleet(options).expect("config")).expect("a fleet");
        let mut injected = Injected::default();
        for event in (0..plan.len().expect("an end")).map(|i| plan.event(i)) {
            match event.fault {
                Some(Fault::Corrupt) => injected.corrupt += 1,
                Some(Fault::Null) => injected.nulls += 1,
                _ => {
                    injected.valid += 1;
                    injected.repeats += u64::from(event.repeats.is_some());
                    injected.future += u64::from(event.reading.time - event.arrival > 15 * 60_000);
                }
            }
        }
        injected
    }

    fn older_than(&self, options: &Options, age: i64) -> u64 {
        let plan = Fleet::new(&fleet(options).expect("config")).expect("a fleet");
        let events = (0..plan.len().expect("an end")).map(|i| plan.event(i));
        events.filter(|e| e.arrival - e.reading.time > age).count() as u64
    }
}

#[cfg(feature = "sql")]
mod sql;
