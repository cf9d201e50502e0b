//! A running job as others see it: its state, figures and checkpoints, and what can be asked of it.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, mpsc},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::master::MasterEvent;
use crate::{
    checkpoint::{CheckpointKind, Statistics},
    error::{Error, Result},
    graph::{JobGraph, Vertex},
    sink::Books,
    task::TaskMetrics,
};

/// A job's state (Flink's words, upper case on the wire).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum JobState {
    /// Not started yet.
    Created,
    /// Tasks are being made or state is being restored.
    Initializing,
    /// Records flow.
    Running,
    /// A task has failed, the others are being ended.
    Failing,
    /// Waiting before the next attempt.
    Restarting,
    /// It was told to end.
    Cancelling,
    /// It was cancelled.
    Canceled,
    /// It has come to its end and everything is committed.
    Finished,
    /// It has failed for good.
    Failed,
}

impl JobState {
    /// Whether nothing will happen any more.
    pub fn is_terminal(self) -> bool {
        matches!(self, JobState::Canceled | JobState::Finished | JobState::Failed)
    }
}

impl std::fmt::Display for JobState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&format!("{self:?}").to_uppercase())
    }
}

/// What went wrong, when.
#[derive(Debug, Clone, Serialize)]
pub struct ExceptionInfo {
    /// Milliseconds since the epoch.
    pub timestamp: i64,
    /// The failed vertex, if it was one.
    pub task: Option<String>,
    /// The message.
    pub message: String,
}

/// A sink's books as of the last completed checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SinkBooks {
    /// The sink's uid.
    pub uid: String,
    /// The sink's name.
    pub name: String,
    /// Its counters.
    #[serde(flatten)]
    pub books: Books,
}

/// A moment in a job's life.
#[derive(Debug, Clone)]
pub struct JobStatus {
    /// The state.
    pub state: JobState,
    /// When each state was entered (state, milliseconds since the epoch), in order.
    pub timestamps: Vec<(JobState, i64)>,
    /// When it was started.
    pub start_time: i64,
    /// When it ended.
    pub end_time: Option<i64>,
    /// How often it was restarted.
    pub restarts: u32,
    /// What went wrong, newest last.
    pub exceptions: Vec<ExceptionInfo>,
    /// The checkpoint it was restored from: id and path.
    pub restored_from: Option<(u64, String)>,
    /// Checkpoints.
    pub checkpoints: Statistics,
    /// The sinks' books as of the last completed checkpoint.
    pub books: Vec<SinkBooks>,
}

/// What a job ended with.
#[derive(Debug, Clone)]
pub struct JobResult {
    /// How it ended: finished or cancelled.
    pub state: JobState,
    /// The last status.
    pub status: JobStatus,
}

/// What is asked of the job's master.
#[derive(Debug)]
pub(crate) enum Request {
    Savepoint { directory: Option<String>, kind: CheckpointKind, answer: mpsc::Sender<Result<String>> },
    Checkpoint { answer: mpsc::Sender<Result<String>> },
    Cancel,
}

/// What master and handles share.
pub(crate) struct Shared {
    pub id: String,
    pub graph: Arc<JobGraph>,
    pub metrics: Vec<Vec<Arc<TaskMetrics>>>,
    pub status: Mutex<JobStatus>,
    pub changed: Condvar,
    /// The master's mailbox, until the job has ended.
    pub mailbox: Mutex<Option<mpsc::Sender<MasterEvent>>>,
    pub failure: Mutex<Option<String>>,
}

/// A job that was submitted. Clones are handles to the same job.
#[derive(Clone)]
pub struct JobHandle {
    pub(crate) shared: Arc<Shared>,
}

impl JobHandle {
    /// The job's id: 32 hex digits, as Flink's.
    pub fn id(&self) -> &str {
        &self.shared.id
    }

    /// The job's name.
    pub fn name(&self) -> &str {
        &self.shared.graph.name
    }

    /// Its graph.
    pub fn graph(&self) -> &JobGraph {
        &self.shared.graph
    }

