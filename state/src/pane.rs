//! Pane state: accumulators by window and key, for tumbling windows and the slices of sliding ones.
//!
//! Window-major: a pane is one hash table, so a record costs one probe, and no timer is kept for a
//! key; the pane is its own timer ([`windows`](PaneState::windows) says which are live). What does
//! not fit in memory is spilled, the coldest pane first, as `[key group][window start][key]`.
//! Purging a pane writes no tombstones: what lies below the purged horizon is garbage by
//! definition, and compaction drops it whenever it comes by.
//!
//! ```
//! use hurtig_state::*;
//! # fn main() -> Result<()> {
//! # let dir = tempfile::tempdir().map_err(|_| ()).unwrap();
//! let mut backend = KeyedStateBackend::<String>::open(BackendConfig::heap("tumble", dir.path()), vec![])?;
//! let sums = backend.pane_state::<i64>("sums", 0)?;
//! for (meter, value) in [("a", 1), ("b", 2), ("a", 3)] {
//!     *sums.entry(&mut backend, 60_000, &meter.to_owned(), || 0)? += value;
//! }
//! let (mut from, mut fired) = (PaneCursor::default(), vec![]);
//! while !sums.fire(&mut backend, 60_000, &mut from, 1000, |key, sum| fired.push((key.clone(), *sum)))? {}
//! sums.purge(&mut backend, 60_000)?;
//! fired.sort();
//! assert_eq!(fired, [("a".to_owned(), 4), ("b".to_owned(), 2)]);
//! assert_eq!(sums.first_window(&mut backend)?, None);
//! # Ok(())
//! # }
//! ```

use std::fmt;
use std::marker::PhantomData;

use crate::announce::KeyHash;
use crate::backend::{KeyedContext, KeyedStateBackend, SlotId};
use crate::pane_table::PaneTable;
use crate::{Key, Result, StateValue};

/// A handle to a pane state: small, `Copy`, and good only with the backend that made it.
pub struct PaneState<A> {
    slot: SlotId,
    accumulator: PhantomData<fn() -> A>,
}

impl<A: StateValue> PaneState<A> {
    pub(crate) fn new(slot: SlotId) -> Self {
        Self { slot, accumulator: PhantomData }
    }

    /// The accumulator of a window and key, made first if there is none. Neither needs nor changes
    /// the current key; the key is cloned only if it is new to the pane.
    ///
    /// # Errors
    /// Wrong handle, or the store cannot be read.
    #[inline]
    pub fn entry<'a, K: Key>(
        &self,
        backend: &'a mut KeyedStateBackend<K>,
        window_start: i64,
        key: &K,
        init: impl FnOnce() -> A,
    ) -> Result<&'a mut A> {
        let (core, table) = backend.table::<PaneTable<K, A>>(self.slot)?;
        let hash = core.hasher.hash(key);
        table.entry(core, window_start, key, hash, init)
    }

    /// Gets the accumulator of a window and key on its way; see
    /// [`announced_entry`](Self::announced_entry).
    #[inline]
    pub fn announce<K: Key>(&self, backend: &mut KeyedStateBackend<K>, window_start: i64, key: &K) -> KeyHash {
        let hash = backend.core.hasher.hash(key);
        // Of a wrong handle the access itself will tell.
        if let Ok((_, table)) = backend.table::<PaneTable<K, A>>(self.slot) {
            table.prefetch_entry(window_start, hash);
        }
        KeyHash(hash)
    }

    /// [`entry`](Self::entry) of a key that was announced and got `hash`.
    ///
    /// # Errors
    /// As [`entry`](Self::entry).
    #[inline]
    pub fn announced_entry<'a, K: Key>(
        &self,
        backend: &'a mut KeyedStateBackend<K>,
        window_start: i64,
        (key, hash): (&K, KeyHash),
        init: impl FnOnce() -> A,
    ) -> Result<&'a mut A> {
        let (core, table) = backend.table::<PaneTable<K, A>>(self.slot)?;
        table.entry(core, window_start, key, hash.0, init)
    }

    /// The accumulator of a window and key, if there is one.
    ///
    /// # Errors
    /// As [`entry`](Self::entry).
    pub fn get<'a, K: Key>(
        &self,
        backend: &'a mut KeyedStateBackend<K>,
        window_start: i64,
        key: &K,
    ) -> Result<Option<&'a A>> {
        let (core, table) = backend.table::<PaneTable<K, A>>(self.slot)?;
        table.get(core, window_start, key)
    }

    /// The live windows' starts, ascending.
    ///
    /// # Errors
    /// Wrong handle.
    pub fn windows<K: Key>(&self, ctx: &mut impl KeyedContext<K>) -> Result<Vec<i64>> {
        let (_, table) = ctx.backend().table::<PaneTable<K, A>>(self.slot)?;
        Ok(table.windows().collect())
    }

    /// The first live window's start.
    ///
    /// # Errors
    /// Wrong handle.
    #[inline]
    pub fn first_window<K: Key>(&self, ctx: &mut impl KeyedContext<K>) -> Result<Option<i64>> {
        let (_, table) = ctx.backend().table::<PaneTable<K, A>>(self.slot)?;
        Ok(table.windows().next())
    }

    /// Visits up to `max` keys of a window from where `from` stands, each key once over the whole
    /// firing, in no particular order; true when the window is through. A firing must be finished
    /// before the window is written to again.
    ///
    /// # Errors
    /// Wrong handle, the store cannot be read, or the window was written to in between.
    pub fn fire<K: Key>(
        &self,
        ctx: &mut impl KeyedContext<K>,
        window_start: i64,
        from: &mut PaneCursor,
        max: usize,
        visit: impl FnMut(&K, &A),
    ) -> Result<bool> {
        let (core, table) = ctx.backend().table::<PaneTable<K, A>>(self.slot)?;
        table.fire(core, window_start, from, max, visit)
    }

    /// Drops a window. Cheapest when windows are purged in ascending order.
    ///
    /// # Errors
    /// Wrong handle, or the store cannot be written.
    pub fn purge<K: Key>(&self, ctx: &mut impl KeyedContext<K>, window_start: i64) -> Result<()> {
        let (core, table) = ctx.backend().table::<PaneTable<K, A>>(self.slot)?;
        table.purge(core, window_start)
    }
}

/// Where the firing of a pane stands.
#[derive(Clone, Debug, Default)]
pub struct PaneCursor {
    pub(crate) phase: Phase,
    /// The pane's structure when the firing began.
    pub(crate) epoch: u64,
}

#[derive(Clone, Debug, Default)]
pub(crate) enum Phase {
    #[default]
    Start,
    /// The next bucket of the pane's table.
    Memory(usize),
    /// The next stored key.
    Store(Vec<u8>),
}

impl<A> Clone for PaneState<A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A> Copy for PaneState<A> {}

impl<A> Default for PaneState<A> {
    fn default() -> Self {
        Self { slot: SlotId::default(), accumulator: PhantomData }
    }
}

impl<A> fmt::Debug for PaneState<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PaneState({:?})", self.slot)
    }
}
