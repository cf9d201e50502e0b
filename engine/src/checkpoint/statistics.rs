//! What the coordinator remembers for REST: counts, the latest of each sort, a short history.
//!
//! Invariants:
//! - `total = in_progress + completed + failed`.
//! - The history is bounded; the newest is last.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::snapshot::{CheckpointId, CheckpointKind};

/// How many checkpoints [`Statistics::history`] keeps.
pub const HISTORY: usize = 50;

/// One subtask of the job.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubtaskKey {
    /// The vertex's uid.
    pub vertex_uid: Arc<str>,
    /// The subtask's index, from 0.
    pub subtask: u16,
}

impl SubtaskKey {
    /// Subtask number `subtask` of the vertex `vertex_uid`.
    pub fn new(vertex_uid: &str, subtask: u16) -> Self {
        SubtaskKey { vertex_uid: vertex_uid.into(), subtask }
    }
}

/// What one subtask reports with its acknowledgement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AckMetrics {
    /// All state of the subtask (Flink: `state_size`).
    pub full_bytes: u64,
    /// What was uploaded for this checkpoint (Flink: `checkpointed_size`).
    pub uploaded_bytes: u64,
    /// From the trigger until the subtask saw the first barrier.
    pub start_delay_ms: i64,
    /// From the first barrier to the last.
    pub alignment_ms: i64,
    /// How long the chain stood still.
    pub sync_ms: i64,
    /// How long the upload took.
    pub async_ms: i64,
}

/// One acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack {
    /// When it came, in epoch milliseconds.
    pub at: i64,
    /// What the subtask reported.
    pub metrics: AckMetrics,
}

/// Flink's words for how a checkpoint stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckpointStatus {
    /// Triggered, and its manifest is not written.
    InProgress,
    /// Its manifest is written.
    Completed,
    /// Aborted.
    Failed,
}

impl CheckpointStatus {
    /// As Flink's REST API spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            CheckpointStatus::InProgress => "IN_PROGRESS",
            CheckpointStatus::Completed => "COMPLETED",
            CheckpointStatus::Failed => "FAILED",
        }
    }
}

/// Everything known about one checkpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckpointRecord {
    /// Its number.
    pub id: CheckpointId,
    /// Why it was taken.
    pub kind: CheckpointKind,
    /// How it stands.
    pub status: CheckpointStatus,
    /// When it was triggered, in epoch milliseconds.
    pub triggered_at: i64,
    /// When it was completed or aborted.
    pub ended_at: Option<i64>,
    /// Vertex uid → one entry a subtask; `None` has not acknowledged.
    pub vertices: BTreeMap<Arc<str>, Vec<Option<Ack>>>,
    /// Why it failed.
    pub failure: Option<String>,
    /// The manifest's or savepoint's path.
    pub external_path: Option<String>,
    /// Subsumed and deleted.
    pub discarded: bool,
}

impl CheckpointRecord {
    /// Whether it is a savepoint.
    pub fn is_savepoint(&self) -> bool {
        self.kind.is_savepoint()
    }

    /// From the trigger to the end, or to `now_ms` while in progress.
    pub fn duration_ms(&self, now_ms: i64) -> i64 {
        self.ended_at.unwrap_or(now_ms) - self.triggered_at
    }

    /// All acknowledgements so far.
    pub fn acks(&self) -> impl Iterator<Item = &Ack> {
        self.vertices.values().flatten().flatten()
    }

    /// How many subtasks have to acknowledge.
    pub fn num_subtasks(&self) -> usize {
        self.vertices.values().map(Vec::len).sum()
    }

    /// The last acknowledgement so far.
    pub fn latest_ack_at(&self) -> Option<i64> {
        self.acks().map(|ack| ack.at).max()
    }

    /// All state it refers to (Flink: `state_size`).
    pub fn full_bytes(&self) -> u64 {
        self.acks().map(|ack| ack.metrics.full_bytes).sum()
    }

    /// What it wrote itself (Flink: `checkpointed_size`).
    pub fn uploaded_bytes(&self) -> u64 {
        self.acks().map(|ack| ack.metrics.uploaded_bytes).sum()
    }
}

/// What the tasks were last restored from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestoredCheckpoint {
    /// Its number.
    pub id: CheckpointId,
    /// Whether it is a savepoint.
    pub is_savepoint: bool,
    /// Where it is.
    pub external_path: String,
    /// When it was restored, in epoch milliseconds.
    pub restored_at: i64,
}

/// How many checkpoints there were since the job's start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// How often the tasks were restored.
    pub restored: u64,
    /// All that were triggered.
    pub total: u64,
    /// 0 or 1.
    pub in_progress: u64,
    /// Completed.
    pub completed: u64,
    /// Aborted.
    pub failed: u64,
}

