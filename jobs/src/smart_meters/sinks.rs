//! The lake's sinks: where files go and how they are cut up.

use std::path::Path;

#[cfg(feature = "delta")]
use hurtig_delta::DeltaSink;
use hurtig_engine::{
    dead_letter::DeadLetter,
    error::Result,
    sink::{Committer, CommitterContext, Sink, WriterContext},
};
#[cfg(feature = "firehose")]
use hurtig_firehose::{FirehoseConfig, FirehoseSink};
use hurtig_lake::{ParquetFormat, ParquetSchema, ParquetSink, ToArrow};
use hurtig_operators::connectors::{
    dead_letters::dead_letters_to,
    json_files::JsonFilesSink,
    part_files::{EventTimePartition, PartWriter, PartitionBy as Spread},
};
use serde::Serialize;

use super::{
    Layout, Options,
    spec::{PartitionBy, Typed},
};
#[cfg(feature = "firehose")]
use super::{mapping::RawLine, options};

/// Rows that may wait in a Parquet writer's memory. The job has four of them on every worker.
const BUFFERED: usize = 16 << 20;

impl From<PartitionBy> for EventTimePartition {
    fn from(by: PartitionBy) -> Self {
        match by {
            PartitionBy::Month => EventTimePartition::Month,
            PartitionBy::Day => EventTimePartition::Day,
            PartitionBy::Hour => EventTimePartition::Hour,
        }
    }
}

/// JSON lines below `dir`, cut up by the records' event time.
pub fn json_lines<T>(dir: &Path, options: &Options) -> JsonFilesSink<T> {
    JsonFilesSink::new(dir)
        .partition_by(Spread::event_time(options.partition_by.into()))
        .roll_at_bytes(options.lake_file_size as u64)
}

/// Lines below `dir`, as a configuration of Firehose says.
#[cfg(feature = "firehose")]
pub fn firehose(dir: &Path, config: &Path) -> Result<FirehoseSink<RawLine>> {
    let config = FirehoseConfig::from_file(config).map_err(|e| options::config(format!("--firehose {e}")))?;
    Ok(FirehoseSink::of(dir, config, |line: &RawLine| line.text.as_slice()).arrival(|line| line.arrival))
}

/// A typed table below `dir`, cut up by the records' event time.
pub fn typed<T: ToArrow + Serialize + 'static>(dir: &Path, options: &Options) -> TypedSink<T> {
    let (by, schema, bytes) = (options.partition_by.into(), ParquetSchema::of(), options.lake_file_size as u64);
    match options.typed {
        #[cfg(feature = "delta")]
        Typed::Delta => TypedSink::Delta(
            DeltaSink::new(dir, schema).partition(by).roll_at_bytes(bytes).max_buffered_bytes(BUFFERED),
        ),
        // `options.check()` has said so already.
        #[cfg(not(feature = "delta"))]
        Typed::Delta => TypedSink::Parquet(ParquetSink::new(dir, schema)),
        Typed::Parquet => TypedSink::Parquet(
            ParquetSink::new(dir, schema)
                .partition_by(Spread::event_time(by))
                .roll_at_bytes(bytes)
                .max_buffered_bytes(BUFFERED),
        ),
    }
}

/// A typed table: files are the same, what names them is not.
#[derive(Debug, Clone)]
pub enum TypedSink<T> {
    /// A Delta Lake table.
    #[cfg(feature = "delta")]
    Delta(DeltaSink<T>),
    /// Files in directories.
    Parquet(ParquetSink<T>),
}

impl<T: Send + 'static> Sink<T> for TypedSink<T> {
    type Writer = PartWriter<T, ParquetFormat<T>>;

    fn writer(&self, ctx: WriterContext, restored: Vec<Vec<u8>>) -> Result<Self::Writer> {
        match self {
            #[cfg(feature = "delta")]
            TypedSink::Delta(sink) => sink.writer(ctx, restored),
            TypedSink::Parquet(sink) => sink.writer(ctx, restored),
        }
    }

    fn committer(&self, ctx: CommitterContext) -> Result<Option<Box<dyn Committer>>> {
        match self {
            #[cfg(feature = "delta")]
            TypedSink::Delta(sink) => sink.committer(ctx),
            TypedSink::Parquet(sink) => sink.committer(ctx),
        }
    }
}

/// The dead letters' files.
pub fn dead_letters(layout: &Layout) -> JsonFilesSink<DeadLetter> {
    dead_letters_to(&layout.dead_letters)
}
