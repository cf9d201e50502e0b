//! One memory budget for all keyed state of the process.
//!
//! A quarter of it is RocksDB's (block cache with index and filter blocks and memtables, shared by
//! every database), the rest is for what lies in front: typed caches, panes, timers, membership
//! filters. Each of those holds an [`Account`]; growing asks the budget first, and who is refused
//! flushes and evicts instead. What is always granted, so that every state can make progress, is
//! [`FLOOR`] bytes an account.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Every account may hold this much, whatever the budget says.
pub(crate) const FLOOR: usize = 64 << 10;

/// Memory for keyed state, shared by all backends of the process.
///
/// ```
/// let budget = hurtig_state::MemoryBudget::new(64 << 20);
/// assert_eq!(budget.limit(), 64 << 20);
/// ```
pub struct MemoryBudget {
    limit: usize,
    store: usize,
    cache: usize,
    used: AtomicUsize,
    accounts: AtomicUsize,
    starved: AtomicBool,
    #[cfg(feature = "rocksdb")]
    shared: std::sync::OnceLock<crate::rocks::SharedMemory>,
}

impl MemoryBudget {
    /// A budget of `bytes` (at least 256 KiB).
    #[must_use]
    pub fn new(bytes: usize) -> Arc<Self> {
        let limit = bytes.max(256 << 10);
        let store = limit / 4;
        Arc::new(Self {
            limit,
            store,
            cache: limit - store,
            used: AtomicUsize::new(0),
            accounts: AtomicUsize::new(0),
            starved: AtomicBool::new(false),
            #[cfg(feature = "rocksdb")]
            shared: std::sync::OnceLock::new(),
        })
    }

    /// The whole budget in bytes.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// What the caches in front of the stores may hold in bytes.
    #[must_use]
    pub fn cache_limit(&self) -> usize {
        self.cache
    }

    /// What the stores' own caches may hold in bytes.
    #[must_use]
    pub fn store_limit(&self) -> usize {
        self.store
    }

    /// What the caches in front of the stores hold at present, in bytes.
    #[must_use]
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// An even share of the caches' part.
    pub(crate) fn fair_share(&self) -> usize {
        self.cache / self.accounts.load(Ordering::Relaxed).max(1)
    }

    #[cfg(feature = "rocksdb")]
    pub(crate) fn shared(&self) -> &crate::rocks::SharedMemory {
        self.shared.get_or_init(|| crate::rocks::SharedMemory::new(self.store))
    }
}

impl std::fmt::Debug for MemoryBudget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryBudget").field("limit", &self.limit).field("used", &self.used()).finish()
    }
}

/// What one table holds of the budget; given back when dropped.
pub(crate) struct Account {
    budget: Arc<MemoryBudget>,
    held: usize,
    bounded: bool,
}

impl Account {
    /// `bounded` is false for the heap backend: it has nowhere to spill to, so it is counted for
    /// itself and never refused.
    pub(crate) fn open(budget: &Arc<MemoryBudget>, bounded: bool) -> Self {
        Self { budget: Arc::clone(budget), held: 0, bounded }
    }

    pub(crate) fn held(&self) -> usize {
        self.held
    }

    pub(crate) fn budget(&self) -> &MemoryBudget {
        &self.budget
    }

    /// Asks for `peak` bytes for a moment and `then` for good (growing a table needs the old and
    /// the new one at once). False: not granted, nothing has changed.
    pub(crate) fn try_resize(&mut self, peak: usize, then: usize) -> bool {
        if !self.bounded || peak <= self.held.max(FLOOR) {
            self.force(then);
            return true;
        }
        let delta = peak - self.held;
        let before = self.budget.used.fetch_add(delta, Ordering::Relaxed);
        if before + delta > self.budget.cache {
            self.budget.used.fetch_sub(delta, Ordering::Relaxed);
            if self.held < self.budget.fair_share() / 2 {
                self.budget.starved.store(true, Ordering::Relaxed);
            }
            return false;
        }
        self.budget.used.fetch_sub(delta, Ordering::Relaxed);
        self.force(then);
        true
    }

    /// States what is held, without asking.
    pub(crate) fn force(&mut self, bytes: usize) {
        if self.bounded {
            // Only who holds something counts for the even share.
            match (self.held, bytes) {
                (0, 1..) => self.budget.accounts.fetch_add(1, Ordering::Relaxed),
                (1.., 0) => self.budget.accounts.fetch_sub(1, Ordering::Relaxed),
                _ => 0,
            };
            if bytes >= self.held {
                self.budget.used.fetch_add(bytes - self.held, Ordering::Relaxed);
            } else {
                self.budget.used.fetch_sub(self.held - bytes, Ordering::Relaxed);
            }
        }
        self.held = bytes;
    }

    /// Whether the budget as a whole is overdrawn (by what was forced).
    pub(crate) fn overdrawn(&self) -> bool {
        self.bounded && self.held > FLOOR && self.budget.used() > self.budget.cache
    }

    /// Whether somebody who holds less than his share was refused while this account holds more
    /// than its own: then it should shrink. Asking clears the call.
    pub(crate) fn should_yield(&self) -> bool {
        self.bounded
            && self.held > self.budget.fair_share()
            && self.budget.starved.load(Ordering::Relaxed)
            && self.budget.starved.swap(false, Ordering::Relaxed)
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.force(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_beyond_the_limit_and_gives_back_on_drop() {
        let budget = MemoryBudget::new(4 << 20);
        let mut a = Account::open(&budget, true);
        let mut b = Account::open(&budget, true);
        assert!(a.try_resize(2 << 20, 2 << 20));
        assert!(!b.try_resize(2 << 20, 2 << 20), "3 MiB are for the caches");
        assert!(b.try_resize(FLOOR, FLOOR), "the floor is always granted");
        assert!(a.should_yield() || a.held() <= budget.fair_share());
        drop(a);
        assert!(b.try_resize(2 << 20, 1 << 20));
        assert_eq!(budget.used(), 1 << 20);
        drop(b);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn the_heap_is_counted_but_not_bounded() {
        let budget = MemoryBudget::new(4 << 20);
        let mut heap = Account::open(&budget, false);
        assert!(heap.try_resize(1 << 30, 1 << 30));
        assert_eq!((heap.held(), budget.used()), (1 << 30, 0));
    }
}
