//! A source that counts, and can be held.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::SeqCst},
};

use hurtig_engine::{
    Result,
    checkpoint::CheckpointId,
    source::{
        Assignments, Boundedness, EnumeratorContext, ReaderContext, ReaderStatus, Source, SourceOutput, SourceReader,
        Split, SplitEnumerator,
    },
};
use serde::{Deserialize, Serialize};

/// Counts from `from` to `to` in each split; every number is also its event time in milliseconds.
pub struct Numbers {
    pub splits: u64,
    pub per_split: u64,
    pub pace: Pace,
}

#[derive(Clone)]
pub enum Pace {
    Free,
    /// Never goes past this number: the job cannot end before the test has done with it.
    HoldAt(u64),
    /// The same, until the test says another number.
    Gate(Arc<AtomicU64>),
}

impl Pace {
    /// Where reading stops for now.
    fn limit(&self) -> u64 {
        match self {
            Pace::Free => u64::MAX,
            Pace::HoldAt(number) => *number,
            Pace::Gate(number) => number.load(SeqCst),
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Range {
    id: u64,
    next: u64,
    end: u64,
}

impl Split for Range {
    fn id(&self) -> String {
        format!("range-{}", self.id)
    }
}

pub struct NumbersEnumerator {
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

    fn enumerator(
        &self,
        _ctx: EnumeratorContext,
        restored: Option<Vec<u8>>,
    ) -> Result<Box<dyn SplitEnumerator<Range>>> {
        let unassigned = match restored {
            Some(bytes) => hurtig_engine::error::from_bytes("ranges", &bytes)?,
            None => (0..self.splits).map(|id| Range { id, next: 0, end: self.per_split }).collect(),
        };
        Ok(Box::new(NumbersEnumerator { unassigned }))
    }

    fn reader(&self, ctx: ReaderContext) -> Result<NumbersReader> {
        Ok(NumbersReader { splits: Vec::new(), pace: self.pace.clone(), ctx })
    }

    fn boundedness(&self) -> Boundedness {
        Boundedness::Bounded
    }
}

pub struct NumbersReader {
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
        let (free, limit) = (matches!(self.pace, Pace::Free), self.pace.limit());
        let max = if free { max } else { max.min(50) };
        let Some(at) = (0..self.splits.len()).min_by_key(|i| self.splits[*i].1.next) else {
            return Ok(ReaderStatus::NothingAvailable { until: None });
        };
        let (number, split) = &mut self.splits[at];
        for _ in 0..max {
            if split.next == split.end || out.is_full() || split.next >= limit {
                break;
            }
            out.emit(*number, split.next, split.next as i64, split.next);
            split.next += 1;
        }
        if split.next == split.end {
            out.finish_split(*number);
            self.splits.swap_remove(at);
        }
        Ok(match free {
            true => ReaderStatus::MoreAvailable,
            false => ReaderStatus::NothingAvailable { until: Some(self.ctx.clock.now_ms() + 1) },
        })
    }

    fn snapshot(&mut self, _checkpoint: CheckpointId) -> Result<Vec<(u32, Range)>> {
        Ok(self.splits.clone())
    }
}
