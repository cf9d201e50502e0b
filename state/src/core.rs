//! What all states of one backend share: the current key, the clock, the store, the budget.

use std::hash::{BuildHasher, Hash};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use foldhash::fast::FixedState;

use crate::budget::Account;
use crate::encoding::{append, append_key_group, key_group_width, read_key_group};
use crate::run::Run;
use crate::store::{Store, TableId};
use crate::{Clock, Error, Key, KeyGroupRange, MemoryBudget, Result, key_group};

/// The hash of keys in tables: fixed, so that a run can be replayed.
#[derive(Clone, Copy)]
pub(crate) struct Hasher;

static STATE: FixedState = FixedState::with_seed(0x68_75_72_74_69_67);

impl Hasher {
    #[inline]
    pub(crate) fn hash<T: Hash + ?Sized>(self, value: &T) -> u64 {
        STATE.hash_one(value)
    }

    /// The hash of a pair whose first part is hashed already.
    #[inline]
    pub(crate) fn combine(first: u64, second: u64) -> u64 {
        (first ^ second.rotate_left(32)).wrapping_mul(0x9fb2_1c65_1e98_df25) ^ second
    }
}

/// A table with more dirty entries than this flushes ahead, so that a barrier finds little left to
/// do: about a quarter of a second's work.
pub(crate) const DIRTY_ENTRIES: usize = 1 << 19;

#[derive(Default, Clone, Copy)]
pub(crate) struct Counters {
    pub(crate) flushes: u64,
    pub(crate) flushed_entries: u64,
    pub(crate) flushed_bytes: u64,
    pub(crate) evicted: u64,
    pub(crate) store_reads: u64,
    pub(crate) store_hits: u64,
}

pub(crate) struct Core<K> {
    pub(crate) uid: Arc<str>,
    pub(crate) max_parallelism: u16,
    pub(crate) key_groups: KeyGroupRange,
    pub(crate) width: usize,
    pub(crate) budget: Arc<MemoryBudget>,
    pub(crate) store: Store,
    pub(crate) counters: Counters,
    pub(crate) hasher: Hasher,
    /// Used by flushes; empty in between.
    pub(crate) run: Run,
    /// Used to build a key for a lookup.
    pub(crate) scratch: Vec<u8>,
    clock: Arc<dyn Clock>,
    /// The latest time seen, which is what RocksDB's threads go by.
    now: Arc<AtomicI64>,
    key: Option<K>,
    hash: u64,
    epoch: u64,
}

impl<K: Key> Core<K> {
    pub(crate) fn new(
        uid: Arc<str>,
        max_parallelism: u16,
        key_groups: KeyGroupRange,
        budget: Arc<MemoryBudget>,
        clock: Arc<dyn Clock>,
        now: Arc<AtomicI64>,
        store: Store,
    ) -> Self {
        Self {
            uid,
            max_parallelism,
            key_groups,
            width: key_group_width(max_parallelism),
            budget,
            store,
            counters: Counters::default(),
            hasher: Hasher,
            run: Run::default(),
            scratch: Vec::new(),
            clock,
            now,
            key: None,
            hash: 0,
            epoch: 1,
        }
    }

    #[inline]
    pub(crate) fn set_key(&mut self, key: K) {
        let hash = self.hasher.hash(&key);
        self.set_hashed_key(key, hash);
    }

    #[inline]
    pub(crate) fn set_hashed_key(&mut self, key: K, hash: u64) {
        debug_assert_eq!(hash, self.hasher.hash(&key), "a key comes with its own hash");
        self.hash = hash;
        self.epoch += 1;
        self.key = Some(key);
    }

    #[inline]
    pub(crate) fn current_key(&self) -> Option<&K> {
        self.key.as_ref()
    }

    #[inline]
    pub(crate) fn key(&self) -> Result<&K> {
        match &self.key {
            Some(key) => Ok(key),
            None => Err(self.no_key()),
        }
    }

