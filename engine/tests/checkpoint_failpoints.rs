//! Failpoints of the checkpoint storage. Failpoints are global, so these have a process of their own.

use std::collections::BTreeMap;
use std::fs;

use fail::FailScenario;
use hurtig_engine::checkpoint::manifest::FORMAT;
use hurtig_engine::checkpoint::{
    CheckpointError, CheckpointKind, CheckpointStorage, FilesAt, LocalFile, LocalKeyedState, Manifest,
    OperatorSnapshot, Retention, SubtaskSnapshot, Totals,
};
use tempfile::TempDir;

/// At each point a checkpoint fails in turn; what is left is what it was, and the next one succeeds.
#[tokio::test]
async fn a_failed_checkpoint_leaves_the_last_one_as_it_was() {
    let scenario = FailScenario::setup();
    let temporary = TempDir::new().unwrap();
    let storage = CheckpointStorage::open(temporary.path().join("c").to_str().unwrap(), "job").unwrap();
    let writer = storage.claim_generation().await.unwrap();
    let mut id = 0;
    let mut completed = 0;
    for point in ["", "checkpoint-upload", "checkpoint-manifest", "checkpoint-manifest-written", ""] {
        id += 1;
        if !point.is_empty() {
            // The second file's upload, the first manifest.
            let times = if point == "checkpoint-upload" { "1*off->return" } else { "return" };
            fail::cfg(point, times).unwrap();
        }
        let result = async {
            let dir = temporary.path().join(format!("snapshot-{id}"));
            fs::create_dir(&dir).unwrap();
            let files = ["1.sst", "2.sst"].map(|name| {
                fs::write(dir.join(name), format!("{name} of {id}")).unwrap();
                LocalFile { name: name.to_owned(), len: format!("{name} of {id}").len() as u64, immutable: true }
            });
            let keyed = LocalKeyedState { dir: dir.clone(), files: files.into(), meta: vec![], key_groups: (0, 127) };
            let uploaded = writer.upload_subtask(id, subtask(keyed), None).await;
            assert!(!dir.exists(), "the snapshot's links are removed");
            let mut manifest = manifest(id);
            manifest.subtasks.push(uploaded?.snapshot);
            writer.write_manifest(&mut manifest).await
        }
        .await;
        fail::remove(point);
        if point.is_empty() {
            result.unwrap();
            completed = id;
        } else {
            let error = result.unwrap_err();
            assert!(matches!(error, CheckpointError::Failpoint { name } if name == point), "{error}");
            let there = point == "checkpoint-manifest-written";
            assert_eq!(storage.list_manifests().await.unwrap().contains(&id), there);
            writer.discard(id).await.unwrap();
        }
        assert_eq!(storage.list_manifests().await.unwrap().last(), Some(&completed));
        let restored = storage.latest().await.unwrap().unwrap();
        let keyed = restored.manifest.subtasks[0].operators[0].keyed.clone().unwrap();
        let dir = temporary.path().join(format!("restored-{id}"));
        restored.materialize(&keyed, &dir).await.unwrap();
        assert_eq!(fs::read_to_string(dir.join("2.sst")).unwrap(), format!("2.sst of {completed}"));
    }

    fail::cfg("checkpoint-restore", "1*off->return").unwrap();
    let point = storage.latest().await.unwrap().unwrap();
    let keyed = point.manifest.subtasks[0].operators[0].keyed.clone().unwrap();
    let error = point.materialize(&keyed, &temporary.path().join("again")).await.unwrap_err();
    assert!(matches!(error, CheckpointError::Failpoint { name: "checkpoint-restore" }), "{error}");
    fail::remove("checkpoint-restore");

    let retention = Retention::open(&writer).await.unwrap();
    assert_eq!(retention.stored().collect::<Vec<_>>(), [1, id]);
    scenario.teardown();
}

fn subtask(keyed: LocalKeyedState) -> SubtaskSnapshot<LocalKeyedState> {
    let operator = OperatorSnapshot {
        uid: "u".to_owned(),
        name: "U".to_owned(),
        watermark: 0,
        state: vec![],
        keyed: Some(keyed),
        committables: vec![],
        splits: vec![],
        counters: BTreeMap::new(),
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

fn manifest(id: u64) -> Manifest {
    Manifest {
        format: FORMAT,
        job_name: "job".to_owned(),
        job_id: "0".repeat(32),
        id,
        kind: CheckpointKind::Checkpoint,
        finished: false,
        generation: 0,
        created_at: 0,
        parallelism: 1,
        max_parallelism: 128,
        files_at: FilesAt::Shared,
        totals: Totals::default(),
        subtasks: vec![],
        enumerators: BTreeMap::new(),
        split_names: BTreeMap::new(),
    }
}
