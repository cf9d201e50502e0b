//! How records find their way through a job: exchanges, unions, side outputs, sinks that hold back.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::SeqCst},
};

use hurtig_engine::{
    runner::{JobState, LocalRunner},
    sink::{SinkContext, WriterContext},
    task::pool::Ticket,
};
use hurtig_operators::prelude::*;
use hurtig_state::BackendKind;

use super::{
    committed::Committed,
    jobs::{Count, KEYS, SPLITS, config, windows_job},
    numbers::{Numbers, Pace},
};

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
            out.must_be(&expected, &format!("{backend:?} at {parallelism}"));
            let books = &result.status.books;
            assert_eq!(books.len(), 1);
            assert!(books[0].books.balance());
            assert_eq!(books[0].books.written, expected.len() as u64);
        }
    }
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

/// What is behind the slower of two sources is not late: their watermarks merge by minimum.
#[test]
fn windows_behind_a_union_wait_for_the_slower_side() {
    let dir = tempfile::tempdir().unwrap();
    let env = Environment::new("union");
    env.set_parallelism(2);
    let gate = Arc::new(AtomicU64::new(0));
    let source = |pace, name| {
        let numbers = Numbers { splits: 2, per_split: 5_000, pace };
        env.from_source(numbers, WatermarkStrategy::monotonous_timestamps(), name)
    };
    let slow = source(Pace::Gate(gate.clone()), "slow").map(|n| n);
    let out = Committed::default();
    source(Pace::Free, "fast")
        .union(slow)
        .key_by(|n: &u64| n % 7)
        .window(TumblingEventTimeWindows::of(secs(1)))
        .aggregate(Count, |key: &u64, window: TimeWindow, count: u64| (window.start, *key, count))
        .sink_to(out.clone())
        .name("out");
    let letters = Committed::<String>::default();
    env.dead_letters().map(|letter: DeadLetter| letter.reason).sink_to(letters.clone()).name("letters");
    let handle = LocalRunner::submit(env.graph().unwrap(), config(dir.path(), BackendKind::Heap)).unwrap();
    // The fast side is at its end before the slow one has begun.
    while handle.status().checkpoints.counts.completed < 3 {
        assert!(handle.wait_timeout(ms(2)).unwrap().is_none());
    }
    assert!(out.sorted().is_empty(), "no window fires before the slow side has come to its end");
    gate.store(u64::MAX, SeqCst);
    handle.wait().unwrap();
    let mut expected = std::collections::BTreeMap::<(i64, u64), u64>::new();
    (0..5_000).for_each(|n| *expected.entry((n as i64 / 1000 * 1000, n % 7)).or_default() += 4);
    let expected: Vec<_> = expected.into_iter().map(|((w, k), c)| (w, k, c)).collect();
    out.must_be(&expected, "all of both");
    assert_eq!(letters.sorted(), Vec::<String>::new());
}

/// Takes a hundred records; then they must go over the pool before there is room again.
#[derive(Clone, Default)]
struct Narrow {
    /// The most that ever waited in one writer.
    most: Arc<AtomicU64>,
}

const ROOM: u64 = 100;

struct NarrowWriter {
    sink: Narrow,
    ctx: WriterContext,
    waiting: u64,
    away: Option<Ticket<()>>,
}

impl<T: Data> Sink<T> for Narrow {
    type Writer = NarrowWriter;

    fn writer(&self, ctx: WriterContext, _restored: Vec<Vec<u8>>) -> Result<NarrowWriter> {
        Ok(NarrowWriter { sink: self.clone(), ctx, waiting: 0, away: None })
    }
}

impl NarrowWriter {
    fn empty(&mut self, ctx: &mut SinkContext<'_>) -> Result<bool> {
        if self.waiting > 0 && self.away.get_or_insert_with(|| self.ctx.pool.spawn(|| ())).poll()?.is_some() {
            ctx.written(std::mem::take(&mut self.waiting));
            self.away = None;
        }
        Ok(self.waiting == 0)
    }
}

impl<T: Data> SinkWriter<T> for NarrowWriter {
    fn write(&mut self, _record: Record<T>, _ctx: &mut SinkContext<'_>) -> Result<()> {
        self.waiting += 1;
        self.sink.most.fetch_max(self.waiting, SeqCst);
        Ok(())
    }

