//! Reading the files: of each, the rows of the series that are asked for and that still count.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::{
    common::DataFusionError,
    datasource::{
        listing::PartitionedFile,
        physical_plan::{
            FileGroup, FileScanConfigBuilder, ParquetFileReaderFactory, ParquetSource,
            parquet::{ParquetAccessPlan, RowGroupAccess},
        },
        source::DataSourceExec,
    },
    execution::object_store::ObjectStoreUrl,
    physical_expr::PhysicalExpr,
    physical_plan::{ExecutionPlan, metrics::ExecutionPlanMetricsSet},
};
use parquet::arrow::{
    arrow_reader::{RowSelection, RowSelector},
    async_reader::AsyncFileReader,
};
use roaring::RoaringBitmap;

use crate::magnetic::file::MagneticFile;

/// A file and what of it is to be read.
pub struct FileRows {
    file: Arc<MagneticFile>,
    plan: ParquetAccessPlan,
    rows: u64,
}

impl FileRows {
    /// The rows of these series (of all, when none are named) without the deleted ones; nothing when none is left.
    pub fn of(
        file: &Arc<MagneticFile>,
        deleted: &RoaringBitmap,
        series: Option<&RoaringBitmap>,
    ) -> Result<Option<Self>, DataFusionError> {
        let total = file.meta().rows;
        let mut rows = RoaringBitmap::new();
        match series {
            None => {
                rows.insert_range(0..total);
            }
            Some(series) => {
                for (at, id) in file.index().ids().iter().enumerate() {
                    if series.contains(*id) {
                        rows.insert_range(file.index().range_at(at));
                    }
                }
            }
        }
        rows -= deleted;
        if rows.is_empty() {
            return Ok(None);
        }
        let groups = file.metadata().row_groups();
        let plan = if rows.len() == u64::from(total) {
            ParquetAccessPlan::new_all(groups.len())
        } else {
            ParquetAccessPlan::try_new_from_overall_row_selection(selection(&rows, total), groups)?
        };
        Ok(Some(FileRows { file: file.clone(), plan, rows: rows.len() }))
    }

    /// The oldest time of the file.
    pub fn oldest(&self) -> i64 {
        self.file.meta().times.0
    }

    /// Each row group by itself, with how many rows of it are read.
    fn pieces(&self) -> Vec<(Arc<MagneticFile>, usize, RowGroupAccess, u64)> {
        let groups = self.plan.inner().iter().enumerate().filter(|(_, access)| access.should_scan());
        groups
            .map(|(group, access)| {
                let rows = match access {
                    RowGroupAccess::Selection(selection) => selection.row_count() as u64,
                    _ => self.file.rows_of(group).len() as u64,
                };
                (self.file.clone(), group, access.clone(), rows)
            })
            .collect()
    }
}

/// Ranges of rows as Parquet's reader wants them.
fn selection(rows: &RoaringBitmap, total: u32) -> RowSelection {
    let mut selectors = Vec::new();
    let (mut at, mut ranges) = (0_u32, rows.iter());
    while let Some(range) = ranges.next_range() {
        let (start, end) = (*range.start(), *range.end());
        if start > at {
            selectors.push(RowSelector::skip((start - at) as usize));
        }
        selectors.push(RowSelector::select((end - start) as usize + 1));
        at = end + 1;
    }
    if at < total {
        selectors.push(RowSelector::skip((total - at) as usize));
    }
    selectors.into()
}

/// A plan that reads these, in so many partitions of about the same size.
pub fn scan(
    files: &[FileRows],
    partitions: usize,
    schema: &SchemaRef,
    projection: Option<&Vec<usize>>,
    predicate: Option<Arc<dyn PhysicalExpr>>,
    limit: Option<usize>,
) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
    let total: u64 = files.iter().map(|f| f.rows).sum();
    let share = total.div_ceil(partitions.max(1) as u64).max(1);
    let mut groups: Vec<Vec<PartitionedFile>> = vec![Vec::new()];
    let mut filled = 0;
    for rows in files {
        // Of each file one piece a partition.
        let mut plan: Option<ParquetAccessPlan> = None;
        for (file, group, access, count) in rows.pieces() {
            let piece = plan.get_or_insert_with(|| ParquetAccessPlan::new_none(rows.plan.len()));
            piece.set(group, access);
            filled += count;
            if filled >= share && groups.len() < partitions {
                put(&mut groups, &file, plan.take());
                groups.push(Vec::new());
                filled = 0;
            }
        }
        put(&mut groups, &rows.file, plan);
    }
    groups.retain(|group| !group.is_empty());
    let mut source = ParquetSource::new(schema.clone()).with_parquet_file_reader_factory(Arc::new(Readers));
    if let Some(predicate) = predicate {
        source = source.with_predicate(predicate);
    }
    let config = FileScanConfigBuilder::new(ObjectStoreUrl::local_filesystem(), Arc::new(source))
        .with_file_groups(groups.into_iter().map(FileGroup::new).collect())
        .with_projection_indices(projection.cloned())?
        .with_limit(limit)
        .build();
    Ok(DataSourceExec::from_data_source(config))
}

fn put(groups: &mut [Vec<PartitionedFile>], file: &Arc<MagneticFile>, plan: Option<ParquetAccessPlan>) {
    if let (Some(group), Some(plan)) = (groups.last_mut(), plan) {
        let mut part = PartitionedFile::new(file.meta().name.clone(), file.meta().size);
        part.extensions.insert(plan);
        part.extensions.insert(Open(file.clone()));
        group.push(part);
    }
}

/// The file that a part of the plan is of: its footer is known, and it is there as long as somebody reads it.
struct Open(Arc<MagneticFile>);

#[derive(Debug)]
struct Readers;

impl ParquetFileReaderFactory for Readers {
    fn create_reader(
        &self,
        _partition: usize,
        part: PartitionedFile,
        _metadata_size_hint: Option<usize>,
        _metrics: &ExecutionPlanMetricsSet,
    ) -> Result<Box<dyn AsyncFileReader + Send>, DataFusionError> {
        match part.extensions.get::<Open>() {
            Some(Open(file)) => Ok(Box::new(file.reader())),
            None => Err(DataFusionError::Internal(format!("the file {} is not open", part.object_meta.location))),
        }
    }
}
