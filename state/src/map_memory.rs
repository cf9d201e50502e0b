//! Memory of [`MapTable`]: what it holds, and what it does when that is too much.

use hashbrown::HashTable;

use crate::core::Core;
use crate::encoding::append;
use crate::map::MapKey;
use crate::map_table::{Entry, MapTable, Slot};
use crate::table::{FIRST_CAPACITY, Table, capacity, grown, sweep, tidy};
use crate::{Key, Result, StateValue};

impl<K: Key, UK: MapKey, UV: StateValue> MapTable<K, UK, UV> {
    #[cold]
    pub(crate) fn sample(&mut self, core: &Core<K>, bucket: usize, slot: usize) {
        if std::mem::needs_drop::<(UK, UV)>()
            && let Some(entry) = self.entries.get_bucket(bucket)
            && let Some(slot) = entry.slots.get_bucket(slot)
        {
            let mut bytes = Vec::new();
            let _ = append(&slot.key, &mut bytes).and_then(|()| append(&slot.value, &mut bytes));
            let one = bytes.len().saturating_sub(size_of::<(UK, UV)>());
            self.base.sizer.sample(one * entry.slots.len(), 0);
        }
        self.settle(core);
        self.base.pressure |= self.base.account.overdrawn();
    }

    pub(crate) fn settle(&mut self, core: &Core<K>) {
        self.base.settle(self.entries.allocation_size() + self.slots_bytes, self.entries.len());
        self.dirty_max = if core.store.is_heap() {
            usize::MAX
        } else {
            self.base.dirty_max(core.dirty_limit(), size_of::<Slot<UK, UV>>() + 8)
        };
    }

    #[cold]
    pub(crate) fn relieve(&mut self, core: &mut Core<K>) -> Result<()> {
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
    pub(crate) fn make_room(&mut self, core: &mut Core<K>) -> Result<()> {
        self.base.refresh_membership(|| core.now());
        self.settle(core);
        if core.store.is_heap() {
            self.drop_dead(core);
        }
        let hasher = core.hasher;
        if tidy(&mut self.entries, |entry| hasher.hash(&entry.key)) {
            return Ok(());
        }
        let allocated = self.entries.allocation_size();
        let wanted = grown(allocated, size_of::<Entry<K, UK, UV>>());
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
        self.slots_bytes = self.entries.iter().map(|entry| entry.slots.allocation_size()).sum();
        self.settle(core);
        Ok(())
    }

    pub(crate) fn shrink(&mut self, core: &mut Core<K>) -> Result<()> {
        self.flush(core)?;
        core.counters.evicted += self.entries.len() as u64;
        let capacity = capacity(&self.entries);
        self.entries = HashTable::with_capacity((capacity / 2).max(FIRST_CAPACITY));
        self.slots_bytes = 0;
        self.settle(core);
        Ok(())
    }

    /// The heap's housekeeping: expired entries and empty maps.
    fn drop_dead(&mut self, core: &Core<K>) {
        let (ttl, now) = (self.base.ttl, self.base.ttl.map_or(0, |_| core.now()));
        self.entries.retain(|entry| {
            if ttl.is_some() {
                entry.slots.retain(|slot| slot.is_live(ttl, now));
            }
            !entry.slots.is_empty()
        });
        self.slots_bytes = self.entries.iter().map(|entry| entry.slots.allocation_size()).sum();
    }
}
