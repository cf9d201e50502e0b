//! Whole jobs on the local runner: results, restarts, savepoints, rescaling.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use hurtig_engine::{
    Error, Result,
    graph::JobGraph,
    runner::{JobConfig, JobState, LocalRunner, RestartStrategy, Restore},
    sink::{Committer, CommitterContext, Sink, SinkContext, SinkWriter, WriterContext},
    source::{
        Assignments, Boundedness, ReaderContext, ReaderStatus, Source, SourceOutput, SourceReader, Split,
        SplitEnumerator,
    },
};
use hurtig_operators::prelude::*;
use hurtig_state::BackendKind;
use serde::{Deserialize, Serialize};

/// Counts from `from` to `to` in each split; every number is also its event time in milliseconds.
struct Numbers {
    splits: u64,
    per_split: u64,
    pace: Pace,
}

#[derive(Clone, Copy, PartialEq)]
enum Pace {
    Free,
    /// A few, and a little pause: gives checkpoints time.
    Slow,
    /// Never goes past this number: the job cannot end before the test has done with it.
    HoldAt(u64),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Range {
    id: u64,
    next: u64,
    end: u64,
}

impl Split for Range {
    fn id(&self) -> String {
        format!("range-{}", self.id)
    }
}

struct NumbersEnumerator {
    unassigned: Vec<Range>,
}

impl SplitEnumerator<Range> for NumbersEnumerator {
    fn add_splits_back(&mut self, splits: Vec<Range>) {
        self.unassigned.extend(splits);
    }

    fn poll(&mut self, ctx: &mut Assignments<Range>) -> Result<()> {
        for split in self.unassigned.drain(..) {
            ctx.assign(split.id as usize % ctx.readers(), split);
        }
        ctx.no_more_splits();
        Ok(())
    }

    fn snapshot(&self) -> Result<Vec<u8>> {
        hurtig_engine::error::to_bytes("ranges", &self.unassigned)
    }
}

impl Source for Numbers {
    type Item = u64;
    type Split = Range;
    type Reader = NumbersReader;

    fn enumerator(&self, restored: Option<Vec<u8>>) -> Result<Box<dyn SplitEnumerator<Range>>> {
        let unassigned = match restored {
            Some(bytes) => hurtig_engine::error::from_bytes("ranges", &bytes)?,
            None => (0..self.splits).map(|id| Range { id, next: 0, end: self.per_split }).collect(),
        };
        Ok(Box::new(NumbersEnumerator { unassigned }))
    }

    fn reader(&self, ctx: ReaderContext) -> Result<NumbersReader> {
        Ok(NumbersReader { splits: Vec::new(), pace: self.pace, ctx })
    }

    fn boundedness(&self) -> Boundedness {
        Boundedness::Bounded
    }
}

struct NumbersReader {
    splits: Vec<(u32, Range)>,
    pace: Pace,
    ctx: ReaderContext,
}

impl SourceReader for NumbersReader {
    type Item = u64;
    type Split = Range;

    fn add_split(&mut self, number: u32, split: Range) -> Result<()> {
        self.splits.push((number, split));
        Ok(())
    }

    fn poll<O: SourceOutput<u64>>(&mut self, max: usize, out: &mut O) -> Result<ReaderStatus> {
        let max = if self.pace == Pace::Free { max } else { max.min(50) };
        let Some(at) = (0..self.splits.len()).min_by_key(|i| self.splits[*i].1.next) else {
            return Ok(ReaderStatus::NothingAvailable { until: None });
        };
        let (number, split) = &mut self.splits[at];
        for _ in 0..max {
            if split.next == split.end || out.is_full() || self.pace == Pace::HoldAt(split.next) {
                break;
            }
            out.emit(*number, split.next, split.next as i64, split.next);
            split.next += 1;
        }
        if split.next == split.end {
            out.finish_split(*number);
            self.splits.swap_remove(at);
        }
        match self.pace {
            Pace::Free => Ok(ReaderStatus::MoreAvailable),
            _ => Ok(ReaderStatus::NothingAvailable { until: Some(self.ctx.clock.now_ms() + 1) }),
        }
    }

