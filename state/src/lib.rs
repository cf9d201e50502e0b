//! Keyed state for hurtig: what Flink calls keyed state, state backends and timers.
//!
//! # The idea
//!
//! A keyed operator runs on several workers. Each worker owns some *key groups* and has one
//! [`KeyedStateBackend`] for them, on its own thread, without locks. The operator asks the backend
//! for states by descriptor and gets small handles; the handles read and write the state of the
//! *current key*:
//!
//! ```
//! use hurtig_state::*;
//! # fn main() -> Result<()> {
//! # let dir = tempfile::tempdir().map_err(|_| ()).unwrap();
//! let mut backend = KeyedStateBackend::<String>::open(BackendConfig::heap("dedup", dir.path()), vec![])?;
//! let seen = backend.value_state(ValueStateDescriptor::<bool>::new("seen").ttl(StateTtlConfig::new(3_600_000)))?;
//!
//! backend.set_current_key("m-0012345".to_owned());
//! assert_eq!(seen.value(&mut backend)?, None);
//! seen.update(&mut backend, true)?;
//!
//! let snapshot = backend.snapshot(&dir.path().join("chk-1"))?;
//! let parts = vec![RestoredState { dir: dir.path().join("chk-1"), snapshot }];
//! let mut later = KeyedStateBackend::<String>::open(BackendConfig::heap("dedup", dir.path()), parts)?;
//! let seen = later.value_state(ValueStateDescriptor::<bool>::new("seen").ttl(StateTtlConfig::new(3_600_000)))?;
//! later.set_current_key("m-0012345".to_owned());
//! assert_eq!(seen.value(&mut later)?, Some(&true));
//! # Ok(())
//! # }
//! ```
//!
//! # How it is built
//!
//! ```text
//!  handles      ValueState  ListState  MapState  Reducing/AggregatingState  PaneState   timers
//!                   │           │          │                │                   │          │
//!  typed tables  ValueTable  ListTable  MapTable       ValueTable           PaneTable  TimerService
//!  (write-back)     └───────────┴──────────┴───── flush ────┴───────────────────┴──────────┘
//!                                                   │  Run: encoded, sorted
//!  membership filter: "was this key ever spilled?"  │  get, scan (only what the filter lets by)
//!                                                   ▼
//!  store                            heap: nothing   │   RocksDB: one database, a column family
//!                                                   │   a table, files ingested, no WAL
//! ```
//!
//! - A **table** is a hash table of typed values in front of the store. Values change in place;
//!   bytes are made when dirty entries are flushed: at a barrier, when a table has too many of
//!   them, or when memory is short. The tables *are* the memtable: a flush becomes a sorted file
//!   ([`run.rs`](crate)) that RocksDB takes in as it is.
//! - A **membership filter** (`filter.rs`) answers "never stored" without asking RocksDB, which is
//!   what deduplication and every new key need.
//! - **Panes** (`pane.rs`) are window-major: a tumbling window costs one probe a record and no
//!   timers. **Timers** (`timers.rs`) keep the earliest in memory and the rest in the store. Both
//!   declare everything before a horizon garbage instead of deleting it.
//! - **Memory** (`budget.rs`): one [`MemoryBudget`] for all backends. Growing asks; who is refused
//!   flushes and evicts. The heap backend has nowhere to spill to and is not bounded.
//! - **Time to live** goes by an injected [`Clock`]. Reads hide what has expired; compaction and
//!   the heap's housekeeping drop it sometime. Results never depend on when.
//! - A **snapshot** (`snapshot.rs`) is a directory of files and a [`StateSnapshot`] that records
//!   every state's name, types and version. `restore.rs` opens a backend from any parts that cover
//!   its key groups, whatever backend wrote them.
//! - **Key groups** and hash codes (`key_group.rs`, `java_hash.rs`) are Flink's, bit for bit.
//!
//! # Resident memory
//!
//! For RocksDB: budget + per worker at most a third of the caches' part while it flushes (the
//! run) + what the allocator loses + about 64 KiB a state. Measure with
//! `examples/state_bench.rs`.
//!
//! # Invariants
//!
//! - The checkpoint is the only truth. A local directory is never read after a crash; after any
//!   error the backend is to be dropped.
//! - A key's state is touched by the one backend that owns its key group.
//! - No wall clock and no randomness: the same calls give the same results.

mod announce;
mod backend;
mod budget;
mod clock;
mod core;
mod descriptor;
mod encoding;
mod error;
mod filter;
mod heap_file;
mod java_hash;
mod key_group;
mod list;
mod map;
mod map_memory;
mod map_table;
mod pane;
mod pane_memory;
mod pane_table;
mod reducing;
mod register;
mod restore;
#[cfg(feature = "rocksdb")]
mod rocks;
#[cfg(feature = "rocksdb")]
mod rocks_restore;
mod run;
mod snapshot;
mod stats;
mod store;
mod table;
mod timers;
mod upgrade;
mod value;
mod value_table;

pub use announce::KeyHash;
pub use backend::{BackendConfig, BackendKind, KeyedContext, KeyedStateBackend};
pub use budget::MemoryBudget;
pub use clock::{Clock, ManualClock};
pub use descriptor::{
    AggregateFunction, AggregatingStateDescriptor, ListStateDescriptor, MapStateDescriptor, MigrationFn,
    ReducingStateDescriptor, StateTtlConfig, UpdateType, ValueStateDescriptor, decode,
};
pub use error::{Error, Result};
pub use java_hash::{JavaHash, Uuid};
pub use key_group::{
    DEFAULT_MAX_PARALLELISM, Key, KeyGroupRange, StateValue, default_max_parallelism, key_group, murmur_hash,
    operator_index,
};
pub use list::ListState;
pub use map::{MapKey, MapState};
pub use pane::{PaneCursor, PaneState};
pub use reducing::{AggregatingState, ReducingState};
pub use snapshot::{
    HeapSection, PaneMeta, RestoredState, SnapshotFile, StateKind, StateMeta, StateSnapshot, TimerMeta,
};
pub use stats::BackendStats;
pub use value::ValueState;
