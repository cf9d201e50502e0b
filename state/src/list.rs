//! List state: elements a key, in the order in which they were added.
//!
//! Adding never reads: elements added to a list that is not in memory are kept apart and appended
//! in the store (a merge), so that a list costs what is added, not what is there.
//!
//! ```
//! use hurtig_state::*;
//! # fn main() -> Result<()> {
//! # let dir = tempfile::tempdir().map_err(|_| ()).unwrap();
//! let mut backend = KeyedStateBackend::<i64>::open(BackendConfig::heap("buffer", dir.path()), vec![])?;
//! let readings = backend.list_state(ListStateDescriptor::<f64>::new("readings"))?;
//! backend.set_current_key(7);
//! readings.add(&mut backend, 1.5)?;
//! readings.add_all(&mut backend, [2.5, 3.5])?;
//! assert_eq!(readings.get(&mut backend)?, [1.5, 2.5, 3.5]);
//! # Ok(())
//! # }
//! ```

use std::fmt;
use std::marker::PhantomData;

use hashbrown::HashTable;

use crate::announce::prefetch_entry;
use crate::backend::{KeyedContext, SlotId};
use crate::core::Core;
use crate::descriptor::UpdateType;
use crate::encoding::{append, append_varint, read, split_element, take};
use crate::run::{Op, Run};
use crate::snapshot::StateMeta;
use crate::stats::BackendStats;
use crate::table::{Base, FIRST_CAPACITY, Flags, Table, capacity, grown, sweep, tidy};
use crate::value_table::decode_error;
use crate::{Key, Result, StateTtlConfig, StateValue};

/// A handle to a list state: small, `Copy`, and good only with the backend that made it.
pub struct ListState<V> {
    slot: SlotId,
    value: PhantomData<fn() -> V>,
}

impl<V: StateValue> ListState<V> {
    pub(crate) fn new(slot: SlotId) -> Self {
        Self { slot, value: PhantomData }
    }

    /// The current key's elements.
    ///
    /// # Errors
    /// Wrong handle, no current key, or the store cannot be read.
    pub fn get<'a, K: Key>(&self, ctx: &'a mut impl KeyedContext<K>) -> Result<&'a [V]> {
        let (core, table) = ctx.backend().table::<ListTable<K, V>>(self.slot)?;
        table.get(core)
    }

    /// Appends one element.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn add<K: Key>(&self, ctx: &mut impl KeyedContext<K>, value: V) -> Result<()> {
        let (core, table) = ctx.backend().table::<ListTable<K, V>>(self.slot)?;
        table.add_all(core, std::iter::once(value))
    }

    /// Appends several elements.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn add_all<K: Key>(&self, ctx: &mut impl KeyedContext<K>, values: impl IntoIterator<Item = V>) -> Result<()> {
        let (core, table) = ctx.backend().table::<ListTable<K, V>>(self.slot)?;
        table.add_all(core, values.into_iter())
    }

    /// Replaces the list; an empty one is as if cleared.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn update<K: Key>(&self, ctx: &mut impl KeyedContext<K>, values: impl IntoIterator<Item = V>) -> Result<()> {
        let (core, table) = ctx.backend().table::<ListTable<K, V>>(self.slot)?;
        table.clear(core)?;
        table.add_all(core, values.into_iter())
    }

    /// Removes the current key's list.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn clear<K: Key>(&self, ctx: &mut impl KeyedContext<K>) -> Result<()> {
        let (core, table) = ctx.backend().table::<ListTable<K, V>>(self.slot)?;
        table.clear(core)
    }
}

impl<V> Clone for ListState<V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<V> Copy for ListState<V> {}

impl<V> Default for ListState<V> {
    fn default() -> Self {
        Self { slot: SlotId::default(), value: PhantomData }
    }
}

impl<V> fmt::Debug for ListState<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ListState({:?})", self.slot)
    }
}

struct Entry<K, V> {
    key: K,
    items: Vec<V>,
    /// As many as there are items where there is a time to live, else none.
    stamps: Vec<i64>,
    /// How many of the items, from the front, the store has.
    persisted: usize,
    /// Whether the items are the whole list; else the store has earlier ones.
    loaded: bool,
    /// Whether what the store has must be replaced, not appended to.
    rewrite: bool,
    flags: Flags,
}

