//! What several tests need.

use std::{
    ops::Deref,
    path::{Path, PathBuf},
    sync::{atomic::Ordering::Relaxed, mpsc},
    time::Duration,
};

use hurtig_engine::{
    Result,
    graph::JobGraph,
    runner::{CheckpointSettings, JobConfig, JobHandle, JobState, LocalRunner, RestartStrategy, SinkBooks},
    time::ms,
};
use hurtig_state::BackendKind;
use hurtig_tests::gated::Gate;
use tempfile::TempDir;

/// A directory that goes with its test.
pub fn directory() -> TempDir {
    tempfile::Builder::new().prefix("hurtig-it-").tempdir().expect("a temporary directory")
}

/// Settings for a small job: checkpoints only when asked for, quick restarts.
pub fn config(data_dir: &Path, backend: BackendKind) -> JobConfig {
    JobConfig {
        checkpoints: CheckpointSettings { interval: None, ..CheckpointSettings::default() },
        state_backend: backend,
        state_memory: 4 << 20,
        network_memory: 1 << 20,
        restart: RestartStrategy::FixedDelay { delay: ms(1), attempts: 20 },
        ..JobConfig::new(data_dir)
    }
}

/// Longer than any job of these tests takes on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(300);

/// A job under a watchdog: one that hangs says where it is and ends the tests, instead of keeping
/// them for ever.
pub struct Watched {
    handle: JobHandle,
    /// Goes with this, which calls the watchdog off.
    _done: mpsc::Sender<()>,
}

impl Deref for Watched {
    type Target = JobHandle;

    fn deref(&self) -> &JobHandle {
        &self.handle
    }
}

/// Starts a job and its watchdog.
pub fn submit(graph: JobGraph, config: JobConfig) -> Result<Watched> {
    let handle = LocalRunner::submit(graph, config)?;
    let (done, over) = mpsc::channel::<()>();
    let job = handle.clone();
    std::thread::spawn(move || {
        if over.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
            eprintln!("'{}' has not come to its end in {} s: {:#?}", job.name(), PATIENCE.as_secs(), job.status());
            for (vertex, subtasks) in job.graph().vertices.iter().zip(job.metrics()) {
                let read: Vec<_> = subtasks.iter().map(|m| m.records_in.load(Relaxed)).collect();
                eprintln!("{} has read {read:?}", vertex.uid());
            }
            std::process::abort();
        }
    });
    Ok(Watched { handle, _done: done })
}

/// Waits until all tasks run: what fails before that is not tried again.
pub fn until_running(handle: &JobHandle) {
    while handle.state() != JobState::Running {
        let ended = handle.wait_timeout(ms(1)).expect("the job starts");
        assert!(ended.is_none(), "the job has ended before it ran");
    }
}

/// Takes a checkpoint, if need be after a restart: one that a failure has made impossible is asked
/// for again.
pub fn checkpoint(handle: &JobHandle) {
    while let Err(e) = handle.checkpoint() {
        let ended = handle.wait_timeout(ms(1)).expect("the job runs");
        assert!(ended.is_none(), "the job has ended before its checkpoint: {e}");
    }
}

/// Every sink's books balance, and together they have written what is there: `rows` of it.
pub fn books_hold(what: &str, books: &[SinkBooks], rows: usize) {
    assert!(!books.is_empty(), "{what}: no sink has books");
    for sink in books {
        assert!(sink.books.balance(), "{what}: {sink:?}");
    }
    let written: u64 = books.iter().map(|sink| sink.books.written).sum();
    assert_eq!(written, rows as u64, "{what}: {books:?}");
}

/// Waits until the source has given all that its gate has let through.
pub fn until_closed(handle: &JobHandle, gate: &Gate) {
    while !gate.is_closed() {
        let ended = handle.wait_timeout(Duration::from_millis(1)).expect("the job runs");
        assert!(ended.is_none(), "the job has ended before its gate was opened");
    }
}

/// All lines of all visible files below `dir`, sorted.
pub fn lines_below(dir: &Path) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for file in files_below(dir) {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        assert!(!name.ends_with(".pending"), "a pending file is left: {}", file.display());
        let text = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        lines.extend(text.lines().map(str::to_owned));
    }
    lines.sort_unstable();
    lines
}

/// All files below `dir`, hidden ones too.
pub fn files_below(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let paths = entries.map(|e| e.expect("a directory's entry").path());
    paths.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

/// Copies a directory with all that is in it.
pub fn copy(from: &Path, to: &Path) {
    for file in files_below(from) {
        let target = to.join(file.strip_prefix(from).expect("it is below"));
        std::fs::create_dir_all(target.parent().expect("it has a parent")).expect("a directory");
        std::fs::copy(&file, &target).expect("a copy");
    }
}

/// Text as arguments.
pub fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}
