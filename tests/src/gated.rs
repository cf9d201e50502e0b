//! A source that goes on only as far as it is let: checkpoints, stops and failures fall between
//! the same records on every machine.
//!
//! ```no_run
//! # use hurtig_tests::{gated::{Gate, Gated}, peer_gen::PeerSource, stop::Stop};
//! let gate = Gate::default();
//! let readings = PeerSource::new(10_000, 100, 1, Stop::default());
//! let source = Gated::new(readings, &gate);
//! // submit the job, then:
//! gate.let_through(5_000); // … take a checkpoint …
//! gate.open();
//! # let _ = source;
//! ```

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering::SeqCst},
};

use hurtig_engine::{
    Result,
    checkpoint::CheckpointId,
    source::{
        Boundedness, EnumeratorContext, ReaderContext, ReaderStatus, Source, SourceOutput, SourceReader,
        SplitEnumerator,
    },
    time::Clock,
};

/// How soon a reader that waits looks again.
const LOOK_AGAIN_MS: i64 = 1;
/// Open for good: more than any test reads.
const OPEN: i64 = i64::MAX / 2;

/// How many more records may pass. Clones are the same gate.
#[derive(Debug, Clone, Default)]
pub struct Gate(Arc<AtomicI64>);

impl Gate {
    /// Lets so many more pass, also such that a restart reads again.
    pub fn let_through(&self, records: i64) {
        self.0.fetch_add(records, SeqCst);
    }

    /// Lets all pass.
    pub fn open(&self) {
        self.0.store(OPEN, SeqCst);
    }

    /// Whether none may pass now.
    pub fn is_closed(&self) -> bool {
        self.0.load(SeqCst) <= 0
    }

    fn take(&self, most: usize) -> usize {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let taken = |left: i64| most.min(left).max(0);
        match self.0.fetch_update(SeqCst, SeqCst, |left| Some(left - taken(left))) {
            Ok(left) | Err(left) => taken(left) as usize,
        }
    }
}

/// `source` behind a gate.
pub struct Gated<S> {
    source: S,
    gate: Gate,
}

impl<S> Gated<S> {
    /// `source` behind `gate`.
    pub fn new(source: S, gate: &Gate) -> Self {
        Gated { source, gate: gate.clone() }
    }
}

impl<S: Source> Source for Gated<S> {
    type Item = S::Item;
    type Split = S::Split;
    type Reader = GatedReader<S::Reader>;

    fn enumerator(
        &self,
        ctx: EnumeratorContext,
        restored: Option<Vec<u8>>,
    ) -> Result<Box<dyn SplitEnumerator<S::Split>>> {
        self.source.enumerator(ctx, restored)
    }

    fn reader(&self, ctx: ReaderContext) -> Result<Self::Reader> {
        let clock = ctx.clock.clone();
        Ok(GatedReader { reader: self.source.reader(ctx)?, gate: self.gate.clone(), clock })
    }

    fn boundedness(&self) -> Boundedness {
        self.source.boundedness()
    }
}

/// A reader behind a gate.
pub struct GatedReader<R> {
    reader: R,
    gate: Gate,
    clock: Arc<dyn Clock>,
}

impl<R: SourceReader> SourceReader for GatedReader<R> {
    type Item = R::Item;
    type Split = R::Split;

    fn add_split(&mut self, number: u32, split: R::Split) -> Result<()> {
        self.reader.add_split(number, split)
    }

    fn poll<O: SourceOutput<R::Item>>(&mut self, max: usize, out: &mut O) -> Result<ReaderStatus> {
        let allowed = self.gate.take(max);
        if allowed == 0 {
            return Ok(ReaderStatus::NothingAvailable { until: Some(self.clock.now_ms() + LOOK_AGAIN_MS) });
        }
        let mut counted = Counted { out, emitted: 0 };
        let status = self.reader.poll(allowed, &mut counted);
        // What was not used, or was used beyond what was asked for.
        self.gate.let_through(allowed as i64 - counted.emitted);
        status
    }

    fn snapshot(&mut self, checkpoint: CheckpointId) -> Result<Vec<(u32, R::Split)>> {
        self.reader.snapshot(checkpoint)
    }

    fn checkpoint_complete(&mut self, checkpoint: CheckpointId) {
        self.reader.checkpoint_complete(checkpoint);
    }
}

struct Counted<'a, O> {
    out: &'a mut O,
    emitted: i64,
}

impl<T, O: SourceOutput<T>> SourceOutput<T> for Counted<'_, O> {
    fn emit(&mut self, split: u32, position: u64, arrival: i64, value: T) {
        self.emitted += 1;
        self.out.emit(split, position, arrival, value);
    }

    fn dead_letter(&mut self, split: u32, position: u64, arrival: i64, raw: &[u8], reason: &str) {
        self.emitted += 1;
        self.out.dead_letter(split, position, arrival, raw, reason);
    }

    fn is_full(&self) -> bool {
        self.out.is_full()
    }

    fn split_watermark(&self, split: u32) -> i64 {
        self.out.split_watermark(split)
    }

    fn is_paused(&mut self, split: u32) -> bool {
        self.out.is_paused(split)
    }

    fn finish_split(&mut self, split: u32) {
        self.out.finish_split(split);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_gives_what_it_has() {
        let gate = Gate::default();
        assert_eq!((gate.take(5), gate.is_closed()), (0, true));
        gate.let_through(7);
        assert_eq!((gate.take(5), gate.take(5), gate.take(5)), (5, 2, 0));
        gate.open();
        assert_eq!((gate.take(5), gate.is_closed()), (5, false));
    }
}
