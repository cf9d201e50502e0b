//! The command line: `hurtig`, and the same options for every job's own binary.
//!
//! ```no_run
//! use hurtig::cli::{NoOptions, run};
//!
//! fn main() -> std::process::ExitCode {
//!     run("my-job", |env, _: &NoOptions| {
//!         let _ = env; // env.from_source(…).map(…).sink_to(…)
//!         Ok(())
//!     })
//! }
//! ```
//!
//! - [`options`]: what every job understands; [`layers`]: file and `HURTIG_…` variables below it.
//! - [`run_job`]: from options to summary; progress on standard error, results on standard output.
//! - `hurtig jobs | checkpoints | savepoint | stop | cancel` talk to running jobs over REST.
//!
//! Exit codes: 0 finished, 1 failed, 2 wrong usage, 130 or 143 cancelled (by Ctrl-C or SIGTERM).

mod checkpoints;
mod client;
mod control;
#[cfg(feature = "store")]
mod doors;
mod failure;
#[cfg(feature = "ingest")]
mod ingest;
#[cfg(feature = "insights")]
mod insights;
mod jobs;
#[cfg(feature = "sql")]
mod lake;
pub mod layers;
pub mod options;
mod output;
mod progress;
#[cfg(feature = "sql")]
mod query;
mod registry;
#[cfg(feature = "insights")]
mod report;
mod run;
mod signals;
#[cfg(feature = "store")]
mod store;
#[cfg(feature = "kinesis")]
mod stream;
mod summary;
mod table;
pub mod units;
#[cfg(feature = "view")]
mod view;

use std::{ffi::OsString, process::ExitCode};

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use hurtig_engine::runner::JobStatus;
use hurtig_operators::stream::Environment;
use serde_json::Map;

use self::output::to_value;
pub use self::{
    failure::Failure,
    options::RunOptions,
    run::{Extras, run_job},
    summary::Notes,
};
use crate::smart_meters::{
    self, Layout,
    cost::{Amount, Traffic},
};

/// Apache Flink's programming model in one Rust binary, made for time-series data.
#[derive(Debug, Parser)]
#[command(
    name = "hurtig",
    version,
    max_term_width = 110,
    after_help = "\
Examples:
  hurtig run smart-meters --bounded               a generated fleet of meters, until it ends
  hurtig run smart-meters --source file:readings  your own files
  hurtig jobs                                     what runs
  hurtig query \"SELECT count(*) FROM readings\"    what was written"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a job in this process
    Run(Box<RunCommand>),
    /// Feed files into a stream, only as fast as it takes them, or straight into the lake
    #[cfg(feature = "ingest")]
    #[command(after_help = AFTER_RUN)]
    Ingest(Box<ingest::IngestCommand>),
    /// List running jobs
    Jobs(jobs::JobsCommand),
    /// List a job's checkpoints
    Checkpoints(checkpoints::CheckpointsCommand),
    /// Take a savepoint of a running job
    Savepoint(control::SavepointCommand),
    /// End a running job with a savepoint
    Stop(control::StopCommand),
    /// End a running job at once
    Cancel(control::CancelCommand),
    /// Look at Kinesis data streams, scale them, simulate how they scale
    #[cfg(feature = "kinesis")]
    Stream(stream::StreamCommand),
    /// Serve the embedded time-series store
    #[cfg(feature = "store")]
    Store(store::StoreCommand),
    /// Serve the operational view over a store
    #[cfg(feature = "view")]
    #[command(after_help = view::AFTER)]
    View(Box<view::ViewCommand>),
    /// Write what months of readings say as pictures, rows and a page
    #[cfg(feature = "insights")]
    #[command(after_help = report::AFTER)]
    Report(Box<report::ReportCommand>),
    /// Ask with SQL for what a job has written, and for files anywhere
    #[cfg(feature = "sql")]
    Query(query::QueryCommand),
    /// Write the DDL of the lake's tables
    #[cfg(feature = "sql")]
    Lake(lake::LakeCommand),
}

#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
struct RunCommand {
    #[command(subcommand)]
    job: Job,
}

