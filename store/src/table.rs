//! A table: its series, its columns, its points in memory, and its files.
//!
//! Every point is in exactly one place: in memory where it is written to, in memory on its way into a file, or in a row of a
//! file that is not deleted. What is taken is decided when it is written, so no query has to compare versions.

mod apply;

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use hashbrown::HashMap;
use parking_lot::{Mutex, RwLock};

use crate::{
    columns::Columns,
    frame::TableId,
    magnetic::file::MagneticFile,
    registry::{Registry, Series},
    retention::Retention,
    row::SeriesId,
    schema::table_schema,
    shard::Shard,
};

/// Shards of a table: a query that reads one lets writers go on in the others.
pub const SHARDS: usize = 16;

/// A table, open.
#[derive(Debug)]
pub struct Table {
    id: TableId,
    database: String,
    name: String,
    retention: RwLock<Retention>,
    registry: RwLock<Registry>,
    columns: RwLock<Columns>,
    shards: [Mutex<Shard>; SHARDS],
    files: RwLock<Vec<Arc<MagneticFile>>>,
}

impl Table {
    /// A table without points.
    pub fn new(id: TableId, database: &str, name: &str, retention: Retention) -> Self {
        Table {
            id,
            database: database.into(),
            name: name.into(),
            retention: RwLock::new(retention),
            registry: RwLock::default(),
            columns: RwLock::default(),
            shards: Default::default(),
            files: RwLock::default(),
        }
    }

    /// Its number.
    pub fn id(&self) -> TableId {
        self.id
    }

    /// The database it is in.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How long it keeps what.
    pub fn retention(&self) -> Retention {
        *self.retention.read()
    }

    /// Changes how long it keeps what.
    pub fn set_retention(&self, retention: Retention) {
        *self.retention.write() = retention;
    }

    /// Its series.
    pub fn registry(&self) -> &RwLock<Registry> {
        &self.registry
    }

    /// All its series, by number.
    pub fn all_series(&self) -> Arc<Vec<Arc<Series>>> {
        self.registry.read().all().clone()
    }

    /// Its measure columns.
    pub fn columns(&self) -> &RwLock<Columns> {
        &self.columns
    }

    /// What SQL sees.
    pub fn schema(&self) -> SchemaRef {
        table_schema(self.registry.read().dimension_names(), self.columns.read().all())
    }

    /// The shard of a series.
    pub fn shard(&self, series: SeriesId) -> &Mutex<Shard> {
        &self.shards[series as usize % SHARDS]
    }

    /// All shards.
    pub fn shards(&self) -> &[Mutex<Shard>; SHARDS] {
        &self.shards
    }

    /// Its files.
    pub fn files(&self) -> Vec<Arc<MagneticFile>> {
        self.files.read().clone()
    }

    /// Puts other files in the place of some.
    pub fn swap_files(&self, gone: &[u64], new: Vec<Arc<MagneticFile>>) {
        for file in &new {
            for (series, newest) in file.index().newest() {
                self.shard(series).lock().reached(series, newest);
            }
        }
        let mut files = self.files.write();
        files.retain(|file| !gone.contains(&file.meta().id));
        files.extend(new);
    }

    /// The points of these files are gone: which is the newest of their series is found out anew.
    pub fn forget(&self, gone: &[Arc<MagneticFile>]) {
        let series = gone.iter().flat_map(|file| file.index().newest()).map(|(series, _)| (series, None));
        let mut in_files: HashMap<SeriesId, Option<i64>> = series.collect();
        for file in self.files() {
            for (series, newest) in file.index().newest() {
                if let Some(known) = in_files.get_mut(&series) {
                    *known = (*known).max(Some(newest));
                }
            }
        }
        for (series, in_files) in in_files {
            self.shard(series).lock().forget(series, in_files);
        }
    }

    /// About how many bytes of memory its points take that are written to.
    pub fn bytes(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().bytes()).sum()
    }
}
