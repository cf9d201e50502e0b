//! The lake under kills: a fleet whose readings come up to three days late, a job that is killed again and again while its
//! tables are compacted, and a reader that counts all the while.
//!
//! In the end both zones hold each reading once, in its own partition, in files of the stated size, and the sums have all of
//! them; and at no moment has the reader seen fewer rows than before.

mod beside_duckdb;
mod reader;
mod right;

use std::{fmt, hash::BuildHasher, path::PathBuf, time::Duration};

use anyhow::{Context, Result, bail};
use rand::{Rng, SeedableRng, rngs::SmallRng};

use crate::{
    chaos::{
        kill::Kill,
        life::{Ended, live},
    },
    program,
};

/// A job that has not come to its end in so many lives never will.
const MOST_LIVES: u32 = 400;

/// What is done, and how often.
#[derive(Debug, Clone, clap::Parser)]
pub struct Settings {
    /// How many messages, with an energy and a voltage each
    #[arg(long, default_value_t = 1_000_000)]
    pub readings: u64,
    /// How many meters they are of
    #[arg(long, default_value_t = 2_000)]
    pub meters: u64,
    /// How often the job is killed
    #[arg(long, default_value_t = 20)]
    pub kills: u32,
    /// Messages a second
    #[arg(long, default_value_t = 30_000)]
    pub rate: u64,
    /// Milliseconds between two checkpoints, and between two compactions about twice of it
    #[arg(long, default_value_t = 300)]
    pub interval_ms: u64,
    /// About how large files are to be, in KiB
    #[arg(long, default_value_t = 1_024)]
    pub file_kib: u64,
    /// Ask DuckDB the same in the end: a Python that has it
    #[arg(long, value_name = "PYTHON")]
    pub duckdb: Option<String>,
    /// Decides when the job is killed
    #[arg(long, default_value_t = drawn())]
    pub seed: u64,
    /// Where everything lies [default: a temporary directory]
    #[arg(long)]
    pub dir: Option<PathBuf>,
}

/// What came of it.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// Lives that ended by SIGKILL.
    pub kills: u32,
    /// How often the reader has counted.
    pub counts: u64,
    /// Versions of the table of readings.
    pub versions: u64,
    /// What was right, a line each.
    pub right: Vec<String>,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} kills; a reader counted {} times over {} versions and never saw less than before",
            self.kills, self.counts, self.versions
        )?;
        f.write_str(&self.right.join("\n"))
    }
}

/// Runs the job to its end, through all kills, and looks at the lake.
pub fn run(settings: &Settings, mut say: impl FnMut(&str)) -> Result<Figures> {
    let temporary = tempfile::Builder::new().prefix("hurtig-lake-").tempdir()?;
    let dir = match &settings.dir {
        Some(dir) => {
            std::fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
            std::path::absolute(dir)?
        }
        None => temporary.path().to_owned(),
    };
    let data = dir.join("data");
    let reader = reader::Reader::start(&data.join("lake/typed/readings"))?;
    let mut random = SmallRng::seed_from_u64(settings.seed);
    let mut figures = Figures::default();
    for life in 0..MOST_LIVES {
        let kill = match figures.kills < settings.kills {
            true => some_kill(&mut random, life, settings.interval_ms),
            // Nobody waits so long.
            false => Kill::AfterCheckpoints(u64::from(u32::MAX), Duration::ZERO),
        };
        let parallelism = [1, 2, 4][random.random_range(0..3)];
        let name = format!("life-{life:03}");
        let lived = live(&dir, &name, &job(settings, parallelism), &[], &data, &kill)?;
        figures.kills += u32::from(lived.ended == Ended::Killed);
        say(&format!("life {life}: parallelism {parallelism}, {kill}, {:?}; {}", lived.ended, reader.seen()));
        if lived.ended == Ended::Finished {
            if figures.kills < settings.kills {
                bail!("the job was over after {} kills: give it more readings, or a lower rate", figures.kills);
            }
            (figures.counts, figures.versions) = reader.stop()?;
            figures.right = right::look(settings, &data)?;
            if let Some(python) = &settings.duckdb {
                let threads = std::thread::available_parallelism().map_or(1, usize::from);
                figures.right.extend(beside_duckdb::ask(python, &data.join("lake/typed/readings"), threads)?);
            }
            return Ok(figures);
        }
    }
    bail!("the job has not come to its end in {MOST_LIVES} lives")
}

/// SIGKILL at some moment, every fourth time between a commit's names and its log.
fn some_kill(random: &mut SmallRng, life: u32, interval_ms: u64) -> Kill {
    if life % 4 == 3 {
        return Kill::At("delta-commit", random.random_range(1..6));
    }
    let more = Duration::from_millis(random.random_range(0..interval_ms * 2));
    Kill::AfterCheckpoints(random.random_range(if life == 0 { 1 } else { 0 }..3), more)
}

/// Each reading once, and all of them valid: what must be in the lake is known without a second run.
fn job(settings: &Settings, parallelism: u32) -> Vec<String> {
    let options = [
        ("--source", "generator".to_owned()),
        ("--meters", settings.meters.to_string()),
        ("--readings-per-meter", settings.per_meter().to_string()),
        ("--rate", settings.rate.to_string()),
        ("--late-share", "0.05".to_owned()),
        ("--late-by", "3d".to_owned()),
        ("--duplicate-share", "0".to_owned()),
        ("--null-share", "0".to_owned()),
        ("--corrupt-share", "0".to_owned()),
        ("--future-share", "0".to_owned()),
        ("--partition-by", "day".to_owned()),
        ("--lake-file-size", format!("{}KiB", settings.file_kib)),
        ("--compact-every", format!("{}ms", settings.interval_ms * 2)),
        ("--checkpoint-interval", format!("{}ms", settings.interval_ms)),
        ("--view-port", "off".to_owned()),
        ("--parallelism", parallelism.to_string()),
    ];
    let options = options.into_iter().flat_map(|(name, value)| [name.to_owned(), value]);
    ["run", "smart-meters", "--bounded"].map(str::to_owned).into_iter().chain(options).collect()
}

impl Settings {
    fn per_meter(&self) -> u64 {
        self.readings.div_ceil(self.meters)
    }

    /// How many messages there are in all.
    pub fn all(&self) -> u64 {
        self.per_meter() * self.meters
    }
}

/// One number of the answer to a question.
fn number(data: &std::path::Path, sql: &str) -> Result<u64> {
    let rows = program::query(data, sql)?;
    let [row] = rows.as_slice() else { bail!("{sql}: {} rows", rows.len()) };
    row.parse().with_context(|| format!("{sql}: {row}"))
}

/// A seed that nobody has chosen.
fn drawn() -> u64 {
    use std::hash::Hasher;
    std::hash::RandomState::new().build_hasher().finish() % 1_000_000
}
