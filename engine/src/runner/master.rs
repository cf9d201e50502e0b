//! A job's master: carries out what the checkpoint coordinator decides, and restarts.
//!
//! The coordinator is pure; everything it needs done with the world is done here. Slow work
//! (uploads, commits) runs on the runtime and comes back as an event. What a dead attempt still
//! sends is told apart by its attempt's number, or by the number of a checkpoint that is over.

mod checkpoints;
mod recovery;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs::File,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use hurtig_state::MemoryBudget;

use super::{
    config::JobConfig,
    deployment::{Deployment, Ended, WorkerHandle},
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
    source::{EnumeratorContext, EnumeratorWaker, ErasedEnumerator, SplitNames},
    task::{StateSettings, TaskCommand, TaskEvent, chain_task::snapshot_dir, pool::UnderWay},
    time::millis,
    worker::{WorkerCommand, panic_message},
};

/// What comes into the master's mailbox.
pub(crate) enum MasterEvent {
    Request(Request),
    /// From a task of an attempt.
    Task(u32, TaskEvent),
    WorkerReady(u32),
    /// An enumerator of an attempt has something to assign.
    SplitsFound(u32),
    WorkerEnded(u32, Ended),
    /// From any attempt: what a dead one has uploaded is discarded.
    Uploaded(CheckpointId, SubtaskKey, Uploaded),
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
    /// The latest checkpoint that another run has left here, when this one starts afresh.
    pub earlier: Option<RestorePoint>,
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
    /// Another run's latest checkpoint: what it promised is made visible, and no more.
    earlier: Option<RestorePoint>,
    /// Whether a commit runs, which a restart has to wait for.
    committing: bool,
    /// Whether any worker's tasks have run: what fails before that, but for the storage of
    /// checkpoints, will fail again.
    has_run: bool,
    /// The last complete checkpoint in this job's storage: what an upload may build on.
    confirmed: Option<Arc<Manifest>>,
    requests: HashMap<u64, mpsc::Sender<Result<String>>>,
    next_request: u64,
    /// The enumerators as they were first made, before they gave anything out: a restart without a
    /// checkpoint begins with them again, so that "latest" is what it was.
    first: HashMap<String, Vec<u8>>,
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
    /// Its work on the pool.
    under_way: UnderWay,
}

