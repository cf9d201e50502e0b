//! The keyed state of one operator on one worker: states by name, timers, snapshots.

use std::any::TypeId;
use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use serde::{Deserialize, Serialize};

use crate::announce::KeyHash;
use crate::core::Core;
use crate::heap_file::Entries;
use crate::restore::{Restored, restore};
use crate::snapshot::StateMeta;
use crate::stats::BackendStats;
use crate::table::Table;
use crate::timers::TimerService;
use crate::{Clock, Error, Key, KeyGroupRange, ManualClock, MemoryBudget, RestoredState, Result, StateSnapshot};

/// Where state lives.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum BackendKind {
    /// In memory only.
    Heap,
    /// In memory as far as the budget goes, else in RocksDB.
    RocksDb,
}

/// What a backend is opened with.
#[derive(Clone)]
pub struct BackendConfig {
    /// Where state lives.
    pub kind: BackendKind,
    /// The operator's uid.
    pub uid: String,
    /// A local directory of this backend's own; what is in it is deleted.
    pub dir: PathBuf,
    /// The job's max parallelism.
    pub max_parallelism: u16,
    /// The key groups that this backend owns.
    pub key_groups: KeyGroupRange,
    /// The process's memory for state.
    pub memory: Arc<MemoryBudget>,
    /// The time that TTL goes by.
    pub clock: Arc<dyn Clock>,
    /// RocksDB's background threads.
    pub background_threads: usize,
}

impl BackendConfig {
    /// All of 128 key groups on one backend, 64 MiB, a clock that stands at 0: for tests and
    /// examples.
    #[must_use]
    pub fn local(kind: BackendKind, uid: impl Into<String>, dir: impl Into<PathBuf>) -> Self {
        let max_parallelism = crate::DEFAULT_MAX_PARALLELISM;
        Self {
            kind,
            uid: uid.into(),
            dir: dir.into(),
            max_parallelism,
            key_groups: KeyGroupRange::of(max_parallelism, 1, 0),
            memory: MemoryBudget::new(64 << 20),
            clock: Arc::new(ManualClock::new(0)),
            background_threads: 1,
        }
    }

    /// [`local`](Self::local) on the heap.
    #[must_use]
    pub fn heap(uid: impl Into<String>, dir: impl Into<PathBuf>) -> Self {
        Self::local(BackendKind::Heap, uid, dir)
    }
}

impl fmt::Debug for BackendConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackendConfig")
            .field("kind", &self.kind)
            .field("uid", &self.uid)
            .field("dir", &self.dir)
            .field("max_parallelism", &self.max_parallelism)
            .field("key_groups", &self.key_groups)
            .finish_non_exhaustive()
    }
}

/// Whoever can lead to the backend of the current key: the backend itself, an operator's context.
pub trait KeyedContext<K: Key> {
    /// The backend.
    fn backend(&mut self) -> &mut KeyedStateBackend<K>;
}

impl<K: Key> KeyedContext<K> for KeyedStateBackend<K> {
    #[inline]
    fn backend(&mut self) -> &mut Self {
        self
    }
}

/// Which of a backend's states a handle means; 0 is none.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct SlotId(u32);

struct Slot<K> {
    type_id: TypeId,
    table: Box<dyn Table<K>>,
}

/// The keyed state of one operator on one worker thread.
///
/// States are asked for by descriptor, once, in the operator's `open`; what is returned is a small
/// handle with which the state of the current key is read and written.
pub struct KeyedStateBackend<K: Key> {
    /// Before the store that the tables' threads may be reading.
    slots: Vec<Slot<K>>,
    pub(crate) core: Core<K>,
    pub(crate) names: HashMap<String, SlotId>,
    pub(crate) restored: Restored,
    /// Event time, processing time.
    timers: [TimerService; 2],
    snapshots: u64,
}

/// The timers' tables and their names in errors, in the order of the time domains.
pub(crate) const TIMER_TABLES: [&str; 2] = ["timers/event", "timers/processing"];

/// The name of a state's table in the store.
pub(crate) fn table_name(state: &str) -> String {
    format!("state/{state}")
}

