//! Where checkpoints are kept: a directory or S3, one folder a job.
//!
//! ```text
//! <root>/<job>/shared/g<generation>-c<id>/<n>-<name>   files of keyed state, written once
//! <root>/<job>/manifests/<20-digit id>                 create-only: a checkpoint exists if this does
//! <root>/<job>/commits/<20-digit id>                   its output is visible: nothing to be done again
//! <root>/<job>/generations/<n>                         create-only: who may write
//! <dir>/savepoint-<job>-<token>/_metadata + files      a savepoint: self-contained, movable
//! ```
//!
//! [`CheckpointStorage`] reads, [`CheckpointWriter`] writes for one generation, [`RestorePoint`] is
//! one checkpoint or savepoint to restore from. The generation is the fence: a run claims the next
//! one *before* it looks for the latest checkpoint, and from then on older runs can write no
//! manifest.
//!
//! Invariants:
//! - Objects are written once, under names that are never reused; so they can be linked.
//! - A manifest is written last, all at once, and only if its number is free.
//! - Reading creates nothing; a directory that is not there is an empty one.

mod local;
mod remote;
mod restore;
mod savepoint;
mod store;
mod writer;

use std::sync::Arc;

pub use restore::RestorePoint;
pub use savepoint::delete_savepoint;
pub use writer::{CheckpointWriter, UploadedState, UploadedSubtask};

use super::error::{CheckpointError, Result};
use super::manifest::{FilesAt, Manifest};
use super::snapshot::CheckpointId;
use remote::RemoteStore;
use store::{Store, segment};

const SHARED: &str = "shared";
const MANIFESTS: &str = "manifests";
const COMMITS: &str = "commits";
const GENERATIONS: &str = "generations";

/// How many files are under way at once.
const FILES_AT_ONCE: usize = 4;

/// One job's checkpoints.
#[derive(Clone, Debug)]
pub struct CheckpointStorage {
    job: Store,
}

impl CheckpointStorage {
    /// The checkpoints of the job `job_name` below `location`: a directory or `s3://bucket/prefix`
    /// (feature `s3`; credentials and endpoint from the environment's `AWS_…`).
    pub fn open(location: &str, job_name: &str) -> Result<Self> {
        Ok(CheckpointStorage { job: Store::open(location)?.child(&segment(job_name)) })
    }

    /// The checkpoints of the job `job_name` below `prefix` of any object store. `scheme` is how
    /// people write the store's root, e.g. `s3://bucket`.
    pub fn in_object_store(
        store: Arc<dyn object_store::ObjectStore>,
        scheme: &str,
        prefix: &str,
        job_name: &str,
    ) -> Self {
        let root = Store::Remote(RemoteStore::new(store, scheme, prefix));
        CheckpointStorage { job: root.child(&segment(job_name)) }
    }

    /// The job's folder, for people.
    pub fn location(&self) -> String {
        self.job.url("")
    }

    /// The numbers of all completed checkpoints, ascending.
    pub async fn list_manifests(&self) -> Result<Vec<CheckpointId>> {
        numbers(&self.job, MANIFESTS).await
    }

    /// One completed checkpoint.
    pub async fn read_manifest(&self, id: CheckpointId) -> Result<RestorePoint> {
        RestorePoint::read_numbered(&self.job, id).await
    }

    /// The latest completed checkpoint, if there is one.
    pub async fn latest(&self) -> Result<Option<RestorePoint>> {
        match self.list_manifests().await?.last() {
            Some(id) => self.read_manifest(*id).await.map(Some),
            None => Ok(None),
        }
    }

    /// Whether what checkpoint `id` held for its sinks is known to be committed. `false`: perhaps.
    pub async fn is_committed(&self, id: CheckpointId) -> Result<bool> {
        Ok(self.job.read(&commit_key(id)).await?.is_some())
    }

    /// The manifest that the next checkpoint may build on: that of `point`, if its objects are
    /// in this storage. A savepoint's are not.
    pub fn base_of<'a>(&self, point: &'a RestorePoint) -> Option<&'a Manifest> {
        let here = self.job.child(SHARED).url("") == point.files_url();
        (here && point.manifest.files_at == FilesAt::Shared).then_some(&point.manifest)
    }

    /// Takes the job over: from now on, older generations can write no manifest.
    pub async fn claim_generation(&self) -> Result<CheckpointWriter> {
        let mut generation = 0;
        loop {
            let existing = numbers(&self.job, GENERATIONS).await?;
            // Somebody else may claim at the same time: never try a number twice.
            generation = existing.last().copied().unwrap_or(0).max(generation) + 1;
            if self.job.create(&generation_key(generation), "".into()).await? {
                for old in existing {
                    self.job.delete(&generation_key(old)).await?;
                }
                self.job.remove_temporaries(MANIFESTS).await;
                return Ok(CheckpointWriter::new(self.clone(), generation));
            }
        }
    }

    /// An error if a later generation than `generation` has taken over.
    async fn check_fence(&self, generation: u64) -> Result<()> {
        match numbers(&self.job, GENERATIONS).await?.last() {
            Some(newer) if *newer > generation => {
                Err(CheckpointError::Fenced { generation, newer: *newer, location: self.location() })
            }
            _ => Ok(()),
        }
    }
}

/// The names in `folder` that are numbers, ascending.
async fn numbers(store: &Store, folder: &str) -> Result<Vec<u64>> {
    let mut numbers: Vec<u64> = store.list(folder).await?.iter().filter_map(|name| name.parse().ok()).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

fn manifest_key(id: CheckpointId) -> String {
    format!("{MANIFESTS}/{id:020}")
}

fn commit_key(id: CheckpointId) -> String {
    format!("{COMMITS}/{id:020}")
}

fn generation_key(generation: u64) -> String {
    format!("{GENERATIONS}/{generation}")
}
