//! Files go when they have been out of the table for long enough, and never a job's.

use std::{fs, time::Duration};

use hurtig_delta::{Compaction, Vacuum};
use hurtig_engine::time::{Clock, ManualClock, SystemClock};

use super::support::{DAY, Harness, at, block_on, reading, rows, sink, table};

#[test]
fn an_old_version_can_be_read_until_its_time_is_over() {
    let dir = tempfile::tempdir().expect("dir");
    let mut harness = Harness::start(&sink(dir.path()), "1").expect("a writer");
    for n in 0..4 {
        harness.write(at(reading(n))).expect("written");
        harness.checkpoint().expect("a checkpoint");
    }
    // One more that is durable, and that a checkpoint may name.
    harness.write(at(reading(4))).expect("written");
    let promised = harness.flush().expect("flushed");
    let old = table(dir.path());
    let mut new = old.clone();
    let now = SystemClock.now_ms();
    block_on(Compaction::default().run(&mut new, "a", &ManualClock::new(now))).expect("compacted");
    // As object_store leaves it when it is killed in the middle of a large file: it lists no such name.
    let killed = dir.path().join("year=2024/month=07/compacted-killed-3-0.parquet#1");
    fs::write(&killed, b"half").expect("written");

    let week = Vacuum::default();
    let removed = |days: i64, table: &mut _| block_on(week.run(table, &ManualClock::new(now + days * DAY)));
    assert_eq!(removed(6, &mut new).expect("vacuumed"), 0);
    assert_eq!(rows(&old), [0, 1, 2, 3]);
    assert!(killed.exists());
    assert_eq!(removed(8, &mut new).expect("vacuumed"), 5, "four small ones, and what was left behind");
    assert!(!killed.exists());
    assert_eq!(rows(&new), [0, 1, 2, 3]);
    harness.commit(&promised).expect("its file is there");
    assert_eq!(rows(&table(dir.path())), [0, 1, 2, 3, 4]);
    let none = Vacuum { older_than: Duration::from_secs(1 << 40) };
    assert_eq!(block_on(none.run(&mut new, &SystemClock)).expect("vacuumed"), 0);
}

#[test]
fn what_a_compaction_is_writing_stays_however_little_is_to_be_kept() {
    let dir = tempfile::tempdir().expect("dir");
    let mut harness = Harness::start(&sink(dir.path()), "1").expect("a writer");
    harness.write(at(reading(1))).expect("written");
    harness.checkpoint().expect("a checkpoint");
    let under_way = dir.path().join("year=2024/month=07/compacted-now-1-0.parquet");
    fs::write(&under_way, b"half").expect("written");
    // A job's file that has its name, and no log that names it: its checkpoint will be restored.
    let promised = dir.path().join("year=2024/month=07/part-sink.c4fb5244-0-1-99.parquet");
    fs::write(&promised, b"whole").expect("written");
    let none = Vacuum { older_than: Duration::ZERO };
    let now = SystemClock.now_ms();
    assert_eq!(block_on(none.run(&mut table(dir.path()), &ManualClock::new(now + DAY / 2))).expect("vacuumed"), 0);
    assert!(under_way.exists());
    assert_eq!(block_on(none.run(&mut table(dir.path()), &ManualClock::new(now + 2 * DAY))).expect("vacuumed"), 1);
    assert!(!under_way.exists() && promised.exists());
    assert_eq!(rows(&table(dir.path())), [1]);
}
