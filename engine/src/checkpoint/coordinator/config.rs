//! What a coordinator is given at its start.

use crate::checkpoint::snapshot::CheckpointId;
use crate::checkpoint::statistics::{RestoredCheckpoint, SubtaskKey};

/// When to take checkpoints and what to bear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoordinatorConfig {
    /// From trigger to trigger; `None` takes checkpoints only on request and at the end.
    pub interval_ms: Option<i64>,
    /// From the end of one (completed or failed) to the next automatic trigger.
    pub min_pause_ms: i64,
    /// How long the subtasks may take, and then the commit.
    pub timeout_ms: i64,
    /// How many checkpoints in a row may fail before the job does. Savepoints do not count.
    pub tolerable_failures: u32,
    /// How many completed checkpoints are kept, at least one.
    pub retained: usize,
}

impl Default for CoordinatorConfig {
    fn default() -> Self {
        CoordinatorConfig {
            interval_ms: Some(10_000),
            min_pause_ms: 0,
            timeout_ms: 600_000,
            tolerable_failures: 0,
            retained: 1,
        }
    }
}

/// What the coordinator starts from.
#[derive(Clone, Debug, Default)]
pub struct CoordinatorStart {
    /// Every subtask that has to acknowledge.
    pub subtasks: Vec<SubtaskKey>,
    /// The checkpoints that are in the job's storage.
    pub stored: Vec<CheckpointId>,
    /// What the tasks were restored from.
    pub restored: Option<RestoredCheckpoint>,
    /// The time, in epoch milliseconds.
    pub now_ms: i64,
}
