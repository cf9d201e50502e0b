//! What the tests share: every state in one place, on any back end, at any parallelism.
#![allow(dead_code)]

use std::path::PathBuf;
use std::sync::Arc;

use hurtig_state::*;

pub type K = String;

/// The back ends of this build.
pub fn kinds() -> Vec<BackendKind> {
    let mut kinds = vec![BackendKind::Heap];
    if cfg!(feature = "rocksdb") {
        kinds.push(BackendKind::RocksDb);
    }
    kinds
}

/// Sums and counts.
#[derive(Clone)]
pub struct Average;

impl AggregateFunction for Average {
    type In = i64;
    type Acc = (i64, u32);
    type Out = i64;

    fn create_accumulator(&self) -> (i64, u32) {
        (0, 0)
    }

    fn add(&self, accumulator: &mut (i64, u32), value: i64) {
        accumulator.0 = accumulator.0.wrapping_add(value);
        accumulator.1 += 1;
    }

    fn get_result(&self, accumulator: &(i64, u32)) -> i64 {
        accumulator.0 / i64::from(accumulator.1.max(1))
    }

    fn merge(&self, accumulator: &mut (i64, u32), other: (i64, u32)) {
        accumulator.0 = accumulator.0.wrapping_add(other.0);
        accumulator.1 += other.1;
    }
}

pub const TTL: i64 = 100;

/// A handle of each kind.
#[derive(Clone, Copy, Default)]
pub struct States {
    pub value: ValueState<String>,
    pub value_ttl: ValueState<i64>,
    pub value_read_ttl: ValueState<i64>,
    pub list: ListState<String>,
    pub list_ttl: ListState<i64>,
    pub map: MapState<String, i64>,
    pub map_ttl: MapState<i64, i64>,
    pub reducing: ReducingState<i64>,
    pub aggregating: AggregatingState<Average>,
    pub panes: PaneState<i64>,
}

impl States {
    pub fn register(backend: &mut KeyedStateBackend<K>) -> Result<Self> {
        let ttl = StateTtlConfig::new(TTL);
        let read = ttl.update_on(UpdateType::OnReadAndWrite);
        Ok(Self {
            value: backend.value_state(ValueStateDescriptor::new("value"))?,
            value_ttl: backend.value_state(ValueStateDescriptor::new("value-ttl").ttl(ttl))?,
            value_read_ttl: backend.value_state(ValueStateDescriptor::new("value-read-ttl").ttl(read))?,
            list: backend.list_state(ListStateDescriptor::new("list"))?,
            list_ttl: backend.list_state(ListStateDescriptor::new("list-ttl").ttl(ttl))?,
            map: backend.map_state(MapStateDescriptor::new("map"))?,
            map_ttl: backend.map_state(MapStateDescriptor::new("map-ttl").ttl(ttl))?,
            reducing: backend.reducing_state(ReducingStateDescriptor::new("reducing", i64::wrapping_add))?,
            aggregating: backend.aggregating_state(AggregatingStateDescriptor::new("aggregating", Average))?,
            panes: backend.pane_state("panes", 0)?,
        })
    }
}

/// One operator at some parallelism.
pub struct Cluster {
    pub kind: BackendKind,
    pub max_parallelism: u16,
    pub clock: Arc<ManualClock>,
    pub memory: Arc<MemoryBudget>,
    pub backends: Vec<(KeyedStateBackend<K>, States)>,
    root: tempfile::TempDir,
    generation: usize,
}

impl Cluster {
    pub fn new(kind: BackendKind, parallelism: u16, max_parallelism: u16, memory: usize) -> Result<Self> {
        let mut cluster = Self {
            kind,
            max_parallelism,
            clock: Arc::new(ManualClock::new(1_000)),
            memory: MemoryBudget::new(memory),
            backends: Vec::new(),
            root: tempfile::tempdir().expect("a temporary directory"),
            generation: 0,
        };
        cluster.open(parallelism, &[])?;
        Ok(cluster)
    }

