//! What came out of a benchmark, for people and for scripts.

use std::fmt;

use hurtig_engine::runner::SinkBooks;
use hurtig_state::BackendStats;
use serde_json::{Value, json};

use super::{
    measure::Stretch,
    settings::{Backend, Job},
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
    /// From before the job was submitted to its end.
    pub whole: Stretch,
    /// While records were read, without the warm-up; `None`: it was too short.
    pub steady: Option<Stretch>,
    /// The most memory that was ever resident.
    pub peak_memory: u64,
    /// Completed checkpoints, the last one at the end of input included.
    pub checkpoints: Vec<CheckpointFigures>,
    /// Keyed state, where the job looks at it.
    pub state: Option<StateFigures>,
    /// What the job counted.
    pub answers: Vec<(&'static str, u64)>,
    /// The sinks' books.
    pub books: Vec<SinkBooks>,
}

/// One checkpoint.
#[derive(Debug, Clone, Copy)]
pub struct CheckpointFigures {
    /// Its number.
    pub id: u64,
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
            "{} flushes ({} MB), {} compactions, {} files ({} MB), {} MB in memory, {} reads of the store",
            self.flushes,
            megabytes(self.flushed_bytes),
            self.compactions,
            self.files,
            megabytes(self.file_bytes),
            megabytes(self.memory),
            self.store_reads,
        )
    }
}

/// Millions of bytes, with one digit behind the point where it says something.
pub fn megabytes(bytes: u64) -> String {
    let mb = bytes as f64 / 1e6;
    if mb < 100.0 { format!("{mb:.1}") } else { format!("{mb:.0}") }
}

impl Report {
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
                "id": c.id, "full_bytes": c.full_bytes, "new_bytes": c.new_bytes, "milliseconds": c.milliseconds,
            })
        });
        json!({
            "job": self.job.name(),
            "backend": self.backend.name(),
            "parallelism": self.parallelism,
            "whole": stretch(&self.whole),
            "steady": self.steady.as_ref().map(stretch),
            "peak_memory_bytes": self.peak_memory,
            "checkpoints": checkpoints.collect::<Vec<_>>(),
            "state": self.state.as_ref().map(StateFigures::json),
            "answers": self.answers.iter().map(|(k, v)| ((*k).to_owned(), json!(v))).collect::<serde_json::Map<_, _>>(),
            "books": self.books,
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
        writeln!(f, "{} on {}, parallelism {}", self.job.name(), self.backend.name(), self.parallelism)?;
        if let Some(steady) = &self.steady {
            line(f, "steady", steady)?;
        }
        line(f, "whole", &self.whole)?;
        writeln!(f, "  memory  {} MB at most", megabytes(self.peak_memory))?;
        for c in &self.checkpoints {
            let (full, new) = (megabytes(c.full_bytes), megabytes(c.new_bytes));
            writeln!(f, "  checkpoint {}: {full} MB, {new} MB of it new, {} ms", c.id, c.milliseconds)?;
        }
        if let Some(state) = &self.state {
            writeln!(f, "  state   {state}")?;
        }
        let answers: Vec<_> = self.answers.iter().map(|(name, n)| format!("{name}={n}")).collect();
        writeln!(f, "  answers {}", answers.join(" "))?;
        for sink in &self.books {
            let b = &sink.books;
            writeln!(
                f,
                "  books {}: read={} written={} rejected={} dead_lettered={}",
                sink.name, b.read, b.written, b.rejected, b.dead_lettered
            )?;
        }
        Ok(())
    }
}
