//! Many small files of a day become few; files whose time is over are dropped.

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::{
        AsArray, BooleanArray, RecordBatch,
        types::{TimestampNanosecondType, UInt32Type},
    },
    compute::{SortColumn, concat_batches, filter_record_batch, lexsort_to_indices, take_record_batch},
};
use hashbrown::HashMap;
use roaring::RoaringBitmap;

use super::{Inner, Store};
use crate::{
    columns::Columns,
    error::{Error, Result, encoder},
    magnetic::{
        file::{MagneticFile, find_points},
        writer::{FileWriter, Written},
    },
    row::SeriesId,
    schema::{core_schema, file_schema},
    table::Table,
};

const NANOS_PER_DAY: i64 = 86_400_000_000_000;
/// So many files of a day are merged.
const FILES: usize = 4;
/// So long files stay that count no more: another process may have opened the store for reading, and have a query on them.
const GRACE_MS: i64 = 60_000;

/// A file that counts no more.
pub(super) struct Retired {
    file: Arc<MagneticFile>,
    /// Since when.
    at_ms: i64,
}

impl Store {
    /// Drops the files whose newest reading is older than the table keeps.
    ///
    /// # Errors
    /// A manifest that cannot be written.
    pub async fn drop_expired(&self) -> Result<()> {
        self.writable()?;
        let inner = &*self.inner;
        let now = inner.clock.now_ms().saturating_mul(1_000_000);
        let tables: Vec<_> = inner.tables.read().values().cloned().collect();
        for table in tables {
            let oldest = table.retention().magnetic_from(now);
            let gone: Vec<_> = table.files().into_iter().filter(|f| f.meta().times.1 < oldest).collect();
            if !gone.is_empty() {
                inner.replace(&table, &gone, Vec::new(), &HashMap::new()).await?;
            }
        }
        Ok(())
    }

    /// Merges files of days that have many, unless together they are larger than a file is to be.
    ///
    /// # Errors
    /// Files that cannot be read or written: they stay as they are.
    pub async fn merge(&self) -> Result<()> {
        self.writable()?;
        let inner = &*self.inner;
        let tables: Vec<_> = inner.tables.read().values().cloned().collect();
        for table in tables {
            let mut days: BTreeMap<i64, Vec<Arc<MagneticFile>>> = BTreeMap::new();
            for file in table.files() {
                days.entry(file.meta().times.0.div_euclid(NANOS_PER_DAY)).or_default().push(file);
            }
            for (day, mut files) in days {
                files.sort_by_key(|file| file.meta().rows);
                let mut rows = 0;
                files.retain(|file| {
                    rows += file.meta().rows;
                    rows <= inner.file_rows
                });
                if files.len() >= FILES {
                    inner.merge_files(&table, day, files).await?;
                }
            }
        }
        Ok(())
    }

    /// Removes the files that have counted no more for [`GRACE_MS`] and that no query reads.
    ///
    /// # Errors
    /// A file that cannot be removed; it is tried again the next time.
    pub async fn sweep(&self) -> Result<()> {
        let before = self.inner.clock.now_ms().saturating_sub(GRACE_MS);
        let is_unused = |retired: &mut Retired| retired.at_ms <= before && Arc::strong_count(&retired.file) == 1;
        let unused: Vec<_> = self.inner.retired.lock().extract_if(.., is_unused).collect();
        for retired in unused {
            if let Err(e) = self.inner.storage.delete(&retired.file.meta().name).await {
                self.inner.retired.lock().push(retired);
                return Err(e);
            }
        }
        Ok(())
    }
}

impl Inner {
    /// From now on these files count no more.
    pub(super) fn retire(&self, files: impl IntoIterator<Item = Arc<MagneticFile>>) {
        let at_ms = self.clock.now_ms();
        self.retired.lock().extend(files.into_iter().map(|file| Retired { file, at_ms }));
    }

