//! One attempt's threads: channels between all subtasks, a worker for each index.

use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{Arc, mpsc},
    thread::JoinHandle,
};

use hurtig_state::ManualClock;

use super::restore::Shares;
use crate::{
    error::{Error, Result},
    exchange::{ByteBudget, EdgeSenders, Receiver, channel},
    graph::{JobGraph, Port, ShipStrategy, TaskSetup},
    source::SplitNames,
    task::{
        Events, RuntimeContext, StateSettings, TaskMetrics,
        pool::{UnderWay, Waker},
    },
    time::Clock,
    worker::{TaskSlot, Worker, WorkerCommand, chain_name, panic_message},
};

/// What an attempt is deployed with.
pub(super) struct Deployment {
    pub graph: Arc<JobGraph>,
    pub metrics: Vec<Vec<Arc<TaskMetrics>>>,
    pub attempt: String,
    pub clock: Arc<dyn Clock>,
    pub runtime: tokio::runtime::Handle,
    pub under_way: UnderWay,
    pub splits: SplitNames,
    pub state: StateSettings,
    pub snapshots: PathBuf,
    pub network_memory: usize,
    pub shares: Shares,
    pub events: Events,
    /// Called by each worker once: when its tasks exist, …
    pub on_ready: Arc<dyn Fn(usize) + Send + Sync>,
    /// … and when it has ended.
    pub on_end: Arc<dyn Fn(Ended) + Send + Sync>,
}

/// How a worker has ended.
pub(crate) struct Ended {
    /// Whether its tasks had been made.
    pub made: bool,
    pub result: Result<()>,
}

/// A running worker, as the master sees it.
pub(super) struct WorkerHandle {
    commands: mpsc::Sender<WorkerCommand>,
    waker: Waker,
    thread: Option<JoinHandle<()>>,
}

impl WorkerHandle {
    /// Sends a command; a worker that has ended does not mind.
    pub fn send(&self, command: WorkerCommand) {
        let _ = self.commands.send(command);
        self.waker.wake();
    }

    /// Waits for the thread's end.
    pub fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

type Inputs = HashMap<(usize, usize), Vec<Receiver>>;
type Outputs = HashMap<(usize, usize), Vec<(Port, EdgeSenders)>>;

impl Deployment {
    /// Starts all workers.
    pub fn start(mut self) -> Result<Vec<WorkerHandle>> {
        let workers = self.graph.vertices.iter().map(|v| v.parallelism).max().unwrap_or(1);
        let wakers: Vec<Waker> = (0..workers).map(|_| Waker::default()).collect();
        let (mut inputs, mut outputs) = self.connect(&wakers);
        let mut handles = Vec::new();
        let shares = std::mem::take(&mut self.shares);
        let mut shares: Vec<HashMap<usize, _>> = split_by_worker(shares, workers);
        let this = Arc::new(self);
        for (w, waker) in wakers.into_iter().enumerate() {
            let (commands, mailbox) = mpsc::channel();
            let mut parts = Vec::new();
            for v in 0..this.graph.vertices.len() {
                let ends = (inputs.remove(&(v, w)).unwrap_or_default(), outputs.remove(&(v, w)).unwrap_or_default());
                parts.push((ends, shares[w].remove(&v).unwrap_or_default()));
            }
            let (deployment, worker_waker) = (this.clone(), waker.clone());
            let thread = std::thread::Builder::new().name(format!("hurtig-worker-{w}")).spawn(move || {
                worker_waker.bind();
                // Tasks are dropped inside: what user code does there must not go unnoticed either.
                let mut made = false;
                let run = AssertUnwindSafe(|| {
                    let tasks = deployment.tasks(w, parts, &worker_waker)?;
                    made = true;
                    (deployment.on_ready)(w);
                    let clock = deployment.clock.clone();
                    Worker { tasks, commands: mailbox, waker: worker_waker.clone(), clock }.run()
                });
                let result = catch_unwind(run).unwrap_or_else(|panic| {
                    Err(Error::Config(format!("worker {w}: panic: {}", panic_message(panic.as_ref()))))
                });
                (deployment.on_end)(Ended { made, result });
            });
            let thread = thread.map_err(|e| Error::Config(format!("no thread for worker {w}: {e}")))?;
            handles.push(WorkerHandle { commands, waker, thread: Some(thread) });
        }
        Ok(handles)
    }

