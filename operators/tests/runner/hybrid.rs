//! History from files, then numbers that go on counting: each once, whatever happens at whatever moment.

use std::{fs, path::Path, sync::Arc};

use hurtig_engine::{
    Result,
    error::{from_bytes, to_bytes},
    metrics::Metrics,
    runner::{JobState, LocalRunner, Restore},
    source::{Assignments, Boundedness, ReaderContext, ReaderStatus, SourceReader, Split, SplitEnumerator, SplitNames},
    task::pool::Waker,
    time::ManualClock,
};
use hurtig_operators::{
    connectors::{
        files::{FileSource, JsonLines, LineFormat},
        hybrid::{HybridSource, SwitchContext},
        testing::{Output as Collected, enumerator_context},
    },
    prelude::*,
};
use hurtig_state::BackendKind;
use proptest::prelude::*;

use super::{
    committed::Committed,
    jobs::{Count, KEYS, Ordinal, SPLITS, config},
    numbers::{Numbers, Pace},
};

type Files = FileSource<u64, LineFormat<u64, JsonLines<u64>>>;
type Hybrid = HybridSource<Files, Numbers, u64>;
type HybridSplit = <Hybrid as Source>::Split;

/// Where the stream ends, in each of its splits.
const END: u64 = 120;

/// Every third of `numbers` into each of three files, and one file without any.
fn history(dir: &Path, numbers: u64) -> Files {
    for file in 0..3 {
        let lines: Vec<_> = (0..numbers).filter(|n| n % 3 == file).map(|n| format!("{n}\n")).collect();
        fs::write(dir.join(format!("{file}.json")), lines.concat()).unwrap();
    }
    fs::write(dir.join("empty.json"), "").unwrap();
    FileSource::new(dir.to_str().unwrap()).json_lines()
}

fn numbers(end: u64, pace: Pace) -> Numbers {
    Numbers { splits: SPLITS, per_split: end, pace }
}

/// The stream has everything from 0 on, the files what is before 60 and a little more: `at` is given, or
/// it is found where the files end.
fn hybrid(dir: &Path, at: Option<u64>) -> Hybrid {
    let builder = HybridSource::builder(history(dir, at.map_or(60, |_| 70))).position_of(|n: &u64| *n as i64);
    let builder = if let Some(at) = at { builder.switch_at(at as i64) } else { builder };
    let next = |switch: &SwitchContext| {
        assert_eq!(switch.at, Some(60), "where the files end, and nothing else");
        Ok(numbers(END, Pace::Free))
    };
    builder.add_source(next).bounded()
}

/// What each number must be there for: once before the switch, in every split after it.
fn expected(at: u64, end: u64) -> Vec<u64> {
    let mut all: Vec<_> = (0..at).chain((0..SPLITS).flat_map(|_| at..end)).collect();
    all.sort_unstable();
    all
}

struct Checkpoint {
    enumerator: Vec<u8>,
    splits: Vec<Vec<u8>>,
    emitted: Vec<u64>,
}

/// One reader as the engine drives it.
struct Subtask {
    reader: <Hybrid as Source>::Reader,
    emitted: Vec<u64>,
    finished: Vec<u32>,
    /// Its barrier is on its way: what is assigned meanwhile waits behind it.
    barrier: bool,
    behind: Vec<HybridSplit>,
    open: usize,
}

/// An engine that does everything at any time: polls, checkpoints whose barriers dawdle, news of finished
/// splits that come late, failures.
struct Simulation<'a> {
    source: &'a Hybrid,
    names: SplitNames,
    enumerator: Box<dyn SplitEnumerator<HybridSplit>>,
    subtasks: Vec<Subtask>,
    /// What was emitted before the last restore, and counts.
    before: Vec<u64>,
    /// The enumerator's part of a checkpoint that is being taken, and the readers'.
    taking: Option<Checkpoint>,
    last: Option<Checkpoint>,
    no_more: bool,
}

impl<'a> Simulation<'a> {
    fn start(source: &'a Hybrid, readers: usize, from: Option<Checkpoint>) -> Self {
        let clock = Arc::new(ManualClock::new(0));
        let state = from.as_ref().map(|c| c.enumerator.clone());
        let mut enumerator = source.enumerator(enumerator_context(readers, clock.clone()), state).unwrap();
        let names = SplitNames::default();
        let subtasks = (0..readers).map(|subtask| {
            let reader = source.reader(ReaderContext {
                job: "job".into(),
                uid: "source".into(),
                subtask,
                parallelism: readers,
                attempt: "1".into(),
                clock: clock.clone(),
                waker: Waker::default(),
                runtime: enumerator_context(1, clock.clone()).runtime,
                splits: names.clone(),
                metrics: Metrics::default(),
            });
            let reader = reader.unwrap();
            Subtask { reader, emitted: vec![], finished: vec![], barrier: false, behind: vec![], open: 0 }
        });
        let subtasks = subtasks.collect();
        let before = from.as_ref().map(|c| c.emitted.clone()).unwrap_or_default();
        if let Some(from) = &from {
            enumerator.add_splits_back(from.splits.iter().map(|b| from_bytes("a split", b).unwrap()).collect());
        }
        let (taking, last) = (None, from);
        Simulation { source, names, enumerator, subtasks, before, taking, last, no_more: false }
    }

