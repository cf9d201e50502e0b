//! What every state's table can do, whatever its type, and what they have in common: flags of
//! entries, estimates of memory, the sweep that evicts.

use hashbrown::HashTable;

use crate::budget::Account;
use crate::core::Core;
use crate::filter::Membership;
use crate::run::Run;
use crate::snapshot::StateMeta;
use crate::stats::BackendStats;
use crate::store::TableId;
use crate::{Key, Result, StateTtlConfig};

/// A state's typed table, as the backend sees it.
pub(crate) trait Table<K: Key>: 'static {
    /// What a snapshot records of it.
    fn meta(&self) -> StateMeta;

    /// Writes every dirty entry to the store. Nothing to do on the heap.
    fn flush(&mut self, core: &mut Core<K>) -> Result<()>;

    /// Writes what is dirty and drops everything from memory. Nothing to do on the heap.
    fn evict(&mut self, core: &mut Core<K>) -> Result<()>;

    /// Appends every entry to the run: the heap's snapshot.
    fn dump(&self, core: &Core<K>, run: &mut Run) -> Result<()>;

    /// Takes one restored entry over (`key` without its group): the heap's restore.
    fn load(&mut self, core: &mut Core<K>, key: &[u8], value: &[u8]) -> Result<()>;

    /// All restored entries were loaded.
    fn loaded(&mut self) {}

    /// Gets what it holds under a key's hash on its way.
    fn prefetch(&self, _hash: u64) {}

    /// Adds what it holds.
    fn stats(&self, stats: &mut BackendStats);
}

/// What a table needs of the outside: its name, its place in the store, its memory, its keys.
pub(crate) struct Base {
    pub(crate) meta: StateMeta,
    pub(crate) table: TableId,
    pub(crate) ttl: Option<StateTtlConfig>,
    pub(crate) account: Account,
    pub(crate) membership: Membership,
    pub(crate) sizer: Sizer,
    pub(crate) dirty: usize,
    /// Set where something is over a limit, but a reference is about to be handed out; looked at
    /// by the next access.
    pub(crate) pressure: bool,
}

impl Base {
    pub(crate) fn new(
        meta: StateMeta,
        table: TableId,
        ttl: Option<StateTtlConfig>,
        account: Account,
        membership: Membership,
    ) -> Self {
        Self { meta, table, ttl, account, membership, sizer: Sizer::default(), dirty: 0, pressure: false }
    }

    /// Records that a key is now in the store.
    #[inline]
    pub(crate) fn remember(&mut self, hash: u64, stamp: i64) {
        let (filter, account) = (self.membership.memory(), &mut self.account);
        self.membership.insert(hash, stamp, self.ttl.is_some(), |bytes| {
            // The filter saves a read of the store a miss: worth more than cached entries, up to
            // half of an even share.
            let wanted = filter + bytes;
            let granted = wanted <= account.budget().fair_share() / 2;
            if granted {
                let held = account.held();
                account.force(held + bytes);
            }
            granted
        });
    }

    /// Whether a store below may hold the key: always no on the heap, whose filter stays empty.
    #[inline]
    pub(crate) fn may_be_stored(&self, hash: u64) -> bool {
        self.membership.may_contain(hash)
    }

    /// What is known about the store's keys gets better with time.
    pub(crate) fn refresh_membership(&mut self, now: impl FnOnce() -> i64) {
        self.membership.poll();
        if let Some(ttl) = self.ttl {
            self.membership.expire(now().saturating_sub(ttl.ttl_ms));
        }
    }

    /// States the memory held: what the tables allocate, what their entries own beyond, the filter.
    pub(crate) fn settle(&mut self, allocated: usize, entries: usize) {
        let bytes = allocated + self.sizer.owned(entries) + self.membership.memory();
        self.account.force(bytes);
    }

    /// Whether this table should give memory back.
    pub(crate) fn must_shrink(&self) -> bool {
        self.account.overdrawn() || self.account.should_yield()
    }

    /// How many dirty entries of `inline` bytes are too many.
    #[inline]
    pub(crate) fn dirty_max(&self, limit: usize, inline: usize) -> usize {
        (limit / (inline + self.sizer.owned(1))).clamp(1, crate::core::DIRTY_ENTRIES)
    }
}

/// Whether an entry differs from the store, and whether it was used since the last sweep.
#[derive(Clone, Copy, Default)]
pub(crate) struct Flags(u8);