/// The jobs that come with hurtig.
#[derive(Debug, Subcommand)]
enum Job {
    /// Smart-meter readings: time series, a lake, aggregates and dead letters
    #[command(name = "smart-meters", after_help = AFTER_RUN)]
    SmartMeters(JobLine<smart_meters::Options>),
}

/// A job's line: everybody's options and its own.
#[derive(Debug, Args)]
struct JobLine<A: Args> {
    #[command(flatten)]
    run: RunOptions,
    #[command(flatten)]
    own: A,
}

/// For a job that has no options of its own.
#[derive(Debug, Clone, Args)]
pub struct NoOptions {}

const AFTER_RUN: &str = "\
Every option can also stand in a file (--config FILE; TOML or JSON, named as here, or in a section with the
job's name) or in the environment (HURTIG_ and the name: HURTIG_CHECKPOINT_INTERVAL=30s). The command line
goes before the environment, the environment before the file; --bounded=false switches off what they switch on.

Ctrl-C or SIGTERM takes a last checkpoint and ends the job; `--from latest` goes on from there. A second one
ends it at once.

Exit codes: 0 finished, 1 failed, 2 wrong usage, 130 or 143 cancelled.";

const SMART_METERS: &str = "smart-meters";

/// Whose options a file may have sections for, whichever of them runs (and in a build without it).
const JOBS: &[&str] = &[SMART_METERS, "ingest"];

/// The `hurtig` binary.
pub fn main() -> ExitCode {
    hurtig(std::env::args_os().collect()).unwrap_or_else(Failure::report)
}

/// The whole of a job's own binary: options, run, summary. `name` is what its checkpoints belong to.
///
/// `A` are the job's own options ([`NoOptions`] if there are none); everybody's come by themselves.
/// What of those a job may want to know, the environment says: `env.parallelism()`,
/// `env.is_bounded()`, `env.data_dir()`.
pub fn run<A: Args>(name: &str, build: impl FnOnce(&Environment, &A) -> anyhow::Result<()>) -> ExitCode {
    run_named(name, std::env::args_os().collect(), build).unwrap_or_else(Failure::report)
}

fn run_named<A: Args>(
    name: &str,
    argv: Vec<OsString>,
    build: impl FnOnce(&Environment, &A) -> anyhow::Result<()>,
) -> Result<ExitCode, Failure> {
    let command =
        JobLine::<A>::augment_args(clap::Command::new("job").bin_name(name).after_help(AFTER_RUN)).max_term_width(110);
    let file = layers::config_file(&argv);
    let command = layers::put_below(command, name, &[name], file.as_deref())?;
    let matches = command.try_get_matches_from(argv).map_err(Failure::Clap)?;
    let line = JobLine::<A>::from_arg_matches(&matches).map_err(Failure::Clap)?;
    run_job(name, &line.run, |env| build(env, &line.own), &Extras::default())
}

fn hurtig(argv: Vec<OsString>) -> Result<ExitCode, Failure> {
    match parse(argv)?.command {
        Command::Run(command) => match command.job {
            Job::SmartMeters(JobLine { run, own }) => run_smart_meters(&run, own),
        },
        #[cfg(feature = "ingest")]
        Command::Ingest(command) => command.run(),
        Command::Jobs(command) => command.run().map(|()| ExitCode::SUCCESS),
        Command::Checkpoints(command) => command.run().map(|()| ExitCode::SUCCESS),
        Command::Savepoint(command) => command.run().map(|()| ExitCode::SUCCESS),
        Command::Stop(command) => command.run().map(|()| ExitCode::SUCCESS),
        Command::Cancel(command) => command.run().map(|()| ExitCode::SUCCESS),
        #[cfg(feature = "kinesis")]
        Command::Stream(command) => command.run().map(|()| ExitCode::SUCCESS),
        #[cfg(feature = "store")]
        Command::Store(command) => command.run().map(|()| ExitCode::SUCCESS),
        #[cfg(feature = "view")]
        Command::View(command) => command.run().map(|()| ExitCode::SUCCESS),
        #[cfg(feature = "insights")]
        Command::Report(command) => command.run().map(|()| ExitCode::SUCCESS),
        #[cfg(feature = "sql")]
        Command::Query(command) => command.run().map(|()| ExitCode::SUCCESS),
        #[cfg(feature = "sql")]
        Command::Lake(command) => command.run().map(|()| ExitCode::SUCCESS),
    }
}

