//! Reading Parquet: DataFusion does it, with its predicates on row groups and pages, and columns found in any case.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::{
    catalog::Session,
    common::{
        Result,
        tree_node::{Transformed, TransformedResult, TreeNode},
    },
    datasource::{
        listing::PartitionedFile,
        physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource, parquet::DefaultParquetFileReaderFactory},
        source::DataSourceExec,
        table_schema::TableSchema,
    },
    execution::object_store::ObjectStoreUrl,
    physical_expr::{PhysicalExpr, expressions::Column},
    physical_expr_adapter::{DefaultPhysicalExprAdapterFactory, PhysicalExprAdapter, PhysicalExprAdapterFactory},
    physical_plan::ExecutionPlan,
};
use object_store::ObjectStore;

use crate::{listing::FoundFile, table::Table};

/// A plan that reads these groups of files, a partition each.
pub(crate) fn scan(
    state: &dyn Session,
    table: &Table,
    store: Arc<dyn ObjectStore>,
    groups: Vec<Vec<FoundFile>>,
    projection: Option<&Vec<usize>>,
    limit: Option<usize>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let partitions = table.partitions.iter().map(|column| Field::new(&column.name, column.kind.to_arrow(), true));
    let partitions: Vec<_> = partitions.map(Arc::new).collect();
    let schema = TableSchema::builder(table.file_schema()).with_table_partition_cols(partitions).build();
    let options = state.default_table_options().parquet;
    // The store is handed over here, not looked up by its URL when the plan runs: two tables may call different stores
    // by the same name.
    let source = ParquetSource::new(schema)
        .with_table_parquet_options(options)
        .with_parquet_file_reader_factory(Arc::new(DefaultParquetFileReaderFactory::new(store)));
    let file =
        |found: FoundFile| PartitionedFile::new_from_meta(found.meta).with_partition_values(found.partition.to_vec());
    let groups = groups.into_iter().map(|files| FileGroup::new(files.into_iter().map(file).collect())).collect();
    let config = FileScanConfigBuilder::new(ObjectStoreUrl::local_filesystem(), Arc::new(source))
        .with_file_groups(groups)
        .with_projection_indices(projection.cloned())?
        .with_limit(limit)
        .with_expr_adapter(Some(Arc::new(AnyCase)))
        .build();
    Ok(DataSourceExec::from_data_source(config))
}

/// Finds a table's columns, which are in lower case, in files that spell them otherwise.
#[derive(Debug)]
struct AnyCase;

impl PhysicalExprAdapterFactory for AnyCase {
    fn create(&self, table: SchemaRef, file: SchemaRef) -> Result<Arc<dyn PhysicalExprAdapter>> {
        let inner = |file| DefaultPhysicalExprAdapterFactory.create(table.clone(), file);
        if file.fields().iter().all(|field| is_lower(field.name())) {
            return inner(file);
        }
        let lower = |field: &Arc<Field>| match is_lower(field.name()) {
            true => field.clone(),
            false => Arc::new(field.as_ref().clone().with_name(field.name().to_lowercase())),
        };
        let lowered: Vec<_> = file.fields().iter().map(lower).collect();
        let lowered = Arc::new(Schema::new_with_metadata(lowered, file.metadata().clone()));
        Ok(Arc::new(Spelled { inner: inner(lowered)?, file }))
    }
}

/// Adapts to the file in lower case, then spells the columns as the file does.
#[derive(Debug)]
struct Spelled {
    inner: Arc<dyn PhysicalExprAdapter>,
    file: SchemaRef,
}

impl PhysicalExprAdapter for Spelled {
    fn rewrite(&self, expr: Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
        let adapted = self.inner.rewrite(expr)?;
        adapted
            .transform(|expr| {
                let Some(column) = expr.downcast_ref::<Column>() else { return Ok(Transformed::no(expr)) };
                let Some(field) = self.file.fields().get(column.index()) else { return Ok(Transformed::no(expr)) };
                let spelled = Column::new(field.name(), column.index());
                Ok(Transformed::yes(Arc::new(spelled) as Arc<dyn PhysicalExpr>))
            })
            .data()
    }
}

fn is_lower(name: &str) -> bool {
    !name.chars().any(char::is_uppercase)
}
