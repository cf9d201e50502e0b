//! Value state: at most one value a key.
//!
//! The table is a write-back cache of typed values: one probe an access, values change in place,
//! bytes are made only when an entry is flushed. The table is also the only memtable there is:
//! its dirty entries become sorted files of the store. Reducing and aggregating state are the same
//! table with a function beside it.
//!
//! ```
//! use hurtig_state::*;
//! # fn main() -> Result<()> {
//! # let dir = tempfile::tempdir().map_err(|_| ()).unwrap();
//! let mut backend = KeyedStateBackend::<String>::open(BackendConfig::heap("totals", dir.path()), vec![])?;
//! let total = backend.value_state(ValueStateDescriptor::<i64>::new("total"))?;
//! backend.set_current_key("meter-1".to_owned());
//! *total.get_or_insert_with(&mut backend, || 0)? += 5;
//! assert_eq!(total.value(&mut backend)?, Some(&5));
//! # Ok(())
//! # }
//! ```

use std::fmt;
use std::marker::PhantomData;

use crate::backend::{KeyedContext, SlotId};
use crate::value_table::ValueTable;
use crate::{Key, Result, StateValue};

/// A handle to a value state: small, `Copy`, and good only with the backend that made it.
pub struct ValueState<V> {
    pub(crate) slot: SlotId,
    value: PhantomData<fn() -> V>,
}

impl<V: StateValue> ValueState<V> {
    pub(crate) fn new(slot: SlotId) -> Self {
        Self { slot, value: PhantomData }
    }

    /// The current key's value.
    ///
    /// # Errors
    /// Wrong handle, no current key, or the store cannot be read.
    #[inline]
    pub fn value<'a, K: Key>(&self, ctx: &'a mut impl KeyedContext<K>) -> Result<Option<&'a V>> {
        let (core, table) = ctx.backend().table::<ValueTable<K, V, ()>>(self.slot)?;
        table.get(core)
    }

    /// The current key's value, to be changed in place.
    ///
    /// # Errors
    /// As [`value`](Self::value).
    #[inline]
    pub fn value_mut<'a, K: Key>(&self, ctx: &'a mut impl KeyedContext<K>) -> Result<Option<&'a mut V>> {
        let (core, table) = ctx.backend().table::<ValueTable<K, V, ()>>(self.slot)?;
        table.get_mut(core)
    }

    /// The current key's value, made first if there is none.
    ///
    /// # Errors
    /// As [`value`](Self::value).
    #[inline]
    pub fn get_or_insert_with<'a, K: Key>(
        &self,
        ctx: &'a mut impl KeyedContext<K>,
        make: impl FnOnce() -> V,
    ) -> Result<&'a mut V> {
        let (core, table) = ctx.backend().table::<ValueTable<K, V, ()>>(self.slot)?;
        table.get_or_insert_with(core, make)
    }

    /// Sets the current key's value.
    ///
    /// # Errors
    /// As [`value`](Self::value).
    #[inline]
    pub fn update<K: Key>(&self, ctx: &mut impl KeyedContext<K>, value: V) -> Result<()> {
        let (core, table) = ctx.backend().table::<ValueTable<K, V, ()>>(self.slot)?;
        table.set(core, value)
    }

    /// Removes the current key's value.
    ///
    /// # Errors
    /// As [`value`](Self::value).
    #[inline]
    pub fn clear<K: Key>(&self, ctx: &mut impl KeyedContext<K>) -> Result<()> {
        let (core, table) = ctx.backend().table::<ValueTable<K, V, ()>>(self.slot)?;
        table.clear(core)
    }
}

impl<V> Clone for ValueState<V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<V> Copy for ValueState<V> {}

impl<V> Default for ValueState<V> {
    fn default() -> Self {
        Self { slot: SlotId::default(), value: PhantomData }
    }
}

impl<V> fmt::Debug for ValueState<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ValueState({:?})", self.slot)
    }
}
