//! The sink and its options.

use std::{path::PathBuf, time::Duration};

use hurtig_engine::{
    error::Result,
    sink::{Committer, CommitterContext, Sink, WriterContext},
};
use serde::Serialize;

use super::format::JsonFormat;
use crate::connectors::part_files::{PartCommitter, PartOptions, PartWriter, PartitionBy};

/// Writes JSON lines to files: see the [module](super).
#[derive(Debug, Clone)]
pub struct JsonFilesSink<T> {
    dir: PathBuf,
    partition_by: PartitionBy<T>,
    options: PartOptions,
    gzip: bool,
}

impl<T> JsonFilesSink<T> {
    /// Files in `dir`, which is made if it is not there.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        JsonFilesSink {
            dir: dir.into(),
            partition_by: PartitionBy::Nothing,
            options: PartOptions::default(),
            gzip: false,
        }
    }

    /// Spreads records over directories.
    #[must_use]
    pub fn partition_by(mut self, by: PartitionBy<T>) -> Self {
        self.partition_by = by;
        self
    }

    /// Compresses the files.
    #[must_use]
    pub fn gzip(mut self) -> Self {
        self.gzip = true;
        self
    }

    /// Closes a file after about this many bytes.
    #[must_use]
    pub fn roll_at_bytes(mut self, bytes: u64) -> Self {
        self.options.rolling.max_bytes = bytes.max(1);
        self
    }

    /// Closes a file when it has been open for this long.
    #[must_use]
    pub fn roll_every(mut self, interval: Duration) -> Self {
        self.options.rolling.interval = Some(interval);
        self
    }

    /// How many files a writer holds open, 64 by default.
    #[must_use]
    pub fn max_open_files(mut self, files: usize) -> Self {
        self.options.max_open_files = files.max(1);
        self
    }

    /// All bounds at once.
    #[must_use]
    pub fn options(mut self, options: PartOptions) -> Self {
        self.options = options;
        self
    }
}

impl<T: Serialize + Send + 'static> Sink<T> for JsonFilesSink<T> {
    type Writer = PartWriter<T, JsonFormat<T>>;

    fn writer(&self, ctx: WriterContext, _restored: Vec<Vec<u8>>) -> Result<Self::Writer> {
        PartWriter::new(&self.dir, JsonFormat::new(self.gzip), self.partition_by.clone(), self.options, ctx)
    }

    fn committer(&self, ctx: CommitterContext) -> Result<Option<Box<dyn Committer>>> {
        Ok(Some(Box::new(PartCommitter::new(&self.dir, &ctx))))
    }
}
