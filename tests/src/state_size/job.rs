//! A count for every key, in a value that is as wide as a meter's register and tells whose it is.

use compact_str::{CompactString, format_compact};
use hurtig_engine::{Data, Result, graph::JobGraph, operator::Output, watermark::WatermarkStrategy};
use hurtig_operators::{
    collector::Collector,
    keyed_process::{KeyedContextOf, KeyedProcessFunction},
    stream::Environment,
};
use hurtig_state::{Key, ValueState, ValueStateDescriptor};
use serde::{Deserialize, Serialize};

use super::source::{Deed, Deeds, Step};
use crate::{
    bench::tally::{CountingSink, Tally},
    mix::mix,
};

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

/// What is kept of a key. The seal changes with every touch and is no other key's: a value that is
/// old, or somebody else's, is seen. It does not compress either: what is stored is its real size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Register {
    count: u64,
    seal: [u64; 4],
}

impl Register {
    fn new(key: u64, count: u64) -> Self {
        let mut last = mix(key) ^ count;
        let seal = std::array::from_fn(|_| {
            last = mix(last);
            last
        });
        Register { count, seal }
    }
}

#[derive(Debug, Clone, Default)]
struct Count {
    register: ValueState<Register>,
}

impl<K: Key> KeyedProcessFunction<K, Deed> for Count {
    type Out = u64;

    fn open(&mut self, ctx: &mut KeyedContextOf<'_, K>) -> Result<()> {
        self.register = ctx.state().value_state(ValueStateDescriptor::new("register"))?;
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
            Step::Add => {
                let register = self.register.get_or_insert_with(ctx, || Register::new(deed.key, 0))?;
                *register = Register::new(deed.key, register.count + 1);
            }
            Step::Say => {
                // With a broken seal nothing is said, and a key is missing in the end.
                let found = self.register.value(ctx)?;
                if let Some(register) = found.filter(|r| **r == Register::new(deed.key, r.count)) {
                    out.collect(register.count);
                }
            }
        }
        Ok(())
    }
}
