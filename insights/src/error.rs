//! What can go wrong, in one line that says what to do.

use std::path::PathBuf;

/// The insights' errors.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A period, a time zone or another parameter that cannot be.
    #[error("{0}")]
    Parameter(String),
    /// An insight that there is not.
    #[error("there is no insight '{0}': there are {names}", names = crate::names().join(", "))]
    NoInsight(String),
    /// A file that cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// A tariff file that says something that cannot be.
    #[error("{path}: {why}")]
    Tariff {
        /// Which.
        path: PathBuf,
        /// What, and what it should be.
        why: String,
    },
    /// A topology file that says something that cannot be.
    #[error("{path}: {why}")]
    Topology {
        /// Which.
        path: PathBuf,
        /// What, and what it should be.
        why: String,
    },
    /// Whoever runs the SQL has said no.
    #[error("{0}")]
    Query(String),
    /// A query that has not come to its end.
    #[error("the answer has not come within {0} seconds: choose a shorter period")]
    Slow(u64),
    /// An answer that is not what its query asks for.
    #[error("the answer cannot be read: {0}")]
    Answer(String),
    /// A picture or a table that cannot be written.
    #[error("the picture cannot be written: {0}")]
    Picture(std::io::Error),
}

/// A result with the insights' error.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl From<arrow::error::ArrowError> for Error {
    fn from(error: arrow::error::ArrowError) -> Self {
        Error::Answer(error.to_string())
    }
}