impl<K: Key> KeyedStateBackend<K> {
    /// Opens an empty backend, or one with what was restored: every part that overlaps the key
    /// groups asked for must be given, others may be.
    ///
    /// # Errors
    /// Parts of another max parallelism or that leave a gap, and whatever files and RocksDB fail of.
    pub fn open(config: BackendConfig, restored: Vec<RestoredState>) -> Result<Self> {
        let now = Arc::new(AtomicI64::new(i64::MIN));
        let (store, mut restored) = restore(&config, restored, &now)?;
        let mut core = Core::new(
            config.uid.as_str().into(),
            config.max_parallelism,
            config.key_groups,
            config.memory,
            config.clock,
            now,
            store,
        );
        let mut timers = Vec::with_capacity(2);
        for (name, meta) in TIMER_TABLES.into_iter().zip(restored.timers) {
            let table = core.store.open_table(name)?;
            timers.push(TimerService::new(name, table, core.open_account(), meta));
        }
        let timers = <[TimerService; 2]>::try_from(timers).unwrap_or_else(|_| unreachable!("two domains"));
        let mut backend = Self { core, slots: Vec::new(), names: HashMap::new(), restored, timers, snapshots: 0 };
        if backend.core.store.is_heap() {
            restored = std::mem::take(&mut backend.restored);
            for (name, service) in TIMER_TABLES.into_iter().zip(&mut backend.timers) {
                let raw = restored.take_raw(name);
                for entry in Entries(&raw) {
                    let (key, _) = entry.ok_or_else(|| backend.core.damaged::<K>(name))?;
                    service.load(&mut backend.core, key)?;
                }
                service.loaded();
            }
            backend.restored = restored;
        }
        Ok(backend)
    }

    /// Makes `key` the current key.
    #[inline]
    pub fn set_current_key(&mut self, key: K) {
        self.core.set_key(key);
    }

    /// Gets what the states hold of `key` on its way; see [`set_announced_key`](Self::set_announced_key).
    #[inline]
    pub fn announce(&self, key: &K) -> KeyHash {
        let hash = self.core.hasher.hash(key);
        for slot in &self.slots {
            slot.table.prefetch(hash);
        }
        KeyHash(hash)
    }

    /// Makes `key`, which was announced and got `hash`, the current key.
    #[inline]
    pub fn set_announced_key(&mut self, key: K, hash: KeyHash) {
        self.core.set_hashed_key(key, hash.0);
    }

    /// The current key.
    #[inline]
    pub fn current_key(&self) -> Option<&K> {
        self.core.current_key()
    }

    /// The operator's uid.
    pub fn uid(&self) -> &str {
        &self.core.uid
    }

    /// The key groups owned.
    pub fn key_groups(&self) -> KeyGroupRange {
        self.core.key_groups
    }

    /// States of the snapshot that this job has not asked for (yet). They are carried along.
    pub fn unclaimed_states(&self) -> Vec<String> {
        self.restored.states.iter().map(|state| state.name.clone()).collect()
    }

    /// Sets an event-time timer for the current key; setting it twice is setting it once.
    ///
    /// # Errors
    /// No current key, or the store cannot be written.
    pub fn register_event_time_timer(&mut self, time: i64) -> Result<()> {
        self.timers[0].register(&mut self.core, time)
    }

    /// Deletes an event-time timer of the current key, if there is one.
    ///
    /// # Errors
    /// As [`register_event_time_timer`](Self::register_event_time_timer).
    pub fn delete_event_time_timer(&mut self, time: i64) -> Result<()> {
        self.timers[0].delete(&mut self.core, time)
    }

    /// Sets a processing-time timer for the current key; setting it twice is setting it once.
    ///
    /// # Errors
    /// As [`register_event_time_timer`](Self::register_event_time_timer).
    pub fn register_processing_time_timer(&mut self, time: i64) -> Result<()> {
        self.timers[1].register(&mut self.core, time)
    }

