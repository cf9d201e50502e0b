//! Tables over files, from their DDL to their rows.

mod book;
mod catalog_files;
mod ddl;
mod equivalence;
mod fixture;
mod formats;
mod layout;
mod parquet_files;
mod projection;
mod requests;
