//! Tests of reactive ingestion, one file a subject.

#[path = "ingest/cuts.rs"]
mod cuts;
#[path = "ingest/drive.rs"]
mod drive;
#[path = "ingest/files.rs"]
mod files;
