//! Snapshots: what they share, what they check, what they carry along, how they move.

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;

use common::{Cluster, kinds};
use hurtig_state::*;
use tempfile::TempDir;

fn open(kind: BackendKind, dir: &TempDir, name: &str, parts: Vec<RestoredState>) -> Result<KeyedStateBackend<String>> {
    KeyedStateBackend::open(BackendConfig::local(kind, "op-1", dir.path().join(name)), parts)
}

fn snapshot<K: Key>(backend: &mut KeyedStateBackend<K>, dir: &TempDir, name: &str) -> RestoredState {
    let dir = dir.path().join(name);
    let snapshot = backend.snapshot(&dir).expect("a snapshot");
    RestoredState { dir, snapshot }
}

/// A backend with one value of `i32` under "k".
fn with_a_value(kind: BackendKind, dir: &TempDir) -> RestoredState {
    let mut b = open(kind, dir, "first", vec![]).expect("opens");
    let value = b.value_state(ValueStateDescriptor::<i32>::new("last")).expect("registers");
    let list = b.list_state(ListStateDescriptor::<i32>::new("list")).expect("registers");
    b.set_current_key("k".to_owned());
    value.update(&mut b, 41).expect("updates");
    list.add_all(&mut b, [1, 2]).expect("adds");
    snapshot(&mut b, dir, "chk")
}

#[test]
fn an_incompatible_type_is_a_clear_error() {
    for kind in kinds() {
        let dir = tempfile::tempdir().expect("a directory");
        let part = with_a_value(kind, &dir);
        let reopen = |n: u32| open(kind, &dir, &format!("second-{n}"), vec![part.clone()]).expect("opens");
        let error = reopen(1).value_state(ValueStateDescriptor::<i64>::new("last")).expect_err("another type");
        assert_eq!(
            error.to_string(),
            "operator `op-1`: state `last` cannot be restored: the snapshot holds value state of `i32` by key \
             `alloc::string::String`, version 0, the job declares value state of `i64` by key \
             `alloc::string::String`, version 0; raise the descriptor's version and give it .migrate_from(0, …)"
        );
        let error = reopen(2)
            .value_state(ValueStateDescriptor::<i64>::new("last").version(1))
            .expect_err("no migration")
            .to_string();
        assert!(error.contains("`op-1`") && error.contains("`last`"), "{error}");
        assert!(error.ends_with("give the descriptor .migrate_from(0, …)"), "{error}");
        let error =
            reopen(3).list_state(ListStateDescriptor::<i32>::new("last")).expect_err("another kind").to_string();
        assert!(error.contains("a state keeps its kind"), "{error}");
        let config = BackendConfig::local(kind, "op-1", dir.path().join("second-4"));
        let mut b = KeyedStateBackend::<i64>::open(config, vec![part.clone()]).expect("opens");
        let error = b.value_state(ValueStateDescriptor::<i32>::new("last")).expect_err("another key").to_string();
        assert!(error.contains("the key's type decides where a record goes"), "{error}");
    }
}

#[test]
fn a_migration_and_a_new_time_to_live_rewrite_the_state() {
    for kind in kinds() {
        let dir = tempfile::tempdir().expect("a directory");
        let part = with_a_value(kind, &dir);
        let clock = Arc::new(ManualClock::new(1000));
        let mut config = BackendConfig::local(kind, "op-1", dir.path().join("second"));
        config.clock = clock.clone();
        let mut b = KeyedStateBackend::<String>::open(config, vec![part]).expect("opens");
        let value = ValueStateDescriptor::<i64>::new("last")
            .version(2)
            .migrate_from(0, |bytes| decode::<i32>(bytes).map(|v| i64::from(v) + 1))
            .ttl(StateTtlConfig::new(50));
        let value = b.value_state(value).expect("migrates");
        let list = ListStateDescriptor::<String>::new("list")
            .version(1)
            .migrate_from(0, |bytes| decode::<i32>(bytes).map(|v| v.to_string()));
        let list = b.list_state(list).expect("migrates");
        b.set_current_key("k".to_owned());
        assert_eq!(value.value(&mut b).expect("reads"), Some(&42));
        assert_eq!(list.get(&mut b).expect("reads"), ["1", "2"]);
        let part = snapshot(&mut b, &dir, "chk-2");
        clock.advance(50);
        assert_eq!(value.value(&mut b).expect("reads"), None, "it lives since it was migrated");
        // And back to no time to live.
        let mut b = open(kind, &dir, "third", vec![part]).expect("opens");
        let value = b.value_state(ValueStateDescriptor::<i64>::new("last").version(2)).expect("registers");
        b.set_current_key("k".to_owned());
        assert_eq!(value.value(&mut b).expect("reads"), Some(&42));
    }
}

