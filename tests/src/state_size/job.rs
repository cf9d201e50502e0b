//! A count for every key.

use compact_str::{CompactString, format_compact};
use hurtig_engine::{Data, Result, graph::JobGraph, operator::Output, watermark::WatermarkStrategy};
use hurtig_operators::{
    collector::Collector,
    keyed_process::{KeyedContextOf, KeyedProcessFunction},
    stream::Environment,
};
use hurtig_state::{Key, ValueState, ValueStateDescriptor};

use super::source::{Deed, Deeds, Step};
use crate::bench::tally::{CountingSink, Tally};

/// What the state is keyed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum KeyKind {
    /// Eight bytes.
    Number,
    /// Eighteen characters.
    Text,
}

/// The job over `deeds`; what the keys say ends in `tally`.
pub fn graph(keys: KeyKind, parallelism: usize, deeds: Deeds, tally: &Tally) -> Result<JobGraph> {
    match keys {
        KeyKind::Number => keyed_by(|n| n, parallelism, deeds, tally),
        KeyKind::Text => keyed_by(|n| -> CompactString { format_compact!("k-{n:016x}") }, parallelism, deeds, tally),
    }
}

fn keyed_by<K, F>(key: F, parallelism: usize, deeds: Deeds, tally: &Tally) -> Result<JobGraph>
where
    K: Key + Data,
    F: Fn(u64) -> K + Clone + Send + 'static,
{
    let env = Environment::new("state_size");
    env.set_parallelism(parallelism);
    env.from_source(deeds, WatermarkStrategy::no_watermarks(), "deeds")
        .uid("deeds")
        .key_by(move |deed: &Deed| key(deed.key))
        .process(Count::default())
        .name("count")
        .uid("count")
        .sink_to(CountingSink::new(tally, |count: &u64| *count))
        .name("said")
        .uid("said");
    env.graph()
}

#[derive(Debug, Clone, Default)]
struct Count {
    count: ValueState<i64>,
}

impl<K: Key> KeyedProcessFunction<K, Deed> for Count {
    type Out = u64;

    fn open(&mut self, ctx: &mut KeyedContextOf<'_, K>) -> Result<()> {
        self.count = ctx.state().value_state(ValueStateDescriptor::new("count"))?;
        Ok(())
    }

    #[inline]
    fn process_element<O: Output<u64>>(
        &mut self,
        deed: Deed,
        ctx: &mut KeyedContextOf<'_, K>,
        out: &mut Collector<'_, O>,
    ) -> Result<()> {
        match deed.step {
            Step::Add => *self.count.get_or_insert_with(ctx, || 0)? += 1,
            Step::Say => {
                if let Some(count) = self.count.value(ctx)? {
                    out.collect(*count as u64);
                }
            }
        }
        Ok(())
    }
}
