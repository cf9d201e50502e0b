//! What is needed soon, fetched now.
//!
//! A key's entry is somewhere in a table of megabytes, and waiting for it costs more than all
//! that is then done with it. Who knows the keys that come next can *announce* them, a few dozen
//! at a time: their hashes are computed once, the lines of memory that the look-ups will need
//! are asked for, and while one is on its way the others are too.
//!
//! Announcing never changes a result. Whoever announces hands the hash in again with the key.

use hashbrown::HashTable;

/// A key's hash, as [`KeyedStateBackend::announce`](crate::KeyedStateBackend::announce) returns it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyHash(pub(crate) u64);

/// Asks for the entry that the table has under `hash`, if it has one.
#[inline]
pub(crate) fn prefetch_entry<T>(entries: &HashTable<T>, hash: u64) {
    // Nearly always the first entry with these seven bits is the one; nothing is lost if not.
    entries.find(hash, |entry| {
        let first = std::ptr::from_ref(entry).cast::<u8>();
        prefetch(first);
        if size_of::<T>() > 1 {
            prefetch(first.wrapping_add(size_of::<T>() - 1));
        }
        true
    });
}

/// Asks for a line of memory without waiting for it.
#[inline]
pub(crate) fn prefetch<T>(at: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch is a hint; it reads nothing, and any address will do.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(at.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_address_and_any_hash_will_do() {
        prefetch(std::ptr::null::<u64>());
        prefetch(usize::MAX as *const u8);
        let mut table = HashTable::new();
        prefetch_entry(&table, 7);
        table.insert_unique(7, [1_u8; 200], |_| 7);
        (0..1_000).for_each(|hash| prefetch_entry(&table, hash));
    }
}