    /// A queue for every (edge, from, to).
    fn connect(&self, wakers: &[Waker]) -> (Inputs, Outputs) {
        let budget = ByteBudget::new(self.network_memory);
        let (mut inputs, mut outputs) = (Inputs::new(), Outputs::new());
        for edge in &self.graph.edges {
            let from = self.graph.vertices[edge.from].parallelism;
            let to = self.graph.vertices[edge.to].parallelism;
            for f in 0..from {
                let targets = match edge.ship {
                    ShipStrategy::Forward => f..f + 1,
                    ShipStrategy::Hash | ShipStrategy::Rebalance => 0..to,
                };
                let mut senders = Vec::new();
                for t in targets {
                    let (sender, receiver) = channel(budget.clone(), wakers[f].clone(), wakers[t].clone());
                    senders.push(sender);
                    inputs.entry((edge.to, t)).or_default().push(receiver);
                }
                let port = edge.port.clone();
                outputs.entry((edge.from, f)).or_default().push((port, EdgeSenders { senders }));
            }
        }
        (inputs, outputs)
    }

    /// Makes the tasks of worker `w`, on its thread.
    #[allow(clippy::type_complexity, reason = "a worker's ends and shares, vertex by vertex")]
    fn tasks(
        &self,
        w: usize,
        parts: Vec<((Vec<Receiver>, Vec<(Port, EdgeSenders)>), HashMap<String, crate::task::RestoredOperator>)>,
        waker: &Waker,
    ) -> Result<Vec<TaskSlot>> {
        let mut tasks = Vec::new();
        for (v, ((inputs, outputs), restored)) in parts.into_iter().enumerate() {
            let vertex = &self.graph.vertices[v];
            if w >= vertex.parallelism {
                continue;
            }
            let name = chain_name(&vertex.operators);
            let ctx = RuntimeContext {
                job: self.graph.name.as_str().into(),
                vertex: name.as_str().into(),
                operators: &vertex.operators,
                current: 0,
                subtask: w,
                parallelism: vertex.parallelism,
                max_parallelism: self.graph.max_parallelism,
                attempt: format!("{}s{w}", self.attempt),
                clock: self.clock.clone(),
                slice_clock: Arc::new(ManualClock::new(self.clock.now_ms())),
                waker: waker.clone(),
                runtime: self.runtime.clone(),
                under_way: self.under_way.clone(),
                splits: self.splits.clone(),
                registry: self.metrics[v][w].registry.clone(),
                restored,
                state: self.state.clone(),
            };
            let setup = TaskSetup {
                ctx,
                vertex: v,
                inputs,
                outputs,
                sides: &vertex.sides,
                events: self.events.clone(),
                metrics: self.metrics[v][w].clone(),
                snapshots: self.snapshots.clone(),
            };
            let made = catch_unwind(AssertUnwindSafe(|| (vertex.factory)(setup)));
            let task = made.unwrap_or_else(|panic| {
                let reason = format!("panic while the task was being made: {}", panic_message(panic.as_ref()));
                Err(Error::User { vertex: name.clone(), origin: "none".into(), reason })
            })?;
            tasks.push(TaskSlot { vertex: v, name, task });
        }
        Ok(tasks)
    }
}

fn split_by_worker(
    shares: Shares,
    workers: usize,
) -> Vec<HashMap<usize, HashMap<String, crate::task::RestoredOperator>>> {
    let mut split: Vec<HashMap<_, _>> = (0..workers).map(|_| HashMap::new()).collect();
    for ((vertex, subtask), share) in shares {
        split[subtask].insert(vertex, share);
    }
    split
}