fn parse(argv: Vec<OsString>) -> Result<Cli, Failure> {
    let mut command = Cli::command();
    // Only `run` has layers, and only its file is looked for: elsewhere `--config` is a mistake
    // that clap will find.
    if argv.get(1).is_some_and(|arg| arg == "run") && argv.get(2).is_some_and(|arg| arg == SMART_METERS) {
        let file = layers::config_file(&argv);
        let mut failure = None;
        command = command.mut_subcommand("run", |run| {
            run.mut_subcommand(SMART_METERS, |job| {
                let unchanged = job.clone();
                layers::put_below(job, SMART_METERS, JOBS, file.as_deref()).unwrap_or_else(|f| {
                    failure = Some(f);
                    unchanged
                })
            })
        });
        if let Some(failure) = failure {
            return Err(failure);
        }
    }
    #[cfg(feature = "ingest")]
    if argv.get(1).is_some_and(|arg| arg == ingest::INGEST) {
        let file = layers::config_file(&argv);
        let mut failure = None;
        command = command.mut_subcommand(ingest::INGEST, |job| {
            let unchanged = job.clone();
            layers::put_below(job, ingest::INGEST, JOBS, file.as_deref()).unwrap_or_else(|f| {
                failure = Some(f);
                unchanged
            })
        });
        if let Some(failure) = failure {
            return Err(failure);
        }
    }
    let matches = command.try_get_matches_from(argv).map_err(Failure::Clap)?;
    Cli::from_arg_matches(&matches).map_err(Failure::Clap)
}

fn run_smart_meters(run: &RunOptions, own: smart_meters::Options) -> Result<ExitCode, Failure> {
    let options = smart_meters::Options { bounded: run.bounded, ..own };
    let notes = |status: &JobStatus| cost(&options, run, status);
    let check = || options.check_places();
    let extras = Extras { check: &check, notes: &notes, ..Extras::default() };
    #[cfg(feature = "delta")]
    let _keeper = keeper(&options, run)?;
    #[cfg(feature = "store")]
    {
        let store = smart_meters::embedded_store(&options, &run.data_dir);
        let is_embedded = options.sink == smart_meters::SinkSpec::Embedded;
        let open = |rest: Option<&str>| {
            if is_embedded { doors::open(&store, &options, rest) } else { Ok(Vec::new()) }
        };
        let build = |env: &Environment| Ok(smart_meters::build_on(env, &options, &run.data_dir, &store)?);
        run_job(SMART_METERS, run, build, &Extras { open: &open, ..extras })
    }
    #[cfg(not(feature = "store"))]
    run_job(SMART_METERS, run, |env: &Environment| Ok(smart_meters::build(env, &options, &run.data_dir)?), &extras)
}

/// Looks after the lake's tables for as long as it is kept.
#[cfg(feature = "delta")]
fn keeper(options: &smart_meters::Options, run: &RunOptions) -> Result<Option<smart_meters::upkeep::Keeper>, Failure> {
    use smart_meters::{Typed, upkeep};
    let (Typed::Delta, Some(every)) = (options.typed, options.compact_every.0) else { return Ok(None) };
    let how = upkeep::Upkeep {
        target_bytes: options.lake_file_size as u64,
        vacuum_after: options.vacuum_after,
        ..upkeep::Upkeep::default()
    };
    Ok(Some(upkeep::Keeper::start(&Layout::of(options, &run.data_dir), every, how)?))
}

