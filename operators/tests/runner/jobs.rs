//! Two jobs whose results are known, and how they are run.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::SeqCst},
};

use hurtig_engine::{
    graph::JobGraph,
    runner::{JobConfig, RestartStrategy},
};
use hurtig_operators::prelude::*;
use hurtig_state::BackendKind;

use super::{
    committed::Committed,
    numbers::{Numbers, Pace},
};

#[derive(Clone)]
pub struct Count;

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
pub struct Ordinal {
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

pub const KEYS: u64 = 97;
pub const SPLITS: u64 = 4;

pub fn windows_job(per_split: u64, parallelism: usize) -> (JobGraph, Committed<(u64, i64, u64)>) {
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

pub fn ordinals_job(
    pace: Pace,
    per_split: u64,
    parallelism: usize,
    panic_at: Option<u64>,
) -> (JobGraph, Committed<(u64, u64)>) {
    let out = Committed::default();
    (ordinals_into(&out, pace, per_split, parallelism, panic_at), out)
}

/// Several runs may have the same `out`, as they have the same directory: what one of them
/// commits again is there once, what one of them makes again is there twice.
pub fn ordinals_into(
    out: &Committed<(u64, u64)>,
    pace: Pace,
    per_split: u64,
    parallelism: usize,
    panic_at: Option<u64>,
) -> JobGraph {
    let env = Environment::new("ordinals");
    env.set_parallelism(parallelism);
    let panic_at = panic_at.map(|at| (Arc::new(AtomicU64::new(0)), at));
    env.from_source(Numbers { splits: SPLITS, per_split, pace }, WatermarkStrategy::no_watermarks(), "numbers")
        .key_by(|n: &u64| n % KEYS)
        .process(Ordinal { panic_at, ..Ordinal::default() })
        .name("ordinal")
        .uid("ordinal")
        .sink_to(out.clone())
        .name("out");
    env.graph().unwrap()
}

/// What `ordinals_job` must come to: every key's records numbered without gap or repetition.
pub fn expected_ordinals(per_split: u64) -> Vec<(u64, u64)> {
    let mut counts = std::collections::BTreeMap::<u64, u64>::new();
    for n in 0..per_split {
        *counts.entry(n % KEYS).or_default() += SPLITS;
    }
    let mut all: Vec<_> = counts.into_iter().flat_map(|(k, c)| (1..=c).map(move |i| (k, i))).collect();
    all.sort();
    all
}

pub fn config(dir: &std::path::Path, backend: BackendKind) -> JobConfig {
    let mut config = JobConfig::new(dir);
    config.state_backend = backend;
    config.checkpoints.interval = Some(ms(20));
    config.restart = RestartStrategy::FixedDelay { delay: ms(1), attempts: 5 };
    config
}
