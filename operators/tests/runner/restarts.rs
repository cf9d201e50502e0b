//! What ends and begins again: failures, savepoints, cancelling, rescaling.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use hurtig_engine::{
    runner::{JobState, LocalRunner, RestartStrategy, Restore},
    source::{Boundedness, EnumeratorContext, ReaderContext, Source, SplitEnumerator},
};
use hurtig_operators::{connectors::json_files::JsonFilesSink, prelude::*};
use hurtig_state::BackendKind;

use super::{
    committed::Committed,
    jobs::{SPLITS, config, expected_ordinals, ordinals_into, ordinals_job, windows_job},
    numbers::{Numbers, Pace},
};

#[test]
fn a_panic_restarts_from_the_last_checkpoint_and_nothing_is_doubled() {
    for backend in [BackendKind::Heap, BackendKind::RocksDb] {
        let dir = tempfile::tempdir().unwrap();
        let gate = Arc::new(AtomicU64::new(500));
        // Four splits of 500 are 2,000 records; the panic is behind them.
        let (graph, out) = ordinals_job(Pace::Gate(gate.clone()), 1_000, 2, Some(2_500));
        let handle = LocalRunner::submit(graph, config(dir.path(), backend)).unwrap();
        while out.sorted().len() < 1_000 {
            assert!(handle.wait_timeout(ms(2)).unwrap().is_none(), "it cannot end yet");
        }
        assert_eq!(handle.status().restarts, 0);
        gate.store(u64::MAX, SeqCst);
        let result = handle.wait().unwrap();
        assert_eq!(result.status.restarts, 1);
        assert!(result.status.restored_from.is_some(), "it went on from a checkpoint");
        let message = &result.status.exceptions[0].message;
        assert!(message.contains("'ordinal -> out' failed at record range-"), "{message}");
        assert!(message.contains("user code gives up"), "{message}");
        out.must_be(&expected_ordinals(1_000), &format!("{backend:?}"));
    }
}

#[test]
fn a_job_whose_restarts_are_used_up_fails_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let (graph, _) = ordinals_job(Pace::Free, 1_000, 1, Some(10));
    let mut config = config(dir.path(), BackendKind::Heap);
    config.restart = RestartStrategy::None;
    let handle = LocalRunner::submit(graph, config).unwrap();
    let error = handle.wait().unwrap_err().to_string();
    assert!(error.contains("user code gives up at"), "{error}");
    assert_eq!(handle.state(), JobState::Failed);
}

#[test]
fn a_savepoint_restores_at_another_parallelism() {
    for backend in [BackendKind::Heap, BackendKind::RocksDb] {
        for (before, after) in [(2, 1), (1, 3), (3, 2)] {
            let dir = tempfile::tempdir().unwrap();
            let (graph, out) = ordinals_job(Pace::HoldAt(1_500), 3_000, before, None);
            let handle = LocalRunner::submit(graph, config(&dir.path().join("a"), backend)).unwrap();
            while handle.status().checkpoints.counts.completed == 0 {
                assert!(handle.wait_timeout(ms(2)).unwrap().is_none(), "it should run for longer");
            }
            let savepoint = handle.stop(None, false).unwrap();
            assert_eq!(handle.wait().unwrap().state, JobState::Finished);
            let first = out.sorted().len();
            assert!(first > 0 && first < expected_ordinals(3_000).len(), "stopped in the middle: {first}");

            let graph = ordinals_into(&out, Pace::Free, 3_000, after, None);
            let mut config = config(&dir.path().join("b"), backend);
            config.restore = Restore::Path(savepoint);
            LocalRunner::submit(graph, config).unwrap().wait().unwrap();
            out.must_be(&expected_ordinals(3_000), &format!("{backend:?} from {before} to {after}"));
        }
    }
}