impl<K, V> Entry<K, V> {
    fn drop_expired(&mut self, ttl: StateTtlConfig, now: i64) {
        if !self.stamps.iter().any(|stamp| ttl.expired(*stamp, now)) {
            return;
        }
        let dead: Vec<bool> = self.stamps.iter().map(|stamp| ttl.expired(*stamp, now)).collect();
        self.persisted -= dead.iter().take(self.persisted).filter(|dead| **dead).count();
        let mut alive = dead.iter().map(|dead| !dead);
        self.items.retain(|_| alive.next().unwrap_or(true));
        self.stamps.retain(|stamp| !ttl.expired(*stamp, now));
    }
}

pub(crate) struct ListTable<K, V> {
    base: Base,
    entries: HashTable<Entry<K, V>>,
    /// Bytes that the lists allocate.
    items_bytes: usize,
    dirty_max: usize,
}

impl<K: Key, V: StateValue> ListTable<K, V> {
    pub(crate) fn new(base: Base) -> Self {
        Self { base, entries: HashTable::new(), items_bytes: 0, dirty_max: FIRST_CAPACITY }
    }

    fn get(&mut self, core: &mut Core<K>) -> Result<&[V]> {
        let Some(bucket) = self.locate(core)? else {
            return Ok(&[]);
        };
        if let Some(ttl) = self.base.ttl {
            let now = core.now();
            let Some(entry) = self.entries.get_bucket_mut(bucket) else {
                return Ok(&[]);
            };
            entry.drop_expired(ttl, now);
            if ttl.update_on == UpdateType::OnReadAndWrite && !entry.items.is_empty() {
                entry.stamps.fill(now);
                entry.rewrite = true;
                self.mark_dirty(core, bucket);
            }
        }
        Ok(self.entries.get_bucket(bucket).map_or(&[], |entry| &entry.items))
    }

    fn add_all(&mut self, core: &mut Core<K>, values: impl Iterator<Item = V>) -> Result<()> {
        let mut values = values.peekable();
        if values.peek().is_none() {
            return Ok(());
        }
        let bucket = match self.find(core)? {
            Some(bucket) => bucket,
            None => {
                let loaded = !self.base.may_be_stored(core.hash());
                self.insert(core, Vec::new(), Vec::new(), loaded)?
            }
        };
        let stamp = self.base.ttl.map(|_| core.now());
        if let Some(entry) = self.entries.get_bucket_mut(bucket) {
            let before = entry.items.capacity();
            entry.items.extend(values);
            if let Some(stamp) = stamp {
                entry.stamps.resize(entry.items.len(), stamp);
            }
            self.items_bytes += (entry.items.capacity() - before) * size_of::<V>();
        }
        self.mark_dirty(core, bucket);
        Ok(())
    }

    fn clear(&mut self, core: &mut Core<K>) -> Result<()> {
        let found = self.find(core)?;
        // Not before: finding may flush, and then the store has it.
        let stored = self.base.may_be_stored(core.hash()) && !core.store.is_heap();
        match found {
            Some(bucket) if stored => {
                if let Some(entry) = self.entries.get_bucket_mut(bucket) {
                    entry.items.clear();
                    entry.stamps.clear();
                    (entry.persisted, entry.loaded, entry.rewrite) = (0, true, true);
                }
                self.mark_dirty(core, bucket);
            }
            Some(_) => {
                let key = core.key()?;
                if let Ok(found) = self.entries.find_entry(core.hash(), |entry| entry.key == *key) {
                    let (entry, _) = found.remove();
                    self.base.dirty = self.base.dirty.saturating_sub(usize::from(entry.flags.dirty()));
                    self.items_bytes -= (entry.items.capacity() * size_of::<V>()).min(self.items_bytes);
                }
            }
            None if stored => {
                let bucket = self.insert(core, Vec::new(), Vec::new(), true)?;
                if let Some(entry) = self.entries.get_bucket_mut(bucket) {
                    entry.rewrite = true;
                }
                self.mark_dirty(core, bucket);
            }
            None => {}
        }
        Ok(())
    }