    fn poll(&mut self) {
        let mut ctx = Assignments::new(self.subtasks.len());
        self.enumerator.poll(&mut ctx).unwrap();
        let (assigned, unassigned, no_more) = ctx.into_parts();
        for (reader, split) in assigned {
            let subtask = &mut self.subtasks[reader];
            subtask.open += 1;
            if subtask.barrier {
                subtask.behind.push(split);
            } else {
                subtask.add(&self.names, split);
            }
        }
        let open: usize = self.subtasks.iter().map(|s| s.open).sum();
        // Nothing to read, and something to come: event time must be held.
        assert!(no_more || open > 0 || unassigned > 0, "event time would go to its end at the switch");
        self.no_more |= no_more;
    }

    fn read(&mut self, subtask: usize, max: usize) {
        let subtask = &mut self.subtasks[subtask];
        let mut out = Collected::with_capacity(max);
        let _: ReaderStatus = subtask.reader.poll(max, &mut out).unwrap();
        subtask.emitted.extend(out.values());
        subtask.finished.extend(out.finished);
        assert!(out.letters.is_empty());
    }

    /// The enumerator is told what has been finished.
    fn tell(&mut self, subtask: usize) {
        let subtask = &mut self.subtasks[subtask];
        for number in subtask.finished.drain(..) {
            subtask.open -= 1;
            self.enumerator.split_finished(&self.names.name(number));
        }
    }

    fn trigger(&mut self) {
        if self.taking.is_none() {
            let enumerator = self.enumerator.snapshot().unwrap();
            self.taking = Some(Checkpoint { enumerator, splits: vec![], emitted: self.before.clone() });
            self.subtasks.iter_mut().for_each(|s| s.barrier = true);
        }
    }

    fn barrier(&mut self, subtask: usize) {
        let Some(taking) = &mut self.taking else { return };
        let subtask = &mut self.subtasks[subtask];
        if std::mem::take(&mut subtask.barrier) {
            let splits = subtask.reader.snapshot(1).unwrap();
            taking.splits.extend(splits.iter().map(|(_, split)| to_bytes("a split", split).unwrap()));
            taking.emitted.extend(&subtask.emitted);
            for split in std::mem::take(&mut subtask.behind) {
                subtask.add(&self.names, split);
            }
        }
        if self.subtasks.iter().all(|s| !s.barrier) {
            self.last = self.taking.take();
        }
    }

    fn crash(self, readers: usize) -> Self {
        Simulation::start(self.source, readers, self.last)
    }

    fn is_done(&self) -> bool {
        self.no_more && self.subtasks.iter().all(|s| s.open == 0)
    }

    fn emitted(&self) -> Vec<u64> {
        let now = self.subtasks.iter().flat_map(|s| s.emitted.iter().copied());
        let mut all: Vec<_> = self.before.iter().copied().chain(now).collect();
        all.sort_unstable();
        all
    }
}

impl Subtask {
    fn add(&mut self, names: &SplitNames, split: HybridSplit) {
        // It comes over the wire.
        let split: HybridSplit = from_bytes("a split", &to_bytes("a split", &split).unwrap()).unwrap();
        self.reader.add_split(names.number(&split.id()), split).unwrap();
    }
}

/// The next of a row of numbers that look like chance.
fn next(state: &mut u64) -> usize {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) as usize
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn each_record_once_whenever_it_is_restored(seed in any::<u64>(), fixed in any::<bool>(), crashes in 0_usize..12) {
        let dir = tempfile::tempdir().unwrap();
        let source = hybrid(dir.path(), fixed.then_some(60));
        let (mut random, mut crashes) = (seed, crashes);
        let mut simulation = Simulation::start(&source, 1 + next(&mut random) % 3, None);
        while !simulation.is_done() {
            let subtask = next(&mut random) % simulation.subtasks.len();
            match next(&mut random) % 100 {
                0..30 => simulation.poll(),
                30..60 => simulation.read(subtask, 1 + next(&mut random) % 20),
                60..75 => simulation.tell(subtask),
                75..82 => simulation.trigger(),
                82..97 => simulation.barrier(subtask),
                _ if crashes > 0 => {
                    crashes -= 1;
                    simulation = simulation.crash(1 + next(&mut random) % 3);
                }
                _ => std::thread::yield_now(),
            }
        }
        prop_assert_eq!(simulation.emitted(), expected(60, END));
    }
}

