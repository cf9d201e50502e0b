//! One of the magnetic store's files: what is in it, and which of its rows count no more.
//!
//! A file is never changed. When one of its points is replaced by a newer version, that version lives elsewhere and the row
//! here is marked as deleted, so that whoever reads the file need not compare versions.

use std::{ops::Range, sync::Arc};

use arrow::array::{AsArray, RecordBatch, types::TimestampNanosecondType};
use futures::TryStreamExt;
use hashbrown::HashMap;
use parking_lot::Mutex;
use parquet::{
    arrow::{
        ParquetRecordBatchStreamBuilder, ProjectionMask,
        arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions},
        async_reader::AsyncFileReader,
    },
    errors::ParquetError,
    file::metadata::ParquetMetaData,
};
use roaring::RoaringBitmap;
use serde::{Deserialize, Serialize};

use super::{
    index::{KEY, SeriesIndex},
    storage::{FileReader, Storage},
};
use crate::{
    columns::Columns,
    core_batch::row_at,
    error::{Error, Result},
    row::{ColumnId, Row, SeriesId},
    schema::{SERIES, TIME, VERSION, core_schema},
    value::MeasureType,
};

/// What the manifest says of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileMeta {
    /// Its number, which no other file of the store ever has.
    pub id: u64,
    /// Its name below the magnetic store's place.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// How many rows it has, deleted ones included.
    pub rows: u32,
    /// Its oldest and its newest time.
    pub times: (i64, i64),
}

/// A file, open.
#[derive(Debug)]
pub struct MagneticFile {
    meta: FileMeta,
    storage: Storage,
    metadata: Arc<ParquetMetaData>,
    index: SeriesIndex,
    /// The first row of each row group, and the number of rows.
    groups: Vec<u32>,
    deleted: Mutex<RoaringBitmap>,
    cache: Arc<RowGroups>,
}

/// Row groups that were decoded for lookups, the latest used ones.
pub type RowGroups = quick_cache::sync::Cache<(u64, usize), Arc<RowGroup>, ByRows>;

/// A row group weighs as much as it has rows.
#[derive(Debug, Clone)]
pub struct ByRows;

impl quick_cache::Weighter<(u64, usize), Arc<RowGroup>> for ByRows {
    fn weight(&self, _: &(u64, usize), group: &Arc<RowGroup>) -> u64 {
        group.batch.num_rows() as u64
    }
}

/// A row group without its dimensions.
#[derive(Debug)]
pub struct RowGroup {
    first: u32,
    batch: RecordBatch,
    columns: Vec<(ColumnId, MeasureType)>,
}

/// A point that was found in a file.
#[derive(Debug, Clone)]
pub struct Found {
    /// The file.
    pub file: Arc<MagneticFile>,
    /// Its row there.
    pub at: u32,
    /// The point.
    pub row: Row,
}

fn is_missing(error: &ParquetError) -> bool {
    let ParquetError::External(error) = error else { return false };
    matches!(error.downcast_ref(), Some(object_store::Error::NotFound { .. }))
}

impl MagneticFile {
    /// Reads the footer of a file.
    pub async fn open(storage: Storage, meta: FileMeta, deleted: RoaringBitmap, cache: Arc<RowGroups>) -> Result<Self> {
        let metadata = FileReader::new(&storage, &meta.name, meta.size, None).get_metadata(None).await;
        let metadata = metadata.map_err(|e| match is_missing(&e) {
            true => Error::Missing { name: meta.name.clone(), place: storage.to_string() },
            false => e.into(),
        })?;
        let damaged = |what: &str| Error::Damaged { path: meta.name.clone(), what: what.into() };
        let pairs = metadata.file_metadata().key_value_metadata();
        let index = pairs.and_then(|p| p.iter().find(|kv| kv.key == KEY)).and_then(|kv| kv.value.as_deref());
        let index = index.and_then(SeriesIndex::decode).ok_or_else(|| damaged("it has no index of its series"))?;
        let mut groups = vec![0];
        for group in metadata.row_groups() {
            let rows = u32::try_from(group.num_rows()).map_err(|_| damaged("it has too many rows"))?;
            groups.push(groups.last().copied().unwrap_or(0) + rows);
        }
        if groups.last() != Some(&meta.rows) || index.rows() != meta.rows {
            return Err(damaged("it does not have the rows that its index and the manifest say"));
        }
        Ok(MagneticFile { meta, storage, metadata, index, groups, deleted: Mutex::new(deleted), cache })
    }

    /// What the manifest says of it.
    pub fn meta(&self) -> &FileMeta {
        &self.meta
    }

    /// Its footer.
    pub fn metadata(&self) -> &Arc<ParquetMetaData> {
        &self.metadata
    }

    /// Its series.
    pub fn index(&self) -> &SeriesIndex {
        &self.index
    }

    /// The rows that count no more.
    pub fn deleted(&self) -> RoaringBitmap {
        self.deleted.lock().clone()
    }

    /// Marks a row; false when it was.
    pub fn delete(&self, row: u32) -> bool {
        self.deleted.lock().insert(row)
    }

    /// Whether a row counts no more.
    pub fn is_deleted(&self, row: u32) -> bool {
        self.deleted.lock().contains(row)
    }

    /// Whether any of it may be of this time.
    pub fn covers(&self, time: i64) -> bool {
        (self.meta.times.0..=self.meta.times.1).contains(&time)
    }

