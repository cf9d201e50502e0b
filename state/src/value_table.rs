//! The table behind [`ValueState`](crate::ValueState), and with a function beside it behind reducing
//! and aggregating state. Stored as `[group][key] → [stamp?][value]`.

use hashbrown::HashTable;

use crate::announce::prefetch_entry;
use crate::core::Core;
use crate::descriptor::{AggregateFunction, UpdateType};
use crate::encoding::{append, read, split_stamp, take};
use crate::run::{Op, Run};
use crate::snapshot::StateMeta;
use crate::stats::BackendStats;
use crate::table::{Base, FIRST_CAPACITY, Flags, Table, capacity, grown, sweep, tidy};
use crate::{Key, Result, StateValue};

struct Entry<K, V> {
    key: K,
    /// `None`: known not to be there (a tombstone while dirty).
    value: Option<V>,
    stamp: i64,
    flags: Flags,
}

/// One value a key, and `X` beside it (what a reducing or aggregating state computes with).
pub(crate) struct ValueTable<K, V, X> {
    pub(crate) extra: X,
    base: Base,
    entries: HashTable<Entry<K, V>>,
    /// The bucket of the key of this epoch; `usize::MAX`: neither here nor in the store.
    memo: (u64, usize),
    dirty_max: usize,
}

const NOWHERE: usize = usize::MAX;

