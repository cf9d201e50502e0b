//! Small files become few large ones: sorted, repeats removed, in one commit that takes these for those.
//!
//! Partition by partition: its small files are read by DataFusion, which sorts within a bound of memory and spills beyond it,
//! and written as files of about the target size. The commit names the old files and the new ones; a reader has the table as
//! it was, or as it is then. A job that appends meanwhile is not disturbed: it never touches a file that is there.
//!
//! A repeat may come long after the row it repeats, which lies in a large file by then. So a large file that has a row of the
//! small ones' is taken along; no other is read beyond its keys.

use std::{collections::BTreeMap, sync::Arc};

use datafusion::{
    common::JoinType,
    error::DataFusionError,
    execution::{memory_pool::FairSpillPool, runtime_env::RuntimeEnvBuilder},
    functions_window::expr_fn::row_number,
    logical_expr::Expr,
    prelude::{DataFrame, ExprFunctionExt, SessionConfig, SessionContext, col, ident, lit},
};
use futures::TryStreamExt;
use hurtig_engine::time::Clock;
use object_store::{ObjectStoreExt, buffered::BufWriter, path::Path};
use parquet::{
    arrow::AsyncArrowWriter,
    basic::{Compression as Pages, ZstdLevel},
    file::properties::WriterProperties,
};

use crate::{
    error::{Error, Result},
    file::DataFile,
    provider::DeltaTableProvider,
    stats,
    table::Table,
};

/// What is compacted, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct Compaction {
    /// About how large a file is to be: 128 MiB. One of three quarters of it is large enough.
    pub target_bytes: u64,
    /// So many small files of a partition are worth it: 4.
    pub min_files: usize,
    /// The columns that rows are sorted by.
    pub sort_by: Vec<String>,
    /// The columns that tell a row from a repeat of it; none: nothing is removed.
    pub key: Vec<String>,
    /// What becomes of repeats.
    pub repeats: Repeats,
    /// Bytes that sorting may hold before it spills: 256 MiB.
    pub memory: usize,
    /// Threads: 1.
    pub threads: usize,
}

/// What becomes of rows with one key.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Repeats {
    /// Any of them stays: they are the same.
    #[default]
    Any,
    /// The one with the least value in this column; one without a value only if none has.
    First(String),
    /// The one with the greatest value in this column; one without a value only if none has.
    Last(String),
    /// They are parts of one row, which has these columns beside the key: `("sum", sum(col("sum")))`.
    Merge(Vec<(String, Expr)>),
}

/// What a compaction has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Compacted {
    /// Partitions that had small files.
    pub partitions: usize,
    /// Files that were read.
    pub before: usize,
    /// Files that take their place.
    pub after: usize,
    /// Rows in those.
    pub rows: u64,
    /// Rows that are one with another now.
    pub repeats: u64,
    /// Partitions that somebody else has compacted meanwhile: they stay as they have left them.
    pub lost: usize,
}

/// No more of a partition are taken at once than make so many files of the target size: what a run may have to spill.
const FILES_AT_ONCE: u64 = 16;
/// A row group has about so many bytes in memory: a meter's rows lie in few of them.
const ROW_GROUP: u64 = 16 << 20;
/// What its files' names begin with.
pub(crate) const NAME: &str = "compacted-";
/// Of repeats, which one it is.
const NUMBER: &str = "__hurtig_number";

impl Default for Compaction {
    fn default() -> Self {
        Compaction {
            target_bytes: 128 << 20,
            min_files: 4,
            sort_by: Vec::new(),
            key: Vec::new(),
            repeats: Repeats::default(),
            memory: 256 << 20,
            threads: 1,
        }
    }
}

impl Compaction {
    /// Compacts the partitions that have enough small files: one commit each. `run` is in its files' names, and no other run,
    /// here or elsewhere, may have the same.
    ///
    /// # Errors
    /// Files or a log that cannot be read or written. What was committed stays; the rest is as it was.
    pub async fn run(&self, table: &mut Table, run: &str, clock: &dyn Clock) -> Result<Compacted> {
        let mut done = Compacted::default();
        table.refresh().await?;
        let mut partitions: BTreeMap<Vec<(String, String)>, Vec<DataFile>> = BTreeMap::new();
        for file in table.readable_files()? {
            partitions.entry(file.partition.clone()).or_default().push(file);
        }
        let mut failed = None;
        for files in partitions.into_values() {
            let (large, mut small): (Vec<_>, Vec<_>) =
                files.into_iter().partition(|file| file.bytes >= self.target_bytes / 4 * 3);
            // The oldest first: what was written together stays together.
            small.sort_by(|a, b| (a.written_ms, &a.path).cmp(&(b.written_ms, &b.path)));
            let mut bytes = 0;
            small.retain(|file| {
                bytes += file.bytes;
                bytes <= self.target_bytes * FILES_AT_ONCE
            });
            if small.len() >= self.min_files.max(2) {
                let one = One { compaction: self, table, run, clock };
                // One partition that cannot be compacted does not keep the others from it.
                if let Err(e) = one.compact(small, large, &mut done).await {
                    failed.get_or_insert(e);
                }
            }
        }
        failed.map_or(Ok(done), Err)
    }

