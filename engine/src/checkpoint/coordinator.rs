//! The checkpoint coordinator as a pure state machine: events in, actions out.
//!
//! It does no I/O, reads no clock and knows no task; whoever drives it carries the actions out and
//! reports what came of them. A checkpoint goes through three stages, one checkpoint at a time:
//!
//! ```text
//! Trigger ─▶ collecting ─ all acked ─▶ writing ─ ManifestWritten ─▶ committing ─ Committed ─▶ idle
//!                │ declined, timeout      │ ManifestFailed             │ CommitFailed, timeout
//!                ▼                        ▼                            ▼
//!            Abort, Discard           Abort, Discard                FailJob (the restore commits)
//! ```
//!
//! A savepoint is a checkpoint too: it is written to the job's storage like any other, and to its
//! own directory. So a restore from the latest checkpoint never goes back behind what a savepoint
//! committed, and `stop` can be followed by `--from latest`.
//!
//! Invariants:
//! - At most one checkpoint is in flight, its commit included: there is never more than one set
//!   of uncommitted committables.
//! - Numbers ascend, also over restarts and restores; none is used twice.
//! - `Commit` only after the manifest is written; `Finished` only after the commit of a checkpoint
//!   that ends the job.
//! - Every request is answered exactly once.
//! - A manifest that may exist is never forgotten: a restart waits for
//!   [`Coordinator::is_settled`].

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::snapshot::{Barrier, CheckpointId, CheckpointKind};
use super::statistics::{
    Ack, AckMetrics, CheckpointRecord, CheckpointStatus, HISTORY, RestoredCheckpoint, Statistics, SubtaskKey,
};

mod config;
mod in_flight;
mod protocol;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

pub use config::{CoordinatorConfig, CoordinatorStart};
pub use protocol::{Action, Answer, Event};

use in_flight::{InFlight, Request, Stage, answer, refuse, uncommitted};

/// See the module.
#[derive(Debug)]
pub struct Coordinator {
    config: CoordinatorConfig,
    subtasks: BTreeSet<SubtaskKey>,
    phase: Phase,
    next_id: CheckpointId,
    in_flight: Option<InFlight>,
    queue: VecDeque<Request>,
    /// In the storage, ascending.
    stored: BTreeSet<CheckpointId>,
    /// Aborted lately: acknowledgements may still come.
    aborted: BTreeSet<CheckpointId>,
    /// Failed in a row.
    failures: u32,
    last_trigger: i64,
    /// No automatic trigger before.
    not_before: i64,
    sources_ended: bool,
    statistics: Statistics,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    /// The tasks are gone; `Restarted` leads out of here.
    Halted,
    Finished,
}

impl Coordinator {
    /// A coordinator whose tasks run already.
    pub fn new(config: CoordinatorConfig, start: CoordinatorStart) -> Self {
        let stored: BTreeSet<_> = start.stored.into_iter().collect();
        let mut coordinator = Coordinator {
            config,
            subtasks: start.subtasks.into_iter().collect(),
            phase: Phase::Halted,
            next_id: stored.last().map_or(1, |last| last + 1),
            in_flight: None,
            queue: VecDeque::new(),
            stored,
            aborted: BTreeSet::new(),
            failures: 0,
            last_trigger: start.now_ms,
            not_before: start.now_ms,
            sources_ended: false,
            statistics: Statistics::default(),
        };
        coordinator.run(start.now_ms, start.restored);
        coordinator
    }

