//! Checkpoint storage on a real directory and on an object store: round trips, fences, incremental
//! uploads, retention, savepoints, damage.

mod house;

use std::fs;

use hurtig_engine::checkpoint::storage::delete_savepoint;
use hurtig_engine::checkpoint::{CheckpointError, CheckpointStorage, FilesAt, Manifest, RestorePoint, Retention};

use house::{House, JOB, content, files_below, houses, names, subtask};

const FIRST: &[(&str, &[u8])] = &[("000001.sst", b"one"), ("000002.sst", b"two"), ("CURRENT", b"MANIFEST-1")];

#[tokio::test]
async fn what_was_written_comes_back() {
    for house in houses("what_was_written_comes_back") {
        assert!(house.storage.latest().await.unwrap().is_none(), "nothing there is not an error");
        let writer = house.storage.claim_generation().await.unwrap();
        let (written, uploaded) = house.checkpoint(&writer, 3, FIRST, None).await;
        assert_eq!(uploaded, 3 + 3 + 10 + 4 + 4 + 3, "files, meta, list state, committable");
        assert!(!house.path("snapshot-0").exists(), "the snapshot's links are removed");

        let point = house.storage.latest().await.unwrap().unwrap();
        // What the process has seen of the local files is not written down.
        let read = Manifest::from_json(&written.to_json().unwrap(), "").unwrap();
        assert_eq!(point.manifest, read);
        assert!(point.external_path().ends_with("manifests/00000000000000000003"), "{}", point.external_path());
        assert_eq!(house.restore(&point, "restored").await.unwrap(), content(FIRST));
    }
}