    /// A reader of the whole file.
    pub fn reader(&self) -> FileReader {
        FileReader::new(&self.storage, &self.meta.name, self.meta.size, Some(self.metadata.clone()))
    }

    /// The row groups that hold these rows.
    pub fn groups_of(&self, rows: Range<u32>) -> Range<usize> {
        if rows.is_empty() {
            return 0..0;
        }
        self.groups.partition_point(|&first| first <= rows.start) - 1
            ..self.groups.partition_point(|&first| first < rows.end)
    }

    /// The rows of a row group.
    pub fn rows_of(&self, group: usize) -> Range<u32> {
        self.groups[group]..self.groups[group + 1]
    }

    /// A row group without dimensions, decoded; the latest ones are kept for the next lookup.
    pub async fn row_group(&self, group: usize, columns: &Columns) -> Result<Arc<RowGroup>> {
        let load = async { self.read(group, columns).await.map(Arc::new) };
        self.cache.get_or_insert_async(&(self.meta.id, group), load).await
    }

    /// A row group without dimensions: series, version, time, and the measures the file has, as in
    /// [`core_schema`].
    pub async fn read(&self, group: usize, columns: &Columns) -> Result<RowGroup> {
        let parquet = self.metadata.file_metadata().schema_descr();
        let has: Vec<&str> = parquet.root_schema().get_fields().iter().map(|f| f.name()).collect();
        let there: Vec<_> = columns.all().iter().filter(|c| has.contains(&c.name.as_str())).cloned().collect();
        let names = [SERIES, VERSION, TIME].into_iter().chain(there.iter().map(|c| c.name.as_str()));
        let mask = ProjectionMask::roots(parquet, names.filter_map(|n| has.iter().position(|h| *h == n)));
        let options = ArrowReaderOptions::new();
        let metadata = ArrowReaderMetadata::try_new(self.metadata.clone(), options)?;
        let stream = ParquetRecordBatchStreamBuilder::new_with_metadata(self.reader(), metadata);
        let stream =
            stream.with_row_groups(vec![group]).with_projection(mask).with_batch_size(super::writer::ROW_GROUP);
        let batches: Vec<RecordBatch> = stream.build()?.try_collect().await?;
        let schema = core_schema(&there);
        let ordered = batches.iter().map(|batch| {
            let arrays = schema.fields().iter().map(|field| {
                let column = batch.column_by_name(field.name());
                let column = column.ok_or_else(|| Error::Damaged {
                    path: self.meta.name.clone(),
                    what: format!("it has no column {}", field.name()),
                })?;
                Ok(arrow::compute::cast(column, field.data_type())?)
            });
            Ok(RecordBatch::try_new(schema.clone(), arrays.collect::<Result<Vec<_>>>()?)?)
        });
        let batch = arrow::compute::concat_batches(&schema, &ordered.collect::<Result<Vec<_>>>()?)?;
        let ids = there.iter().filter_map(|c| Some((columns.id(&c.name)?, c.measure_type))).collect();
        Ok(RowGroup { first: self.groups[group], batch, columns: ids })
    }
}

impl RowGroup {
    /// The batch: series, version, time, measures.
    pub fn batch(&self) -> &RecordBatch {
        &self.batch
    }

    /// The columns behind the first three.
    pub fn columns(&self) -> &[(ColumnId, MeasureType)] {
        &self.columns
    }

    /// The file's row in which one of these rows of the file has this time.
    fn find(&self, rows: Range<u32>, time: i64) -> Option<u32> {
        let times = self.batch.column(2).as_primitive_opt::<TimestampNanosecondType>()?.values();
        let start = rows.start.max(self.first) - self.first;
        let end = (rows.end.max(self.first) - self.first).min(times.len() as u32);
        let times = times.get(start as usize..end as usize)?;
        times.binary_search(&time).ok().map(|at| self.first + start + at as u32)
    }

    /// A point by the file's row.
    pub fn row(&self, at: u32) -> Option<Row> {
        let at = at.checked_sub(self.first)? as usize;
        (at < self.batch.num_rows()).then(|| row_at(&self.batch, at, &self.columns)).flatten()
    }
}

/// Finds those of the points `keys` (series and time) that are in one of the files and count. Each row group is decoded
/// once, however many points are looked for in it.
pub async fn find_points(
    files: &[Arc<MagneticFile>],
    columns: &Columns,
    keys: &[(SeriesId, i64)],
) -> Result<HashMap<(SeriesId, i64), Found>> {
    let mut all = HashMap::new();
    for file in files {
        let mut wanted: HashMap<usize, Vec<(SeriesId, i64)>> = HashMap::new();
        for &(series, time) in keys.iter().filter(|(_, time)| file.covers(*time)) {
            if let Some(rows) = file.index.range(series) {
                file.groups_of(rows).for_each(|group| wanted.entry(group).or_default().push((series, time)));
            }
        }
        for (group, keys) in wanted {
            let decoded = file.row_group(group, columns).await?;
            for key in keys {
                let rows = file.index.range(key.0);
                let at = rows.and_then(|rows| decoded.find(rows, key.1)).filter(|&at| !file.is_deleted(at));
                if let Some((at, row)) = at.and_then(|at| Some((at, decoded.row(at)?))) {
                    all.insert(key, Found { file: file.clone(), at, row });
                }
            }
        }
    }
    Ok(all)
}
