//! A store's directory, opened once in this process.

use std::{
    future::Future,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use hurtig_engine::time::{Clock, SystemClock};
use hurtig_store::{Error, NewTable, Queries, Result, Retention, Store, StoreOptions};
use hurtig_timestream_sql::EngineOptions;
use tokio::runtime::{Builder, Handle, Runtime};

/// Where a store is and what has to be in it. It is cheap to clone: all clones are the same store, which the last of them
/// closes.
#[derive(Clone)]
pub struct EmbeddedStore {
    dir: PathBuf,
    tables: Vec<TableSpec>,
    memory_bytes: usize,
    clock: Arc<dyn Clock>,
    opened: Arc<Mutex<Option<Arc<Opened>>>>,
}

impl std::fmt::Debug for EmbeddedStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmbeddedStore").field("dir", &self.dir).field("tables", &self.tables).finish_non_exhaustive()
    }
}

/// A table that is made with its database if it is not there, and gets this retention if it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableSpec {
    database: String,
    table: String,
    retention: Retention,
}

impl TableSpec {
    /// A table with six hours in memory, 200 years in files, and writes of what is older than the memory keeps.
    pub fn new(database: impl Into<String>, table: impl Into<String>) -> Self {
        let retention = Retention { memory_hours: 6, magnetic_days: 73_000, magnetic_writes: true };
        TableSpec { database: database.into(), table: table.into(), retention }
    }

    /// How long it keeps what.
    #[must_use]
    pub fn retention(mut self, retention: Retention) -> Self {
        self.retention = retention;
        self
    }
}

/// Its threads are its own: neither REST nor the job's network waits for a query.
#[derive(Debug)]
struct Opened {
    store: Store,
    queries: Queries,
    handle: Handle,
    /// Taken when it is dropped.
    runtime: Option<Runtime>,
}

/// How often is looked at what has aged.
const MAINTENANCE: Duration = Duration::from_secs(10);
/// The process that had the store may be just about to end: it is waited for in so many steps of so long.
const IN_USE: (u32, Duration) = (100, Duration::from_millis(50));
/// Memory of one query.
const QUERY_MEMORY: usize = 256 << 20;

impl EmbeddedStore {
    /// The store in this directory. Nothing is opened yet.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        EmbeddedStore {
            dir: dir.into(),
            tables: Vec::new(),
            memory_bytes: 256 << 20,
            clock: Arc::new(SystemClock),
            opened: Arc::default(),
        }
    }

    /// A table that has to be there. Before it is opened.
    #[must_use]
    pub fn table(mut self, table: TableSpec) -> Self {
        self.tables.push(table);
        self
    }

    /// About how much memory readings take before they are written into files: 256 MiB unless told otherwise.
    #[must_use]
    pub fn memory(mut self, bytes: usize) -> Self {
        self.memory_bytes = bytes;
        self
    }

    /// Where it is.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// "Now", of everything in the store and over it: the system's, unless told otherwise.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// "Now".
    pub fn clock(&self) -> Arc<dyn Clock> {
        self.clock.clone()
    }

    /// The store, opened if it is not yet: that may take as long as its log is, so not on a worker.
    ///
    /// # Errors
    /// A directory that another process has, or that cannot be written; damage. In one line.
    pub fn open(&self) -> Result<Store, String> {
        let store = self.opened()?.store.clone();
        // Somebody may have deleted them since, through the wire.
        self.make_tables(&store)?;
        Ok(store)
    }

    /// Timestream's SQL over it, opened if it is not yet.
    ///
    /// # Errors
    /// As [`EmbeddedStore::open`].
    pub fn queries(&self) -> Result<Queries, String> {
        self.opened().map(|opened| opened.queries.clone())
    }

    /// Waits for something on the store's own threads. Not from within a runtime, where that would panic.
    ///
    /// # Errors
    /// As [`EmbeddedStore::open`].
    pub fn block_on<T>(&self, work: impl Future<Output = T>) -> Result<T, String> {
        self.opened().map(|opened| opened.handle.block_on(work))
    }

    /// Has something done on the store's own threads, until the store is closed.
    ///
    /// # Errors
    /// As [`EmbeddedStore::open`].
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) -> Result<(), String> {
        self.opened().map(|opened| drop(opened.handle.spawn(work)))
    }

    /// One opens, the others wait for it. What has failed is tried again by whoever comes next: a job that restarts, for
    /// instance.
    fn opened(&self) -> Result<Arc<Opened>, String> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(opened) = &*opened {
            return Ok(opened.clone());
        }
        let new = Arc::new(self.open_once().map_err(|e| format!("the embedded store: {e}"))?);
        *opened = Some(new.clone());
        Ok(new)
    }

    fn open_once(&self) -> Result<Opened, String> {
        let runtime = Builder::new_multi_thread().worker_threads(2).thread_name("hurtig-store").enable_all().build();
        let runtime = runtime.map_err(|e| format!("its threads: {e}"))?;
        let store = runtime.block_on(self.open_when_free()).map_err(|e| e.to_string())?;
        self.make_tables(&store)?;
        let options = EngineOptions { memory_limit_bytes: QUERY_MEMORY, ..EngineOptions::default() };
        let queries = Queries::new(&store, options).map_err(|e| e.to_string())?;
        let maintained = store.clone();
        // It ends with the store.
        runtime.spawn(async move { drop(maintained.spawn_maintenance(MAINTENANCE)) });
        Ok(Opened { store, queries, handle: runtime.handle().clone(), runtime: Some(runtime) })
    }

    fn make_tables(&self, store: &Store) -> Result<(), String> {
        self.tables.iter().try_for_each(|table| table.make(store)).map_err(|e| e.to_string())
    }

    async fn open_when_free(&self) -> Result<Store> {
        let (mut steps, step) = IN_USE;
        loop {
            let mut options = StoreOptions::new(&self.dir, self.clock.clone());
            options.memory_bytes = self.memory_bytes;
            match Store::open(options).await {
                Err(Error::InUse { .. }) if steps > 0 => steps -= 1,
                done => return done,
            }
            tokio::time::sleep(step).await;
        }
    }
}

impl TableSpec {
    fn make(&self, store: &Store) -> Result<()> {
        if store.table_meta(&self.database, &self.table).is_ok_and(|meta| meta.retention == self.retention) {
            return Ok(());
        }
        let unless_there = |e: Error| if matches!(e, Error::Conflict(_)) { Ok(()) } else { Err(e) };
        store.create_database(&self.database, None).map(drop).or_else(unless_there)?;
        let new = NewTable { retention: self.retention, ..NewTable::default() };
        store.create_table(&self.database, &self.table, new).map(drop).or_else(unless_there)?;
        if store.table_meta(&self.database, &self.table)?.retention != self.retention {
            store.update_table(&self.database, &self.table, |meta| meta.retention = self.retention)?;
        }
        Ok(())
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        // The last clone may go in a task, where waiting for threads is not allowed.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