    fn find(&mut self, core: &mut Core<K>) -> Result<Option<usize>> {
        if self.base.pressure {
            self.relieve(core)?;
        }
        let key = core.key()?;
        let bucket = self.entries.find_bucket_index(core.hash(), |entry| entry.key == *key);
        if let Some(entry) = bucket.and_then(|bucket| self.entries.get_bucket_mut(bucket)) {
            entry.flags.touch();
        }
        Ok(bucket)
    }

    /// The current key's whole list, loaded if need be.
    fn locate(&mut self, core: &mut Core<K>) -> Result<Option<usize>> {
        let bucket = match self.find(core)? {
            Some(bucket) => bucket,
            None if self.base.may_be_stored(core.hash()) && !core.store.is_heap() => {
                let Some((items, stamps)) = self.fetch(core)? else {
                    return Ok(None);
                };
                let persisted = items.len();
                let bucket = self.insert(core, items, stamps, true)?;
                if let Some(entry) = self.entries.get_bucket_mut(bucket) {
                    entry.persisted = persisted;
                }
                return Ok(Some(bucket));
            }
            None => return Ok(None),
        };
        if self.entries.get_bucket(bucket).is_some_and(|entry| !entry.loaded) {
            let (mut items, mut stamps) = self.fetch(core)?.unwrap_or_default();
            if let Some(entry) = self.entries.get_bucket_mut(bucket) {
                let persisted = items.len();
                items.extend(entry.items.drain(entry.persisted..));
                stamps.extend(entry.stamps.drain(entry.persisted.min(entry.stamps.len())..));
                self.items_bytes += items.capacity() * size_of::<V>();
                self.items_bytes -= (entry.items.capacity() * size_of::<V>()).min(self.items_bytes);
                (entry.items, entry.stamps) = (items, stamps);
                (entry.persisted, entry.loaded) = (persisted, true);
            }
        }
        Ok(Some(bucket))
    }

    #[allow(clippy::type_complexity)]
    fn fetch(&mut self, core: &mut Core<K>) -> Result<Option<(Vec<V>, Vec<i64>)>> {
        let mut stored = std::mem::take(&mut core.scratch);
        stored.clear();
        let state = &self.base.meta.name;
        core.append_key(state, core.key()?, &mut stored)?;
        let ttl = self.base.ttl;
        let now = ttl.map_or(0, |_| core.now());
        let uid = core.uid.clone();
        let found = core.read_store(self.base.table, &stored, |bytes| {
            decode_list::<V>(ttl, now, bytes).map_err(|source| decode_error::<V>(&uid, state, source))
        });
        core.scratch = stored;
        found
    }

    fn insert(&mut self, core: &mut Core<K>, items: Vec<V>, stamps: Vec<i64>, loaded: bool) -> Result<usize> {
        if self.entries.len() == self.entries.capacity() {
            self.make_room(core)?;
        }
        self.items_bytes += items.capacity() * size_of::<V>();
        let entry = Entry {
            key: core.key()?.clone(),
            items,
            stamps,
            persisted: 0,
            loaded,
            rewrite: false,
            flags: Flags::default(),
        };
        let hasher = core.hasher;
        Ok(self.entries.insert_unique(core.hash(), entry, |entry| hasher.hash(&entry.key)).bucket_index())
    }

    fn mark_dirty(&mut self, core: &Core<K>, bucket: usize) {
        let Some(entry) = self.entries.get_bucket_mut(bucket) else {
            return;
        };
        if entry.flags.set_dirty() {
            self.base.dirty += 1;
            self.base.pressure |= self.base.dirty >= self.dirty_max;
        }
        // Lists own memory whatever their elements are.
        if self.base.sizer.due::<Vec<V>>() {
            self.sample(core, bucket);
        }
    }