/// What AWS would have metered: a line each for people, figures for scripts.
fn cost(options: &smart_meters::Options, run: &RunOptions, status: &JobStatus) -> Notes {
    let layout = Layout::of(options, &run.data_dir);
    let traffic = match Traffic::of(&status.books, &layout, options.timestream_ingest_batch_size) {
        Ok(traffic) => traffic,
        Err(e) => {
            let text = vec![format!("what it would have cost on AWS is not known: {e}")];
            return Notes { text, ..Notes::default() };
        }
    };
    let quantities = smart_meters::cost::quantities(&traffic);
    let mut text = Vec::new();
    if !quantities.is_empty() {
        let (per_query, per_million): (Vec<_>, _) =
            quantities.iter().partition(|q| matches!(q.amount, Amount::PerQuery(_)));
        for (title, quantities) in [("per million readings", per_million), ("per query", per_query)] {
            text.push(format!("{title}, AWS would have metered"));
            text.extend(quantities.iter().map(|q| format!("  {q}")));
        }
    }
    Notes { text, fields: Map::from_iter([("cost".to_owned(), to_value(&quantities))]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_is_well_formed() {
        Cli::command().debug_assert();
    }

    fn parsed(line: &str) -> Result<Cli, String> {
        parse(line.split(' ').map(OsString::from).collect()).map_err(|f| f.to_string())
    }

    #[test]
    fn the_options_of_the_design_are_understood() {
        for line in [
            "hurtig run smart-meters --source generator --sink embedded --data-dir d --parallelism 2 --bounded",
            "hurtig run smart-meters --checkpoint-interval off --from latest --explain --json --rest-port off",
            "hurtig run smart-meters --explain=json --checkpoint-dir s3://b/p --state-backend heap --state-memory 1g",
            "hurtig jobs --json",
            "hurtig checkpoints smart-meters --data-dir d",
            "hurtig savepoint smart-meters dir",
            "hurtig stop smart-meters --drain",
            "hurtig cancel 2fca --rest http://127.0.0.1:8081",
            #[cfg(feature = "kinesis")]
            "hurtig stream autoscale readings --target 70% --min 10 --max 80 --json",
            #[cfg(feature = "kinesis")]
            "hurtig stream simulate --load talk --picture talk.svg",
            #[cfg(feature = "sql")]
            "hurtig lake ddl readings --lake s3://b/p --partition-by day --years 2012-2030 --create --catalog c.json",
            #[cfg(feature = "store")]
            "hurtig store serve --dir d --listen 127.0.0.1:0 --table meters/readings --json",
            #[cfg(feature = "insights")]
            "hurtig report consumption outages --from 2013-01-01 --to 2013-12-31 --tariff t.toml --format svg,csv --out r --json",
            #[cfg(feature = "view")]
            "hurtig view --dir d --listen 127.0.0.1:0 --rest http://127.0.0.1:8081 --silent-after 20m --json",
        ] {
            assert!(parsed(line).is_ok(), "{line}: {:?}", parsed(line).err());
        }
    }

    #[test]
    fn one_file_serves_every_job() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("hurtig.toml");
        std::fs::write(&file, "parallelism = 3\n[ingest]\nkey = 'id'\n[smart-meters]\nsource = 'file:x'\n")
            .expect("a file");
        let line = |command: &str| format!("hurtig {command} --config {}", file.display());
        let Ok(Cli { command: Command::Run(run) }) = parsed(&line("run smart-meters")) else { panic!("it is a run") };
        let Job::SmartMeters(job) = run.job;
        assert_eq!(job.run.parallelism, Some(3));
        #[cfg(feature = "ingest")]
        assert!(matches!(parsed(&line("ingest x --to files:y")), Ok(Cli { command: Command::Ingest(_) })));
    }

    #[test]
    fn explain_takes_no_word_that_follows() {
        let Ok(Cli { command: Command::Run(command) }) = parsed("hurtig run smart-meters --explain --source file:x")
        else {
            panic!("it is a run");
        };
        let Job::SmartMeters(line) = command.job;
        assert_eq!(line.run.explain, Some(options::Explain::Text));
    }

    #[test]
    fn mistakes_are_usage_errors() {
        for line in
            ["hurtig run", "hurtig run other", "hurtig run smart-meters --checkpoint-interval 0s", "hurtig nothing"]
        {
            assert!(parsed(line).is_err(), "{line}");
        }
    }
}
