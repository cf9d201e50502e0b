//! The phases: insert, checkpoint, update, checkpoint, end without a word, restore, read back. At the
//! end: not one count may be wrong, the state must have been ten times its budget, and what was
//! resident must have stayed within the stated bound.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::atomic::Ordering::Relaxed,
    time::Duration,
};

use anyhow::{Result, bail};
use clap::Parser;
use hurtig_engine::runner::{JobConfig, JobHandle, JobState, LocalRunner, RestartStrategy, Restore};

use super::{
    job::{KeyKind, graph},
    source::{Deeds, Gate},
};
use crate::{
    bench::{
        machine::Machine,
        measure::{Moment, Stretch, peak_memory, resident_memory},
        report::mebibytes,
        tally::Tally,
    },
    scratch,
};

/// How many times its budget the state must be.
const TIMES_BUDGET: u64 = 10;

/// Keeps a register for each of many keys on RocksDB, in little memory: at least ten times as much
/// state as there is memory for it, and resident no more than --memory-bound.
#[derive(Debug, Clone, Parser)]
pub struct Settings {
    /// How many keys
    #[arg(long, value_name = "N", default_value_t = 20_000_000)]
    pub keys: u64,

    /// How many updates of keys that exist, at random
    #[arg(long, value_name = "N", default_value_t = 5_000_000)]
    pub updates: u64,

    /// What a key is
    #[arg(long, value_enum, default_value = "number")]
    pub key: KeyKind,

    /// Memory for keyed state, of all workers together, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 64)]
    pub state_memory: usize,

    /// What may be resident beside that, for code, queues, compaction and uploads, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 192)]
    pub beside: usize,

    /// Workers
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub parallelism: usize,

    /// Checkpoints and working state: new, empty, or from an earlier run, which is deleted [default:
    /// a temporary directory]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,

    /// Prints JSON
    #[arg(long)]
    pub json: bool,
}

/// How often is looked whether a phase is over.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// One phase's figures.
#[derive(Debug)]
pub struct Phase {
    /// What was done.
    pub name: &'static str,
    /// How much of it, how fast.
    pub stretch: Stretch,
    /// What was resident at its end.
    pub resident: u64,
    /// The checkpoint at its end: full bytes, new bytes, milliseconds.
    pub checkpoint: Option<(u64, u64, i64)>,
}

/// What came out.
#[derive(Debug)]
pub struct Report {
    /// The phases, in order.
    pub phases: Vec<Phase>,
    /// On what.
    pub machine: Machine,
    /// From the start of a new run until it is running.
    pub restore_seconds: f64,
    /// The most memory that was ever resident.
    pub peak_memory: u64,
    /// What there was of memory for state.
    pub budget: u64,
    /// What all may be resident.
    pub bound: u64,
    /// What is wrong: the run does not count.
    pub failures: Vec<String>,
}

/// Goes through all phases. What is wrong with the result is in the report.
pub fn run(settings: &Settings) -> Result<Report> {
    let temporary = tempfile::Builder::new().prefix("hurtig-state-size-").tempdir()?;
    let data = settings.data_dir.clone().unwrap_or_else(|| temporary.path().to_owned());
    scratch::claim(&data)?;
    let (keys, updates) = (settings.keys, settings.updates);
    let tally = Tally::default();
    let mut phases = Vec::new();

    let (gate, handle) = start(settings, &data, Restore::Fresh, &tally)?;
    phases.push(phase("insert", &handle, &gate, keys, true)?);
    phases.push(phase("update", &handle, &gate, keys + updates, true)?);
    handle.cancel()?;
    handle.wait()?;

    let begin = Moment::now(0);
    let (gate, handle) = start(settings, &data, Restore::Latest, &tally)?;
    while handle.state() != JobState::Running {
        if let Some(end) = handle.wait_timeout(LOOK_EVERY)? {
            bail!("the restored job is {}", end.state);
        }
    }
    let restore_seconds = Stretch::between(&begin, &Moment::now(0)).seconds;
    phases.push(phase("read", &handle, &gate, keys + updates + keys, false)?);
    handle.wait()?;

    let books = handle.status().books;
    let budget = (settings.state_memory as u64) << 20;
    let bound = budget + ((settings.beside as u64) << 20);
    let machine = Machine::this();
    let peak_memory = peak_memory();
    let mut report = Report { phases, machine, restore_seconds, peak_memory, budget, bound, failures: Vec::new() };
    report.failures = report.judge();
    let (found, touches) = (tally.records(), tally.weight());
    if (found, touches) != (keys, keys + updates) {
        let expected = keys + updates;
        report.failures.push(format!("{found} keys were found with {touches} touches, not {keys} with {expected}"));
    }
    if !books.iter().all(|sink| sink.books.balance() && sink.books.written == found) || books.is_empty() {
        report.failures.push(format!("the books do not balance over {found} keys: {books:?}"));
    }
    Ok(report)
}