    fn snapshot(&self) -> Result<Vec<(u32, Range)>> {
        Ok(self.splits.clone())
    }
}

/// Exactly once into memory: what is prepared becomes visible when it is committed, once.
#[derive(Clone)]
struct Committed<T> {
    visible: Arc<Mutex<std::collections::BTreeMap<String, Vec<T>>>>,
}

impl<T> Default for Committed<T> {
    fn default() -> Self {
        Committed { visible: Arc::default() }
    }
}

impl<T: Clone + Ord> Committed<T> {
    fn sorted(&self) -> Vec<T> {
        let mut all: Vec<T> = self.visible.lock().unwrap().values().flatten().cloned().collect();
        all.sort();
        all
    }
}

struct CommittedWriter<T> {
    ctx: WriterContext,
    buffer: Vec<T>,
    files: u64,
}

impl<T: Data> Sink<T> for Committed<T> {
    type Writer = CommittedWriter<T>;

    fn writer(&self, ctx: WriterContext, _restored: Vec<Vec<u8>>) -> Result<Self::Writer> {
        Ok(CommittedWriter { ctx, buffer: Vec::new(), files: 0 })
    }

    fn committer(&self, _ctx: CommitterContext) -> Result<Option<Box<dyn Committer>>> {
        Ok(Some(Box::new(MemoryCommitter(self.visible.clone()))))
    }
}

impl<T: Data> SinkWriter<T> for CommittedWriter<T> {
    fn write(&mut self, record: Record<T>, ctx: &mut SinkContext<'_>) -> Result<()> {
        self.buffer.push(record.value);
        ctx.written(1);
        Ok(())
    }

    fn prepare_commit(&mut self) -> Result<Vec<Vec<u8>>> {
        self.files += 1;
        let name = format!("{}-{}-{}", self.ctx.attempt, self.ctx.subtask, self.files);
        let file = (name, std::mem::take(&mut self.buffer));
        Ok(vec![hurtig_engine::error::to_bytes("file", &file)?])
    }
}

struct MemoryCommitter<T>(Arc<Mutex<std::collections::BTreeMap<String, Vec<T>>>>);

impl<T: Data> Committer for MemoryCommitter<T> {
    fn commit(&mut self, committables: &[Vec<u8>]) -> Result<()> {
        for bytes in committables {
            let (name, rows): (String, Vec<T>) = hurtig_engine::error::from_bytes("file", bytes)?;
            self.0.lock().unwrap().insert(name, rows);
        }
        Ok(())
    }
}

#[derive(Clone)]
struct Count;

impl AggregateFunction for Count {
    type In = u64;
    type Acc = u64;
    type Out = u64;

    fn create_accumulator(&self) -> u64 {
        0
    }

    fn add(&self, acc: &mut u64, _value: u64) {
        *acc += 1;
    }

    fn get_result(&self, acc: &u64) -> u64 {
        *acc
    }

    fn merge(&self, acc: &mut u64, other: u64) {
        *acc += other;
    }
}

/// Numbers each key's records.
#[derive(Clone, Default)]
struct Ordinal {
    seen: ValueState<u64>,
    panic_at: Option<(Arc<AtomicU64>, u64)>,
}

impl KeyedProcessFunction<u64, u64> for Ordinal {
    type Out = (u64, u64);

    fn open(&mut self, ctx: &mut KeyedContextOf<'_, u64>) -> Result<()> {
        self.seen = ctx.state().value_state(ValueStateDescriptor::new("seen"))?;
        Ok(())
    }

