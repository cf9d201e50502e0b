//! The keys of the records that come next, each found and hashed once.

use std::collections::VecDeque;

use hurtig_state::KeyHash;

/// What a keyed operator was told of and has not seen yet.
///
/// Filled when records are announced and emptied in their order, so that the key at the front
/// belongs to the next record. Records that nobody announced (a harness pushes them one by one)
/// find it empty.
#[derive(Debug)]
pub(crate) struct Announced<K>(VecDeque<(K, KeyHash)>);

impl<K> Default for Announced<K> {
    fn default() -> Self {
        Announced(VecDeque::new())
    }
}

impl<K> Announced<K> {
    /// Forgets what is left of the last announcement and takes a new one.
    #[inline]
    pub(crate) fn replace(&mut self, keys: impl Iterator<Item = (K, KeyHash)>) {
        self.0.clear();
        self.0.extend(keys);
    }

    /// The next record's key.
    #[inline]
    pub(crate) fn next(&mut self) -> Option<(K, KeyHash)> {
        self.0.pop_front()
    }
}
