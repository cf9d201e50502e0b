//! A job's master: carries out what the checkpoint coordinator decides, and restarts.
//!
//! The coordinator is pure; everything it needs done with the world is done here. Slow work
//! (uploads, commits) runs on the runtime and comes back as an event, stamped with the attempt
//! it belongs to, so that what a dead attempt still sends is told apart.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs::File,
    path::PathBuf,
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use hurtig_state::MemoryBudget;

use super::{
    config::JobConfig,
    deployment::{Deployment, WorkerHandle},
    handle::{ExceptionInfo, JobState, JobStatus, Request, Shared, SinkBooks},
    restart::Restarts,
    restore,
};
use crate::{
    checkpoint::{
        AckMetrics, Action, Barrier, CheckpointError, CheckpointId, CheckpointWriter, Coordinator, CoordinatorConfig,
        CoordinatorStart, Event, Manifest, RestorePoint, RestoredCheckpoint, Retention, SubtaskKey, SubtaskSnapshot,
        Totals, UploadedSubtask, snapshot::StoredKeyedState,
    },
    error::{Error, Result},
    sink::{Books, Committer},
    source::{ErasedEnumerator, SplitNames},
    task::{StateSettings, TaskCommand, TaskEvent},
    time::millis,
    worker::WorkerCommand,
};

/// What comes into the master's mailbox.
pub(crate) enum MasterEvent {
    Request(Request),
    /// From a task of an attempt.
    Task(u32, TaskEvent),
    WorkerReady(u32),
    WorkerEnded(u32, Result<()>),
    Uploaded(u32, CheckpointId, SubtaskKey, Uploaded),
    ManifestWritten(CheckpointId, Box<Manifest>, Result<String, CheckpointError>),
    Committed(CheckpointId, Result<()>),
}

/// An upload's outcome and how long it took.
pub(crate) struct Uploaded {
    result: Result<UploadedSubtask, CheckpointError>,
    async_ms: i64,
}

/// What the runner hands over.
pub(super) struct Startup {
    pub shared: Arc<Shared>,
    pub config: JobConfig,
    pub work: PathBuf,
    pub lock: File,
    pub runtime: tokio::runtime::Runtime,
    pub writer: Arc<CheckpointWriter>,
    pub retention: Retention,
    pub committers: Vec<(String, Box<dyn Committer>)>,
    pub initial: Option<RestorePoint>,
    pub mailbox: mpsc::Sender<MasterEvent>,
    pub events: mpsc::Receiver<MasterEvent>,
}

type Committers = Arc<Mutex<Vec<(String, Box<dyn Committer>)>>>;

/// One job's master.
pub(super) struct Master {
    shared: Arc<Shared>,
    config: JobConfig,
    work: PathBuf,
    _lock: File,
    runtime: tokio::runtime::Runtime,
    writer: Arc<CheckpointWriter>,
    retention: Retention,
    committers: Committers,
    mailbox: mpsc::Sender<MasterEvent>,
    events: mpsc::Receiver<MasterEvent>,
    coordinator: Coordinator,
    /// What the next attempt begins from.
    point: Option<RestorePoint>,
    /// The last complete checkpoint in this job's storage: what an upload may build on.
    confirmed: Option<Arc<Manifest>>,
    requests: HashMap<u64, mpsc::Sender<Result<String>>>,
    next_request: u64,
    attempt: Attempt,
    restarts: Restarts,
    memory: Arc<MemoryBudget>,
}

/// What belongs to one attempt and dies with it.
#[derive(Default)]
struct Attempt {
    number: u32,
    began: i64,
    workers: Vec<WorkerHandle>,
    ready: usize,
    sources: Vec<SourceState>,
    ended: HashSet<(usize, usize)>,
    splits: SplitNames,
    pending: Option<Pending>,
    next_poll: i64,
}

struct SourceState {
    vertex: usize,
    uid: String,
    enumerator: Box<dyn ErasedEnumerator>,
    /// The newest event time that a restored split had seen.
    newest: HashMap<String, i64>,
    /// What the readers were last told: known splits without a reader, no more to come.
    told: Option<(usize, bool)>,
}

