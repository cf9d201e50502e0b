//! The jobs, and what they must write, computed by hand.

use std::{
    collections::{BTreeMap, HashSet},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::SeqCst},
    },
};

use compact_str::CompactString;
use hurtig_engine::{
    Result, dead_letter::DeadLetter, graph::JobGraph, operator::Output, task::OutputTag, time::secs,
    watermark::WatermarkStrategy,
};
use hurtig_operators::{
    collector::Collector,
    connectors::json_files::JsonFilesSink,
    keyed_process::{KeyedContextOf, KeyedProcessFunction, Timer},
    process::ProcessFunction,
    stream::Environment,
    window::{TimeWindow, TumblingEventTimeWindows},
};
use hurtig_state::{AggregateFunction, MapState, MapStateDescriptor, ValueState, ValueStateDescriptor};
use hurtig_tests::{
    gated::{Gate, Gated},
    peer_gen::{PeerSource, Reading, reading},
    stop::Stop,
};
use serde::{Deserialize, Serialize};

/// How many meters there are.
const METERS: u64 = 500;
/// How long windows and buckets are.
const SECOND: i64 = 1_000;

/// Goes off when so many records have passed.
#[derive(Debug, Clone, Default)]
pub struct Bombs(Arc<Vec<AtomicI64>>);

impl Bombs {
    /// One for each of `after`, each counting for itself, over restarts.
    pub fn after(after: &[i64]) -> Self {
        Bombs(Arc::new(after.iter().map(|n| AtomicI64::new(*n)).collect()))
    }

    /// How many have not gone off.
    pub fn left(&self) -> usize {
        self.0.iter().filter(|b| b.load(SeqCst) > 0).count()
    }

    fn tick(&self) {
        for bomb in self.0.iter() {
            if bomb.fetch_sub(1, SeqCst) == 1 {
                panic!("a bomb has gone off");
            }
        }
    }
}

/// What a job is made with.
pub struct Making<'a> {
    /// How many workers.
    pub parallelism: usize,
    /// Where it writes.
    pub out: &'a Path,
    /// How far it may go.
    pub gate: &'a Gate,
    /// When it fails.
    pub bombs: &'a Bombs,
    /// How many readings there are.
    pub readings: u64,
}

/// A job and the lines that it must write.
pub struct Job {
    /// What it is called.
    pub name: &'static str,
    /// How many readings it reads: 10,000 a second of event time, with watermarks 30 s behind.
    pub readings: u64,
    /// Makes it.
    pub graph: fn(&Making<'_>) -> Result<JobGraph>,
    /// What it must write, sorted.
    pub expected: fn(u64) -> Vec<String>,
}

/// All of them.
pub const JOBS: [Job; 3] = [
    // So many that windows and timers fire all through the second half.
    Job { name: "windows", readings: 400_000, graph: windows, expected: expected_windows },
    Job { name: "timers", readings: 400_000, graph: timers, expected: expected_timers },
    Job { name: "branches", readings: 60_000, graph: branches, expected: expected_branches },
];

fn readings(making: &Making<'_>) -> Gated<PeerSource> {
    Gated::new(PeerSource::new(making.readings, METERS, 1, Stop::default()), making.gate)
}

fn all_readings(n: u64) -> impl Iterator<Item = Reading> {
    (0..n).map(|i| reading(i, METERS).into())
}

fn env(making: &Making<'_>, name: &str) -> Environment {
    let env = Environment::new(name);
    env.set_parallelism(making.parallelism);
    env
}

fn watermarks() -> WatermarkStrategy<impl Fn(&Reading, i64) -> i64 + Clone + Send + 'static> {
    WatermarkStrategy::bounded_out_of_orderness(secs(30)).with_timestamp_assigner(|r: &Reading, _: i64| r.ts)
}

fn watt_hours(r: &Reading) -> i64 {
    (r.kwh * 1000.0).round() as i64
}

fn sorted<T: Serialize>(rows: impl IntoIterator<Item = T>) -> Vec<String> {
    let mut lines: Vec<_> = rows.into_iter().map(|r| serde_json::to_string(&r).expect("JSON")).collect();
    lines.sort_unstable();
    lines
}

/// A meter's second.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Second {
    meter: CompactString,
    start: i64,
    wh: i64,
    readings: u64,
}

#[derive(Clone)]
struct Sum;

