//! Reducing and aggregating state: one value a key, into which what is added is folded at once.
//!
//! ```
//! use hurtig_state::*;
//! # fn main() -> Result<()> {
//! # let dir = tempfile::tempdir().map_err(|_| ()).unwrap();
//! let mut backend = KeyedStateBackend::<i64>::open(BackendConfig::heap("peak", dir.path()), vec![])?;
//! let peak = backend.reducing_state(ReducingStateDescriptor::<i64>::new("peak", i64::max))?;
//! backend.set_current_key(7);
//! for voltage in [229, 231, 230] {
//!     peak.add(&mut backend, voltage)?;
//! }
//! assert_eq!(peak.get(&mut backend)?, Some(&231));
//! # Ok(())
//! # }
//! ```

use std::fmt;
use std::marker::PhantomData;

use crate::backend::{KeyedContext, SlotId};
use crate::descriptor::{AggregateFunction, ReduceFn};
use crate::value_table::ValueTable;
use crate::{Key, Result, StateValue};

pub(crate) type ReducingTable<K, V> = ValueTable<K, V, ReduceFn<V>>;
pub(crate) type AggregatingTable<K, F> = ValueTable<K, <F as AggregateFunction>::Acc, F>;

/// A handle to a reducing state: small, `Copy`, and good only with the backend that made it.
pub struct ReducingState<V> {
    slot: SlotId,
    value: PhantomData<fn() -> V>,
}

impl<V: StateValue> ReducingState<V> {
    pub(crate) fn new(slot: SlotId) -> Self {
        Self { slot, value: PhantomData }
    }

    /// What was added to the current key, folded.
    ///
    /// # Errors
    /// Wrong handle, no current key, or the store cannot be read.
    #[inline]
    pub fn get<'a, K: Key>(&self, ctx: &'a mut impl KeyedContext<K>) -> Result<Option<&'a V>> {
        let (core, table) = ctx.backend().table::<ReducingTable<K, V>>(self.slot)?;
        table.get(core)
    }

    /// Folds `value` in.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    #[inline]
    pub fn add<K: Key>(&self, ctx: &mut impl KeyedContext<K>, value: V) -> Result<()> {
        let (core, table) = ctx.backend().table::<ReducingTable<K, V>>(self.slot)?;
        let reduce = ReduceFn::clone(&table.extra);
        table.fold(core, |old| match old {
            Some(old) => reduce(old, value),
            None => value,
        })
    }

    /// Forgets what was added to the current key.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn clear<K: Key>(&self, ctx: &mut impl KeyedContext<K>) -> Result<()> {
        let (core, table) = ctx.backend().table::<ReducingTable<K, V>>(self.slot)?;
        table.clear(core)
    }
}

/// A handle to an aggregating state: small, `Copy`, and good only with the backend that made it.
pub struct AggregatingState<F> {
    slot: SlotId,
    function: PhantomData<fn() -> F>,
}

impl<F: AggregateFunction> AggregatingState<F> {
    pub(crate) fn new(slot: SlotId) -> Self {
        Self { slot, function: PhantomData }
    }

    /// The result of what was added to the current key.
    ///
    /// # Errors
    /// Wrong handle, no current key, or the store cannot be read.
    #[inline]
    pub fn get<K: Key>(&self, ctx: &mut impl KeyedContext<K>) -> Result<Option<F::Out>> {
        let (core, table) = ctx.backend().table::<AggregatingTable<K, F>>(self.slot)?;
        table.aggregate_result(core)
    }

    /// Adds `value`.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    #[inline]
    pub fn add<K: Key>(&self, ctx: &mut impl KeyedContext<K>, value: F::In) -> Result<()> {
        let (core, table) = ctx.backend().table::<AggregatingTable<K, F>>(self.slot)?;
        table.aggregate_add(core, value)
    }

    /// Forgets what was added to the current key.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn clear<K: Key>(&self, ctx: &mut impl KeyedContext<K>) -> Result<()> {
        let (core, table) = ctx.backend().table::<AggregatingTable<K, F>>(self.slot)?;
        table.clear(core)
    }
}

macro_rules! plain_handle {
    ($name:ident, $field:ident) => {
        impl<T> Clone for $name<T> {
            fn clone(&self) -> Self {
                *self
            }
        }

        impl<T> Copy for $name<T> {}

        impl<T> Default for $name<T> {
            fn default() -> Self {
                Self { slot: SlotId::default(), $field: PhantomData }
            }
        }

        impl<T> fmt::Debug for $name<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:?})"), self.slot)
            }
        }
    };
}
plain_handle!(ReducingState, value);
plain_handle!(AggregatingState, function);
