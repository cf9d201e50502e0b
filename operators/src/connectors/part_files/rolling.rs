//! When a file is closed before the next barrier, and how much may be open at once.

use std::time::Duration;

/// When a part file is full. Every barrier closes all files anyway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RollingPolicy {
    /// After about this many bytes (as they are in the file, compressed or not).
    pub max_bytes: u64,
    /// After this much processing time since its first record.
    pub interval: Option<Duration>,
}

impl Default for RollingPolicy {
    /// 128 MiB, and no time.
    fn default() -> Self {
        RollingPolicy { max_bytes: 128 << 20, interval: None }
    }
}

/// The bounds of one writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartOptions {
    /// When files are closed.
    pub rolling: RollingPolicy,
    /// How many files may be open. When there are more partitions, a format that can go on with a
    /// file it has ended (lines can, [`PartFormat::resumes`](super::PartFormat::resumes)) opens the
    /// others for each chunk, and a partition has one file. For any other, the file that was not
    /// used for longest is closed, and its partition gets a new one when it is needed again.
    pub max_open_files: usize,
    /// How many bytes may wait in memory, over all open files.
    pub max_buffered_bytes: usize,
    /// How many chunks may be with the pool.
    pub max_in_flight: usize,
}

impl Default for PartOptions {
    /// 64 files, 32 MiB, 4 chunks.
    fn default() -> Self {
        PartOptions {
            rolling: RollingPolicy::default(),
            max_open_files: 64,
            max_buffered_bytes: 32 << 20,
            max_in_flight: 4,
        }
    }
}
