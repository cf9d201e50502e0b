//! What is aimed at, and what Flink does: the figures that ours are printed beside.
//!
//! Flink 2.3.0 on 2 cores, parallelism 2 in one TaskManager, exactly once, incremental checkpoints
//! every 10 s to local disk, object reuse on; medians of three runs over the same ten million
//! readings. Absolute figures move with the machine: ratios say more.

use super::settings::Job;

/// The most memory that every job but dedup may have resident, in bytes.
pub const MOST_MEMORY: u64 = 300_000_000;

/// Flink's figures for one job on one back end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Flink {
    /// Where its state was; `-` for none.
    pub backend: &'static str,
    /// Records a second.
    pub rate: f64,
    /// CPU seconds for a million records.
    pub cpu_per_million: f64,
    /// The most memory that was resident, in MiB.
    pub peak_mib: u32,
    /// A checkpoint on average, in milliseconds.
    pub checkpoint_ms: u32,
}

const fn flink(backend: &'static str, thousands: u32, cpu: f64, peak_mib: u32, checkpoint_ms: u32) -> Flink {
    Flink { backend, rate: thousands as f64 * 1e3, cpu_per_million: cpu, peak_mib, checkpoint_ms }
}

/// Records a second in steady state that `job` is to reach on two cores.
pub fn target(job: Job) -> f64 {
    match job {
        Job::Passthrough => 8e6,
        Job::GeneratorTumble => 12e6,
        Job::Tumble | Job::Talk => 5e6,
        Job::Dedup => 1e6,
    }
}

/// The same work by Flink.
pub fn flinks(job: Job) -> &'static [Flink] {
    const PASSTHROUGH: [Flink; 1] = [flink("-", 2_784, 0.64, 2_367, 43)];
    const TALK: [Flink; 2] = [flink("rocksdb", 355, 5.1, 2_747, 288), flink("heap", 1_113, 1.6, 3_638, 80)];
    const TUMBLE: [Flink; 2] = [flink("rocksdb", 160, 11.5, 3_404, 562), flink("heap", 811, 2.2, 3_954, 261)];
    const GENERATOR: [Flink; 2] = [flink("rocksdb", 188, 9.8, 3_347, 399), flink("heap", 1_365, 1.3, 3_908, 86)];
    const DEDUP: [Flink; 2] = [flink("rocksdb", 151, 11.9, 3_397, 890), flink("heap", 233, 7.9, 5_179, 2_869)];
    match job {
        Job::Passthrough => &PASSTHROUGH,
        Job::Talk => &TALK,
        Job::Tumble => &TUMBLE,
        Job::GeneratorTumble => &GENERATOR,
        Job::Dedup => &DEDUP,
    }
}
