//! What can go wrong with checkpoints. Each message is one line that says what to do.

use super::snapshot::CheckpointId;

/// Shorthand used throughout the checkpoint modules.
pub type Result<T> = std::result::Result<T, CheckpointError>;

/// What can go wrong with checkpoints and savepoints.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The local file system refused.
    #[error("cannot {doing} {path}: {source}{}", advice(source))]
    Io {
        /// "write", "read", …
        doing: &'static str,
        /// The file or directory.
        path: String,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The object store refused.
    #[error(
        "cannot {doing} {location}: {source}; check the bucket's name, AWS_REGION, AWS_ENDPOINT_URL and the credentials"
    )]
    Remote {
        /// "write", "read", …
        doing: &'static str,
        /// The object's URL.
        location: String,
        /// The store's answer.
        source: Box<object_store::Error>,
    },
    /// The location is neither a directory nor something this build can open.
    #[error("{location}: {reason}")]
    Location {
        /// As it was given.
        location: String,
        /// Why not, and what to do.
        reason: String,
    },
    /// A manifest of this number is there already: somebody else writes this job's checkpoints.
    #[error(
        "checkpoint {id} already exists at {location}: another run of this job writes here (fence); stop it, or give this run a checkpoint directory of its own"
    )]
    AlreadyExists {
        /// The number.
        id: CheckpointId,
        /// The manifest that is there.
        location: String,
    },
    /// A later run has claimed this job's checkpoints.
    #[error(
        "generation {generation} of {location} is fenced: generation {newer} has taken over; this run must end and leave the job to the newer one"
    )]
    Fenced {
        /// This run's generation.
        generation: u64,
        /// The one that has taken over.
        newer: u64,
        /// The job's checkpoints.
        location: String,
    },
    /// Nothing to restore from.
    #[error(
        "no checkpoint or savepoint at {location}: give a savepoint's directory, its `_metadata`, or a file in a job's `manifests` folder"
    )]
    NotFound {
        /// As it was given.
        location: String,
    },
    /// A file is not what the manifest says it is.
    #[error("{location} is damaged: {reason}; restore from an older checkpoint or a savepoint with --from PATH")]
    Corrupt {
        /// The object.
        location: String,
        /// What differs.
        reason: String,
    },
    /// A manifest that cannot be read.
    #[error("{location} is not a manifest this version of hurtig can read: {reason}")]
    Unreadable {
        /// The manifest.
        location: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The checkpoint is another job's.
    #[error("the checkpoint belongs to job '{found}', not to '{expected}': run that job, or start without --from")]
    OtherJob {
        /// The job that wrote it.
        found: String,
        /// The job that wants to restore.
        expected: String,
    },
    /// State that no operator of the job takes.
    #[error(
        "the checkpoint has state for operators that the job lacks: {operators}; give them their uid back, or drop the state with --allow-non-restored-state"
    )]
    NonRestoredState {
        /// `uid (name)`, separated by commas.
        operators: String,
    },
    /// Key groups cannot be recounted.
    #[error(
        "the checkpoint was written with a max parallelism of {found}, the job has {expected}: set it to {found} (it is fixed for the life of the state)"
    )]
    MaxParallelism {
        /// The checkpoint's.
        found: u16,
        /// The job's.
        expected: u16,
    },
    /// A failpoint, in tests only.
    #[error("failpoint {name}")]
    Failpoint {
        /// The failpoint's name.
        name: &'static str,
    },
}

impl CheckpointError {
    /// Makes the closure that wraps an I/O error: `.map_err(CheckpointError::io("write", path))`.
    pub(crate) fn io(doing: &'static str, path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| CheckpointError::Io { doing, path: path.display().to_string(), source }
    }
}

/// What to do about an I/O error, as the end of its line.
fn advice(error: &std::io::Error) -> &'static str {
    use std::io::ErrorKind::*;
    match error.kind() {
        StorageFull | QuotaExceeded => "; free some space: the job goes on and the next checkpoint tries again",
        PermissionDenied | ReadOnlyFilesystem => "; choose a directory this user may write",
        AlreadyExists => "; a file is in the way: move it, or choose another directory",
        NotFound | NotADirectory => "; check the path",
        _ => "",
    }
}
