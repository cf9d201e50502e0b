//! The coordinator among tasks, storage and users that fail, under seeds.
//!
//! Each seed is a world of its own: delays, lost and late acknowledgements, declines, manifests
//! that fail (and may be there all the same), commits that fail or are never answered, task
//! failures, requests. After a while the faults cease, and then the job has to end. A failing seed
//! prints itself; `HURTIG_SEED=n` runs that one alone.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::*;

const SEEDS: u64 = 3_000;
const CALM_AT: i64 = 20_000;
const END_AT: i64 = 60_000;
const SUBTASKS: u16 = 4;

#[test]
fn invariants_hold_under_any_seed() {
    let only = std::env::var("HURTIG_SEED").ok().and_then(|seed| seed.parse().ok());
    let mut completed = 0;
    for seed in only.map_or(0..SEEDS, |seed| seed..seed + 1) {
        let printer = PrintSeed(seed);
        completed += World::new(seed).play();
        drop(printer);
    }
    assert!(only.is_some() || completed > SEEDS, "the worlds make progress");
}

/// Prints the seed if the test panics.
struct PrintSeed(u64);

impl Drop for PrintSeed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("failing seed: run with HURTIG_SEED={}", self.0);
        }
    }
}

/// What will happen, unless the tasks of `attempt` are gone by then.
enum Planned {
    Tell { attempt: Option<u64>, event: Event },
    Manifest { id: CheckpointId, durable: bool, told: Event },
    Restart,
    AskCheckpoint,
    AskSavepoint(CheckpointKind),
}

