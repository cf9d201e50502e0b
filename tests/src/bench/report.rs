//! What came out of a benchmark, for people and for scripts.

use std::fmt;

use hurtig_engine::runner::SinkBooks;
use hurtig_state::BackendStats;
use serde_json::{Value, json};

use super::{
    machine::Machine,
    measure::Stretch,
    peers,
    settings::{Backend, Form, Job},
    windows::Windows,
};

/// All figures of one run.
#[derive(Debug)]
pub struct Report {
    /// Which job.
    pub job: Job,
    /// Where its state was.
    pub backend: Backend,
    /// How many workers.
    pub parallelism: usize,
    /// For answers or for steady state.
    pub form: Form,
    /// On what.
    pub machine: Machine,
    /// From before the job was submitted to its end.
    pub whole: Stretch,
    /// While records were read, without the warm-up; `None`: it was too short.
    pub steady: Option<Stretch>,
    /// From one completed checkpoint to the next.
    pub laps: Vec<Stretch>,
    /// The most memory that was ever resident.
    pub peak_memory: u64,
    /// Completed checkpoints, the last one at the end of input included.
    pub checkpoints: Vec<CheckpointFigures>,
    /// Keyed state, where the job looks at it.
    pub state: Option<StateFigures>,
    /// What the job counted.
    pub answers: Vec<(&'static str, u64)>,
    /// What tumble has written, read back.
    pub windows: Option<Windows>,
    /// Whether the right answers are known, and were compared.
    pub compared: bool,
    /// The sinks' books.
    pub books: Vec<SinkBooks>,
    /// What is wrong: the run does not count.
    pub failures: Vec<String>,
    /// What is short of what was aimed at.
    pub remarks: Vec<String>,
}

/// One checkpoint.
#[derive(Debug, Clone, Copy)]
pub struct CheckpointFigures {
    /// Its number.
    pub id: u64,
    /// Whether its time had come; otherwise it was the last one, at the end of input.
    pub periodic: bool,
    /// What it refers to.
    pub full_bytes: u64,
    /// What of it was written for it.
    pub new_bytes: u64,
    /// From the trigger to the manifest.
    pub milliseconds: i64,
}

/// Keyed state of all subtasks, shortly before the end.
#[derive(Debug, Clone, Copy, Default)]
pub struct StateFigures {
    /// Times the cache was written to the store.
    pub flushes: u64,
    /// Bytes of these.
    pub flushed_bytes: u64,
    /// Compactions.
    pub compactions: u64,
    /// Files of the store.
    pub files: u64,
    /// Bytes of these.
    pub file_bytes: u64,
    /// Bytes in memory.
    pub memory: u64,
    /// Look-ups that had to ask the store.
    pub store_reads: u64,
}

impl StateFigures {
    /// The sum over subtasks; `None` if there were none.
    pub fn of(subtasks: &[BackendStats]) -> Option<Self> {
        let sum = |field: fn(&BackendStats) -> u64| subtasks.iter().map(field).sum();
        (!subtasks.is_empty()).then(|| StateFigures {
            flushes: sum(|s| s.flushes),
            flushed_bytes: sum(|s| s.flushed_bytes),
            compactions: sum(|s| s.compactions),
            files: sum(|s| s.sst_files),
            file_bytes: sum(|s| s.sst_bytes),
            memory: sum(|s| s.bytes),
            store_reads: sum(|s| s.store_reads),
        })
    }

    fn json(&self) -> Value {
        json!({
            "flushes": self.flushes, "flushed_bytes": self.flushed_bytes, "compactions": self.compactions,
            "files": self.files, "file_bytes": self.file_bytes, "memory": self.memory, "store_reads": self.store_reads,
        })
    }
}

impl fmt::Display for StateFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} flushes ({} MiB), {} compactions, {} files ({} MiB), {} MiB in memory, {} reads of the store",
            self.flushes,
            mebibytes(self.flushed_bytes),
            self.compactions,
            self.files,
            mebibytes(self.file_bytes),
            mebibytes(self.memory),
            self.store_reads,
        )
    }
}

/// Bytes in MiB, as Flink's figures are, with one digit behind the point where it says something.
pub fn mebibytes(bytes: u64) -> String {
    let mib = bytes as f64 / f64::from(1 << 20);
    if mib < 100.0 { format!("{mib:.1}") } else { format!("{mib:.0}") }
}

impl Report {
    /// The rate that counts: the steady one, if there is one.
    pub fn rate(&self) -> f64 {
        self.steady.as_ref().unwrap_or(&self.whole).rate()
    }

