//! A sink that keeps everything in memory: for tests.
//!
//! ```
//! use hurtig_operators::connectors::{collect::CollectSink, testing::SinkHarness};
//!
//! let sink = CollectSink::new();
//! SinkHarness::start(&sink, "1")?.write_all([1, 2, 3])?;
//! assert_eq!(sink.values(), [1, 2, 3]);
//! # Ok::<(), hurtig_engine::error::Error>(())
//! ```

use std::sync::{Arc, Mutex, MutexGuard};

use hurtig_engine::{
    error::Result,
    record::Record,
    sink::{Sink, SinkContext, SinkWriter, WriterContext},
};

/// Keeps what it is given. All clones share what they keep; nothing is taken back when the job
/// restarts (at least once).
#[derive(Debug)]
pub struct CollectSink<T>(Arc<Mutex<Vec<Record<T>>>>);

impl<T> CollectSink<T> {
    /// An empty one.
    pub fn new() -> Self {
        CollectSink(Arc::new(Mutex::new(Vec::new())))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Record<T>>> {
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// The records so far, in the order in which they came.
    pub fn records(&self) -> Vec<Record<T>>
    where
        T: Clone,
    {
        self.lock().clone()
    }

    /// The values so far.
    pub fn values(&self) -> Vec<T>
    where
        T: Clone,
    {
        self.lock().iter().map(|r| r.value.clone()).collect()
    }

    /// Takes out what is there.
    pub fn take(&self) -> Vec<Record<T>> {
        std::mem::take(&mut *self.lock())
    }
}

impl<T> Default for CollectSink<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Clone for CollectSink<T> {
    fn clone(&self) -> Self {
        CollectSink(self.0.clone())
    }
}

impl<T: Send + 'static> Sink<T> for CollectSink<T> {
    type Writer = CollectSink<T>;

    fn writer(&self, _ctx: WriterContext, _restored: Vec<Vec<u8>>) -> Result<CollectSink<T>> {
        Ok(self.clone())
    }
}

impl<T: Send + 'static> SinkWriter<T> for CollectSink<T> {
    fn write(&mut self, record: Record<T>, ctx: &mut SinkContext<'_>) -> Result<()> {
        self.lock().push(record);
        ctx.written(1);
        Ok(())
    }
}