fn start(settings: &Settings, data: &Path, restore: Restore, tally: &Tally) -> Result<(Gate, JobHandle)> {
    let gate = Gate::default();
    let deeds = Deeds { keys: settings.keys, updates: settings.updates, gate: gate.clone() };
    let config = JobConfig {
        state_memory: settings.state_memory << 20,
        restart: RestartStrategy::None,
        restore,
        ..JobConfig::new(data)
    };
    let handle = LocalRunner::submit(graph(settings.key, settings.parallelism, deeds, tally)?, config)?;
    Ok((gate, handle))
}

/// Lets the source go on to `end` and waits until it has.
fn phase(name: &'static str, handle: &JobHandle, gate: &Gate, end: u64, checkpoint: bool) -> Result<Phase> {
    let begin = Moment::now(read(handle));
    gate.open_to(end);
    while read(handle) < end && handle.wait_timeout(LOOK_EVERY)?.is_none() {}
    let mut phase = Phase {
        name,
        stretch: Stretch::between(&begin, &Moment::now(read(handle))),
        resident: resident_memory(),
        checkpoint: None,
    };
    if checkpoint {
        // A periodic one may be under way: this one comes after it, behind the last record.
        handle.checkpoint()?;
        let latest = handle.status().checkpoints.latest_completed;
        phase.checkpoint = latest.map(|c| (c.full_bytes(), c.uploaded_bytes(), c.duration_ms(c.triggered_at)));
    }
    Ok(phase)
}

fn read(handle: &JobHandle) -> u64 {
    let sources = handle.graph().vertices.iter().zip(handle.metrics()).filter(|(v, _)| v.is_source());
    sources.flat_map(|(_, subtasks)| subtasks).map(|m| m.records_in.load(Relaxed)).sum()
}

impl Report {
    /// How many times its budget the inserted state is: every key once, nothing written over.
    pub fn times_budget(&self) -> f64 {
        let stored = self.phases.first().and_then(|p| p.checkpoint).map_or(0, |(full, ..)| full);
        stored as f64 / self.budget.max(1) as f64
    }

    fn judge(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        if self.times_budget() < TIMES_BUDGET as f64 {
            wrong.push(format!(
                "the state is {:.1} times its budget, and must be {TIMES_BUDGET} times: take more keys",
                self.times_budget()
            ));
        }
        if self.peak_memory > self.bound {
            let (peak, bound) = (mebibytes(self.peak_memory), mebibytes(self.bound));
            wrong.push(format!("{peak} MiB were resident, and the bound is {bound} MiB"));
        }
        wrong
    }

    /// For scripts.
    pub fn json(&self) -> serde_json::Value {
        let phases = self.phases.iter().map(|p| {
            let checkpoint = p
                .checkpoint
                .map(|(full, new, ms)| serde_json::json!({ "full_bytes": full, "new_bytes": new, "milliseconds": ms }));
            serde_json::json!({
                "phase": p.name, "records": p.stretch.records, "records_per_second": p.stretch.rate(),
                "cpu_seconds_per_million": p.stretch.cpu_per_million(), "resident_bytes": p.resident,
                "checkpoint": checkpoint,
            })
        });
        serde_json::json!({
            "phases": phases.collect::<Vec<_>>(), "restore_seconds": self.restore_seconds,
            "peak_memory_bytes": self.peak_memory, "budget_bytes": self.budget, "bound_bytes": self.bound,
            "times_budget": self.times_budget(), "failures": self.failures,
            "machine": { "cores": self.machine.cores, "model": self.machine.model },
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for p in &self.phases {
            let (rate, cpu) = (p.stretch.rate() / 1e6, p.stretch.cpu_per_million());
            let resident = mebibytes(p.resident);
            write!(f, "  {:6} {rate:.3} M keys/s, {cpu:.3} CPU s a million, {resident} MiB resident", p.name)?;
            if let Some((full, new, ms)) = p.checkpoint {
                write!(f, "; checkpoint {} MiB, {} MiB of it new, {ms} ms", mebibytes(full), mebibytes(new))?;
            }
            writeln!(f)?;
            if p.name == "update" {
                writeln!(f, "  restore {:.2} s", self.restore_seconds)?;
            }
        }
        let (peak, bound, budget) = (mebibytes(self.peak_memory), mebibytes(self.bound), mebibytes(self.budget));
        writeln!(f, "  state   {:.1} times its budget of {budget} MiB", self.times_budget())?;
        writeln!(f, "  memory  {peak} MiB at most, {bound} MiB are the bound; {}", self.machine)?;
        if self.failures.is_empty() {
            writeln!(f, "  every count is right")?;
        }
        self.failures.iter().try_for_each(|failure| writeln!(f, "  WRONG   {failure}"))
    }
}
