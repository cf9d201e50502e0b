//! The lake's sinks: where files go and how they are cut up.

use std::path::Path;

use hurtig_engine::dead_letter::DeadLetter;
use hurtig_operators::connectors::{
    dead_letters::dead_letters_to,
    json_files::JsonFilesSink,
    part_files::{EventTimePartition, PartitionBy as Spread},
};

use hurtig_lake::{ParquetSchema, ParquetSink, ToArrow};
use serde::Serialize;

use super::{Layout, spec::PartitionBy};

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
pub fn json_lines<T>(dir: &Path, by: PartitionBy) -> JsonFilesSink<T> {
    JsonFilesSink::new(dir).partition_by(Spread::event_time(by.into()))
}

/// Parquet below `dir`, cut up by the records' event time.
pub fn parquet<T: ToArrow + Serialize + 'static>(dir: &Path, by: PartitionBy) -> ParquetSink<T> {
    ParquetSink::new(dir, ParquetSchema::of()).partition_by(Spread::event_time(by.into())).max_buffered_bytes(BUFFERED)
}

/// The dead letters' files.
pub fn dead_letters(layout: &Layout) -> JsonFilesSink<DeadLetter> {
    dead_letters_to(&layout.dead_letters)
}
