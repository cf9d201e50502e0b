//! What is killed, how often.

use std::{
    hash::{BuildHasher, Hasher},
    path::PathBuf,
};

use clap::Parser;

/// Kills the smart-meter job again and again, and compares what it wrote with an undisturbed run.
#[derive(Debug, Clone, Parser)]
pub struct Settings {
    /// How many times the job is killed
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub rounds: u64,

    /// The same seed kills at the same moments, as far as that can be [default: drawn, and printed]
    #[arg(long, value_name = "N", default_value_t = drawn())]
    pub seed: u64,

    /// Messages of the fleet
    #[arg(long, value_name = "N", default_value_t = 300_000)]
    pub readings: u64,

    /// Meters of the fleet
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    pub meters: u64,

    /// Messages a second: a campaign takes readings / rate seconds, and what the restarts cost
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

impl Settings {
    /// The options of the job that have a part in what it writes.
    pub fn job(&self) -> Vec<String> {
        let per_meter = self.readings.div_ceil(self.meters);
        let options = [
            ("--source", "generator".to_owned()),
            ("--meters", self.meters.to_string()),
            ("--readings-per-meter", per_meter.to_string()),
            ("--seed", "42".to_owned()),
            ("--late-share", self.late_share.to_string()),
            ("--duplicate-share", "0.01".to_owned()),
            ("--null-share", "0.005".to_owned()),
            ("--corrupt-share", "0.005".to_owned()),
            ("--future-share", "0.005".to_owned()),
        ];
        let options = options.into_iter().flat_map(|(name, value)| [name.to_owned(), value]);
        ["run".to_owned(), "smart-meters".to_owned(), "--bounded".to_owned()].into_iter().chain(options).collect()
    }
}

/// A seed that nobody has chosen.
fn drawn() -> u64 {
    std::hash::RandomState::new().build_hasher().finish() % 1_000_000
}
