//! The store: databases and tables, taking records durably, and what goes on in the background.

mod catalog;
mod flush;
mod identity;
mod merge;
mod open;

use std::{fs::File, path::PathBuf, sync::Arc};

use hashbrown::HashMap;
use hurtig_state::Clock;
use parking_lot::{Mutex, RwLock};

pub use self::catalog::NewTable;
use crate::{
    error::{Error, Result},
    frame::TableId,
    magnetic::{file::RowGroups, storage::Storage},
    manifest::Manifest,
    record::{Outcome, Record},
    table::Table,
    wal::{Position, Wal},
};

/// How a store is opened.
#[derive(Clone)]
pub struct StoreOptions {
    /// Where the log, the manifest and, unless told otherwise, the files are.
    pub dir: PathBuf,
    /// Where the magnetic store's files are; below `dir` when there is none.
    pub magnetic: Option<Storage>,
    /// "Now".
    pub clock: Arc<dyn Clock>,
    /// About how many bytes of points stay in memory before they are written into files.
    pub memory_bytes: usize,
    /// Rows of a file at most, and of files that are merged into one.
    pub file_rows: u32,
    /// Rows of files that are kept decoded for lookups of late points.
    pub lookup_rows: u64,
}

impl std::fmt::Debug for StoreOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreOptions").field("dir", &self.dir).field("magnetic", &self.magnetic).finish_non_exhaustive()
    }
}

impl StoreOptions {
    /// A store in this directory.
    pub fn new(dir: impl Into<PathBuf>, clock: Arc<dyn Clock>) -> Self {
        StoreOptions {
            dir: dir.into(),
            magnetic: None,
            clock,
            memory_bytes: 256 << 20,
            file_rows: 2_000_000,
            lookup_rows: 2_000_000,
        }
    }
}

/// A store, open. It is cheap to clone; the last one that is dropped closes it.
#[derive(Debug, Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    dir: PathBuf,
    clock: Arc<dyn Clock>,
    memory_bytes: usize,
    file_rows: u32,
    storage: Storage,
    wal: Wal,
    /// Held shared while records are taken, and alone while files take the place of memory.
    writing: tokio::sync::RwLock<()>,
    manifest: Mutex<Manifest>,
    tables: RwLock<HashMap<(String, String), Arc<Table>>>,
    /// A flush that was begun: what it has sealed stays so until it succeeds.
    flush: tokio::sync::Mutex<Option<flush::Cut>>,
    /// Files that count no more and may still be read by a query.
    retired: Mutex<Vec<merge::Retired>>,
    /// How many series of each table the manifest knows.
    saved_series: Mutex<HashMap<TableId, usize>>,
    row_groups: Arc<RowGroups>,
    /// Locked: one process writes. None in a store that is only read.
    lock: Option<File>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("dir", &self.dir).finish_non_exhaustive()
    }
}

/// Records that were taken: durable when [`Store::durable`] says so of their place in the log.
#[derive(Debug, Clone)]
pub struct Taken {
    /// What became of each.
    pub outcome: Outcome,
    /// The place in the log.
    pub position: Position,
}

impl Store {
    /// Takes records into a table. When it returns, what was taken would survive a power loss.
    ///
    /// A record that is rejected does not keep the others from being taken.
    ///
    /// # Errors
    /// A table that is not there; a log that cannot be written.
    pub async fn write(&self, database: &str, table: &str, records: &[Record]) -> Result<Outcome> {
        let taken = self.take(database, table, records).await?;
        self.durable(taken.position).await?;
        Ok(taken.outcome)
    }

    /// As [`Store::write`], without waiting for the disk.
    ///
    /// # Errors
    /// As [`Store::write`].
    pub async fn take(&self, database: &str, table: &str, records: &[Record]) -> Result<Taken> {
        let inner = &*self.inner;
        self.writable()?;
        let table = self.table(database, table)?;
        // Far beyond what memory is to hold, a writer waits for the files.
        if self.memory_in_use() > 2 * inner.memory_bytes {
            self.flush().await?;
        }
        inner.wal.room().await?;
        let _taking = inner.writing.read().await;
        let now = inner.clock.now_ms().saturating_mul(1_000_000);
        let (outcome, position) = table.apply(&inner.wal, records, now).await?;
        Ok(Taken { outcome, position })
    }

    /// Waits until everything before this place in the log would survive a power loss.
    ///
    /// # Errors
    /// A log that cannot be written.
    pub async fn durable(&self, position: Position) -> Result<()> {
        self.inner.wal.durable(position).await
    }

    /// Whether everything before this place in the log would survive a power loss.
    pub fn is_durable(&self, position: Position) -> bool {
        self.inner.wal.is_durable(position)
    }

    /// A table.
    ///
    /// # Errors
    /// [`Error::NotFound`]
    pub fn table(&self, database: &str, table: &str) -> Result<Arc<Table>> {
        let tables = self.inner.tables.read();
        // The map's key is a pair of owned texts: there is no borrowed form of it.
        if let Some(found) = tables.get(&(database.to_owned(), table.to_owned())) {
            return Ok(found.clone());
        }
        drop(tables);
        match self.inner.manifest.lock().databases.contains_key(database) {
            true => Err(Error::NotFound(format!("The table {table} does not exist."))),
            false => Err(Error::NotFound(format!("The database {database} does not exist."))),
        }
    }

    /// Nothing is written beside the process that has the store's lock.
    pub(crate) fn writable(&self) -> Result<()> {
        self.inner.lock.as_ref().map(drop).ok_or(Error::ReadOnly)
    }

    /// Held while a query looks at what there is: nothing goes from memory into files.
    pub(crate) async fn reading(&self) -> tokio::sync::RwLockReadGuard<'_, ()> {
        self.inner.writing.read().await
    }

    /// "Now", in milliseconds since 1970.
    pub fn now_ms(&self) -> i64 {
        self.inner.clock.now_ms()
    }

    /// The clock.
    pub fn clock(&self) -> Arc<dyn Clock> {
        self.inner.clock.clone()
    }

    /// About how many bytes of memory the points take that are not in files yet.
    pub fn memory_in_use(&self) -> usize {
        self.inner.tables.read().values().map(|table| table.bytes()).sum()
    }

    /// What has to be done from time to time: memory is written into files when it is full, files whose time is over are
    /// dropped, small ones are merged.
    ///
    /// # Errors
    /// A file that cannot be written; what was to be done is tried again the next time.
    pub async fn maintain(&self) -> Result<()> {
        self.writable()?;
        if self.memory_in_use() > self.inner.memory_bytes {
            self.flush().await?;
        }
        self.drop_expired().await?;
        self.merge().await?;
        self.sweep().await
    }

    /// Maintains the store every `interval` as long as it is open.
    pub fn spawn_maintenance(&self, interval: std::time::Duration) -> tokio::task::JoinHandle<()> {
        let weak = Arc::downgrade(&self.inner);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(interval).await;
                let Some(inner) = weak.upgrade() else { return };
                if let Err(e) = (Store { inner }).maintain().await {
                    tracing::warn!("the store's maintenance failed and is tried again: {e}");
                }
            }
        })
    }
}
