//! What is killed, how often.

use std::{
    fmt,
    hash::{BuildHasher, Hasher},
    path::PathBuf,
    time::Duration,
};

use clap::Parser;

use crate::program::real_meters;

/// Kills the smart-meter job again and again, and compares what it wrote with an undisturbed run.
#[derive(Debug, Clone, Parser)]
pub struct Settings {
    /// How many times the job is killed at least, half of these at random moments; campaigns begin
    /// until that is so, until it has died at every failpoint, and until each setup had its turn
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub rounds: u64,

    /// The same seed kills at the same moments, as far as that can be [default: drawn, and printed]
    #[arg(long, value_name = "N", default_value_t = drawn())]
    pub seed: u64,

    /// Only this campaign: with the seed that it has failed with, it goes the same way again
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub campaign: Option<u64>,

    /// Messages of the fleet
    #[arg(long, value_name = "N", default_value_t = 300_000)]
    pub readings: u64,

    /// Meters of the fleet
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    pub meters: u64,

    /// The fleet's messages a second: a campaign takes readings / rate seconds, and what the restarts
    /// cost
    #[arg(long, value_name = "N", default_value_t = 40_000)]
    pub rate: u64,

    /// Milliseconds between two checkpoints
    #[arg(long, value_name = "MS", default_value_t = 200)]
    pub interval_ms: u64,

    /// Share of messages that arrive late
    #[arg(long, value_name = "SHARE", default_value_t = 0.01)]
    pub late_share: f64,

    /// Where the jobs write, kept afterwards [default: a temporary directory, kept if something
    /// went wrong]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// What a campaign's job reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Readings {
    /// A generated fleet with all faults.
    Fleet,
    /// The real meters' files, with gaps, repeats and ten years of partitions.
    Meters,
}

/// What campaigns differ in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setup {
    /// What is read.
    pub readings: Readings,
    /// Where keyed state is kept.
    pub backend: &'static str,
}

impl Setup {
    /// All of them, in turn.
    pub const ALL: [Setup; 4] = [
        Setup { readings: Readings::Fleet, backend: "rocksdb" },
        Setup { readings: Readings::Meters, backend: "rocksdb" },
        Setup { readings: Readings::Fleet, backend: "heap" },
        Setup { readings: Readings::Meters, backend: "heap" },
    ];

    /// That of campaign number `campaign`, from 1.
    pub fn of(campaign: u64) -> Self {
        Setup::ALL[(campaign.saturating_sub(1) % Setup::ALL.len() as u64) as usize]
    }
}

impl fmt::Display for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.readings, self.backend)
    }
}

impl fmt::Display for Readings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Readings::Fleet => "a generated fleet",
            Readings::Meters => "real meters",
        })
    }
}

impl Settings {
    /// The options of the job that have a part in what it writes.
    pub fn job(&self, readings: Readings) -> Vec<String> {
        let source = |source: String| [("--source", source)].into_iter();
        let options: Vec<_> = match readings {
            Readings::Meters => source(format!("file:{}", real_meters().display())).collect(),
            Readings::Fleet => source("generator".into())
                .chain([
                    ("--meters", self.meters.to_string()),
                    ("--readings-per-meter", self.readings.div_ceil(self.meters).to_string()),
                    ("--seed", "42".to_owned()),
                    ("--late-share", self.late_share.to_string()),
                    ("--duplicate-share", "0.01".to_owned()),
                    ("--null-share", "0.005".to_owned()),
                    ("--corrupt-share", "0.005".to_owned()),
                    ("--future-share", "0.005".to_owned()),
                ])
                .collect(),
        };
        let options = options.into_iter().flat_map(|(name, value)| [name.to_owned(), value]);
        ["run".to_owned(), "smart-meters".to_owned(), "--bounded".to_owned()].into_iter().chain(options).collect()
    }

    /// Options that have no part in what is written.
    pub fn running(&self, setup: Setup, parallelism: usize) -> Vec<String> {
        let mut options = vec![
            ("--parallelism", parallelism.to_string()),
            ("--state-backend", setup.backend.to_owned()),
            ("--checkpoint-interval", format!("{}ms", self.interval(setup.readings).as_millis())),
        ];
        // Files are read as fast as they can be.
        if setup.readings == Readings::Fleet {
            options.push(("--rate", self.rate.to_string()));
        }
        options.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect()
    }

    /// Between two checkpoints.
    pub fn interval(&self, readings: Readings) -> Duration {
        let fleet = Duration::from_millis(self.interval_ms);
        match readings {
            Readings::Fleet => fleet,
            // Over in a few seconds.
            Readings::Meters => (fleet / 4).max(Duration::from_millis(1)),
        }
    }
}

/// A seed that nobody has chosen.
fn drawn() -> u64 {
    std::hash::RandomState::new().build_hasher().finish() % 1_000_000
}
