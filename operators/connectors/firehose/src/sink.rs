//! The sink and its options.

use std::{fmt, path::PathBuf, sync::Arc};

use hurtig_engine::{
    error::Result,
    sink::{Committer, CommitterContext, Sink, WriterContext},
};
use hurtig_operators::connectors::part_files::{PartCommitter, PartOptions};

use crate::{config::FirehoseConfig, writer::FirehoseWriter};

pub(crate) type BytesOf<T> = Arc<dyn for<'a> Fn(&'a T) -> &'a [u8] + Send + Sync>;
pub(crate) type TimeOf<T> = Arc<dyn Fn(&T) -> i64 + Send + Sync>;

/// Writes records as they were received: see the [crate](crate).
pub struct FirehoseSink<T> {
    pub(crate) dir: PathBuf,
    pub(crate) config: Arc<FirehoseConfig>,
    pub(crate) bytes: BytesOf<T>,
    pub(crate) arrival: Option<TimeOf<T>>,
    pub(crate) max_buffered_bytes: usize,
}

impl<T> Clone for FirehoseSink<T> {
    fn clone(&self) -> Self {
        FirehoseSink {
            dir: self.dir.clone(),
            config: self.config.clone(),
            bytes: self.bytes.clone(),
            arrival: self.arrival.clone(),
            max_buffered_bytes: self.max_buffered_bytes,
        }
    }
}

impl<T> fmt::Debug for FirehoseSink<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FirehoseSink").field("dir", &self.dir).field("config", &self.config).finish_non_exhaustive()
    }
}

impl<T: AsRef<[u8]>> FirehoseSink<T> {
    /// Files below `dir`, which is made if it is not there: it stands for the bucket.
    pub fn new(dir: impl Into<PathBuf>, config: FirehoseConfig) -> Self {
        Self::of(dir, config, |value: &T| value.as_ref())
    }
}

impl<T> FirehoseSink<T> {
    /// The same for records that have their bytes somewhere inside.
    pub fn of(
        dir: impl Into<PathBuf>,
        config: FirehoseConfig,
        bytes: impl for<'a> Fn(&'a T) -> &'a [u8] + Send + Sync + 'static,
    ) -> Self {
        FirehoseSink {
            dir: dir.into(),
            config: Arc::new(config),
            bytes: Arc::new(bytes),
            arrival: None,
            max_buffered_bytes: PartOptions::default().max_buffered_bytes,
        }
    }

    /// When a record arrived, in milliseconds since the epoch; by default, and where this is
    /// [`NO_TIMESTAMP`](hurtig_engine::time::NO_TIMESTAMP), when it comes here.
    /// With an arrival that the source replays, files are where they were after a restart.
    #[must_use]
    pub fn arrival(mut self, time: impl Fn(&T) -> i64 + Send + Sync + 'static) -> Self {
        self.arrival = Some(Arc::new(time));
        self
    }

    /// How many bytes of records may wait in memory, over all partitions; 32 MiB by default.
    #[must_use]
    pub fn max_buffered_bytes(mut self, bytes: usize) -> Self {
        self.max_buffered_bytes = bytes.max(1);
        self
    }
}

impl<T: Send + 'static> Sink<T> for FirehoseSink<T> {
    type Writer = FirehoseWriter<T>;

    fn writer(&self, ctx: WriterContext, _restored: Vec<Vec<u8>>) -> Result<FirehoseWriter<T>> {
        FirehoseWriter::new(self, ctx)
    }

    fn committer(&self, ctx: CommitterContext) -> Result<Option<Box<dyn Committer>>> {
        Ok(Some(Box::new(PartCommitter::new(&self.dir, &ctx))))
    }
}
