//! Writing checkpoints, for one generation of one job.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use fail::fail_point;
use futures::{StreamExt, TryStreamExt, stream};

use super::local::{blocking, content_of};
use super::restore::parse;
use super::store::segment;
use super::{CheckpointStorage, FILES_AT_ONCE, MANIFESTS, SHARED, commit_key, manifest_key};
use crate::checkpoint::error::{CheckpointError, Result};
use crate::checkpoint::manifest::{FORMAT, FilesAt, Manifest};
use crate::checkpoint::snapshot::{
    CheckpointId, FileIdentity, LocalFile, LocalKeyedState, OperatorSnapshot, StoredFile, StoredKeyedState,
    SubtaskSnapshot,
};

/// Writes one job's checkpoints until a later generation takes over.
#[derive(Debug)]
pub struct CheckpointWriter {
    storage: CheckpointStorage,
    generation: u64,
    next_object: AtomicU64,
}

/// Keyed state after its upload.
#[derive(Clone, Debug, PartialEq)]
pub struct UploadedState {
    /// Where it is.
    pub state: StoredKeyedState,
    /// What had to be written; the rest was there already.
    pub uploaded_bytes: u64,
}

/// A subtask's snapshot after its upload.
#[derive(Clone, Debug, PartialEq)]
pub struct UploadedSubtask {
    /// What goes into the manifest.
    pub snapshot: SubtaskSnapshot<StoredKeyedState>,
    /// All its state.
    pub full_bytes: u64,
    /// What had to be written; the rest was there already.
    pub uploaded_bytes: u64,
}

impl CheckpointWriter {
    pub(super) fn new(storage: CheckpointStorage, generation: u64) -> Self {
        CheckpointWriter { storage, generation, next_object: AtomicU64::new(0) }
    }

    /// What it writes to.
    pub fn storage(&self) -> &CheckpointStorage {
        &self.storage
    }

    /// The generation it writes for.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Uploads a subtask's keyed state and removes its local directories.
    ///
    /// `confirmed` is the last checkpoint that was *completed* (or restored from this storage, see
    /// [`CheckpointStorage::base_of`]): files that it has are not uploaded again.
    pub async fn upload_subtask(
        &self,
        id: CheckpointId,
        snapshot: SubtaskSnapshot<LocalKeyedState>,
        confirmed: Option<&Manifest>,
    ) -> Result<UploadedSubtask> {
        let (mut full_bytes, mut uploaded_bytes) = (0, 0);
        let mut operators = Vec::with_capacity(snapshot.operators.len());
        for operator in snapshot.operators {
            let inline = operator.inline_bytes();
            full_bytes += inline;
            uploaded_bytes += inline;
            let keyed = match operator.keyed {
                None => None,
                Some(local) => {
                    // All subtasks' files: at another parallelism they have changed hands.
                    let base: Vec<StoredFile> = confirmed
                        .into_iter()
                        .flat_map(|manifest| manifest.operator(&operator.uid))
                        .filter_map(|view| view.operator.keyed.as_ref())
                        .flat_map(|keyed| keyed.files.iter().cloned())
                        .collect();
                    let uploaded = self.upload(id, local, &base).await?;
                    full_bytes += uploaded.state.bytes();
                    uploaded_bytes += uploaded.uploaded_bytes;
                    Some(uploaded.state)
                }
            };
            operators.push(OperatorSnapshot {
                uid: operator.uid,
                name: operator.name,
                watermark: operator.watermark,
                state: operator.state,
                keyed,
                committables: operator.committables,
                splits: operator.splits,
                counters: operator.counters,
            });
        }
        let snapshot = SubtaskSnapshot {
            vertex_uid: snapshot.vertex_uid,
            vertex_name: snapshot.vertex_name,
            parallelism: snapshot.parallelism,
            subtask: snapshot.subtask,
            operators,
            alignment_ms: snapshot.alignment_ms,
            sync_ms: snapshot.sync_ms,
        };
        Ok(UploadedSubtask { snapshot, full_bytes, uploaded_bytes })
    }

