//! What lies below the caches: nothing for the heap, else RocksDB. Everything here is bytes;
//! tables are numbered in the order in which they were opened.

use std::path::Path;

use crate::core::Hasher;
use crate::filter::Membership;
use crate::run::Run;
use crate::snapshot::{SnapshotFile, StateMeta};
use crate::stats::BackendStats;
use crate::{Result, StateTtlConfig};

/// A table (column family) of the store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TableId(pub(crate) usize);

/// Adds the hashes under which a table knows a stored key (without its group); false if the key
/// cannot be read.
pub(crate) type HashesFn = fn(Hasher, &[u8], &mut dyn FnMut(u64)) -> bool;

/// The byte store of one backend.
pub(crate) enum Store {
    /// The caches are everything.
    Heap,
    #[cfg(feature = "rocksdb")]
    Rocks(Box<crate::rocks::RocksStore>),
}

impl Store {
    #[inline]
    pub(crate) fn is_heap(&self) -> bool {
        matches!(self, Self::Heap)
    }

    /// The table of this name, created if need be.
    pub(crate) fn open_table(&mut self, name: &str) -> Result<TableId> {
        match self {
            Self::Heap => {
                let _ = name;
                Ok(TableId(0))
            }
            #[cfg(feature = "rocksdb")]
            Self::Rocks(rocks) => rocks.open_table(name),
        }
    }

    /// Reads one entry.
    pub(crate) fn get<R>(
        &self,
        table: TableId,
        key: &[u8],
        read: impl FnOnce(&[u8]) -> Result<R>,
    ) -> Result<Option<R>> {
        match self {
            Self::Heap => {
                let _ = (table, key, read);
                Ok(None)
            }
            #[cfg(feature = "rocksdb")]
            Self::Rocks(rocks) => rocks.get(table, key, read),
        }
    }

    /// Writes a run. Sorts it first.
    pub(crate) fn write(&mut self, table: TableId, run: &mut Run) -> Result<()> {
        match self {
            Self::Heap => {
                let _ = (table, run);
                Ok(())
            }
            #[cfg(feature = "rocksdb")]
            Self::Rocks(rocks) => rocks.write(table, run),
        }
    }

    /// Visits `[from, to)` in order until `visit` says false.
    pub(crate) fn scan(
        &self,
        table: TableId,
        from: &[u8],
        to: Option<&[u8]>,
        visit: impl FnMut(&[u8], &[u8]) -> Result<bool>,
    ) -> Result<()> {
        match self {
            Self::Heap => {
                let _ = (table, from, to, visit);
                Ok(())
            }
            #[cfg(feature = "rocksdb")]
            Self::Rocks(rocks) => rocks.scan(table, from, to, visit),
        }
    }

    /// Entries of panes or timers before `horizon` are garbage from now on.
    pub(crate) fn set_horizon(&self, table: TableId, horizon: i64) {
        match self {
            Self::Heap => {
                let _ = (table, horizon);
            }
            #[cfg(feature = "rocksdb")]
            Self::Rocks(rocks) => rocks.set_horizon(table, horizon),
        }
    }

    /// Deletes `[from, to)` of what is stored now.
    pub(crate) fn delete_ranges(&mut self, table: TableId, ranges: &[(Vec<u8>, Vec<u8>)]) -> Result<()> {
        match self {
            Self::Heap => {
                let _ = (table, ranges);
                Ok(())
            }
            #[cfg(feature = "rocksdb")]
            Self::Rocks(rocks) => rocks.delete_ranges(table, ranges),
        }
    }

    /// What compaction may drop of a table.
    pub(crate) fn set_garbage(&self, table: TableId, meta: &StateMeta, ttl: Option<StateTtlConfig>) {
        match self {
            Self::Heap => {
                let _ = (table, meta, ttl);
            }
            #[cfg(feature = "rocksdb")]
            Self::Rocks(rocks) => rocks.set_garbage(table, meta, ttl),
        }
    }

    /// What is known of the keys of a restored table.
    pub(crate) fn membership_of(&self, table: TableId, hasher: Hasher, hashes: HashesFn) -> Result<Membership> {
        match self {
            Self::Heap => {
                let _ = (table, hasher, hashes);
                Ok(Membership::empty())
            }
            #[cfg(feature = "rocksdb")]
            Self::Rocks(rocks) => rocks.membership_of(table, hasher, hashes),
        }
    }

    /// Hard-links a consistent copy into `dir`: the database's name and its files.
    pub(crate) fn checkpoint(&self, dir: &Path) -> Result<(String, Vec<SnapshotFile>)> {
        match self {
            Self::Heap => {
                let _ = dir;
                Ok((String::new(), Vec::new()))
            }
            #[cfg(feature = "rocksdb")]
            Self::Rocks(rocks) => rocks.checkpoint(dir),
        }
    }

    pub(crate) fn compact(&self) -> Result<()> {
        match self {
            Self::Heap => Ok(()),
            #[cfg(feature = "rocksdb")]
            Self::Rocks(rocks) => rocks.compact(),
        }
    }

    pub(crate) fn stats(&self, stats: &mut BackendStats) {
        match self {
            Self::Heap => {
                let _ = stats;
            }
            #[cfg(feature = "rocksdb")]
            Self::Rocks(rocks) => rocks.stats(stats),
        }
    }
}
