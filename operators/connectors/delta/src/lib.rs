//! The lake's typed zone: a Delta Lake table, whose readers see whole checkpoints or nothing of them.
//!
//! ```text
//! records ─▶ Parquet files, hidden (hurtig-lake) ─▶ checkpoint ─▶ committer: files visible ─▶ one commit of the table's log
//!                                                                                            │ add files, by partition, with
//!                                                                                            │ their statistics
//!                                                                                            └ writer w has come to file n
//! compactor: small files ─▶ few large ones, sorted, repeats removed ─▶ one commit: these files for those
//! ```
//!
//! A file that is in a directory is nothing yet; what the log names is the table. So one commit of the log brings a
//! checkpoint's files of all subtasks, and takes small files for large ones, at once for every reader: DuckDB, Spark, Athena,
//! the `deltalake` package, [`hurtig query`](https://docs.rs/hurtig).
//!
//! **Once.** A committer may be called again after a crash, when nobody knows how far it came. The numbers in a writer's file
//! names only grow, so each commit also says up to which number it has each writer's files (Delta's application transactions,
//! `txn`), and a file up to that number is not added again, even if a compaction has removed it meanwhile.
//!
//! ```
//! use std::sync::Arc;
//!
//! use arrow::{
//!     array::{Float64Array, RecordBatch, StringArray},
//!     datatypes::{DataType, Field, Schema},
//! };
//! use hurtig_delta::{DeltaSink, Table};
//! use hurtig_engine::record::Record;
//! use hurtig_lake::ParquetSchema;
//! use hurtig_operators::connectors::testing::SinkHarness;
//!
//! let schema = Arc::new(Schema::new(vec![
//!     Field::new("meter_id", DataType::Utf8, false),
//!     Field::new("kwh", DataType::Float64, false),
//! ]));
//! let columns = schema.clone();
//! let rows = ParquetSchema::<(String, f64)>::new(schema, move |rows: &[(String, f64)]| {
//!     RecordBatch::try_new(columns.clone(), vec![
//!         Arc::new(StringArray::from_iter_values(rows.iter().map(|r| &r.0))),
//!         Arc::new(Float64Array::from_iter_values(rows.iter().map(|r| r.1))),
//!     ])
//! });
//! let dir = tempfile::tempdir()?;
//! let sink = DeltaSink::new(dir.path(), rows); // by month of the records' timestamps
//! let mut harness = SinkHarness::start(&sink, "1")?;
//! harness.write(Record::at(("m-1".to_owned(), 0.25), 1_720_184_399_999))?;
//! harness.checkpoint()?;
//!
//! let runtime = tokio::runtime::Runtime::new()?;
//! let table = runtime.block_on(Table::open(dir.path()))?.expect("it is there");
//! assert_eq!(table.files()[0].partition, [("year".into(), "2024".into()), ("month".into(), "7".into())]);
//! assert_eq!(table.rows(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod committer;
mod compaction;
mod error;
mod file;
mod file_statistics;
mod provider;
mod schema;
mod sink;
mod stats;
mod table;
mod vacuum;

pub use self::{
    committer::DeltaCommitter,
    compaction::{Compacted, Compaction, Repeats},
    error::{Error, Result},
    file::DataFile,
    provider::DeltaTableProvider,
    sink::DeltaSink,
    table::Table,
    vacuum::Vacuum,
};
