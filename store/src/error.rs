//! What can go wrong in the store.

use std::io;

/// The store's errors. What is the caller's own mistake has Timestream's words, so that the wire can pass them on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A request that cannot be right (Timestream's `ValidationException`).
    #[error("{0}")]
    Validation(String),
    /// A database or table that is not there (`ResourceNotFoundException`).
    #[error("{0}")]
    NotFound(String),
    /// A database or table that is there already, or is not empty (`ConflictException`).
    #[error("{0}")]
    Conflict(String),
    /// More than the store takes (`ServiceQuotaExceededException`).
    #[error("{0}")]
    QuotaExceeded(String),
    /// Another process has the store's directory open.
    #[error("{path} is in use by another process: a store has one writer; stop it, or choose another directory")]
    InUse {
        /// The directory.
        path: String,
    },
    /// A store that its writer changes all the time, so that nothing of it could be read as it was at one moment.
    #[error("the store in {dir} changes faster than it can be read: ask again")]
    Changing {
        /// The store's directory.
        dir: String,
    },
    /// Something was to be written into a store that was opened for reading.
    #[error("the store is open for reading only")]
    ReadOnly,
    /// Files of a store whose directory is another one, or is lost.
    #[error(
        "the magnetic store has files that {dir} knows nothing of: give the directory that belongs to them, or another \
         place for the files (a place is one store's)"
    )]
    Foreign {
        /// The store's directory.
        dir: String,
    },
    /// A file of the magnetic store that is not where it should be.
    #[error("there is no file {name} in {place}: was the store's --magnetic another place?")]
    Missing {
        /// The file.
        name: String,
        /// Where it should be.
        place: String,
    },
    /// A file that is not what the store has written.
    #[error("{path} is damaged: {what}")]
    Damaged {
        /// The file.
        path: String,
        /// What is wrong with it.
        what: String,
    },
    /// The write-ahead log cannot be written now: what was sent is not acknowledged, and may be sent again.
    #[error("the write-ahead log cannot be written ({0}): nothing is acknowledged until it can")]
    Log(String),
    /// What makes a file of the magnetic store panicked: a mistake of the store's own. Nothing is lost, the points stay where
    /// they were.
    #[error(
        "a file of the magnetic store could not be made, since its encoder panicked ({0}): the points stay where they are"
    )]
    Encoder(String),
    /// The disk.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// What the system says.
        source: io::Error,
    },
    /// The magnetic store's files.
    #[error("the magnetic store: {0}")]
    Objects(#[from] object_store::Error),
    /// Parquet.
    #[error("Parquet: {0}")]
    Parquet(#[from] parquet::errors::ParquetError),
    /// Arrow.
    #[error("Arrow: {0}")]
    Arrow(#[from] arrow::error::ArrowError),
    /// A query.
    #[error("{0}")]
    Query(#[from] datafusion::error::DataFusionError),
    /// A record of the store's own that could not be made or read.
    #[error("a record of the store's: {0}")]
    Encoding(#[from] postcard::Error),
}

/// A result with the store's error.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What has become of a task that makes a file, when it has not come to its end.
pub(crate) fn encoder(error: tokio::task::JoinError) -> Error {
    let words = |panic: Box<dyn std::any::Any + Send>| match panic.downcast::<String>() {
        Ok(words) => *words,
        Err(panic) => {
            panic.downcast_ref::<&str>().map_or_else(|| "without a word".to_owned(), |words| (*words).to_owned())
        }
    };
    Error::Encoder(error.try_into_panic().map_or_else(|error| error.to_string(), words))
}

/// Names the file that an error is about.
pub(crate) trait At<T> {
    fn at(self, path: &std::path::Path) -> Result<T>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, path: &std::path::Path) -> Result<T> {
        self.map_err(|source| Error::Io { path: path.display().to_string(), source })
    }
}
