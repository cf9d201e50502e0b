//! What can go wrong with a table: one line that says what to do.

use std::path::PathBuf;

use deltalake_core::{DeltaTableError, kernel::transaction::TransactionError};

/// What can go wrong with a table.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The table's columns are others than the job's.
    #[error("the Delta table in {place}: {reason}")]
    Schema {
        /// Where the table is.
        place: String,
        /// Which column, and what to do.
        reason: String,
    },
    /// The log cannot be read or written.
    #[error("the log of the Delta table in {place}: {}", first_line(source))]
    Log {
        /// Where the table is.
        place: String,
        /// What the library says.
        #[source]
        source: Box<DeltaTableError>,
    },
    /// A file of the table cannot be read.
    #[error("{path}: {reason}")]
    File {
        /// The file.
        path: PathBuf,
        /// The system's or Parquet's words.
        reason: String,
    },
    /// Somebody else has taken the same files out of the table meanwhile.
    #[error("files of the Delta table in {0} were taken by somebody else meanwhile: nothing was changed")]
    Conflict(String),
    /// Another program has written the table with what cannot be read here.
    #[error(
        "the Delta table in {place} has {feature}, which cannot be read here: rewrite it without (in Spark: REORG TABLE … APPLY (PURGE), or a copy)"
    )]
    Feature {
        /// Where the table is.
        place: String,
        /// Delta Lake's name for it.
        feature: &'static str,
    },
    /// A compaction's rows could not be read, sorted or written.
    #[error("the files of the Delta table in {place} could not be compacted: {reason}")]
    Compaction {
        /// Where the table is.
        place: String,
        /// DataFusion's, Parquet's or the system's words.
        reason: String,
    },
    /// Files that are not needed could not be listed or removed.
    #[error("the Delta table in {place} could not be vacuumed: {reason}")]
    Vacuum {
        /// Where the table is.
        place: String,
        /// The store's words.
        reason: String,
    },
    /// A committable that no writer of such a table has made.
    #[error("'{0}' is no file of a sink of this kind: the checkpoint is another sink's")]
    Committable(String),
}

/// A result with a table's error.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Whether somebody else has changed the same files meanwhile: what was to be done can be done anew.
    pub(crate) fn is_conflict(&self) -> bool {
        match self {
            Error::Conflict(_) => true,
            Error::Log { source, .. } => {
                matches!(**source, DeltaTableError::Transaction { source: TransactionError::CommitConflict(_) })
            }
            _ => false,
        }
    }

    /// Whether a commit that was to be tried once has found a newer version.
    pub(crate) fn is_newer_version(&self) -> bool {
        let Error::Log { source, .. } = self else { return false };
        matches!(**source, DeltaTableError::Transaction { source: TransactionError::MaxCommitAttempts(_) })
    }
}

/// Without the backtrace that some of the library's errors bring.
fn first_line(error: &DeltaTableError) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}
