//! The sink and its options.

use std::{path::PathBuf, time::Duration};

use hurtig_engine::{
    error::Result,
    sink::{Committer, CommitterContext, Sink, WriterContext},
};
use hurtig_operators::connectors::part_files::{
    EventTimePartition, PartCommitter, PartOptions, PartWriter, PartitionBy,
};
use parquet::{
    basic::{Compression, ZstdLevel},
    file::properties::WriterProperties,
};

use crate::{format::ParquetFormat, schema::ParquetSchema};

/// How pages are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ParquetCompression {
    /// Zstandard at its fastest: smaller than Snappy at about the same speed.
    #[default]
    Zstd,
    /// Snappy, which every reader knows.
    Snappy,
    /// Not at all.
    None,
}

/// Writes Parquet files: see the [crate](crate).
#[derive(Debug, Clone)]
pub struct ParquetSink<T> {
    dir: PathBuf,
    schema: ParquetSchema<T>,
    partition_by: PartitionBy<T>,
    options: PartOptions,
    compression: ParquetCompression,
}

impl<T> ParquetSink<T> {
    /// Files in `dir`, which is made if it is not there, by month of the records' timestamps.
    pub fn new(dir: impl Into<PathBuf>, schema: ParquetSchema<T>) -> Self {
        ParquetSink {
            dir: dir.into(),
            schema,
            partition_by: PartitionBy::event_time(EventTimePartition::Month),
            options: PartOptions { max_buffered_bytes: 64 << 20, max_in_flight: 2, ..PartOptions::default() },
            compression: ParquetCompression::default(),
        }
    }

    /// Spreads records over directories in another way.
    #[must_use]
    pub fn partition_by(mut self, by: PartitionBy<T>) -> Self {
        self.partition_by = by;
        self
    }

    /// Compresses in another way.
    #[must_use]
    pub fn compression(mut self, compression: ParquetCompression) -> Self {
        self.compression = compression;
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

    /// How many bytes of records may wait in memory, 64 MiB by default.
    #[must_use]
    pub fn max_buffered_bytes(mut self, bytes: usize) -> Self {
        self.options.max_buffered_bytes = bytes.max(1);
        self
    }

    fn properties(&self) -> WriterProperties {
        let compression = match self.compression {
            ParquetCompression::Zstd => Compression::ZSTD(ZstdLevel::default()),
            ParquetCompression::Snappy => Compression::SNAPPY,
            ParquetCompression::None => Compression::UNCOMPRESSED,
        };
        // Chunks make the row groups; a batch of batches may be longer than one.
        WriterProperties::builder()
            .set_compression(compression)
            .set_created_by(concat!("hurtig ", env!("CARGO_PKG_VERSION")).to_owned())
            .build()
    }
}

impl<T: Send + 'static> Sink<T> for ParquetSink<T> {
    type Writer = PartWriter<T, ParquetFormat<T>>;

    fn writer(&self, ctx: WriterContext, _restored: Vec<Vec<u8>>) -> Result<Self::Writer> {
        let format = ParquetFormat::new(self.schema.clone(), self.properties());
        PartWriter::new(&self.dir, format, self.partition_by.clone(), self.options, ctx)
    }

    fn committer(&self, ctx: CommitterContext) -> Result<Option<Box<dyn Committer>>> {
        Ok(Some(Box::new(PartCommitter::new(&self.dir, &ctx))))
    }
}
