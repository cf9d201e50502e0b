//! How a job is run: everything that is not its graph.

use std::{path::PathBuf, sync::Arc, time::Duration};

use hurtig_state::BackendKind;

use super::restart::RestartStrategy;
use crate::time::{Clock, SystemClock, mins, secs};

/// The settings of one run.
#[derive(Clone)]
pub struct JobConfig {
    /// Everything the job keeps locally: lock, working state, checkpoints by default.
    pub data_dir: PathBuf,
    /// When and where checkpoints are taken.
    pub checkpoints: CheckpointSettings,
    /// Heap or RocksDB.
    pub state_backend: BackendKind,
    /// Bytes of memory for keyed state, of all workers together.
    pub state_memory: usize,
    /// RocksDB's background threads.
    pub state_threads: usize,
    /// Bytes that may lie in the queues between chains, of all together.
    pub network_memory: usize,
    /// Threads for encoding, files and uploads.
    pub io_threads: usize,
    /// What to begin from.
    pub restore: Restore,
    /// Whether state of operators that the job no longer has may be dropped.
    pub allow_non_restored_state: bool,
    /// What to do when a task fails.
    pub restart: RestartStrategy,
    /// The injected clock.
    pub clock: Arc<dyn Clock>,
    /// Makes ids unique; drawn once by whoever starts the job.
    pub seed: u64,
}

/// When and where checkpoints are taken.
#[derive(Debug, Clone)]
pub struct CheckpointSettings {
    /// How often; `None`: only at the end and on request.
    pub interval: Option<Duration>,
    /// The least time between the end of one and the beginning of the next.
    pub min_pause: Duration,
    /// One that takes longer is given up.
    pub timeout: Duration,
    /// How many may fail in a row before the job does.
    pub tolerable_failures: u32,
    /// How many completed ones are kept.
    pub retained: usize,
    /// A directory or `s3://bucket/prefix`; `None`: `checkpoints` in the data directory.
    pub storage: Option<String>,
}

/// What to begin from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Restore {
    /// Nothing.
    Fresh,
    /// The newest completed checkpoint, or nothing if there is none.
    Latest,
    /// A savepoint's directory, its `_metadata`, or a checkpoint's manifest.
    Path(String),
}

impl JobConfig {
    /// The defaults, in `data_dir`.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        JobConfig {
            data_dir: data_dir.into(),
            checkpoints: CheckpointSettings::default(),
            state_backend: BackendKind::RocksDb,
            state_memory: 256 << 20,
            state_threads: 1,
            network_memory: 16 << 20,
            io_threads: 2,
            restore: Restore::Fresh,
            allow_non_restored_state: false,
            restart: RestartStrategy::default(),
            clock: Arc::new(SystemClock),
            seed: 0,
        }
    }
}

impl Default for CheckpointSettings {
    fn default() -> Self {
        CheckpointSettings {
            interval: Some(secs(10)),
            min_pause: Duration::ZERO,
            timeout: mins(10),
            tolerable_failures: 2,
            retained: 3,
            storage: None,
        }
    }
}
