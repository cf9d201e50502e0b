//! Each reading once: commits that come again, crashes in between, compactions beside them.

use std::{collections::BTreeSet, time::Duration};

use hurtig_delta::{Compaction, Vacuum};
use hurtig_engine::{
    sink::{Committer, Sink},
    time::ManualClock,
};
use hurtig_operators::connectors::{
    part_files::{PartCommitter, PendingFile},
    testing::committer_context,
};
use proptest::prelude::*;

use super::support::{DAY, Harness, JULY, at, block_on, reading, rows, sink, table};

#[test]
fn a_checkpoint_is_one_commit() {
    let dir = tempfile::tempdir().expect("dir");
    let sink = sink(dir.path());
    let mut subtasks: Vec<Harness> =
        (0..3).map(|n| Harness::start_subtask(&sink, "sink", n, "1").expect("a writer")).collect();
    let empty = table(dir.path()).version();
    for n in 0..90 {
        subtasks[n as usize % 3].write(at(reading(n * 24))).expect("written");
    }
    let committables: Vec<Vec<u8>> = subtasks.iter_mut().flat_map(|s| s.flush().expect("flushed")).collect();
    assert!(committables.len() >= 9, "three subtasks with three months: {}", committables.len());
    assert_eq!(table(dir.path()).rows(), 0, "nothing is there before the commit");
    subtasks[0].commit(&committables).expect("committed");
    let committed = table(dir.path());
    assert_eq!((committed.version(), committed.rows()), (empty + 1, 90));
    assert_eq!(rows(&committed), (0..90).map(|n| n * 24).collect::<Vec<_>>());
}

#[test]
fn a_commit_that_comes_again_changes_nothing() {
    let dir = tempfile::tempdir().expect("dir");
    let mut harness = Harness::start(&sink(dir.path()), "1").expect("a writer");
    harness.write(at(reading(1))).expect("written");
    let first = harness.flush().expect("flushed");
    harness.commit(&first).expect("committed");
    harness.write(at(reading(2))).expect("written");
    let second = harness.flush().expect("flushed");
    // A restored job commits what its checkpoint has, and its checkpoint may have all of it.
    let both = [first.clone(), second].concat();
    harness.commit(&both).expect("committed");
    harness.commit(&first).expect("committed");
    harness.commit(&both).expect("committed");
    assert_eq!(rows(&table(dir.path())), [1, 2]);
}

#[test]
fn a_crash_between_names_and_log_is_made_good() {
    let dir = tempfile::tempdir().expect("dir");
    let mut harness = Harness::start(&sink(dir.path()), "1").expect("a writer");
    harness.write(at(reading(1))).expect("written");
    let committables = harness.flush().expect("flushed");
    // What the committer does first: the files have their names, and the log knows nothing of them.
    PartCommitter::new(dir.path(), &committer_context("sink")).commit(&committables).expect("renamed");
    assert_eq!(table(dir.path()).rows(), 0);
    drop(harness);
    let mut restored = Harness::start(&sink(dir.path()), "2").expect("a writer");
    restored.commit(&committables).expect("committed");
    restored.write(at(reading(2))).expect("written");
    restored.checkpoint().expect("a checkpoint");
    assert_eq!(rows(&table(dir.path())), [1, 2]);
}

#[test]
fn what_was_compacted_and_removed_does_not_come_back() {
    let dir = tempfile::tempdir().expect("dir");
    let mut harness = Harness::start(&sink(dir.path()), "1").expect("a writer");
    let mut last = Vec::new();
    for n in 0..4 {
        harness.write(at(reading(n))).expect("written");
        last = harness.flush().expect("flushed");
        harness.commit(&last).expect("committed");
    }
    let mut compacted = table(dir.path());
    let done = block_on(Compaction::default().run(&mut compacted, "a", &ManualClock::new(JULY))).expect("compacted");
    assert_eq!((done.before, done.after, done.rows, done.repeats), (4, 1, 4, 0));
    let far = ManualClock::new(JULY + 100 * 365 * DAY);
    assert_eq!(block_on(Vacuum::default().run(&mut compacted, &far)).expect("vacuumed"), 4);
    let file = PendingFile::from_bytes(&last[0]).expect("a file");
    assert!(!file.final_path(dir.path()).exists(), "the file is gone");
    harness.commit(&last).expect("it is in the table all the same");
    assert_eq!(rows(&table(dir.path())), [0, 1, 2, 3]);
}