#[test]
fn splits_assigned_after_a_trigger_queue_behind_its_barrier() {
    let dir = tempfile::tempdir().unwrap();
    let (graph, out) = ordinals_job(Pace::HoldAt(500), 1_000, 2, None);
    let handle = LocalRunner::submit(graph, config(&dir.path().join("a"), BackendKind::Heap)).unwrap();
    // It is asked for before the enumerator has given anything out: the splits are in its
    // snapshot, and must not be in the readers' too.
    let savepoint = handle.stop(None, false).unwrap();
    handle.wait().unwrap();
    let mut config = config(&dir.path().join("b"), BackendKind::Heap);
    config.restore = Restore::Path(savepoint);
    LocalRunner::submit(ordinals_into(&out, Pace::Free, 1_000, 2, None), config).unwrap().wait().unwrap();
    out.must_be(&expected_ordinals(1_000), "every split was read once");
}

#[test]
fn a_restart_begins_where_the_run_did_and_not_at_another_runs_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let (graph, first) = ordinals_job(Pace::Free, 500, 1, None);
    LocalRunner::submit(graph, config(dir.path(), BackendKind::Heap)).unwrap().wait().unwrap();
    first.must_be(&expected_ordinals(500), "the first run");
    // The second one begins afresh, and fails before it has a checkpoint of its own.
    let mut afresh = config(dir.path(), BackendKind::Heap);
    afresh.checkpoints.interval = None;
    let (graph, second) = ordinals_job(Pace::Free, 500, 1, Some(10));
    let result = LocalRunner::submit(graph, afresh).unwrap().wait().unwrap();
    assert_eq!((result.status.restarts, result.status.restored_from), (1, None));
    second.must_be(&expected_ordinals(500), "the second run");
}

#[test]
fn what_fails_before_anything_has_run_is_not_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let env = Environment::new("unwritable");
    env.from_source(
        Numbers { splits: 1, per_split: 10, pace: Pace::Free },
        WatermarkStrategy::no_watermarks(),
        "numbers",
    )
    .sink_to(JsonFilesSink::<u64>::new("/proc/hurtig"))
    .name("out");
    let handle = LocalRunner::submit(env.graph().unwrap(), config(dir.path(), BackendKind::Heap)).unwrap();
    let error = handle.wait().unwrap_err().to_string();
    assert!(error.contains("/proc/hurtig"), "{error}");
    assert_eq!(handle.status().restarts, 0);
}

#[test]
fn cancel_then_latest_goes_on_and_a_finished_job_stays_finished() {
    let dir = tempfile::tempdir().unwrap();
    let (graph, out) = ordinals_job(Pace::HoldAt(900), 2_000, 2, None);
    let handle = LocalRunner::submit(graph, config(dir.path(), BackendKind::RocksDb)).unwrap();
    while handle.status().checkpoints.counts.completed < 2 || out.sorted().is_empty() {
        assert!(handle.wait_timeout(ms(2)).unwrap().is_none());
    }
    let state: u64 = handle.metrics().iter().flatten().map(|m| m.state_bytes.load(SeqCst)).sum();
    assert!(state > 0, "the metrics know the size of its state");
    handle.cancel().unwrap();
    assert_eq!(handle.wait().unwrap().state, JobState::Canceled);

    let mut again = config(dir.path(), BackendKind::RocksDb);
    again.restore = Restore::Latest;
    let graph = ordinals_into(&out, Pace::Free, 2_000, 1, None);
    let result = LocalRunner::submit(graph, again.clone()).unwrap().wait().unwrap();
    assert!(result.status.restored_from.is_some());
    out.must_be(&expected_ordinals(2_000), "gone on");

    let graph = ordinals_into(&out, Pace::Free, 2_000, 2, None);
    let result = LocalRunner::submit(graph, again).unwrap().wait().unwrap();
    assert_eq!(result.state, JobState::Finished);
    out.must_be(&expected_ordinals(2_000), "what was open is committed again, nothing runs again");
}