/// A checkpoint that is being collected.
struct Pending {
    barrier: Barrier,
    triggered_at: i64,
    enumerators: BTreeMap<String, Vec<u8>>,
    subtasks: Vec<SubtaskSnapshot<StoredKeyedState>>,
    full_bytes: u64,
    uploaded_bytes: u64,
    last_ack: i64,
}

/// Why an attempt ended.
enum End {
    Finished,
    Canceled,
    Failed(Error),
}

/// How often enumerators are asked again without an occasion.
const POLL_EVERY_MS: i64 = 1_000;

impl Master {
    pub fn new(s: Startup) -> Self {
        let checkpoints = &s.config.checkpoints;
        let config = CoordinatorConfig {
            interval_ms: checkpoints.interval.map(millis),
            min_pause_ms: millis(checkpoints.min_pause),
            timeout_ms: millis(checkpoints.timeout),
            tolerable_failures: checkpoints.tolerable_failures,
            retained: checkpoints.retained,
        };
        let graph = &s.shared.graph;
        let subtasks =
            graph.vertices.iter().flat_map(|v| (0..v.parallelism).map(|i| SubtaskKey::new(v.uid(), i as u16)));
        let now = s.config.clock.now_ms();
        let coordinator = Coordinator::new(
            config,
            CoordinatorStart {
                subtasks: subtasks.collect(),
                stored: s.retention.stored().collect(),
                restored: s.initial.as_ref().map(|p| restored(p, now)),
                now_ms: now,
            },
        );
        let memory = MemoryBudget::new(s.config.state_memory);
        let restarts = Restarts::new(s.config.restart.clone());
        Master {
            shared: s.shared,
            config: s.config,
            work: s.work,
            _lock: s.lock,
            runtime: s.runtime,
            writer: s.writer,
            retention: s.retention,
            committers: Arc::new(Mutex::new(s.committers)),
            mailbox: s.mailbox,
            events: s.events,
            coordinator,
            point: s.initial,
            confirmed: None,
            requests: HashMap::new(),
            next_request: 0,
            attempt: Attempt::default(),
            restarts,
            memory,
        }
    }

    /// Makes the next attempt's sources ready: what is wrong with them is known before it runs.
    pub fn prepare(&mut self) -> Result<()> {
        let number = self.attempt.number + 1;
        let mut attempt = Attempt { number, ..Attempt::default() };
        let manifest = self.point.as_ref().map(|p| &p.manifest);
        for (v, vertex) in self.shared.graph.vertices.iter().enumerate() {
            let Some(source) = &vertex.source else { continue };
            let state = manifest.and_then(|m| m.enumerators.get(&source.uid).cloned());
            let mut enumerator = (source.enumerator)(state)?;
            let mut newest = HashMap::new();
            if let Some(manifest) = manifest {
                let mut back = Vec::new();
                for (id, bytes, time) in restore::splits(manifest, &source.uid)? {
                    newest.insert(id, time);
                    back.push(bytes);
                }
                enumerator.add_splits_back(back)?;
            }
            let uid = source.uid.clone();
            attempt.sources.push(SourceState { vertex: v, uid, enumerator, newest, told: None });
        }
        self.attempt = attempt;
        Ok(())
    }

    /// Runs the job to its end.
    pub fn run(mut self) {
        loop {
            let end = match self.deploy() {
                Ok(true) => self.watch(),
                Ok(false) => End::Finished,
                Err(e) => End::Failed(e),
            };
            self.stop_workers();
            let error = match end {
                End::Finished => return self.end(JobState::Finished),
                End::Canceled => return self.end(JobState::Canceled),
                End::Failed(error) => error,
            };
            if !self.recover(&error) {
                *lock(&self.shared.failure) = Some(error.to_string());
                return self.end(JobState::Failed);
            }
        }
    }

