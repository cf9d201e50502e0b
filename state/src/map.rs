//! Map state: entries a key.
//!
//! In memory a key has a small table of those entries that were read or written; whether these
//! are all is known (`complete`), so that a map that lives in memory never asks the store, and one
//! that does not is read entry by entry. [`MapState::iter`] completes the map first;
//! [`MapState::for_each`] merges memory and store as it goes, for maps larger than memory.
//!
//! ```
//! use hurtig_state::*;
//! # fn main() -> Result<()> {
//! # let dir = tempfile::tempdir().map_err(|_| ()).unwrap();
//! let mut backend = KeyedStateBackend::<i64>::open(BackendConfig::heap("join", dir.path()), vec![])?;
//! let open = backend.map_state(MapStateDescriptor::<i64, String>::new("open"))?;
//! backend.set_current_key(7);
//! open.put(&mut backend, 1, "one".to_owned())?;
//! assert_eq!(open.get(&mut backend, &1)?.map(String::as_str), Some("one"));
//! assert_eq!(open.iter(&mut backend)?.count(), 1);
//! # Ok(())
//! # }
//! ```

use std::fmt;
use std::hash::Hash;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::backend::{KeyedContext, SlotId};
use crate::map_table::MapTable;
use crate::{Key, Result, StateValue};

/// What a map state can be keyed by within a key.
pub trait MapKey: Clone + Eq + Hash + Serialize + DeserializeOwned + 'static {}

impl<T: Clone + Eq + Hash + Serialize + DeserializeOwned + 'static> MapKey for T {}

/// A handle to a map state: small, `Copy`, and good only with the backend that made it.
pub struct MapState<UK, UV> {
    slot: SlotId,
    entry: PhantomData<fn() -> (UK, UV)>,
}

impl<UK: MapKey, UV: StateValue> MapState<UK, UV> {
    pub(crate) fn new(slot: SlotId) -> Self {
        Self { slot, entry: PhantomData }
    }

    /// The value of an entry of the current key's map.
    ///
    /// # Errors
    /// Wrong handle, no current key, or the store cannot be read.
    pub fn get<'a, K: Key>(&self, ctx: &'a mut impl KeyedContext<K>, key: &UK) -> Result<Option<&'a UV>> {
        let (core, table) = ctx.backend().table::<MapTable<K, UK, UV>>(self.slot)?;
        table.get(core, key)
    }

    /// The value of an entry, to be changed in place.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn get_mut<'a, K: Key>(&self, ctx: &'a mut impl KeyedContext<K>, key: &UK) -> Result<Option<&'a mut UV>> {
        let (core, table) = ctx.backend().table::<MapTable<K, UK, UV>>(self.slot)?;
        table.get_mut(core, key)
    }

    /// Sets an entry.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn put<K: Key>(&self, ctx: &mut impl KeyedContext<K>, key: UK, value: UV) -> Result<()> {
        let (core, table) = ctx.backend().table::<MapTable<K, UK, UV>>(self.slot)?;
        table.put(core, key, value)
    }

    /// Removes an entry.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn remove<K: Key>(&self, ctx: &mut impl KeyedContext<K>, key: &UK) -> Result<()> {
        let (core, table) = ctx.backend().table::<MapTable<K, UK, UV>>(self.slot)?;
        table.remove(core, key)
    }

    /// Whether there is such an entry.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn contains<K: Key>(&self, ctx: &mut impl KeyedContext<K>, key: &UK) -> Result<bool> {
        Ok(self.get(ctx, key)?.is_some())
    }

    /// The current key's entries, in no particular order. Loads all of them into memory.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn iter<'a, K: Key>(
        &self,
        ctx: &'a mut impl KeyedContext<K>,
    ) -> Result<impl Iterator<Item = (&'a UK, &'a UV)>> {
        let (core, table) = ctx.backend().table::<MapTable<K, UK, UV>>(self.slot)?;
        table.iter(core)
    }

    /// The current key's user keys, in no particular order.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn keys<'a, K: Key>(&self, ctx: &'a mut impl KeyedContext<K>) -> Result<impl Iterator<Item = &'a UK>>
    where
        UV: 'a,
    {
        Ok(self.iter(ctx)?.map(|(key, _)| key))
    }

    /// The current key's user values, in no particular order.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn values<'a, K: Key>(&self, ctx: &'a mut impl KeyedContext<K>) -> Result<impl Iterator<Item = &'a UV>>
    where
        UK: 'a,
    {
        Ok(self.iter(ctx)?.map(|(_, value)| value))
    }

    /// Visits the current key's entries in no particular order without loading them into memory.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn for_each<K: Key>(&self, ctx: &mut impl KeyedContext<K>, visit: impl FnMut(&UK, &UV)) -> Result<()> {
        let (core, table) = ctx.backend().table::<MapTable<K, UK, UV>>(self.slot)?;
        table.for_each(core, visit)
    }

    /// Whether the current key's map has no entry.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn is_empty<K: Key>(&self, ctx: &mut impl KeyedContext<K>) -> Result<bool> {
        let (core, table) = ctx.backend().table::<MapTable<K, UK, UV>>(self.slot)?;
        table.is_empty(core)
    }

    /// Removes the current key's map.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn clear<K: Key>(&self, ctx: &mut impl KeyedContext<K>) -> Result<()> {
        let (core, table) = ctx.backend().table::<MapTable<K, UK, UV>>(self.slot)?;
        table.clear(core)
    }
}

impl<UK, UV> Clone for MapState<UK, UV> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<UK, UV> Copy for MapState<UK, UV> {}

impl<UK, UV> Default for MapState<UK, UV> {
    fn default() -> Self {
        Self { slot: SlotId::default(), entry: PhantomData }
    }
}

impl<UK, UV> fmt::Debug for MapState<UK, UV> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MapState({:?})", self.slot)
    }
}
