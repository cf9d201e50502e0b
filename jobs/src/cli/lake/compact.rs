//! `hurtig lake compact`: what a running job does by itself, now and once.

use std::path::PathBuf;

use clap::Args;
use hurtig_engine::time::{Clock, SystemClock};
use indicatif::{HumanBytes, HumanCount};

use super::super::{Failure, units::parse_size};
use crate::smart_meters::{Layout, Options, Span, upkeep::Upkeep};

pub const COMPACT: &str = "\
Each checkpoint of a job adds files to the tables. A compaction takes the small ones of a partition, sorts their rows by meter
and time, removes repeats (the reading that arrived first stays), adds up the parts of sums whose readings came late, and
writes files of the target size, in one commit: a query sees the table as it was, or as it is then. A job that runs is not
disturbed. Files that were replaced stay for --vacuum-after, for queries that have begun and readers of older versions.

  hurtig lake compact                          the tables of the lake in hurtig-data
  hurtig lake compact --min-files 2            also where there are two small files only
  hurtig lake compact --vacuum-after 0s        and remove at once what was replaced (queries under way fail)";

/// Which tables, and how.
#[derive(Debug, Args)]
pub struct CompactOptions {
    /// The job's data directory
    #[arg(long, value_name = "DIR", default_value = "hurtig-data", env = "HURTIG_DATA_DIR", hide_env = true)]
    data_dir: PathBuf,
    /// The lake, if it is elsewhere
    #[arg(long, value_name = "DIR", env = "HURTIG_LAKE", hide_env = true)]
    lake: Option<PathBuf>,
    /// About how large files are to be
    #[arg(long, value_name = "SIZE", default_value = "128MiB", value_parser = parse_size)]
    target_size: usize,
    /// So many small files of a partition are worth it
    #[arg(long, value_name = "N", default_value_t = 4)]
    min_files: usize,
    /// Bytes that sorting may hold; beyond that it spills to disk
    #[arg(long, value_name = "SIZE", default_value = "256MiB", value_parser = parse_size)]
    memory: usize,
    /// How long files that were replaced stay
    #[arg(long, value_name = "SPAN", default_value_t = Span::days(7))]
    vacuum_after: Span,
}

impl CompactOptions {
    /// Compacts the tables one after the other, and says what came of it.
    pub fn run(&self) -> Result<(), Failure> {
        let layout = Layout::of(&Options { lake: self.lake.clone(), ..Options::default() }, &self.data_dir);
        let upkeep = Upkeep {
            target_bytes: self.target_size as u64,
            min_files: self.min_files,
            memory: self.memory,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            vacuum_after: self.vacuum_after,
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let run = format!("{:x}-{}", SystemClock.now_ms(), std::process::id());
        let mut found = false;
        for table in crate::smart_meters::upkeep::tables(&layout) {
            let Some(done) = runtime.block_on(upkeep.of(&table, &run, &SystemClock))? else { continue };
            found = true;
            let (name, compacted) = (table.name, done.compacted);
            println!(
                "{name}: {} files became {} in {} partitions ({} rows, {} repeats); {} old files removed; now {} files, {}",
                HumanCount(compacted.before as u64),
                HumanCount(compacted.after as u64),
                HumanCount(compacted.partitions as u64),
                HumanCount(compacted.rows),
                HumanCount(compacted.repeats),
                HumanCount(done.removed as u64),
                HumanCount(done.files as u64),
                HumanBytes(done.bytes)
            );
        }
        if !found {
            let place = layout.readings.parent().unwrap_or(&layout.readings).display().to_string();
            return Err(Failure::usage(format!(
                "there is no Delta table below {place}: run the job first, or name the lake with --lake (plain Parquet has no \
                 log to compact by)"
            )));
        }
        Ok(())
    }
}
