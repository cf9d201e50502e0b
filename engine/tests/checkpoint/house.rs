//! A worker's local disk and a place for checkpoints, for the tests beside this file.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hurtig_engine::checkpoint::manifest::FORMAT;
use hurtig_engine::checkpoint::{
    CheckpointError, CheckpointId, CheckpointKind, CheckpointStorage, CheckpointWriter, FilesAt, LocalFile,
    LocalKeyedState, Manifest, OperatorSnapshot, RestorePoint, StoredKeyedState, SubtaskSnapshot, Totals,
};
use object_store::memory::InMemory;
use tempfile::TempDir;

pub const JOB: &str = "smart meters";

pub type Content = BTreeMap<String, Vec<u8>>;

/// A worker's local disk and a place for checkpoints.
pub struct House {
    temporary: TempDir,
    pub storage: CheckpointStorage,
    snapshots: std::cell::Cell<u32>,
}

/// A directory, an object store in memory, and S3 if `HURTIG_TEST_S3` is `s3://bucket/prefix` (with
/// the feature `s3`, and the environment's `AWS_…` for the server).
pub fn houses(test: &str) -> Vec<House> {
    let mut houses = vec![House::local(), House::remote()];
    if let Ok(s3) = std::env::var("HURTIG_TEST_S3") {
        let location = format!("{s3}/{}/{test}", std::process::id());
        houses.push(House::new(CheckpointStorage::open(&location, JOB).unwrap()));
    }
    houses
}

impl House {
    pub fn new(storage: CheckpointStorage) -> Self {
        House { temporary: TempDir::new().unwrap(), storage, snapshots: 0.into() }
    }

    pub fn local() -> Self {
        let temporary = TempDir::new().unwrap();
        let storage = CheckpointStorage::open(temporary.path().join("checkpoints").to_str().unwrap(), JOB).unwrap();
        House { temporary, storage, snapshots: 0.into() }
    }

    pub fn remote() -> Self {
        let storage = CheckpointStorage::in_object_store(Arc::new(InMemory::new()), "s3://bucket", "a/b", JOB);
        House::new(storage)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.temporary.path().join(name)
    }

    pub fn job(&self) -> PathBuf {
        PathBuf::from(self.storage.location())
    }

    /// Writes `files` into the "database" if they are not there, and snapshots it with links.
    /// Names that end in `.sst` never change.
    pub fn snapshot(&self, files: &[(&str, &[u8])]) -> LocalKeyedState {
        let (database, number) = (self.path("db"), self.snapshots.get());
        self.snapshots.set(number + 1);
        let dir = self.path(&format!("snapshot-{number}"));
        fs::create_dir_all(&database).unwrap();
        fs::create_dir_all(&dir).unwrap();
        let files = files.iter().map(|(name, content)| {
            let immutable = name.ends_with(".sst");
            let original = database.join(name);
            if !immutable || fs::read(&original).ok().as_deref() != Some(*content) {
                let _ = fs::remove_file(&original);
                fs::write(&original, content).unwrap();
            }
            fs::hard_link(&original, dir.join(name)).unwrap();
            LocalFile { name: (*name).to_owned(), len: content.len() as u64, immutable }
        });
        LocalKeyedState { files: files.collect(), dir, meta: vec![0, 1, 2, 255], key_groups: (0, 127) }
    }

    /// Takes checkpoint `id` of these files; its manifest, and how many bytes it uploaded.
    pub async fn checkpoint(
        &self,
        writer: &CheckpointWriter,
        id: CheckpointId,
        files: &[(&str, &[u8])],
        base: Option<&Manifest>,
    ) -> (Manifest, u64) {
        let uploaded = writer.upload_subtask(id, subtask(self.snapshot(files)), base).await.unwrap();
        let mut manifest = manifest(id, uploaded.snapshot);
        writer.write_manifest(&mut manifest).await.unwrap();
        (manifest, uploaded.uploaded_bytes)
    }

    pub async fn restore(&self, point: &RestorePoint, name: &str) -> Result<Content, CheckpointError> {
        let dir = self.path(name);
        point.materialize(keyed(&point.manifest), &dir).await?;
        Ok(read_all(&dir))
    }
}

pub fn subtask(keyed: LocalKeyedState) -> SubtaskSnapshot<LocalKeyedState> {
    let operator = OperatorSnapshot {
        uid: "window".to_owned(),
        name: "Window".to_owned(),
        watermark: 5,
        state: vec![b"list".to_vec()],
        keyed: Some(keyed),
        committables: vec![vec![7; 3]],
        splits: vec![],
        counters: BTreeMap::from([("read".to_owned(), 9)]),
    };
    SubtaskSnapshot {
        vertex_uid: "v".to_owned(),
        vertex_name: "V".to_owned(),
        parallelism: 1,
        subtask: 0,
        operators: vec![operator],
        alignment_ms: 0,
        sync_ms: 0,
    }
}

pub fn manifest(id: CheckpointId, subtask: SubtaskSnapshot<StoredKeyedState>) -> Manifest {
    Manifest {
        format: FORMAT,
        job_name: JOB.to_owned(),
        job_id: "2fcad1b70da5e7d7542493ffd1716595".to_owned(),
        id,
        kind: CheckpointKind::Checkpoint,
        finished: false,
        generation: 0,
        created_at: 1_000,
        parallelism: 1,
        max_parallelism: 128,
        files_at: FilesAt::Shared,
        totals: Totals::default(),
        subtasks: vec![subtask],
        enumerators: BTreeMap::new(),
        split_names: BTreeMap::new(),
    }
}

pub fn keyed(manifest: &Manifest) -> &StoredKeyedState {
    manifest.subtasks[0].operators[0].keyed.as_ref().unwrap()
}

pub fn read_all(dir: &Path) -> Content {
    let entries = fs::read_dir(dir).unwrap().map(Result::unwrap);
    entries.map(|e| (e.file_name().into_string().unwrap(), fs::read(e.path()).unwrap())).collect()
}

pub fn content(files: &[(&str, &[u8])]) -> Content {
    files.iter().map(|(name, content)| ((*name).to_owned(), content.to_vec())).collect()
}

pub fn files_below(dir: &Path) -> usize {
    let entries = fs::read_dir(dir).into_iter().flatten().map(Result::unwrap);
    entries.map(|e| if e.path().is_dir() { files_below(&e.path()) } else { 1 }).sum()
}

pub fn names(manifest: &Manifest) -> Vec<&str> {
    manifest.files().map(|file| file.object.as_str()).collect()
}