    /// Commits what the restored checkpoint left open, restores state, starts the workers.
    /// `false`: the checkpoint says that the job had finished, so it has now.
    fn deploy(&mut self) -> Result<bool> {
        self.set_state(JobState::Initializing);
        self.attempt.began = self.now();
        if let Some(point) = &self.point {
            let (id, path) = (point.manifest.id, point.external_path().to_owned());
            let books = self.books(&point.manifest);
            self.update(|s| {
                s.restored_from = Some((id, path));
                s.books = books;
            });
        }
        self.commit_restored()?;
        if self.point.as_ref().is_some_and(|p| p.manifest.finished) {
            return Ok(false);
        }
        let dir = self.work.join(format!("attempt-{}", self.attempt.number));
        let shares = match &self.point {
            None => Default::default(),
            Some(point) => {
                let restored = dir.join("restored");
                self.runtime.block_on(restore::shares(&self.shared.graph, point, &restored))?
            }
        };
        self.confirmed = self.point.as_ref().and_then(|p| self.writer.storage().base_of(p)).cloned().map(Arc::new);
        let number = self.attempt.number;
        let mail = |event: fn(u32, usize, Result<()>) -> MasterEvent| {
            let mailbox = self.mailbox.clone();
            move |worker: usize, result| {
                let _ = mailbox.send(event(number, worker, result));
            }
        };
        let ready = mail(|n, _, _| MasterEvent::WorkerReady(n));
        let ended = mail(|n, _, result| MasterEvent::WorkerEnded(n, result));
        let mailbox = self.mailbox.clone();
        let deployment = Deployment {
            graph: self.shared.graph.clone(),
            metrics: self.shared.metrics.clone(),
            attempt: format!("g{}a{number}", self.writer.generation()),
            clock: self.config.clock.clone(),
            runtime: self.runtime.handle().clone(),
            splits: self.attempt.splits.clone(),
            state: StateSettings {
                kind: self.config.state_backend,
                dir: dir.join("state"),
                memory: self.memory.clone(),
                background_threads: self.config.state_threads,
            },
            snapshots: dir.join("snapshots"),
            network_memory: self.config.network_memory,
            shares,
            events: Arc::new(move |event| {
                let _ = mailbox.send(MasterEvent::Task(number, event));
            }),
            on_ready: Arc::new(move |w| ready(w, Ok(()))),
            on_end: Arc::new(ended),
        };
        self.attempt.workers = deployment.start()?;
        Ok(true)
    }

    fn commit_restored(&mut self) -> Result<()> {
        let mut committers = lock(&self.committers);
        for (uid, committer) in committers.iter_mut() {
            if let Some(point) = &self.point {
                let committables = restore::committables(&point.manifest, uid);
                if !committables.is_empty() {
                    committer.commit(&committables)?;
                }
            }
            committer.remove_orphans()?;
        }
        Ok(())
    }

    /// Handles events until the attempt ends.
    fn watch(&mut self) -> End {
        loop {
            let now = self.now();
            let mut wakeup = self.coordinator.next_wakeup().unwrap_or(i64::MAX);
            wakeup = wakeup.min(self.attempt.next_poll);
            let wait = Duration::from_millis(u64::try_from(wakeup.saturating_sub(now)).unwrap_or(0));
            let event = self.events.recv_timeout(wait.min(Duration::from_millis(500)));
            let handled = match event {
                Ok(event) => self.handle(event),
                Err(_) => Ok(None),
            };
            let handled = handled.and_then(|end| match end {
                Some(end) => Ok(Some(end)),
                None => self.poll_sources().and_then(|()| self.feed(Event::Tick)),
            });
            match handled {
                Ok(None) => {}
                Ok(Some(end)) => return end,
                Err(e) => return End::Failed(e),
            }
        }
    }