    fn session(&self) -> Result<SessionContext, DataFusionError> {
        let config = SessionConfig::new()
            .with_target_partitions(self.threads.max(1))
            .with_sort_spill_reservation_bytes((self.memory / 16).min(10 << 20))
            // The other kind of join holds one side in memory, whatever its size.
            .set_bool("datafusion.optimizer.prefer_hash_join", false);
        // Sorting and grouping in one plan share it, and both spill: who comes first must not have all.
        let memory = Arc::new(FairSpillPool::new(self.memory));
        let runtime = RuntimeEnvBuilder::new().with_memory_pool(memory).build()?;
        Ok(SessionContext::new_with_config_rt(config, Arc::new(runtime)))
    }

    /// One row a key.
    fn distinct(&self, rows: DataFrame) -> Result<DataFrame, DataFusionError> {
        if self.key.is_empty() {
            return Ok(rows);
        }
        let columns: Vec<Expr> = rows.schema().fields().iter().map(|field| ident(field.name())).collect();
        let key: Vec<Expr> = self.key.iter().map(ident).collect();
        let order = match &self.repeats {
            // A window has to have an order.
            Repeats::Any => self.key.iter().take(1).map(|column| ident(column).sort(true, false)).collect(),
            Repeats::First(column) => vec![ident(column).sort(true, false)],
            Repeats::Last(column) => vec![ident(column).sort(false, false)],
            Repeats::Merge(parts) => {
                let parts = parts.iter().map(|(column, part)| part.clone().alias(column)).collect();
                return rows.aggregate(key, parts)?.select(columns);
            }
        };
        let number = row_number().partition_by(key).order_by(order).build()?;
        rows.with_column(NUMBER, number)?.filter(col(NUMBER).eq(lit(1_u64)))?.select(columns)
    }

    fn sorted(&self, rows: DataFrame) -> Result<DataFrame, DataFusionError> {
        if self.sort_by.is_empty() {
            return Ok(rows);
        }
        rows.sort(self.sort_by.iter().map(|by| ident(by).sort(true, false)).collect())
    }
}

/// The compaction of one partition.
struct One<'a> {
    compaction: &'a Compaction,
    table: &'a mut Table,
    run: &'a str,
    clock: &'a dyn Clock,
}

