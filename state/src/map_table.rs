//! The table behind [`MapState`](crate::MapState). Stored as `[group][key][user key] → [stamp?][value]`.

use std::hash::Hash;

use hashbrown::HashTable;
use serde::de::DeserializeOwned;

use crate::announce::prefetch_entry;
use crate::core::{Core, Hasher};
use crate::descriptor::UpdateType;
use crate::encoding::{append, prefix_end, read, split_stamp, take};
use crate::map::MapKey;
use crate::run::{Op, Run};
use crate::snapshot::StateMeta;
use crate::stats::BackendStats;
use crate::table::{Base, FIRST_CAPACITY, Flags, Table};
use crate::{Key, Result, StateTtlConfig, StateValue};

/// A cleared map with more stored entries than this is deleted as a range.
const POINT_DELETES: usize = 64;

pub(crate) struct Slot<UK, UV> {
    pub(crate) key: UK,
    /// `None`: known not to be there (a tombstone while dirty).
    pub(crate) value: Option<UV>,
    pub(crate) stamp: i64,
    pub(crate) dirty: bool,
}

impl<UK, UV> Slot<UK, UV> {
    pub(crate) fn is_live(&self, ttl: Option<StateTtlConfig>, now: i64) -> bool {
        self.value.is_some() && !ttl.is_some_and(|ttl| ttl.expired(self.stamp, now))
    }
}

pub(crate) struct Entry<K, UK, UV> {
    pub(crate) key: K,
    pub(crate) slots: HashTable<Slot<UK, UV>>,
    /// Whether the slots are all there is.
    pub(crate) complete: bool,
    /// Whether what the store has for this key is void.
    pub(crate) cleared: bool,
    pub(crate) flags: Flags,
}

pub(crate) struct MapTable<K, UK, UV> {
    pub(crate) base: Base,
    pub(crate) entries: HashTable<Entry<K, UK, UV>>,
    pub(crate) slots_bytes: usize,
    pub(crate) dirty_max: usize,
}

impl<K: Key, UK: MapKey, UV: StateValue> MapTable<K, UK, UV> {
    pub(crate) fn new(base: Base) -> Self {
        Self { base, entries: HashTable::new(), slots_bytes: 0, dirty_max: FIRST_CAPACITY }
    }

    pub(crate) fn get(&mut self, core: &mut Core<K>, key: &UK) -> Result<Option<&UV>> {
        let Some((bucket, slot)) = self.locate(core, key)? else {
            return Ok(None);
        };
        if let Some(ttl) = self.base.ttl {
            let now = core.now();
            let live = self.slot(bucket, slot).is_some_and(|slot| slot.is_live(Some(ttl), now));
            if !live {
                return Ok(None);
            }
            if ttl.update_on == UpdateType::OnReadAndWrite {
                self.mark_dirty(core, bucket, slot);
            }
        }
        Ok(self.slot(bucket, slot).and_then(|slot| slot.value.as_ref()))
    }

    pub(crate) fn get_mut(&mut self, core: &mut Core<K>, key: &UK) -> Result<Option<&mut UV>> {
        let Some((bucket, slot)) = self.locate(core, key)? else {
            return Ok(None);
        };
        let now = self.base.ttl.map_or(0, |_| core.now());
        if !self.slot(bucket, slot).is_some_and(|slot| slot.is_live(self.base.ttl, now)) {
            return Ok(None);
        }
        self.mark_dirty(core, bucket, slot);
        Ok(self.slot_mut(bucket, slot).and_then(|slot| slot.value.as_mut()))
    }

    pub(crate) fn put(&mut self, core: &mut Core<K>, key: UK, value: UV) -> Result<()> {
        let bucket = match self.find(core)? {
            Some(bucket) => bucket,
            None => self.insert(core)?,
        };
        let hash = core.hasher.hash(&key);
        let slot = match self.find_slot(bucket, hash, &key) {
            Some(slot) => {
                if let Some(slot) = self.slot_mut(bucket, slot) {
                    slot.value = Some(value);
                }
                Some(slot)
            }
            None => self.insert_slot(core, bucket, hash, key, Some(value), 0),
        };
        if let Some(slot) = slot {
            self.mark_dirty(core, bucket, slot);
        }
        Ok(())
    }

