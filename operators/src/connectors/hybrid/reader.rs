//! Reads the first source's splits, and then the next one's.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering::SeqCst},
};

use hurtig_engine::{
    checkpoint::CheckpointId,
    error::{Error, Result},
    metrics::Gauge,
    source::{ReaderContext, ReaderStatus, Source, SourceOutput, SourceReader},
};

use super::{HybridSplit, NONE, Plan, SwitchContext, output::Bounded};

/// The reader of a [`HybridSource`](super::HybridSource).
pub struct HybridReader<A: Source, B: Source<Item = A::Item>> {
    plan: Arc<Plan<A::Item, B>>,
    ctx: ReaderContext,
    first: A::Reader,
    /// The first source's open splits, and the greatest position read from each.
    open: HashMap<u32, i64>,
    /// The same of those that are finished, and the number of the last of them.
    done: Option<(u32, i64)>,
    /// Made when its first split comes.
    next: Option<(SwitchContext, B::Reader)>,
    beyond: Gauge,
}

impl<A: Source, B: Source<Item = A::Item>> HybridReader<A, B> {
    pub(super) fn new(first: A::Reader, plan: Arc<Plan<A::Item, B>>, ctx: ReaderContext) -> Self {
        let beyond = ctx.metrics.gauge("numRecordsBeyondSwitch", &[]);
        HybridReader { plan, ctx, first, open: HashMap::new(), done: None, next: None, beyond }
    }
}

impl<A: Source, B: Source<Item = A::Item>> SourceReader for HybridReader<A, B> {
    type Item = A::Item;
    type Split = HybridSplit<A::Split, B::Split>;

    fn add_split(&mut self, number: u32, split: Self::Split) -> Result<()> {
        match split {
            HybridSplit::First { split, newest } => {
                self.open.insert(number, newest.unwrap_or(NONE));
                self.first.add_split(number, split)
            }
            HybridSplit::Read { .. } => Ok(()),
            HybridSplit::Next { split, switch } => {
                if let Some((known, reader)) = &mut self.next {
                    if *known != switch {
                        let reason = "splits of two different switches; restore from a checkpoint of this job";
                        return Err(Error::source(&self.ctx.uid, reason));
                    }
                    return reader.add_split(number, split);
                }
                let mut reader = (self.plan.next)(&switch)?.reader(self.ctx.clone())?;
                reader.add_split(number, split)?;
                self.next = Some((switch, reader));
                Ok(())
            }
        }
    }

    fn poll<O: SourceOutput<A::Item>>(&mut self, max: usize, out: &mut O) -> Result<ReaderStatus> {
        let plan = &*self.plan;
        let position = plan.position.as_ref();
        if !self.open.is_empty() {
            let (open, done) = (std::cell::RefCell::new(&mut self.open), &mut self.done);
            let end = plan.at;
            let mut bounded = Bounded {
                out,
                position,
                is_ours: |at: i64| end.is_none_or(|end| at < end),
                beyond: &self.beyond,
                seen: &mut |split, at| {
                    if let Some(newest) = open.borrow_mut().get_mut(&split) {
                        *newest = (*newest).max(at);
                    }
                },
                finished: &mut |split| {
                    let newest = open.borrow_mut().remove(&split).unwrap_or(NONE);
                    let before = done.map_or(NONE, |(_, newest)| newest);
                    *done = Some((split, newest.max(before)));
                    plan.newest.fetch_max(newest, SeqCst);
                },
            };
            return self.first.poll(max, &mut bounded);
        }
        let Some((switch, next)) = &mut self.next else {
            return Ok(ReaderStatus::NothingAvailable { until: None });
        };
        let begin = switch.at;
        let mut bounded = Bounded {
            out,
            position,
            is_ours: |at: i64| begin.is_none_or(|begin| at >= begin),
            beyond: &self.beyond,
            seen: &mut |_, _| {},
            finished: &mut |_| {},
        };
        next.poll(max, &mut bounded)
    }

    fn snapshot(&mut self, checkpoint: CheckpointId) -> Result<Vec<(u32, Self::Split)>> {
        let mut splits = Vec::new();
        for (number, split) in self.first.snapshot(checkpoint)? {
            let newest = self.open.get(&number).copied().filter(|n| *n != NONE);
            splits.push((number, HybridSplit::First { split, newest }));
        }
        // A split may have been finished after the enumerator's snapshot was taken, which then does not
        // know how far it came.
        if let Some((number, newest)) = self.done.filter(|(_, newest)| *newest != NONE) {
            splits.push((number, HybridSplit::Read { newest }));
        }
        if let Some((switch, reader)) = &mut self.next {
            let next = reader.snapshot(checkpoint)?.into_iter();
            splits.extend(next.map(|(number, split)| (number, HybridSplit::Next { split, switch: *switch })));
        }
        Ok(splits)
    }

    fn checkpoint_complete(&mut self, checkpoint: CheckpointId) {
        self.first.checkpoint_complete(checkpoint);
        if let Some((_, reader)) = &mut self.next {
            reader.checkpoint_complete(checkpoint);
        }
    }
}
