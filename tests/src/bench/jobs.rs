//! The jobs of the comparison, worded as Flink's are.
//!
//! | job | what it does |
//! |---|---|
//! | passthrough | readings → count → discard |
//! | talk | map to Wh → key by meter → a distinct nanosecond for each reading → discard |
//! | tumble | watermarks 30 s behind → key by meter → one-minute windows → JSON lines, exactly once |
//! | generator_tumble | the same over readings made in memory → discard |
//! | dedup | key by (meter, time) → the first passes, seen keys kept for an hour → discard |

use std::path::Path;

use compact_str::CompactString;
use hurtig_engine::{
    Result,
    graph::JobGraph,
    operator::{OperatorFactory, Output},
    source::Source,
    time::{mins, secs},
    watermark::WatermarkStrategy,
};
use hurtig_operators::{
    collector::Collector,
    connectors::json_files::JsonFilesSink,
    keyed_process::{KeyedContextOf, KeyedProcessFunction},
    stream::{DataStream, EdgeHead, Environment, Fused},
    window::{TimeWindow, TumblingEventTimeWindows},
};
use hurtig_state::{AggregateFunction, StateTtlConfig, ValueState, ValueStateDescriptor};
use serde::{Deserialize, Serialize};

use super::{
    settings::Job,
    tally::{CountingSink, Tally},
};
use crate::peer_gen::Reading;

/// Puts a job together over `source`.
pub fn graph<S>(job: Job, parallelism: usize, source: S, output: &Path, tally: &Tally) -> Result<JobGraph>
where
    S: Source<Item = Reading>,
{
    let env = Environment::new(job.name());
    env.set_parallelism(parallelism);
    match job {
        Job::Passthrough => passthrough(&env, source, tally),
        Job::Talk => talk(&env, source, tally),
        Job::Tumble => tumble(&env, source, output, tally),
        Job::GeneratorTumble => generator_tumble(&env, source, tally),
        Job::Dedup => dedup(&env, source, tally),
    }
    env.graph()
}

fn passthrough<S: Source<Item = Reading>>(env: &Environment, source: S, tally: &Tally) {
    env.from_source(source, WatermarkStrategy::no_watermarks(), "files")
        .sink_to(CountingSink::new(tally, |_| 0))
        .name("discard");
}

/// A reading in Wh, with a time-stamp that no other reading of its meter has.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Nudged {
    meter_id: CompactString,
    ts: i64,
    ns: i64,
    wh: f64,
    voltage: f64,
    region: CompactString,
}

fn talk<S: Source<Item = Reading>>(env: &Environment, source: S, tally: &Tally) {
    env.from_source(source, WatermarkStrategy::no_watermarks(), "files")
        .map(|r: Reading| Nudged {
            meter_id: r.meter_id,
            ts: r.ts,
            ns: 0,
            wh: r.kwh * 1000.0,
            voltage: r.voltage,
            region: r.region,
        })
        .name("to-wh")
        .key_by(|n: &Nudged| n.meter_id.clone())
        .process(Nudge { last: ValueState::default(), watched: Watched::new(tally) })
        .name("nudge")
        .uid("nudge")
        .sink_to(CountingSink::new(tally, |_| 0))
        .name("discard");
}

/// Gives readings of one meter that share a millisecond one nanosecond after the other.
#[derive(Clone)]
struct Nudge {
    last: ValueState<i64>,
    watched: Watched,
}

impl KeyedProcessFunction<CompactString, Nudged> for Nudge {
    type Out = Nudged;

    fn open(&mut self, ctx: &mut KeyedContextOf<'_, CompactString>) -> Result<()> {
        self.last = ctx.state().value_state(ValueStateDescriptor::new("last"))?;
        self.watched.open();
        Ok(())
    }

    #[inline]
    fn process_element<O: Output<Nudged>>(
        &mut self,
        mut reading: Nudged,
        ctx: &mut KeyedContextOf<'_, CompactString>,
        out: &mut Collector<'_, O>,
    ) -> Result<()> {
        let last = self.last.get_or_insert_with(ctx, || i64::MIN)?;
        let mut ns = reading.ts * 1_000_000;
        if *last >= ns && *last - ns < 1_000_000 {
            ns = *last + 1;
            self.watched.tally.mark();
        }
        *last = ns;
        reading.ns = ns;
        out.collect(reading);
        self.watched.look(ctx);
        Ok(())
    }
}

/// One meter's minute. The fields are called as in Flink's output, for `check.py`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Minute {
    /// The meter.
    pub meter_id: CompactString,
    /// Its first millisecond.
    pub window_start: i64,
    /// The first behind it.
    pub window_end: i64,
    /// The energy.
    pub sum_kwh: f64,
    /// How many readings.
    pub count: u64,
    /// The highest voltage.
    pub max_voltage: f64,
    /// The energy of a reading on average.
    pub avg_kwh: f64,
}

/// Sum, count and maximum.
#[derive(Debug, Clone, Copy)]
pub struct Summarize;

