//! A Delta table: opened or made, its columns widened, files added and taken for others.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use arrow::datatypes::SchemaRef;
use deltalake_core::{
    DeltaTable, DeltaTableBuilder, DeltaTableError,
    kernel::{
        Action, Add, StructField, Transaction,
        transaction::{CommitBuilder, CommitProperties},
    },
    operations::{create::CreateBuilder, vacuum::Clock as DeltaClock},
    protocol::{
        DeltaOperation, SaveMode,
        checkpoints::{cleanup_metadata, create_checkpoint},
    },
};
use futures::TryStreamExt;
use object_store::ObjectStore;
use url::Url;

use crate::{
    error::{Error, Result},
    file::DataFile,
    schema,
};

/// A table in a directory, at the version that it had when it was opened or last changed from here.
#[derive(Debug, Clone)]
pub struct Table {
    dir: PathBuf,
    table: DeltaTable,
}

/// So many commits are summed up in a checkpoint of the log.
const CHECKPOINT_EVERY: u64 = 100;
/// A commit that always finds a newer version is given up after so many tries.
const TRIES: usize = 50;

impl Table {
    /// The table in a directory; none when there is none.
    ///
    /// # Errors
    /// A log that cannot be read.
    pub async fn open(dir: &Path) -> Result<Option<Self>> {
        // A relative directory is no URL, and one that is not there has no table.
        let Ok(dir) = dir.canonicalize() else { return Ok(None) };
        let mut table = builder(&dir)?;
        match table.load().await {
            Ok(()) => Ok(Some(Table { dir, table })),
            Err(DeltaTableError::NotATable(_)) => Ok(None),
            Err(e) => Err(log(&dir, e)),
        }
    }

    /// The table in a directory with at least these columns: made when there is none, with new columns when it lacks some.
    ///
    /// # Errors
    /// A column of another type, or other partitions; a log that cannot be read or written.
    pub async fn with(dir: &Path, columns: &[StructField], partitions: &[&str]) -> Result<Self> {
        let wrong = |dir: &Path, reason| Error::Schema { place: dir.display().to_string(), reason };
        let Some(mut table) = Table::open(dir).await? else { return Table::create(dir, columns, partitions).await };
        let all: Vec<StructField> = columns.iter().cloned().chain(schema::partition_columns(partitions)).collect();
        let snapshot = table.table.snapshot().map_err(|e| log(dir, e))?;
        let there = snapshot.metadata().partition_columns();
        if !there.iter().map(String::as_str).eq(partitions.iter().copied()) {
            let name = |columns: &[String]| {
                if columns.is_empty() { "not".to_owned() } else { format!("by {}", columns.join(", ")) }
            };
            let reason = format!(
                "it is partitioned {}, and the job's files are {}: give the job another directory, or the partitions that it had",
                name(there),
                name(&partitions.iter().map(|p| (*p).to_owned()).collect::<Vec<_>>())
            );
            return Err(wrong(dir, reason));
        }
        let missing = schema::missing(snapshot.schema().as_ref(), &all).map_err(|reason| wrong(dir, reason))?;
        if !missing.is_empty() {
            let names: Vec<&str> = missing.iter().map(|field| field.name().as_str()).collect();
            tracing::info!(table = %dir.display(), columns = names.join(", "), "the Delta table gets new columns");
            table.table = table.table.add_columns().with_fields(missing).await.map_err(|e| log(dir, e))?;
        }
        Ok(table)
    }

    async fn create(dir: &Path, columns: &[StructField], partitions: &[&str]) -> Result<Self> {
        let said = |e: std::io::Error| Error::File { path: dir.to_owned(), reason: e.to_string() };
        fs::create_dir_all(dir).map_err(said)?;
        let dir = dir.canonicalize().map_err(said)?;
        if let Some(file) = a_file(&dir).map_err(said)? {
            let reason = format!(
                "there are files, such as {}, and no log that names them: nobody would see them; give the job another directory, \
                 or go on with plain Parquet",
                file.display()
            );
            return Err(Error::Schema { place: dir.display().to_string(), reason });
        }
        let made = CreateBuilder::new()
            .with_log_store(builder(&dir)?.log_store())
            .with_columns(columns.iter().cloned().chain(schema::partition_columns(partitions)))
            .with_partition_columns(partitions.iter().copied())
            // Whoever was faster has made the same one.
            .with_save_mode(SaveMode::Ignore);
        let mut table = made.await.map_err(|e| log(&dir, e))?;
        table.load().await.map_err(|e| log(&dir, e))?;
        Ok(Table { dir, table })
    }

