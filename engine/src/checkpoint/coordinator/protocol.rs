//! What goes into the coordinator and what comes out of it.
//!
//! Invariants:
//! - Actions are carried out in the order in which they come.
//! - Every `Trigger`, `WriteManifest` and `Commit` is answered by an event, or its deadline passes (writing has none).

use crate::checkpoint::snapshot::{Barrier, CheckpointId, CheckpointKind};
use crate::checkpoint::statistics::{AckMetrics, RestoredCheckpoint, SubtaskKey};

/// What has happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Time has passed; see [`super::Coordinator::next_wakeup`].
    Tick,
    /// A subtask's snapshot is uploaded.
    Acked {
        /// The checkpoint.
        id: CheckpointId,
        /// The subtask.
        subtask: SubtaskKey,
        /// Its figures.
        metrics: AckMetrics,
    },
    /// A subtask cannot take part (its snapshot or upload failed).
    Declined {
        /// The checkpoint.
        id: CheckpointId,
        /// Why.
        reason: String,
    },
    /// The manifest is durable (and, for a savepoint, its directory).
    ManifestWritten {
        /// The checkpoint.
        id: CheckpointId,
        /// The manifest's path, or the savepoint's directory.
        path: String,
    },
    /// The manifest or the savepoint's directory could not be written.
    ManifestFailed {
        /// The checkpoint.
        id: CheckpointId,
        /// Why.
        reason: String,
    },
    /// Every committer has committed, every task knows.
    Committed {
        /// The checkpoint.
        id: CheckpointId,
    },
    /// A committer gave up.
    CommitFailed {
        /// The checkpoint.
        id: CheckpointId,
        /// Why.
        reason: String,
    },
    /// Somebody wants a checkpoint now.
    CheckpointRequested {
        /// Comes back with the answer.
        request: u64,
    },
    /// Somebody wants a savepoint.
    SavepointRequested {
        /// Comes back with the answer.
        request: u64,
        /// The directory to make it in.
        directory: String,
        /// [`CheckpointKind::Savepoint`] or [`CheckpointKind::StopWithSavepoint`].
        kind: CheckpointKind,
    },
    /// Every source is at its end: time for the last checkpoint.
    SourcesEnded,
    /// The tasks are gone: one failed, or the job was cancelled.
    TaskFailed {
        /// Why.
        reason: String,
    },
    /// New tasks run. To be sent only when [`super::Coordinator::is_settled`].
    Restarted {
        /// What they were restored from.
        restored: Option<RestoredCheckpoint>,
    },
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Snapshot the enumerators and send the barrier from the sources.
    Trigger {
        /// The barrier.
        barrier: Barrier,
    },
    /// Tell the tasks to forget this checkpoint: committables stay for the next one.
    Abort {
        /// The checkpoint.
        id: CheckpointId,
        /// Why.
        reason: String,
    },
    /// Export the savepoint, if there is a directory for it, and then write the manifest.
    WriteManifest {
        /// The checkpoint.
        id: CheckpointId,
        /// The directory to make the savepoint in.
        savepoint: Option<String>,
    },
    /// Commit the committables, and tell the tasks that the checkpoint is complete.
    Commit {
        /// The checkpoint.
        id: CheckpointId,
    },
    /// Delete what an aborted checkpoint has uploaded, and its manifest, should there be one after
    /// all. To be done before a restore looks for the latest. May come again, after a late upload.
    Discard {
        /// The checkpoint.
        id: CheckpointId,
    },
    /// Delete these completed checkpoints: newer ones have taken their place.
    Subsume {
        /// The checkpoints.
        ids: Vec<CheckpointId>,
    },
    /// Stop the tasks, then restart or fail as the restart strategy says.
    FailJob {
        /// Why.
        reason: String,
    },
    /// Answer a request.
    AnswerRequest {
        /// The request.
        request: u64,
        /// The checkpoint that was taken for it, or why there is none.
        answer: Result<Answer, String>,
    },
    /// The job has ended well: nothing is uncommitted.
    Finished,
}

/// The checkpoint that was taken for a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its number.
    pub id: CheckpointId,
    /// The manifest's path, or the savepoint's directory.
    pub path: String,
}
