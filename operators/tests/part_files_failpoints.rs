//! Crashes in the middle of a commit and of a flush. Failpoints are the whole process's, so this
//! is a process of its own with one test in it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use hurtig_engine::record::Record;
use hurtig_operators::connectors::{
    json_files::JsonFilesSink,
    part_files::{EventTimePartition, PartitionBy},
    testing::SinkHarness,
};

const DAY: i64 = 86_400_000;

/// All files below `dir`, visible and hidden ones apart.
fn files(dir: &Path) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let (mut visible, mut pending) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            let (v, p) = files(&path);
            visible.extend(v);
            pending.extend(p);
        } else if path.file_name().expect("a name").to_string_lossy().starts_with('.') {
            pending.push(path);
        } else {
            visible.push(path);
        }
    }
    (visible, pending)
}

/// The numbers in all visible files.
fn all(dir: &Path) -> Vec<u64> {
    let lines = files(dir).0.into_iter().map(|f| fs::read_to_string(f).expect("text"));
    let mut numbers: Vec<u64> =
        lines.flat_map(|t| t.lines().map(|l| l.parse().expect("a number")).collect::<Vec<_>>()).collect();
    numbers.sort_unstable();
    numbers
}

fn event(n: u64, ts: i64) -> Record<u64> {
    Record::at(n, ts)
}

fn by_day(dir: &Path) -> JsonFilesSink<u64> {
    JsonFilesSink::new(dir).partition_by(PartitionBy::event_time(EventTimePartition::Day))
}

#[test]
fn a_crash_between_two_renames_or_in_a_flush() {
    let dir = tempfile::tempdir().expect("dir");
    let mut harness = SinkHarness::start(&by_day(dir.path()), "1").expect("started");
    for n in 0..10 {
        harness.write(event(n, n as i64 * DAY)).expect("written");
    }
    let committables = harness.flush().expect("flushed");
    fail::cfg("sink-commit", "4*off->return").expect("a failpoint");
    harness.commit(&committables).expect_err("the failpoint");
    fail::remove("sink-commit");
    let (visible, pending) = files(dir.path());
    assert_eq!((visible.len(), pending.len()), (5, 5));

    let mut next = SinkHarness::start(&by_day(dir.path()), "2").expect("started");
    next.commit(&committables).expect("committed");
    next.committer.as_mut().expect("a committer").remove_orphans().expect("removed");
    assert_eq!(all(dir.path()), (0..10).collect::<Vec<_>>());

    // In the flush: the checkpoint never comes to be, its files are orphans.
    for n in 10..20 {
        next.write(event(n, n as i64 * DAY)).expect("written");
    }
    fail::cfg("sink-flush", "3*off->return").expect("a failpoint");
    let e = next.flush().expect_err("the failpoint").to_string();
    fail::remove("sink-flush");
    assert!(e.contains("sink-flush"), "{e}");
    // As a restart does: it waits for what the failed attempt still has with the pool.
    drop(next);
    let mut last = SinkHarness::start(&by_day(dir.path()), "3").expect("started");
    for n in 10..20 {
        last.write(event(n, n as i64 * DAY)).expect("written");
    }
    last.checkpoint().expect("committed");
    assert_eq!(all(dir.path()), (0..20).collect::<Vec<_>>());
    last.committer.as_mut().expect("a committer").remove_orphans().expect("removed");
    let (_, pending) = files(dir.path());
    assert!(pending.is_empty(), "{pending:?}");
}
