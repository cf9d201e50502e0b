//! The sink and its options.

use std::path::PathBuf;

use hurtig_engine::{
    error::{Error as EngineError, Result},
    sink::{Committer, CommitterContext, Sink, WriterContext},
};
use hurtig_lake::{ParquetCompression, ParquetFormat, ParquetSchema, ParquetSink};
use hurtig_operators::connectors::part_files::{EventTimePartition, PartWriter, PartitionBy};

use crate::{committer::DeltaCommitter, schema};

/// Writes a Delta table: see the [crate](crate).
#[derive(Debug, Clone)]
pub struct DeltaSink<T> {
    dir: PathBuf,
    schema: ParquetSchema<T>,
    partition: EventTimePartition,
    files: ParquetSink<T>,
}

impl<T> DeltaSink<T> {
    /// The table in `dir`, which is made if it is not there, partitioned by month of the records' timestamps.
    pub fn new(dir: impl Into<PathBuf>, schema: ParquetSchema<T>) -> Self {
        let dir = dir.into();
        let files = ParquetSink::new(&dir, schema.clone());
        DeltaSink { dir, schema, partition: EventTimePartition::Month, files }
    }

    /// Partitions by event time in another way: a table keeps the way that it was made with.
    #[must_use]
    pub fn partition(mut self, partition: EventTimePartition) -> Self {
        self.partition = partition;
        self.files = self.files.partition_by(PartitionBy::event_time(partition));
        self
    }

    /// Compresses in another way.
    #[must_use]
    pub fn compression(mut self, compression: ParquetCompression) -> Self {
        self.files = self.files.compression(compression);
        self
    }

    /// Closes a file after about this many bytes.
    #[must_use]
    pub fn roll_at_bytes(mut self, bytes: u64) -> Self {
        self.files = self.files.roll_at_bytes(bytes);
        self
    }

    /// How many bytes of records may wait in memory, 64 MiB by default.
    #[must_use]
    pub fn max_buffered_bytes(mut self, bytes: usize) -> Self {
        self.files = self.files.max_buffered_bytes(bytes);
        self
    }

    /// How many files a writer holds open, 64 by default.
    #[must_use]
    pub fn max_open_files(mut self, files: usize) -> Self {
        self.files = self.files.max_open_files(files);
        self
    }
}

impl<T: Send + 'static> Sink<T> for DeltaSink<T> {
    type Writer = PartWriter<T, ParquetFormat<T>>;

    fn writer(&self, ctx: WriterContext, restored: Vec<Vec<u8>>) -> Result<Self::Writer> {
        self.files.writer(ctx, restored)
    }

    fn committer(&self, ctx: CommitterContext) -> Result<Option<Box<dyn Committer>>> {
        let columns = schema::columns(self.schema.columns()).map_err(|reason| EngineError::sink(&ctx.name, reason))?;
        let mut committer = DeltaCommitter::new(self.dir.clone(), columns, self.partition.columns().to_vec(), &ctx);
        // A table that does not fit is said before anything runs.
        committer.open()?;
        Ok(Some(Box::new(committer)))
    }
}