    async fn merge_files(&self, table: &Arc<Table>, day: i64, files: Vec<Arc<MagneticFile>>) -> Result<()> {
        // One at a time, and not while memory is written into files: both put files in the place of others.
        let flush = self.flush.lock().await;
        let columns = table.columns().read().clone();
        let (mut before, mut batches) = (HashMap::new(), Vec::new());
        let schema = core_schema(columns.all());
        for file in &files {
            let deleted = file.deleted();
            for group in 0..file.metadata().num_row_groups() {
                let decoded = file.read(group, &columns).await?;
                let kept: BooleanArray = file.rows_of(group).map(|row| Some(!deleted.contains(row))).collect();
                let batch = filter_record_batch(&widen(decoded.batch(), &schema)?, &kept)?;
                batches.push(batch);
            }
            before.insert(file.meta().id, deleted);
        }
        let (series, dimensions) = (table.all_series(), table.registry().read().dimension_names().to_vec());
        let files_schema = file_schema(&dimensions, columns.all());
        let sort = move || -> Result<Option<Written>> {
            let all = concat_batches(&schema, &batches)?;
            drop(batches);
            if all.num_rows() == 0 {
                return Ok(None);
            }
            let by = |at: usize| SortColumn { values: all.column(at).clone(), options: None };
            let order = lexsort_to_indices(&[by(0), by(2)], None)?;
            let mut writer = FileWriter::new(files_schema, series)?;
            let all = take_record_batch(&all, &order)?;
            let mut at = 0;
            while at < all.num_rows() {
                let rows = (all.num_rows() - at).min(64 << 10);
                writer.write(&all.slice(at, rows))?;
                at += rows;
            }
            writer.finish().map(Some)
        };
        let written = tokio::task::spawn_blocking(sort).await.map_err(encoder)??;
        let new = match written {
            Some(written) => vec![self.put_file(table, day, written).await?],
            None => Vec::new(),
        };
        fail::fail_point!("store-merge", |_| Err(Error::Validation("the failpoint store-merge".into())));
        self.replace(table, &files, new, &before).await?;
        drop(flush);
        Ok(())
    }

    /// Puts `new` files in the place of `old` ones. What was marked as deleted in those since `before` is marked in the new.
    async fn replace(
        &self,
        table: &Arc<Table>,
        old: &[Arc<MagneticFile>],
        new: Vec<Arc<MagneticFile>>,
        before: &HashMap<u64, RoaringBitmap>,
    ) -> Result<()> {
        let _alone = self.writing.write().await;
        self.wal.durable(self.wal.end()).await?;
        let columns = table.columns().read().clone();
        let mut keys = Vec::new();
        for file in old {
            if let Some(before) = before.get(&file.meta().id) {
                keys.extend(keys_of(file, &(file.deleted() - before), &columns).await?);
            }
        }
        for found in find_points(&new, &columns, &keys).await?.into_values() {
            found.file.delete(found.at);
        }
        let gone: Vec<u64> = old.iter().map(|file| file.meta().id).collect();
        self.save(None, &BTreeMap::from([(table.id(), new.clone())]), &gone)?;
        let are_dropped = new.is_empty();
        table.swap_files(&gone, new);
        if are_dropped {
            table.forget(old);
        }
        self.retire(old.iter().cloned());
        Ok(())
    }
}

/// The series and times of some rows.
async fn keys_of(file: &MagneticFile, rows: &RoaringBitmap, columns: &Columns) -> Result<Vec<(SeriesId, i64)>> {
    let mut keys = Vec::new();
    for group in 0..file.metadata().num_row_groups() {
        let range = file.rows_of(group);
        if rows.range_cardinality(range.clone()) == 0 {
            continue;
        }
        let decoded = file.row_group(group, columns).await?;
        let (series, times) = (decoded.batch().column(0), decoded.batch().column(2));
        let series = series.as_primitive_opt::<UInt32Type>();
        let times = times.as_primitive_opt::<TimestampNanosecondType>();
        if let (Some(series), Some(times)) = (series, times) {
            let here = rows.iter().skip_while(|row| *row < range.start).take_while(|row| *row < range.end);
            keys.extend(here.map(|row| (row - range.start) as usize).map(|at| (series.value(at), times.value(at))));
        }
    }
    Ok(keys)
}

/// With null columns for what the batch does not have.
fn widen(batch: &RecordBatch, schema: &arrow::datatypes::SchemaRef) -> Result<RecordBatch> {
    let arrays = schema.fields().iter().map(|field| match batch.column_by_name(field.name()) {
        Some(column) => column.clone(),
        None => arrow::array::new_null_array(field.data_type(), batch.num_rows()),
    });
    Ok(RecordBatch::try_new(schema.clone(), arrays.collect())?)
}