    pub(crate) fn remove(&mut self, core: &mut Core<K>, key: &UK) -> Result<()> {
        let hash = core.hasher.hash(key);
        let found = self.find(core)?;
        // Not before: finding may flush, and then the store has it.
        let may_be_stored = !core.store.is_heap() && self.base.may_be_stored(Hasher::combine(core.hash(), hash));
        let bucket = match found {
            Some(bucket) => bucket,
            None if may_be_stored => self.insert(core)?,
            None => return Ok(()),
        };
        let slot = self.find_slot(bucket, hash, key);
        if !may_be_stored {
            if let Some(entry) = self.entries.get_bucket_mut(bucket)
                && let Ok(found) = entry.slots.find_entry(hash, |slot| slot.key == *key)
            {
                let (slot, _) = found.remove();
                self.base.dirty = self.base.dirty.saturating_sub(usize::from(slot.dirty));
            }
            return Ok(());
        }
        let slot = match slot {
            Some(slot) => {
                if let Some(slot) = self.slot_mut(bucket, slot) {
                    slot.value = None;
                }
                Some(slot)
            }
            None if self.entries.get_bucket(bucket).is_some_and(|entry| entry.complete) => None,
            None => self.insert_slot(core, bucket, hash, key.clone(), None, 0),
        };
        if let Some(slot) = slot {
            self.mark_dirty(core, bucket, slot);
        }
        Ok(())
    }

