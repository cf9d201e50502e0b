//! What can go wrong: each says which table, file or place it is, and what to do.

use std::path::PathBuf;

use datafusion::error::DataFusionError;

/// The result of everything here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of another library, as it is handed on.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// What can go wrong with a table over files.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The statement cannot be read.
    #[error("line {line}:{column}: {message}")]
    Syntax {
        /// From 1.
        line: u64,
        /// From 1.
        column: u64,
        /// What was found, and what is wanted.
        message: String,
    },
    /// Athena can do it, this cannot.
    #[error("not supported: {0}")]
    NotSupported(String),
    /// The table contradicts itself.
    #[error("table {table}: {message}")]
    InvalidTable {
        /// Its name.
        table: String,
        /// What contradicts what.
        message: String,
    },
    /// A property of the table cannot be used: Athena's code.
    #[error("INVALID_TABLE_PROPERTY: table {table}: {message}")]
    InvalidTableProperty {
        /// The table's name.
        table: String,
        /// Which property, and what it should be.
        message: String,
    },
    /// The query says nothing about an injected column: Athena's words.
    #[error(
        "CONSTRAINT_VIOLATION: For the injected projected partition column {column}, the WHERE clause must contain only \
         static equality conditions, and at least one such condition must be present."
    )]
    ConstraintViolation {
        /// The column.
        column: String,
    },
    /// The query would look at more locations than it may.
    #[error("the query would look at {} locations of table {table}, and may at {}: {advice}", grouped(.count), grouped(&(*.limit as u128)))]
    TooManyLocations {
        /// The table.
        table: String,
        /// How many.
        count: u128,
        /// How many it may.
        limit: usize,
        /// Which columns to filter by.
        advice: String,
    },
    /// There is a table of this name.
    #[error("table {0} already exists: use IF NOT EXISTS, or DROP TABLE first")]
    TableExists(String),
    /// There is no table of this name.
    #[error("table {0} does not exist: SHOW TABLES lists those that do")]
    TableNotFound(String),
    /// What LOCATION says is no place that can be read.
    #[error("location '{location}': {message}")]
    Location {
        /// As it is written.
        location: String,
        /// What is wrong.
        message: String,
    },
    /// The object store of a location cannot be had, or does not answer.
    #[error("{location} cannot be {action}: {reason}")]
    Store {
        /// What was asked for.
        location: String,
        /// `opened`, `listed`, `read`.
        action: &'static str,
        /// The store's words.
        reason: Cause,
    },
    /// A line of a file is not what its SerDe reads.
    #[error("{code}: {file} line {line}: {message}")]
    BadLine {
        /// Athena's code.
        code: &'static str,
        /// The file.
        file: String,
        /// From 1.
        line: u64,
        /// What is wrong, and what can be done.
        message: String,
    },
    /// A file cannot be read at all.
    #[error("{file}: {message}")]
    BadFile {
        /// The file.
        file: String,
        /// What is wrong.
        message: String,
    },
    /// The catalog's file cannot be read or written.
    #[error("the catalog {} cannot be {action}: {reason}", .path.display())]
    CatalogIo {
        /// The file.
        path: PathBuf,
        /// `read`, `written`, `locked`.
        action: &'static str,
        /// The system's words.
        reason: std::io::Error,
    },
    /// The catalog's file is there and is none.
    #[error("the catalog {} is damaged ({reason}): repair it, or move it away and create the tables again", .path.display())]
    CatalogDamaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// DataFusion's own.
    #[error("{}", words(.0))]
    DataFusion(Box<DataFusionError>),
}

impl From<DataFusionError> for Error {
    fn from(error: DataFusionError) -> Self {
        match error {
            DataFusionError::External(inner) => match inner.downcast::<Error>() {
                Ok(ours) => *ours,
                Err(inner) => Error::DataFusion(Box::new(DataFusionError::External(inner))),
            },
            other => Error::DataFusion(Box::new(other)),
        }
    }
}

impl From<Error> for DataFusionError {
    fn from(error: Error) -> Self {
        match error {
            Error::DataFusion(inner) => *inner,
            ours => DataFusionError::External(Box::new(ours)),
        }
    }
}

/// DataFusion's words; where an error of ours is inside, on its way through tasks that share it, that one's.
fn words(error: &DataFusionError) -> String {
    match error.find_root() {
        DataFusionError::External(inner) => match inner.downcast_ref::<Error>() {
            Some(ours) => ours.to_string(),
            None => inner.to_string(),
        },
        _ => error.strip_backtrace(),
    }
}

/// `794592` as `794,592`.
pub(crate) fn grouped(number: &u128) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