#[test]
fn event_time_is_held_while_the_next_source_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let (done, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let source = HybridSource::builder(history(dir.path(), 60)).add_source(move |switch: &SwitchContext| {
        assert_eq!(*switch, SwitchContext::default(), "without positions there is no point");
        // Until the test lets go.
        let _ = wait.lock().unwrap().recv();
        Ok(numbers(END, Pace::Free))
    });
    let mut simulation = Simulation::start(&source, 1, None);
    let held = |simulation: &mut Simulation<'_>| {
        let mut ctx = Assignments::new(1);
        simulation.enumerator.poll(&mut ctx).unwrap();
        let (assigned, unassigned, no_more) = ctx.into_parts();
        (assigned.len(), unassigned, no_more)
    };
    simulation.poll();
    while simulation.subtasks[0].open > 0 {
        simulation.read(0, 100);
        simulation.tell(0);
    }
    for _ in 0..3 {
        assert_eq!(held(&mut simulation), (0, 1, false));
    }
    drop(done);
    while !simulation.no_more {
        simulation.poll();
        std::thread::yield_now();
    }
    assert_eq!(simulation.subtasks[0].open, SPLITS as usize);
}

/// One after the other: at every step of a run there is a checkpoint, and every one of them is gone back to.
#[test]
fn every_stage_can_be_gone_back_to() {
    let dir = tempfile::tempdir().unwrap();
    let source = hybrid(dir.path(), None);
    let mut stages = Vec::new();
    let mut simulation = Simulation::start(&source, 2, None);
    while !simulation.is_done() {
        for step in 0..4 {
            match step {
                0 => simulation.poll(),
                1 => (0..2).for_each(|s| simulation.read(s, 7)),
                2 => (0..2).for_each(|s| simulation.tell(s)),
                _ => {}
            }
            // The barrier passes one reader at once, and the other when it has read on.
            simulation.trigger();
            simulation.barrier(step % 2);
            simulation.read(1 - step % 2, 5);
            simulation.barrier(1 - step % 2);
            stages.push(simulation.last.take().unwrap());
        }
    }
    assert_eq!(simulation.emitted(), expected(60, END));
    for (number, stage) in stages.into_iter().enumerate() {
        let mut simulation = Simulation::start(&source, 1 + number % 3, Some(stage));
        while !simulation.is_done() {
            simulation.poll();
            for subtask in 0..simulation.subtasks.len() {
                simulation.read(subtask, 50);
                simulation.tell(subtask);
            }
        }
        assert_eq!(simulation.emitted(), expected(60, END), "from stage {number}");
    }
}

fn ordinals(dir: &Path, out: &Committed<(u64, u64)>, pace: Pace, parallelism: usize) -> hurtig_engine::graph::JobGraph {
    let env = Environment::new("hybrid");
    env.set_parallelism(parallelism);
    let files = FileSource::new(dir.to_str().unwrap()).json_lines::<u64>();
    let source = HybridSource::builder(files).position_of(|n: &u64| *n as i64);
    let source = source.add_source(move |_: &SwitchContext| Ok(numbers(1_000, pace.clone()))).bounded();
    env.from_source(source, WatermarkStrategy::no_watermarks(), "numbers")
        .key_by(|n: &u64| n % KEYS)
        .process(Ordinal::default())
        .name("ordinal")
        .uid("ordinal")
        .sink_to(out.clone())
        .name("out");
    env.graph().unwrap()
}

#[test]
fn a_job_is_stopped_behind_the_switch_and_goes_on_at_another_parallelism() {
    for (before, after) in [(2, 1), (1, 3)] {
        let dir = tempfile::tempdir().unwrap();
        let input = dir.path().join("in");
        fs::create_dir(&input).unwrap();
        drop(history(&input, 400));
        let out = Committed::default();
        let graph = ordinals(&input, &out, Pace::HoldAt(700), before);
        let handle = LocalRunner::submit(graph, config(&dir.path().join("a"), BackendKind::Heap)).unwrap();
        // The files' numbers, and some of the stream's.
        while out.sorted().len() < 401 {
            assert!(handle.wait_timeout(ms(2)).unwrap().is_none(), "it cannot end yet");
        }
        let savepoint = handle.stop(None, false).unwrap();
        assert_eq!(handle.wait().unwrap().state, JobState::Finished);
        let mut config = config(&dir.path().join("b"), BackendKind::Heap);
        config.restore = Restore::Path(savepoint);
        LocalRunner::submit(ordinals(&input, &out, Pace::Free, after), config).unwrap().wait().unwrap();
        let mut counts = std::collections::BTreeMap::<u64, u64>::new();
        expected(400, 1_000).iter().for_each(|n| *counts.entry(n % KEYS).or_default() += 1);
        let mut all: Vec<_> = counts.into_iter().flat_map(|(k, c)| (1..=c).map(move |i| (k, i))).collect();
        all.sort_unstable();
        out.must_be(&all, &format!("from {before} to {after}"));
    }
}