    #[cold]
    fn sample(&mut self, core: &Core<K>, bucket: usize) {
        let Some(entry) = self.entries.get_bucket(bucket) else {
            return;
        };
        let mut bytes = Vec::new();
        if std::mem::needs_drop::<V>()
            && let Some(last) = entry.items.last()
            && append(last, &mut bytes).is_ok()
        {
            let one = bytes.len().saturating_sub(size_of::<V>()) * entry.items.len();
            self.base.sizer.sample(one, 0);
        }
        self.settle(core);
        self.base.pressure |= self.base.account.overdrawn();
    }

    fn settle(&mut self, core: &Core<K>) {
        self.base.settle(self.entries.allocation_size() + self.items_bytes, self.entries.len());
        let average = self.items_bytes / self.entries.len().max(1);
        self.dirty_max = if core.store.is_heap() {
            usize::MAX
        } else {
            self.base.dirty_max(core.dirty_limit(), size_of::<Entry<K, V>>() + average)
        };
    }

    #[cold]
    fn relieve(&mut self, core: &mut Core<K>) -> Result<()> {
        self.base.pressure = false;
        self.settle(core);
        if core.store.is_heap() {
            Ok(())
        } else if self.base.must_shrink() {
            self.shrink(core)
        } else if self.base.dirty >= self.dirty_max {
            self.flush(core)
        } else {
            Ok(())
        }
    }

    #[cold]
    fn make_room(&mut self, core: &mut Core<K>) -> Result<()> {
        self.base.refresh_membership(|| core.now());
        self.settle(core);
        if core.store.is_heap() {
            self.drop_expired(core);
        }
        let hasher = core.hasher;
        if tidy(&mut self.entries, |entry| hasher.hash(&entry.key)) {
            return Ok(());
        }
        let allocated = self.entries.allocation_size();
        let wanted = grown(allocated, size_of::<Entry<K, V>>());
        let held = self.base.account.held();
        if !self.base.must_shrink() && self.base.account.try_resize(held + wanted, held - allocated + wanted) {
            let more = self.entries.len().max(FIRST_CAPACITY);
            self.entries.reserve(more, |entry| hasher.hash(&entry.key));
            self.settle(core);
            return Ok(());
        }
        if self.base.must_shrink() {
            return self.shrink(core);
        }
        self.flush(core)?;
        let gone = sweep(&mut self.entries, |entry| &mut entry.flags, |entry| hasher.hash(&entry.key));
        core.counters.evicted += gone as u64;
        self.items_bytes = self.entries.iter().map(|entry| entry.items.capacity() * size_of::<V>()).sum();
        self.settle(core);
        Ok(())
    }

    fn shrink(&mut self, core: &mut Core<K>) -> Result<()> {
        self.flush(core)?;
        core.counters.evicted += self.entries.len() as u64;
        let capacity = capacity(&self.entries);
        self.entries = HashTable::with_capacity((capacity / 2).max(FIRST_CAPACITY));
        self.items_bytes = 0;
        self.settle(core);
        Ok(())
    }

    fn drop_expired(&mut self, core: &Core<K>) {
        let Some(ttl) = self.base.ttl else { return };
        let now = core.now();
        self.entries.retain(|entry| entry.stamps.iter().any(|stamp| !ttl.expired(*stamp, now)));
    }

    /// Appends the elements from `from` on.
    fn append_items(
        &self,
        core: &Core<K>,
        entry: &Entry<K, V>,
        from: usize,
        scratch: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        for (i, item) in entry.items.iter().enumerate().skip(from) {
            scratch.clear();
            append(item, scratch).map_err(|source| core.encode_error(&self.base.meta.name, source))?;
            if let Some(stamp) = entry.stamps.get(i) {
                out.extend_from_slice(&stamp.to_le_bytes());
            }
            append_varint(scratch.len(), out);
            out.extend_from_slice(scratch);
        }
        Ok(())
    }
}

