//! What can be wrong with a configuration. Each message says what to do.

use std::path::PathBuf;

/// This crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a sink cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The configuration's file cannot be read.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// The configuration is not what Firehose takes, or asks for what is not done here.
    #[error("the Firehose configuration: {0}")]
    Config(String),
    /// A prefix cannot be evaluated.
    #[error("the Firehose configuration: {field} '{prefix}': {reason}")]
    Prefix {
        /// `Prefix` or `ErrorOutputPrefix`.
        field: &'static str,
        /// What it is.
        prefix: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The jq program for partition keys does not compile, or cannot give the prefix's keys.
    #[error("the Firehose configuration: MetadataExtractionQuery '{query}': {reason}")]
    Query {
        /// The program.
        query: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl From<Error> for hurtig_engine::error::Error {
    fn from(e: Error) -> Self {
        hurtig_engine::error::Error::Config(e.to_string())
    }
}
