//! A table for DataFusion, at one version: what is committed meanwhile belongs to the next query.
//!
//! Filters on partitions choose files before any is opened; the log's statistics choose among those that are left, and answer
//! `count(*)` by themselves.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use arrow::{
    array::{BooleanArray, RecordBatch, RecordBatchOptions},
    datatypes::{Field, Schema, SchemaRef},
};
use datafusion::{
    catalog::{Session, TableProvider},
    common::{DFSchema, Result as DataFusionResult, ScalarValue, Statistics, cast::as_boolean_array},
    datasource::{
        listing::{PartitionedFile, helpers::expr_applicable_for_cols},
        physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource, parquet::DefaultParquetFileReaderFactory},
        source::DataSourceExec,
        table_schema::TableSchema,
    },
    execution::object_store::ObjectStoreUrl,
    logical_expr::{Expr, TableProviderFilterPushDown, TableType},
    physical_plan::{ExecutionPlan, empty::EmptyExec},
};
use object_store::{ObjectMeta, ObjectStore, path::Path};

use crate::{error::Result, file::DataFile, file_statistics, table::Table};

/// A [`Table`] that DataFusion can ask. Its partition columns are the last ones.
pub struct DeltaTableProvider {
    store: Arc<dyn ObjectStore>,
    files: Vec<DataFile>,
    /// Without the partition columns.
    in_files: SchemaRef,
    partitions: Vec<Arc<Field>>,
    schema: SchemaRef,
}

impl fmt::Debug for DeltaTableProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeltaTableProvider").field("files", &self.files.len()).finish_non_exhaustive()
    }
}

impl DeltaTableProvider {
    /// The table as it is now.
    ///
    /// # Errors
    /// A table that other programs have written with features that cannot be read here.
    pub fn new(table: &Table) -> Result<Self> {
        DeltaTableProvider::of_files(table, table.readable_files()?)
    }

    /// Only these files of it.
    pub(crate) fn of_files(table: &Table, files: Vec<DataFile>) -> Result<Self> {
        let all = table.arrow_schema()?;
        let names = table.partition_columns()?;
        let is_partition = |field: &Arc<Field>| names.contains(field.name());
        let (partitions, columns): (Vec<_>, Vec<_>) = all.fields().iter().cloned().partition(is_partition);
        // In the order of the directories.
        let by_name = |name: &String| partitions.iter().find(|field| field.name() == name).cloned();
        let partitions: Vec<Arc<Field>> = names.iter().filter_map(by_name).collect();
        let in_files = Arc::new(Schema::new(columns));
        let schema = Arc::new(Schema::new(in_files.fields().iter().chain(&partitions).cloned().collect::<Vec<_>>()));
        Ok(DeltaTableProvider { store: table.store(), files, in_files, partitions, schema })
    }

    /// The columns that files have; the others are in their directories' names.
    pub(crate) fn columns_in_files(&self) -> impl Iterator<Item = &str> {
        self.in_files.fields().iter().map(|field| field.name().as_str())
    }

    /// The values of a file's partition columns.
    fn partition_values(&self, file: &DataFile) -> DataFusionResult<Vec<ScalarValue>> {
        let value = |field: &Arc<Field>| {
            let text = file.partition.iter().find(|(name, _)| name == field.name()).map(|(_, value)| value.as_str());
            match text {
                None | Some("") => ScalarValue::try_from(field.data_type()),
                Some(text) => ScalarValue::try_from_string(text.to_owned(), field.data_type()),
            }
        };
        self.partitions.iter().map(value).collect()
    }

    /// The files whose partitions pass the filters, with their partitions' values.
    fn chosen(&self, state: &dyn Session, filters: &[Expr]) -> DataFusionResult<Vec<(&DataFile, Vec<ScalarValue>)>> {
        let files = self.files.iter().map(|file| Ok((file, self.partition_values(file)?)));
        let mut files: Vec<_> = files.collect::<DataFusionResult<_>>()?;
        let names: Vec<&str> = self.partitions.iter().map(|field| field.name().as_str()).collect();
        for filter in filters.iter().filter(|filter| is_on(&names, filter)) {
            if files.is_empty() {
                break;
            }
            let keep = self.evaluate(state, filter, &files)?;
            let mut keep = keep.iter();
            files.retain(|_| keep.next().flatten().unwrap_or(false));
        }
        Ok(files)
    }

