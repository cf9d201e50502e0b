//! A sink that takes everything and keeps nothing (Flink's `DiscardingSink`): for benchmarks.
//!
//! ```
//! use hurtig_operators::connectors::{discard::DiscardingSink, testing::SinkHarness};
//!
//! let mut harness = SinkHarness::start(&DiscardingSink, "1")?;
//! harness.write_all(0..10)?;
//! assert_eq!(harness.books.written, 10);
//! # Ok::<(), hurtig_engine::error::Error>(())
//! ```

use hurtig_engine::{
    error::Result,
    record::Record,
    sink::{Sink, SinkContext, SinkWriter, WriterContext},
};

/// Counts records as written, and forgets them.
#[derive(Debug, Clone, Copy, Default)]
pub struct DiscardingSink;

/// The writer of a [`DiscardingSink`].
#[derive(Debug, Clone, Copy)]
pub struct Discard;

impl<T: 'static> Sink<T> for DiscardingSink {
    type Writer = Discard;

    fn writer(&self, _ctx: WriterContext, _restored: Vec<Vec<u8>>) -> Result<Discard> {
        Ok(Discard)
    }
}

impl<T> SinkWriter<T> for Discard {
    #[inline]
    fn write(&mut self, _record: Record<T>, ctx: &mut SinkContext<'_>) -> Result<()> {
        ctx.written(1);
        Ok(())
    }
}
