//! What the process has used.

use std::time::{Duration, Instant};

/// CPU time of the whole process, all threads, RocksDB's too.
pub fn cpu_time() -> Duration {
    // SAFETY: all zeros is a valid `rusage`: it is nothing but numbers.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: `usage` is a valid place to write to; the call has no other effect.
    unsafe { libc::getrusage(libc::RUSAGE_SELF, &mut usage) };
    let duration = |t: libc::timeval| Duration::from_secs(t.tv_sec as u64) + Duration::from_micros(t.tv_usec as u64);
    duration(usage.ru_utime) + duration(usage.ru_stime)
}

/// The most memory that was ever resident, in bytes; 0 where the system does not say.
pub fn peak_memory() -> u64 {
    status_field("VmHWM:")
}

/// What is resident now, in bytes; 0 where the system does not say.
pub fn resident_memory() -> u64 {
    status_field("VmRSS:")
}

fn status_field(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix(name));
    let kib = line.and_then(|l| l.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

/// A moment: the time, the CPU time used until then, and how many records had been read.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// The time.
    pub at: Instant,
    /// CPU time so far.
    pub cpu: Duration,
    /// Records so far.
    pub records: u64,
}

impl Moment {
    /// Now.
    #[allow(clippy::disallowed_methods, reason = "a measurement")]
    pub fn now(records: u64) -> Self {
        Moment { at: Instant::now(), cpu: cpu_time(), records }
    }
}

/// Between two moments.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stretch {
    /// How many records.
    pub records: u64,
    /// How long.
    pub seconds: f64,
    /// CPU seconds.
    pub cpu_seconds: f64,
}

impl Stretch {
    /// From one moment to another.
    pub fn between(from: &Moment, to: &Moment) -> Self {
        Stretch {
            records: to.records.saturating_sub(from.records),
            seconds: to.at.duration_since(from.at).as_secs_f64(),
            cpu_seconds: to.cpu.saturating_sub(from.cpu).as_secs_f64(),
        }
    }

    /// Records a second.
    pub fn rate(&self) -> f64 {
        self.records as f64 / self.seconds.max(1e-9)
    }

    /// CPU seconds for a million records.
    pub fn cpu_per_million(&self) -> f64 {
        self.cpu_seconds / (self.records.max(1) as f64 / 1e6)
    }
}
