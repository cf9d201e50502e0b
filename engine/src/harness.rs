//! A test harness for operators: records, watermarks and time in, records out.
//!
//! A chain is driven by whoever hosts it; the local worker is one driver, this is another.
//!
//! ```
//! # use hurtig_engine::{harness::OneInputHarness, operator::Identity};
//! let mut harness = OneInputHarness::new(Identity)?;
//! harness.push_at(42_u64, 7)?;
//! harness.watermark(10)?;
//! assert_eq!(harness.take_values(), [42]);
//! # Ok::<(), hurtig_engine::Error>(())
//! ```

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    sync::Arc,
};

use hurtig_state::{BackendKind, KeyGroupRange, MemoryBudget, RestoredState, StateSnapshot};

use crate::{
    checkpoint::{LocalKeyedState, OperatorSnapshot},
    dead_letter::DeadLetter,
    error::{Error, Result, from_bytes},
    graph::OperatorMeta,
    metrics::Registry,
    operator::{Named, Operator, OperatorFactory, Output, Progress},
    record::{Data, Record},
    source::SplitNames,
    task::{OutputTag, RestoredOperator, RuntimeContext, SnapshotContext, StateSettings, TaskContext, pool::Waker},
    time::ManualClock,
};

/// Drives one instance of one operator.
pub struct OneInputHarness<In, F: OperatorFactory<In>> {
    op: <Named<F> as OperatorFactory<In>>::Operator,
    ctx: TaskContext,
    out: Vec<Record<F::Out>>,
    settings: HarnessSettings,
    operators: Vec<OperatorMeta>,
    snapshots: u64,
    /// How many records the output takes before it says that it is full.
    capacity: usize,
}

/// How a harness is set up.
#[derive(Clone)]
pub struct HarnessSettings {
    /// This subtask's index.
    pub subtask: usize,
    /// How many there are.
    pub parallelism: usize,
    /// The number of key groups.
    pub max_parallelism: u16,
    /// Heap or RocksDB.
    pub backend: BackendKind,
    /// Where backends keep their files and snapshots are put; give a temporary directory.
    pub dir: PathBuf,
    /// Memory for keyed state.
    pub memory: usize,
    /// Processing time.
    pub clock: Arc<ManualClock>,
}

impl HarnessSettings {
    /// One subtask, heap state, files in `dir`.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        HarnessSettings {
            subtask: 0,
            parallelism: 1,
            max_parallelism: 128,
            backend: BackendKind::Heap,
            dir: dir.into(),
            memory: 64 << 20,
            clock: Arc::new(ManualClock::new(0)),
        }
    }
}

/// What [`OneInputHarness::snapshot`] took.
pub type HarnessSnapshot = OperatorSnapshot<LocalKeyedState>;

impl<In: Data, F: OperatorFactory<In>> OneInputHarness<In, F> {
    /// A harness for an operator without files.
    pub fn new(factory: F) -> Result<Self> {
        Self::with(factory, HarnessSettings::new(std::env::temp_dir()))
    }

    /// A harness with settings of its own.
    pub fn with(factory: F, settings: HarnessSettings) -> Result<Self> {
        Self::restore(factory, settings, &[])
    }

