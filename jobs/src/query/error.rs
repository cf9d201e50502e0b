//! What can go wrong with a query: one readable line.

use std::path::PathBuf;

use datafusion::error::DataFusionError;

/// What can go wrong with a query.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueryError {
    /// The query, or what it reads, is not right.
    #[error("{}", line(.0))]
    Sql(#[from] DataFusionError),
    /// The answer cannot be written.
    #[error("the answer cannot be written: {0}")]
    Io(std::io::Error),
    /// A table's files cannot be listed.
    #[error("{path} cannot be read: {source}")]
    Listing {
        /// The directory.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
}

/// DataFusion's words without backtrace and line ends, and without the noise in front.
fn line(error: &DataFusionError) -> String {
    if matches!(error.find_root(), DataFusionError::ResourcesExhausted(_)) {
        return format!("{}: give the query more with --memory", plain(error.find_root()));
    }
    plain(error)
}

fn plain(error: &DataFusionError) -> String {
    let text = error.strip_backtrace();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    ["Error during planning: ", "Schema error: ", "SQL error: "]
        .iter()
        .fold(text, |text, noise| text.replacen(noise, "", 1))
}
