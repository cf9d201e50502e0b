//! Reads the ranges of one subtask, a few at once.

use std::{
    collections::VecDeque,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use hurtig_engine::{
    checkpoint::CheckpointId,
    error::Result,
    source::{ReaderContext, ReaderStatus, SourceOutput, SourceReader},
};

use crate::{
    enumerator::Shared,
    fetch::Fetch,
    options::RangeOptions,
    range_reader::{RangeReader, Slice},
    schema::FileSchema,
    split::RangeSplit,
    store::FileStore,
};

/// How many records are read from one range before another may come.
const SLICE: usize = 256;

/// Reads ranges: of those that are open and have bytes, the one that is furthest behind in event
/// time, and among equals each in turn.
pub struct RangeSourceReader<S: FileSchema> {
    store: FileStore,
    schema: S,
    options: Arc<RangeOptions>,
    shared: Arc<Shared>,
    ctx: ReaderContext,
    waiting: VecDeque<(u32, RangeSplit)>,
    open: VecDeque<RangeReader<S>>,
    /// Checkpoints under way, with the enumerator's snapshot that belongs to each.
    snapshots: Vec<(CheckpointId, u64)>,
}

impl<S: FileSchema> RangeSourceReader<S> {
    pub(crate) fn new(
        store: FileStore,
        schema: S,
        options: Arc<RangeOptions>,
        shared: Arc<Shared>,
        ctx: ReaderContext,
    ) -> Self {
        RangeSourceReader {
            store,
            schema,
            options,
            shared,
            ctx,
            waiting: VecDeque::new(),
            open: VecDeque::new(),
            snapshots: Vec::new(),
        }
    }

    fn open_more(&mut self) {
        while self.open.len() < self.options.max_open.max(1) {
            let Some((number, split)) = self.waiting.pop_front() else { return };
            let file = split.file.clone();
            let mut range = RangeReader::new(number, split, self.schema.clone());
            let (runtime, waker) = (&self.ctx.runtime, self.ctx.waker.clone());
            range.begin(Fetch::start(runtime, waker, &self.store, &file, range.wanted(), &self.options));
            self.open.push_back(range);
        }
    }

    /// The open range to read next, by its place.
    fn next<O: SourceOutput<S::Item>>(&mut self, out: &mut O) -> Option<usize> {
        let mut best: Option<(i64, usize)> = None;
        for (i, range) in self.open.iter().enumerate() {
            let number = range.number();
            if range.has_news() && !out.is_paused(number) {
                let watermark = out.split_watermark(number);
                if best.is_none_or(|(least, _)| watermark < least) {
                    best = Some((watermark, i));
                }
            }
        }
        best.map(|(_, i)| i)
    }
}

impl<S: FileSchema> SourceReader for RangeSourceReader<S> {
    type Item = S::Item;
    type Split = RangeSplit;

    fn add_split(&mut self, number: u32, split: RangeSplit) -> Result<()> {
        self.waiting.push_back((number, split));
        Ok(())
    }

    fn poll<O: SourceOutput<S::Item>>(&mut self, max: usize, out: &mut O) -> Result<ReaderStatus> {
        let mut left = max;
        loop {
            self.open_more();
            if left == 0 || out.is_full() {
                return Ok(ReaderStatus::MoreAvailable);
            }
            let Some(mut range) = self.next(out).and_then(|i| self.open.remove(i)) else {
                return Ok(ReaderStatus::NothingAvailable { until: None });
            };
            let slice = range.read(SLICE.min(left), out);
            self.shared.progress.bytes_read.fetch_add(range.take_read(), Relaxed);
            match slice {
                Ok(Slice::Finished(records)) => {
                    left = left.saturating_sub(records);
                    out.finish_split(range.number());
                }
                Ok(Slice::More(records) | Slice::Starved(records)) => {
                    left = left.saturating_sub(records);
                    self.open.push_back(range);
                }
                Err(e) => {
                    self.open.push_back(range);
                    return Err(e);
                }
            }
        }
    }

    fn snapshot(&mut self, checkpoint: CheckpointId) -> Result<Vec<(u32, RangeSplit)>> {
        if self.ctx.subtask == 0 {
            self.snapshots.push((checkpoint, self.shared.snapshots()));
        }
        let open = self.open.iter().map(|range| (range.number(), range.split()));
        Ok(open.chain(self.waiting.iter().cloned()).collect())
    }

    fn checkpoint_complete(&mut self, checkpoint: CheckpointId) {
        if let Some((_, snapshot)) = self.snapshots.iter().rev().find(|(id, _)| *id <= checkpoint) {
            self.shared.completed(*snapshot);
        }
        self.snapshots.retain(|(id, _)| *id > checkpoint);
    }
}