#[test]
fn a_failing_migration_says_why() {
    for kind in kinds() {
        let dir = tempfile::tempdir().expect("a directory");
        let part = with_a_value(kind, &dir);
        let mut b = open(kind, &dir, "second", vec![part]).expect("opens");
        let value = ValueStateDescriptor::<i64>::new("last").version(1).migrate_from(0, |_| Err("no way".to_owned()));
        let error = b.value_state(value).expect_err("fails").to_string();
        assert_eq!(error, "operator `op-1`: state `last`: migrating a value from version 0 failed: no way");
    }
}

#[test]
fn max_parallelism_and_gaps_are_checked() {
    for kind in kinds() {
        let dir = tempfile::tempdir().expect("a directory");
        let part = with_a_value(kind, &dir);
        let mut config = BackendConfig::local(kind, "op-1", dir.path().join("second"));
        config.max_parallelism = 256;
        config.key_groups = KeyGroupRange::of(256, 1, 0);
        let error = KeyedStateBackend::<String>::open(config, vec![part.clone()]).expect_err("another max");
        assert!(error.to_string().contains("max parallelism 128, the job is configured with 256"), "{error}");
        let mut half = part;
        half.snapshot.key_groups = KeyGroupRange { start: 0, end: 63 };
        let error = open(kind, &dir, "third", vec![half]).expect_err("a gap");
        assert!(error.to_string().contains("do not cover key groups from 64"), "{error}");
    }
}

#[test]
fn states_that_nobody_asks_for_are_carried_along() {
    for first in kinds() {
        for second in kinds() {
            let dir = tempfile::tempdir().expect("a directory");
            let part = with_a_value(first, &dir);
            let mut b = open(second, &dir, "second", vec![part]).expect("opens");
            let list = b.list_state(ListStateDescriptor::<i32>::new("list")).expect("registers");
            assert_eq!(b.unclaimed_states(), ["last"]);
            b.set_current_key("k".to_owned());
            list.add(&mut b, 3).expect("adds");
            let part = snapshot(&mut b, &dir, "chk-2");
            let mut b = open(first, &dir, "third", vec![part]).expect("opens");
            let value = b.value_state(ValueStateDescriptor::<i32>::new("last")).expect("registers");
            let list = b.list_state(ListStateDescriptor::<i32>::new("list")).expect("registers");
            assert!(b.unclaimed_states().is_empty());
            b.set_current_key("k".to_owned());
            assert_eq!(value.value(&mut b).expect("reads"), Some(&41));
            assert_eq!(list.get(&mut b).expect("reads"), [1, 2, 3]);
        }
    }
}

#[cfg(feature = "rocksdb")]
#[test]
fn a_second_snapshot_shares_the_immutable_files_of_the_first() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut b = open(BackendKind::RocksDb, &dir, "first", vec![]).expect("opens");
    let value = b.value_state(ValueStateDescriptor::<u64>::new("last")).expect("registers");
    for i in 0..10_000 {
        b.set_current_key(format!("{i}"));
        value.update(&mut b, i).expect("updates");
    }
    let first = snapshot(&mut b, &dir, "chk-1");
    b.set_current_key("new".to_owned());
    value.update(&mut b, 1).expect("updates");
    let second = snapshot(&mut b, &dir, "chk-2");
    let third = snapshot(&mut b, &dir, "chk-3");
    assert_eq!(first.snapshot.database, second.snapshot.database);
    let immutable = |part: &RestoredState| -> BTreeMap<String, u64> {
        let files = part.snapshot.files.iter().filter(|file| file.immutable);
        files.map(|file| (file.name.clone(), file.len)).collect()
    };
    let (one, two) = (immutable(&first), immutable(&second));
    assert!(!one.is_empty() && two.len() == one.len() + 1);
    assert!(one.iter().all(|(name, len)| two.get(name) == Some(len)));
    assert_eq!(two, immutable(&third), "nothing new, no new file");
    // Another database has another name, also if it was restored from this one.
    let mut restored = open(BackendKind::RocksDb, &dir, "second", vec![second]).expect("opens");
    let again = snapshot(&mut restored, &dir, "chk-4");
    assert_ne!(again.snapshot.database, first.snapshot.database);
}