    /// Uploads what `base` lacks, and removes the local directory. When this returns, all is durable.
    pub async fn upload(&self, id: CheckpointId, local: LocalKeyedState, base: &[StoredFile]) -> Result<UploadedState> {
        let folder = self.folder(id);
        let mut by_name = BTreeMap::<_, Vec<StoredFile>>::new();
        for file in base {
            by_name.entry(file.name.as_str()).or_default().push(file.clone());
        }
        let jobs: Vec<_> = local
            .files
            .into_iter()
            .map(|file| {
                let candidates = by_name.get(file.name.as_str()).cloned().unwrap_or_default();
                self.upload_file(folder.clone(), local.dir.join(&file.name), file, candidates)
            })
            .collect();
        let uploaded: Result<Vec<_>> = stream::iter(jobs).buffered(FILES_AT_ONCE).try_collect().await;
        remove_directory(local.dir).await;
        let uploaded = uploaded?;
        self.storage.job.sync(&format!("{SHARED}/{folder}")).await?;
        let mut uploaded_bytes = local.meta.len() as u64;
        let mut files = Vec::with_capacity(uploaded.len());
        for (file, new) in uploaded {
            uploaded_bytes += if new { file.len } else { 0 };
            files.push(file);
        }
        let state = StoredKeyedState { files, meta: local.meta, key_groups: local.key_groups };
        Ok(UploadedState { state, uploaded_bytes })
    }

    /// One file, and whether it is new.
    async fn upload_file(
        &self,
        folder: String,
        path: PathBuf,
        file: LocalFile,
        candidates: Vec<StoredFile>,
    ) -> Result<(StoredFile, bool)> {
        fail_point!("checkpoint-upload", |_| Err(CheckpointError::Failpoint { name: "checkpoint-upload" }));
        let seen_as = identity(&path).await?;
        if let Some(known) = find_in_base(&path, &file, seen_as, candidates).await? {
            return Ok((StoredFile { seen_as, ..known }, false));
        }
        let number = self.next_object.fetch_add(1, Ordering::Relaxed);
        let object = format!("{folder}/{number}-{}", segment(&file.name));
        let key = format!("{SHARED}/{object}");
        let content = self.storage.job.put_file(&key, &path, file.immutable).await?;
        if content.len != file.len {
            let reason = format!("it should have {} bytes and has {}", file.len, content.len);
            return Err(CheckpointError::Corrupt { location: path.display().to_string(), reason });
        }
        let LocalFile { name, len, immutable } = file;
        Ok((StoredFile { name, object, len, crc32: content.crc32, immutable, seen_as }, true))
    }

    /// Writes the manifest: from now on the checkpoint exists. Its path.
    ///
    /// Refused if a later generation has taken over, or if the number is taken. After any other
    /// error it may exist all the same: [`CheckpointWriter::discard`] sees to that.
    pub async fn write_manifest(&self, manifest: &mut Manifest) -> Result<String> {
        fail_point!("checkpoint-manifest", |_| Err(CheckpointError::Failpoint { name: "checkpoint-manifest" }));
        manifest.format = FORMAT;
        manifest.generation = self.generation;
        manifest.files_at = FilesAt::Shared;
        self.storage.check_fence(self.generation).await?;
        let key = manifest_key(manifest.id);
        let path = self.storage.job.url(&key);
        if !self.storage.job.create(&key, manifest.to_json()?.into()).await? {
            return Err(CheckpointError::AlreadyExists { id: manifest.id, location: path });
        }
        // Whoever took over in between may have swept our objects away before it could see them named.
        if let Err(fenced) = self.storage.check_fence(self.generation).await {
            self.storage.job.delete(&key).await?;
            return Err(fenced);
        }
        fail_point!("checkpoint-manifest-written", |_| Err(CheckpointError::Failpoint {
            name: "checkpoint-manifest-written"
        }));
        Ok(path)
    }

    /// Notes that what checkpoint `id` held for its sinks is committed. A restore then leaves it
    /// alone: the files may have been moved or compacted since.
    pub async fn mark_committed(&self, id: CheckpointId) -> Result<()> {
        self.storage.job.create(&commit_key(id), "".into()).await.map(drop)
    }