    #[cold]
    fn no_key(&self) -> Error {
        Error::NoCurrentKey { uid: self.uid.to_string() }
    }

    /// The current key's hash.
    #[inline]
    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    /// Differs from key to key; never 0.
    #[inline]
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The clock, never going back: a value that was hidden must stay hidden, since a compaction
    /// may have dropped it.
    #[inline]
    pub(crate) fn now(&self) -> i64 {
        let now = self.clock.now_ms();
        let seen = self.now.load(Ordering::Relaxed);
        if now > seen {
            self.now.store(now, Ordering::Relaxed);
            now
        } else {
            seen
        }
    }

    /// The key's group, which must be one of ours.
    #[inline]
    pub(crate) fn group_of(&self, key: &K) -> Result<u16> {
        let group = key_group(key.java_hash(), self.max_parallelism);
        if self.key_groups.contains(group) { Ok(group) } else { Err(self.foreign(key, group)) }
    }

    #[cold]
    fn foreign(&self, key: &K, key_group: u16) -> Error {
        Error::ForeignKey {
            uid: self.uid.to_string(),
            key: format!("{key:?}"),
            key_group,
            range: self.key_groups.to_string(),
        }
    }

    /// Appends `[key group][key]`.
    #[inline]
    pub(crate) fn append_key(&self, state: &str, key: &K, out: &mut Vec<u8>) -> Result<()> {
        append_key_group(self.group_of(key)?, self.width, out);
        append(key, out).map_err(|source| self.encode_error(state, source))
    }

    /// Splits a stored key into its group and what follows.
    pub(crate) fn split_group<'a>(&self, stored: &'a [u8]) -> Option<(u16, &'a [u8])> {
        Some((read_key_group(stored, self.width)?, stored.get(self.width..)?))
    }

    /// An account with the budget; the heap's is not bounded.
    pub(crate) fn open_account(&self) -> Account {
        Account::open(&self.budget, !self.store.is_heap())
    }

    /// Reads one entry of the store, counted.
    pub(crate) fn read_store<R>(
        &mut self,
        table: TableId,
        key: &[u8],
        read: impl FnOnce(&[u8]) -> Result<R>,
    ) -> Result<Option<R>> {
        let found = self.store.get(table, key, read)?;
        self.counters.store_reads += 1;
        self.counters.store_hits += u64::from(found.is_some());
        Ok(found)
    }

    /// Writes what the run holds and empties it.
    pub(crate) fn write_run(&mut self, table: TableId, run: &mut Run) -> Result<()> {
        if !run.is_empty() {
            self.counters.flushes += 1;
            self.counters.flushed_entries += run.len() as u64;
            self.counters.flushed_bytes += run.bytes() as u64;
            self.store.write(table, run)?;
        }
        run.clear();
        Ok(())
    }

    /// How many bytes a run may take before it is written. A flush should be one file: each spans
    /// all keys, and compaction has to merge as many as there are.
    pub(crate) fn run_limit(&self) -> usize {
        (self.budget.cache_limit() / 3).clamp(1 << 20, 256 << 20)
    }

    /// How many bytes of dirty entries a table may hold.
    pub(crate) fn dirty_limit(&self) -> usize {
        (self.budget.fair_share() / 4 * 3).max(1 << 20)
    }

    #[cold]
    pub(crate) fn encode_error(&self, state: &str, source: postcard::Error) -> Error {
        Error::Encode { uid: self.uid.to_string(), state: state.to_owned(), source }
    }

    #[cold]
    pub(crate) fn decode_error<T>(&self, state: &str, source: postcard::Error) -> Error {
        Error::Decode { uid: self.uid.to_string(), state: state.to_owned(), wanted: std::any::type_name::<T>(), source }
    }

    /// Stored bytes that are too short or badly framed.
    #[cold]
    pub(crate) fn damaged<T>(&self, state: &str) -> Error {
        self.decode_error::<T>(state, postcard::Error::DeserializeUnexpectedEnd)
    }
}