    fn handle(&mut self, event: MasterEvent) -> Result<Option<End>> {
        let current = self.attempt.number;
        match event {
            MasterEvent::Request(request) => return self.request(request),
            MasterEvent::WorkerReady(n) if n == current => {
                self.attempt.ready += 1;
                if self.attempt.ready == self.attempt.workers.len() {
                    self.set_state(JobState::Running);
                }
            }
            MasterEvent::WorkerEnded(n, Err(e)) if n == current => return Err(e),
            MasterEvent::Task(n, event) if n == current => return self.task_event(event),
            MasterEvent::Uploaded(n, id, subtask, uploaded) if n == current => {
                return self.uploaded(id, subtask, uploaded);
            }
            MasterEvent::ManifestWritten(id, manifest, result) => {
                return match result {
                    Ok(path) => {
                        self.retention.completed(&manifest);
                        self.confirmed = Some(Arc::from(manifest));
                        self.feed(Event::ManifestWritten { id, path })
                    }
                    Err(CheckpointError::Fenced { .. }) => {
                        Err(Error::from(result.err().unwrap_or(CheckpointError::Failpoint { name: "fenced" })))
                    }
                    Err(e) => self.feed(Event::ManifestFailed { id, reason: e.to_string() }),
                };
            }
            MasterEvent::Committed(id, result) => {
                return match result {
                    Ok(()) => {
                        if let Some(manifest) = self.confirmed.clone() {
                            let books = self.books(&manifest);
                            self.update(|s| s.books = books);
                        }
                        self.command_all(&TaskCommand::CheckpointComplete(id));
                        self.feed(Event::Committed { id })
                    }
                    Err(e) => self.feed(Event::CommitFailed { id, reason: e.to_string() }),
                };
            }
            _ => {} // of an attempt that is over
        }
        Ok(None)
    }

    fn request(&mut self, request: Request) -> Result<Option<End>> {
        let number = self.next_request;
        self.next_request += 1;
        match request {
            Request::Cancel => {
                self.set_state(JobState::Cancelling);
                Ok(Some(End::Canceled))
            }
            Request::Checkpoint { answer } => {
                self.requests.insert(number, answer);
                self.feed(Event::CheckpointRequested { request: number })
            }
            Request::Savepoint { directory, kind, answer } => {
                self.requests.insert(number, answer);
                let default = || self.config.data_dir.join("savepoints").display().to_string();
                let directory = directory.unwrap_or_else(default);
                self.feed(Event::SavepointRequested { request: number, directory, kind })
            }
        }
    }

    fn task_event(&mut self, event: TaskEvent) -> Result<Option<End>> {
        match event {
            TaskEvent::Snapshot { barrier, snapshot, .. } => {
                let subtask = SubtaskKey::new(&snapshot.vertex_uid, snapshot.subtask);
                let (writer, confirmed) = (self.writer.clone(), self.confirmed.clone());
                let (mailbox, clock) = (self.mailbox.clone(), self.config.clock.clone());
                let attempt = self.attempt.number;
                self.runtime.spawn(async move {
                    let begun = clock.now_ms();
                    let result = writer.upload_subtask(barrier.id, snapshot, confirmed.as_deref()).await;
                    let uploaded = Uploaded { result, async_ms: clock.now_ms() - begun };
                    let _ = mailbox.send(MasterEvent::Uploaded(attempt, barrier.id, subtask, uploaded));
                });
            }
            TaskEvent::SplitFinished { vertex, split } => {
                let name = self.attempt.splits.name(split);
                if let Some(source) = self.attempt.sources.iter_mut().find(|s| s.vertex == vertex) {
                    source.enumerator.split_finished(&name);
                }
                self.attempt.next_poll = 0;
            }
            TaskEvent::SourceEnded { vertex, subtask } => {
                self.attempt.ended.insert((vertex, subtask));
                let graph = &self.shared.graph;
                let all: usize = graph.vertices.iter().filter(|v| v.is_source()).map(|v| v.parallelism).sum();
                if self.attempt.ended.len() == all {
                    return self.feed(Event::SourcesEnded);
                }
            }
        }
        Ok(None)
    }

    fn uploaded(&mut self, id: CheckpointId, subtask: SubtaskKey, uploaded: Uploaded) -> Result<Option<End>> {
        let now = self.now();
        let done = match uploaded.result {
            Ok(done) => done,
            Err(e) => {
                tracing::warn!("checkpoint {id}: {e}");
                return self.feed(Event::Declined { id, reason: e.to_string() });
            }
        };
        let metrics = AckMetrics {
            full_bytes: done.full_bytes,
            uploaded_bytes: done.uploaded_bytes,
            start_delay_ms: 0,
            alignment_ms: done.snapshot.alignment_ms,
            sync_ms: done.snapshot.sync_ms,
            async_ms: uploaded.async_ms,
        };
        if let Some(pending) = self.attempt.pending.as_mut().filter(|p| p.barrier.id == id) {
            pending.full_bytes += done.full_bytes;
            pending.uploaded_bytes += done.uploaded_bytes;
            pending.subtasks.push(done.snapshot);
            pending.last_ack = now;
        }
        self.feed(Event::Acked { id, subtask, metrics })
    }

