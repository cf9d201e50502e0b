//! How a job is run from code.

use std::{
    hash::{BuildHasher, Hasher},
    path::PathBuf,
};

use hurtig_engine::runner::JobConfig;

/// The engine's defaults in `data_dir`, with a seed of its own: two jobs of one name that begin in
/// the same millisecond have different ids.
///
/// ```
/// use hurtig::prelude::*;
///
/// let config = JobConfig { restore: Restore::Latest, state_memory: 256 << 20, ..job_config("data") };
/// assert_ne!(config.seed, job_config("data").seed);
/// ```
pub fn job_config(data_dir: impl Into<PathBuf>) -> JobConfig {
    JobConfig { seed: seed(), ..JobConfig::new(data_dir) }
}

/// Makes ids unique and nothing else.
pub(crate) fn seed() -> u64 {
    // Every `RandomState` of a process has other keys.
    let mut hasher = std::hash::RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    hasher.finish()
}