    fn ready(&mut self, ctx: &mut SinkContext<'_>) -> Result<bool> {
        Ok(self.waiting < ROOM || self.empty(ctx)?)
    }

    fn flush(&mut self, ctx: &mut SinkContext<'_>) -> Result<bool> {
        self.empty(ctx)
    }
}

/// All panes of all keys are due at the end of input, in one call; the source emits in polls of
/// thousands; one record becomes thousands. A sink in the same chain is not run over by any.
#[test]
fn a_sink_that_has_enough_holds_its_own_chain_back() {
    let dir = tempfile::tempdir().unwrap();
    let env = Environment::new("narrow");
    env.set_parallelism(2);
    let numbers = |per_split| Numbers { splits: 2, per_split, pace: Pace::Free };
    let none = WatermarkStrategy::no_watermarks;
    let (read, many, fired) = (Narrow::default(), Narrow::default(), Narrow::default());
    env.from_source(numbers(20_000), none(), "direct").sink_to(read.clone()).name("read");
    env.from_source(numbers(4), none(), "few").flat_map(|n| 0..n * 5_000).sink_to(many.clone()).name("many");
    env.from_source(numbers(20_000), none(), "keys")
        .key_by(|n: &u64| *n)
        .window(TumblingEventTimeWindows::of(secs(1)))
        .aggregate(Count, |key: &u64, _: TimeWindow, _: u64| *key)
        .sink_to(fired.clone())
        .name("fired");
    let result =
        LocalRunner::submit(env.graph().unwrap(), config(dir.path(), BackendKind::Heap)).unwrap().wait().unwrap();
    let written = |name: &str| result.status.books.iter().find(|b| b.name == name).unwrap().books.written;
    assert_eq!((written("read"), written("many"), written("fired")), (40_000, 60_000, 20_000));
    assert_eq!((read.most.load(SeqCst), many.most.load(SeqCst)), (ROOM, ROOM));
    let most = fired.most.load(SeqCst);
    assert!((ROOM..ROOM + 256).contains(&most), "a window looks up after every 256 results: {most}");
}

#[test]
fn what_a_job_says_and_nobody_would_hear_is_an_error() {
    let numbers = || Numbers { splits: 1, per_split: 1, pace: Pace::Free };
    let source = |env: &Environment| env.from_source(numbers(), WatermarkStrategy::no_watermarks(), "numbers");
    let said = |env: Environment| env.graph().err().expect("an error").to_string();

    let env = Environment::new("named too early");
    source(&env).shared().name("lost").map(|n| n + 1).sink_to(DiscardingSink);
    let error = said(env);
    assert!(error.contains("the name 'lost'") && !error.contains('\n'), "{error}");

    let env = Environment::new("uid too early");
    source(&env).union(source(&env)).uid("lost").sink_to(DiscardingSink);
    assert!(said(env).contains("the uid 'lost'"));

    let env = Environment::new("two types");
    let split = source(&env).process(Split2(OutputTag::new("odd")));
    split.side_output(&OutputTag::<u64>::new("odd")).sink_to(DiscardingSink);
    split.side_output(&OutputTag::<String>::new("odd")).sink_to(DiscardingSink);
    split.sink_to(DiscardingSink);
    let error = said(env);
    assert!(error.contains("the side output 'odd' is read as two types"), "{error}");

    // A side output may be left alone; what is lost is counted.
    let dir = tempfile::tempdir().unwrap();
    let env = Environment::new("unread");
    env.from_source(
        Numbers { splits: 1, per_split: 10, pace: Pace::Free },
        WatermarkStrategy::no_watermarks(),
        "numbers",
    )
    .process(Split2(OutputTag::new("odd")))
    .sink_to(DiscardingSink);
    let handle = LocalRunner::submit(env.graph().unwrap(), config(dir.path(), BackendKind::Heap)).unwrap();
    handle.wait().unwrap();
    let unread: u64 = handle.metrics().iter().flatten().map(|m| m.unread.load(SeqCst)).sum();
    assert_eq!(unread, 5);
}