    /// Deletes a processing-time timer of the current key, if there is one.
    ///
    /// # Errors
    /// As [`register_event_time_timer`](Self::register_event_time_timer).
    pub fn delete_processing_time_timer(&mut self, time: i64) -> Result<()> {
        self.timers[1].delete(&mut self.core, time)
    }

    /// Takes the first event-time timer that is not after `up_to` and makes its key the current
    /// one. Timers come in the order of time, then key group, then the key's bytes.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn pop_event_time_timer(&mut self, up_to: i64) -> Result<Option<(i64, K)>> {
        self.pop(0, up_to)
    }

    /// As [`pop_event_time_timer`](Self::pop_event_time_timer), for processing time.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn pop_processing_time_timer(&mut self, up_to: i64) -> Result<Option<(i64, K)>> {
        self.pop(1, up_to)
    }

    /// The first event-time timer's time.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn next_event_time_timer(&mut self) -> Result<Option<i64>> {
        self.timers[0].next(&mut self.core)
    }

    /// The first processing-time timer's time.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn next_processing_time_timer(&mut self) -> Result<Option<i64>> {
        self.timers[1].next(&mut self.core)
    }

    fn pop(&mut self, domain: usize, up_to: i64) -> Result<Option<(i64, K)>> {
        let Some((time, key)) = self.timers[domain].pop(&mut self.core, up_to)? else {
            return Ok(None);
        };
        self.core.set_key(key.clone());
        Ok(Some((time, key)))
    }

    /// Writes everything dirty to the store. A no-op on the heap.
    ///
    /// # Errors
    /// A value cannot be serialized, or the store cannot be written.
    pub fn flush(&mut self) -> Result<()> {
        for slot in &mut self.slots {
            slot.table.flush(&mut self.core)?;
        }
        for timers in &mut self.timers {
            timers.flush(&mut self.core)?;
        }
        Ok(())
    }

    /// Writes everything dirty to the store and gives the caches' memory back. A no-op on the heap.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    pub fn evict(&mut self) -> Result<()> {
        for slot in &mut self.slots {
            slot.table.evict(&mut self.core)?;
        }
        for timers in &mut self.timers {
            timers.evict(&mut self.core)?;
        }
        Ok(())
    }

    /// Asks the store to compact everything now. Results never depend on it.
    ///
    /// # Errors
    /// The store fails.
    pub fn compact(&mut self) -> Result<()> {
        self.core.now();
        self.core.store.compact()
    }

    /// The synchronous part of a checkpoint: flushes, and makes `dir` (which must not exist) a
    /// directory of the snapshot's files, hard-linked where they never change.
    ///
    /// # Errors
    /// As [`flush`](Self::flush), and what files fail of.
    pub fn snapshot(&mut self, dir: &Path) -> Result<StateSnapshot> {
        self.flush()?;
        self.snapshots += 1;
        let (kind, database, files, sections) = if self.core.store.is_heap() {
            let (files, sections) = self.write_heap(dir)?;
            (BackendKind::Heap, String::new(), files, sections)
        } else {
            let (database, files) = self.core.store.checkpoint(dir)?;
            (BackendKind::RocksDb, database, files, Vec::new())
        };
        let mut states: Vec<StateMeta> = self.slots.iter().map(|slot| slot.table.meta()).collect();
        states.extend(self.restored.states.iter().cloned());
        states.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(StateSnapshot {
            kind,
            uid: self.core.uid.to_string(),
            key_groups: self.core.key_groups,
            max_parallelism: self.core.max_parallelism,
            database,
            files,
            states,
            sections,
            timers: [self.timers[0].meta(), self.timers[1].meta()],
        })
    }

    fn write_heap(&mut self, dir: &Path) -> Result<(Vec<crate::SnapshotFile>, Vec<crate::HeapSection>)> {
        use crate::error::IoContext;
        std::fs::create_dir(dir).context("create", dir)?;
        let mut writer = crate::heap_file::HeapWriter::create(dir)?;
        let width = self.core.width;
        let core = &mut self.core;
        let mut run = std::mem::take(&mut core.run);
        for slot in &self.slots {
            run.clear();
            slot.table.dump(core, &mut run)?;
            if run.bytes() > crate::run::RUN_LIMIT {
                return Err(Error::TooLarge {
                    uid: core.uid.to_string(),
                    what: format!("heap state `{}`", slot.table.meta().name),
                    limit: crate::run::RUN_LIMIT as u64,
                    advice: "use the RocksDB backend",
                });
            }
            fail::fail_point!("state-flush", |_| Err(Error::Failpoint("state-flush")));
            writer.add(&table_name(&slot.table.meta().name), &mut run, width)?;
        }
        for (name, timers) in TIMER_TABLES.into_iter().zip(&self.timers) {
            run.clear();
            timers.dump(width, &mut run);
            writer.add(name, &mut run, width)?;
        }
        for (name, raw) in &self.restored.raw {
            writer.add_raw(name, raw, width)?;
        }
        run.clear();
        run.shrink(1 << 20);
        core.run = run;
        writer.finish()
    }

    /// Counters and gauges.
    pub fn stats(&self) -> BackendStats {
        let counters = self.core.counters;
        let mut stats = BackendStats {
            flushes: counters.flushes,
            flushed_entries: counters.flushed_entries,
            flushed_bytes: counters.flushed_bytes,
            evicted: counters.evicted,
            store_reads: counters.store_reads,
            store_hits: counters.store_hits,
            ..BackendStats::default()
        };
        for slot in &self.slots {
            slot.table.stats(&mut stats);
        }
        for timers in &self.timers {
            timers.stats(&mut stats);
        }
        self.core.store.stats(&mut stats);
        stats
    }

    /// The table behind a handle.
    #[inline]
    pub(crate) fn table<T: Table<K>>(&mut self, slot: SlotId) -> Result<(&mut Core<K>, &mut T)> {
        match self.slots.get_mut((slot.0 as usize).wrapping_sub(1)) {
            Some(slot) if slot.type_id == TypeId::of::<T>() => {
                let table: *mut dyn Table<K> = &raw mut *slot.table;
                // SAFETY: the slot was made from a `Box<T>` with the type id of that T, which is
                // never changed; the pointer comes from a unique borrow that lives as long as the
                // one returned.
                Ok((&mut self.core, unsafe { &mut *table.cast::<T>() }))
            }
            _ => Err(self.unknown_handle()),
        }
    }

    #[cold]
    fn unknown_handle(&self) -> Error {
        Error::UnknownHandle { uid: self.core.uid.to_string() }
    }

    pub(crate) fn add_slot<T: Table<K>>(&mut self, name: String, table: T) -> SlotId {
        self.slots.push(Slot { type_id: TypeId::of::<T>(), table: Box::new(table) });
        let slot = SlotId(self.slots.len() as u32);
        self.names.insert(name, slot);
        slot
    }

    /// The slot of a name that is taken, if it is by the same state.
    pub(crate) fn registered<T: Table<K>>(&self, declared: &StateMeta) -> Result<Option<SlotId>> {
        let Some(slot) = self.names.get(&declared.name).copied() else {
            return Ok(None);
        };
        let found = &self.slots[slot.0 as usize - 1];
        let meta = found.table.meta();
        let same = found.type_id == TypeId::of::<T>()
            && (meta.kind, meta.version, meta.ttl) == (declared.kind, declared.version, declared.ttl);
        if same {
            return Ok(Some(slot));
        }
        Err(Error::StateNameTaken {
            uid: self.core.uid.to_string(),
            state: declared.name.clone(),
            registered: meta.to_string(),
            requested: declared.to_string(),
        })
    }

    /// The table of a slot, without its type.
    pub(crate) fn slot_table(&mut self, slot: SlotId) -> (&mut Core<K>, &mut dyn Table<K>) {
        (&mut self.core, &mut *self.slots[slot.0 as usize - 1].table)
    }
}

impl<K: Key> fmt::Debug for KeyedStateBackend<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedStateBackend")
            .field("uid", &self.core.uid)
            .field("key_groups", &self.core.key_groups)
            .field("states", &self.names.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}
