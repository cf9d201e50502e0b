//! The embedded time-series store: Parquet in the data directory, a row a record.

use std::path::PathBuf;

use hurtig_engine::error::Result;
use hurtig_lake::ParquetSink;

use super::{
    Layout, Options,
    judged::Judged,
    sinks::parquet,
    spec::PartitionBy,
    time_series::{TimeSeriesRecord, TimeSeriesSink},
};

/// Keeps what Timestream would keep, and refuses what Timestream would refuse.
#[derive(Debug, Clone)]
pub struct EmbeddedStore {
    database: String,
    table: String,
    dir: PathBuf,
    partition_by: PartitionBy,
}

impl EmbeddedStore {
    /// The table that `options` name, where `layout` has it.
    pub fn new(options: &Options, layout: &Layout) -> Self {
        EmbeddedStore {
            database: options.timestream_db_name.clone(),
            table: options.timestream_table_name.clone(),
            dir: layout.timeseries.clone(),
            partition_by: options.partition_by,
        }
    }
}

impl TimeSeriesSink for EmbeddedStore {
    type Sink = Judged<ParquetSink<TimeSeriesRecord>>;

    fn name(&self) -> String {
        format!("TimestreamSink<{}, {}>", self.database, self.table)
    }

    fn sink(&self) -> Result<Self::Sink> {
        Ok(Judged::new(parquet(&self.dir, self.partition_by)))
    }
}
