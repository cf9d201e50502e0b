//! What a backend tells of itself.

/// Counters and gauges of one backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackendStats {
    /// Entries in the typed caches (for the heap: all entries).
    pub cached: u64,
    /// Of these, not yet written to the store.
    pub dirty: u64,
    /// Bytes the caches, timers and filters hold.
    pub bytes: u64,
    /// Timers in memory, both domains.
    pub timers_in_memory: u64,
    /// Keys in the membership filters.
    pub filter_keys: u64,
    /// Bytes of the membership filters.
    pub filter_bytes: u64,
    /// Runs written to the store.
    pub flushes: u64,
    /// Entries in these.
    pub flushed_entries: u64,
    /// Bytes of keys and values in these.
    pub flushed_bytes: u64,
    /// Entries evicted from the caches.
    pub evicted: u64,
    /// Lookups that had to ask the store.
    pub store_reads: u64,
    /// Of these, how many found something.
    pub store_hits: u64,
    /// Files of the store.
    pub sst_files: u64,
    /// Bytes of these.
    pub sst_bytes: u64,
    /// Compactions running now.
    pub running_compactions: u64,
    /// Bytes that compactions have yet to rewrite, as the store estimates.
    pub pending_compaction_bytes: u64,
    /// Compactions since the store was opened.
    pub compactions: u64,
}
