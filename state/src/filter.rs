//! Which keys may be in the store: a Bloom filter of our own in front of RocksDB's.
//!
//! A key that was never spilled is the commonest question of a stream (deduplication asks it for
//! nearly every record), and RocksDB needs one probe a sorted run plus its bookkeeping to answer
//! it. This filter answers from one cache line a layer, with the hash the cache has computed
//! anyway. Layers grow from almost nothing, so that nobody must know the number of keys; a layer whose keys
//! have all expired is dropped; at its memory limit the last layer goes on filling, which makes
//! answers vaguer, never wrong.

use crate::announce::prefetch;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, TryRecvError};

const BITS_PER_KEY: usize = 16;
/// Small: there may be a filter for every pane.
const FIRST_LAYER: usize = 256;
const GROWTH: usize = 4;
const LARGEST_LAYER: usize = 16 << 20;

/// A 256-bit block: one bit in each of eight words a key (Parquet's split block filter).
type Block = [u32; 8];

const SALT: Block =
    [0x47b6_137b, 0x4497_4d91, 0x8824_ad5b, 0xa2b7_289d, 0x7054_95c7, 0x2df1_424b, 0x9efc_4947, 0x5c6b_fb31];

struct Layer {
    blocks: Box<[Block]>,
    keys: usize,
    capacity: usize,
    /// The latest touch among its keys, for states with time to live.
    newest: i64,
}

impl Layer {
    fn new(capacity: usize) -> Self {
        let blocks = vec![[0_u32; 8]; Self::bytes(capacity) / size_of::<Block>()].into_boxed_slice();
        Self { blocks, keys: 0, capacity, newest: i64::MIN }
    }

    fn bytes(capacity: usize) -> usize {
        (capacity * BITS_PER_KEY / 8).next_multiple_of(size_of::<Block>())
    }

    #[inline]
    fn position(&self, hash: u64) -> usize {
        (((hash >> 32) * self.blocks.len() as u64) >> 32) as usize
    }

    #[inline]
    fn contains(&self, hash: u64, mask: &Block) -> bool {
        let Some(block) = self.blocks.get(self.position(hash)) else {
            return true;
        };
        let mut missing = 0;
        for (word, bit) in block.iter().zip(mask) {
            missing |= !word & bit;
        }
        missing == 0
    }

    #[inline]
    fn insert(&mut self, hash: u64, mask: &Block) {
        let at = self.position(hash);
        if let Some(block) = self.blocks.get_mut(at) {
            for (word, bit) in block.iter_mut().zip(mask) {
                *word |= bit;
            }
        }
    }
}

/// One bit in each of the eight words, from the hash's lower half: the same in every layer.
#[inline]
fn mask(hash: u64) -> Block {
    SALT.map(|salt| 1 << ((hash as u32).wrapping_mul(salt) >> 27))
}

/// The tables' hashes are good in their upper bits only for some inputs: mix once more.
#[inline]
fn mix(hash: u64) -> u64 {
    let h = (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    h ^ (h >> 29)
}

/// Bloom filter layers over key hashes.
#[derive(Default)]
pub(crate) struct Filter {
    layers: Vec<Layer>,
}

impl Filter {
    #[inline]
    pub(crate) fn contains(&self, hash: u64) -> bool {
        let hash = mix(hash);
        let mask = mask(hash);
        self.layers.iter().any(|layer| layer.contains(hash, &mask))
    }

    /// Gets the blocks of `hash` on their way; small layers are near anyway.
    #[inline]
    pub(crate) fn prefetch(&self, hash: u64) {
        const NEAR: usize = 1 << 12;
        let hash = mix(hash);
        for layer in self.layers.iter().filter(|layer| layer.blocks.len() > NEAR) {
            if let Some(block) = layer.blocks.get(layer.position(hash)) {
                prefetch(block);
            }
        }
    }

    /// Adds a key last touched at `stamp` (anything where there is no time to live); `may_grow`
    /// is asked with the bytes of a new layer.
    pub(crate) fn insert(&mut self, hash: u64, stamp: i64, ttl: bool, mut may_grow: impl FnMut(usize) -> bool) {
        let hash = mix(hash);
        let mask = mask(hash);
        // With a time to live the newest layer must know the key, or it would go with an old one.
        let known = if ttl {
            self.layers.last().is_some_and(|layer| layer.contains(hash, &mask))
        } else {
            self.layers.iter().any(|layer| layer.contains(hash, &mask))
        };
        let full = self.layers.last().is_none_or(|layer| layer.keys >= layer.capacity);
        if !known && full {
            let next = |layer: &Layer| (layer.capacity * GROWTH).min(LARGEST_LAYER);
            let capacity = self.layers.last().map_or(FIRST_LAYER, next);
            // Where memory is short a smaller layer is better than one that is overfull.
            let mut sizes = (0..4).map(|i| capacity >> i).take_while(|size| *size >= FIRST_LAYER);
            let first = self.layers.is_empty();
            if let Some(capacity) = sizes.find(|size| first || may_grow(Layer::bytes(*size))) {
                self.layers.push(Layer::new(capacity));
            }
        }
        if let Some(layer) = self.layers.last_mut() {
            layer.newest = layer.newest.max(stamp);
            if !known {
                layer.keys += 1;
                layer.insert(hash, &mask);
            }
        }
    }

    /// Drops layers in which nothing was touched after `dead`.
    pub(crate) fn expire(&mut self, dead: i64) {
        self.layers.retain(|layer| layer.newest > dead);
    }

    pub(crate) fn memory(&self) -> usize {
        self.layers.iter().map(|layer| layer.blocks.len() * size_of::<Block>()).sum()
    }

    pub(crate) fn keys(&self) -> usize {
        self.layers.iter().map(|layer| layer.keys).sum()
    }
}

/// A filter being made from what the store holds, on a thread of its own.
pub(crate) struct Rebuild {
    result: Receiver<Filter>,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Rebuild {
    /// Starts `scan`, which must look at the flag now and then and return `None` once it is set.
    pub(crate) fn start(
        name: &str,
        scan: impl FnOnce(&AtomicBool) -> Option<Filter> + Send + 'static,
    ) -> std::io::Result<Self> {
        let (sender, result) = std::sync::mpsc::channel();
        let stop = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name(format!("filter {name}")).spawn(move || {
            if let Some(filter) = scan(&flag) {
                // The backend may be gone: then nobody needs the filter.
                let _ = sender.send(filter);
            }
        })?;
        Ok(Self { result, stop, thread: Some(thread) })
    }
}

impl Drop for Rebuild {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A scan that panicked has sent nothing; the store is asked as before.
            let _ = thread.join();
        }
    }
}

