//! Counts the rows of a table again and again while it is written, compacted, and its writers are killed.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use datafusion::prelude::SessionContext;
use hurtig_delta::{DeltaTableProvider, Table};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(100);

/// A thread that counts.
pub struct Reader {
    over: Arc<AtomicBool>,
    seen: Arc<Mutex<Seen>>,
    thread: Option<JoinHandle<Result<()>>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    counts: u64,
    rows: u64,
    version: u64,
}

impl Reader {
    /// Begins to count the table in `dir`, from when it is there.
    pub fn start(dir: &Path) -> Result<Self> {
        let (over, seen) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Seen::default())));
        let counter = Counter { dir: dir.to_owned(), seen: seen.clone() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let until = over.clone();
        let thread = std::thread::spawn(move || {
            runtime.block_on(async {
                while !until.load(Ordering::Acquire) {
                    counter.count().await?;
                    tokio::time::sleep(PAUSE).await;
                }
                counter.count().await
            })
        });
        Ok(Reader { over, seen, thread: Some(thread) })
    }

    /// What it has seen last.
    pub fn seen(&self) -> String {
        let Seen { counts, rows, version } = self.seen.lock().map(|seen| *seen).unwrap_or_default();
        format!("{rows} rows in version {version} after {counts} counts")
    }

    /// Counts once more; how often it has counted, and over how many versions. Fewer rows than before are an error.
    pub fn stop(mut self) -> Result<(u64, u64)> {
        self.end().context("the reader")?;
        let seen = self.seen.lock().map(|seen| *seen).unwrap_or_default();
        Ok((seen.counts, seen.version))
    }

    fn end(&mut self) -> Result<()> {
        self.over.store(true, Ordering::Release);
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(counted)) => counted,
            Some(Err(_)) => bail!("it has panicked"),
            None => Ok(()),
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // An error of the job is the one that counts then.
        let _ = self.end();
    }
}

struct Counter {
    dir: PathBuf,
    seen: Arc<Mutex<Seen>>,
}

impl Counter {
    /// Counts in the log and, as others do, in the files it names.
    async fn count(&self) -> Result<()> {
        let Some(table) = Table::open(&self.dir).await? else { return Ok(()) };
        let session = SessionContext::new();
        session.register_table("t", Arc::new(DeltaTableProvider::new(&table)?))?;
        // A column that every file must be opened for.
        let rows = session.sql("SELECT meter_id FROM t").await?.execute_stream().await?;
        let rows = futures::TryStreamExt::try_fold(rows, 0, async |n, batch| Ok(n + batch.num_rows() as u64)).await?;
        let Ok(mut seen) = self.seen.lock() else { bail!("it has panicked") };
        if rows != table.rows() {
            bail!("version {}: the log says {} rows, and {rows} are there", table.version(), table.rows());
        }
        if rows < seen.rows || table.version() < seen.version {
            bail!(
                "version {}: {rows} rows, and before there were {} in version {}",
                table.version(),
                seen.rows,
                seen.version
            );
        }
        *seen = Seen { counts: seen.counts + 1, rows, version: table.version() };
        Ok(())
    }
}