    /// Gives the coordinator an event and does what it says.
    fn feed(&mut self, event: Event) -> Result<Option<End>> {
        let actions = self.coordinator.on_event(self.now(), event.clone());
        let news = !actions.is_empty() || event != Event::Tick;
        let mut end = None;
        for action in actions {
            if let Some(e) = self.act(action)? {
                end = Some(e);
            }
        }
        if news {
            let statistics = self.coordinator.statistics().clone();
            self.update(|s| s.checkpoints = statistics);
        }
        Ok(end)
    }

    fn act(&mut self, action: Action) -> Result<Option<End>> {
        match action {
            Action::Trigger { barrier } => self.trigger(barrier)?,
            Action::Abort { id, reason } => {
                tracing::warn!("checkpoint {id} was given up: {reason}");
                self.attempt.pending = None;
            }
            Action::WriteManifest { id, savepoint } => self.write_manifest(id, savepoint),
            Action::Commit { id } => self.commit(id),
            Action::Discard { id } => {
                if let Err(e) = self.runtime.block_on(self.writer.discard(id)) {
                    tracing::warn!("what checkpoint {id} left behind could not be removed: {e}");
                }
            }
            Action::Subsume { ids } => {
                let subsumed = self.runtime.block_on(self.retention.subsume(&self.writer, &ids));
                if let Err(e) = subsumed {
                    tracing::warn!("old checkpoints {ids:?} could not be removed: {e}");
                }
            }
            Action::FailJob { reason } => return Err(Error::Request(reason)),
            Action::AnswerRequest { request, answer } => {
                if let Some(sender) = self.requests.remove(&request) {
                    let _ = sender.send(answer.map(|a| a.path).map_err(Error::Request));
                }
            }
            Action::Finished => return Ok(Some(End::Finished)),
        }
        Ok(None)
    }

    /// Snapshots the enumerators and sends the barrier: what is assigned later queues behind it.
    fn trigger(&mut self, barrier: Barrier) -> Result<()> {
        let now = self.now();
        let mut enumerators = BTreeMap::new();
        for source in &self.attempt.sources {
            enumerators.insert(source.uid.clone(), source.enumerator.snapshot()?);
        }
        self.attempt.pending = Some(Pending {
            barrier,
            triggered_at: now,
            enumerators,
            subtasks: Vec::new(),
            full_bytes: 0,
            uploaded_bytes: 0,
            last_ack: now,
        });
        for source in &self.attempt.sources {
            for worker in &self.attempt.workers {
                worker.send(WorkerCommand::Task(source.vertex, TaskCommand::Trigger(barrier)));
            }
        }
        Ok(())
    }

    fn write_manifest(&mut self, id: CheckpointId, savepoint: Option<String>) {
        let Some(pending) = self.attempt.pending.take().filter(|p| p.barrier.id == id) else { return };
        let graph = &self.shared.graph;
        let parallelism = graph.vertices.iter().map(|v| v.parallelism).max().unwrap_or(1);
        let mut manifest = Manifest {
            format: 0,
            job_name: graph.name.clone(),
            job_id: self.shared.id.clone(),
            id,
            kind: pending.barrier.kind,
            finished: pending.barrier.kind == crate::checkpoint::CheckpointKind::Final,
            generation: self.writer.generation(),
            created_at: pending.triggered_at,
            parallelism: parallelism as u16,
            max_parallelism: graph.max_parallelism,
            files_at: Default::default(),
            totals: Totals {
                full_bytes: pending.full_bytes,
                uploaded_bytes: pending.uploaded_bytes,
                duration_ms: pending.last_ack - pending.triggered_at,
            },
            subtasks: pending.subtasks,
            enumerators: pending.enumerators,
            split_names: BTreeMap::new(),
        };
        let (writer, mailbox) = (self.writer.clone(), self.mailbox.clone());
        let token = format!("{:012x}", (self.now() as u64) << 8 | (id & 0xff));
        self.runtime.spawn(async move {
            let result = async {
                let exported = match &savepoint {
                    Some(directory) => Some(writer.export_savepoint(&manifest, directory, &token).await?),
                    None => None,
                };
                let path = writer.write_manifest(&mut manifest).await?;
                Ok(exported.unwrap_or(path))
            };
            let result = result.await;
            let _ = mailbox.send(MasterEvent::ManifestWritten(id, Box::new(manifest), result));
        });
    }

