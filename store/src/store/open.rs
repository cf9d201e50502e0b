//! Opening a store: the manifest, the files, and what the log has beyond them.

use std::{
    fs::{File, OpenOptions},
    sync::Arc,
};

use futures::{StreamExt, TryStreamExt};
use hashbrown::{HashMap, HashSet};
use object_store::path::Path;
use parking_lot::{Mutex, RwLock};
use roaring::RoaringBitmap;

use super::{Inner, Store, StoreOptions, identity};
use crate::{
    error::{At, Error, Result},
    frame::Frame,
    magnetic::{
        file::{ByRows, MagneticFile, RowGroups},
        storage::Storage,
    },
    manifest::{FileEntry, Manifest, SeriesFile, TableMeta},
    table::Table,
    wal::Wal,
};

/// Footers that are read at a time.
const AT_A_TIME: usize = 16;

/// A store that is only read is looked at again when its writer has changed it meanwhile, so often.
const LOOKS: usize = 10;

impl Store {
    /// Opens the store in a directory, or makes it.
    ///
    /// # Errors
    /// A directory that another process has open, or that cannot be written; damage.
    pub async fn open(options: StoreOptions) -> Result<Self> {
        let dir = options.dir.clone();
        std::fs::create_dir_all(&dir).at(&dir)?;
        let lock_path = dir.join("lock");
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&lock_path).at(&lock_path)?;
        match lock.try_lock() {
            Ok(()) => (),
            Err(std::fs::TryLockError::WouldBlock) => return Err(Error::InUse { path: dir.display().to_string() }),
            Err(std::fs::TryLockError::Error(e)) => return Err(e).at(&lock_path),
        }
        let manifest = Manifest::load(&dir)?;
        if let Some(place) = &options.magnetic {
            identity::claim(&dir, place, &manifest, options.clock.as_ref()).await?;
        }
        let store = load(options, manifest, Some(lock)).await?;
        let manifest = store.with_manifest(Clone::clone);
        let storage = &store.inner.storage;
        if manifest == Manifest::default() && has_files(storage).await? {
            return Err(Error::Foreign { dir: dir.display().to_string() });
        }
        remove_orphans(storage, &manifest).await?;
        storage.remove_staged(super::flush::is_file_name)?;
        Ok(store)
    }

    /// Opens what there is in a directory at this moment, for reading, beside the process that writes it. What comes later is
    /// not seen; files that the writer merges or drops meanwhile may be missed by a query, which then is to be asked again of
    /// a store that was opened anew.
    ///
    /// # Errors
    /// A directory that is not there, or that changes faster than it can be read; damage.
    pub async fn open_read_only(options: StoreOptions) -> Result<Self> {
        let mut manifest = Manifest::load(&options.dir)?;
        for _ in 0..LOOKS {
            let loaded = load(options.clone(), manifest.clone(), None).await;
            let now = Manifest::load(&options.dir)?;
            // With another manifest the log may have been cut, and files may be gone: whatever was read says nothing.
            if now == manifest {
                return loaded;
            }
            manifest = now;
        }
        Err(Error::Changing { dir: options.dir.display().to_string() })
    }
}

/// Reads files and log. Without a lock it changes nothing of them.
async fn load(options: StoreOptions, manifest: Manifest, lock: Option<File>) -> Result<Store> {
    let StoreOptions { dir, magnetic, clock, memory_bytes, file_rows, lookup_rows } = options;
    let here = dir.join("magnetic");
    let storage = match (magnetic, &lock) {
        (Some(storage), _) => storage,
        (None, Some(_)) => Storage::directory(here)?,
        (None, None) if here.is_dir() => Storage::existing(here)?,
        // Whoever reads makes no directory. Its files may be elsewhere; or there is none yet.
        (None, None) => match manifest.tables.values().flat_map(|table| &table.files).next() {
            Some(file) => {
                return Err(Error::Missing { name: file.meta.name.clone(), place: here.display().to_string() });
            }
            None => Storage::objects(Arc::new(object_store::memory::InMemory::new()), Path::default()),
        },
    };
    let row_groups = Arc::new(RowGroups::with_weighter(64, lookup_rows, ByRows));
    let (mut tables, mut saved_series) = (HashMap::new(), HashMap::new());
    for ((database, name), meta) in &manifest.tables {
        let table = Table::new(meta.id, database, name, meta.retention);
        for series in SeriesFile::new(&dir, meta.id).load(meta.series_bytes)? {
            table.registry().write().add(series);
        }
        saved_series.insert(meta.id, table.registry().read().len());
        *table.columns().write() = meta.columns.iter().cloned().collect();
        let files = open_files(&storage, &meta.files, &row_groups).await?;
        table.swap_files(&[], files);
        tables.insert((database.clone(), name.clone()), Arc::new(table));
    }
    let by_id: HashMap<_, _> = tables.values().map(|table: &Arc<Table>| (table.id(), table.clone())).collect();
    let replay = |bytes: &[u8]| {
        let frame = Frame::decode(bytes)?;
        let (Frame::Series(id, _) | Frame::Column(id, _) | Frame::Rows(id, _)) = &frame;
        // A table may have been deleted since.
        if let Some(table) = by_id.get(id) {
            table.replay(frame);
        }
        Ok(())
    };
    let log = dir.join("log");
    let wal = match lock {
        Some(_) => Wal::open(&log, manifest.log_from, replay)?,
        None => Wal::open_read_only(&log, manifest.log_from, replay)?,
    };
    for table in tables.values() {
        table.delete_replaced().await?;
    }
    let inner = Inner {
        dir,
        clock,
        memory_bytes,
        file_rows,
        storage,
        wal,
        writing: tokio::sync::RwLock::new(()),
        manifest: Mutex::new(manifest),
        tables: RwLock::new(tables),
        flush: tokio::sync::Mutex::new(None),
        retired: Mutex::default(),
        saved_series: Mutex::new(saved_series),
        row_groups,
        lock,
    };
    Ok(Store { inner: Arc::new(inner) })
}

async fn open_files(
    storage: &Storage,
    entries: &[FileEntry],
    row_groups: &Arc<RowGroups>,
) -> Result<Vec<Arc<MagneticFile>>> {
    let open = |entry: &FileEntry| {
        let (storage, row_groups, meta) = (storage.clone(), row_groups.clone(), entry.meta.clone());
        let deleted = RoaringBitmap::deserialize_from(&entry.deleted[..]);
        async move {
            let damaged = |e: std::io::Error| Error::Damaged { path: "manifest".into(), what: e.to_string() };
            Ok(Arc::new(MagneticFile::open(storage, meta, deleted.map_err(damaged)?, row_groups).await?))
        }
    };
    futures::stream::iter(entries.iter().map(open).collect::<Vec<_>>()).buffered(AT_A_TIME).try_collect().await
}

pub(super) async fn has_files(storage: &Storage) -> Result<bool> {
    Ok(storage.list("").await?.iter().any(|name| super::flush::is_file_name(name)))
}

/// Removes the files that a flush or a merge had written when it ended, and that no manifest has come to know.
async fn remove_orphans(storage: &Storage, manifest: &Manifest) -> Result<()> {
    let files = |table: &TableMeta| table.files.iter().map(|f| f.meta.name.clone()).collect::<Vec<_>>();
    let known: HashSet<String> = manifest.tables.values().flat_map(files).collect();
    for name in storage.list("").await? {
        if super::flush::is_file_name(&name) && !known.contains(&name) {
            tracing::info!(file = name, "a file that was not finished when the store was closed is removed");
            storage.delete(&name).await?;
        }
    }
    Ok(())
}
