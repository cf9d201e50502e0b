//! What can be wrong with how the sink is set up. Each message says what to do.

/// This crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a database or bucket cannot be written at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The URL, or another option, cannot be used.
    #[error("{0}")]
    Config(String),
    /// The HTTP client cannot be made.
    #[error("the HTTP client cannot be made: {0}")]
    Http(String),
    /// The server refuses for good.
    #[error("{url} refuses to be written (HTTP {status}: {reason}): {what_to_do}")]
    Refused {
        /// Where it was written to, without credentials.
        url: String,
        /// The HTTP status.
        status: u16,
        /// The server's words.
        reason: String,
        /// What helps.
        what_to_do: &'static str,
    },
    /// Nobody has answered since the start, when nobody waits for ever.
    #[error("{url} does not answer ({reason}): gave up after {seconds} s; check the URL and whether the server runs")]
    Unreachable {
        /// Where it was written to.
        url: String,
        /// What the connection said.
        reason: String,
        /// For how long it was tried.
        seconds: u64,
    },
}

impl From<Error> for hurtig_engine::error::Error {
    fn from(e: Error) -> Self {
        hurtig_engine::error::Error::Config(format!("influx: {e}"))
    }
}
