//! Batch-load tasks: files of S3 into a table. They are not offered, and that is said.

use super::fault::Fault;

/// What all their operations answer.
pub fn refuse() -> Fault {
    Fault::validation(
        "Batch load tasks are not offered by this server: read the files with `hurtig ingest`, or write them with \
         WriteRecords.",
    )
}
