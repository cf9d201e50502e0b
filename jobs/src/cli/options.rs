//! The options that every job has, whoever wrote it.

use std::{
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
    time::Duration,
};

use clap::{Args, ValueEnum};
use hurtig_engine::{
    runner::{CheckpointSettings, JobConfig, Restore},
    time::SystemClock,
};
use hurtig_state::BackendKind;

use super::units;

/// What `hurtig run JOB` and every job's own binary understand.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Options of every job")]
pub struct RunOptions {
    /// Everything the job keeps and writes lies below this directory
    #[arg(long, value_name = "DIR", default_value = "hurtig-data")]
    pub data_dir: PathBuf,

    /// Workers [default: one a core]
    #[arg(long, short, value_name = "N")]
    pub parallelism: Option<usize>,

    /// Key groups: fixed for the life of the state [default: 128, as Flink]
    #[arg(long, value_name = "N")]
    pub max_parallelism: Option<u16>,

    /// How often a checkpoint is taken, or `off`
    #[arg(long, value_name = "DURATION", default_value = "10s")]
    pub checkpoint_interval: Interval,

    /// Where checkpoints go: a directory or s3://BUCKET/PREFIX [default: checkpoints in the data directory]
    #[arg(long, value_name = "DIR")]
    pub checkpoint_dir: Option<String>,

    /// Where keyed state is kept
    #[arg(long, value_name = "BACKEND", default_value = "rocksdb")]
    pub state_backend: StateBackend,

    /// Memory for keyed state, of all workers together
    #[arg(long, value_name = "SIZE", default_value = "256MiB", value_parser = units::parse_size)]
    pub state_memory: usize,

    /// Go on from the latest checkpoint, or from a savepoint or checkpoint at this path
    #[arg(long, value_name = "latest|PATH")]
    pub from: Option<String>,

    /// Drop state of operators that the job no longer has
    #[arg(long)]
    pub allow_non_restored_state: bool,

    /// Come to an end by itself: read what is there, and no more
    #[arg(long)]
    pub bounded: bool,

    /// Read options from this TOML or JSON file
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Print the job's graph and end
    #[arg(long, value_name = "FORMAT", num_args = 0..=1, require_equals = true, default_missing_value = "text")]
    pub explain: Option<Explain>,

    /// Print JSON lines instead of text
    #[arg(long)]
    pub json: bool,

    /// Where REST and Prometheus metrics answer on 127.0.0.1 (or at the next free port), or `off`
    #[arg(long, value_name = "PORT|off", default_value = "8081")]
    pub rest_port: RestPort,
}

/// How often something is done, such as a checkpoint; `None`: only on request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval(pub Option<Duration>);

/// The first port that is tried; `None`: no REST.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestPort(pub Option<u16>);

/// Where keyed state is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StateBackend {
    /// On disk, with a cache in memory: any size.
    #[value(alias = "rocks")]
    Rocksdb,
    /// In memory only.
    #[value(alias = "hashmap")]
    Heap,
}

/// How the graph is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Explain {
    /// A drawing.
    Text,
    /// Flink's plan.
    Json,
}

impl RunOptions {
    /// How many workers.
    pub fn workers(&self) -> usize {
        self.parallelism.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))
    }

    /// Where the checkpoints are.
    pub fn checkpoint_location(&self) -> String {
        let default = || self.data_dir.join("checkpoints").display().to_string();
        self.checkpoint_dir.clone().unwrap_or_else(default)
    }

    /// What is below the data directory.
    pub fn in_data_dir(&self, name: impl AsRef<Path>) -> PathBuf {
        self.data_dir.join(name)
    }

    /// The engine's settings. `seed` makes this run's ids unique.
    pub fn job_config(&self, seed: u64) -> JobConfig {
        JobConfig {
            checkpoints: CheckpointSettings {
                interval: self.checkpoint_interval.0,
                storage: self.checkpoint_dir.clone(),
                ..CheckpointSettings::default()
            },
            state_backend: match self.state_backend {
                StateBackend::Rocksdb => BackendKind::RocksDb,
                StateBackend::Heap => BackendKind::Heap,
            },
            state_memory: self.state_memory,
            restore: match self.from.as_deref() {
                None => Restore::Fresh,
                Some("latest") => Restore::Latest,
                Some(path) => Restore::Path(path.to_owned()),
            },
            allow_non_restored_state: self.allow_non_restored_state,
            clock: Arc::new(SystemClock),
            seed,
            ..JobConfig::new(&self.data_dir)
        }
    }
}

impl FromStr for Interval {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if matches!(text, "off" | "none") {
            return Ok(Interval(None));
        }
        match units::parse_duration(text)? {
            Duration::ZERO => Err("it takes time: give at least 1ms, or `off`".into()),
            interval => Ok(Interval(Some(interval))),
        }
    }
}

impl FromStr for RestPort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if matches!(text, "off" | "none") {
            return Ok(RestPort(None));
        }
        text.parse()
            .map(|port| RestPort(Some(port)))
            .map_err(|_| format!("'{text}' is no port: give a number or `off`"))
    }
}