impl AggregateFunction for Sum {
    type In = Reading;
    type Acc = (i64, u64);
    type Out = (i64, u64);

    fn create_accumulator(&self) -> (i64, u64) {
        (0, 0)
    }
    fn add(&self, acc: &mut (i64, u64), r: Reading) {
        *acc = (acc.0 + watt_hours(&r), acc.1 + 1);
    }
    fn get_result(&self, acc: &(i64, u64)) -> (i64, u64) {
        *acc
    }
    fn merge(&self, acc: &mut (i64, u64), other: (i64, u64)) {
        *acc = (acc.0 + other.0, acc.1 + other.1);
    }
}

/// Windows with incremental aggregates: pane state.
fn windows(making: &Making<'_>) -> Result<JobGraph> {
    let env = env(making, "windows");
    let bombs = making.bombs.clone();
    env.from_source(readings(making), watermarks(), "readings")
        .uid("readings")
        .map(move |r: Reading| {
            bombs.tick();
            r
        })
        .uid("bombs")
        .key_by(|r: &Reading| r.meter_id.clone())
        .window(TumblingEventTimeWindows::of(secs(1)))
        .aggregate(Sum, |meter: &CompactString, window: TimeWindow, (wh, readings): (i64, u64)| Second {
            meter: meter.clone(),
            start: window.start,
            wh,
            readings,
        })
        .uid("seconds")
        .sink_to(JsonFilesSink::<Second>::new(making.out))
        .name("out")
        .uid("out");
    env.graph()
}

fn expected_windows(n: u64) -> Vec<String> {
    let mut seconds = BTreeMap::new();
    for r in all_readings(n) {
        let sum: &mut (i64, u64) = seconds.entry((r.meter_id.clone(), r.ts - r.ts.rem_euclid(SECOND))).or_default();
        *sum = (sum.0 + watt_hours(&r), sum.1 + 1);
    }
    sorted(seconds.into_iter().map(|((meter, start), (wh, readings))| Second { meter, start, wh, readings }))
}

/// Repeats are left out, and each meter says every second what there was: value state, map state
/// and timers.
fn timers(making: &Making<'_>) -> Result<JobGraph> {
    let env = env(making, "timers");
    env.from_source(readings(making), watermarks(), "readings")
        .uid("readings")
        .key_by(|r: &Reading| r.meter_id.clone())
        .process(Buckets { bombs: making.bombs.clone(), ..Buckets::default() })
        .name("buckets")
        .uid("buckets")
        .sink_to(JsonFilesSink::<Second>::new(making.out))
        .name("out")
        .uid("out");
    env.graph()
}

#[derive(Clone, Default)]
struct Buckets {
    seen: MapState<(i64, i64), bool>,
    buckets: MapState<i64, (i64, u64)>,
    open: ValueState<u64>,
    bombs: Bombs,
}

impl KeyedProcessFunction<CompactString, Reading> for Buckets {
    type Out = Second;

    fn open(&mut self, ctx: &mut KeyedContextOf<'_, CompactString>) -> Result<()> {
        self.seen = ctx.state().map_state(MapStateDescriptor::new("seen"))?;
        self.buckets = ctx.state().map_state(MapStateDescriptor::new("buckets"))?;
        self.open = ctx.state().value_state(ValueStateDescriptor::new("open"))?;
        Ok(())
    }

    fn process_element<O: Output<Second>>(
        &mut self,
        r: Reading,
        ctx: &mut KeyedContextOf<'_, CompactString>,
        _out: &mut Collector<'_, O>,
    ) -> Result<()> {
        self.bombs.tick();
        let this = (r.ts, watt_hours(&r));
        if self.seen.contains(ctx, &this)? {
            return Ok(());
        }
        self.seen.put(ctx, this, true)?;
        let start = r.ts - r.ts.rem_euclid(SECOND);
        let bucket = self.buckets.get(ctx, &start)?.copied();
        if bucket.is_none() {
            *self.open.get_or_insert_with(ctx, || 0)? += 1;
            ctx.register_event_time_timer(start + SECOND - 1)?;
        }
        let (wh, readings) = bucket.unwrap_or_default();
        self.buckets.put(ctx, start, (wh + watt_hours(&r), readings + 1))?;
        Ok(())
    }