/// What is known of the keys in the store.
pub(crate) enum Membership {
    /// All of them are in the filter.
    Known(Filter),
    /// Some are not (yet): the store must be asked.
    Unknown { added: Filter, rebuild: Option<Rebuild> },
}

impl Membership {
    /// Of an empty store.
    pub(crate) fn empty() -> Self {
        Self::Known(Filter::default())
    }

    /// Of a restored store.
    pub(crate) fn unknown(rebuild: Option<Rebuild>) -> Self {
        Self::Unknown { added: Filter::default(), rebuild }
    }

    #[inline]
    pub(crate) fn prefetch(&self, hash: u64) {
        if let Self::Known(filter) = self {
            filter.prefetch(hash);
        }
    }

    #[inline]
    pub(crate) fn may_contain(&self, hash: u64) -> bool {
        match self {
            Self::Known(filter) => filter.contains(hash),
            Self::Unknown { .. } => true,
        }
    }

    #[inline]
    pub(crate) fn insert(&mut self, hash: u64, stamp: i64, ttl: bool, may_grow: impl FnMut(usize) -> bool) {
        let (Self::Known(filter) | Self::Unknown { added: filter, .. }) = self;
        filter.insert(hash, stamp, ttl, may_grow);
    }

    /// Takes a finished rebuild over. Called now and then.
    pub(crate) fn poll(&mut self) {
        let Self::Unknown { added, rebuild } = self else {
            return;
        };
        let Some(running) = rebuild else { return };
        match running.result.try_recv() {
            Ok(mut filter) => {
                // Its layers first: the newest layer must stay last.
                filter.layers.append(&mut added.layers);
                *self = Self::Known(filter);
            }
            Err(TryRecvError::Disconnected) => *rebuild = None,
            Err(TryRecvError::Empty) => {}
        }
    }

    pub(crate) fn expire(&mut self, dead: i64) {
        let (Self::Known(filter) | Self::Unknown { added: filter, .. }) = self;
        filter.expire(dead);
    }

    pub(crate) fn memory(&self) -> usize {
        let (Self::Known(filter) | Self::Unknown { added: filter, .. }) = self;
        filter.memory()
    }

    pub(crate) fn keys(&self) -> usize {
        let (Self::Known(filter) | Self::Unknown { added: filter, .. }) = self;
        filter.keys()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(i: u64) -> u64 {
        i.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    #[test]
    fn finds_all_that_was_added_and_little_else() {
        let mut filter = Filter::default();
        let n = 300_000;
        for i in 0..n {
            filter.insert(hash(i), 0, false, |_| true);
        }
        assert!((0..n).all(|i| filter.contains(hash(i))));
        let wrong = (n..2 * n).filter(|i| filter.contains(hash(*i))).count();
        assert!(wrong < n as usize / 20, "{wrong} false positives of {n}");
        let bits = filter.memory() as f64 * 8.0 / n as f64;
        assert!(bits < 25.0, "{bits} bits a key");
    }

    #[test]
    fn without_memory_it_gets_vague_not_wrong() {
        let mut filter = Filter::default();
        for i in 0..200_000 {
            filter.insert(hash(i), 0, false, |_| false);
        }
        assert_eq!(filter.memory(), Layer::bytes(FIRST_LAYER));
        assert!((0..200_000).all(|i| filter.contains(hash(i))));
    }

    #[test]
    fn expired_layers_go() {
        let mut filter = Filter::default();
        for i in 0..100_000_u64 {
            filter.insert(hash(i), i as i64, true, |_| true);
        }
        let before = filter.memory();
        filter.expire(40_000);
        assert!(filter.memory() < before);
        assert!((40_001..100_000).all(|i| filter.contains(hash(i))));
        filter.expire(100_000);
        assert_eq!(filter.memory(), 0);
        assert!(!filter.contains(hash(99_999)));
    }

    #[test]
    fn a_rebuilt_filter_joins_what_was_added_meanwhile() -> std::io::Result<()> {
        let rebuild = Rebuild::start("test", |_| {
            let mut filter = Filter::default();
            filter.insert(hash(1), 0, false, |_| true);
            Some(filter)
        })?;
        let mut membership = Membership::unknown(Some(rebuild));
        membership.insert(hash(2), 0, false, |_| true);
        while matches!(membership, Membership::Unknown { .. }) {
            assert!(membership.may_contain(hash(77)), "must not say no while it does not know");
            membership.poll();
            std::thread::yield_now();
        }
        assert!(membership.may_contain(hash(1)) && membership.may_contain(hash(2)));
        assert!(!membership.may_contain(hash(77)));
        Ok(())
    }
}
