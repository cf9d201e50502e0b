//! How far an ingestion has come, for whoever watches it.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counts of a running [`RangeSource`](crate::RangeSource): they are set right on every start from
/// what the checkpoint holds, and do not go back on a restore.
#[derive(Debug, Default)]
pub struct IngestProgress {
    pub(crate) files_found: AtomicU64,
    pub(crate) files_finished: AtomicU64,
    pub(crate) ranges_found: AtomicU64,
    pub(crate) ranges_finished: AtomicU64,
    pub(crate) bytes_found: AtomicU64,
    pub(crate) bytes_read: AtomicU64,
}

/// The counts at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct IngestFigures {
    /// Files that were found.
    pub files_found: u64,
    /// Those that were read to their end.
    pub files_finished: u64,
    /// The ranges they were cut into.
    pub ranges_found: u64,
    /// Those that were read to their end.
    pub ranges_finished: u64,
    /// Bytes in all ranges, as they are stored.
    pub bytes_found: u64,
    /// Bytes that were read, as they are stored. It can be a little more than there is: the last
    /// record of a range ends behind it.
    pub bytes_read: u64,
}

impl IngestProgress {
    /// The counts now.
    pub fn figures(&self) -> IngestFigures {
        IngestFigures {
            files_found: self.files_found.load(Relaxed),
            files_finished: self.files_finished.load(Relaxed),
            ranges_found: self.ranges_found.load(Relaxed),
            ranges_finished: self.ranges_finished.load(Relaxed),
            bytes_found: self.bytes_found.load(Relaxed),
            bytes_read: self.bytes_read.load(Relaxed),
        }
    }
}