    /// A harness whose operator begins with its share of what all old subtasks had put into a
    /// snapshot: the parallelism may be another one.
    pub fn restore(factory: F, settings: HarnessSettings, snapshots: &[HarnessSnapshot]) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = Arc::new(runtime.map_err(|e| Error::Config(e.to_string()))?);
        let operators = vec![OperatorMeta { name: "operator".into(), uid: "operator".into() }];
        let share = share(&settings, snapshots)?;
        let watermark = share.watermark;
        let mut restored = HashMap::new();
        if !snapshots.is_empty() {
            restored.insert("operator".to_owned(), share);
        }
        let local = format!("state-{}-of-{}-{}", settings.subtask, settings.parallelism, snapshots.len());
        let mut ctx = RuntimeContext {
            job: "harness".into(),
            vertex: "operator".into(),
            operators: &operators,
            current: 0,
            subtask: settings.subtask,
            parallelism: settings.parallelism,
            max_parallelism: settings.max_parallelism,
            attempt: "a1".into(),
            clock: settings.clock.clone(),
            slice_clock: settings.clock.clone(),
            waker: Waker::default(),
            runtime: runtime.handle().clone(),
            under_way: Default::default(),
            splits: SplitNames::default(),
            registry: Registry::default(),
            restored,
            state: StateSettings {
                kind: settings.backend,
                dir: settings.dir.join(local),
                memory: MemoryBudget::new(settings.memory),
                background_threads: 1,
            },
        };
        let op = Named::new(factory, 0).create(&mut ctx)?;
        let mut task = TaskContext::detached("operator");
        task.keep_letters();
        if let Some(watermark) = watermark {
            task.watermark = watermark;
        }
        // The pool must outlive the operator; a harness lives as long as its test.
        std::mem::forget(runtime);
        Ok(OneInputHarness { op, ctx: task, out: Vec::new(), settings, operators, snapshots: 0, capacity: usize::MAX })
    }

    /// Lets the output be full after `records`: everything is then driven in slices.
    pub fn output_capacity(mut self, records: usize) -> Self {
        self.capacity = records.max(1);
        self
    }

    /// One record without a timestamp.
    pub fn push(&mut self, value: In) -> Result<()> {
        self.push_record(Record::new(value))
    }

    /// One record with a timestamp.
    pub fn push_at(&mut self, value: In, timestamp: i64) -> Result<()> {
        self.push_record(Record::at(value, timestamp))
    }

    /// One record.
    pub fn push_record(&mut self, record: Record<In>) -> Result<()> {
        self.until_ready()?;
        self.drive(|op, out| op.process(record, out).map(|()| Progress::Done))?;
        self.until_done(|op, out| op.resume(out))
    }

    /// Event time comes to `watermark`.
    pub fn watermark(&mut self, watermark: i64) -> Result<()> {
        self.ctx.watermark = watermark;
        self.until_done(|op, out| op.watermark(watermark, out))
    }

    /// Processing time comes to `now`.
    pub fn processing_time(&mut self, now: i64) -> Result<()> {
        self.settings.clock.set(now);
        self.ctx.now = now;
        self.until_done(|op, out| op.processing_time(now, out))
    }

    /// The input ends.
    pub fn end_of_input(&mut self) -> Result<()> {
        self.watermark(crate::time::MAX_WATERMARK)?;
        self.until_done(|op, out| op.end_of_input(out))
    }

    /// Everything that has come out, with timestamps.
    pub fn take(&mut self) -> Vec<Record<F::Out>> {
        std::mem::take(&mut self.out)
    }

    /// Everything that has come out.
    pub fn take_values(&mut self) -> Vec<F::Out> {
        self.take().into_iter().map(|r| r.value).collect()
    }

    /// The dead letters so far.
    pub fn take_dead_letters(&mut self) -> Vec<DeadLetter> {
        self.ctx.take_letters()
    }

    /// Makes a side output readable by [`take_side`](Self::take_side).
    pub fn keep_side<T: Data>(&mut self, tag: &OutputTag<T>) {
        self.ctx.keep_side(tag);
    }

    /// What has come out under `tag`.
    pub fn take_side<T: Data>(&mut self, tag: &OutputTag<T>) -> Vec<Record<T>> {
        self.ctx.take_side(tag)
    }

    /// The operator's part of a checkpoint.
    pub fn snapshot(&mut self) -> Result<HarnessSnapshot> {
        while !self.op.flush(&mut self.ctx)? {
            std::thread::yield_now();
        }
        self.snapshots += 1;
        let name = format!("chk-{}-{}-{}", self.snapshots, self.settings.subtask, self.settings.parallelism);
        let dir = self.settings.dir.join(name);
        let mut context = SnapshotContext::new(self.snapshots, &self.operators, dir, self.ctx.watermark);
        self.op.snapshot(&mut context)?;
        Ok(context.into_operators().remove(0))
    }

    fn until_done(
        &mut self,
        mut call: impl FnMut(&mut <Named<F> as OperatorFactory<In>>::Operator, &mut Sink<'_, F::Out>) -> Result<Progress>,
    ) -> Result<()> {
        self.until_ready()?;
        while self.drive(&mut call)? == Progress::More {
            self.until_ready()?;
        }
        Ok(())
    }

    /// What asked for a pause is asked whether it can go on, as a task does between its steps.
    fn until_ready(&mut self) -> Result<()> {
        self.ctx.stop = false;
        while !self.op.ready(&mut self.ctx)? {
            std::thread::yield_now();
        }
        Ok(())
    }

    fn drive(
        &mut self,
        call: impl FnOnce(&mut <Named<F> as OperatorFactory<In>>::Operator, &mut Sink<'_, F::Out>) -> Result<Progress>,
    ) -> Result<Progress> {
        let full_at = self.out.len().saturating_add(self.capacity);
        let mut out = Sink { out: &mut self.out, ctx: &mut self.ctx, full_at };
        let progress = call(&mut self.op, &mut out)?;
        match self.ctx.failure.take() {
            Some(e) => Err(e),
            None => Ok(progress),
        }
    }
}

/// Where the operator under test emits.
pub struct Sink<'a, T> {
    out: &'a mut Vec<Record<T>>,
    ctx: &'a mut TaskContext,
    full_at: usize,
}

impl<T> Output<T> for Sink<'_, T> {
    fn collect(&mut self, record: Record<T>) {
        self.out.push(record);
    }

    fn is_full(&self) -> bool {
        self.ctx.stop || self.out.len() >= self.full_at
    }

    fn ctx(&mut self) -> &mut TaskContext {
        self.ctx
    }
}

/// What falls to one subtask, as the runner's restore deals it out.
fn share(settings: &HarnessSettings, snapshots: &[HarnessSnapshot]) -> Result<RestoredOperator> {
    let HarnessSettings { subtask, parallelism, max_parallelism, .. } = *settings;
    let mine = KeyGroupRange::of(max_parallelism, parallelism as u16, subtask as u16);
    let mut share = RestoredOperator { watermark: snapshots.iter().map(|s| s.watermark).min(), ..Default::default() };
    let items = snapshots.iter().flat_map(|s| &s.state).enumerate();
    share.state = items.filter(|(i, _)| i % parallelism == subtask).map(|(_, s)| s.clone()).collect();
    for keyed in snapshots.iter().filter_map(|s| s.keyed.as_ref()) {
        let snapshot: StateSnapshot = from_bytes("keyed state's description", &keyed.meta)?;
        if mine.intersection(&snapshot.key_groups).is_some() {
            share.keyed.push(RestoredState { dir: Path::new(&keyed.dir).to_owned(), snapshot });
        }
    }
    if subtask == 0 {
        let mut sums = BTreeMap::<String, u64>::new();
        for (name, count) in snapshots.iter().flat_map(|s| &s.counters) {
            *sums.entry(name.clone()).or_default() += count;
        }
        share.counters = sums;
    }
    Ok(share)
}
