//! Files that no reader of a recent version needs are removed.
//!
//! A compaction takes files out of the table, not out of the directory: a query that has begun, and one that asks for an older
//! version, still read them. After a stated time they go. So do files that a compaction had written when it was killed, a day
//! after. A job's files that were never committed stay, hidden ones too: a checkpoint that somebody will restore may name them.

use std::{
    collections::BTreeSet,
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use deltalake_core::operations::vacuum::Clock as DeltaClock;
use hurtig_engine::time::{Clock, millis};

use crate::{
    compaction,
    error::{Error, Result},
    file::transaction,
    table::Table,
};

/// What is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vacuum {
    /// How long ago a file must have left the table: 7 days, as Delta Lake's `delta.deletedFileRetentionDuration`. Queries that
    /// take longer, and versions that are older, find some of their files gone.
    pub older_than: Duration,
}

impl Default for Vacuum {
    fn default() -> Self {
        Vacuum { older_than: Duration::from_secs(7 * 24 * 3_600) }
    }
}

#[derive(Debug)]
struct Now(i64);

impl DeltaClock for Now {
    fn current_timestamp_millis(&self) -> i64 {
        self.0
    }
}

/// What a compaction is writing now is not taken away, however little is to be kept.
const UNDER_WAY: Duration = Duration::from_secs(24 * 3_600);

impl Vacuum {
    /// Removes files, and says how many.
    ///
    /// # Errors
    /// A log that cannot be read or written, or files that cannot be listed or removed.
    pub async fn run(&self, table: &mut Table, clock: &dyn Clock) -> Result<usize> {
        table.refresh().await?;
        let now = clock.now_ms();
        let mut gone = table.vacuum(self.older_than, Arc::new(Now(now))).await?;
        for file in self.left_behind(table, now).await? {
            fs::remove_file(&file).map_err(|e| said(table, &e))?;
            gone += 1;
        }
        Ok(gone)
    }

    /// What compactions have written that were killed before they could name it to the log; and files of a job that left the table
    /// so long ago that the log has forgotten it.
    async fn left_behind(&self, table: &mut Table, now: i64) -> Result<Vec<PathBuf>> {
        let files = files_below(table.dir()).map_err(|e| said(table, &e))?;
        // Only now: what was named while they were listed is the table's.
        table.refresh().await?;
        let mut known: BTreeSet<String> = table.files().into_iter().map(|file| file.path).collect();
        known.extend(table.removed_paths().await?);
        let mut left = Vec::new();
        for (path, modified_ms) in files {
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            let Ok(below) = path.strip_prefix(table.dir()) else { continue };
            let is_compactions = name.starts_with(compaction::NAME);
            let kept = if is_compactions { self.older_than.max(UNDER_WAY) } else { self.older_than };
            if modified_ms >= now.saturating_sub(millis(kept)) || known.contains(&*below.to_string_lossy()) {
                continue;
            }
            if is_compactions || is_committed(table, name).await? {
                left.push(path);
            }
        }
        Ok(left)
    }
}

/// Whether the file was in the table once: what a checkpoint has promised and nobody has committed yet was not.
async fn is_committed(table: &Table, name: &str) -> Result<bool> {
    let Some((writer, number)) = name.starts_with("part-").then(|| transaction(name).ok()).flatten() else {
        return Ok(false);
    };
    Ok(table.written_up_to(writer).await?.is_some_and(|up_to| number <= up_to))
}

/// Visible files below a directory, with the milliseconds since the epoch at which they were written; also those (`NAME#1`) that
/// object_store was writing when it was killed and does not list.
fn files_below(dir: &Path) -> io::Result<Vec<(PathBuf, i64)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(['.', '_']) {
            continue;
        }
        let metadata = entry.metadata()?;
        if metadata.is_dir() {
            found.extend(files_below(&entry.path())?);
        } else {
            let since = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
            found.push((entry.path(), millis(since)));
        }
    }
    Ok(found)
}

fn said(table: &Table, reason: &dyn fmt::Display) -> Error {
    Error::Vacuum { place: table.dir().display().to_string(), reason: reason.to_string() }
}
