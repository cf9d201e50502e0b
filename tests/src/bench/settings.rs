//! What a benchmark is run with.

use std::{path::PathBuf, time::Duration};

use clap::{Parser, ValueEnum};
use hurtig_state::BackendKind;

/// Runs one job of the comparison with Flink and says how fast it was.
///
/// Without --seconds: all of the readings (--rounds times), and the right answers. With it: steady
/// state, the same readings repeated with time moving on, at least three checkpoints.
#[derive(Debug, Clone, Parser)]
pub struct Settings {
    /// Which one
    #[arg(value_enum)]
    pub job: Job,

    /// The directory with the readings (see gen_peer); not needed for generator_tumble
    #[arg(long, value_name = "DIR")]
    pub input: Option<PathBuf>,

    /// Workers
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub parallelism: usize,

    /// Where keyed state is kept
    #[arg(long, value_enum, default_value = "rocksdb")]
    pub backend: Backend,

    /// How many times the readings are read
    #[arg(long, value_name = "K", conflicts_with = "seconds")]
    pub rounds: Option<u64>,

    /// Repeats the readings for so many seconds
    #[arg(long, value_name = "S")]
    pub seconds: Option<u64>,

    /// Prints JSON
    #[arg(long)]
    pub json: bool,

    /// Where tumble writes: new, empty, or from an earlier run, which is deleted [default: out in the
    /// data directory]
    #[arg(long, value_name = "DIR")]
    pub output: Option<PathBuf>,

    /// Checkpoints and working state: new, empty, or from an earlier run, which is deleted [default:
    /// a temporary directory beside the input]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,

    /// How often a checkpoint is taken: 10s, 500ms or off
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = interval)]
    pub checkpoint_interval: Interval,

    /// Memory for keyed state, of all workers together, in MiB [default: 64; dedup: 256, so that the
    /// filter in front of its store has room for half a minute's keys]
    #[arg(long, value_name = "MIB")]
    pub state_memory: Option<usize>,

    /// generator_tumble: readings in a round
    #[arg(long, value_name = "N", default_value_t = 10_000_000)]
    pub readings: u64,

    /// generator_tumble: meters
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    pub meters: u64,
}

impl Settings {
    /// For what it is run.
    pub fn form(&self) -> Form {
        if self.seconds.is_some() { Form::Steady } else { Form::Once }
    }
}

/// For what a job is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// All of the input, so many rounds: for the right answers.
    Once,
    /// The input again and again for a while: for the rate.
    Steady,
}

impl Form {
    /// As it is said.
    pub fn name(self) -> &'static str {
        match self {
            Form::Once => "all of the input",
            Form::Steady => "steady state",
        }
    }
}

/// The jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Job {
    /// files → parse → count → discard
    Passthrough,
    /// parse → map → key by meter → a distinct nanosecond each → discard
    Talk,
    /// parse → one-minute windows by meter → JSON lines, exactly once
    Tumble,
    /// one-minute windows over readings made in memory → discard
    GeneratorTumble,
    /// parse → the first of each (meter, time) passes, remembered for an hour → discard
    Dedup,
}

impl Settings {
    /// Memory for keyed state in MiB.
    pub fn state_memory(&self) -> usize {
        self.state_memory.unwrap_or(if self.job == Job::Dedup { 256 } else { 64 })
    }
}

impl Job {
    /// As it is spelled.
    pub fn name(self) -> &'static str {
        match self {
            Job::Passthrough => "passthrough",
            Job::Talk => "talk",
            Job::Tumble => "tumble",
            Job::GeneratorTumble => "generator_tumble",
            Job::Dedup => "dedup",
        }
    }
}

/// Where keyed state is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Backend {
    /// On disk, with a cache in memory.
    Rocksdb,
    /// In memory.
    Heap,
}

impl Backend {
    /// As it is spelled.
    pub fn name(self) -> &'static str {
        match self {
            Backend::Rocksdb => "rocksdb",
            Backend::Heap => "heap",
        }
    }

    /// As the state knows it.
    pub fn kind(self) -> BackendKind {
        match self {
            Backend::Rocksdb => BackendKind::RocksDb,
            Backend::Heap => BackendKind::Heap,
        }
    }
}

/// How often a checkpoint is taken; `None`: only at the end.
#[derive(Debug, Clone, Copy)]
pub struct Interval(pub Option<Duration>);

/// `10s`, `500ms`, `off`.
fn interval(text: &str) -> Result<Interval, String> {
    if text == "off" {
        return Ok(Interval(None));
    }
    let (number, unit) = match text.strip_suffix("ms") {
        Some(number) => (number, 1),
        None => (text.strip_suffix('s').unwrap_or(text), 1_000),
    };
    match number.parse::<u64>() {
        Ok(n) if n > 0 => Ok(Interval(Some(Duration::from_millis(n * unit)))),
        _ => Err(format!("'{text}' is no interval: write 10s, 500ms or off")),
    }
}
