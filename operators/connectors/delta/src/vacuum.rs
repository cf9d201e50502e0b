//! Files that no reader of a recent version needs are removed.
//!
//! A compaction takes files out of the table, not out of the directory: a query that has begun, and one that asks for an older
//! version, still read them. After a stated time they go. So do files that a compaction had written when it was killed.
//! Files of a job are never looked at, not even hidden ones: a checkpoint that somebody will restore may name them.

use std::{collections::BTreeSet, fmt, sync::Arc, time::Duration};

use deltalake_core::operations::vacuum::Clock as DeltaClock;
use futures::TryStreamExt;
use hurtig_engine::time::{Clock, millis};
use object_store::{ObjectMeta, ObjectStoreExt};

use crate::{
    compaction,
    error::{Error, Result},
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

impl Vacuum {
    /// Removes files, and says how many.
    ///
    /// # Errors
    /// A log that cannot be read or written, or files that cannot be listed or removed.
    pub async fn run(&self, table: &mut Table, clock: &dyn Clock) -> Result<usize> {
        table.refresh().await?;
        let now = clock.now_ms();
        let gone = table.vacuum(self.older_than, Arc::new(Now(now))).await?;
        let left = self.left_behind(table, now).await?;
        let store = table.store();
        for file in &left {
            store.delete(&file.location).await.map_err(|e| said(table, &e))?;
        }
        Ok(gone + left.len())
    }

    /// What compactions have written that were killed before they could name it to the log.
    async fn left_behind(&self, table: &Table, now: i64) -> Result<Vec<ObjectMeta>> {
        let mut known: BTreeSet<String> = table.files().into_iter().map(|file| file.path).collect();
        known.extend(table.removed_paths().await?);
        let before = now.saturating_sub(millis(self.older_than));
        let is_left = |file: &ObjectMeta| {
            let is_ours = file.location.filename().is_some_and(|name| name.starts_with(compaction::NAME));
            is_ours && file.last_modified.timestamp_millis() < before && !known.contains(file.location.as_ref())
        };
        let files: Vec<ObjectMeta> = table.store().list(None).try_collect().await.map_err(|e| said(table, &e))?;
        Ok(files.into_iter().filter(is_left).collect())
    }
}

fn said(table: &Table, reason: &dyn fmt::Display) -> Error {
    Error::Vacuum { place: table.dir().display().to_string(), reason: reason.to_string() }
}