    pub(crate) fn iter(&mut self, core: &mut Core<K>) -> Result<impl Iterator<Item = (&UK, &UV)> + use<'_, K, UK, UV>> {
        let bucket = match self.find(core)? {
            Some(bucket) => Some(bucket),
            None if self.may_have_stored(core) => Some(self.insert(core)?),
            None => None,
        };
        if let Some(bucket) = bucket {
            self.complete(core, bucket)?;
        }
        let (ttl, now) = (self.base.ttl, self.base.ttl.map_or(0, |_| core.now()));
        let entry = bucket.and_then(|bucket| self.entries.get_bucket(bucket));
        let slots = entry.into_iter().flat_map(|entry| entry.slots.iter());
        Ok(slots
            .filter(move |slot| slot.is_live(ttl, now))
            .filter_map(|slot| slot.value.as_ref().map(|value| (&slot.key, value))))
    }

    pub(crate) fn for_each(&mut self, core: &mut Core<K>, mut visit: impl FnMut(&UK, &UV)) -> Result<()> {
        let bucket = self.find(core)?;
        let (ttl, now) = (self.base.ttl, self.base.ttl.map_or(0, |_| core.now()));
        let entry = bucket.and_then(|bucket| self.entries.get_bucket(bucket));
        for slot in entry.iter().flat_map(|entry| entry.slots.iter()) {
            if slot.is_live(ttl, now)
                && let Some(value) = &slot.value
            {
                visit(&slot.key, value);
            }
        }
        if entry.is_some_and(|entry| entry.complete) || !self.may_have_stored(core) {
            return Ok(());
        }
        self.scan(core, |key, hash, value, stamp| {
            let cached = entry.is_some_and(|entry| entry.slots.find(hash, |slot| slot.key == key).is_some());
            if !cached && !ttl.is_some_and(|ttl| ttl.expired(stamp, now)) {
                visit(&key, &value);
            }
            true
        })
    }

    pub(crate) fn is_empty(&mut self, core: &mut Core<K>) -> Result<bool> {
        let bucket = self.find(core)?;
        let (ttl, now) = (self.base.ttl, self.base.ttl.map_or(0, |_| core.now()));
        let entry = bucket.and_then(|bucket| self.entries.get_bucket(bucket));
        if entry.is_some_and(|entry| entry.slots.iter().any(|slot| slot.is_live(ttl, now))) {
            return Ok(false);
        }
        if entry.is_some_and(|entry| entry.complete) || !self.may_have_stored(core) {
            return Ok(true);
        }
        let mut empty = true;
        self.scan(core, |key, hash, _, stamp| {
            let cached = entry.is_some_and(|entry| entry.slots.find(hash, |slot| slot.key == key).is_some());
            empty = cached || ttl.is_some_and(|ttl| ttl.expired(stamp, now));
            empty
        })?;
        Ok(empty)
    }

    pub(crate) fn clear(&mut self, core: &mut Core<K>) -> Result<()> {
        let found = self.find(core)?;
        // Not before: finding may flush, and then the store has it.
        let stored = self.may_have_stored(core);
        let bucket = match found {
            Some(bucket) => bucket,
            None if stored => self.insert(core)?,
            None => return Ok(()),
        };
        let Some(entry) = self.entries.get_bucket_mut(bucket) else {
            return Ok(());
        };
        let dirty = entry.slots.iter().filter(|slot| slot.dirty).count();
        self.base.dirty = self.base.dirty.saturating_sub(dirty);
        self.slots_bytes -= entry.slots.allocation_size().min(self.slots_bytes);
        entry.slots = HashTable::new();
        if stored {
            // The clearing itself counts as one dirty entry.
            self.base.dirty += usize::from(!entry.cleared);
            (entry.complete, entry.cleared) = (true, true);
            entry.flags.set_dirty();
        } else if let Ok(key) = core.key()
            && let Ok(found) = self.entries.find_entry(core.hash(), |entry| entry.key == *key)
        {
            found.remove();
        }
        Ok(())
    }

    /// Whether the store may have any entry of the current key.
    fn may_have_stored(&self, core: &Core<K>) -> bool {
        !core.store.is_heap() && self.base.may_be_stored(core.hash())
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

    fn find_slot(&self, bucket: usize, hash: u64, key: &UK) -> Option<usize> {
        self.entries.get_bucket(bucket)?.slots.find_bucket_index(hash, |slot| slot.key == *key)
    }

    fn slot(&self, bucket: usize, slot: usize) -> Option<&Slot<UK, UV>> {
        self.entries.get_bucket(bucket)?.slots.get_bucket(slot)
    }

    fn slot_mut(&mut self, bucket: usize, slot: usize) -> Option<&mut Slot<UK, UV>> {
        self.entries.get_bucket_mut(bucket)?.slots.get_bucket_mut(slot)
    }

    /// The buckets of the current key and the user key, loaded if need be.
    fn locate(&mut self, core: &mut Core<K>, key: &UK) -> Result<Option<(usize, usize)>> {
        let hash = core.hasher.hash(key);
        let bucket = self.find(core)?;
        if let Some(bucket) = bucket {
            if let Some(slot) = self.find_slot(bucket, hash, key) {
                return Ok(Some((bucket, slot)));
            }
            if self.entries.get_bucket(bucket).is_some_and(|entry| entry.complete) {
                return Ok(None);
            }
        }
        if core.store.is_heap() || !self.base.may_be_stored(Hasher::combine(core.hash(), hash)) {
            return Ok(None);
        }
        let mut stored = std::mem::take(&mut core.scratch);
        stored.clear();
        let state = &self.base.meta.name;
        core.append_key(state, core.key()?, &mut stored)?;
        append(key, &mut stored).map_err(|source| core.encode_error(state, source))?;
        let (ttl, uid) = (self.base.ttl.is_some(), core.uid.clone());
        let found = core.read_store(self.base.table, &stored, |bytes| {
            decode_value::<UV>(ttl, bytes).map_err(|source| crate::value_table::decode_error::<UV>(&uid, state, source))
        });
        core.scratch = stored;
        let Some((stamp, value)) = found? else {
            return Ok(None);
        };
        let bucket = match bucket {
            Some(bucket) => bucket,
            None => self.insert(core)?,
        };
        let slot = self.insert_slot(core, bucket, hash, key.clone(), Some(value), stamp);
        Ok(slot.map(|slot| (bucket, slot)))
    }

    /// Loads what is missing of the map in this bucket.
    fn complete(&mut self, core: &mut Core<K>, bucket: usize) -> Result<()> {
        if self.entries.get_bucket(bucket).is_none_or(|entry| entry.complete) {
            return Ok(());
        }
        let mut missing = Vec::new();
        if self.may_have_stored(core) {
            self.scan(core, |key, hash, value, stamp| {
                missing.push((key, hash, value, stamp));
                true
            })?;
        }
        for (key, hash, value, stamp) in missing {
            if self.find_slot(bucket, hash, &key).is_none() {
                self.insert_slot(core, bucket, hash, key, Some(value), stamp);
            }
        }
        if let Some(entry) = self.entries.get_bucket_mut(bucket) {
            entry.complete = true;
        }
        Ok(())
    }

    /// Visits what the store has of the current key.
    fn scan(&self, core: &Core<K>, mut visit: impl FnMut(UK, u64, UV, i64) -> bool) -> Result<()> {
        let mut prefix = Vec::new();
        let state = &self.base.meta.name;
        core.append_key(state, core.key()?, &mut prefix)?;
        let end = prefix_end(&prefix);
        let ttl = self.base.ttl.is_some();
        core.store.scan(self.base.table, &prefix, end.as_deref(), |key, value| {
            let key = key.get(prefix.len()..).unwrap_or_default();
            let key: UK = read(key).map_err(|source| core.decode_error::<UK>(state, source))?;
            let (stamp, value) =
                decode_value::<UV>(ttl, value).map_err(|source| core.decode_error::<UV>(state, source))?;
            let hash = core.hasher.hash(&key);
            Ok(visit(key, hash, value, stamp))
        })
    }

    /// Adds an empty map for the current key, which must not be in memory.
    fn insert(&mut self, core: &mut Core<K>) -> Result<usize> {
        if self.entries.len() == self.entries.capacity() {
            self.make_room(core)?;
        }
        let entry = Entry {
            key: core.key()?.clone(),
            slots: HashTable::new(),
            complete: !self.may_have_stored(core),
            cleared: false,
            flags: Flags::default(),
        };
        let hasher = core.hasher;
        Ok(self.entries.insert_unique(core.hash(), entry, |entry| hasher.hash(&entry.key)).bucket_index())
    }

    fn insert_slot(
        &mut self,
        core: &Core<K>,
        bucket: usize,
        hash: u64,
        key: UK,
        value: Option<UV>,
        stamp: i64,
    ) -> Option<usize> {
        let hasher = core.hasher;
        let entry = self.entries.get_bucket_mut(bucket)?;
        let before = entry.slots.allocation_size();
        let slot = Slot { key, value, stamp, dirty: false };
        let at = entry.slots.insert_unique(hash, slot, |slot| hasher.hash(&slot.key)).bucket_index();
        let after = entry.slots.allocation_size();
        if after != before {
            self.slots_bytes = (self.slots_bytes + after).saturating_sub(before);
            // Checked where a map has grown by a lot, and by samples else.
            if after > 1 << 16 {
                self.settle(core);
                self.base.pressure |= self.base.account.overdrawn();
            }
        }
        Some(at)
    }

    fn mark_dirty(&mut self, core: &Core<K>, bucket: usize, slot: usize) {
        let stamp = self.base.ttl.map_or(0, |_| core.now());
        let Some(entry) = self.entries.get_bucket_mut(bucket) else {
            return;
        };
        entry.flags.set_dirty();
        let Some(slot_ref) = entry.slots.get_bucket_mut(slot) else {
            return;
        };
        slot_ref.stamp = stamp;
        if !slot_ref.dirty {
            slot_ref.dirty = true;
            self.base.dirty += 1;
            self.base.pressure |= self.base.dirty >= self.dirty_max;
        }
        if self.base.sizer.due::<HashTable<Slot<UK, UV>>>() {
            self.sample(core, bucket, slot);
        }
    }

    fn append_slot(&self, core: &Core<K>, run: &mut Run, key: &K, slot: &Slot<UK, UV>) -> Result<()> {
        let state = &self.base.meta.name;
        core.append_key(state, key, run.buffer())?;
        append(&slot.key, run.buffer()).map_err(|source| core.encode_error(state, source))?;
        let key = run.key_len();
        let Some(value) = &slot.value else {
            run.push(Op::Delete, key);
            return Ok(());
        };
        if self.base.ttl.is_some() {
            run.buffer().extend_from_slice(&slot.stamp.to_le_bytes());
        }
        append(value, run.buffer()).map_err(|source| core.encode_error(state, source))?;
        run.push(Op::Put, key);
        Ok(())
    }

    /// Deletes what the store has of a cleared map, but for what the slots are about to overwrite.
    fn append_clear(&self, core: &Core<K>, run: &mut Run, entry: &Entry<K, UK, UV>) -> Result<()> {
        let mut prefix = Vec::new();
        let state = &self.base.meta.name;
        core.append_key(state, &entry.key, &mut prefix)?;
        let end = prefix_end(&prefix);
        let mut stored: Vec<Vec<u8>> = Vec::new();
        core.store.scan(self.base.table, &prefix, end.as_deref(), |key, _| {
            stored.push(key.to_vec());
            Ok(stored.len() <= POINT_DELETES)
        })?;
        if stored.len() > POINT_DELETES {
            run.delete_range(prefix, end.unwrap_or_else(|| vec![0xff; 64]));
            return Ok(());
        }
        for key in stored {
            let user = key.get(prefix.len()..).unwrap_or_default();
            let user: UK = read(user).map_err(|source| core.decode_error::<UK>(state, source))?;
            let hash = core.hasher.hash(&user);
            let overwritten = entry.slots.find(hash, |slot| slot.key == user).is_some_and(|slot| slot.dirty);
            if !overwritten {
                run.add(Op::Delete, &key, &[]);
            }
        }
        Ok(())
    }
}

