//! One checkpoint or savepoint to restore from.

use std::path::{Component, Path};

use fail::fail_point;
use futures::{StreamExt, TryStreamExt, stream};

use super::savepoint::METADATA;
use super::store::{Content, Store};
use super::{FILES_AT_ONCE, MANIFESTS, SHARED, manifest_key, numbers};
use crate::checkpoint::error::{CheckpointError, Result};
use crate::checkpoint::manifest::{FilesAt, Manifest};
use crate::checkpoint::snapshot::{CheckpointId, StoredFile, StoredKeyedState};

/// A manifest together with the way to its files.
#[derive(Clone, Debug)]
pub struct RestorePoint {
    /// What it says.
    pub manifest: Manifest,
    path: String,
    files: Store,
}

impl RestorePoint {
    /// Opens what `--from PATH` names: a savepoint's directory or its `_metadata`, a manifest of
    /// a job's checkpoints, or the job's folder (the latest one in it).
    pub async fn open(location: &str) -> Result<Self> {
        let here = Store::open(location)?;
        if let Some(json) = here.read(METADATA).await? {
            let manifest = parse(&json, &here, METADATA)?;
            return Ok(Self::savepoint(here, manifest));
        }
        if let Some(id) = numbers(&here, MANIFESTS).await?.last() {
            return Self::read_numbered(&here, *id).await;
        }
        let not_found = || CheckpointError::NotFound { location: location.to_owned() };
        let (folder, name) = split(location).ok_or_else(not_found)?;
        let store = Store::open(&folder)?;
        let json = store.read(&name).await?.ok_or_else(not_found)?;
        let manifest = parse(&json, &store, &name)?;
        match manifest.files_at {
            FilesAt::Beside => Ok(Self::savepoint(store, manifest)),
            FilesAt::Shared => {
                let (job, _) = split(&folder).ok_or_else(not_found)?;
                Ok(RestorePoint { manifest, path: store.url(&name), files: Store::open(&job)?.child(SHARED) })
            }
        }
    }

    fn savepoint(directory: Store, manifest: Manifest) -> Self {
        RestorePoint { manifest, path: directory.url(""), files: directory }
    }

    pub(super) async fn read_numbered(job: &Store, id: CheckpointId) -> Result<Self> {
        let key = manifest_key(id);
        let path = job.url(&key);
        let json = job.read(&key).await?.ok_or_else(|| CheckpointError::NotFound { location: path.clone() })?;
        Ok(RestorePoint { manifest: parse(&json, job, &key)?, path, files: job.child(SHARED) })
    }

    /// The manifest's path, or the savepoint's directory.
    pub fn external_path(&self) -> &str {
        &self.path
    }

    /// Brings the files of one operator of one subtask into `dir`, which is created, and checks
    /// length and checksum of each. Files that never change are linked where that is possible.
    pub async fn materialize(&self, keyed: &StoredKeyedState, dir: &Path) -> Result<()> {
        tokio::fs::create_dir_all(dir).await.map_err(CheckpointError::io("create directory", dir))?;
        let jobs: Vec<_> = keyed.files.iter().map(|file| self.materialize_file(file.clone(), dir)).collect();
        stream::iter(jobs).buffered(FILES_AT_ONCE).try_collect().await
    }

    async fn materialize_file(&self, file: StoredFile, dir: &Path) -> Result<()> {
        fail_point!("checkpoint-restore", |_| Err(CheckpointError::Failpoint { name: "checkpoint-restore" }));
        let mut components = Path::new(&file.name).components();
        if !matches!((components.next(), components.next()), (Some(Component::Normal(_)), None)) {
            let reason = format!("it names a file '{}', which would leave its directory", file.name);
            return Err(CheckpointError::Corrupt { location: self.path.clone(), reason });
        }
        let found = self.files.get_file(&file.object, &dir.join(&file.name), file.immutable).await?;
        verify(&file, found, || self.files.url(&file.object))
    }

    /// Where its objects are, for comparison.
    pub(super) fn files_url(&self) -> String {
        self.files.url("")
    }

    /// Where its objects are.
    pub(super) fn files(&self) -> &Store {
        &self.files
    }
}

/// Checks what was read against what the manifest says.
pub(super) fn verify(file: &StoredFile, found: Content, location: impl FnOnce() -> String) -> Result<()> {
    let expected = Content { len: file.len, crc32: file.crc32 };
    if found == expected {
        return Ok(());
    }
    let reason = if found.len == expected.len {
        format!("its checksum is {:08x}, the manifest says {:08x}", found.crc32, expected.crc32)
    } else {
        format!("it has {} bytes, the manifest says {}", found.len, expected.len)
    };
    Err(CheckpointError::Corrupt { location: location(), reason })
}

pub(super) fn parse(json: &[u8], store: &Store, key: &str) -> Result<Manifest> {
    Manifest::from_json(json, &store.url(key))
}

/// Folder and name of a path or URL.
fn split(location: &str) -> Option<(String, String)> {
    let location = location.trim_end_matches('/');
    if let Some((scheme, rest)) = location.split_once("://") {
        let (folder, name) = rest.rsplit_once('/')?;
        return Some((format!("{scheme}://{folder}"), name.to_owned()));
    }
    let path = std::path::absolute(location).ok()?;
    Some((path.parent()?.to_str()?.to_owned(), path.file_name()?.to_str()?.to_owned()))
}