    fn evaluate(
        &self,
        state: &dyn Session,
        filter: &Expr,
        files: &[(&DataFile, Vec<ScalarValue>)],
    ) -> DataFusionResult<BooleanArray> {
        let schema = Arc::new(Schema::new(self.partitions.clone()));
        let column =
            |at: usize| ScalarValue::iter_to_array(files.iter().filter_map(|(_, values)| values.get(at).cloned()));
        let columns = (0..self.partitions.len()).map(column).collect::<DataFusionResult<_>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(files.len()));
        let batch = RecordBatch::try_new_with_options(schema.clone(), columns, &options)?;
        let predicate = state.create_physical_expr(filter.clone(), &DFSchema::try_from(schema)?)?;
        let kept = predicate.evaluate(&batch)?.into_array(files.len())?;
        Ok(as_boolean_array(&kept)?.clone())
    }
}

/// Whether a filter can be decided by a partition alone.
fn is_on(partitions: &[&str], filter: &Expr) -> bool {
    !partitions.is_empty() && !filter.column_refs().is_empty() && expr_applicable_for_cols(partitions, filter)
}

#[async_trait::async_trait]
impl TableProvider for DeltaTableProvider {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> DataFusionResult<Vec<TableProviderFilterPushDown>> {
        let names: Vec<&str> = self.partitions.iter().map(|field| field.name().as_str()).collect();
        let decided = |filter: &&Expr| match is_on(&names, filter) {
            true => TableProviderFilterPushDown::Exact,
            false => TableProviderFilterPushDown::Inexact,
        };
        Ok(filters.iter().map(decided).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        let files = self.chosen(state, filters)?;
        if files.is_empty() {
            let schema = match projection {
                Some(projection) => Arc::new(self.schema.project(projection)?),
                None => self.schema.clone(),
            };
            return Ok(Arc::new(EmptyExec::new(schema)));
        }
        let mut partitioned = Vec::with_capacity(files.len());
        for (file, values) in files {
            partitioned.push(self.partitioned(file, values)?);
        }
        let all = partitioned.iter().filter_map(|file| file.statistics.as_deref());
        let statistics = match partitioned.iter().all(PartitionedFile::has_statistics) {
            true => Statistics::try_merge_iter(all, &self.schema)?,
            false => Statistics::new_unknown(&self.schema),
        };
        let schema =
            TableSchema::builder(self.in_files.clone()).with_table_partition_cols(self.partitions.clone()).build();
        // The store is handed over here: two tables may call different stores by the same name.
        let source = ParquetSource::new(schema)
            .with_table_parquet_options(state.default_table_options().parquet)
            .with_parquet_file_reader_factory(Arc::new(DefaultParquetFileReaderFactory::new(self.store.clone())));
        let config = FileScanConfigBuilder::new(ObjectStoreUrl::local_filesystem(), Arc::new(source))
            // DataFusion cuts it into as many as it has threads.
            .with_file_group(FileGroup::new(partitioned))
            .with_statistics(statistics)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }
}

impl DeltaTableProvider {
    fn partitioned(&self, file: &DataFile, values: Vec<ScalarValue>) -> DataFusionResult<PartitionedFile> {
        let meta = ObjectMeta {
            location: Path::parse(&file.path).map_err(object_store::Error::from)?,
            last_modified: (UNIX_EPOCH + Duration::from_millis(file.written_ms.max(0).unsigned_abs())).into(),
            size: file.bytes,
            e_tag: None,
            version: None,
        };
        // DataFusion adds those of the partition's columns, and takes them for values.
        let statistics = file_statistics::of(file, &self.in_files).filter(|_| !values.iter().any(ScalarValue::is_null));
        let file = PartitionedFile::new_from_meta(meta).with_partition_values(values);
        Ok(match statistics {
            Some(statistics) => file.with_statistics(Arc::new(statistics)),
            None => file,
        })
    }
}