impl<K: Key, V: StateValue, X: 'static> ValueTable<K, V, X> {
    pub(crate) fn new(base: Base, extra: X) -> Self {
        Self { extra, base, entries: HashTable::new(), memo: (0, NOWHERE), dirty_max: FIRST_CAPACITY }
    }

    #[inline]
    pub(crate) fn get(&mut self, core: &mut Core<K>) -> Result<Option<&V>> {
        let Some(bucket) = self.locate(core)? else {
            return Ok(None);
        };
        if self.base.ttl.is_some() && !self.read_touch(core, bucket) {
            return Ok(None);
        }
        Ok(self.entries.get_bucket(bucket).and_then(|entry| entry.value.as_ref()))
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, core: &mut Core<K>) -> Result<Option<&mut V>> {
        let Some(bucket) = self.locate(core)? else {
            return Ok(None);
        };
        if !self.is_live(core, bucket) {
            return Ok(None);
        }
        self.mark_dirty(core, bucket);
        Ok(self.entries.get_bucket_mut(bucket).and_then(|entry| entry.value.as_mut()))
    }

    #[inline]
    pub(crate) fn get_or_insert_with(&mut self, core: &mut Core<K>, make: impl FnOnce() -> V) -> Result<&mut V> {
        let bucket = self.for_update(core)?;
        match self.entries.get_bucket_mut(bucket) {
            Some(entry) => Ok(entry.value.get_or_insert_with(make)),
            None => Err(core.damaged::<V>(&self.base.meta.name)),
        }
    }

    /// Overwrites without reading the store.
    #[inline]
    pub(crate) fn set(&mut self, core: &mut Core<K>, value: V) -> Result<()> {
        match self.find(core)? {
            Some(bucket) => {
                if let Some(entry) = self.entries.get_bucket_mut(bucket) {
                    entry.value = Some(value);
                }
                self.mark_dirty(core, bucket);
            }
            None => {
                self.insert(core, Some(value), true)?;
            }
        }
        Ok(())
    }

    #[inline]
    pub(crate) fn clear(&mut self, core: &mut Core<K>) -> Result<()> {
        match self.find(core)? {
            Some(bucket) => {
                if let Some(entry) = self.entries.get_bucket_mut(bucket) {
                    entry.value = None;
                }
                if core.store.is_heap() {
                    self.remove(core);
                } else {
                    self.mark_dirty(core, bucket);
                }
            }
            None if self.base.may_be_stored(core.hash()) => {
                self.insert(core, None, true)?;
            }
            None => {}
        }
        Ok(())
    }

    /// Replaces the current key's value by what `fold` makes of it.
    #[inline]
    pub(crate) fn fold(&mut self, core: &mut Core<K>, fold: impl FnOnce(Option<V>) -> V) -> Result<()> {
        let bucket = self.for_update(core)?;
        if let Some(entry) = self.entries.get_bucket_mut(bucket) {
            entry.value = Some(fold(entry.value.take()));
        }
        Ok(())
    }

    /// The current key's bucket, about to be changed; empty if it has expired.
    #[inline]
    fn for_update(&mut self, core: &mut Core<K>) -> Result<usize> {
        let Some(bucket) = self.locate(core)? else {
            return self.insert(core, None, true);
        };
        if !self.is_live(core, bucket)
            && let Some(entry) = self.entries.get_bucket_mut(bucket)
        {
            entry.value = None;
        }
        self.mark_dirty(core, bucket);
        Ok(bucket)
    }

    /// The current key's bucket, if it is in memory.
    #[inline]
    fn find(&mut self, core: &mut Core<K>) -> Result<Option<usize>> {
        if self.base.pressure {
            self.relieve(core)?;
        }
        if self.memo.0 == core.epoch() {
            return Ok((self.memo.1 != NOWHERE).then_some(self.memo.1));
        }
        let key = core.key()?;
        let bucket = self.entries.find_bucket_index(core.hash(), |entry| entry.key == *key);
        if let Some(bucket) = bucket {
            self.memo = (core.epoch(), bucket);
            if let Some(entry) = self.entries.get_bucket_mut(bucket)
                && !entry.flags.touched()
            {
                entry.flags.touch();
            }
        }
        Ok(bucket)
    }

    /// The current key's bucket, loaded from the store if need be.
    #[inline]
    fn locate(&mut self, core: &mut Core<K>) -> Result<Option<usize>> {
        if let Some(bucket) = self.find(core)? {
            return Ok(Some(bucket));
        }
        if self.memo.0 == core.epoch() {
            return Ok(None);
        }
        if self.base.may_be_stored(core.hash()) && !core.store.is_heap() {
            return self.fetch(core);
        }
        self.memo = (core.epoch(), NOWHERE);
        Ok(None)
    }

    #[inline(never)]
    fn fetch(&mut self, core: &mut Core<K>) -> Result<Option<usize>> {
        let mut stored = std::mem::take(&mut core.scratch);
        stored.clear();
        let state = &self.base.meta.name;
        core.append_key(state, core.key()?, &mut stored)?;
        let ttl = self.base.ttl.is_some();
        let uid = &*core.uid.clone();
        let found = core.read_store(self.base.table, &stored, |bytes| {
            decode_value::<V>(ttl, bytes).map_err(|source| decode_error::<V>(uid, state, source))
        });
        core.scratch = stored;
        match found? {
            Some((stamp, value)) => {
                let bucket = self.insert(core, Some(value), false)?;
                if let Some(entry) = self.entries.get_bucket_mut(bucket) {
                    entry.stamp = stamp;
                }
                Ok(Some(bucket))
            }
            None => {
                self.memo = (core.epoch(), NOWHERE);
                Ok(None)
            }
        }
    }

    /// Adds the current key, which must not be in memory.
    fn insert(&mut self, core: &mut Core<K>, value: Option<V>, dirty: bool) -> Result<usize> {
        if self.entries.len() == self.entries.capacity() {
            self.make_room(core)?;
        }
        let entry = Entry {
            key: core.key()?.clone(),
            value,
            stamp: if self.base.ttl.is_some() { core.now() } else { 0 },
            flags: Flags::new(dirty),
        };
        let hasher = core.hasher;
        let bucket = self.entries.insert_unique(core.hash(), entry, |entry| hasher.hash(&entry.key)).bucket_index();
        self.memo = (core.epoch(), bucket);
        if dirty {
            self.count_dirty(core, bucket);
        }
        Ok(bucket)
    }

    #[inline]
    fn count_dirty(&mut self, core: &Core<K>, bucket: usize) {
        self.base.dirty += 1;
        self.base.pressure |= self.base.dirty >= self.dirty_max;
        if self.base.sizer.due::<(K, V)>() {
            self.sample(core, bucket);
        }
    }

    /// For the heap, which keeps no tombstones.
    fn remove(&mut self, core: &mut Core<K>) {
        if let (Ok(key), hash) = (core.key(), core.hash())
            && let Ok(entry) = self.entries.find_entry(hash, |entry| entry.key == *key)
        {
            entry.remove();
        }
        self.memo = (core.epoch(), NOWHERE);
    }

    #[inline]
    fn mark_dirty(&mut self, core: &Core<K>, bucket: usize) {
        let Some(entry) = self.entries.get_bucket_mut(bucket) else {
            return;
        };
        if self.base.ttl.is_some() {
            entry.stamp = core.now();
        }
        if entry.flags.set_dirty() {
            self.count_dirty(core, bucket);
        } else if self.base.sizer.due::<V>() {
            self.sample(core, bucket);
        }
    }

    /// False if the value has expired.
    #[inline]
    fn is_live(&self, core: &Core<K>, bucket: usize) -> bool {
        match (self.base.ttl, self.entries.get_bucket(bucket)) {
            (Some(ttl), Some(entry)) => entry.value.is_some() && !ttl.expired(entry.stamp, core.now()),
            (None, Some(entry)) => entry.value.is_some(),
            (_, None) => false,
        }
    }

    /// As [`is_live`](Self::is_live), and a touch where reading counts as one.
    #[inline]
    fn read_touch(&mut self, core: &Core<K>, bucket: usize) -> bool {
        let live = self.is_live(core, bucket);
        if live && self.base.ttl.is_some_and(|ttl| ttl.update_on == UpdateType::OnReadAndWrite) {
            self.mark_dirty(core, bucket);
        }
        live
    }

    #[cold]
    fn sample(&mut self, core: &Core<K>, bucket: usize) {
        let Some(entry) = self.entries.get_bucket(bucket) else {
            return;
        };
        let mut bytes = Vec::new();
        // What cannot be encoded is reported by the flush.
        let _ = append(&entry.key, &mut bytes).and_then(|()| append(&entry.value, &mut bytes));
        self.base.sizer.sample(bytes.len(), size_of::<(K, V)>());
        self.settle(core);
        self.base.pressure |= self.base.account.overdrawn();
    }

    fn settle(&mut self, core: &Core<K>) {
        self.base.settle(self.entries.allocation_size(), self.entries.len());
        self.dirty_max = if core.store.is_heap() {
            usize::MAX
        } else {
            self.base.dirty_max(core.dirty_limit(), size_of::<Entry<K, V>>())
        };
    }

    #[cold]
    fn relieve(&mut self, core: &mut Core<K>) -> Result<()> {
        self.base.pressure = false;
        self.settle(core);
        if core.store.is_heap() {
            return Ok(());
        }
        if self.base.must_shrink() {
            self.shrink(core)
        } else if self.base.dirty >= self.dirty_max {
            self.flush(core)
        } else {
            Ok(())
        }
    }

    /// The table is full: grow it if that is granted, else flush and evict.
    #[cold]
    fn make_room(&mut self, core: &mut Core<K>) -> Result<()> {
        self.memo = (0, NOWHERE);
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
        if self.base.must_shrink() { self.shrink(core) } else { self.spill(core) }
    }

    fn spill(&mut self, core: &mut Core<K>) -> Result<()> {
        self.memo = (0, NOWHERE);
        self.flush(core)?;
        let hasher = core.hasher;
        let gone = sweep(&mut self.entries, |entry| &mut entry.flags, |entry| hasher.hash(&entry.key));
        core.counters.evicted += gone as u64;
        Ok(())
    }

    fn shrink(&mut self, core: &mut Core<K>) -> Result<()> {
        self.memo = (0, NOWHERE);
        self.flush(core)?;
        core.counters.evicted += self.entries.len() as u64;
        let capacity = capacity(&self.entries);
        self.entries = HashTable::with_capacity((capacity / 2).max(FIRST_CAPACITY));
        self.settle(core);
        Ok(())
    }

    fn drop_expired(&mut self, core: &Core<K>) {
        if let Some(ttl) = self.base.ttl {
            let now = core.now();
            self.entries.retain(|entry| !ttl.expired(entry.stamp, now));
        }
    }
}