/// What a window keeps.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Summary {
    sum: f64,
    count: u64,
    max: f64,
}

impl AggregateFunction for Summarize {
    type In = Reading;
    type Acc = Summary;
    type Out = Summary;

    #[inline]
    fn create_accumulator(&self) -> Summary {
        Summary { sum: 0.0, count: 0, max: f64::NEG_INFINITY }
    }

    #[inline]
    fn add(&self, summary: &mut Summary, reading: Reading) {
        summary.sum += reading.kwh;
        summary.count += 1;
        summary.max = summary.max.max(reading.voltage);
    }

    #[inline]
    fn get_result(&self, summary: &Summary) -> Summary {
        *summary
    }

    fn merge(&self, summary: &mut Summary, other: Summary) {
        summary.sum += other.sum;
        summary.count += other.count;
        summary.max = summary.max.max(other.max);
    }
}

/// A stream of minutes that is open to more operators.
type Minutes<Op> = DataStream<Minute, Fused<EdgeHead<Reading>, Op>>;

fn minutes<S: Source<Item = Reading>>(
    env: &Environment,
    source: S,
) -> Minutes<impl OperatorFactory<Reading, Out = Minute>> {
    let watermarks = WatermarkStrategy::bounded_out_of_orderness(secs(30))
        .with_watermark_alignment(secs(5))
        .with_timestamp_assigner(|r: &Reading, _arrival: i64| r.ts);
    env.from_source(source, watermarks, "readings")
        .key_by(|r: &Reading| r.meter_id.clone())
        .window(TumblingEventTimeWindows::of(mins(1)))
        .aggregate(Summarize, |meter: &CompactString, window: TimeWindow, s: Summary| Minute {
            meter_id: meter.clone(),
            window_start: window.start,
            window_end: window.end,
            sum_kwh: s.sum,
            count: s.count,
            max_voltage: s.max,
            avg_kwh: s.sum / s.count as f64,
        })
        .name("minutes")
        .uid("minutes")
}

fn tumble<S: Source<Item = Reading>>(env: &Environment, source: S, output: &Path, tally: &Tally) {
    let tally = tally.clone();
    minutes(env, source)
        .map(move |m: Minute| {
            tally.count(m.count);
            m
        })
        .name("count")
        .sink_to(JsonFilesSink::<Minute>::new(output))
        .name("json")
        .uid("json");
}

fn generator_tumble<S: Source<Item = Reading>>(env: &Environment, source: S, tally: &Tally) {
    minutes(env, source).sink_to(CountingSink::new(tally, |m: &Minute| m.count)).name("discard");
}

/// How long a reading that was seen is remembered.
const REMEMBERED_MS: i64 = 3_600_000;

fn dedup<S: Source<Item = Reading>>(env: &Environment, source: S, tally: &Tally) {
    env.from_source(source, WatermarkStrategy::no_watermarks(), "files")
        .key_by(|r: &Reading| (r.meter_id.clone(), r.ts))
        .process(FirstOnly { seen: ValueState::default(), watched: Watched::new(tally) })
        .name("first-only")
        .uid("first-only")
        .sink_to(CountingSink::new(tally, |_| 0))
        .name("discard");
}

/// Lets the first reading of a meter and time pass.
#[derive(Clone)]
struct FirstOnly {
    seen: ValueState<bool>,
    watched: Watched,
}

impl KeyedProcessFunction<(CompactString, i64), Reading> for FirstOnly {
    type Out = Reading;

    fn open(&mut self, ctx: &mut KeyedContextOf<'_, (CompactString, i64)>) -> Result<()> {
        let remembered = StateTtlConfig::new(REMEMBERED_MS);
        self.seen = ctx.state().value_state(ValueStateDescriptor::new("seen").ttl(remembered))?;
        self.watched.open();
        Ok(())
    }

    #[inline]
    fn process_element<O: Output<Reading>>(
        &mut self,
        reading: Reading,
        ctx: &mut KeyedContextOf<'_, (CompactString, i64)>,
        out: &mut Collector<'_, O>,
    ) -> Result<()> {
        if self.seen.value(ctx)?.is_none() {
            self.seen.update(ctx, true)?;
            out.collect(reading);
        } else {
            self.watched.tally.mark();
        }
        self.watched.look(ctx);
        Ok(())
    }
}

/// Looks at a subtask's state now and then.
#[derive(Clone)]
struct Watched {
    tally: Tally,
    slot: usize,
    until_next: u32,
}

impl Watched {
    const EVERY: u32 = 100_000;

    fn new(tally: &Tally) -> Self {
        Watched { tally: tally.clone(), slot: 0, until_next: Self::EVERY }
    }

    fn open(&mut self) {
        self.slot = self.tally.stats_slot();
    }

    #[inline]
    fn look<K: hurtig_state::Key>(&mut self, ctx: &mut KeyedContextOf<'_, K>) {
        self.until_next -= 1;
        if self.until_next == 0 {
            self.until_next = Self::EVERY;
            self.tally.put_stats(self.slot, ctx.state().stats());
        }
    }
}