    /// An error if a later generation has taken the job over.
    pub async fn check_fence(&self) -> Result<()> {
        self.storage.check_fence(self.generation).await
    }

    /// Deletes what an aborted checkpoint has left: first its manifest, should there be one after
    /// all, then its objects. Idempotent. Never to be called for a completed checkpoint.
    pub async fn discard(&self, id: CheckpointId) -> Result<()> {
        let key = manifest_key(id);
        if let Some(json) = self.storage.job.read(&key).await? {
            let manifest = parse(&json, &self.storage.job, &key)?;
            // Another generation's manifest of the same number does not name our objects.
            if manifest.generation == self.generation {
                self.storage.job.delete(&key).await?;
                self.sync_manifests().await?;
            }
        }
        let folder = self.folder(id);
        let objects = self.storage.job.list(&format!("{SHARED}/{folder}")).await?;
        self.delete_objects(objects.into_iter().map(|name| format!("{folder}/{name}"))).await
    }

    /// Deletes one manifest. Its objects go afterwards, if no other manifest names them.
    pub(in crate::checkpoint) async fn delete_manifest(&self, id: CheckpointId) -> Result<()> {
        self.storage.job.delete(&manifest_key(id)).await?;
        self.storage.job.delete(&commit_key(id)).await
    }

    /// Every object in the storage, with or without a manifest that names it.
    pub(in crate::checkpoint) async fn list_objects(&self) -> Result<Vec<String>> {
        self.storage.job.list(SHARED).await
    }

    /// Deletes objects that no manifest names.
    pub(in crate::checkpoint) async fn delete_objects(&self, objects: impl IntoIterator<Item = String>) -> Result<()> {
        let job = &self.storage.job;
        let mut folders = BTreeSet::new();
        let mut deletions = Vec::new();
        for object in objects {
            folders.extend(object.rsplit_once('/').map(|(folder, _)| format!("{SHARED}/{folder}")));
            deletions.push(async move { job.delete(&format!("{SHARED}/{object}")).await });
        }
        stream::iter(deletions).buffer_unordered(FILES_AT_ONCE).try_collect::<()>().await?;
        for folder in folders {
            job.remove_folder(&folder).await;
        }
        Ok(())
    }

    /// Makes deletions of manifests durable: objects must not go before.
    pub(in crate::checkpoint) async fn sync_manifests(&self) -> Result<()> {
        self.storage.job.sync(MANIFESTS).await
    }

    fn folder(&self, id: CheckpointId) -> String {
        format!("g{}-c{id}", self.generation)
    }
}

/// The stored file that has the same content under the same name. A name alone says nothing:
/// RocksDB counts anew after a restore.
async fn find_in_base(
    path: &Path,
    file: &LocalFile,
    seen_as: Option<FileIdentity>,
    mut candidates: Vec<StoredFile>,
) -> Result<Option<StoredFile>> {
    candidates.retain(|known| file.immutable && known.immutable && known.len == file.len);
    if candidates.is_empty() {
        return Ok(None);
    }
    if let Some(same) = candidates.iter().find(|known| seen_as.is_some() && known.seen_as == seen_as) {
        return Ok(Some(same.clone()));
    }
    let path = path.to_owned();
    let content = blocking(move || content_of(&path)).await?;
    Ok(candidates.into_iter().find(|known| known.len == content.len && known.crc32 == content.crc32))
}

async fn identity(path: &Path) -> Result<Option<FileIdentity>> {
    let path = path.to_owned();
    blocking(move || {
        let metadata = std::fs::metadata(&path).map_err(CheckpointError::io("read", &path))?;
        Ok(FileIdentity::of(&metadata))
    })
    .await
}

/// The snapshot's links are of no more use, whatever came of the upload.
async fn remove_directory(directory: PathBuf) {
    // What cannot be removed now goes when the worker wipes its local state.
    let _ = blocking(move || Ok(std::fs::remove_dir_all(directory).is_ok())).await;
}
