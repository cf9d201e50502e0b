//! From memory into files.
//!
//! 1. *Cut*: for a moment nobody writes. What was written to becomes sealed; its place is the log's end.
//! 2. *Write*: the sealed points go into files, one or more a day of event time. Writers go on.
//! 3. *Commit*: for a moment nobody writes. The log is made durable; points that were replaced meanwhile are marked in the
//!    new files; the manifest names the files and the log's place from the cut. Files take the place of what was sealed.
//!
//! When 2 or 3 fails, what is sealed stays, and the next flush goes on with it.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use super::{Inner, Store};
use crate::{
    columns::ColumnDef,
    core_batch::CoreBuilder,
    error::{At, Error, Result, encoder},
    magnetic::{
        file::{FileMeta, MagneticFile, find_points},
        writer::{FileWriter, Written},
    },
    manifest::{FileEntry, SeriesFile},
    registry::Series,
    row::SeriesId,
    schema::file_schema,
    shard::Sealed,
    table::Table,
    wal::Position,
};

const NANOS_PER_DAY: i64 = 86_400_000_000_000;
/// Points of a batch on its way into a file.
const BATCH: usize = 64 << 10;

/// What was sealed at one place of the log.
#[derive(Debug)]
pub(super) struct Cut {
    position: Position,
    tables: Vec<CutTable>,
}

#[derive(Debug)]
struct CutTable {
    table: Arc<Table>,
    sealed: Arc<Vec<Arc<Sealed>>>,
    /// Written for it, once.
    files: Option<Vec<Arc<MagneticFile>>>,
}

/// Points of one day in the order of a file: a shard, a series, a chunk of it, and places in that.
type Pieces = Vec<(usize, SeriesId, usize, Range<usize>)>;

impl Store {
    /// Writes all that is in memory into files.
    ///
    /// # Errors
    /// A file, a log or a manifest that cannot be written: nothing is lost, the next flush goes on with it.
    pub async fn flush(&self) -> Result<()> {
        self.writable()?;
        let inner = &*self.inner;
        let mut flush = inner.flush.lock().await;
        if flush.is_none() {
            *flush = inner.cut().await;
        }
        let Some(cut) = flush.as_mut() else { return Ok(()) };
        for cut in cut.tables.iter_mut().filter(|cut| cut.files.is_none()) {
            cut.files = Some(inner.write_files(&cut.table, cut.sealed.clone()).await?);
        }
        fail::fail_point!("store-flush", |_| Err(Error::Validation("the failpoint store-flush".into())));
        inner.commit(cut).await?;
        let position = cut.position;
        *flush = None;
        inner.wal.forget(position)
    }
}

impl Inner {
    async fn cut(&self) -> Option<Cut> {
        let _alone = self.writing.write().await;
        let tables: Vec<_> = self.tables.read().values().cloned().collect();
        let tables = tables.into_iter().filter(|table| table.shards().iter().any(|s| !s.lock().active().is_empty()));
        let tables: Vec<_> = tables
            .map(|table| {
                let sealed = table.shards().iter().map(|shard| shard.lock().seal()).collect();
                CutTable { table, sealed: Arc::new(sealed), files: None }
            })
            .collect();
        (!tables.is_empty()).then(|| Cut { position: self.wal.end(), tables })
    }

    async fn write_files(&self, table: &Arc<Table>, sealed: Arc<Vec<Arc<Sealed>>>) -> Result<Vec<Arc<MagneticFile>>> {
        let series = table.all_series();
        let columns = table.columns().read().all().to_vec();
        let mut files = Vec::new();
        for (day, pieces) in by_day(&sealed) {
            for pieces in split(pieces, self.file_rows) {
                let schema = file_schema(table.registry().read().dimension_names(), &columns);
                let (sealed, series, columns) = (sealed.clone(), series.clone(), columns.clone());
                let encode = move || encode(&sealed, pieces, schema, series, &columns);
                let written = tokio::task::spawn_blocking(encode).await.map_err(encoder)??;
                files.push(self.put_file(table, day, written).await?);
            }
        }
        Ok(files)
    }

    /// Puts a file into its place, and opens it.
    pub(super) async fn put_file(&self, table: &Table, day: i64, written: Written) -> Result<Arc<MagneticFile>> {
        let id = {
            // It counts when a manifest is saved that names the file; until then an orphan may have it again.
            let mut manifest = self.manifest.lock();
            manifest.next_file += 1;
            manifest.next_file - 1
        };
        let name = file_name(table, day, id);
        let size = written.bytes.len() as u64;
        self.storage.put(&name, written.bytes).await?;
        let meta = FileMeta { id, name, size, rows: written.rows, times: written.times };
        let file = MagneticFile::open(self.storage.clone(), meta, Default::default(), self.row_groups.clone()).await?;
        Ok(Arc::new(file))
    }

    async fn commit(&self, cut: &Cut) -> Result<()> {
        let _alone = self.writing.write().await;
        // What marks rows as deleted has to be there before the marks.
        self.wal.durable(self.wal.end()).await?;
        for CutTable { table, sealed, files } in &cut.tables {
            let replaced: Vec<_> =
                sealed.iter().flat_map(|s| s.replaced.lock().iter().copied().collect::<Vec<_>>()).collect();
            if !replaced.is_empty() {
                let columns = table.columns().read().clone();
                let files = files.as_deref().unwrap_or_default();
                for found in find_points(files, &columns, &replaced).await?.into_values() {
                    found.file.delete(found.at);
                }
            }
        }
        let new: BTreeMap<_, Vec<_>> =
            cut.tables.iter().map(|c| (c.table.id(), c.files.clone().unwrap_or_default())).collect();
        self.save(Some(cut.position), &new, &[])?;
        for CutTable { table, files, .. } in &cut.tables {
            table.swap_files(&[], files.clone().unwrap_or_default());
            table.shards().iter().for_each(|shard| shard.lock().unseal());
        }
        Ok(())
    }