/// The coordinator's memory. Reading it is free of side effects: clone it for REST.
#[derive(Clone, Debug, Default)]
pub struct Statistics {
    /// Counts since the job's start.
    pub counts: Counts,
    /// The last [`HISTORY`] checkpoints, the newest last.
    pub history: VecDeque<CheckpointRecord>,
    /// The last completed checkpoint that is not a savepoint.
    pub latest_completed: Option<CheckpointRecord>,
    /// The last completed savepoint.
    pub latest_savepoint: Option<CheckpointRecord>,
    /// The last that failed.
    pub latest_failed: Option<CheckpointRecord>,
    /// The last restore.
    pub latest_restored: Option<RestoredCheckpoint>,
}

impl Statistics {
    /// One checkpoint of the history.
    pub fn record(&self, id: CheckpointId) -> Option<&CheckpointRecord> {
        self.history.iter().rev().find(|record| record.id == id)
    }

    /// Summary of `value` over the completed checkpoints of the history, as Flink's
    /// `summary` object wants it.
    pub fn summary(&self, value: impl Fn(&CheckpointRecord) -> i64) -> Summary {
        let completed = self.history.iter().filter(|record| record.status == CheckpointStatus::Completed);
        Summary::of(completed.map(value).collect())
    }

    pub(super) fn triggered(&mut self, record: CheckpointRecord) {
        self.counts.total += 1;
        self.counts.in_progress += 1;
        if self.history.len() == HISTORY {
            self.history.pop_front();
        }
        self.history.push_back(record);
    }

    pub(super) fn acked(&mut self, id: CheckpointId, subtask: &SubtaskKey, ack: Ack) {
        let slot = self
            .record_mut(id)
            .and_then(|record| record.vertices.get_mut(&subtask.vertex_uid))
            .and_then(|subtasks| subtasks.get_mut(usize::from(subtask.subtask)));
        if let Some(slot) = slot {
            *slot = Some(ack);
        }
    }

    pub(super) fn completed(&mut self, id: CheckpointId, now_ms: i64, path: &str) {
        self.counts.in_progress -= 1;
        self.counts.completed += 1;
        let Some(record) = self.record_mut(id) else {
            return;
        };
        record.status = CheckpointStatus::Completed;
        record.ended_at = Some(now_ms);
        record.external_path = Some(path.to_owned());
        let record = record.clone();
        if record.is_savepoint() {
            self.latest_savepoint = Some(record);
        } else {
            self.latest_completed = Some(record);
        }
    }

    pub(super) fn failed(&mut self, id: CheckpointId, now_ms: i64, reason: &str) {
        self.counts.in_progress -= 1;
        self.counts.failed += 1;
        let Some(record) = self.record_mut(id) else {
            return;
        };
        record.status = CheckpointStatus::Failed;
        record.ended_at = Some(now_ms);
        record.failure = Some(reason.to_owned());
        self.latest_failed = Some(record.clone());
    }

    pub(super) fn restored(&mut self, restored: RestoredCheckpoint) {
        self.counts.restored += 1;
        self.latest_restored = Some(restored);
    }

    pub(super) fn discarded(&mut self, id: CheckpointId) {
        if let Some(record) = self.record_mut(id) {
            record.discarded = true;
        }
    }

    fn record_mut(&mut self, id: CheckpointId) -> Option<&mut CheckpointRecord> {
        self.history.iter_mut().rev().find(|record| record.id == id)
    }
}

/// Min, max, average and percentiles of one figure.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    sorted: Vec<i64>,
}

impl Summary {
    fn of(mut values: Vec<i64>) -> Self {
        values.sort_unstable();
        Summary { sorted: values }
    }

    /// The least value, 0 if there is none.
    pub fn min(&self) -> i64 {
        self.sorted.first().copied().unwrap_or(0)
    }

    /// The greatest value, 0 if there is none.
    pub fn max(&self) -> i64 {
        self.sorted.last().copied().unwrap_or(0)
    }

    /// The average, 0 if there is none.
    pub fn avg(&self) -> i64 {
        self.sorted.iter().sum::<i64>() / (self.sorted.len().max(1) as i64)
    }

    /// The `p`-th percentile (0 to 100) between the two nearest values; `None` without values.
    pub fn percentile(&self, p: f64) -> Option<f64> {
        let last = self.sorted.len().checked_sub(1)?;
        let rank = (p / 100.0).clamp(0.0, 1.0) * last as f64;
        let below = *self.sorted.get(rank.floor() as usize)? as f64;
        let above = *self.sorted.get(rank.ceil() as usize)? as f64;
        Some(below + (above - below) * rank.fract())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summary_of_nothing_and_of_something() {
        let none = Summary::default();
        assert_eq!((none.min(), none.max(), none.avg(), none.percentile(50.0)), (0, 0, 0, None));
        let some = Summary::of(vec![40, 10, 30, 20]);
        assert_eq!((some.min(), some.max(), some.avg()), (10, 40, 25));
        assert_eq!((some.percentile(50.0), some.percentile(100.0)), (Some(25.0), Some(40.0)));
    }
}
