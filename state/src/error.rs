//! The one error type of this crate. Every message says what happened, where (operator uid,
//! state name) and what to do about it.

use std::path::{Path, PathBuf};

/// The result of everything that can fail here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong with keyed state.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A handle was used with a backend that did not hand it out.
    #[error(
        "operator `{uid}`: this state handle does not belong to this backend; \
         get it in open() from the backend it is used with (handles made by Default are empty)"
    )]
    UnknownHandle {
        /// The operator's uid.
        uid: String,
    },
    /// Keyed state or a timer was used outside of the processing of a key.
    #[error(
        "operator `{uid}`: no current key; keyed state and timers can only be used \
         while a record or a timer of a keyed stream is processed"
    )]
    NoCurrentKey {
        /// The operator's uid.
        uid: String,
    },
    /// The same state name was asked for with another kind or type.
    #[error(
        "operator `{uid}`: state `{state}` is already registered as {registered}, \
         but is now asked for as {requested}; give one of them another name"
    )]
    StateNameTaken {
        /// The operator's uid.
        uid: String,
        /// The state's name.
        state: String,
        /// What was registered first.
        registered: String,
        /// What is asked for now.
        requested: String,
    },
    /// What was restored does not fit what the job declares.
    #[error(
        "operator `{uid}`: state `{state}` cannot be restored: the snapshot holds {found}, \
         the job declares {declared}; {advice}"
    )]
    IncompatibleState {
        /// The operator's uid.
        uid: String,
        /// The state's name.
        state: String,
        /// What the snapshot holds.
        found: String,
        /// What the job declares.
        declared: String,
        /// What to do about it.
        advice: String,
    },
    /// Max parallelism decides the key groups and cannot change.
    #[error(
        "operator `{uid}`: the snapshot was taken with max parallelism {found}, the job is \
         configured with {declared}; max parallelism cannot change over a restore: set it to {found}"
    )]
    MaxParallelismMismatch {
        /// The operator's uid.
        uid: String,
        /// The snapshot's max parallelism.
        found: u16,
        /// The job's max parallelism.
        declared: u16,
    },
    /// The restored parts leave out key groups that this backend owns.
    #[error(
        "operator `{uid}`: the snapshot parts given do not cover key groups {missing}; \
         hand over every part whose range overlaps {wanted}"
    )]
    MissingKeyGroups {
        /// The operator's uid.
        uid: String,
        /// The first gap.
        missing: String,
        /// The backend's range.
        wanted: String,
    },
    /// A key reached a backend that does not own its key group.
    #[error(
        "operator `{uid}`: key {key} belongs to key group {key_group}, this backend owns {range}; \
         the exchange in front of it must route by hurtig_state::key_group"
    )]
    ForeignKey {
        /// The operator's uid.
        uid: String,
        /// The key, in debug form.
        key: String,
        /// The key's group.
        key_group: u16,
        /// The backend's range.
        range: String,
    },
    /// A value could not be turned into bytes.
    #[error(
        "operator `{uid}`: state `{state}`: a value cannot be serialized ({source}); state types \
         must be plain serde types of known length (no #[serde(flatten)], no untagged enums)"
    )]
    Encode {
        /// The operator's uid.
        uid: String,
        /// The state's name.
        state: String,
        /// The serializer's complaint.
        source: postcard::Error,
    },
    /// Stored bytes could not be turned into a value.
    #[error(
        "operator `{uid}`: state `{state}`: stored bytes cannot be read as {wanted} ({source}); if \
         the type has changed, raise the descriptor's version and give a migrate_from function"
    )]
    Decode {
        /// The operator's uid.
        uid: String,
        /// The state's name.
        state: String,
        /// The type that was expected.
        wanted: &'static str,
        /// The deserializer's complaint.
        source: postcard::Error,
    },
    /// A user's migration function failed.
    #[error("operator `{uid}`: state `{state}`: migrating a value from version {version} failed: {reason}")]
    Migration {
        /// The operator's uid.
        uid: String,
        /// The state's name.
        state: String,
        /// The version migrated from.
        version: u32,
        /// The function's complaint.
        reason: String,
    },
    /// A pane changed while it was being fired in slices.
    #[error(
        "operator `{uid}`: state `{state}`: window {window} was written to between two slices of \
         its firing; finish fire() before the next record"
    )]
    PaneChanged {
        /// The operator's uid.
        uid: String,
        /// The state's name.
        state: String,
        /// The window's start.
        window: i64,
    },
    /// More bytes than a snapshot or flush can address.
    #[error("operator `{uid}`: {what} is larger than {limit} bytes; {advice}")]
    TooLarge {
        /// The operator's uid.
        uid: String,
        /// What is too large.
        what: String,
        /// The limit.
        limit: u64,
        /// What to do.
        advice: &'static str,
    },
    /// A snapshot's files do not hold what its description says.
    #[error("snapshot file {path} is damaged: {reason}; restore from another checkpoint")]
    CorruptSnapshot {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A file could not be read or written.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was attempted, as a verb.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's complaint.
        source: std::io::Error,
    },
    /// This binary has no RocksDB.
    #[error(
        "operator `{uid}`: RocksDB is asked for (or needed to read a snapshot), but this binary \
         was built without it; build hurtig-state with the feature `rocksdb` or use the heap backend"
    )]
    RocksDbMissing {
        /// The operator's uid.
        uid: String,
    },
    /// RocksDB failed.
    #[cfg(feature = "rocksdb")]
    #[error("operator `{uid}`: RocksDB in {path} failed to {action}: {source}")]
    RocksDb {
        /// The operator's uid.
        uid: String,
        /// The database's directory.
        path: PathBuf,
        /// What was attempted, as a verb.
        action: &'static str,
        /// RocksDB's complaint.
        source: rocksdb::Error,
    },
    /// A failpoint fired (tests only).
    #[error("failpoint `{0}` fired")]
    Failpoint(&'static str),
}

/// Adds the path and the verb to an I/O error.
pub(crate) trait IoContext<T> {
    fn context(self, action: &'static str, path: &Path) -> Result<T>;
}

impl<T> IoContext<T> for std::io::Result<T> {
    fn context(self, action: &'static str, path: &Path) -> Result<T> {
        self.map_err(|source| Error::Io { action, path: path.to_path_buf(), source })
    }
}
