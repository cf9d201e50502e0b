//! What can go wrong, and what a browser is told of it.

use std::io;

use axum::http::StatusCode;

/// The view's errors.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An option that cannot be.
    #[error("{0}")]
    Options(String),
    /// An address that cannot be listened at, or a listener that fails.
    #[error("{at}: {source}")]
    Io {
        /// The address or the file.
        at: String,
        /// What the system says.
        source: io::Error,
    },
    /// A request's parameter that cannot be.
    #[error("{0}")]
    Parameter(String),
    /// A panel or a meter that is not there.
    #[error("{0}")]
    NotFound(String),
    /// A request that is not answered, whoever sends it.
    #[error("{0}")]
    Refused(String),
    /// The store's answer.
    #[error("{0}")]
    Query(#[from] hurtig_timestream_sql::Error),
    /// A query that has not come to its end.
    #[error("The store has not answered within {0} seconds.")]
    Slow(u64),
    /// An answer of the store's that is not what its query asks for.
    #[error("The store's answer cannot be read: {0}")]
    Answer(String),
    /// A table that the view has not been made for.
    #[error("{0}")]
    Table(String),
    /// The job's REST API.
    #[error("{0}")]
    Rest(String),
}

/// A result with the view's error.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// The status of the answer that says so.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Error::Parameter(_) => StatusCode::BAD_REQUEST,
            Error::NotFound(_) => StatusCode::NOT_FOUND,
            Error::Refused(_) => StatusCode::FORBIDDEN,
            Error::Slow(_) => StatusCode::GATEWAY_TIMEOUT,
            Error::Rest(_) => StatusCode::BAD_GATEWAY,
            Error::Options(_) | Error::Io { .. } | Error::Query(_) | Error::Answer(_) | Error::Table(_) => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        }
    }
}

impl From<arrow::error::ArrowError> for Error {
    fn from(error: arrow::error::ArrowError) -> Self {
        Error::Answer(error.to_string())
    }
}
