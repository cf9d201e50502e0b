//! A table that DataFusion can ask: filters become locations, locations become files, files become rows.

use std::{fmt, sync::Arc};

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::{
    catalog::{Session, TableProvider},
    error::Result as DataFusionResult,
    logical_expr::{Expr, TableProviderFilterPushDown, TableType},
    physical_plan::{
        ExecutionPlan,
        empty::EmptyExec,
        streaming::{PartitionStream, StreamingTableExec},
    },
};
use hurtig_state::Clock;
use object_store::ObjectStore;

use crate::{
    error::{Error, Result},
    hive_layout,
    line_scan::{LineFiles, LineReader},
    listing::{self, FoundFile},
    location::{Location, ObjectStores},
    parquet,
    projection::Projection,
    pruning::{Pruning, is_on_partitions},
    table::Table,
};

/// What a scan may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanOptions {
    /// Locations a query may look at (10,000): one that would look at more is refused before anything is listed.
    pub max_locations: usize,
    /// Locations that are listed at once (32).
    pub concurrent_lists: usize,
}

impl Default for ScanOptions {
    fn default() -> Self {
        ScanOptions { max_locations: 10_000, concurrent_lists: 32 }
    }
}

/// A table over files, for DataFusion.
pub struct FileTable {
    table: Arc<Table>,
    schema: SchemaRef,
    ddl: String,
    projection: Option<Projection>,
    stores: Arc<dyn ObjectStores>,
    clock: Arc<dyn Clock>,
    options: ScanOptions,
}

impl fmt::Debug for FileTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileTable").field("table", &self.table).field("options", &self.options).finish_non_exhaustive()
    }
}

impl FileTable {
    /// A table whose files are in what `stores` opens. `clock` is what `NOW` is in a date projection, once a query.
    ///
    /// # Errors
    ///
    /// As [`Table::check`], and [`Error::Location`].
    pub fn new(
        table: Table,
        stores: Arc<dyn ObjectStores>,
        clock: Arc<dyn Clock>,
        options: ScanOptions,
    ) -> Result<Self> {
        table.check()?;
        table.check_places()?;
        let projection = Projection::of(&table)?;
        let (schema, ddl) = (table.schema(), table.to_ddl());
        Ok(FileTable { table: Arc::new(table), schema, ddl, projection, stores, clock, options })
    }

    /// What it was made of.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// The files that can have rows of a query with these filters, with their partitions, and the store that has them.
    async fn files(
        &self,
        state: &dyn Session,
        filters: &[Expr],
    ) -> Result<(Arc<dyn ObjectStore>, Location, Vec<FoundFile>)> {
        let pruning = Pruning::new(&self.table, state, filters);
        let Some(projection) = &self.projection else {
            let location = Location::parse(&self.table.location)?;
            let store = self.open(&location)?;
            let files = hive_layout::files(&self.table, &pruning, &store, &location, &self.options).await?;
            return Ok((store, location, files));
        };
        let partitions = pruning.project(projection, self.clock.now_ms(), &self.options)?;
        let beginning = Location::parse(projection.template.beginning())?;
        let mut places = Vec::with_capacity(partitions.len());
        for partition in partitions {
            let texts: Vec<&str> = partition.iter().map(|value| value.text.as_str()).collect();
            let location = Location::parse(&projection.template.fill(&texts))?;
            let values: Vec<_> = partition.into_iter().map(|value| value.value).collect();
            places.push((location.path().clone(), values.into()));
        }
        let store = self.open(&beginning)?;
        let files = listing::files(&store, &beginning, places, self.options.concurrent_lists).await?;
        Ok((store, beginning, files))
    }

    fn open(&self, location: &Location) -> Result<Arc<dyn ObjectStore>> {
        self.stores.open(location).map_err(|reason| Error::Store {
            location: location.to_string(),
            action: "opened",
            reason,
        })
    }
}

#[async_trait]
impl TableProvider for FileTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn get_table_definition(&self) -> Option<&str> {
        Some(&self.ddl)
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> DataFusionResult<Vec<TableProviderFilterPushDown>> {
        // What is not about partitions alone may still narrow them (`day = 1 AND … OR day = 2 AND …`), and Parquet's
        // row groups.
        Ok(filters
            .iter()
            .map(|filter| match is_on_partitions(&self.table, filter) {
                true => TableProviderFilterPushDown::Exact,
                false => TableProviderFilterPushDown::Inexact,
            })
            .collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        let (store, location, files) = self.files(state, filters).await?;
        if files.is_empty() {
            let schema = match projection {
                Some(projection) => Arc::new(self.schema.project(projection)?),
                None => self.schema.clone(),
            };
            return Ok(Arc::new(EmptyExec::new(schema)));
        }
        let groups = groups(files, state.config().target_partitions());
        if !self.table.format.serde.is_text() {
            return parquet::scan(state, &self.table, store, groups, projection, limit);
        }
        let reader = Arc::new(LineReader::new(self.table.clone(), projection)?);
        let streams = groups.into_iter().map(|files| {
            let (reader, store, location) = (reader.clone(), store.clone(), location.clone());
            Arc::new(LineFiles { reader, store, location, files }) as Arc<dyn PartitionStream>
        });
        let schema = reader.schema().clone();
        Ok(Arc::new(StreamingTableExec::try_new(schema, streams.collect(), None, [], false, limit)?))
    }
}

/// Files in so many groups of about the same size, in their order.
fn groups(files: Vec<FoundFile>, partitions: usize) -> Vec<Vec<FoundFile>> {
    let total: u64 = files.iter().map(|file| file.meta.size).sum();
    let share = total.div_ceil(partitions.max(1) as u64).max(1);
    let (mut groups, mut filled) = (vec![Vec::new()], 0);
    for file in files {
        if filled >= share && groups.len() < partitions {
            groups.push(Vec::new());
            filled = 0;
        }
        filled += file.meta.size;
        if let Some(group) = groups.last_mut() {
            group.push(file);
        }
    }
    groups
}