    fn commit(&mut self, id: CheckpointId) {
        let (committers, mailbox) = (self.committers.clone(), self.mailbox.clone());
        let manifest = self.confirmed.clone();
        self.runtime.spawn_blocking(move || {
            let mut result = Ok(());
            for (uid, committer) in lock(&committers).iter_mut() {
                let committables = manifest.as_ref().map(|m| restore::committables(m, uid)).unwrap_or_default();
                if !committables.is_empty() && result.is_ok() {
                    result = committer.commit(&committables);
                }
            }
            let _ = mailbox.send(MasterEvent::Committed(id, result));
        });
    }

    /// Lets the enumerators assign what they can.
    fn poll_sources(&mut self) -> Result<()> {
        let now = self.now();
        if now < self.attempt.next_poll {
            return Ok(());
        }
        self.attempt.next_poll = now + POLL_EVERY_MS;
        for source in &mut self.attempt.sources {
            let readers = self.shared.graph.vertices[source.vertex].parallelism;
            let decided = source.enumerator.poll(readers)?;
            let mut splits: Vec<Vec<(u32, Vec<u8>, i64)>> = vec![Vec::new(); readers];
            for (reader, id, bytes) in decided.assigned {
                let newest = source.newest.get(&id).copied().unwrap_or(crate::time::NO_TIMESTAMP);
                let number = self.attempt.splits.number(&id);
                splits[reader % readers].push((number, bytes, newest));
            }
            let told = Some((decided.unassigned, decided.no_more));
            for (reader, splits) in splits.into_iter().enumerate() {
                if splits.is_empty() && source.told == told {
                    continue;
                }
                let command =
                    TaskCommand::AssignSplits { splits, unassigned: decided.unassigned, no_more: decided.no_more };
                self.attempt.workers[reader].send(WorkerCommand::Task(source.vertex, command));
            }
            source.told = told;
        }
        Ok(())
    }

    fn command_all(&self, command: &TaskCommand) {
        for (v, vertex) in self.shared.graph.vertices.iter().enumerate() {
            for worker in self.attempt.workers.iter().take(vertex.parallelism) {
                worker.send(WorkerCommand::Task(v, command.clone()));
            }
        }
    }

    fn stop_workers(&mut self) {
        for worker in &self.attempt.workers {
            worker.send(WorkerCommand::Stop);
        }
        for worker in &mut self.attempt.workers {
            worker.join();
        }
        self.attempt.workers.clear();
    }

    /// After a failure: waits and makes the next attempt ready. `false`: it is over.
    fn recover(&mut self, error: &Error) -> bool {
        self.set_state(JobState::Failing);
        let now = self.now();
        tracing::error!("{error}");
        let task = match error {
            Error::User { vertex, .. } => Some(vertex.clone()),
            _ => None,
        };
        self.update(|s| s.exceptions.push(ExceptionInfo { timestamp: now, task, message: error.to_string() }));
        // Another process has taken the job over: going on would only disturb it.
        if matches!(error, Error::Checkpoint(CheckpointError::Fenced { .. })) {
            return false;
        }
        let _ = self.feed(Event::TaskFailed { reason: error.to_string() });
        let Some(delay) = self.restarts.next_delay(self.attempt.began, now) else { return false };
        self.set_state(JobState::Restarting);
        tracing::info!("restarting in {delay:?}");
        if !self.wait(now + millis(delay)) {
            return false;
        }
        self.update(|s| s.restarts += 1);
        let _ = std::fs::remove_dir_all(self.work.join(format!("attempt-{}", self.attempt.number)));
        match self.runtime.block_on(self.writer.storage().latest()) {
            Ok(Some(latest)) => self.point = Some(latest),
            Ok(None) => {} // the savepoint it was started from, or nothing
            Err(e) => tracing::warn!("the latest checkpoint cannot be read: {e}"),
        }
        if let Err(e) = self.prepare() {
            tracing::error!("{e}");
            let message = e.to_string();
            self.update(|s| s.exceptions.push(ExceptionInfo { timestamp: now, task: None, message }));
            self.attempt.number += 1;
            return self.recover(&e);
        }
        let restored = self.point.as_ref().map(|p| restored(p, self.now()));
        self.feed(Event::Restarted { restored }).is_ok()
    }