    /// Saves a manifest with all tables' series, columns and files as they are now, with `new` files (by table) and without
    /// those that are `gone`. Nobody may write meanwhile, and the log must be durable.
    pub(super) fn save(
        &self,
        log_from: Option<Position>,
        new: &BTreeMap<u32, Vec<Arc<MagneticFile>>>,
        gone: &[u64],
    ) -> Result<()> {
        let mut manifest = self.manifest.lock();
        let mut next = manifest.clone();
        next.log_from = log_from.unwrap_or(next.log_from);
        let tables: Vec<_> = self.tables.read().values().cloned().collect();
        for table in tables {
            let key = (table.database().to_owned(), table.name().to_owned());
            // It may have been deleted, and another may have its name.
            let Some(meta) = next.tables.get_mut(&key).filter(|meta| meta.id == table.id()) else { continue };
            let file = SeriesFile::new(&self.dir, meta.id);
            let series = table.all_series();
            let known = self.saved_series.lock().get(&meta.id).copied().unwrap_or(0);
            meta.series_bytes = file.append(meta.series_bytes, &series[known..])?;
            self.saved_series.lock().insert(meta.id, series.len());
            meta.columns = table.columns().read().all().to_vec();
            let files = table.files().into_iter().chain(new.get(&meta.id).into_iter().flatten().cloned());
            let files = files.filter(|file| !gone.contains(&file.meta().id)).map(|file| {
                let mut deleted = Vec::new();
                file.deleted().serialize_into(&mut deleted).at(&self.dir.join("manifest"))?;
                Ok(FileEntry { meta: file.meta().clone(), deleted })
            });
            meta.files = files.collect::<Result<_>>()?;
        }
        next.save(&self.dir)?;
        *manifest = next;
        Ok(())
    }
}

/// `database/table-number/date=2026-11-30/number.parquet`
fn file_name(table: &Table, day: i64, id: u64) -> String {
    let date = jiff::Timestamp::from_second(day.saturating_mul(86_400))
        .map_or_else(|_| day.to_string(), |t| t.strftime("%Y-%m-%d").to_string());
    format!("{}/{}-{}/date={date}/{id:020}.parquet", table.database(), table.name(), table.id())
}

/// Whether it is a name that [`file_name`] gives.
pub(super) fn is_file_name(name: &str) -> bool {
    let parts: Vec<&str> = name.split('/').collect();
    let [_, _, date, file] = parts[..] else { return false };
    let number = file.strip_suffix(".parquet");
    date.starts_with("date=") && number.is_some_and(|n| n.len() == 20 && n.bytes().all(|b| b.is_ascii_digit()))
}

/// All points that are sealed, by day, in the order of a file.
fn by_day(sealed: &[Arc<Sealed>]) -> BTreeMap<i64, Pieces> {
    let mut order: Vec<_> =
        sealed.iter().enumerate().flat_map(|(shard, s)| s.points.keys().map(move |&series| (series, shard))).collect();
    order.sort_unstable();
    let mut days: BTreeMap<i64, Pieces> = BTreeMap::new();
    for (series, shard) in order {
        let Some(points) = sealed[shard].points.get(&series) else { continue };
        for (i, chunk) in points.chunks().iter().enumerate() {
            let times = chunk.times();
            let mut start = 0;
            while start < times.len() {
                let day = times[start].div_euclid(NANOS_PER_DAY);
                let end = start + times[start..].partition_point(|t| t.div_euclid(NANOS_PER_DAY) == day);
                days.entry(day).or_default().push((shard, series, i, start..end));
                start = end;
            }
        }
    }
    days
}

/// In parts of so many rows at most; a series' piece is not divided.
fn split(pieces: Pieces, rows: u32) -> Vec<Pieces> {
    let (mut parts, mut part, mut count) = (Vec::new(), Pieces::new(), 0);
    for piece in pieces {
        count += piece.3.len();
        part.push(piece);
        if count >= rows as usize {
            parts.push(std::mem::take(&mut part));
            count = 0;
        }
    }
    if !part.is_empty() {
        parts.push(part);
    }
    parts
}

fn encode(
    sealed: &[Arc<Sealed>],
    pieces: Pieces,
    schema: arrow::datatypes::SchemaRef,
    series: Arc<Vec<Arc<Series>>>,
    columns: &[ColumnDef],
) -> Result<Written> {
    fail::fail_point!("store-encode");
    let mut writer = FileWriter::new(schema, series)?;
    let mut batch = CoreBuilder::new(columns);
    for (shard, number, chunk, range) in pieces {
        if let Some(points) = sealed[shard].points.get(&number) {
            batch.push(number, &points.chunks()[chunk], range);
        }
        if batch.rows() >= BATCH {
            writer.write(&batch.finish()?)?;
        }
    }
    if batch.rows() > 0 {
        writer.write(&batch.finish()?)?;
    }
    writer.finish()
}
