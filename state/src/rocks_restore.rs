//! Opening a RocksDB backend from parts of snapshots.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use rocksdb::{ColumnFamilyDescriptor, Options};

use crate::encoding::{append_key_group, key_group_bound, key_group_width, ordered_time};
use crate::error::IoContext;
use crate::heap_file::{Entries, RawTables, read_sections};
use crate::restore::{GarbageOf, Part, Restored};
use crate::rocks::{Db, RocksStore, failed};
use crate::run::Op;
use crate::store::TableId;
use crate::{BackendConfig, BackendKind, Error, KeyGroupRange, Result, StateSnapshot};

/// Imported files are about this long.
const FILE_BYTES: u64 = 64 << 20;

/// Opens the backend's database with what the parts hold.
pub(crate) fn open(
    config: &BackendConfig,
    parts: &[Part],
    restored: &Restored,
    now: &Arc<AtomicI64>,
) -> Result<RocksStore> {
    let width = key_group_width(config.max_parallelism);
    let path = config.dir.join("db");
    remove(&path)?;
    std::fs::create_dir_all(&config.dir).context("create", &config.dir)?;
    let base = parts
        .iter()
        .enumerate()
        .filter(|(_, part)| part.state.snapshot.kind == BackendKind::RocksDb)
        .max_by_key(|(nth, part)| (part.overlap.len(), std::cmp::Reverse(*nth)));
    if let Some((_, base)) = base {
        link_files(&base.state.snapshot, &base.state.dir, &path)?;
    }
    let mut store = RocksStore::open(config, now, width)?;
    if let Some((_, base)) = base {
        delete_foreign(&mut store, base.state.snapshot.key_groups, config.key_groups, width)?;
        delete_below(&mut store, base, restored, config.key_groups)?;
    }
    let base = base.map(|(nth, _)| nth);
    for (nth, part) in parts.iter().enumerate() {
        if Some(nth) == base {
            continue;
        }
        match part.state.snapshot.kind {
            BackendKind::Heap => import_heap(&mut store, part)?,
            BackendKind::RocksDb => import_rocks(config, &mut store, part)?,
        }
    }
    Ok(store)
}

/// Visits every entry of a RocksDB part that is ours and no garbage, a table after the other.
pub(crate) fn export(
    config: &BackendConfig,
    part: &Part,
    mut visit: impl FnMut(&str, &[u8], &[u8]) -> Result<()>,
) -> Result<()> {
    let path = config.dir.join("import");
    remove(&path)?;
    std::fs::create_dir_all(&config.dir).context("create", &config.dir)?;
    link_files(&part.state.snapshot, &part.state.dir, &path)?;
    {
        let mut options = Options::default();
        options.set_log_level(rocksdb::LogLevel::Fatal);
        let names = Db::list_cf(&options, &path).map_err(|e| failed(&config.uid, &path, "list its tables", e))?;
        let families = names.iter().map(|name| {
            let mut options = Options::default();
            options.set_merge_operator_associative("append", crate::rocks::append);
            ColumnFamilyDescriptor::new(name, options)
        });
        let db = Db::open_cf_descriptors_read_only(&options, &path, families, false)
            .map_err(|e| failed(&config.uid, &path, "open", e))?;
        let width = key_group_width(config.max_parallelism);
        let garbage = GarbageOf::new(&part.state.snapshot);
        for name in names.iter().filter(|name| *name != rocksdb::DEFAULT_COLUMN_FAMILY_NAME) {
            let Some(family) = db.cf_handle(name) else {
                continue;
            };
            let is_garbage = garbage.test(name);
            let mut read = rocksdb::ReadOptions::default();
            read.fill_cache(false);
            read.set_iterate_upper_bound(key_group_bound(u32::from(part.overlap.end) + 1, width));
            let mut iterator = db.raw_iterator_cf_opt(&family, read);
            iterator.seek(key_group_bound(u32::from(part.overlap.start), width));
            while let Some((key, value)) = iterator.item() {
                if !is_garbage(key) {
                    visit(name, key, value)?;
                }
                iterator.next();
            }
            iterator.status().map_err(|e| failed(&config.uid, &path, "scan", e))?;
        }
    }
    remove(&path)
}

/// Makes the snapshot's files appear in `to`: what never changes as a hard link (a copy on
/// another file system), the rest, to which RocksDB appends, as a copy.
fn link_files(snapshot: &StateSnapshot, from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to).context("create", to)?;
    for file in &snapshot.files {
        let (source, target) = (from.join(&file.name), to.join(&file.name));
        let found = std::fs::metadata(&source).context("look at", &source)?;
        if found.len() != file.len {
            return Err(Error::CorruptSnapshot {
                path: source,
                reason: format!("it has {} bytes instead of {}", found.len(), file.len),
            });
        }
        if !file.immutable || std::fs::hard_link(&source, &target).is_err() {
            std::fs::copy(&source, &target).context("copy", &source)?;
        }
    }
    Ok(())
}

fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).context("remove", path),
        _ => Ok(()),
    }
}

/// Deletes the key groups that the database has and the backend does not own.
fn delete_foreign(store: &mut RocksStore, has: KeyGroupRange, wanted: KeyGroupRange, width: usize) -> Result<()> {
    let bound = |group: u32| key_group_bound(group, width);
    let mut ranges = Vec::new();
    if has.start < wanted.start {
        ranges.push((bound(u32::from(has.start)), bound(u32::from(wanted.start))));
    }
    if has.end > wanted.end {
        ranges.push((bound(u32::from(wanted.end) + 1), bound(u32::from(has.end) + 1)));
    }
    if ranges.is_empty() {
        return Ok(());
    }
    for at in 0..store.tables.len() {
        let family = store.family(TableId(at));
        for (from, to) in &ranges {
            // Whole files first: that is free. The end is inclusive there, so stay before it.
            store.db.delete_file_in_range_cf(&family, from, to).map_err(|e| store.failed("delete files", e))?;
        }
        drop(family);
        store.delete_ranges(TableId(at), &ranges)?;
    }
    Ok(())
}

/// The parts may have different horizons. What is garbage in the base, but lies above the common
/// horizon, must really go.
fn delete_below(store: &mut RocksStore, base: &Part, restored: &Restored, groups: KeyGroupRange) -> Result<()> {
    let garbage = GarbageOf::new(&base.state.snapshot);
    let width = key_group_width(base.state.snapshot.max_parallelism);
    for at in 0..store.tables.len() {
        let name = store.tables[at].name.clone();
        let Some(horizon) = garbage.horizon(&name) else {
            continue;
        };
        let common = common_horizon(restored, &name).unwrap_or(i64::MIN);
        if horizon > common {
            let bound = |group: u16, time: i64| {
                let mut key = Vec::new();
                append_key_group(group, width, &mut key);
                key.extend_from_slice(&ordered_time(time));
                key
            };
            let ranges: Vec<_> = groups.iter().map(|group| (bound(group, common), bound(group, horizon))).collect();
            store.delete_ranges(TableId(at), &ranges)?;
        }
        if common != i64::MIN {
            store.set_horizon(TableId(at), common);
        }
    }
    Ok(())
}

fn common_horizon(restored: &Restored, table: &str) -> Option<i64> {
    if let Some(domain) = crate::backend::TIMER_TABLES.iter().position(|name| *name == table) {
        return restored.timers.get(domain)?.horizon;
    }
    let name = table.strip_prefix("state/")?;
    restored.states.iter().find(|meta| meta.name == name)?.panes.as_ref()?.horizon
}

fn import_heap(store: &mut RocksStore, part: &Part) -> Result<()> {
    let mut tables = RawTables::new();
    read_sections(&part.state.dir, &part.state.snapshot, part.overlap, &mut tables)?;
    let mut importer = Importer::default();
    for (name, raw) in &tables {
        for entry in Entries(raw) {
            let (key, value) = entry.ok_or_else(|| Error::CorruptSnapshot {
                path: part.state.dir.clone(),
                reason: format!("an entry of {name} is cut short"),
            })?;
            importer.add(store, name, key, value)?;
        }
    }
    importer.finish(store)
}

fn import_rocks(config: &BackendConfig, store: &mut RocksStore, part: &Part) -> Result<()> {
    let mut importer = Importer::default();
    export(config, part, |table, key, value| importer.add(store, table, key, value))?;
    importer.finish(store)
}

/// Collects sorted entries of one table after the other into files and hands them over.
#[derive(Default)]
struct Importer {
    table: Option<TableId>,
    name: String,
    run: crate::run::Run,
    files: u64,
}

impl Importer {
    fn add(&mut self, store: &mut RocksStore, table: &str, key: &[u8], value: &[u8]) -> Result<()> {
        if self.table.is_none() || self.name != table {
            self.finish(store)?;
            self.table = Some(store.open_table(table)?);
            table.clone_into(&mut self.name);
        }
        self.run.add(Op::Put, key, value);
        if self.run.bytes() as u64 > FILE_BYTES { self.finish(store) } else { Ok(()) }
    }

    fn finish(&mut self, store: &mut RocksStore) -> Result<()> {
        if let Some(table) = self.table
            && !self.run.is_empty()
        {
            self.files += 1;
            let path: PathBuf = store.dir.join(format!("import-{:06}.sst", self.files));
            store.write_file(table, &path, &self.run).map_err(|e| store.failed("write a file", e))?;
            store.ingest(table, vec![path])?;
        }
        self.run.clear();
        Ok(())
    }
}