struct World {
    random: SmallRng,
    coordinator: Coordinator,
    now: i64,
    planned: BTreeMap<Reverse<(i64, u64)>, Planned>,
    sequence: u64,
    /// Counts task restarts.
    attempt: u64,
    running: bool,
    sources_ended: bool,
    over: bool,
    in_flight: Option<Barrier>,
    last_id: CheckpointId,
    acked: BTreeSet<SubtaskKey>,
    /// Manifests that are in the storage.
    durable: BTreeMap<CheckpointId, CheckpointKind>,
    /// Manifests that the coordinator was told of.
    completed: Vec<CheckpointId>,
    committed: BTreeSet<CheckpointId>,
    asked: u64,
    unanswered: BTreeSet<u64>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = SmallRng::seed_from_u64(seed);
        let config = CoordinatorConfig {
            interval_ms: random.random_bool(0.9).then(|| random.random_range(10..400)),
            min_pause_ms: random.random_range(0..100),
            timeout_ms: random.random_range(100..600),
            tolerable_failures: random.random_range(0..3),
            retained: random.random_range(0..4),
        };
        let start = CoordinatorStart { subtasks: (0..SUBTASKS).map(subtask).collect(), ..CoordinatorStart::default() };
        let mut world = World {
            random,
            coordinator: Coordinator::new(config, start),
            now: 0,
            planned: BTreeMap::new(),
            sequence: 0,
            attempt: 0,
            running: true,
            sources_ended: false,
            over: false,
            in_flight: None,
            last_id: 0,
            acked: BTreeSet::new(),
            durable: BTreeMap::new(),
            completed: Vec::new(),
            committed: BTreeSet::new(),
            asked: 0,
            unanswered: BTreeSet::new(),
        };
        for _ in 0..world.random.random_range(0..20) {
            let planned = match world.random.random_range(0..8) {
                0..3 => Planned::AskCheckpoint,
                3..7 => Planned::AskSavepoint(CheckpointKind::Savepoint),
                _ => Planned::AskSavepoint(CheckpointKind::StopWithSavepoint { drain: world.random.random() }),
            };
            world.plan(0..CALM_AT, planned);
        }
        world.tasks_started();
        world
    }

    /// Runs to the end; how many checkpoints were completed.
    fn play(mut self) -> u64 {
        while !self.over {
            let next = self.planned.last_key_value().map(|(Reverse((at, _)), _)| *at);
            let wakeup = self.coordinator.next_wakeup();
            let at = [next, wakeup].into_iter().flatten().min().expect("something is always going to happen");
            self.now = self.now.max(at);
            assert!(self.now < END_AT, "the job ends once the faults cease");
            if wakeup.is_some_and(|wakeup| wakeup <= self.now) {
                let actions = self.coordinator.on_event(self.now, Event::Tick);
                assert!(!actions.is_empty(), "a wakeup has an effect");
                self.carry_out(actions);
            } else if let Some((_, planned)) = self.planned.pop_last() {
                self.happen(planned);
            }
            self.check();
        }
        assert_eq!(self.unanswered, BTreeSet::new(), "every request is answered");
        self.completed.len() as u64
    }

    fn check(&self) {
        let counts = self.coordinator.statistics().counts;
        assert_eq!(counts.total, counts.completed + counts.failed + counts.in_progress);
        assert_eq!(counts.completed, self.completed.len() as u64);
        assert!(counts.in_progress <= 1);
        assert_eq!(self.coordinator.in_flight(), self.in_flight);
        assert!(self.completed.is_sorted_by(|a, b| a < b), "completed numbers ascend");
        assert!(self.completed.is_empty() || !self.durable.is_empty(), "there is always one to restore from");
    }

    fn happen(&mut self, planned: Planned) {
        match planned {
            Planned::Tell { attempt, .. } if attempt.is_some_and(|a| a != self.attempt || !self.running) => {}
            Planned::Tell { event, .. } => self.tell(event),
            Planned::Manifest { id, durable, told } => {
                if durable {
                    let kind = self.in_flight.expect("writing").kind;
                    assert!(self.durable.insert(id, kind).is_none());
                }
                self.tell(told);
            }
            Planned::Restart if !self.coordinator.is_settled() => self.plan(1..50, Planned::Restart),
            Planned::Restart => self.restart(),
            Planned::AskCheckpoint => {
                let request = self.ask();
                self.tell(Event::CheckpointRequested { request });
            }
            Planned::AskSavepoint(kind) => {
                let request = self.ask();
                self.tell(Event::SavepointRequested { request, directory: "/s".to_owned(), kind });
            }
        }
    }

    fn tell(&mut self, event: Event) {
        match &event {
            Event::ManifestWritten { id, .. } => self.completed.push(*id),
            Event::TaskFailed { .. } => self.tasks_gone(),
            Event::SourcesEnded => self.sources_ended = true,
            Event::Committed { id } => {
                self.committed.insert(*id);
                self.in_flight = None;
            }
            Event::Acked { id, subtask, .. } if self.in_flight.is_some_and(|b| b.id == *id) => {
                self.acked.insert(subtask.clone());
            }
            _ => {}
        }
        let written_for_nobody = matches!(event, Event::ManifestWritten { .. }) && !self.running;
        let actions = self.coordinator.on_event(self.now, event);
        if written_for_nobody {
            self.in_flight = None;
        }
        self.carry_out(actions);
    }

    fn carry_out(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Trigger { barrier } => self.triggered(barrier),
                Action::Abort { id, .. } => {
                    assert_eq!(self.in_flight.take().map(|b| b.id), Some(id));
                }
                Action::WriteManifest { id, savepoint } => self.write_manifest(id, savepoint),
                Action::Commit { id } => self.commit(id),
                Action::Discard { id } => {
                    assert!(!self.completed.contains(&id), "a completed checkpoint is not discarded");
                    self.durable.remove(&id);
                }
                Action::Subsume { ids } => {
                    for id in ids {
                        assert!(self.completed.contains(&id) && self.completed.last() != Some(&id));
                        assert!(self.durable.remove(&id).is_some(), "subsumed once");
                    }
                }
                Action::FailJob { .. } => self.tasks_gone(),
                Action::AnswerRequest { request, answer } => {
                    assert!(self.unanswered.remove(&request), "request {request} is answered once");
                    if let Ok(answer) = answer {
                        assert!(self.durable.contains_key(&answer.id), "the answer is there");
                    }
                }
                Action::Finished => {
                    let last = self.completed.last().expect("finished with a checkpoint");
                    assert!(self.durable[last].ends_job() && self.committed.contains(last));
                    assert_eq!(self.in_flight, None);
                    self.over = true;
                }
            }
        }
    }

    fn triggered(&mut self, barrier: Barrier) {
        assert!(self.running && self.in_flight.is_none(), "one in flight, its commit included");
        assert!(barrier.id > self.last_id, "numbers ascend");
        assert_eq!(barrier.kind == CheckpointKind::Final, self.sources_ended, "the last one, at the end of input");
        assert!(self.completed.last().is_none_or(|last| self.committed.contains(last)));
        self.in_flight = Some(barrier);
        self.last_id = barrier.id;
        self.acked.clear();
        let id = barrier.id;
        for index in 0..SUBTASKS {
            let attempt = Some(self.attempt);
            let ack = Event::Acked { id, subtask: subtask(index), metrics: AckMetrics::default() };
            match self.fault() {
                0..3 => {}
                3..5 => {
                    let event = Event::Declined { id, reason: "declined".to_owned() };
                    self.plan(1..60, Planned::Tell { attempt, event });
                }
                // Later than any timeout, and also from tasks that are gone.
                5..8 => self.plan(400..900, Planned::Tell { attempt: None, event: ack }),
                8..11 => {
                    self.plan(1..60, Planned::Tell { attempt, event: ack.clone() });
                    self.plan(1..900, Planned::Tell { attempt: None, event: ack });
                }
                _ => self.plan(1..60, Planned::Tell { attempt, event: ack }),
            }
        }
    }

    fn write_manifest(&mut self, id: CheckpointId, savepoint: Option<String>) {
        let barrier = self.in_flight.expect("in flight");
        assert_eq!(barrier.id, id);
        assert_eq!(barrier.kind.is_savepoint(), savepoint.is_some());
        assert_eq!(self.acked.len(), usize::from(SUBTASKS), "all subtasks have acknowledged");
        let (durable, told) = match self.fault() {
            0..10 => (self.random.random(), Event::ManifestFailed { id, reason: "manifest".to_owned() }),
            _ => (true, Event::ManifestWritten { id, path: format!("/c/{id}") }),
        };
        self.plan(1..100, Planned::Manifest { id, durable, told });
    }

    fn commit(&mut self, id: CheckpointId) {
        assert!(self.running && self.completed.last() == Some(&id) && self.durable.contains_key(&id));
        let event = match self.fault() {
            0..4 => Event::CommitFailed { id, reason: "commit".to_owned() },
            4..7 => return,
            _ => Event::Committed { id },
        };
        let attempt = Some(self.attempt);
        self.plan(1..60, Planned::Tell { attempt, event });
    }

    fn tasks_started(&mut self) {
        self.running = true;
        self.sources_ended = false;
        let attempt = Some(self.attempt);
        let ended = if self.random.random_bool(0.3) { CALM_AT } else { CALM_AT / 4 };
        self.plan(0..ended, Planned::Tell { attempt, event: Event::SourcesEnded });
        if self.now < CALM_AT && self.random.random_bool(0.5) {
            let event = Event::TaskFailed { reason: "panic".to_owned() };
            self.plan(0..CALM_AT / 8, Planned::Tell { attempt, event });
        }
    }

    fn tasks_gone(&mut self) {
        self.running = false;
        // A commit that nobody will answer any more; a manifest is still waited for.
        if self.coordinator.is_settled() {
            self.in_flight = self.in_flight.filter(|barrier| !self.completed.contains(&barrier.id));
        }
        self.plan(1..300, Planned::Restart);
    }

    fn restart(&mut self) {
        assert!(!self.running);
        self.attempt += 1;
        let latest = self.durable.last_key_value().map(|(id, kind)| (*id, *kind));
        assert_eq!(latest.map(|(id, _)| id), self.completed.last().copied(), "the latest is the last completed");
        if let Some((id, kind)) = latest {
            // The restore commits what the checkpoint holds.
            self.committed.insert(id);
            if kind == CheckpointKind::Final {
                self.over = true;
                return;
            }
        }
        let restored = latest.map(|(id, kind)| RestoredCheckpoint {
            id,
            is_savepoint: kind.is_savepoint(),
            external_path: format!("/c/{id}"),
            restored_at: self.now,
        });
        self.tasks_started();
        self.tell(Event::Restarted { restored });
    }

    fn ask(&mut self) -> u64 {
        self.asked += 1;
        self.unanswered.insert(self.asked);
        self.asked
    }

    /// 0 to 99; the low numbers are faults, which cease.
    fn fault(&mut self) -> u32 {
        if self.now < CALM_AT { self.random.random_range(0..100) } else { 99 }
    }

    fn plan(&mut self, delay: std::ops::Range<i64>, planned: Planned) {
        self.sequence += 1;
        let at = self.now + self.random.random_range(delay);
        self.planned.insert(Reverse((at, self.sequence)), planned);
    }
}

fn subtask(index: u16) -> SubtaskKey {
    SubtaskKey::new(if index < SUBTASKS / 2 { "source" } else { "sink" }, index % (SUBTASKS / 2))
}
