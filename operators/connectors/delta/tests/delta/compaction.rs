//! Compactions: sizes, order, repeats; jobs and other compactions beside them.

use std::{fs::File, path::Path};

use arrow::array::{AsArray, RecordBatch};
use hurtig_delta::{Compacted, Compaction, Repeats, Table};
use hurtig_engine::time::ManualClock;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use proptest::prelude::*;

use super::support::{Harness, JULY, Reading, ask, at, block_on, reading, rows, sink, table};

fn by_meter() -> Compaction {
    Compaction { min_files: 2, sort_by: vec!["meter".into(), "time".into()], ..Compaction::default() }
}

fn run(compaction: &Compaction, table: &mut Table, name: &str) -> Compacted {
    block_on(compaction.run(table, name, &ManualClock::new(JULY))).expect("compacted")
}

fn checkpoint(harness: &mut Harness, readings: impl IntoIterator<Item = Reading>) {
    readings.into_iter().for_each(|reading| harness.write(at(reading)).expect("written"));
    harness.checkpoint().expect("a checkpoint");
}

/// The meters of a file's rows, in their order.
fn meters(path: &Path) -> Vec<String> {
    let file = File::open(path).expect("a file");
    let batches = ParquetRecordBatchReaderBuilder::try_new(file).expect("Parquet").build().expect("a reader");
    let meters = |batch: RecordBatch| {
        let column = batch.column_by_name("meter").expect("a column").clone();
        column.as_string::<i32>().iter().map(|m| m.unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    batches.flat_map(|batch| meters(batch.expect("a batch"))).collect()
}

#[test]
fn small_files_become_sorted_ones_of_the_target_size() {
    let dir = tempfile::tempdir().expect("dir");
    let mut harness = Harness::start(&sink(dir.path()), "1").expect("a writer");
    for part in 0..10 {
        // All in July: a reading a second, which compresses badly enough.
        let of = |n: i64| Reading {
            meter: format!("m-{}", (n * 7_919) % 1_009),
            time: JULY + n * 1_000,
            wh: n * n % 1_000_003,
        };
        checkpoint(&mut harness, (part * 20_000..(part + 1) * 20_000).map(of));
    }
    let before = table(dir.path());
    let bytes: u64 = before.files().iter().map(|file| file.bytes).sum();
    let target = bytes / 3;
    let mut compacted = before.clone();
    let done = run(&Compaction { target_bytes: target, ..by_meter() }, &mut compacted, "a");
    assert_eq!((done.partitions, done.before, done.rows, done.repeats), (1, 10, 200_000, 0));
    assert!((2..=5).contains(&done.after), "{done:?} of {bytes} bytes");
    for file in compacted.files() {
        assert!(meters(&dir.path().join(&file.path)).is_sorted(), "{}", file.path);
        assert!(file.bytes <= target + target / 2, "{} of {target}", file.bytes);
        assert!(file.statistics.is_some() && file.rows.is_some_and(|rows| rows > 0));
    }
    let sums = "SELECT count(*), sum(wh), count(DISTINCT time) FROM t";
    assert_eq!(ask(&compacted, sums), ask(&before, sums), "the old version still answers");
    // With a twentieth of the memory that the rows take, in another order: it spills.
    let little = Compaction {
        memory: 8 << 20,
        min_files: 1,
        sort_by: vec!["wh".into()],
        key: vec!["time".into()],
        ..by_meter()
    };
    run(&Compaction { target_bytes: 1 << 30, ..little }, &mut compacted, "b");
    assert_eq!(ask(&compacted, sums), ask(&before, sums));
}

#[test]
fn few_files_stay_as_they_are() {
    let dir = tempfile::tempdir().expect("dir");
    let mut harness = Harness::start(&sink(dir.path()), "1").expect("a writer");
    for n in 0..3 {
        checkpoint(&mut harness, [reading(n)]);
    }
    let mut compacted = table(dir.path());
    let version = compacted.version();
    assert_eq!(run(&Compaction::default(), &mut compacted, "a"), Compacted::default());
    assert_eq!(compacted.version(), version, "no commit without a change");
}

#[test]
fn of_repeats_the_right_one_stays() {
    for (keep, expected) in
        [(Repeats::First("wh".into()), ["m-0 1", "m-1 5"]), (Repeats::Last("wh".into()), ["m-0 3", "m-1 9"])]
    {
        let dir = tempfile::tempdir().expect("dir");
        let mut harness = Harness::start(&sink(dir.path()), "1").expect("a writer");
        let of = |meter: &str, wh| Reading { meter: meter.into(), time: JULY, wh };
        checkpoint(&mut harness, [of("m-0", 2), of("m-1", 5)]);
        checkpoint(&mut harness, [of("m-0", 3), of("m-0", 1), of("m-1", 9)]);
        let key = vec!["meter".into(), "time".into()];
        let mut compacted = table(dir.path());
        let done = run(&Compaction { key, repeats: keep, ..by_meter() }, &mut compacted, "a");
        assert_eq!((done.rows, done.repeats), (2, 3));
        assert_eq!(ask(&compacted, "SELECT meter, wh FROM t ORDER BY meter"), expected);
    }
}

#[test]
fn a_repeat_of_what_lies_in_a_large_file_is_found() {
    let dir = tempfile::tempdir().expect("dir");
    let mut harness = Harness::start(&sink(dir.path()), "1").expect("a writer");
    let of = |n: i64| Reading { meter: format!("m-{}", n % 50), time: JULY + n * 1_000, wh: n };
    checkpoint(&mut harness, (0..20_000).map(of));
    checkpoint(&mut harness, (20_000..40_000).map(of));
    let key: Vec<String> = vec!["meter".into(), "time".into()];
    let mut compacted = table(dir.path());
    // Two large files; what comes now is small.
    let smallest = compacted.files().iter().map(|f| f.bytes).min().expect("files");
    let compaction = Compaction { target_bytes: smallest, key, repeats: Repeats::First("wh".into()), ..by_meter() };
    checkpoint(&mut harness, (100_000..100_010).map(of));
    checkpoint(&mut harness, [Reading { wh: 77_777, ..of(30_000) }]);
    let done = run(&compaction, &mut compacted, "a");
    assert_eq!((done.before, done.repeats), (3, 1), "the large file that has it, and no other");
    assert_eq!(ask(&compacted, "SELECT count(*), max(wh) FROM t"), ["40010 100009"]);
    assert_eq!(ask(&compacted, "SELECT count(*) FROM t WHERE wh = 77777"), ["0"]);
}

#[test]
fn a_job_that_appends_meanwhile_is_not_disturbed() {
    let dir = tempfile::tempdir().expect("dir");
    let mut harness = Harness::start(&sink(dir.path()), "1").expect("a writer");
    for n in 0..4 {
        checkpoint(&mut harness, [reading(n)]);
    }
    // A compactor that has looked, and a job that commits before it does.
    let mut compacted = table(dir.path());
    let files = compacted.files();
    checkpoint(&mut harness, [reading(4)]);
    let done = run(&by_meter(), &mut compacted, "a");
    assert_eq!(done.before, files.len() + 1, "it looks again when it begins");
    checkpoint(&mut harness, [reading(5)]);
    assert_eq!(rows(&table(dir.path())), [0, 1, 2, 3, 4, 5]);
}

#[test]
fn compactions_side_by_side_and_a_job() {
    let dir = tempfile::tempdir().expect("dir");
    let mut harness = Harness::start(&sink(dir.path()), "1").expect("a writer");
    for n in 0..6 {
        checkpoint(&mut harness, (0..2_000).map(|m| reading(n + 6 * m)));
    }
    let done: Vec<Compacted> = std::thread::scope(|scope| {
        let compactors: Vec<_> = (0..3)
            .map(|c| {
                let dir = dir.path();
                scope.spawn(move || run(&by_meter(), &mut table(dir), &format!("c{c}")))
            })
            .collect();
        for n in 0..5 {
            checkpoint(&mut harness, [reading(12_000 + n)]);
        }
        compactors.into_iter().map(|c| c.join().expect("no panic")).collect()
    });
    assert!(done.iter().any(|c| c.partitions > 0), "{done:?}");
    assert_eq!(rows(&table(dir.path())), (0..12_005).collect::<Vec<_>>(), "{done:?}");
}

#[test]
fn parts_of_one_row_become_one() {
    use datafusion::{functions_aggregate::expr_fn::sum, prelude::ident};
    let dir = tempfile::tempdir().expect("dir");
    let mut harness = Harness::start(&sink(dir.path()), "1").expect("a writer");
    let of = |meter: &str, wh| Reading { meter: meter.into(), time: JULY, wh };
    checkpoint(&mut harness, [of("m-0", 2), of("m-1", 5)]);
    checkpoint(&mut harness, [of("m-0", 3), of("m-0", 3)]);
    let compaction = Compaction {
        key: vec!["meter".into(), "time".into()],
        repeats: Repeats::Merge(vec![("wh".into(), sum(ident("wh")))]),
        ..by_meter()
    };
    let mut compacted = table(dir.path());
    assert_eq!(run(&compaction, &mut compacted, "a").repeats, 2);
    assert_eq!(
        ask(&compacted, "SELECT meter, time, wh FROM t ORDER BY meter"),
        ["m-0 2024-07-01T00:00:00Z 8", "m-1 2024-07-01T00:00:00Z 5"]
    );
    // One more part, long after.
    checkpoint(&mut harness, [of("m-1", 1)]);
    assert_eq!(run(&compaction, &mut compacted, "b").repeats, 1);
    assert_eq!(ask(&compacted, "SELECT meter, wh FROM t ORDER BY meter"), ["m-0 8", "m-1 6"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn repeats_are_removed_as_a_map_would(
        parts in proptest::collection::vec(proptest::collection::vec((0_i64..40, 0_i64..1_000), 1..60), 2..6),
        first: bool,
    ) {
        let dir = tempfile::tempdir().expect("dir");
        let mut harness = Harness::start(&sink(dir.path()), "1").expect("a writer");
        let mut model = std::collections::BTreeMap::new();
        for part in parts {
            for &(key, wh) in &part {
                let known = model.entry(key).or_insert(wh);
                *known = if first { wh.min(*known) } else { wh.max(*known) };
            }
            checkpoint(&mut harness, part.into_iter().map(|(key, wh)| Reading { wh, ..reading(key * 100) }));
        }
        let keep = if first { Repeats::First("wh".into()) } else { Repeats::Last("wh".into()) };
        let key = vec!["meter".into(), "time".into()];
        let mut compacted = table(dir.path());
        run(&Compaction { key, repeats: keep, ..by_meter() }, &mut compacted, "a");
        // A partition with one file is left as it is: it may hold a repeat, which the next one's files find.
        for n in 0..40 {
            checkpoint(&mut harness, model.get(&n).map(|wh| Reading { wh: *wh, ..reading(n * 100) }));
        }
        let last = Compaction {
            key: vec!["meter".into(), "time".into()],
            repeats: if first { Repeats::First("wh".into()) } else { Repeats::Last("wh".into()) },
            ..by_meter()
        };
        run(&last, &mut compacted, "b");
        let found = ask(&compacted, "SELECT time, wh FROM t ORDER BY time");
        let expected: Vec<String> = model.iter().map(|(key, wh)| {
            let time = jiff::Timestamp::from_millisecond(reading(key * 100).time).expect("a time");
            format!("{time} {wh}")
        }).collect();
        prop_assert_eq!(found, expected);
    }
}
