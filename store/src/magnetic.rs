//! The magnetic store: Parquet files that are never changed, on a directory or in S3.

pub mod file;
pub mod index;
pub mod storage;
pub mod writer;
