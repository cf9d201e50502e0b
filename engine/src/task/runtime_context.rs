//! What an operator is created with: its place in the job, its restored state, its backends.

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::Arc,
};

use hurtig_state::{
    BackendConfig, BackendKind, Key, KeyGroupRange, KeyedStateBackend, ManualClock, MemoryBudget, RestoredState,
};

use super::{
    context::Counters,
    pool::{Pool, UnderWay, Waker},
};
use crate::{
    error::Result,
    graph::OperatorMeta,
    metrics::{Metrics, Registry},
    source::SplitNames,
    time::Clock,
};

/// One operator's share of what a checkpoint held.
#[derive(Debug, Clone, Default)]
pub struct RestoredOperator {
    /// The least watermark of the old subtasks; `None` when nothing is restored.
    pub watermark: Option<i64>,
    /// This subtask's share of the operator (list) state.
    pub state: Vec<Vec<u8>>,
    /// The parts of keyed state that overlap this subtask's key groups.
    pub keyed: Vec<RestoredState>,
    /// Counters: their sums, on subtask 0.
    pub counters: BTreeMap<String, u64>,
}

/// How keyed state is kept on this worker.
#[derive(Clone)]
pub struct StateSettings {
    /// Heap or RocksDB.
    pub kind: BackendKind,
    /// This attempt's local directory.
    pub dir: PathBuf,
    /// One budget for all workers.
    pub memory: Arc<MemoryBudget>,
    /// RocksDB's background threads.
    pub background_threads: usize,
}

/// Everything about a subtask that its operators may ask for (Flink's `RuntimeContext`).
pub struct RuntimeContext<'a> {
    pub(crate) job: Arc<str>,
    pub(crate) vertex: Arc<str>,
    pub(crate) operators: &'a [OperatorMeta],
    pub(crate) current: usize,
    pub(crate) subtask: usize,
    pub(crate) parallelism: usize,
    pub(crate) max_parallelism: u16,
    pub(crate) attempt: String,
    pub(crate) clock: Arc<dyn Clock>,
    /// Processing time as of the task's current slice: what TTL goes by, for no look at the clock.
    pub(crate) slice_clock: Arc<ManualClock>,
    pub(crate) waker: Waker,
    pub(crate) runtime: tokio::runtime::Handle,
    pub(crate) under_way: UnderWay,
    pub(crate) splits: SplitNames,
    pub(crate) registry: Registry,
    pub(crate) restored: HashMap<String, RestoredOperator>,
    pub(crate) state: StateSettings,
}

impl RuntimeContext<'_> {
    pub(crate) fn enter(&mut self, operator: usize) {
        self.current = operator;
    }

    /// The job's name.
    pub fn job(&self) -> &str {
        &self.job
    }

    /// The operator's name.
    pub fn name(&self) -> &str {
        self.operators.get(self.current).map_or("", |o| &o.name)
    }

    /// The operator's uid.
    pub fn uid(&self) -> &str {
        self.operators.get(self.current).map_or("", |o| &o.uid)
    }

    /// This subtask's index.
    pub fn subtask(&self) -> usize {
        self.subtask
    }

    /// How many subtasks the vertex has.
    pub fn parallelism(&self) -> usize {
        self.parallelism
    }

    /// The key groups this subtask owns.
    pub fn key_groups(&self) -> KeyGroupRange {
        KeyGroupRange::of(self.max_parallelism, self.parallelism as u16, self.subtask as u16)
    }

    /// Unique for every start of this subtask over the job's whole life.
    pub fn attempt(&self) -> &str {
        &self.attempt
    }

    /// The injected clock.
    pub fn clock(&self) -> Arc<dyn Clock> {
        self.clock.clone()
    }

    /// The pool for work beyond a millisecond.
    pub fn pool(&self) -> Pool {
        Pool::counted(self.runtime.clone(), self.waker.clone(), self.under_way.clone())
    }

    /// The runtime for the network.
    pub fn runtime(&self) -> tokio::runtime::Handle {
        self.runtime.clone()
    }

    /// Wakes this worker.
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// Where the current operator registers its own gauges (Flink's `getMetricGroup`).
    pub fn metrics(&self) -> Metrics {
        self.registry.of(self.uid(), self.name())
    }

    /// The names behind split numbers.
    pub fn splits(&self) -> SplitNames {
        self.splits.clone()
    }

    /// Takes what the checkpoint held for the current operator; empty on a fresh start.
    pub fn restored(&mut self) -> RestoredOperator {
        let uid = self.uid().to_owned();
        self.restored.remove(&uid).unwrap_or_default()
    }

    /// What the whole task had counted.
    pub(crate) fn restored_task_counters(&self) -> Counters {
        let first = self.operators.first().and_then(|o| self.restored.get(&o.uid));
        let get = |name| first.and_then(|r| r.counters.get(name)).copied().unwrap_or(0);
        Counters {
            records_in: get("task_records_in"),
            records_out: get("task_records_out"),
            dead_lettered: get("task_dead_lettered"),
            unread: get("task_unread"),
        }
    }

    /// Opens the current operator's keyed state, restored.
    pub fn keyed_backend<K: Key>(&mut self, restored: &mut RestoredOperator) -> Result<KeyedStateBackend<K>> {
        let dir = self.state.dir.join(format!("{}-{}", file_name(self.uid()), self.subtask));
        let config = BackendConfig {
            kind: self.state.kind,
            uid: self.uid().to_owned(),
            dir,
            max_parallelism: self.max_parallelism,
            key_groups: self.key_groups(),
            memory: self.state.memory.clone(),
            clock: self.slice_clock.clone(),
            background_threads: self.state.background_threads,
        };
        Ok(KeyedStateBackend::open(config, std::mem::take(&mut restored.keyed))?)
    }
}

/// A uid as part of a file name; different uids stay different.
pub(crate) fn file_name(uid: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    uid.chars().map(|c| if plain(c) { c.to_string() } else { format!("%{:x}", u32::from(c)) }).collect()
}
