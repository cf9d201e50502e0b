//! Memory of [`PaneTable`]: what it holds, and what it does when that is too much.

use hashbrown::HashTable;

use crate::core::{Core, Hasher};
use crate::filter::Membership;
use crate::pane_table::{Entry, Pane, PaneTable};
use crate::table::{Table, grown, tidy};
use crate::{Key, Result, StateValue};

/// Room in a new pane. There may be very many panes of a few keys each (hourly readings in
/// one-minute windows), so it begins small and doubles.
const FIRST_OF_PANE: usize = 8;

impl<K: Key, A> Pane<K, A> {
    /// Drops clean entries, remembering that the store has them: all of them, or if `half` only
    /// those that were not used lately. Says how many went.
    pub(crate) fn evict(&mut self, core: &Core<K>, half: bool, may_grow: impl Fn(usize) -> bool) -> usize {
        let before = self.entries.len();
        let membership = self.spilled.get_or_insert_with(Membership::empty);
        let start = self.start;
        let mut nth = 0_usize;
        self.entries.retain(|entry| {
            nth += 1;
            let keep = entry.flags.dirty() || (half && (entry.flags.touched() || nth.is_multiple_of(2)));
            entry.flags.untouch();
            if !keep {
                let hash = Hasher::combine(core.hasher.hash(&entry.key), start as u64);
                membership.insert(hash, 0, false, &may_grow);
            }
            keep
        });
        self.epoch += 1;
        if self.entries.is_empty() {
            self.entries = HashTable::new();
        }
        let hasher = core.hasher;
        tidy(&mut self.entries, |entry| hasher.hash(&entry.key));
        before - self.entries.len()
    }
}

impl<K: Key, A: StateValue> PaneTable<K, A> {
    pub(crate) fn settle(&mut self, core: &Core<K>) {
        let allocated = self.allocated();
        let entries = self.panes.iter().map(|pane| pane.entries.len()).sum();
        self.base.settle(allocated, entries);
        self.dirty_max = if core.store.is_heap() {
            usize::MAX
        } else {
            self.base.dirty_max(core.dirty_limit(), size_of::<Entry<K, A>>())
        };
    }

    fn allocated(&self) -> usize {
        let filters = |pane: &Pane<K, A>| pane.spilled.as_ref().map_or(0, Membership::memory);
        self.panes.iter().map(|pane| pane.entries.allocation_size() + filters(pane)).sum::<usize>()
            + self.spare.allocation_size()
    }

    #[cold]
    pub(crate) fn relieve(&mut self, core: &mut Core<K>) -> Result<()> {
        self.base.pressure = false;
        self.settle(core);
        if core.store.is_heap() {
            return Ok(());
        }
        if self.base.must_shrink() {
            self.flush(core)?;
            self.spare = HashTable::new();
            self.settle(core);
            while self.base.must_shrink() && self.evict_coldest(core, None) {
                self.settle(core);
            }
        } else if self.base.dirty >= self.dirty_max {
            self.flush(core)?;
        }
        Ok(())
    }

    /// The pane at `at` is full: grow it if that is granted, if need be after other panes have
    /// been evicted, and evict from itself as the last resort.
    #[cold]
    pub(crate) fn make_room(&mut self, core: &mut Core<K>, at: usize) -> Result<()> {
        self.settle(core);
        if self.try_grow(core, at) {
            return Ok(());
        }
        self.flush(core)?;
        self.spare = HashTable::new();
        self.settle(core);
        while !self.try_grow(core, at) {
            if self.evict_coldest(core, Some(at)) {
                self.settle(core);
                continue;
            }
            if self.panes[at].firing {
                // It must stay as it is; the overdraft ends with the firing.
                let hasher = core.hasher;
                self.panes[at].entries.reserve(1, |entry| hasher.hash(&entry.key));
                break;
            }
            let limit = self.filter_limit();
            core.counters.evicted += self.panes[at].evict(core, true, limit) as u64;
            let hasher = core.hasher;
            let pane = &mut self.panes[at];
            if pane.entries.len() == pane.entries.capacity() {
                pane.entries.reserve(FIRST_OF_PANE, |entry| hasher.hash(&entry.key));
            }
            break;
        }
        self.settle(core);
        Ok(())
    }

    fn try_grow(&mut self, core: &Core<K>, at: usize) -> bool {
        let pane = &mut self.panes[at];
        let allocated = pane.entries.allocation_size();
        let wanted = grown(allocated, size_of::<Entry<K, A>>());
        let held = self.base.account.held();
        if self.base.account.overdrawn() || !self.base.account.try_resize(held + wanted, held - allocated + wanted) {
            return false;
        }
        let hasher = core.hasher;
        let more = pane.entries.len().max(FIRST_OF_PANE);
        pane.entries.reserve(more, |entry| hasher.hash(&entry.key));
        self.settle(core);
        true
    }

    /// Empties the pane that was not used for longest; false if there is none.
    pub(crate) fn evict_coldest(&mut self, core: &mut Core<K>, except: Option<usize>) -> bool {
        let coldest = (0..self.panes.len())
            .filter(|at| Some(*at) != except && !self.panes[*at].firing && !self.panes[*at].entries.is_empty())
            .min_by_key(|at| self.panes[*at].used);
        let Some(at) = coldest else { return false };
        let limit = self.filter_limit();
        core.counters.evicted += self.panes[at].evict(core, false, limit) as u64;
        true
    }

    /// Filters of spilled panes may take a quarter of an even share.
    fn filter_limit(&self) -> impl Fn(usize) -> bool + use<K, A> {
        let used: usize = self.panes.iter().filter_map(|pane| pane.spilled.as_ref()).map(Membership::memory).sum();
        let limit = self.base.account.budget().fair_share() / 4;
        move |bytes| used + bytes <= limit
    }
}
