//! The lake's upkeep: its typed tables' small files become large ones, what was replaced goes.

use std::{
    path::PathBuf,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use datafusion::{
    functions::expr_fn::round,
    functions_aggregate::expr_fn::{max, min, sum},
    prelude::{Expr, ident, lit},
};
use hurtig_delta::{Compacted, Compaction, Repeats, Result, Table, Vacuum};
use hurtig_engine::time::{Clock, SystemClock};
use tokio::sync::Notify;

use super::{Layout, Span};

/// How tables are looked after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upkeep {
    /// About how large files are to be.
    pub target_bytes: u64,
    /// So many small files of a partition are worth a compaction.
    pub min_files: usize,
    /// Bytes that sorting may hold before it spills.
    pub memory: usize,
    /// Threads.
    pub threads: usize,
    /// How long files that were replaced stay.
    pub vacuum_after: Span,
}

impl Default for Upkeep {
    /// Files of 128 MiB from four small ones on, by one thread with 128 MiB, beside a job; files that were replaced stay for
    /// seven days.
    fn default() -> Self {
        Upkeep { target_bytes: 128 << 20, min_files: 4, memory: 128 << 20, threads: 1, vacuum_after: Span::days(7) }
    }
}

/// A typed table: what it is called, where it is, and which rows are one.
#[derive(Debug, Clone)]
pub struct TypedTable {
    /// Its name.
    pub name: &'static str,
    /// Its directory.
    pub dir: PathBuf,
    sort_by: &'static [&'static str],
    key: &'static [&'static str],
    repeats: Repeats,
}

/// What was done to a table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Done {
    /// By the compaction.
    pub compacted: Compacted,
    /// Files that were removed.
    pub removed: usize,
    /// Files that it has now.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
}

/// The typed tables of a lake.
pub fn tables(layout: &Layout) -> [TypedTable; 3] {
    let sums = |name, dir: &PathBuf| TypedTable {
        name,
        dir: dir.clone(),
        sort_by: &["meter_id", "window_start"],
        key: &["meter_id", "region", "measure", "window_start", "window_end"],
        // A reading that came too late for its window has made a row of its own.
        repeats: Repeats::Merge(parts()),
    };
    [
        TypedTable {
            name: "readings",
            dir: layout.readings.clone(),
            sort_by: &["meter_id", "time"],
            key: &["meter_id", "region", "dimensions", "measure", "time"],
            // As the time-series store has it: what came first counts.
            repeats: Repeats::First("arrived".into()),
        },
        sums("aggregates_1m", &layout.aggregates_1m),
        sums("aggregates_1h", &layout.aggregates_1h),
    ]
}

/// How the rows of one window become one. Sums are whole billionths: see [`Aggregate`](super::Aggregate).
fn parts() -> Vec<(String, Expr)> {
    let total = || round(vec![sum(ident("sum")), lit(9)]);
    [
        ("sum", total()),
        ("count", sum(ident("count"))),
        ("min", min(ident("min"))),
        ("max", max(ident("max"))),
        ("avg", total() / sum(ident("count"))),
    ]
    .map(|(column, part)| (column.to_owned(), part))
    .into()
}

impl Upkeep {
    /// Compacts and vacuums a table; none when there is none. `run` is like no other run's.
    pub async fn of(&self, table: &TypedTable, run: &str, clock: &dyn Clock) -> Result<Option<Done>> {
        let Some(mut opened) = Table::open(&table.dir).await? else { return Ok(None) };
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let compaction = Compaction {
            target_bytes: self.target_bytes,
            min_files: self.min_files,
            sort_by: names(table.sort_by),
            key: names(table.key),
            repeats: table.repeats.clone(),
            memory: self.memory,
            threads: self.threads,
        };
        let compacted = compaction.run(&mut opened, run, clock).await;
        // What makes room does not wait until there is some.
        let removed = Vacuum { older_than: self.vacuum_after.duration() }.run(&mut opened, clock).await?;
        let compacted = compacted?;
        let files = opened.files();
        let bytes = files.iter().map(|file| file.bytes).sum();
        Ok(Some(Done { compacted, removed, files: files.len(), bytes }))
    }
}

/// Looks after a lake's tables while their job runs: on a thread of its own, which ends when this is dropped.
#[derive(Debug)]
pub struct Keeper {
    stop: Arc<Notify>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Every so often, from then on. What goes wrong is logged, and tried again the next time: the job goes on.
    ///
    /// # Errors
    /// No thread.
    pub fn start(layout: &Layout, every: Duration, upkeep: Upkeep) -> std::io::Result<Self> {
        let (tables, stop) = (tables(layout), Arc::new(Notify::new()));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let stopped = stop.clone();
        let keep = async move {
            let mut runs = 0_u64;
            loop {
                tokio::time::sleep(every).await;
                runs += 1;
                let run = format!("{:x}-{}-{runs}", SystemClock.now_ms(), std::process::id());
                for table in &tables {
                    match upkeep.of(table, &run, &SystemClock).await {
                        Ok(Some(done)) => tracing::info!(table = table.name, ?done, "the table was looked after"),
                        Ok(None) => {}
                        Err(e) => tracing::warn!(table = table.name, "the table was not compacted, and will be: {e}"),
                    }
                }
            }
        };
        let work = move || {
            runtime.block_on(async {
                // What was begun is dropped: nobody sees files that no commit names, and the vacuum removes them.
                tokio::select! { () = keep => {}, () = stopped.notified() => {} }
            });
        };
        let thread = thread::Builder::new().name("hurtig-lake".into()).spawn(work)?;
        Ok(Keeper { stop, thread: Some(thread) })
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.stop.notify_one();
        if let Some(thread) = self.thread.take() {
            // It has said what went wrong.
            let _ = thread.join();
        }
    }
}