#[test]
fn a_savepoint_goes_elsewhere_without_its_files() {
    let dir = tempfile::tempdir().expect("dir");
    let mut harness = Harness::start(&sink(dir.path()), "1").expect("a writer");
    harness.write(at(reading(1))).expect("written");
    let committables = harness.flush().expect("flushed");
    let elsewhere = tempfile::tempdir().expect("dir");
    let mut committer: Box<dyn Committer> =
        sink(elsewhere.path()).committer(committer_context("sink")).expect("made").expect("a committer");
    committer.commit_savepoint(&committables).expect("nothing to do");
    assert!(committer.commit(&committables).is_err(), "a checkpoint's files must be here");
    assert_eq!(table(elsewhere.path()).rows(), 0);
}

#[derive(Debug, Clone)]
enum Step {
    Write(u8),
    Checkpoint,
    /// A checkpoint whose commit is lost: the next life makes it good.
    CheckpointAndDie,
    /// Between barrier and commit: the files have their names.
    DieAfterNames,
    DieWithoutCheckpoint,
    Compact,
    Vacuum,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1_u8..20).prop_map(Step::Write),
        4 => Just(Step::Checkpoint),
        1 => Just(Step::CheckpointAndDie),
        1 => Just(Step::DieAfterNames),
        1 => Just(Step::DieWithoutCheckpoint),
        2 => Just(Step::Compact),
        1 => Just(Step::Vacuum),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn whatever_happens_each_reading_is_there_once(steps in proptest::collection::vec(step(), 1..40)) {
        let dir = tempfile::tempdir().expect("dir");
        let sink = sink(dir.path());
        let mut life = 1;
        let mut harness = Harness::start(&sink, "1").expect("a writer");
        // The next reading, and that of the last checkpoint; what the checkpoint has to commit.
        let (mut next, mut kept, mut promised) = (0, 0, Vec::new());
        let mut seen = 0;
        for (at_step, step) in steps.into_iter().enumerate() {
            let mut die = false;
            match step {
                Step::Write(n) => for _ in 0..n {
                    harness.write(at(reading(next * 13))).expect("written");
                    next += 1;
                },
                Step::Checkpoint => {
                    let files = harness.flush().expect("flushed");
                    harness.commit(&files).expect("committed");
                    (kept, promised) = (next, files);
                }
                Step::CheckpointAndDie => {
                    (kept, promised) = (next, harness.flush().expect("flushed"));
                    die = true;
                }
                Step::DieAfterNames => {
                    (kept, promised) = (next, harness.flush().expect("flushed"));
                    PartCommitter::new(dir.path(), &committer_context("sink")).commit(&promised).expect("renamed");
                    die = true;
                }
                Step::DieWithoutCheckpoint => die = true,
                Step::Compact => {
                    let compaction = Compaction { min_files: 2, sort_by: vec!["meter".into()], ..Compaction::default() };
                    let clock = ManualClock::new(JULY);
                    block_on(compaction.run(&mut table(dir.path()), &at_step.to_string(), &clock)).expect("compacted");
                }
                Step::Vacuum => {
                    let vacuum = Vacuum { older_than: Duration::ZERO };
                    let far = ManualClock::new(JULY + 100 * 365 * DAY);
                    block_on(vacuum.run(&mut table(dir.path()), &far)).expect("vacuumed");
                }
            }
            if die {
                drop(harness);
                life += 1;
                harness = Harness::start(&sink, &life.to_string()).expect("a writer");
                harness.commit(&promised).expect("made good");
                if let Some(committer) = harness.committer.as_mut() {
                    committer.remove_orphans().expect("removed");
                }
                next = kept;
            }
            let now = table(dir.path()).rows();
            prop_assert!(now >= seen, "a reader's count only grows: {seen} {now}");
            seen = now;
        }
        harness.checkpoint().expect("a checkpoint");
        let found = rows(&table(dir.path()));
        prop_assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), found.len(), "none twice");
        prop_assert_eq!(found, (0..next).map(|n| n * 13).collect::<Vec<_>>());
    }
}