impl<K: Key, F: AggregateFunction> ValueTable<K, F::Acc, F> {
    #[inline]
    pub(crate) fn aggregate_add(&mut self, core: &mut Core<K>, value: F::In) -> Result<()> {
        let bucket = self.for_update(core)?;
        if let Some(entry) = self.entries.get_bucket_mut(bucket) {
            let accumulator = entry.value.get_or_insert_with(|| self.extra.create_accumulator());
            self.extra.add(accumulator, value);
        }
        Ok(())
    }

    #[inline]
    pub(crate) fn aggregate_result(&mut self, core: &mut Core<K>) -> Result<Option<F::Out>> {
        if self.get(core)?.is_none() {
            return Ok(None);
        }
        let Some(bucket) = self.locate(core)? else {
            return Ok(None);
        };
        let accumulator = self.entries.get_bucket(bucket).and_then(|entry| entry.value.as_ref());
        Ok(accumulator.map(|accumulator| self.extra.get_result(accumulator)))
    }
}

fn decode_value<V: StateValue>(ttl: bool, bytes: &[u8]) -> postcard::Result<(i64, V)> {
    let (stamp, bytes) =
        if ttl { split_stamp(bytes).ok_or(postcard::Error::DeserializeUnexpectedEnd)? } else { (0, bytes) };
    Ok((stamp, read(bytes)?))
}