#[test]
fn another_jobs_checkpoint_and_unknown_uids_are_refused_in_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let (graph, _) = ordinals_job(Pace::HoldAt(900), 2_000, 1, None);
    let handle = LocalRunner::submit(graph, config(dir.path(), BackendKind::Heap)).unwrap();
    let savepoint = handle.stop(None, false).unwrap();
    handle.wait().unwrap();

    let (graph, _) = windows_job(10, 1);
    let mut other = config(&dir.path().join("other"), BackendKind::Heap);
    other.restore = Restore::Path(savepoint.clone());
    let error = LocalRunner::submit(graph, other).err().unwrap().to_string();
    assert!(error.contains("ordinals") && error.contains("windows"), "{error}");

    let env = Environment::new("ordinals");
    env.from_source(
        Numbers { splits: SPLITS, per_split: 10, pace: Pace::Free },
        WatermarkStrategy::no_watermarks(),
        "numbers",
    )
    .sink_to(Committed::default())
    .name("out");
    let mut changed = config(&dir.path().join("changed"), BackendKind::Heap);
    changed.restore = Restore::Path(savepoint);
    let error = LocalRunner::submit(env.graph().unwrap(), changed).err().unwrap().to_string();
    assert!(error.contains("ordinal") && error.contains("--allow-non-restored-state"), "{error}");
}

#[test]
fn a_data_directory_in_use_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (graph, _) = ordinals_job(Pace::HoldAt(10), 100, 1, None);
    let handle = LocalRunner::submit(graph, config(dir.path(), BackendKind::Heap)).unwrap();
    let (graph, _) = ordinals_job(Pace::Free, 10, 1, None);
    let error = LocalRunner::submit(graph, config(dir.path(), BackendKind::Heap)).err().unwrap().to_string();
    assert!(error.contains("in use by another hurtig"), "{error}");
    handle.cancel().unwrap();
    handle.wait().unwrap();
}

#[test]
fn a_job_without_a_checkpoint_interval_commits_at_its_end() {
    // A bounded job without a checkpoint interval still takes its last checkpoint and commits.
    let dir = tempfile::tempdir().unwrap();
    let (graph, out) = ordinals_job(Pace::Free, 100, 1, None);
    let mut config = config(dir.path(), BackendKind::Heap);
    config.checkpoints.interval = None;
    let handle = LocalRunner::submit(graph, config).unwrap();
    let result = handle.wait_timeout(Duration::from_secs(60)).unwrap().expect("it ends by itself");
    assert_eq!(result.status.checkpoints.counts.completed, 1);
    out.must_be(&expected_ordinals(100), "at its end");
}

/// Counts how often its enumerator was made with nothing restored.
struct Begun {
    numbers: Numbers,
    afresh: Arc<AtomicU64>,
}

impl Source for Begun {
    type Item = u64;
    type Split = <Numbers as Source>::Split;
    type Reader = <Numbers as Source>::Reader;

    fn enumerator(
        &self,
        ctx: EnumeratorContext,
        restored: Option<Vec<u8>>,
    ) -> Result<Box<dyn SplitEnumerator<Self::Split>>> {
        self.afresh.fetch_add(u64::from(restored.is_none()), SeqCst);
        self.numbers.enumerator(ctx, restored)
    }

    fn reader(&self, ctx: ReaderContext) -> Result<Self::Reader> {
        self.numbers.reader(ctx)
    }

    fn boundedness(&self) -> Boundedness {
        self.numbers.boundedness()
    }
}

#[test]
fn a_restart_before_the_first_checkpoint_begins_with_the_first_enumerator() {
    let dir = tempfile::tempdir().unwrap();
    let (afresh, records) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let env = Environment::new("begun");
    let numbers = Numbers { splits: 2, per_split: 500, pace: Pace::Free };
    let out = Committed::<u64>::default();
    env.from_source(Begun { numbers, afresh: afresh.clone() }, WatermarkStrategy::no_watermarks(), "numbers")
        .map(move |n| {
            assert_ne!(records.fetch_add(1, SeqCst), 100, "user code gives up once");
            n
        })
        .sink_to(out.clone());
    let mut config = config(dir.path(), BackendKind::Heap);
    config.checkpoints.interval = None;
    let result = LocalRunner::submit(env.graph().unwrap(), config).unwrap().wait().unwrap();
    assert_eq!((result.state, result.status.restarts), (JobState::Finished, 1));
    out.must_be(&(0..500).flat_map(|n| [n, n]).collect::<Vec<_>>(), "each record once");
    assert_eq!(afresh.load(SeqCst), 1, "what \"latest\" was at the first start, it still is");
}