    /// Where it is.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Its version: how many commits there were, from 0 on.
    pub fn version(&self) -> u64 {
        self.table.version().unwrap_or_default()
    }

    /// Its files, in no order.
    pub fn files(&self) -> Vec<DataFile> {
        let Ok(snapshot) = self.table.snapshot() else { return Vec::new() };
        let columns = snapshot.metadata().partition_columns();
        let files = snapshot.log_data().into_iter().map(|file| {
            let mut values = file.partition_values_map();
            let partition = columns.iter().map(|c| (c.clone(), values.remove(c).flatten().unwrap_or_default()));
            DataFile {
                path: file.object_store_path().to_string(),
                bytes: file.size().max(0) as u64,
                rows: file.num_records().map(|rows| rows as u64),
                partition: partition.collect(),
                written_ms: file.modification_time(),
                statistics: file.stats(),
            }
        });
        files.collect()
    }

    /// Its files, if all that is said of them is known here.
    ///
    /// # Errors
    /// Rows that are deleted beside their file, or columns that have other names in files.
    pub(crate) fn readable_files(&self) -> Result<Vec<DataFile>> {
        let snapshot = self.table.snapshot().map_err(|e| log(&self.dir, e))?;
        let has = |feature| Err(Error::Feature { place: self.dir.display().to_string(), feature });
        if snapshot.metadata().configuration().get("delta.columnMapping.mode").is_some_and(|mode| mode != "none") {
            return has("column mapping");
        }
        if snapshot.log_data().into_iter().any(|file| file.deletion_vector_descriptor().is_some()) {
            return has("deletion vectors");
        }
        Ok(self.files())
    }

    /// How many rows it has.
    pub fn rows(&self) -> u64 {
        self.files().iter().filter_map(|file| file.rows).sum()
    }

    /// Its columns, those of its partitions among them.
    pub(crate) fn arrow_schema(&self) -> Result<SchemaRef> {
        Ok(self.table.snapshot().map_err(|e| log(&self.dir, e))?.snapshot().arrow_schema())
    }

    /// The columns that its directories name, from the outermost on.
    pub(crate) fn partition_columns(&self) -> Result<Vec<String>> {
        Ok(self.table.snapshot().map_err(|e| log(&self.dir, e))?.metadata().partition_columns().to_vec())
    }

    /// Its files by their paths.
    pub(crate) fn store(&self) -> Arc<dyn ObjectStore> {
        self.table.log_store().object_store(None)
    }

    /// Goes to its newest version.
    ///
    /// # Errors
    /// A log that cannot be read.
    pub async fn refresh(&mut self) -> Result<()> {
        self.table.update_state().await.map_err(|e| log(&self.dir, e))
    }

    /// Up to which of its files those of a writer are in the table.
    pub(crate) async fn written_up_to(&self, writer: &str) -> Result<Option<i64>> {
        let snapshot = self.table.snapshot().map_err(|e| log(&self.dir, e))?;
        let log_store = self.table.log_store();
        snapshot.transaction_version(log_store.as_ref(), writer).await.map_err(|e| log(&self.dir, e))
    }

    /// One commit: these files, and how far their writers have come.
    pub(crate) async fn append(&mut self, files: Vec<Add>, writers: Vec<(String, i64)>) -> Result<()> {
        // Without a time they are never forgotten: a job may be restored whenever somebody wants to. It is an entry a writer.
        let transactions =
            writers.into_iter().map(|(app_id, version)| Transaction { app_id, version, last_updated: None });
        let properties = CommitProperties::default().with_application_transactions(transactions.collect());
        let partition_by =
            self.table.snapshot().map_err(|e| log(&self.dir, e))?.metadata().partition_columns().to_vec();
        let operation =
            DeltaOperation::Write { mode: SaveMode::Append, partition_by: Some(partition_by), predicate: None };
        self.commit(files.into_iter().map(Action::Add).collect(), properties, operation).await
    }

    /// One commit: these files for those. The rows are the same but for repeats.
    ///
    /// Whether those are there still is looked at before each try, and a try that finds a newer version is given up: where two
    /// commits without a change of data remove the same file, the library (1.1) sees no conflict, and the rows would be there
    /// twice.
    pub(crate) async fn replace(&mut self, old: &[DataFile], new: &[DataFile], target_bytes: u64) -> Result<()> {
        let old: BTreeSet<&str> = old.iter().map(|file| file.path.as_str()).collect();
        for _ in 0..TRIES {
            self.refresh().await?;
            let mut actions: Vec<Action> = new.iter().map(|file| Action::Add(file.add(false))).collect();
            let snapshot = self.table.snapshot().map_err(|e| log(&self.dir, e))?;
            let there = snapshot.log_data().into_iter().filter(|file| old.contains(file.object_store_path().as_ref()));
            actions.extend(there.map(|file| Action::Remove(file.remove_action(false))));
            if actions.len() != new.len() + old.len() {
                break;
            }
            let operation = DeltaOperation::Optimize { predicate: None, target_size: target_bytes as i64 };
            match self.commit(actions, CommitProperties::default().with_max_retries(0), operation).await {
                Err(e) if e.is_newer_version() => {}
                done => return done,
            }
        }
        Err(Error::Conflict(self.dir.display().to_string()))
    }