    /// Takes one event in and says what is to be done, in this order.
    pub fn on_event(&mut self, now_ms: i64, event: Event) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::Tick => {}
            Event::Acked { id, subtask, metrics } => self.acked(now_ms, id, &subtask, metrics, &mut actions),
            Event::Declined { id, reason } => {
                if self.is_collecting(id) {
                    self.checkpoint_failed(now_ms, &reason, &mut actions);
                } else if self.aborted.contains(&id) {
                    // What it had uploaded before it failed.
                    actions.push(Action::Discard { id });
                }
            }
            Event::ManifestWritten { id, path } => self.manifest_written(now_ms, id, path, &mut actions),
            Event::ManifestFailed { id, reason } => {
                if self.is_writing(id) {
                    self.checkpoint_failed(now_ms, &reason, &mut actions);
                }
            }
            Event::Committed { id } => self.committed(now_ms, id, &mut actions),
            Event::CommitFailed { id, reason } => {
                if self.is_committing(id) {
                    self.fail_job(now_ms, format!("the commit of checkpoint {id} failed: {reason}"), &mut actions);
                }
            }
            Event::CheckpointRequested { request } => {
                let kind = CheckpointKind::Checkpoint;
                self.requested(Request { number: request, kind, directory: None }, &mut actions);
            }
            Event::SavepointRequested { request, directory, kind } => {
                let request = Request { number: request, kind, directory: Some(directory) };
                if kind.is_savepoint() {
                    self.requested(request, &mut actions);
                } else {
                    refuse(request, "this is not a kind of savepoint", &mut actions);
                }
            }
            Event::SourcesEnded => {
                if self.phase == Phase::Running && !self.sources_ended {
                    self.sources_ended = true;
                    self.not_before = now_ms;
                }
            }
            Event::TaskFailed { reason } => self.halt(now_ms, &reason, &mut actions),
            Event::Restarted { restored } => self.restarted(now_ms, restored, &mut actions),
        }
        self.check_deadline(now_ms, &mut actions);
        self.trigger_next(now_ms, &mut actions);
        actions
    }

    /// When the next [`Event::Tick`] is due, if nothing else happens before.
    pub fn next_wakeup(&self) -> Option<i64> {
        if self.phase != Phase::Running {
            return None;
        }
        match &self.in_flight {
            Some(in_flight) => in_flight.deadline(),
            None => self.automatic().map(|(at, _)| at),
        }
    }

    /// Whether nothing is being written: the latest manifest in the storage is the latest for
    /// good, and new tasks may be restored from it.
    pub fn is_settled(&self) -> bool {
        !matches!(self.in_flight, Some(InFlight { stage: Stage::Writing, .. }))
    }

    /// The checkpoint in flight, its commit included.
    pub fn in_flight(&self) -> Option<Barrier> {
        self.in_flight.as_ref().map(|in_flight| in_flight.barrier)
    }

    /// What REST shows.
    pub fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    /// As it was given.
    pub fn config(&self) -> &CoordinatorConfig {
        &self.config
    }

    fn run(&mut self, now_ms: i64, restored: Option<RestoredCheckpoint>) {
        self.phase = Phase::Running;
        self.sources_ended = false;
        self.failures = 0;
        self.last_trigger = now_ms;
        self.not_before = now_ms;
        if let Some(restored) = restored {
            self.next_id = self.next_id.max(restored.id + 1);
            self.statistics.restored(restored);
        }
    }

    fn restarted(&mut self, now_ms: i64, restored: Option<RestoredCheckpoint>, actions: &mut Vec<Action>) {
        if self.phase != Phase::Halted {
            return;
        }
        if let Some(in_flight) = self.in_flight.take() {
            // The driver did not wait. The manifest may still appear: its objects are left alone.
            let reason = "the job restarted before the manifest was written";
            self.statistics.failed(in_flight.barrier.id, now_ms, reason);
            refuse(in_flight.request, reason, actions);
        }
        self.run(now_ms, restored);
    }

    fn requested(&mut self, request: Request, actions: &mut Vec<Action>) {
        match self.phase {
            Phase::Running => self.queue.push_back(request),
            Phase::Halted => refuse(request, "the job is not running: try again when it has restarted", actions),
            Phase::Finished => refuse(request, "the job has finished", actions),
        }
    }

    fn acked(
        &mut self,
        now_ms: i64,
        id: CheckpointId,
        subtask: &SubtaskKey,
        metrics: AckMetrics,
        actions: &mut Vec<Action>,
    ) {
        if self.aborted.contains(&id) {
            actions.push(Action::Discard { id });
            return;
        }
        let all_here = match &mut self.in_flight {
            Some(InFlight { barrier, stage: Stage::Collecting { missing, .. }, .. }) if barrier.id == id => {
                if !missing.remove(subtask) {
                    return;
                }
                missing.is_empty()
            }
            _ => return,
        };
        self.statistics.acked(id, subtask, Ack { at: now_ms, metrics });
        if all_here {
            self.write_manifest(actions);
        }
    }

    fn write_manifest(&mut self, actions: &mut Vec<Action>) {
        let Some(in_flight) = &mut self.in_flight else {
            return;
        };
        in_flight.stage = Stage::Writing;
        let savepoint = in_flight.request.as_ref().and_then(|request| request.directory.clone());
        actions.push(Action::WriteManifest { id: in_flight.barrier.id, savepoint });
    }

    fn manifest_written(&mut self, now_ms: i64, id: CheckpointId, path: String, actions: &mut Vec<Action>) {
        if !self.is_writing(id) {
            return;
        }
        let Some(mut in_flight) = self.in_flight.take() else {
            return;
        };
        self.failures = 0;
        self.stored.insert(id);
        self.statistics.completed(id, now_ms, &path);
        self.subsume(actions);
        // Answered when it is committed: whoever reads the answer finds the output too.
        if self.phase == Phase::Running {
            actions.push(Action::Commit { id });
            in_flight.stage = Stage::Committing { path, deadline: now_ms.saturating_add(self.config.timeout_ms) };
            self.in_flight = Some(in_flight);
        } else {
            let reason = format!("{path} is complete, but the job failed before it could stop");
            uncommitted(in_flight, path, reason, actions);
        }
    }

    fn subsume(&mut self, actions: &mut Vec<Action>) {
        let mut ids = Vec::new();
        while self.stored.len() > self.config.retained.max(1) {
            ids.extend(self.stored.pop_first());
        }
        if !ids.is_empty() {
            ids.iter().for_each(|id| self.statistics.discarded(*id));
            actions.push(Action::Subsume { ids });
        }
    }

    fn committed(&mut self, now_ms: i64, id: CheckpointId, actions: &mut Vec<Action>) {
        if !self.is_committing(id) {
            return;
        }
        let Some(InFlight { barrier, request, stage: Stage::Committing { path, .. } }) = self.in_flight.take() else {
            return;
        };
        self.not_before = if self.sources_ended { now_ms } else { now_ms.saturating_add(self.config.min_pause_ms) };
        let reason = format!("the job has finished: its last checkpoint is {path}");
        answer(request, Ok(Answer { id, path }), actions);
        if barrier.kind.ends_job() {
            self.phase = Phase::Finished;
            self.queue.drain(..).for_each(|request| refuse(request, reason.clone(), actions));
            actions.push(Action::Finished);
        }
    }

    /// The checkpoint in flight failed while the job runs (or while it waits for a manifest).
    fn checkpoint_failed(&mut self, now_ms: i64, reason: &str, actions: &mut Vec<Action>) {
        let Some(Barrier { id, kind }) = self.abort(now_ms, reason, actions) else {
            return;
        };
        if self.phase != Phase::Running {
            return;
        }
        match kind {
            // Whoever asked for it knows; the job need not suffer.
            CheckpointKind::Savepoint => {}
            CheckpointKind::StopWithSavepoint { .. } => {
                self.fail_job(now_ms, format!("the savepoint to stop with failed: {reason}"), actions);
            }
            CheckpointKind::Checkpoint | CheckpointKind::Final => {
                self.failures += 1;
                if self.failures > self.config.tolerable_failures {
                    let reason = format!("checkpoint {id} failed: {reason} ({} in a row)", self.failures);
                    self.fail_job(now_ms, reason, actions);
                }
            }
        }
    }

    fn abort(&mut self, now_ms: i64, reason: &str, actions: &mut Vec<Action>) -> Option<Barrier> {
        let InFlight { barrier, request, .. } = self.in_flight.take()?;
        self.statistics.failed(barrier.id, now_ms, reason);
        self.not_before = now_ms.saturating_add(self.config.min_pause_ms);
        self.aborted.insert(barrier.id);
        while self.aborted.len() > HISTORY {
            self.aborted.pop_first();
        }
        actions.push(Action::Abort { id: barrier.id, reason: reason.to_owned() });
        actions.push(Action::Discard { id: barrier.id });
        refuse(request, reason, actions);
        Some(barrier)
    }

    fn fail_job(&mut self, now_ms: i64, reason: String, actions: &mut Vec<Action>) {
        self.halt(now_ms, &reason, actions);
        actions.push(Action::FailJob { reason });
    }

    fn halt(&mut self, now_ms: i64, reason: &str, actions: &mut Vec<Action>) {
        if self.phase != Phase::Running {
            return;
        }
        self.phase = Phase::Halted;
        self.queue.drain(..).for_each(|request| refuse(request, reason, actions));
        match self.in_flight.as_ref().map(|in_flight| &in_flight.stage) {
            Some(Stage::Collecting { .. }) => {
                self.abort(now_ms, reason, actions);
            }
            Some(Stage::Committing { path, .. }) => {
                let path = path.clone();
                if let Some(in_flight) = self.in_flight.take() {
                    uncommitted(in_flight, path, reason.to_owned(), actions);
                }
            }
            // The manifest's answer decides.
            Some(Stage::Writing) | None => {}
        }
    }

    fn check_deadline(&mut self, now_ms: i64, actions: &mut Vec<Action>) {
        let Some(in_flight) = &self.in_flight else {
            return;
        };
        if in_flight.deadline().is_none_or(|deadline| now_ms < deadline) {
            return;
        }
        let Barrier { id, .. } = in_flight.barrier;
        let within = self.config.timeout_ms;
        match &in_flight.stage {
            Stage::Collecting { missing, .. } => {
                let first =
                    missing.first().map_or_else(String::new, |key| format!("{}/{}", key.vertex_uid, key.subtask));
                let reason =
                    format!("not acknowledged by {} subtasks (first: {first}) within {within} ms", missing.len());
                self.checkpoint_failed(now_ms, &reason, actions);
            }
            Stage::Committing { .. } => {
                self.fail_job(now_ms, format!("the commit of checkpoint {id} took more than {within} ms"), actions);
            }
            Stage::Writing => {}
        }
    }

    /// When the next checkpoint that nobody asked for is due.
    fn automatic(&self) -> Option<(i64, CheckpointKind)> {
        if self.sources_ended {
            return Some((self.not_before, CheckpointKind::Final));
        }
        let interval = self.config.interval_ms?;
        let at = self.last_trigger.saturating_add(interval).max(self.not_before);
        Some((at, CheckpointKind::Checkpoint))
    }

    fn trigger_next(&mut self, now_ms: i64, actions: &mut Vec<Action>) {
        if self.phase != Phase::Running || self.in_flight.is_some() {
            return;
        }
        // The end of the input goes before requests: there may be nothing left to snapshot later.
        if !self.sources_ended
            && let Some(request) = self.queue.pop_front()
        {
            self.trigger(now_ms, request.kind, Some(request), actions);
            return;
        }
        if let Some((at, kind)) = self.automatic()
            && now_ms >= at
        {
            self.trigger(now_ms, kind, None, actions);
        }
    }

    fn trigger(&mut self, now_ms: i64, kind: CheckpointKind, request: Option<Request>, actions: &mut Vec<Action>) {
        let barrier = Barrier { id: self.next_id, kind };
        self.next_id += 1;
        self.last_trigger = now_ms;
        let mut vertices = BTreeMap::<_, Vec<_>>::new();
        for key in &self.subtasks {
            let acks = vertices.entry(key.vertex_uid.clone()).or_default();
            acks.resize(acks.len().max(usize::from(key.subtask) + 1), None);
        }
        self.statistics.triggered(CheckpointRecord {
            id: barrier.id,
            kind,
            status: CheckpointStatus::InProgress,
            triggered_at: now_ms,
            ended_at: None,
            vertices,
            failure: None,
            external_path: None,
            discarded: false,
        });
        let deadline = now_ms.saturating_add(self.config.timeout_ms);
        let stage = Stage::Collecting { missing: self.subtasks.clone(), deadline };
        self.in_flight = Some(InFlight { barrier, request, stage });
        actions.push(Action::Trigger { barrier });
        if self.subtasks.is_empty() {
            self.write_manifest(actions);
        }
    }

    fn stage(&self, id: CheckpointId) -> Option<&Stage> {
        self.in_flight.as_ref().filter(|in_flight| in_flight.barrier.id == id).map(|in_flight| &in_flight.stage)
    }

    fn is_collecting(&self, id: CheckpointId) -> bool {
        matches!(self.stage(id), Some(Stage::Collecting { .. }))
    }

    fn is_writing(&self, id: CheckpointId) -> bool {
        matches!(self.stage(id), Some(Stage::Writing))
    }

    fn is_committing(&self, id: CheckpointId) -> bool {
        matches!(self.stage(id), Some(Stage::Committing { .. }))
    }
}
