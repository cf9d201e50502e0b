//! What can go wrong with a stream. Each message says what to do.

/// This crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a stream cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Region, credentials or the HTTP client.
    #[error(transparent)]
    Aws(#[from] hurtig_aws::Error),
    /// An option has a value that cannot be used.
    #[error("{0}")]
    Config(String),
    /// There is no such stream.
    #[error(
        "stream '{stream}' does not exist in region {region}{endpoint}: create it (aws kinesis create-stream), or \
         set the region or endpoint where it is"
    )]
    NoStream {
        /// Its name or ARN.
        stream: String,
        /// Where it was looked for.
        region: String,
        /// ` at URL`, when an endpoint was given.
        endpoint: String,
    },
    /// The service refused for good: a permission, an invalid argument.
    #[error("{operation} on stream '{stream}' was refused: {reason}")]
    Refused {
        /// The operation.
        operation: &'static str,
        /// The stream's name or ARN.
        stream: String,
        /// The service's code and words.
        reason: String,
    },
    /// The service did not answer, or not well, and at the start nobody waits for ever.
    #[error("{operation} on stream '{stream}' failed: {reason} (is the endpoint right and reachable?)")]
    Unreachable {
        /// The operation.
        operation: &'static str,
        /// The stream's name or ARN.
        stream: String,
        /// What the connection or the service said.
        reason: String,
    },
}

impl From<Error> for hurtig_engine::error::Error {
    fn from(e: Error) -> Self {
        hurtig_engine::error::Error::Config(format!("kinesis: {e}"))
    }
}
