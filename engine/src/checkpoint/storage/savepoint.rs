//! Savepoints: one directory that holds everything, and can be moved as a whole.
//!
//! A savepoint is made from a checkpoint whose files are in the storage already, so that nothing
//! is uploaded twice. It belongs to the user: retention never touches it.
//!
//! Invariants:
//! - `_metadata` is written last: a directory without it is not a savepoint.
//! - It names its files relative to itself, and nothing outside.

use std::collections::BTreeMap;

use futures::{StreamExt, TryStreamExt, stream};

use super::restore::{RestorePoint, verify};
use super::store::Store;
use super::{CheckpointWriter, FILES_AT_ONCE, SHARED, segment};
use crate::checkpoint::error::{CheckpointError, Result};
use crate::checkpoint::manifest::{FilesAt, Manifest};
use crate::checkpoint::snapshot::StoredFile;

/// The manifest of a savepoint.
pub(super) const METADATA: &str = "_metadata";

impl CheckpointWriter {
    /// Copies `manifest` and its files to `<directory>/savepoint-<job>-<token>`; that path.
    /// `token` makes the name unique. Local files are linked where that is possible.
    ///
    /// Goes before [`CheckpointWriter::write_manifest`], so that a savepoint that cannot be
    /// written is a checkpoint that never was.
    pub async fn export_savepoint(&self, manifest: &Manifest, directory: &str, token: &str) -> Result<String> {
        let job: String = manifest.job_id.chars().take(6).collect();
        let target = Store::open(directory)?.child(&segment(&format!("savepoint-{job}-{token}")));
        if target.read(METADATA).await?.is_some() {
            let reason = "a savepoint is already there: try again".to_owned();
            return Err(CheckpointError::Location { location: target.url(""), reason });
        }
        let mut savepoint = manifest.clone();
        savepoint.generation = self.generation();
        savepoint.files_at = FilesAt::Beside;
        let exported = self.export(&mut savepoint, &target).await;
        if exported.is_err() {
            // The error counts, not what becomes of the debris.
            let _ = remove(&target, savepoint.files().map(|file| file.object.clone())).await;
        }
        exported.map(|()| target.url(""))
    }

    async fn export(&self, savepoint: &mut Manifest, target: &Store) -> Result<()> {
        let shared = self.storage().job.child(SHARED);
        let mut files = BTreeMap::<String, StoredFile>::new();
        for file in savepoint.files_mut() {
            files.insert(file.object.clone(), file.clone());
            file.object = file.object.replace('/', "-");
        }
        let copies: Vec<_> = files
            .into_values()
            .map(|file| {
                let shared = shared.clone();
                async move {
                    let found = shared.copy_to(&file.object, target, &file.object.replace('/', "-")).await?;
                    verify(&file, found, || shared.url(&file.object))
                }
            })
            .collect();
        stream::iter(copies).buffer_unordered(FILES_AT_ONCE).try_collect::<()>().await?;
        target.sync("").await?;
        target.create(METADATA, savepoint.to_json()?.into()).await?;
        Ok(())
    }
}

/// Deletes a savepoint: its `_metadata`, the files it names, and the directory if that is empty then.
pub async fn delete_savepoint(location: &str) -> Result<()> {
    let point = RestorePoint::open(location).await?;
    if point.manifest.files_at != FilesAt::Beside {
        let reason = "this is a checkpoint of a job, not a savepoint: it goes when newer ones replace it".to_owned();
        return Err(CheckpointError::Location { location: location.to_owned(), reason });
    }
    remove(point.files(), point.manifest.files().map(|file| file.object.clone())).await
}

async fn remove(directory: &Store, files: impl Iterator<Item = String>) -> Result<()> {
    directory.delete(METADATA).await?;
    for file in files {
        directory.delete(&file).await?;
    }
    directory.remove_folder("").await;
    Ok(())
}