impl Flags {
    const DIRTY: u8 = 1;
    const TOUCHED: u8 = 2;

    #[inline]
    pub(crate) fn new(dirty: bool) -> Self {
        Self(u8::from(dirty))
    }

    #[inline]
    pub(crate) fn dirty(self) -> bool {
        self.0 & Self::DIRTY != 0
    }

    #[inline]
    pub(crate) fn touched(self) -> bool {
        self.0 & Self::TOUCHED != 0
    }

    #[inline]
    pub(crate) fn touch(&mut self) {
        self.0 |= Self::TOUCHED;
    }

    /// Says whether it was clean.
    #[inline]
    pub(crate) fn set_dirty(&mut self) -> bool {
        let was_clean = self.0 & Self::DIRTY == 0;
        self.0 |= Self::DIRTY;
        was_clean
    }

    #[inline]
    pub(crate) fn clean(&mut self) {
        self.0 &= !Self::DIRTY;
    }

    #[inline]
    pub(crate) fn untouch(&mut self) {
        self.0 &= !Self::TOUCHED;
    }
}

/// Second chance: drops clean entries that were not used since the last sweep; where that leaves
/// more than half of what fits, three of five of the other clean ones as well. Then there is room
/// for as many again. Says how many went.
pub(crate) fn sweep<T>(
    table: &mut HashTable<T>,
    flags: impl Fn(&mut T) -> &mut Flags,
    hash: impl Fn(&T) -> u64,
) -> usize {
    let before = table.len();
    table.retain(|entry| {
        let flags = flags(entry);
        let keep = flags.dirty() || flags.touched();
        flags.untouch();
        keep
    });
    if table.len() > capacity(table) / 2 {
        let mut nth = 0_usize;
        table.retain(|entry| {
            nth += 1;
            flags(entry).dirty() || nth % 5 < 2
        });
    }
    tidy(table, hash);
    before - table.len()
}

/// How many entries fit without growing, if none was ever removed: what `HashTable::capacity` says
/// leaves out the places of removed ones.
pub(crate) fn capacity<T>(table: &HashTable<T>) -> usize {
    table.num_buckets() / 8 * 7
}

/// Makes the places of removed entries usable again, in place, if the table is at most half full.
/// Says whether it is.
pub(crate) fn tidy<T>(table: &mut HashTable<T>, hash: impl Fn(&T) -> u64) -> bool {
    let half = capacity(table) / 2;
    if table.is_empty() {
        table.clear();
    } else if table.len() < half {
        table.reserve(half - table.len(), hash);
    }
    table.len() < half
}

/// Guesses what keys and values own beyond their size in the table, from samples of their encoded
/// length. Types that own nothing are never sampled.
#[derive(Default)]
pub(crate) struct Sizer {
    owned: f32,
    tick: u32,
}

impl Sizer {
    const EVERY: u32 = 64;

    /// Whether it is time for a sample.
    #[inline]
    pub(crate) fn due<T>(&mut self) -> bool {
        if !std::mem::needs_drop::<T>() {
            return false;
        }
        self.tick = self.tick.wrapping_add(1);
        self.tick.is_multiple_of(Self::EVERY)
    }

    /// A sample: `encoded` bytes were in `inline` bytes of table and the heap.
    pub(crate) fn sample(&mut self, encoded: usize, inline: usize) {
        // An allocation is rounded up and has some slack.
        let owned = if encoded > inline { encoded as f32 * 1.25 + 16.0 } else { 0.0 };
        // Rises at once, so that a sudden big value is seen, and falls slowly.
        let weight = if owned > self.owned { 0.25 } else { 0.03 };
        self.owned += (owned - self.owned) * weight;
    }

    #[inline]
    pub(crate) fn owned(&self, entries: usize) -> usize {
        if self.owned < 1.0 { 0 } else { (self.owned * entries as f32) as usize }
    }
}

/// Doubling: the bytes that a table of `entry`-sized entries takes after it has grown once.
pub(crate) fn grown(allocated: usize, entry: usize) -> usize {
    if allocated == 0 { (entry + 1) * 2 * FIRST_CAPACITY + 16 } else { allocated * 2 }
}

/// What a table that cannot fail to be granted starts with.
pub(crate) const FIRST_CAPACITY: usize = 128;