    /// Removes the files that have left the table so long ago, and says how many.
    pub(crate) async fn vacuum(&mut self, older_than: Duration, clock: Arc<dyn DeltaClock>) -> Result<usize> {
        let older_than = chrono::Duration::from_std(older_than).unwrap_or(chrono::Duration::MAX);
        let vacuum = self.table.clone().vacuum().with_retention_period(older_than).with_clock(clock);
        // How long is the caller's to say.
        let (table, done) = vacuum.with_enforce_retention_duration(false).await.map_err(|e| log(&self.dir, e))?;
        self.table = table;
        Ok(done.files_deleted.len())
    }

    /// The paths of files that have left the table, as long as the log knows them.
    pub(crate) async fn removed_paths(&self) -> Result<Vec<String>> {
        let snapshot = self.table.snapshot().map_err(|e| log(&self.dir, e))?;
        let log_store = self.table.log_store();
        let removed = snapshot.all_tombstones(log_store.as_ref());
        removed.map_ok(|file| file.path().into_owned()).try_collect().await.map_err(|e| log(&self.dir, e))
    }

    /// Makes a file and its directories outlast a power loss.
    pub(crate) fn make_durable(&self, path: &str) -> Result<()> {
        let file = self.dir.join(path);
        for path in file.ancestors().take_while(|path| path.starts_with(&self.dir)) {
            let synced = File::open(path).and_then(|file| file.sync_all());
            synced.map_err(|e| Error::File { path: path.to_owned(), reason: e.to_string() })?;
        }
        Ok(())
    }

    async fn commit(
        &mut self,
        actions: Vec<Action>,
        properties: CommitProperties,
        operation: DeltaOperation,
    ) -> Result<()> {
        let snapshot = self.table.snapshot().map_err(|e| log(&self.dir, e))?;
        // A checkpoint of the log that fails is no failure of a commit that is in it already.
        let properties = properties.with_create_checkpoint(false).with_cleanup_expired_logs(Some(false));
        let commit = CommitBuilder::from(properties).with_actions(actions);
        let made =
            commit.build(Some(snapshot), self.table.log_store(), operation).await.map_err(|e| log(&self.dir, e))?;
        self.make_durable(&format!("_delta_log/{:020}.json", made.version()))?;
        self.refresh().await?;
        // Whoever has made just this one.
        if (made.version() + 1).is_multiple_of(CHECKPOINT_EVERY) {
            self.checkpoint().await;
        }
        Ok(())
    }

    /// Sums the log up, so that readers need not read all of it, and removes what is older than Delta Lake's 30 days. What goes
    /// wrong is tried again the next time.
    async fn checkpoint(&self) {
        let done = match create_checkpoint(&self.table, None).await {
            Ok(()) => cleanup_metadata(&self.table, None).await.map(drop),
            Err(e) => Err(e),
        };
        if let Err(e) = done {
            tracing::warn!(table = %self.dir.display(), "the log has no new checkpoint: {}", log(&self.dir, e));
        }
    }
}

fn builder(dir: &Path) -> Result<DeltaTable> {
    let no_url = || DeltaTableError::InvalidTableLocation(dir.display().to_string());
    let url = Url::from_directory_path(dir).map_err(|()| log(dir, no_url()))?;
    DeltaTableBuilder::from_url(url).and_then(DeltaTableBuilder::build).map_err(|e| log(dir, e))
}

fn log(dir: &Path, error: DeltaTableError) -> Error {
    Error::Log { place: dir.display().to_string(), source: Box::new(error) }
}

/// A visible Parquet file below a directory, if there is one.
fn a_file(dir: &Path) -> std::io::Result<Option<PathBuf>> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name());
        let Some(name) = name.to_str().filter(|name| !name.starts_with(['.', '_'])) else { continue };
        let found = match entry.file_type()?.is_dir() {
            true => a_file(&path)?,
            false => name.ends_with(".parquet").then_some(path),
        };
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}