#[test]
fn event_time_waits_at_the_switch() {
    for parallelism in [1, 3] {
        let dir = tempfile::tempdir().unwrap();
        let input = dir.path().join("in");
        fs::create_dir(&input).unwrap();
        let source = HybridSource::builder(history(&input, 2_050)).position_of(|n: &u64| *n as i64);
        let source = source.add_source(|_: &SwitchContext| Ok(numbers(4_000, Pace::Free))).bounded();
        let env = Environment::new("windows");
        env.set_parallelism(parallelism);
        let out = Committed::default();
        let strategy =
            WatermarkStrategy::bounded_out_of_orderness(ms(0)).with_timestamp_assigner(|n: &u64, _: i64| *n as i64);
        env.from_source(source, strategy, "numbers")
            .key_by(|_: &u64| 0_u64)
            .window(TumblingEventTimeWindows::of(secs(1)))
            .aggregate(Count, |_: &u64, window: TimeWindow, count: u64| (window.start, count))
            .sink_to(out.clone())
            .name("out");
        let config = config(&dir.path().join("data"), BackendKind::Heap);
        LocalRunner::submit(env.graph().unwrap(), config).unwrap().wait().unwrap();
        // The window from 2,000 to 3,000 has numbers of both sources, and none of them was late.
        let (history, stream) = (50, 950 * SPLITS);
        let windows = [(0, 1_000), (1_000, 1_000), (2_000, history + stream), (3_000, 1_000 * SPLITS)];
        out.must_be(&windows, &format!("at parallelism {parallelism}"));
    }
}

#[test]
fn what_never_ends_cannot_be_first_and_what_cannot_be_made_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let endless = HybridSource::builder(history(dir.path(), 1)).add_source(|_| Ok(numbers(1, Pace::Free)));
    assert_eq!(endless.boundedness(), Boundedness::ContinuousUnbounded);
    let source = endless.then().add_source(|_| Ok(numbers(1, Pace::Free)));
    let ctx = || enumerator_context(1, Arc::new(ManualClock::new(0)));
    let error = source.enumerator(ctx(), None).err().unwrap().to_string();
    assert!(error.contains("never ends") && error.contains("put it last"), "{error}");

    for panics in [false, true] {
        let source =
            HybridSource::builder(FileSource::new(dir.path().to_str().unwrap()).suffixes(["none"]).json_lines());
        let source = source.add_source(move |_: &SwitchContext| -> Result<Numbers> {
            assert!(!panics, "there is no such stream");
            Err(Error::Config("there is no such stream".into()))
        });
        let error = match source.enumerator(ctx(), None) {
            Err(e) => e,
            Ok(mut enumerator) => loop {
                if let Err(e) = enumerator.poll(&mut Assignments::new(1)) {
                    break e;
                }
                std::thread::yield_now();
            },
        };
        assert!(error.to_string().contains("such stream") || error.to_string().contains("none"), "{error}");
    }
}

/// Three of them: files, files, numbers.
#[test]
fn a_third_source_follows_the_second() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    fs::create_dir(&a).unwrap();
    fs::create_dir(&b).unwrap();
    let path = b.to_str().unwrap().to_owned();
    drop(history(&b, 20));
    let source = HybridSource::builder(history(&a, 10)).position_of(|n: &u64| *n as i64);
    let source = source.add_source(move |_| Ok(FileSource::new(path.as_str()).json_lines::<u64>())).bounded();
    let source = source.then().position_of(|n: &u64| *n as i64).add_source(|_| Ok(numbers(30, Pace::Free))).bounded();
    let env = Environment::new("three");
    let out = Committed::default();
    env.from_source(source, WatermarkStrategy::no_watermarks(), "numbers").sink_to(out.clone()).name("out");
    let config = config(&dir.path().join("data"), BackendKind::Heap);
    LocalRunner::submit(env.graph().unwrap(), config).unwrap().wait().unwrap();
    out.must_be(&expected(20, 30), "each of the three on its side");
}
