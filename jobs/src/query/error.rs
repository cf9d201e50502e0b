//! What can go wrong with a query: one readable line.

use std::path::PathBuf;

use datafusion::error::DataFusionError;

/// What can go wrong with a query.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueryError {
    /// The query, or what it reads, is not right.
    // No `#[from]`: the line has all that DataFusion says, and a source would be said once more.
    #[error("{}", line(.0))]
    Sql(DataFusionError),
    /// The embedded store cannot be read.
    #[cfg(feature = "store")]
    #[error("{0}")]
    Store(#[from] hurtig_store::Error),
    /// One of the lake's tables cannot be read.
    #[cfg(feature = "delta")]
    #[error("{0}")]
    Delta(#[from] hurtig_delta::Error),
    /// A Delta Lake table that somebody has created has no log.
    #[cfg(feature = "delta")]
    #[error(
        "table {table}: there is no Delta Lake table in {location} (no _delta_log): bring it back, or drop the table"
    )]
    NoLog {
        /// The table.
        table: String,
        /// Where its log should be.
        location: String,
    },
    /// A Delta Lake table that somebody has created is where it cannot be read.
    #[error(
        "table {table}: Delta Lake tables are read from directories here, by builds with the feature `delta`; it is in {location}"
    )]
    Elsewhere {
        /// The table.
        table: String,
        /// Where it is.
        location: String,
    },
    /// A table that somebody has created, or the statement that was to create it.
    #[error("{0}")]
    Catalog(#[from] hurtig_catalog::Error),
    /// A table was to be created in a database that is the session's own.
    #[error("the database {0} is the session's own: choose another one for the table")]
    Database(String),
    /// The answer cannot be written.
    #[error("the answer cannot be written: {0}")]
    Io(std::io::Error),
    /// Nobody can listen there.
    #[cfg(feature = "postgres")]
    #[error("127.0.0.1:{port} cannot be listened at: {reason}; choose another port, or 0 for a free one")]
    Port {
        /// The port.
        port: u16,
        /// The system's words.
        reason: std::io::Error,
    },
    /// A table's files cannot be listed.
    #[error("{path} cannot be read: {reason}")]
    Listing {
        /// The directory.
        path: PathBuf,
        /// The system's words.
        reason: std::io::Error,
    },
}

impl From<QueryError> for DataFusionError {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Sql(error) => error,
            error => DataFusionError::External(Box::new(error)),
        }
    }
}

impl From<DataFusionError> for QueryError {
    fn from(error: DataFusionError) -> Self {
        // What was said when a table was opened, on its way through the planner.
        let error = match error {
            DataFusionError::External(inner) => match inner.downcast::<QueryError>() {
                Ok(ours) => return *ours,
                Err(inner) => DataFusionError::External(inner),
            },
            error => error,
        };
        match error.into() {
            hurtig_catalog::Error::DataFusion(error) => QueryError::Sql(*error),
            ours => QueryError::Catalog(ours),
        }
    }
}

/// DataFusion's words without backtrace and line ends, and without the noise around them.
fn line(error: &DataFusionError) -> String {
    match error.find_root() {
        root @ DataFusionError::ResourcesExhausted(_) => {
            format!("{}: give the query more with --memory", plain(root))
        }
        // What a table of the catalog has said, on its way through tasks that share it.
        DataFusionError::External(inner) if inner.is::<hurtig_catalog::Error>() => inner.to_string(),
        DataFusionError::SQL(error, _) => one_line(error.to_string().trim_start_matches("sql parser error: ")),
        _ => plain(error),
    }
}

fn plain(error: &DataFusionError) -> String {
    let noise = ["Error during planning: ", "Schema error: ", "Execution error: "];
    noise.iter().fold(one_line(&error.strip_backtrace()), |text, noise| text.replacen(noise, "", 1))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