struct SourceState {
    vertex: usize,
    uid: String,
    enumerator: Box<dyn ErasedEnumerator>,
    /// The newest event time that a restored split had seen.
    newest: HashMap<String, i64>,
    /// What the readers were last told: known splits without a reader, no more to come.
    told: Option<(usize, bool)>,
    /// Splits that are at their end, by reader: after the next poll they let go of the watermark.
    finished: Vec<(usize, u32)>,
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

/// How long a cancelled job waits for what its sinks have under way: somebody wants it gone.
const PATIENCE: Duration = Duration::from_secs(5);

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
            earlier: s.earlier,
            committing: false,
            has_run: false,
            confirmed: None,
            requests: HashMap::new(),
            next_request: 0,
            first: HashMap::new(),
            attempt: Attempt::default(),
            restarts,
            memory,
        }
    }

    /// Makes the next attempt's sources ready: what is wrong with them is known before it runs.
    pub fn prepare(&mut self) -> Result<()> {
        let number = self.attempt.number + 1;
        let mut attempt = Attempt { number, ..Attempt::default() };
        for metrics in self.shared.metrics.iter().flatten() {
            metrics.registry.clear();
        }
        let manifest = self.point.as_ref().map(|p| &p.manifest);
        for (v, vertex) in self.shared.graph.vertices.iter().enumerate() {
            let Some(source) = &vertex.source else { continue };
            let state = match manifest {
                Some(m) => m.enumerators.get(&source.uid).cloned(),
                None => self.first.get(&source.uid).cloned(),
            };
            let fresh = state.is_none();
            let (mailbox, metrics) = (self.mailbox.clone(), &self.shared.metrics[v]);
            let name = vertex.operators.first().map_or("", |o| o.name.as_str());
            let ctx = EnumeratorContext {
                job: self.shared.graph.name.clone(),
                uid: source.uid.clone(),
                readers: vertex.parallelism,
                clock: self.config.clock.clone(),
                waker: EnumeratorWaker::new(move || {
                    let _ = mailbox.send(MasterEvent::SplitsFound(number));
                }),
                runtime: self.runtime.handle().clone(),
                metrics: metrics[0].registry.of(&source.uid, name),
            };
            let mut enumerator = (source.enumerator)(ctx, state)?;
            if fresh && manifest.is_none() {
                self.first.insert(source.uid.clone(), enumerator.snapshot()?);
            }
            let (mut newest, mut back) = (HashMap::new(), Vec::new());
            for (id, bytes, time) in manifest.map_or(Ok(Vec::new()), |m| restore::splits(m, &source.uid))? {
                newest.insert(id, time);
                back.push(bytes);
            }
            // With its first state as with a checkpoint's, an enumerator is told what nobody has read.
            if manifest.is_some() || !fresh {
                enumerator.add_splits_back(back)?;
            }
            let uid = source.uid.clone();
            attempt.sources.push(SourceState { vertex: v, uid, enumerator, newest, told: None, finished: Vec::new() });
        }
        self.attempt = attempt;
        Ok(())
    }

    /// Runs the job to its end.
    pub fn run(mut self) {
        loop {
            // Enumerators and committers are user code too, and run on this thread.
            let attempt = AssertUnwindSafe(|| match self.deploy() {
                Ok(true) => self.watch(),
                Ok(false) => End::Finished,
                Err(e) => End::Failed(e),
            });
            let end =
                catch_unwind(attempt).unwrap_or_else(|panic| End::Failed(user_panic("the job's master", &*panic)));
            self.stop_workers(matches!(end, End::Canceled).then_some(PATIENCE));
            let error = match end {
                End::Finished => return self.end(JobState::Finished),
                End::Canceled => return self.end(JobState::Canceled),
                End::Failed(error) => error,
            };
            if let Err(last) = self.recover(error) {
                *lock(&self.shared.failure) = Some(last.to_string());
                return self.end(JobState::Failed);
            }
        }
    }

    /// Commits what the restored checkpoint left open, restores state, starts the workers.
    /// `false`: the checkpoint says that the job had finished, so it has now.
    fn deploy(&mut self) -> Result<bool> {
        self.set_state(JobState::Initializing);
        self.attempt.began = self.now();
        // A run that was taken over must not touch what the newer one writes.
        self.runtime.block_on(self.writer.check_fence())?;
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
        let dir = self.attempt_dir();
        let shares = match &self.point {
            None => Default::default(),
            Some(point) => {
                let restored = dir.join("restored");
                self.runtime.block_on(restore::shares(&self.shared.graph, point, &restored))?
            }
        };
        self.confirmed = self.point.as_ref().and_then(|p| self.writer.storage().base_of(p)).cloned().map(Arc::new);
        let number = self.attempt.number;
        let (ready, ended) = (self.mailbox.clone(), self.mailbox.clone());
        let mailbox = self.mailbox.clone();
        let deployment = Deployment {
            graph: self.shared.graph.clone(),
            metrics: self.shared.metrics.clone(),
            // The run's id too: generations are counted in one place for checkpoints, but several runs
            // may write to one lake. (The id's end: its beginning is the same for every run of a job.)
            attempt: format!("{:.8}g{}a{number}", &self.shared.id[24..], self.writer.generation()),
            clock: self.config.clock.clone(),
            runtime: self.runtime.handle().clone(),
            under_way: self.attempt.under_way.clone(),
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
            on_ready: Arc::new(move |_| {
                let _ = ready.send(MasterEvent::WorkerReady(number));
            }),
            on_end: Arc::new(move |end| {
                let _ = ended.send(MasterEvent::WorkerEnded(number, end));
            }),
        };
        self.attempt.workers = deployment.start()?;
        Ok(true)
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
                    self.has_run = true;
                    self.set_state(JobState::Running);
                }
            }
            MasterEvent::WorkerEnded(n, Ended { made, result: Err(e) }) if n == current => {
                self.has_run |= made;
                return Err(e);
            }
            MasterEvent::SplitsFound(n) if n == current => self.attempt.next_poll = 0,
            MasterEvent::Task(n, event) if n == current => return self.task_event(event),
            MasterEvent::Uploaded(id, subtask, uploaded) => return self.uploaded(id, subtask, uploaded),
            MasterEvent::ManifestWritten(id, manifest, result) => {
                return match result {
                    Ok(path) => {
                        self.retention.completed(&manifest);
                        self.confirmed = Some(Arc::from(manifest));
                        self.feed(Event::ManifestWritten { id, path })
                    }
                    Err(e @ CheckpointError::Fenced { .. }) => {
                        self.feed(Event::ManifestFailed { id, reason: e.to_string() })?;
                        Err(e.into())
                    }
                    Err(e) => self.feed(Event::ManifestFailed { id, reason: e.to_string() }),
                };
            }
            MasterEvent::Committed(id, result) => {
                self.committing = false;
                return match result {
                    Ok(()) => {
                        self.committed_books();
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
            TaskEvent::Snapshot { barrier, vertex, snapshot } => {
                let subtask = SubtaskKey::new(&snapshot.vertex_uid, snapshot.subtask);
                let (writer, confirmed) = (self.writer.clone(), self.confirmed.clone());
                let (mailbox, clock) = (self.mailbox.clone(), self.config.clock.clone());
                let links = self.attempt_dir().join("snapshots");
                let links = links.join(snapshot_dir(barrier.id, vertex, usize::from(snapshot.subtask)));
                self.runtime.spawn(async move {
                    let begun = clock.now_ms();
                    let result = writer.upload_subtask(barrier.id, snapshot, confirmed.as_deref()).await;
                    let uploaded = Uploaded { result, async_ms: clock.now_ms() - begun };
                    // What is left of it: links to files would keep them on a disk that is full.
                    let _ = tokio::fs::remove_dir_all(links).await;
                    let _ = mailbox.send(MasterEvent::Uploaded(barrier.id, subtask, uploaded));
                });
            }
            TaskEvent::SplitFinished { vertex, subtask, split } => {
                let name = self.attempt.splits.name(split);
                if let Some(source) = self.attempt.sources.iter_mut().find(|s| s.vertex == vertex) {
                    source.enumerator.split_finished(&name);
                    source.finished.push((subtask, split));
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
            let finished = std::mem::take(&mut source.finished);
            for (reader, splits) in splits.into_iter().enumerate() {
                let released: Vec<u32> = finished.iter().filter(|(r, _)| *r == reader).map(|(_, s)| *s).collect();
                if splits.is_empty() && released.is_empty() && source.told == told {
                    continue;
                }
                let (unassigned, no_more) = (decided.unassigned, decided.no_more);
                let command = TaskCommand::AssignSplits { splits, released, unassigned, no_more };
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

    /// `patience`: how long to wait for what is on the pool; without it, as long as it takes.
    fn stop_workers(&mut self, patience: Option<Duration>) {
        for worker in &self.attempt.workers {
            worker.send(WorkerCommand::Stop);
        }
        for worker in &mut self.attempt.workers {
            worker.join();
        }
        self.attempt.workers.clear();
        self.attempt.under_way.wait(patience);
    }

    fn attempt_dir(&self) -> PathBuf {
        self.work.join(format!("attempt-{}", self.attempt.number))
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

/// A panic of user code on one of the master's threads.
fn user_panic(place: &str, panic: &(dyn std::any::Any + Send)) -> Error {
    Error::User { vertex: place.into(), origin: "none".into(), reason: format!("panic: {}", panic_message(panic)) }
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