fn decode_value<V: StateValue>(ttl: bool, bytes: &[u8]) -> postcard::Result<(i64, V)> {
    let (stamp, bytes) =
        if ttl { split_stamp(bytes).ok_or(postcard::Error::DeserializeUnexpectedEnd)? } else { (0, bytes) };
    Ok((stamp, read(bytes)?))
}

impl<K: Key, UK: MapKey, UV: StateValue> Table<K> for MapTable<K, UK, UV> {
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
        run.clear();
        let mut entries = std::mem::take(&mut self.entries);
        for entry in &mut entries {
            if !entry.flags.dirty() {
                continue;
            }
            entry.flags.clean();
            let hash = core.hasher.hash(&entry.key);
            if entry.cleared {
                self.append_clear(core, &mut run, entry)?;
                entry.cleared = false;
            }
            let mut any = None;
            for slot in &mut entry.slots {
                if !slot.dirty {
                    continue;
                }
                slot.dirty = false;
                let full = Hasher::combine(hash, core.hasher.hash(&slot.key));
                if slot.value.is_none() && !self.base.may_be_stored(full) {
                    continue;
                }
                self.append_slot(core, &mut run, &entry.key, slot)?;
                if slot.value.is_some() {
                    self.base.remember(full, slot.stamp);
                    any = any.max(Some(slot.stamp));
                }
                if run.size() > limit {
                    core.write_run(self.base.table, &mut run)?;
                }
            }
            if let Some(stamp) = any {
                self.base.remember(hash, stamp);
            }
        }
        self.entries = entries;
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
        let (ttl, now) = (self.base.ttl, self.base.ttl.map_or(0, |_| core.now()));
        for entry in &self.entries {
            for slot in entry.slots.iter().filter(|slot| slot.is_live(ttl, now)) {
                self.append_slot(core, run, &entry.key, slot)?;
            }
        }
        Ok(())
    }

    fn load(&mut self, core: &mut Core<K>, key: &[u8], value: &[u8]) -> Result<()> {
        let name = &self.base.meta.name;
        let (key, user) = take::<K>(key).map_err(|source| core.decode_error::<K>(name, source))?;
        let user: UK = read(user).map_err(|source| core.decode_error::<UK>(name, source))?;
        let (stamp, value) = decode_value::<UV>(self.base.ttl.is_some(), value)
            .map_err(|source| core.decode_error::<UV>(name, source))?;
        core.set_key(key);
        let bucket = match self.find(core)? {
            Some(bucket) => bucket,
            None => self.insert(core)?,
        };
        let hash = core.hasher.hash(&user);
        self.insert_slot(core, bucket, hash, user, Some(value), stamp);
        Ok(())
    }

    #[inline]
    fn prefetch(&self, hash: u64) {
        prefetch_entry(&self.entries, hash);
        self.base.membership.prefetch(hash);
    }

    fn stats(&self, stats: &mut BackendStats) {
        stats.cached += self.entries.iter().map(|entry| entry.slots.len() as u64).sum::<u64>();
        stats.dirty += self.base.dirty as u64;
        stats.bytes += self.base.account.held() as u64;
        stats.filter_keys += self.base.membership.keys() as u64;
        stats.filter_bytes += self.base.membership.memory() as u64;
    }
}

/// The hashes under which a stored map entry is known: the key's and the entry's.
pub(crate) fn stored_hashes<K: Key, UK: Hash + DeserializeOwned>(
    hasher: Hasher,
    key: &[u8],
) -> postcard::Result<[u64; 2]> {
    let (key, user) = take::<K>(key)?;
    let user: UK = read(user)?;
    let hash = hasher.hash(&key);
    Ok([hash, Hasher::combine(hash, hasher.hash(&user))])
}