    fn process_element<O: Output<(u64, u64)>>(
        &mut self,
        value: u64,
        ctx: &mut KeyedContextOf<'_, u64>,
        out: &mut Collector<'_, O>,
    ) -> Result<()> {
        if let Some((records, at)) = &self.panic_at
            && records.fetch_add(1, SeqCst) == *at
        {
            panic!("user code gives up at {value}");
        }
        let seen = self.seen.get_or_insert_with(ctx, || 0)?;
        *seen += 1;
        let seen = *seen;
        out.collect((*ctx.current_key(), seen));
        Ok(())
    }
}

const KEYS: u64 = 97;
const SPLITS: u64 = 4;

fn windows_job(per_split: u64, parallelism: usize) -> (JobGraph, Committed<(u64, i64, u64)>) {
    let env = Environment::new("windows");
    env.set_parallelism(parallelism);
    let out = Committed::default();
    env.from_source(
        Numbers { splits: SPLITS, per_split, pace: Pace::Free },
        WatermarkStrategy::bounded_out_of_orderness(ms(0)),
        "numbers",
    )
    .map(|n| n * 2)
    .filter(|n| n % 4 == 0)
    .key_by(|n: &u64| n % KEYS)
    .window(TumblingEventTimeWindows::of(secs(1)))
    .aggregate(Count, |key: &u64, window: TimeWindow, count: u64| (*key, window.start, count))
    .sink_to(out.clone())
    .name("out");
    (env.graph().unwrap(), out)
}

fn ordinals_job(
    pace: Pace,
    per_split: u64,
    parallelism: usize,
    panic_at: Option<u64>,
) -> (JobGraph, Committed<(u64, u64)>) {
    let env = Environment::new("ordinals");
    env.set_parallelism(parallelism);
    let out = Committed::default();
    let panic_at = panic_at.map(|at| (Arc::new(AtomicU64::new(0)), at));
    env.from_source(Numbers { splits: SPLITS, per_split, pace }, WatermarkStrategy::no_watermarks(), "numbers")
        .key_by(|n: &u64| n % KEYS)
        .process(Ordinal { panic_at, ..Ordinal::default() })
        .name("ordinal")
        .uid("ordinal")
        .sink_to(out.clone())
        .name("out");
    (env.graph().unwrap(), out)
}

/// What `ordinals_job` must come to: every key's records numbered without gap or repetition.
fn expected_ordinals(per_split: u64) -> Vec<(u64, u64)> {
    let mut counts = std::collections::BTreeMap::<u64, u64>::new();
    for n in 0..per_split {
        *counts.entry(n % KEYS).or_default() += SPLITS;
    }
    let mut all: Vec<_> = counts.into_iter().flat_map(|(k, c)| (1..=c).map(move |i| (k, i))).collect();
    all.sort();
    all
}

fn config(dir: &std::path::Path, backend: BackendKind) -> JobConfig {
    let mut config = JobConfig::new(dir);
    config.state_backend = backend;
    config.checkpoints.interval = Some(ms(20));
    config.restart = RestartStrategy::FixedDelay { delay: ms(1), attempts: 5 };
    config
}

#[test]
fn windows_count_every_record_once_at_any_parallelism() {
    let per_split = 20_000;
    let mut expected = std::collections::BTreeMap::<(u64, i64), u64>::new();
    for n in (0..per_split).filter(|n| (n * 2) % 4 == 0) {
        *expected.entry(((n * 2) % KEYS, n as i64 / 1000 * 1000)).or_default() += SPLITS;
    }
    let expected: Vec<_> = expected.into_iter().map(|((k, w), c)| (k, w, c)).collect();
    for backend in [BackendKind::Heap, BackendKind::RocksDb] {
        for parallelism in [1, 2, 3] {
            let dir = tempfile::tempdir().unwrap();
            let (graph, out) = windows_job(per_split, parallelism);
            let result = LocalRunner::submit(graph, config(dir.path(), backend)).unwrap().wait().unwrap();
            assert_eq!(result.state, JobState::Finished);
            assert_eq!(out.sorted(), expected, "{backend:?} at {parallelism}");
            let books = &result.status.books;
            assert_eq!(books.len(), 1);
            assert!(books[0].books.balance());
            assert_eq!(books[0].books.written, expected.len() as u64);
        }
    }
}

#[test]
fn a_panic_restarts_from_the_last_checkpoint_and_nothing_is_doubled() {
    for backend in [BackendKind::Heap, BackendKind::RocksDb] {
        let dir = tempfile::tempdir().unwrap();
        let (graph, out) = ordinals_job(Pace::Slow, 1_000, 2, Some(2_500));
        let handle = LocalRunner::submit(graph, config(dir.path(), backend)).unwrap();
        let result = handle.wait().unwrap();
        assert_eq!(result.status.restarts, 1);
        let message = &result.status.exceptions[0].message;
        assert!(message.contains("'ordinal -> out' failed at record range-"), "{message}");
        assert!(message.contains("user code gives up"), "{message}");
        assert_eq!(out.sorted(), expected_ordinals(1_000), "{backend:?}");
    }
}

#[test]
fn a_job_whose_restarts_are_used_up_fails_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let (graph, _) = ordinals_job(Pace::Free, 1_000, 1, Some(10));
    let mut config = config(dir.path(), BackendKind::Heap);
    config.restart = RestartStrategy::None;
    let handle = LocalRunner::submit(graph, config).unwrap();
    let error = handle.wait().unwrap_err().to_string();
    assert!(error.contains("user code gives up at"), "{error}");
    assert_eq!(handle.state(), JobState::Failed);
}