    /// For scripts.
    pub fn json(&self) -> Value {
        let stretch = |s: &Stretch| {
            json!({
                "records": s.records, "seconds": s.seconds, "records_per_second": s.rate(),
                "cpu_seconds": s.cpu_seconds, "cpu_seconds_per_million": s.cpu_per_million(),
            })
        };
        let checkpoints = self.checkpoints.iter().map(|c| {
            json!({
                "id": c.id, "periodic": c.periodic, "full_bytes": c.full_bytes, "new_bytes": c.new_bytes,
                "milliseconds": c.milliseconds,
            })
        });
        let flinks = peers::flinks(self.job).iter().map(|flink| {
            json!({
                "backend": flink.backend, "records_per_second": flink.rate,
                "cpu_seconds_per_million": flink.cpu_per_million, "peak_memory_mib": flink.peak_mib,
                "ratio": self.rate() / flink.rate,
            })
        });
        json!({
            "job": self.job.name(),
            "backend": self.backend.name(),
            "parallelism": self.parallelism,
            "form": self.form.name(),
            "machine": { "cores": self.machine.cores, "model": self.machine.model },
            "whole": stretch(&self.whole),
            "steady": self.steady.as_ref().map(stretch),
            "between_checkpoints": self.laps.iter().map(stretch).collect::<Vec<_>>(),
            "target_records_per_second": peers::target(self.job),
            "flink": flinks.collect::<Vec<_>>(),
            "peak_memory_bytes": self.peak_memory,
            "checkpoints": checkpoints.collect::<Vec<_>>(),
            "state": self.state.as_ref().map(StateFigures::json),
            "answers": self.answers.iter().map(|(k, v)| ((*k).to_owned(), json!(v))).collect::<serde_json::Map<_, _>>(),
            "check": self.windows.as_ref().map(ToString::to_string),
            "compared": self.compared,
            "books": self.books,
            "failures": self.failures,
            "remarks": self.remarks,
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |f: &mut fmt::Formatter<'_>, name: &str, s: &Stretch| {
            let (rate, cpu) = (s.rate() / 1e6, s.cpu_per_million());
            writeln!(
                f,
                "  {name:7} {rate:.3} M records/s, {cpu:.3} CPU s a million ({} in {:.2} s)",
                s.records, s.seconds
            )
        };
        let (job, backend) = (self.job.name(), self.backend.name());
        writeln!(f, "{job} on {backend}, parallelism {}, {}; {}", self.parallelism, self.form.name(), self.machine)?;
        if let Some(steady) = &self.steady {
            line(f, "steady", steady)?;
        }
        line(f, "whole", &self.whole)?;
        let target = peers::target(self.job);
        writeln!(f, "  target  {:.3} M records/s: {:.2} of it", target / 1e6, self.rate() / target)?;
        for flink in peers::flinks(self.job) {
            writeln!(
                f,
                "  Flink   {:7} {:.3} M records/s, {:.3} CPU s a million, {} MiB, checkpoints {} ms: {:.1} times as fast",
                flink.backend,
                flink.rate / 1e6,
                flink.cpu_per_million,
                flink.peak_mib,
                flink.checkpoint_ms,
                self.rate() / flink.rate,
            )?;
        }
        writeln!(f, "  memory  {} MiB at most", mebibytes(self.peak_memory))?;
        for c in &self.checkpoints {
            let (full, new) = (mebibytes(c.full_bytes), mebibytes(c.new_bytes));
            let last = if c.periodic { "" } else { " (the last, at the end of input)" };
            writeln!(f, "  checkpoint {}: {full} MiB, {new} MiB of it new, {} ms{last}", c.id, c.milliseconds)?;
        }
        if self.laps.len() > 1 {
            let rates: Vec<_> = self.laps.iter().map(|lap| format!("{:.3}", lap.rate() / 1e6)).collect();
            writeln!(f, "  between checkpoints {} M records/s", rates.join(", "))?;
        }
        if let Some(state) = &self.state {
            writeln!(f, "  state   {state}")?;
        }
        let answers: Vec<_> = self.answers.iter().map(|(name, n)| format!("{name}={n}")).collect();
        let compared = if self.compared { " (as they must be)" } else { "" };
        let compared = if self.failures.is_empty() { compared } else { "" };
        writeln!(f, "  answers {}{compared}", answers.join(" "))?;
        if let Some(windows) = &self.windows {
            writeln!(f, "  check   {windows}")?;
        }
        for sink in &self.books {
            let b = &sink.books;
            writeln!(
                f,
                "  books {}: read={} written={} rejected={} dead_lettered={}",
                sink.name, b.read, b.written, b.rejected, b.dead_lettered
            )?;
        }
        self.remarks.iter().try_for_each(|remark| writeln!(f, "  short   {remark}"))?;
        self.failures.iter().try_for_each(|failure| writeln!(f, "  WRONG   {failure}"))
    }
}
