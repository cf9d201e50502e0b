//! The engine's one error type. Every message says what happened and what to do about it.

use std::path::PathBuf;

/// The engine's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong in a job.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The job graph cannot be run as it was built.
    #[error("the job graph is not valid: {0}")]
    Graph(String),
    /// An option has a value that cannot be used.
    #[error("{0}")]
    Config(String),
    /// A source cannot be opened or read.
    #[error("source {name}: {reason}")]
    Source {
        /// The source's name in the job.
        name: String,
        /// What happened, and what to do.
        reason: String,
    },
    /// A sink cannot be opened or written.
    #[error("sink {name}: {reason}")]
    Sink {
        /// The sink's name in the job.
        name: String,
        /// What happened, and what to do.
        reason: String,
    },
    /// User code failed or panicked.
    #[error("vertex '{vertex}' failed at record {origin}: {reason}")]
    User {
        /// The vertex's name.
        vertex: String,
        /// Where the record came from: `split@position`.
        origin: String,
        /// The error or the panic's message.
        reason: String,
    },
    /// Keyed state.
    #[error(transparent)]
    State(#[from] hurtig_state::Error),
    /// Checkpoints and savepoints.
    #[error(transparent)]
    Checkpoint(#[from] crate::checkpoint::CheckpointError),
    /// A record, split or committable could not be turned into bytes or back.
    #[error("{what} cannot be read back from its bytes: {reason} (was it written by another version of the job?)")]
    Codec {
        /// What was encoded.
        what: String,
        /// The codec's words.
        reason: String,
    },
    /// The file system said no.
    #[error("{path}: {source}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// A job ended in failure after its restarts were used up.
    #[error("the job failed: {0}")]
    JobFailed(String),
    /// What the job's handle was asked for cannot be done now.
    #[error("{0}")]
    Request(String),
}

impl Error {
    /// An I/O error with the path that it is about.
    pub fn io(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Error::Io { path: path.into(), source }
    }

    /// A source's error.
    pub fn source(name: impl Into<String>, reason: impl ToString) -> Self {
        Error::Source { name: name.into(), reason: reason.to_string() }
    }

    /// A sink's error.
    pub fn sink(name: impl Into<String>, reason: impl ToString) -> Self {
        Error::Sink { name: name.into(), reason: reason.to_string() }
    }

    /// Bytes that do not decode.
    pub fn codec(what: impl Into<String>, reason: impl ToString) -> Self {
        Error::Codec { what: what.into(), reason: reason.to_string() }
    }
}

/// Encodes `value` in the engine's compact byte form (postcard).
pub fn to_bytes<T: serde::Serialize + ?Sized>(what: &str, value: &T) -> Result<Vec<u8>> {
    postcard::to_stdvec(value).map_err(|e| Error::codec(what, e))
}

/// Decodes what [`to_bytes`] wrote.
pub fn from_bytes<T: serde::de::DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T> {
    postcard::from_bytes(bytes).map_err(|e| Error::codec(what, e))
}