pub(crate) fn decode_error<V>(uid: &str, state: &str, source: postcard::Error) -> crate::Error {
    crate::Error::Decode { uid: uid.to_owned(), state: state.to_owned(), wanted: std::any::type_name::<V>(), source }
}

impl<K: Key, V: StateValue, X: 'static> Table<K> for ValueTable<K, V, X> {
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
        let now = if self.base.ttl.is_some() { core.now() } else { 0 };
        let mut run = std::mem::take(&mut core.run);
        run.clear();
        // The filter's blocks lie anywhere in megabytes: some are on their way while others are set.
        let mut stored: Vec<(u64, i64)> = Vec::with_capacity(32);
        for entry in &mut self.entries {
            if !entry.flags.dirty() {
                continue;
            }
            entry.flags.clean();
            let hash = core.hasher.hash(&entry.key);
            if self.base.ttl.is_some_and(|ttl| ttl.expired(entry.stamp, now)) {
                entry.value = None;
            }
            if entry.value.is_none() && !self.base.may_be_stored(hash) {
                continue;
            }
            append_entry(core, &self.base, &mut run, entry)?;
            if entry.value.is_some() {
                self.base.membership.prefetch(hash);
                stored.push((hash, entry.stamp));
                if stored.len() == stored.capacity() {
                    stored.drain(..).for_each(|(hash, stamp)| self.base.remember(hash, stamp));
                }
            }
            if run.size() > limit {
                core.write_run(self.base.table, &mut run)?;
            }
        }
        stored.drain(..).for_each(|(hash, stamp)| self.base.remember(hash, stamp));
        core.write_run(self.base.table, &mut run)?;
        run.shrink(1 << 20);
        core.run = run;
        self.base.dirty = 0;
        self.settle(core);
        Ok(())
    }

    fn evict(&mut self, core: &mut Core<K>) -> Result<()> {
        if core.store.is_heap() { Ok(()) } else { self.shrink(core) }
    }

    fn dump(&self, core: &Core<K>, run: &mut Run) -> Result<()> {
        let now = if self.base.ttl.is_some() { core.now() } else { 0 };
        for entry in &self.entries {
            let expired = self.base.ttl.is_some_and(|ttl| ttl.expired(entry.stamp, now));
            if entry.value.is_some() && !expired {
                append_entry(core, &self.base, run, entry)?;
            }
        }
        Ok(())
    }

    fn load(&mut self, core: &mut Core<K>, key: &[u8], value: &[u8]) -> Result<()> {
        let name = &self.base.meta.name;
        let (key, _) = take::<K>(key).map_err(|source| core.decode_error::<K>(name, source))?;
        let (stamp, value) =
            decode_value::<V>(self.base.ttl.is_some(), value).map_err(|source| core.decode_error::<V>(name, source))?;
        core.set_key(key);
        let bucket = self.insert(core, Some(value), false)?;
        if let Some(entry) = self.entries.get_bucket_mut(bucket) {
            entry.stamp = stamp;
        }
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

/// `[group][key] → [stamp?][value]`, or a deletion.
fn append_entry<K: Key, V: StateValue>(core: &Core<K>, base: &Base, run: &mut Run, entry: &Entry<K, V>) -> Result<()> {
    core.append_key(&base.meta.name, &entry.key, run.buffer())?;
    let key = run.key_len();
    let Some(value) = &entry.value else {
        run.push(Op::Delete, key);
        return Ok(());
    };
    if base.ttl.is_some() {
        run.buffer().extend_from_slice(&entry.stamp.to_le_bytes());
    }
    append(value, run.buffer()).map_err(|source| core.encode_error(&base.meta.name, source))?;
    run.push(Op::Put, key);
    Ok(())
}