#[test]
fn a_savepoint_restores_at_another_parallelism() {
    for backend in [BackendKind::Heap, BackendKind::RocksDb] {
        for (before, after) in [(2, 1), (1, 3), (3, 2)] {
            let dir = tempfile::tempdir().unwrap();
            let (graph, out) = ordinals_job(Pace::HoldAt(1_500), 3_000, before, None);
            let handle = LocalRunner::submit(graph, config(&dir.path().join("a"), backend)).unwrap();
            while handle.status().checkpoints.counts.completed == 0 {
                assert!(handle.wait_timeout(ms(2)).unwrap().is_none(), "it should run for longer");
            }
            let savepoint = handle.stop(None, false).unwrap();
            assert_eq!(handle.wait().unwrap().state, JobState::Finished);
            let first = out.sorted().len();
            assert!(first > 0 && first < expected_ordinals(3_000).len(), "stopped in the middle: {first}");

            let (graph, rest) = ordinals_job(Pace::Free, 3_000, after, None);
            let mut config = config(&dir.path().join("b"), backend);
            config.restore = Restore::Path(savepoint);
            LocalRunner::submit(graph, config).unwrap().wait().unwrap();
            let mut all = out.sorted();
            all.extend(rest.sorted());
            all.sort();
            assert_eq!(all, expected_ordinals(3_000), "{backend:?} from {before} to {after}");
        }
    }
}

#[test]
fn cancel_then_latest_goes_on_and_a_finished_job_stays_finished() {
    let dir = tempfile::tempdir().unwrap();
    let (graph, out) = ordinals_job(Pace::HoldAt(900), 2_000, 2, None);
    let handle = LocalRunner::submit(graph, config(dir.path(), BackendKind::RocksDb)).unwrap();
    while handle.status().checkpoints.counts.completed < 2 {
        assert!(handle.wait_timeout(ms(2)).unwrap().is_none());
    }
    handle.cancel().unwrap();
    assert_eq!(handle.wait().unwrap().state, JobState::Canceled);

    let mut again = config(dir.path(), BackendKind::RocksDb);
    again.restore = Restore::Latest;
    let (graph, rest) = ordinals_job(Pace::Free, 2_000, 1, None);
    LocalRunner::submit(graph, again.clone()).unwrap().wait().unwrap();
    let mut all = out.sorted();
    all.extend(rest.sorted());
    all.sort();
    all.dedup();
    assert_eq!(all, expected_ordinals(2_000));

    let (graph, nothing) = ordinals_job(Pace::Free, 2_000, 2, None);
    let result = LocalRunner::submit(graph, again).unwrap().wait().unwrap();
    assert_eq!(result.state, JobState::Finished);
    let recommitted: usize = nothing.visible.lock().unwrap().values().map(Vec::len).sum();
    assert!(recommitted <= all.len(), "only what was open is committed, nothing runs again");
}

#[test]
fn another_jobs_checkpoint_and_unknown_uids_are_refused_in_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let (graph, _) = ordinals_job(Pace::HoldAt(900), 2_000, 1, None);
    let handle = LocalRunner::submit(graph, config(dir.path(), BackendKind::Heap)).unwrap();
    let savepoint = handle.stop(None, false).unwrap();
    handle.wait().unwrap();

    let (graph, _) = windows_job(10, 1);
    let mut other = config(&dir.path().join("other"), BackendKind::Heap);
    other.restore = Restore::Path(savepoint.clone());
    let error = LocalRunner::submit(graph, other).err().unwrap().to_string();
    assert!(error.contains("ordinals") && error.contains("windows"), "{error}");

    let env = Environment::new("ordinals");
    env.from_source(
        Numbers { splits: SPLITS, per_split: 10, pace: Pace::Free },
        WatermarkStrategy::no_watermarks(),
        "numbers",
    )
    .sink_to(Committed::default())
    .name("out");
    let mut changed = config(&dir.path().join("changed"), BackendKind::Heap);
    changed.restore = Restore::Path(savepoint);
    let error = LocalRunner::submit(env.graph().unwrap(), changed).err().unwrap().to_string();
    assert!(error.contains("ordinal") && error.contains("--allow-non-restored-state"), "{error}");
}