    pub fn dir(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn open(&mut self, parallelism: u16, parts: &[RestoredState]) -> Result<()> {
        self.generation += 1;
        for index in 0..parallelism {
            let mut backend = KeyedStateBackend::open(self.config(parallelism, index), parts.to_vec())?;
            let states = States::register(&mut backend)?;
            self.backends.push((backend, states));
        }
        Ok(())
    }

    pub fn config(&self, parallelism: u16, index: u16) -> BackendConfig {
        BackendConfig {
            kind: self.kind,
            uid: "operator".to_owned(),
            dir: self.dir(&format!("work-{}-{index}", self.generation)),
            max_parallelism: self.max_parallelism,
            key_groups: KeyGroupRange::of(self.max_parallelism, parallelism, index),
            memory: Arc::clone(&self.memory),
            clock: self.clock.clone(),
            background_threads: 1,
        }
    }

    pub fn snapshot(&mut self) -> Result<Vec<RestoredState>> {
        self.generation += 1;
        let mut parts = Vec::new();
        for i in 0..self.backends.len() {
            let dir = self.dir(&format!("chk-{}-{i}", self.generation));
            let snapshot = self.backends[i].0.snapshot(&dir)?;
            for file in &snapshot.files {
                let meta = std::fs::metadata(dir.join(&file.name)).expect("a snapshot's file is there");
                assert_eq!(meta.len(), file.len, "{}", file.name);
            }
            parts.push(RestoredState { dir, snapshot });
        }
        Ok(parts)
    }

    /// Takes a snapshot, throws everything away, and starts from the snapshot.
    pub fn restart(&mut self, kind: BackendKind, parallelism: u16) -> Result<()> {
        let parts = self.snapshot()?;
        self.backends.clear();
        self.kind = kind;
        self.open(parallelism, &parts)
    }

    /// The backend that owns the key, which is made the current one.
    pub fn at(&mut self, key: &str) -> (&mut KeyedStateBackend<K>, States) {
        let group = key_group(key.java_hash(), self.max_parallelism);
        let index = operator_index(self.max_parallelism, self.backends.len() as u16, group);
        let (backend, states) = &mut self.backends[usize::from(index)];
        backend.set_current_key(key.to_owned());
        (backend, *states)
    }

    pub fn each(&mut self, mut act: impl FnMut(&mut KeyedStateBackend<K>) -> Result<()>) -> Result<()> {
        self.backends.iter_mut().try_for_each(|(backend, _)| act(backend))
    }

    /// All entries of a window, sorted.
    pub fn fire(&mut self, window: i64, slice: usize) -> Result<Vec<(String, i64)>> {
        let mut fired = Vec::new();
        for (backend, states) in &mut self.backends {
            let mut cursor = PaneCursor::default();
            while !states.panes.fire(backend, window, &mut cursor, slice, |key, sum| {
                fired.push((key.clone(), *sum));
            })? {}
        }
        fired.sort();
        Ok(fired)
    }

    /// All timers of a domain up to a time; each backend's must come in order.
    pub fn pop(&mut self, event: bool, up_to: i64) -> Result<Vec<(i64, String)>> {
        let mut popped = Vec::new();
        for (backend, _) in &mut self.backends {
            let mut last = None;
            loop {
                let next = if event {
                    backend.pop_event_time_timer(up_to)?
                } else {
                    backend.pop_processing_time_timer(up_to)?
                };
                let Some((time, key)) = next else { break };
                assert_eq!(backend.current_key(), Some(&key));
                let order = (time, key_group(key.java_hash(), self.max_parallelism), key.len(), key.clone());
                assert!(last.as_ref().is_none_or(|last| *last < order), "{last:?} before {order:?}");
                last = Some(order);
                popped.push((time, key));
            }
        }
        popped.sort();
        Ok(popped)
    }
}