/// The elements that are alive, with their times.
#[allow(clippy::type_complexity)]
fn decode_list<V: StateValue>(
    ttl: Option<StateTtlConfig>,
    now: i64,
    mut bytes: &[u8],
) -> postcard::Result<(Vec<V>, Vec<i64>)> {
    let (mut items, mut stamps) = (Vec::new(), Vec::new());
    while !bytes.is_empty() {
        let (element, rest) = split_element(bytes, ttl.is_some()).ok_or(postcard::Error::DeserializeUnexpectedEnd)?;
        bytes = rest;
        if let Some(ttl) = ttl {
            if ttl.expired(element.stamp, now) {
                continue;
            }
            stamps.push(element.stamp);
        }
        items.push(read(element.bytes)?);
    }
    Ok((items, stamps))
}

impl<K: Key, V: StateValue> Table<K> for ListTable<K, V> {
    fn meta(&self) -> StateMeta {
        self.base.meta.clone()
    }

    fn flush(&mut self, core: &mut Core<K>) -> Result<()> {
        if core.store.is_heap() || self.base.dirty == 0 {
            self.base.dirty = 0;
            return Ok(());
        }
        self.base.refresh_membership(|| core.now());
        let limit = core.run_limit();
        let mut run = std::mem::take(&mut core.run);
        let mut scratch = std::mem::take(&mut core.scratch);
        run.clear();
        let mut entries = std::mem::take(&mut self.entries);
        for entry in &mut entries {
            if !entry.flags.dirty() {
                continue;
            }
            entry.flags.clean();
            let hash = core.hasher.hash(&entry.key);
            let whole = entry.loaded && (entry.rewrite || entry.persisted == 0);
            if entry.items.is_empty() && !(whole && self.base.may_be_stored(hash)) {
                continue;
            }
            core.append_key(&self.base.meta.name, &entry.key, run.buffer())?;
            let key = run.key_len();
            if entry.items.is_empty() {
                run.push(Op::Delete, key);
            } else {
                let from = if whole { 0 } else { entry.persisted };
                self.append_items(core, entry, from, &mut scratch, run.buffer())?;
                run.push(if whole { Op::Put } else { Op::Merge }, key);
                self.base.remember(hash, entry.stamps.iter().copied().max().unwrap_or(0));
            }
            (entry.persisted, entry.rewrite) = (entry.items.len(), false);
            if run.size() > limit {
                core.write_run(self.base.table, &mut run)?;
            }
        }
        self.entries = entries;
        core.write_run(self.base.table, &mut run)?;
        run.shrink(1 << 20);
        (core.run, core.scratch) = (run, scratch);
        self.base.dirty = 0;
        self.settle(core);
        Ok(())
    }

    fn evict(&mut self, core: &mut Core<K>) -> Result<()> {
        if core.store.is_heap() { Ok(()) } else { self.shrink(core) }
    }

    fn dump(&self, core: &Core<K>, run: &mut Run) -> Result<()> {
        let mut scratch = Vec::new();
        for entry in self.entries.iter().filter(|entry| !entry.items.is_empty()) {
            core.append_key(&self.base.meta.name, &entry.key, run.buffer())?;
            let key = run.key_len();
            self.append_items(core, entry, 0, &mut scratch, run.buffer())?;
            run.push(Op::Put, key);
        }
        Ok(())
    }

    fn load(&mut self, core: &mut Core<K>, key: &[u8], value: &[u8]) -> Result<()> {
        let name = &self.base.meta.name;
        let (key, _) = take::<K>(key).map_err(|source| core.decode_error::<K>(name, source))?;
        let now = self.base.ttl.map_or(0, |_| core.now());
        let (items, stamps) =
            decode_list::<V>(self.base.ttl, now, value).map_err(|source| core.decode_error::<V>(name, source))?;
        core.set_key(key);
        self.insert(core, items, stamps, true)?;
        Ok(())
    }

    #[inline]
    fn prefetch(&self, hash: u64) {
        prefetch_entry(&self.entries, hash);
        self.base.membership.prefetch(hash);
    }

    fn stats(&self, stats: &mut BackendStats) {
        stats.cached += self.entries.len() as u64;
        stats.dirty += self.base.dirty as u64;
        stats.bytes += self.base.account.held() as u64;
        stats.filter_keys += self.base.membership.keys() as u64;
        stats.filter_bytes += self.base.membership.memory() as u64;
    }
}