#[test]
fn a_data_directory_in_use_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (graph, _) = ordinals_job(Pace::HoldAt(10), 100, 1, None);
    let handle = LocalRunner::submit(graph, config(dir.path(), BackendKind::Heap)).unwrap();
    let (graph, _) = ordinals_job(Pace::Free, 10, 1, None);
    let error = LocalRunner::submit(graph, config(dir.path(), BackendKind::Heap)).err().unwrap().to_string();
    assert!(error.contains("in use by another hurtig"), "{error}");
    handle.cancel().unwrap();
    handle.wait().unwrap();
}

#[test]
fn a_stream_without_a_reader_is_an_error_that_says_what_to_do() {
    let env = Environment::new("loose end");
    let numbers = Numbers { splits: 1, per_split: 1, pace: Pace::Free };
    let _stream = env.from_source(numbers, WatermarkStrategy::no_watermarks(), "numbers").map(|n| n + 1);
    let error = env.graph().err().unwrap();
    assert!(matches!(error, Error::Graph(_)));
    assert!(error.to_string().contains("sink_to"), "{error}");
}

#[test]
fn shared_streams_unions_and_side_outputs_reach_all_their_readers() {
    let dir = tempfile::tempdir().unwrap();
    let env = Environment::new("fork");
    env.set_parallelism(2);
    let numbers = || Numbers { splits: 2, per_split: 500, pace: Pace::Free };
    let a = env.from_source(numbers(), WatermarkStrategy::no_watermarks(), "a").shared();
    let b = env.from_source(numbers(), WatermarkStrategy::no_watermarks(), "b");
    let (one, two, odd) = (Committed::default(), Committed::default(), Committed::default());
    a.clone().map(|n| n + 1).sink_to(one.clone()).name("one");
    let tag = OutputTag::<u64>::new("odd");
    let both = a.union(b).process(Split2(tag.clone()));
    both.side_output(&tag).sink_to(odd.clone()).name("odd");
    both.sink_to(two.clone()).name("two");
    let config = config(dir.path(), BackendKind::Heap);
    LocalRunner::submit(env.graph().unwrap(), config).unwrap().wait().unwrap();
    let times = |n: usize, keep: fn(&u64) -> bool| -> Vec<u64> {
        (0..500).filter(keep).flat_map(|v| std::iter::repeat_n(v, n)).collect()
    };
    assert_eq!(one.sorted(), times(2, |_| true).iter().map(|n| n + 1).collect::<Vec<_>>());
    assert_eq!(two.sorted(), times(4, |n| n % 2 == 0));
    assert_eq!(odd.sorted(), times(4, |n| n % 2 == 1));
}

/// Odd numbers go aside.
#[derive(Clone)]
struct Split2(OutputTag<u64>);

impl ProcessFunction<u64> for Split2 {
    type Out = u64;

    fn process_element<O: Output<u64>>(&mut self, value: u64, out: &mut Collector<'_, O>) -> Result<()> {
        match value % 2 {
            0 => out.collect(value),
            _ => out.output(&self.0, value),
        }
        Ok(())
    }
}

#[test]
fn a_job_without_a_checkpoint_interval_commits_at_its_end() {
    // A bounded job without a checkpoint interval still takes its last checkpoint and commits.
    let dir = tempfile::tempdir().unwrap();
    let (graph, out) = ordinals_job(Pace::Free, 100, 1, None);
    let mut config = config(dir.path(), BackendKind::Heap);
    config.checkpoints.interval = None;
    let handle = LocalRunner::submit(graph, config).unwrap();
    let result = handle.wait_timeout(Duration::from_secs(60)).unwrap().expect("it ends by itself");
    assert_eq!(result.status.checkpoints.counts.completed, 1);
    assert_eq!(out.sorted(), expected_ordinals(100));
}
