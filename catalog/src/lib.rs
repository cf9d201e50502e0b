//! Tables over files: Athena's DDL, partition projection, a DataFusion `TableProvider`.
//!
//! A statement's text becomes a [`Statement`], a `CREATE EXTERNAL TABLE` holds a [`Table`], a [`CatalogFile`] keeps tables,
//! and a [`FileTable`] reads one: from the query's filters it computes which locations can hold rows
//! ([`Projection`], or a listing where there is none), lists those and no others, and reads what it finds.
//!
//! ```
//! use hurtig_catalog::Statement;
//! let ddl = "CREATE EXTERNAL TABLE meters (id string) PARTITIONED BY (year int) STORED AS PARQUET LOCATION 's3://b/m/'";
//! let Some(Statement::CreateTable { table, .. }) = Statement::parse(ddl)? else { panic!("a CREATE TABLE") };
//! assert_eq!(table.partitions[0].name, "year");
//! assert!(matches!(Statement::parse(&table.to_ddl())?, Some(Statement::CreateTable { table: again, .. }) if again == table));
//! assert!(Statement::parse("SELECT 1")?.is_none());
//! # Ok::<(), hurtig_catalog::Error>(())
//! ```
//!
//! `docs/catalog.md` says what is supported and where it differs from Athena.

pub mod catalog_file;
pub mod error;
pub mod file_table;
pub mod format;
pub mod hive_type;
pub mod location;
pub mod projection;
pub mod statement;
pub mod table;

mod create_table;
mod date_format;
mod date_range;
mod ddl;
mod domain;
mod hive_layout;
mod json;
mod line_scan;
mod lines;
mod listing;
mod parquet;
mod pruning;
mod template;
mod text;
mod tokens;
mod values;

pub use catalog_file::{CatalogFile, Outcome};
pub use error::{Error, Result};
pub use file_table::{FileTable, ScanOptions};
pub use format::{Format, SerDe};
pub use hive_type::HiveType;
pub use location::{LocalFiles, Location, ObjectStores};
pub use projection::Projection;
pub use statement::Statement;
pub use table::{Column, Table, TableName};
