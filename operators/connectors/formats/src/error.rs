//! What can go wrong before a message is looked at.

use std::path::PathBuf;

/// This package's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong with a schema or its registry. Each message is one line that says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A schema cannot be used.
    #[error("{name}: {reason}")]
    Schema {
        /// The schema's file, subject or id.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A schema file cannot be read.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// The registry could not be reached, or not asked.
    #[error("schema registry {url}: {reason}; see that it is running and that its address and credentials are right")]
    Unreachable {
        /// Its address.
        url: String,
        /// What happened.
        reason: String,
    },
    /// The registry does not have, or does not want, a schema.
    #[error("schema registry {url}: {reason}")]
    Registry {
        /// Its address.
        url: String,
        /// Its words.
        reason: String,
    },
}

impl Error {
    pub(crate) fn schema(name: impl Into<String>, reason: impl ToString) -> Self {
        Error::Schema { name: name.into(), reason: one_line(&reason.to_string()) }
    }
}

/// Parsers draw the place below their words.
pub(crate) fn one_line(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    lines.join(" ")
}
