//! Keeps each source on its side of the switch point, and remembers how far the first one came.

use hurtig_engine::{metrics::Gauge, source::SourceOutput};

use super::PositionOf;

/// Passes on what is on one side.
pub(super) struct Bounded<'a, O, T, F> {
    pub out: &'a mut O,
    pub position: Option<&'a PositionOf<T>>,
    /// Whether a position is on this side.
    pub is_ours: F,
    /// How many records were passed over.
    pub beyond: &'a Gauge,
    /// Told each position that is passed on.
    pub seen: &'a mut dyn FnMut(u32, i64),
    /// Told each split that is finished.
    pub finished: &'a mut dyn FnMut(u32),
}

impl<O, T, F> SourceOutput<T> for Bounded<'_, O, T, F>
where
    O: SourceOutput<T>,
    F: Fn(i64) -> bool,
{
    #[inline]
    fn emit(&mut self, split: u32, position: u64, arrival: i64, value: T) {
        if let Some(of) = self.position {
            let at = of(&value);
            if !(self.is_ours)(at) {
                self.beyond.add(1);
                return;
            }
            (self.seen)(split, at);
        }
        self.out.emit(split, position, arrival, value);
    }

    fn dead_letter(&mut self, split: u32, position: u64, arrival: i64, raw: &[u8], reason: &str) {
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
        // What was seen of it is told before it is told that it is finished.
        (self.finished)(split);
        self.out.finish_split(split);
    }
}