    /// Waits until `until`, and until nothing is being written. `false`: cancelled meanwhile.
    fn wait(&mut self, until: i64) -> bool {
        loop {
            let now = self.now();
            if now >= until && self.coordinator.is_settled() {
                return true;
            }
            let wait = u64::try_from(until - now).unwrap_or(0).clamp(1, 100);
            let Ok(event) = self.events.recv_timeout(Duration::from_millis(wait)) else { continue };
            match event {
                MasterEvent::Request(Request::Cancel) => {
                    self.set_state(JobState::Cancelling);
                    return false;
                }
                MasterEvent::ManifestWritten(id, manifest, Ok(path)) => {
                    self.retention.completed(&manifest);
                    let _ = self.feed(Event::ManifestWritten { id, path });
                }
                MasterEvent::ManifestWritten(id, _, Err(e)) => {
                    let _ = self.feed(Event::ManifestFailed { id, reason: e.to_string() });
                }
                MasterEvent::Request(request) => {
                    let _ = self.request(request);
                }
                _ => {}
            }
        }
    }

    fn end(mut self, state: JobState) {
        let canceled = lock(&self.shared.status).state == JobState::Cancelling;
        let state = if canceled && state == JobState::Failed { JobState::Canceled } else { state };
        // Late events of the last attempt are not waited for, but a manifest that is being
        // written decides what `--from latest` finds: it is.
        let _ = self.feed(Event::TaskFailed { reason: "the job has ended".into() });
        if !self.coordinator.is_settled() {
            let _ = self.wait(self.now());
        }
        *lock(&self.shared.mailbox) = None;
        for (_, answer) in self.requests.drain() {
            let _ = answer.send(Err(Error::Request(format!("the job has ended: it is {state}"))));
        }
        let _ = std::fs::remove_dir_all(&self.work);
        let now = self.now();
        drop(self._lock);
        let mut status = lock(&self.shared.status);
        status.end_time = Some(now);
        status.state = state;
        status.timestamps.push((state, now));
        self.shared.changed.notify_all();
    }

    fn books(&self, manifest: &Manifest) -> Vec<SinkBooks> {
        let counters = manifest.counters();
        let vertices = self.shared.graph.vertices.iter();
        let sinks = vertices.flat_map(|v| v.committers.iter().filter_map(|c| v.operators.get(c.operator)));
        let books = sinks.map(|sink| {
            let of_sink = counters.get(sink.uid.as_str());
            let count = |name| of_sink.and_then(|c| c.get(name)).copied().unwrap_or(0);
            SinkBooks {
                uid: sink.uid.clone(),
                name: sink.name.clone(),
                books: Books {
                    read: count("read"),
                    written: count("written"),
                    rejected: count("rejected"),
                    dead_lettered: count("dead_lettered"),
                },
            }
        });
        books.collect()
    }

    fn set_state(&self, state: JobState) {
        let now = self.now();
        self.update(|s| {
            s.state = state;
            s.timestamps.push((state, now));
        });
    }

    fn update(&self, change: impl FnOnce(&mut JobStatus)) {
        change(&mut lock(&self.shared.status));
        self.shared.changed.notify_all();
    }

    fn now(&self) -> i64 {
        self.config.clock.now_ms()
    }
}

fn restored(point: &RestorePoint, now: i64) -> RestoredCheckpoint {
    RestoredCheckpoint {
        id: point.manifest.id,
        is_savepoint: point.manifest.kind.is_savepoint(),
        external_path: point.external_path().to_owned(),
        restored_at: now,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}
