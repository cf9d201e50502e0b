//! Descriptors: what an operator says of a state when it asks for it (name, version, time to
//! live, how to read an older version). Names and types go into every snapshot.
//!
//! ```
//! use hurtig_state::{StateTtlConfig, ValueStateDescriptor};
//! let seen = ValueStateDescriptor::<bool>::new("seen").ttl(StateTtlConfig::new(3_600_000));
//! let last = ValueStateDescriptor::<i64>::new("last").version(1).migrate_from(0, |bytes| {
//!     // version 0 was an i32
//!     hurtig_state::decode::<i32>(bytes).map(i64::from)
//! });
//! # let _ = (seen, last);
//! ```

use std::marker::PhantomData;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use crate::StateValue;

/// Reads one value of an older version. The error text is shown with operator and state.
pub type MigrationFn<V> = fn(&[u8]) -> Result<V, String>;

/// Reads a value from the bytes a migration function is given.
///
/// # Errors
/// The bytes are not a `T`.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    postcard::from_bytes(bytes).map_err(|e| e.to_string())
}

/// When a value's time to live starts anew.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum UpdateType {
    /// When the value is created or written.
    #[default]
    OnCreateAndWrite,
    /// When it is read as well.
    OnReadAndWrite,
}

/// Time to live: a value that was not touched for `ttl_ms` is gone. It is never returned, and its
/// bytes are dropped when RocksDB compacts, or when the heap's table would otherwise grow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StateTtlConfig {
    /// Milliseconds a value lives.
    pub ttl_ms: i64,
    /// What counts as a touch.
    pub update_on: UpdateType,
}

impl StateTtlConfig {
    /// Values live for `ttl_ms` after they were last written.
    #[must_use]
    pub fn new(ttl_ms: i64) -> Self {
        Self { ttl_ms, update_on: UpdateType::default() }
    }

    /// States what counts as a touch.
    #[must_use]
    pub fn update_on(mut self, update_on: UpdateType) -> Self {
        self.update_on = update_on;
        self
    }

    #[inline]
    pub(crate) fn expired(&self, last_touch: i64, now: i64) -> bool {
        last_touch.saturating_add(self.ttl_ms) <= now
    }
}

/// Name, version, time to live and migrations of a state whose elements are `V`.
pub(crate) struct Declaration<V> {
    pub(crate) name: String,
    pub(crate) version: u32,
    pub(crate) ttl: Option<StateTtlConfig>,
    pub(crate) migrations: Vec<(u32, MigrationFn<V>)>,
}

impl<V> Declaration<V> {
    pub(crate) fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), version: 0, ttl: None, migrations: Vec::new() }
    }
}

impl<V> Clone for Declaration<V> {
    fn clone(&self) -> Self {
        Self { name: self.name.clone(), version: self.version, ttl: self.ttl, migrations: self.migrations.clone() }
    }
}

macro_rules! common_settings {
    ($element:ty, $what:literal) => {
        /// The version of the type, 0 unless stated. Raise it when the type's fields change.
        #[must_use]
        pub fn version(mut self, version: u32) -> Self {
            self.declaration.version = version;
            self
        }

        /// Lets what was not touched for a while go.
        #[must_use]
        pub fn ttl(mut self, ttl: StateTtlConfig) -> Self {
            self.declaration.ttl = Some(ttl);
            self
        }

        #[doc = concat!("How to read ", $what, " written by an older version (of whatever type).")]
        #[must_use]
        pub fn migrate_from(mut self, version: u32, read: MigrationFn<$element>) -> Self {
            self.declaration.migrations.push((version, read));
            self
        }
    };
}

/// Describes one value a key.
pub struct ValueStateDescriptor<V> {
    pub(crate) declaration: Declaration<V>,
}

impl<V: StateValue> ValueStateDescriptor<V> {
    /// A value state of this name.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { declaration: Declaration::new(name) }
    }
    common_settings!(V, "a value");
}

/// Describes a list a key; time to live counts for each element.
pub struct ListStateDescriptor<V> {
    pub(crate) declaration: Declaration<V>,
}

impl<V: StateValue> ListStateDescriptor<V> {
    /// A list state of this name.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { declaration: Declaration::new(name) }
    }
    common_settings!(V, "an element");
}

/// Describes a map a key; time to live counts for each entry.
pub struct MapStateDescriptor<UK, UV> {
    pub(crate) declaration: Declaration<UV>,
    key: PhantomData<fn() -> UK>,
}

impl<UK, UV: StateValue> MapStateDescriptor<UK, UV> {
    /// A map state of this name.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { declaration: Declaration::new(name), key: PhantomData }
    }
    common_settings!(UV, "an entry's value");
}

pub(crate) type ReduceFn<V> = Arc<dyn Fn(V, V) -> V>;

/// Describes one value a key, into which what is added is folded.
pub struct ReducingStateDescriptor<V> {
    pub(crate) declaration: Declaration<V>,
    pub(crate) reduce: ReduceFn<V>,
}

impl<V: StateValue> ReducingStateDescriptor<V> {
    /// A reducing state of this name.
    #[must_use]
    pub fn new(name: impl Into<String>, reduce: impl Fn(V, V) -> V + 'static) -> Self {
        Self { declaration: Declaration::new(name), reduce: Arc::new(reduce) }
    }
    common_settings!(V, "a value");
}

/// Describes one accumulator a key, to which an [`AggregateFunction`] adds.
pub struct AggregatingStateDescriptor<F: AggregateFunction> {
    pub(crate) declaration: Declaration<F::Acc>,
    pub(crate) function: F,
}

impl<F: AggregateFunction> AggregatingStateDescriptor<F> {
    /// An aggregating state of this name.
    #[must_use]
    pub fn new(name: impl Into<String>, function: F) -> Self {
        Self { declaration: Declaration::new(name), function }
    }
    common_settings!(F::Acc, "an accumulator");
}

/// Flink's `AggregateFunction`: folds inputs into an accumulator, and reads a result from it.
pub trait AggregateFunction: 'static {
    /// What is added.
    type In;
    /// What is kept.
    type Acc: StateValue;
    /// What is read.
    type Out;
    /// An accumulator to which nothing was added.
    fn create_accumulator(&self) -> Self::Acc;
    /// Adds one input.
    fn add(&self, accumulator: &mut Self::Acc, value: Self::In);
    /// The result of what was added so far.
    fn get_result(&self, accumulator: &Self::Acc) -> Self::Out;
    /// Adds all of `other` (merging windows).
    fn merge(&self, accumulator: &mut Self::Acc, other: Self::Acc);
}
