//! A stream of things to do with keys, that goes on only as far as it is let.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use hurtig_engine::{
    checkpoint::CheckpointId,
    error::Result,
    source::{
        Boundedness, EnumeratorContext, ReaderContext, ReaderStatus, Source, SourceOutput, SourceReader, Split,
        SplitEnumerator,
    },
    time::{Clock, NO_TIMESTAMP},
};
use serde::{Deserialize, Serialize};

use crate::{all_at_once::AllAtOnce, mix::mix};

/// How many splits there are.
const SPLITS: u64 = 4;
/// How soon a source that waits looks again.
const LOOK_AGAIN_MS: i64 = 2;

/// What to do with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// Add one to its count.
    Add,
    /// Say its count.
    Say,
}

/// One thing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deed {
    /// The key, as a number.
    pub key: u64,
    /// What to do.
    pub step: Step,
}

/// How far the source may go. Clones are the same gate.
#[derive(Debug, Clone, Default)]
pub struct Gate(Arc<AtomicU64>);

impl Gate {
    /// Lets the first `deeds` through.
    pub fn open_to(&self, deeds: u64) {
        self.0.store(deeds, Relaxed);
    }
}

/// Touches `keys` keys once each, then `updates` of them at random, then asks for all of them.
#[derive(Debug, Clone)]
pub struct Deeds {
    /// How many keys.
    pub keys: u64,
    /// How many updates.
    pub updates: u64,
    /// How far to go.
    pub gate: Gate,
}

impl Deeds {
    /// Deed number `i`.
    #[inline]
    fn deed(&self, i: u64) -> Deed {
        let Deeds { keys, updates, .. } = *self;
        match i {
            i if i < keys => Deed { key: mix(i), step: Step::Add },
            i if i < keys + updates => Deed { key: mix(mix(i) % keys), step: Step::Add },
            _ => Deed { key: mix(i - keys - updates), step: Step::Say },
        }
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.keys + self.updates + self.keys
    }
}

/// Every fourth deed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeedSplit {
    first: u64,
    next: u64,
}

impl Split for DeedSplit {
    fn id(&self) -> String {
        format!("deeds-{}", self.first)
    }
}

impl Source for Deeds {
    type Item = Deed;
    type Split = DeedSplit;
    type Reader = DeedReader;

    fn enumerator(
        &self,
        _ctx: EnumeratorContext,
        restored: Option<Vec<u8>>,
    ) -> Result<Box<dyn SplitEnumerator<DeedSplit>>> {
        let all = || Ok((0..SPLITS).map(|first| DeedSplit { first, next: first }).collect());
        AllAtOnce::boxed(restored, all)
    }

    fn reader(&self, ctx: ReaderContext) -> Result<DeedReader> {
        Ok(DeedReader { deeds: self.clone(), splits: Vec::new(), clock: ctx.clock })
    }

    fn boundedness(&self) -> Boundedness {
        Boundedness::Bounded
    }
}

/// Gives out the deeds of its splits.
pub struct DeedReader {
    deeds: Deeds,
    splits: Vec<(u32, DeedSplit)>,
    clock: Arc<dyn Clock>,
}

impl SourceReader for DeedReader {
    type Item = Deed;
    type Split = DeedSplit;

    fn add_split(&mut self, number: u32, split: DeedSplit) -> Result<()> {
        self.splits.push((number, split));
        Ok(())
    }

    fn poll<O: SourceOutput<Deed>>(&mut self, max: usize, out: &mut O) -> Result<ReaderStatus> {
        let end = self.deeds.count();
        let gate = self.deeds.gate.0.load(Relaxed).min(end);
        let mut left = max;
        while left > 0 && !out.is_full() {
            let Some((number, split)) = self.splits.iter_mut().min_by_key(|(_, s)| s.next) else { break };
            if split.next >= end {
                let number = *number;
                self.splits.retain(|(n, _)| *n != number);
                out.finish_split(number);
                continue;
            }
            if split.next >= gate {
                let until = Some(self.clock.now_ms() + LOOK_AGAIN_MS);
                return Ok(ReaderStatus::NothingAvailable { until });
            }
            out.emit(*number, split.next, NO_TIMESTAMP, self.deeds.deed(split.next));
            split.next += SPLITS;
            left -= 1;
        }
        let done = self.splits.is_empty();
        Ok(if done { ReaderStatus::NothingAvailable { until: None } } else { ReaderStatus::MoreAvailable })
    }

    fn snapshot(&mut self, _checkpoint: CheckpointId) -> Result<Vec<(u32, DeedSplit)>> {
        Ok(self.splits.clone())
    }
}
