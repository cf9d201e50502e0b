//! Golden jobs: each runs plain, with checkpoints, with failures, and over savepoints at other
//! parallelisms; what is committed in the end is always the same, and what it must be.

mod jobs;

use std::path::Path;

use hurtig_engine::runner::{JobConfig, JobHandle, JobState, Restore};
use hurtig_state::BackendKind;
use hurtig_tests::gated::Gate;

use self::jobs::{Bombs, JOBS, Job, Making};
use crate::support::{
    Watched, books_hold, checkpoint, config, copy, directory, lines_below, submit, until_closed, until_running,
};

const BACKENDS: [BackendKind; 2] = [BackendKind::RocksDb, BackendKind::Heap];

fn start(job: &Job, making: &Making<'_>, config: JobConfig) -> Watched {
    let graph = (job.graph)(making).unwrap_or_else(|e| panic!("{}: {e}", job.name));
    submit(graph, config).unwrap_or_else(|e| panic!("{}: {e}", job.name))
}

/// Waits for the end and looks at everything that was written.
fn must_be_right(job: &Job, what: &str, handle: &JobHandle, out: &Path, expected: &[String]) {
    let name = format!("{} {what}", job.name);
    let result = handle.wait().unwrap_or_else(|e| panic!("{name}: {e}"));
    assert_eq!(result.state, JobState::Finished, "{name}");
    let lines = lines_below(out);
    let first = lines.iter().zip(expected).position(|(a, b)| a != b);
    let at = |lines: &[String]| first.and_then(|i| lines.get(i)).cloned();
    assert_eq!((lines.len(), at(&lines)), (expected.len(), at(expected)), "{name}");
    books_hold(&name, &result.status.books, lines.len());
    for sink in &result.status.books {
        assert_eq!(sink.books.written, sink.books.read, "{name}: nothing is refused here: {sink:?}");
    }
}

#[test]
fn undisturbed() {
    for job in &JOBS {
        let (readings, expected) = (job.readings, (job.expected)(job.readings));
        for backend in BACKENDS {
            for parallelism in [1, 2, 3] {
                let dir = directory();
                let out = dir.path().join("out");
                let (gate, bombs) = (Gate::default(), Bombs::default());
                gate.open();
                let making = Making { parallelism, out: &out, gate: &gate, bombs: &bombs, readings };
                let handle = start(job, &making, config(&dir.path().join("data"), backend));
                must_be_right(job, &format!("{backend:?} at {parallelism}"), &handle, &out, &expected);
            }
        }
    }
}

#[test]
fn with_checkpoints() {
    for job in &JOBS {
        let (readings, expected) = (job.readings, (job.expected)(job.readings));
        for backend in BACKENDS {
            let dir = directory();
            let out = dir.path().join("out");
            let (gate, bombs) = (Gate::default(), Bombs::default());
            let making = Making { parallelism: 2, out: &out, gate: &gate, bombs: &bombs, readings };
            let handle = start(job, &making, config(&dir.path().join("data"), backend));
            for _ in 0..5 {
                gate.let_through(readings as i64 / 7);
                until_closed(&handle, &gate);
                handle.checkpoint().expect("a checkpoint");
            }
            gate.open();
            must_be_right(job, &format!("{backend:?} with checkpoints"), &handle, &out, &expected);
            assert_eq!(handle.status().checkpoints.counts.completed, 6, "and one at the end");
        }
    }
}

#[test]
fn with_failures() {
    for job in &JOBS {
        let (readings, expected) = (job.readings, (job.expected)(job.readings));
        for backend in BACKENDS {
            let dir = directory();
            let out = dir.path().join("out");
            let gate = Gate::default();
            // One before the first checkpoint, some between, the last where windows fire.
            let bombs = Bombs::after(&[2, 22, 23, 49, 70].map(|hundredths| readings as i64 * hundredths / 100));
            let making = Making { parallelism: 2, out: &out, gate: &gate, bombs: &bombs, readings };
            let handle = start(job, &making, config(&dir.path().join("data"), backend));
            until_running(&handle);
            for _ in 0..4 {
                gate.let_through(readings as i64 / 6);
                until_closed(&handle, &gate);
                checkpoint(&handle);
            }
            // The last bomb is still to come: it must find something to go back to.
            let counts = handle.status().checkpoints.counts;
            assert!(counts.completed >= 2 && bombs.left() >= 1, "{}: {counts:?}, {} bombs", job.name, bombs.left());
            gate.open();
            must_be_right(job, &format!("{backend:?} with failures"), &handle, &out, &expected);
            let status = handle.status();
            assert!(status.restored_from.is_some(), "{}: {status:?}", job.name);
            assert_eq!(bombs.left(), 0, "{}: every bomb has gone off", job.name);
            // Two that go off on two workers at about the same time are one failure.
            assert!((3..=5).contains(&(status.restarts as usize)), "{}: {status:?}", job.name);
            let said = &status.exceptions[0];
            assert!(said.message.contains("a bomb has gone off"), "{}", said.message);
            assert!(said.message.contains("vertex '"), "the vertex is named: {}", said.message);
        }
    }
}

#[test]
fn over_a_savepoint_at_another_parallelism() {
    for job in &JOBS {
        let (readings, expected) = (job.readings, (job.expected)(job.readings));
        let dir = directory();
        let (before, data) = (dir.path().join("before"), dir.path().join("data"));
        let (gate, bombs) = (Gate::default(), Bombs::default());
        let making = Making { parallelism: 2, out: &before, gate: &gate, bombs: &bombs, readings };
        let handle = start(job, &making, config(&data, BackendKind::RocksDb));
        gate.let_through(readings as i64 / 2);
        until_closed(&handle, &gate);
        let saved = handle.stop(Some(dir.path().join("saved").display().to_string()), false).expect("a savepoint");
        assert_eq!(handle.wait().expect("it ends").state, JobState::Finished);
        for backend in BACKENDS {
            for parallelism in [1, 2, 4] {
                let what = format!("{backend:?} restored at {parallelism}");
                let place = dir.path().join(format!("{backend:?}-{parallelism}"));
                let (out, data_after) = (place.join("out"), place.join("data"));
                copy(&before, &out);
                copy(&data, &data_after);
                let (gate, bombs) = (Gate::default(), Bombs::default());
                gate.open();
                let making = Making { parallelism, out: &out, gate: &gate, bombs: &bombs, readings };
                let mut config = config(&data_after, backend);
                config.restore = Restore::Path(saved.clone());
                let handle = start(job, &making, config);
                must_be_right(job, &what, &handle, &out, &expected);
                assert!(handle.status().restored_from.is_some(), "{what}");
            }
        }
    }
}

/// What has finished has finished: starting it again commits what may be open, and ends.
#[test]
fn a_finished_job_stays_finished() {
    let job = &JOBS[0];
    let (readings, expected) = (job.readings, (job.expected)(job.readings));
    let dir = directory();
    let (out, data) = (dir.path().join("out"), dir.path().join("data"));
    let (gate, bombs) = (Gate::default(), Bombs::default());
    gate.open();
    for parallelism in [2, 1] {
        let making = Making { parallelism, out: &out, gate: &gate, bombs: &bombs, readings };
        let mut config = config(&data, BackendKind::RocksDb);
        config.restore = Restore::Latest;
        let handle = start(job, &making, config);
        must_be_right(job, &format!("again at {parallelism}"), &handle, &out, &expected);
    }
}