impl One<'_> {
    async fn compact(self, small: Vec<DataFile>, large: Vec<DataFile>, done: &mut Compacted) -> Result<()> {
        let mut files = small.clone();
        if !self.compaction.key.is_empty() {
            let most = self.compaction.target_bytes * FILES_AT_ONCE;
            let mut bytes: u64 = small.iter().map(|file| file.bytes).sum();
            for file in large {
                // What is left has its repeats until a later run.
                if bytes + file.bytes > most {
                    continue;
                }
                if self.has_repeats(&small, &file).await? {
                    bytes += file.bytes;
                    files.push(file);
                }
            }
        }
        let before: u64 = files.iter().filter_map(|file| file.rows).sum();
        let mut new = Vec::new();
        if let Err(e) = self.write(&files, &mut new).await {
            self.remove(&new).await;
            return Err(e);
        }
        let replaced = self.table.replace(&files, &new, self.compaction.target_bytes).await;
        let rows: u64 = new.iter().filter_map(|file| file.rows).sum();
        match replaced {
            Ok(()) => {
                done.partitions += 1;
                done.before += files.len();
                done.after += new.len();
                done.rows += rows;
                done.repeats += before.saturating_sub(rows);
                Ok(())
            }
            Err(e) if e.is_conflict() => {
                self.remove(&new).await;
                done.lost += 1;
                Ok(())
            }
            // A commit that fails may have come to the log before it did: then they are the table.
            Err(e) => Err(e),
        }
    }

    /// Removes files that no commit has named, nor will. What cannot be removed now is for the vacuum.
    async fn remove(&self, files: &[DataFile]) {
        for file in files {
            let removed = self.table.store().delete(&Path::from(file.path.as_str())).await;
            removed.unwrap_or_else(|e| tracing::debug!(file = file.path, "not removed: {e}"));
        }
    }

    /// Whether a large file has a row that is in the small ones too.
    async fn has_repeats(&self, small: &[DataFile], large: &DataFile) -> Result<bool> {
        let keys = |session: &SessionContext, files: Vec<DataFile>| {
            let key: Vec<Expr> = self.compaction.key.iter().map(ident).collect();
            let table = DeltaTableProvider::of_files(self.table, files)?;
            session.read_table(Arc::new(table)).and_then(|rows| rows.select(key)).map_err(|e| self.said(e))
        };
        let session = self.compaction.session().map_err(|e| self.said(e))?;
        let (large, small) = (keys(&session, vec![large.clone()])?, keys(&session, small.to_vec())?);
        let on: Vec<&str> = self.compaction.key.iter().map(String::as_str).collect();
        let both = large.join(small, JoinType::LeftSemi, &on, &on, None).and_then(|both| both.limit(0, Some(1)));
        let found = both.map_err(|e| self.said(e))?.count().await.map_err(|e| self.said(e))?;
        Ok(found > 0)
    }

    /// Reads files, and writes their rows as new ones: sorted, without repeats.
    async fn write(&self, files: &[DataFile], new: &mut Vec<DataFile>) -> Result<()> {
        let Some(first) = files.first() else { return Ok(()) };
        let table = DeltaTableProvider::of_files(self.table, files.to_vec())?;
        let columns: Vec<Expr> = table.columns_in_files().map(ident).collect();
        let session = self.compaction.session().map_err(|e| self.said(e))?;
        let rows = session
            .read_table(Arc::new(table))
            .and_then(|rows| rows.select(columns))
            .and_then(|rows| self.compaction.distinct(rows))
            .and_then(|rows| self.compaction.sorted(rows));
        let mut batches = rows.map_err(|e| self.said(e))?.execute_stream().await.map_err(|e| self.said(e))?;
        let mut open: Option<(DataFile, AsyncArrowWriter<BufWriter>)> = None;
        while let Some(batch) = batches.try_next().await.map_err(|e| self.said(e))? {
            let (mut file, mut writer) = match open.take() {
                Some(open) => open,
                None => {
                    let file = self.new_file(first, new.len());
                    let made = BufWriter::new(self.table.store(), Path::from(file.path.as_str()));
                    let made = AsyncArrowWriter::try_new(made, batch.schema(), Some(properties()));
                    (file, made.map_err(|e| self.said(e))?)
                }
            };
            writer.write(&batch).await.map_err(|e| self.said(e))?;
            file.rows = file.rows.map(|rows| rows + batch.num_rows() as u64);
            // What a row group will have as a file is known when it is written only.
            if writer.in_progress_size() as u64 >= ROW_GROUP.min(self.compaction.target_bytes / 4) {
                writer.flush().await.map_err(|e| self.said(e))?;
            }
            match writer.bytes_written() as u64 >= self.compaction.target_bytes {
                true => new.push(self.finish(file, writer).await?),
                false => open = Some((file, writer)),
            }
        }
        if let Some((file, writer)) = open {
            new.push(self.finish(file, writer).await?);
        }
        Ok(())
    }

    /// The `number`th file of this run in the partition of `like`.
    fn new_file(&self, like: &DataFile, number: usize) -> DataFile {
        let directory = match like.directory() {
            "" => String::new(),
            directory => format!("{directory}/"),
        };
        DataFile {
            path: format!("{directory}{NAME}{}-{}-{number}.parquet", self.run, self.table.version()),
            bytes: 0,
            rows: Some(0),
            partition: like.partition.clone(),
            written_ms: self.clock.now_ms(),
            statistics: None,
        }
    }

    /// Closes a file such that it would survive a power loss.
    async fn finish(&self, mut file: DataFile, mut writer: AsyncArrowWriter<BufWriter>) -> Result<DataFile> {
        let metadata = writer.finish().await.map_err(|e| self.said(e))?;
        file.bytes = writer.bytes_written() as u64;
        file.statistics = Some(stats::of(&metadata));
        self.table.make_durable(&file.path)?;
        Ok(file)
    }

    fn said(&self, reason: impl std::fmt::Display) -> Error {
        Error::Compaction { place: self.table.dir().display().to_string(), reason: reason.to_string() }
    }
}

fn properties() -> WriterProperties {
    WriterProperties::builder()
        .set_compression(Pages::ZSTD(ZstdLevel::default()))
        .set_created_by(concat!("hurtig ", env!("CARGO_PKG_VERSION")).to_owned())
        .build()
}
