//! What can be wrong with how the sink is set up. Each message says what to do.

/// This crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a table cannot be written at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Region, credentials or the HTTP client.
    #[error("table {table}: {source}")]
    Aws {
        /// `database.table`
        table: String,
        /// What is missing.
        source: hurtig_aws::Error,
    },
    /// An option has a value that cannot be used.
    #[error("{0}")]
    Config(String),
    /// The database or the table is not there.
    #[error(
        "table {table} does not exist ({reason}): create it (aws timestream-write create-table), set create_if_missing, \
         or check its name, AWS_REGION and the endpoint"
    )]
    NoTable {
        /// `database.table`
        table: String,
        /// The service's words, which tell whether it is the database.
        reason: String,
    },
    /// Timestream did not tell its endpoint.
    #[error(
        "table {table}: endpoint discovery failed: {reason} (is AWS_REGION one that has Timestream? for a local server \
         set endpoint_url or AWS_ENDPOINT_URL_TIMESTREAM_WRITE)"
    )]
    Discovery {
        /// `database.table`
        table: String,
        /// The service's or the connection's words.
        reason: String,
    },
    /// The service refused for good: a permission, a request it does not understand.
    #[error("table {table}: {operation} was refused: {reason}")]
    Refused {
        /// `database.table`
        table: String,
        /// The operation.
        operation: &'static str,
        /// The service's code and words.
        reason: String,
    },
    /// The service does not answer, and at the start nobody waits for ever.
    #[error("table {table}: {reason}: gave up after {seconds} s; check AWS_ENDPOINT_URL, AWS_REGION and the network")]
    Unreachable {
        /// `database.table`
        table: String,
        /// What the connection or the service said.
        reason: String,
        /// For how long it was tried.
        seconds: u64,
    },
}

impl From<Error> for hurtig_engine::error::Error {
    fn from(e: Error) -> Self {
        hurtig_engine::error::Error::Config(format!("timestream: {e}"))
    }
}