    fn on_timer<O: Output<Second>>(
        &mut self,
        timer: Timer,
        ctx: &mut KeyedContextOf<'_, CompactString>,
        out: &mut Collector<'_, O>,
    ) -> Result<()> {
        let start = timer.timestamp() + 1 - SECOND;
        let (wh, readings) = self.buckets.get(ctx, &start)?.copied().expect("a timer has its bucket");
        self.buckets.remove(ctx, &start)?;
        let open = self.open.get_or_insert_with(ctx, || 0)?;
        *open = open.checked_sub(1).expect("it was open");
        out.collect(Second { meter: ctx.current_key().clone(), start, wh, readings });
        Ok(())
    }
}

fn expected_timers(n: u64) -> Vec<String> {
    let mut seen = HashSet::new();
    let mut seconds = BTreeMap::new();
    for r in all_readings(n).filter(|r| seen.insert((r.meter_id.clone(), r.ts, watt_hours(r)))) {
        let sum: &mut (i64, u64) = seconds.entry((r.meter_id.clone(), r.ts - r.ts.rem_euclid(SECOND))).or_default();
        *sum = (sum.0 + watt_hours(&r), sum.1 + 1);
    }
    sorted(seconds.into_iter().map(|((meter, start), (wh, readings))| Second { meter, start, wh, readings }))
}

/// What `branches` writes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Branch {
    /// From the main output.
    High(CompactString, i64, i64),
    /// From the side output.
    Low(CompactString, i64),
    /// One of the two that a reading was made into.
    Half(i64, i64),
}

#[derive(Clone)]
struct Split {
    low: OutputTag<Reading>,
    bombs: Bombs,
}

/// Readings under this go to the side.
const LOW: i64 = 1_000;

impl ProcessFunction<Reading> for Split {
    type Out = Reading;

    fn process_element<O: Output<Reading>>(&mut self, r: Reading, out: &mut Collector<'_, O>) -> Result<()> {
        self.bombs.tick();
        match watt_hours(&r) {
            0 => out.dead_letter(r.ts.to_string().into_bytes(), "nothing was used"),
            1..LOW => out.output(&self.low, r),
            _ => out.collect(r),
        }
        Ok(())
    }
}

/// Side outputs, flat_map, filter, union and dead letters.
fn branches(making: &Making<'_>) -> Result<JobGraph> {
    let env = env(making, "branches");
    let tag = OutputTag::new("low");
    let split = env
        .from_source(readings(making), watermarks(), "readings")
        .uid("readings")
        .process(Split { low: OutputTag::new("low"), bombs: making.bombs.clone() })
        .name("split")
        .uid("split");
    let low = split.side_output(&tag).map(|r: Reading| Branch::Low(r.meter_id, r.ts)).uid("low").shared();
    let high = split.shared();
    let halves = high
        .clone()
        .flat_map(|r: Reading| {
            let wh = watt_hours(&r);
            [Branch::Half(r.ts, wh / 2), Branch::Half(r.ts, wh - wh / 2)]
        })
        .uid("halves")
        .filter(|b: &Branch| matches!(b, Branch::Half(_, wh) if wh % 2 == 0))
        .uid("even")
        .shared();
    let high = high.map(|r: Reading| Branch::High(r.meter_id.clone(), r.ts, watt_hours(&r))).uid("high").shared();
    high.union(low).union(halves).sink_to(JsonFilesSink::<Branch>::new(making.out)).name("out").uid("out");
    env.dead_letters_to(JsonFilesSink::<DeadLetter>::new(making.out.join("letters")));
    env.graph()
}

fn expected_branches(n: u64) -> Vec<String> {
    let mut lines = Vec::new();
    for (i, r) in all_readings(n).enumerate() {
        let wh = watt_hours(&r);
        match wh {
            0 => lines.extend(sorted([DeadLetter {
                time: Some(r.ts),
                split: format!("part-{}", i % 2),
                position: Some(i as u64),
                operator: "split".into(),
                reason: "nothing was used".into(),
                raw: r.ts.to_string().into_bytes(),
            }])),
            1..LOW => lines.extend(sorted([Branch::Low(r.meter_id, r.ts)])),
            _ => {
                let halves = [wh / 2, wh - wh / 2].into_iter().filter(|half| half % 2 == 0);
                lines.extend(sorted(halves.map(|half| Branch::Half(r.ts, half))));
                lines.extend(sorted([Branch::High(r.meter_id, r.ts, wh)]));
            }
        }
    }
    lines.sort_unstable();
    lines
}
