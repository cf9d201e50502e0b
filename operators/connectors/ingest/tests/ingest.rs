//! Tests of reactive ingestion, one file a subject.

#[path = "ingest/aggregate.rs"]
mod aggregate;
#[path = "ingest/cuts.rs"]
mod cuts;
#[path = "ingest/drive.rs"]
mod drive;
#[path = "ingest/files.rs"]
mod files;
#[path = "ingest/jobs.rs"]
mod jobs;
#[path = "ingest/pacing.rs"]
mod pacing;
#[cfg(feature = "s3")]
#[path = "ingest/s3.rs"]
mod s3;