#[tokio::test]
async fn large_files_go_in_parts() {
    let large: Vec<u8> = (0..20_000_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let files: &[(&str, &[u8])] = &[("1.sst", &large), ("2.sst", b""), ("3.sst", &large[..8 << 20])];
    for house in houses("large_files_go_in_parts") {
        let writer = house.storage.claim_generation().await.unwrap();
        house.checkpoint(&writer, 1, files, None).await;
        let point = house.storage.latest().await.unwrap().unwrap();
        assert!(house.restore(&point, "restored").await.unwrap() == content(files));
    }
}

#[tokio::test]
async fn a_number_is_written_once() {
    for house in houses("a_number_is_written_once") {
        let writer = house.storage.claim_generation().await.unwrap();
        let (mut manifest, _) = house.checkpoint(&writer, 1, FIRST, None).await;
        manifest.created_at += 1;
        let error = writer.write_manifest(&mut manifest).await.unwrap_err();
        assert!(matches!(error, CheckpointError::AlreadyExists { id: 1, .. }), "{error}");
        assert!(error.to_string().contains("fence"), "{error}");
        assert_eq!(house.storage.latest().await.unwrap().unwrap().manifest.created_at, 1_000);
    }
}

#[tokio::test]
async fn an_older_generation_writes_no_manifest() {
    for house in houses("an_older_generation_writes_no_manifest") {
        let zombie = house.storage.claim_generation().await.unwrap();
        house.checkpoint(&zombie, 1, FIRST, None).await;
        let writer = house.storage.claim_generation().await.unwrap();
        assert_eq!((zombie.generation(), writer.generation()), (1, 2));

        let mut late = house.storage.latest().await.unwrap().unwrap().manifest;
        late.id = 2;
        let error = zombie.write_manifest(&mut late).await.unwrap_err();
        assert!(matches!(error, CheckpointError::Fenced { generation: 1, newer: 2, .. }), "{error}");
        assert_eq!(house.storage.list_manifests().await.unwrap(), [1]);
        house.checkpoint(&writer, 2, FIRST, None).await;
        assert_eq!(house.storage.claim_generation().await.unwrap().generation(), 3);
    }
}

#[tokio::test]
async fn only_new_files_are_uploaded() {
    for house in houses("only_new_files_are_uploaded") {
        let writer = house.storage.claim_generation().await.unwrap();
        let (first, _) = house.checkpoint(&writer, 1, FIRST, None).await;
        let second_files: &[(&str, &[u8])] =
            &[("000002.sst", b"two"), ("000003.sst", b"three"), ("CURRENT", b"MANIFEST-2")];
        let (second, uploaded) = house.checkpoint(&writer, 2, second_files, Some(&first)).await;
        assert_eq!(uploaded, 5 + 10 + 4 + 4 + 3);
        assert_eq!(names(&second)[0], names(&first)[1]);

        // As it is after a restore: nothing is known of the local files, content decides.
        let point = house.storage.latest().await.unwrap().unwrap();
        let base = house.storage.base_of(&point).unwrap();
        let (third, uploaded) = house.checkpoint(&writer, 3, second_files, Some(base)).await;
        assert_eq!(uploaded, 10 + 4 + 4 + 3, "what may change is always uploaded");
        assert_eq!(names(&third)[..2], names(&second)[..2]);
        let point = house.storage.latest().await.unwrap().unwrap();
        assert_eq!(house.restore(&point, "restored").await.unwrap(), content(second_files));
    }
}

#[tokio::test]
async fn a_name_reused_after_a_restore_is_another_file() {
    for house in houses("a_name_reused_after_a_restore_is_another_file") {
        let writer = house.storage.claim_generation().await.unwrap();
        let (first, _) = house.checkpoint(&writer, 1, FIRST, None).await;
        // The same name and length, other content.
        let reused: &[(&str, &[u8])] = &[("000001.sst", b"ONE"), ("000002.sst", b"two")];
        let (second, uploaded) = house.checkpoint(&writer, 2, reused, Some(&first)).await;
        assert_eq!(uploaded, 3 + 4 + 4 + 3);
        assert_ne!(names(&second)[0], names(&first)[0]);

        let old = house.storage.read_manifest(1).await.unwrap();
        assert_eq!(house.restore(&old, "old").await.unwrap(), content(FIRST));
        let new = house.storage.latest().await.unwrap().unwrap();
        assert_eq!(house.restore(&new, "new").await.unwrap(), content(reused));
    }
}

#[tokio::test]
async fn retention_deletes_what_nobody_names() {
    for house in houses("retention_deletes_what_nobody_names") {
        let writer = house.storage.claim_generation().await.unwrap();
        let mut retention = Retention::open(&writer).await.unwrap();
        let (first, _) = house.checkpoint(&writer, 1, FIRST, None).await;
        let kept: &[(&str, &[u8])] = &[("000002.sst", b"two"), ("000003.sst", b"three")];
        let (second, _) = house.checkpoint(&writer, 2, kept, Some(&first)).await;
        retention.completed(&first);
        retention.completed(&second);

        assert_eq!(retention.subsume(&writer, &[1]).await.unwrap(), 2, "one.sst and CURRENT; two.sst is shared");
        assert_eq!(house.storage.list_manifests().await.unwrap(), [2]);
        let point = house.storage.latest().await.unwrap().unwrap();
        assert_eq!(house.restore(&point, "restored").await.unwrap(), content(kept));
        // What a restart counts is what was counted all along.
        assert_eq!(Retention::open(&writer).await.unwrap(), retention);
    }
}

#[tokio::test]
async fn orphans_are_swept_and_aborted_uploads_discarded() {
    for house in houses("orphans_are_swept_and_aborted_uploads_discarded") {
        let writer = house.storage.claim_generation().await.unwrap();
        let (first, _) = house.checkpoint(&writer, 1, FIRST, None).await;
        // Aborted: a discard takes its objects, and not those that it shares.
        let more: &[(&str, &[u8])] = &[("000001.sst", b"one"), ("000009.sst", b"nine")];
        writer.upload_subtask(2, subtask(house.snapshot(more)), Some(&first)).await.unwrap();
        writer.discard(2).await.unwrap();
        writer.discard(2).await.unwrap();
        // Killed: nobody discards.
        writer.upload_subtask(3, subtask(house.snapshot(more)), Some(&first)).await.unwrap();

        let writer = house.storage.claim_generation().await.unwrap();
        let retention = Retention::open(&writer).await.unwrap();
        assert_eq!(retention.stored().collect::<Vec<_>>(), [1]);
        if house.job().exists() {
            assert_eq!(files_below(&house.job().join("shared")), FIRST.len());
            assert_eq!(fs::read_dir(house.job().join("shared")).unwrap().count(), 1, "no empty folders");
        }
        let point = house.storage.latest().await.unwrap().unwrap();
        assert_eq!(house.restore(&point, "restored").await.unwrap(), content(FIRST));
    }
}

#[tokio::test]
async fn a_manifest_that_failed_and_is_there_all_the_same_goes_first() {
    let house = House::local();
    let writer = house.storage.claim_generation().await.unwrap();
    house.checkpoint(&writer, 1, FIRST, None).await;
    house.checkpoint(&writer, 2, FIRST, None).await;
    writer.discard(2).await.unwrap();
    assert_eq!(house.storage.list_manifests().await.unwrap(), [1]);
    // Not ours: left alone.
    let newer = house.storage.claim_generation().await.unwrap();
    newer.discard(1).await.unwrap();
    assert_eq!(house.storage.list_manifests().await.unwrap(), [1]);
}

#[tokio::test]
async fn damage_is_found() {
    for (damage, word) in [(&b"xxx"[..], "checksum"), (b"x", "bytes")] {
        let house = House::local();
        let writer = house.storage.claim_generation().await.unwrap();
        let (manifest, _) = house.checkpoint(&writer, 1, FIRST, None).await;
        let object = house.job().join("shared").join(names(&manifest)[0]);
        fs::write(&object, damage).unwrap();
        let point = house.storage.latest().await.unwrap().unwrap();
        let error = house.restore(&point, "restored").await.unwrap_err();
        assert!(matches!(error, CheckpointError::Corrupt { .. }), "{error}");
        let error = error.to_string();
        assert!(error.contains(object.to_str().unwrap()) && error.contains(word), "{error}");
        assert!(error.contains("--from"), "{error}");
        // A savepoint of it is refused, and leaves nothing behind.
        let saved = house.path("saved");
        assert!(writer.export_savepoint(&manifest, saved.to_str().unwrap(), "t").await.is_err());
        assert_eq!(files_below(&saved), 0);
    }
}

#[tokio::test]
async fn a_missing_object_and_a_torn_manifest_are_named() {
    let house = House::local();
    let writer = house.storage.claim_generation().await.unwrap();
    let (manifest, _) = house.checkpoint(&writer, 1, FIRST, None).await;
    let object = house.job().join("shared").join(names(&manifest)[1]);
    fs::remove_file(&object).unwrap();
    let point = house.storage.latest().await.unwrap().unwrap();
    let error = house.restore(&point, "restored").await.unwrap_err().to_string();
    assert!(error.contains(object.to_str().unwrap()), "{error}");

    fs::write(point.external_path(), b"{\"format\": 1").unwrap();
    let error = house.storage.latest().await.unwrap_err();
    assert!(matches!(error, CheckpointError::Unreadable { .. }), "{error}");
}

#[tokio::test]
async fn a_manifest_cannot_name_files_outside() {
    let house = House::local();
    let writer = house.storage.claim_generation().await.unwrap();
    house.checkpoint(&writer, 1, FIRST, None).await;
    let mut point = house.storage.latest().await.unwrap().unwrap();
    point.manifest.subtasks[0].operators[0].keyed.as_mut().unwrap().files[0].name = "../escaped".to_owned();
    let error = house.restore(&point, "restored").await.unwrap_err();
    assert!(matches!(error, CheckpointError::Corrupt { .. }), "{error}");
    assert!(!house.path("escaped").exists());
}

#[tokio::test]
async fn a_savepoint_can_be_moved_and_outlives_its_job() {
    for house in houses("a_savepoint_can_be_moved_and_outlives_its_job") {
        let writer = house.storage.claim_generation().await.unwrap();
        let mut retention = Retention::open(&writer).await.unwrap();
        let (first, _) = house.checkpoint(&writer, 1, FIRST, None).await;
        let directory = house.path("savepoints");
        let path = writer.export_savepoint(&first, directory.to_str().unwrap(), "0010e3d02a00").await.unwrap();
        assert!(path.ends_with("savepoint-2fcad1-0010e3d02a00"), "{path}");
        let again = writer.export_savepoint(&first, directory.to_str().unwrap(), "0010e3d02a00").await;
        assert!(again.unwrap_err().to_string().contains("already"));

        retention.completed(&first);
        retention.subsume(&writer, &[1]).await.unwrap();
        let moved = house.path("elsewhere");
        fs::rename(&path, &moved).unwrap();
        for from in [moved.clone(), moved.join("_metadata")] {
            let point = RestorePoint::open(from.to_str().unwrap()).await.unwrap();
            assert_eq!(point.external_path(), moved.to_str().unwrap());
            assert_eq!(point.manifest.files_at, FilesAt::Beside);
            assert!(house.storage.base_of(&point).is_none(), "its files are the user's");
            let name = format!("restored-{}", from.ends_with("_metadata"));
            assert_eq!(house.restore(&point, &name).await.unwrap(), content(FIRST));
        }
        delete_savepoint(moved.to_str().unwrap()).await.unwrap();
        assert!(!moved.exists());
    }
}

#[tokio::test]
async fn a_savepoint_can_go_to_s3() {
    for (number, house) in houses("a_savepoint_can_go_to_s3").into_iter().enumerate() {
        let Ok(s3) = std::env::var("HURTIG_TEST_S3") else {
            return; // see `houses`
        };
        let writer = house.storage.claim_generation().await.unwrap();
        let large = vec![3; 9 << 20];
        let files: &[(&str, &[u8])] = &[("1.sst", &large), ("CURRENT", b"1")];
        let (first, _) = house.checkpoint(&writer, 1, files, None).await;
        let token = format!("{}-{number}", std::process::id());
        let path = writer.export_savepoint(&first, &s3, &token).await.unwrap();
        assert!(path.starts_with(&s3), "{path}");
        for from in [path.clone(), format!("{path}/_metadata")] {
            let point = RestorePoint::open(&from).await.unwrap();
            assert_eq!(point.external_path(), path);
            let name = format!("restored-{}", from.len());
            assert!(house.restore(&point, &name).await.unwrap() == content(files));
        }
        delete_savepoint(&path).await.unwrap();
        let gone = RestorePoint::open(&path).await.unwrap_err();
        assert!(matches!(gone, CheckpointError::NotFound { .. }), "{gone}");
    }
}

#[tokio::test]
async fn from_takes_manifests_and_job_folders_too() {
    let house = House::local();
    let writer = house.storage.claim_generation().await.unwrap();
    house.checkpoint(&writer, 1, FIRST, None).await;
    house.checkpoint(&writer, 2, FIRST, None).await;
    let first = house.job().join("manifests/00000000000000000001");
    for (from, id) in [(house.job(), 2), (first, 1)] {
        let point = RestorePoint::open(from.to_str().unwrap()).await.unwrap();
        assert_eq!(point.manifest.id, id);
        assert!(house.storage.base_of(&point).is_some());
        assert_eq!(house.restore(&point, &format!("restored-{id}")).await.unwrap(), content(FIRST));
    }
    let error = delete_savepoint(house.job().to_str().unwrap()).await.unwrap_err().to_string();
    assert!(error.contains("not a savepoint"), "{error}");
    for missing in ["nowhere", "nowhere/_metadata", "db"] {
        let missing = house.path(missing);
        let error = RestorePoint::open(missing.to_str().unwrap()).await.unwrap_err();
        assert!(matches!(error, CheckpointError::NotFound { .. }), "{error}");
        assert!(error.to_string().contains(missing.to_str().unwrap()), "{error}");
    }
}

#[tokio::test]
async fn a_place_that_cannot_be_written_is_one_clear_line() {
    let house = House::local();
    // A file where a directory should be: not even root may write there.
    let file = house.path("file");
    fs::write(&file, b"").unwrap();
    let below = file.join("checkpoints");
    let storage = CheckpointStorage::open(below.to_str().unwrap(), JOB).unwrap();
    assert!(storage.latest().await.unwrap().is_none());
    let error = storage.claim_generation().await.unwrap_err().to_string();
    assert!(error.contains(file.to_str().unwrap()) && error.contains("in the way"), "{error}");
    assert_eq!(error.lines().count(), 1);

    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let read_only = house.path("read-only");
        fs::create_dir(&read_only).unwrap();
        fs::set_permissions(&read_only, fs::Permissions::from_mode(0o555)).unwrap();
        if fs::write(read_only.join("probe"), b"").is_ok() {
            return; // root may write anywhere
        }
        let storage = CheckpointStorage::open(read_only.to_str().unwrap(), JOB).unwrap();
        let error = storage.claim_generation().await.unwrap_err().to_string();
        assert!(error.contains("choose a directory this user may write"), "{error}");
    }
}