#[cfg(feature = "rocksdb")]
#[test]
fn a_restore_does_not_change_the_snapshot_it_is_made_from() {
    let mut c = Cluster::new(BackendKind::RocksDb, 2, 128, 1 << 20).expect("opens");
    for i in 0..2_000 {
        let (b, s) = c.at(&format!("key-{i}"));
        s.value.update(b, "before".to_owned()).expect("updates");
        s.map.put(b, "x".to_owned(), i).expect("puts");
    }
    let parts = c.snapshot().expect("a snapshot");
    let bytes = || -> BTreeMap<_, _> {
        let files = parts
            .iter()
            .flat_map(|part| part.snapshot.files.iter().map(|file| part.dir.join(&file.name)).collect::<Vec<_>>());
        files.map(|path| (path.clone(), std::fs::read(path).expect("still there"))).collect()
    };
    let before = bytes();
    for parallelism in [2, 1, 3] {
        for index in 0..parallelism {
            let mut config = c.config(parallelism, index);
            config.dir = c.dir(&format!("again-{parallelism}-{index}"));
            let mut b = KeyedStateBackend::<String>::open(config, parts.clone()).expect("opens");
            let s = common::States::register(&mut b).expect("registers");
            for i in 0..2_000 {
                let key = format!("key-{i}");
                if !b.key_groups().contains(key_group(key.java_hash(), 128)) {
                    continue;
                }
                b.set_current_key(key);
                assert_eq!(s.value.value(&mut b).expect("reads").map(String::as_str), Some("before"));
                s.value.update(&mut b, "after".to_owned()).expect("updates");
            }
            b.evict().expect("evicts");
            b.compact().expect("compacts");
        }
    }
    let after = bytes();
    assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
    assert!(before.iter().all(|(path, bytes)| after.get(path) == Some(bytes)), "a file was changed");
    let left: usize = parts.iter().map(|part| std::fs::read_dir(&part.dir).expect("a directory").count()).sum();
    assert_eq!(left, before.len(), "a file was added");
}

#[cfg(feature = "rocksdb")]
#[test]
fn compaction_drops_what_is_expired_or_purged() {
    let mut c = Cluster::new(BackendKind::RocksDb, 1, 128, 4 << 20).expect("opens");
    for i in 0..20_000 {
        let (b, s) = c.at(&format!("key-{i}"));
        s.value_ttl.update(b, i).expect("updates");
        s.list_ttl.add(b, i).expect("adds");
        let key = format!("key-{i}");
        *s.panes.entry(b, i % 4 * 60, &key, || 0).expect("an entry") += 1;
        b.register_event_time_timer(i % 100).expect("registers");
    }
    c.each(KeyedStateBackend::evict).expect("evicts");
    let full = c.backends[0].0.stats().sst_bytes;
    assert!(full > 200_000, "{full}");
    assert_eq!(c.pop(true, 98).expect("pops").len(), 19_800);
    for window in [0, 60, 120] {
        assert_eq!(c.fire(window, 1000).expect("fires").len(), 5_000);
        let (b, s) = c.at("any");
        s.panes.purge(b, window).expect("purges");
    }
    c.clock.advance(common::TTL);
    c.each(KeyedStateBackend::flush).expect("flushes");
    c.each(KeyedStateBackend::compact).expect("compacts");
    let left = c.backends[0].0.stats();
    assert!(left.sst_bytes < full / 5, "{} of {full} bytes left", left.sst_bytes);
    assert!(left.compactions > 0);
    assert_eq!(c.fire(180, 1000).expect("fires").len(), 5_000);
    assert_eq!(c.pop(true, 200).expect("pops").len(), 200);
}

#[test]
fn pane_horizons_survive_a_rescale() {
    for kind in kinds() {
        let mut c = Cluster::new(kind, 2, 128, 1 << 20).expect("opens");
        for i in 0..1_000_i64 {
            let key = format!("key-{i}");
            let (b, s) = c.at(&key);
            *s.panes.entry(b, i % 5 * 60, &key, || 0).expect("an entry") += i;
        }
        c.each(KeyedStateBackend::evict).expect("evicts");
        // The first backend is ahead: what it has purged must not come back when they are merged.
        let (b, s) = &mut c.backends[0];
        for window in [0, 60, 120] {
            s.panes.purge(b, window).expect("purges");
        }
        let expected: Vec<_> = (0..5).map(|w| c.fire(w * 60, 100).expect("fires")).collect();
        assert!(!expected[0].is_empty() && expected[0].len() < 200);
        for parallelism in [1, 3, 1] {
            c.restart(kind, parallelism).expect("restarts");
            c.each(KeyedStateBackend::compact).expect("compacts");
            for (w, expected) in expected.iter().enumerate() {
                assert_eq!(c.fire(w as i64 * 60, 100).expect("fires"), *expected, "window {w} at {parallelism}");
            }
        }
    }
}