    /// Its state now.
    pub fn state(&self) -> JobState {
        self.lock().state
    }

    /// Its status now.
    pub fn status(&self) -> JobStatus {
        self.lock().clone()
    }

    /// The figures of every subtask, by vertex of [`graph`](Self::graph).
    pub fn metrics(&self) -> &[Vec<Arc<TaskMetrics>>] {
        &self.shared.metrics
    }

    /// The figures of every subtask of the vertex called `name`, or the first with an operator that
    /// is.
    pub fn metrics_of(&self, name: &str) -> Option<&[Arc<TaskMetrics>]> {
        let called = |v: &Vertex| v.name() == name || v.operators.iter().any(|o| o.name == name);
        let vertex = self.graph().vertices.iter().position(called)?;
        self.metrics().get(vertex).map(Vec::as_slice)
    }

    /// Takes a savepoint into a new directory below `directory` (default: `savepoints` in the
    /// data directory) and returns its path.
    pub fn savepoint(&self, directory: Option<String>) -> Result<String> {
        self.ask(|answer| Request::Savepoint { directory, kind: CheckpointKind::Savepoint, answer })
    }

    /// Takes a savepoint and ends the job with it. `drain`: event time goes to its end first, so
    /// that all windows fire.
    pub fn stop(&self, directory: Option<String>, drain: bool) -> Result<String> {
        let kind = CheckpointKind::StopWithSavepoint { drain };
        self.ask(|answer| Request::Savepoint { directory, kind, answer })
    }

    /// Takes a checkpoint now and returns its manifest's path.
    pub fn checkpoint(&self) -> Result<String> {
        self.ask(|answer| Request::Checkpoint { answer })
    }

    /// Ends the job at once; what was committed stays, `--from latest` goes on from there.
    pub fn cancel(&self) -> Result<()> {
        self.send(Request::Cancel)
    }

    /// Waits for the end. A failed job is an error.
    pub fn wait(&self) -> Result<JobResult> {
        let mut status = self.lock();
        while !status.state.is_terminal() {
            status = self.shared.changed.wait(status).unwrap_or_else(|e| e.into_inner());
        }
        self.result(status.clone())
    }

    /// Waits for the end, but no longer than `timeout`; `None`: it is still running.
    pub fn wait_timeout(&self, timeout: Duration) -> Result<Option<JobResult>> {
        let status = self.lock();
        let (status, _) = self
            .shared
            .changed
            .wait_timeout_while(status, timeout, |s| !s.state.is_terminal())
            .unwrap_or_else(|e| e.into_inner());
        if !status.state.is_terminal() {
            return Ok(None);
        }
        let status = status.clone();
        self.result(status).map(Some)
    }

    fn result(&self, status: JobStatus) -> Result<JobResult> {
        if status.state == JobState::Failed {
            let failure = self.shared.failure.lock().unwrap_or_else(|e| e.into_inner());
            return Err(Error::JobFailed(failure.clone().unwrap_or_default()));
        }
        Ok(JobResult { state: status.state, status })
    }

    fn ask(&self, request: impl FnOnce(mpsc::Sender<Result<String>>) -> Request) -> Result<String> {
        let (tx, rx) = mpsc::channel();
        self.send(request(tx))?;
        rx.recv().unwrap_or_else(|_| Err(self.not_running()))
    }

    fn send(&self, request: Request) -> Result<()> {
        let mailbox = self.shared.mailbox.lock().unwrap_or_else(|e| e.into_inner());
        let sent = mailbox.as_ref().is_some_and(|m| m.send(MasterEvent::Request(request)).is_ok());
        drop(mailbox);
        if sent { Ok(()) } else { Err(self.not_running()) }
    }

    fn not_running(&self) -> Error {
        let state = self.state();
        let how = if state.is_terminal() { format!("it is {state}") } else { "it is just ending".into() };
        Error::Request(format!("the job '{}' does not take requests any more: {how}", self.name()))
    }

    fn lock(&self) -> MutexGuard<'_, JobStatus> {
        self.shared.status.lock().unwrap_or_else(|e| e.into_inner())
    }
}
