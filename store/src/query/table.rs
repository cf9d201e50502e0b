//! A table as DataFusion sees it.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::{
    catalog::{Session, TableProvider},
    common::{DFSchema, DataFusionError, ScalarValue},
    datasource::TableType,
    logical_expr::{Expr, TableProviderFilterPushDown, col, lit, utils::conjunction},
    physical_plan::{
        ExecutionPlan,
        empty::EmptyExec,
        filter::FilterExecBuilder,
        streaming::{PartitionStream, StreamingTableExec},
        union::UnionExec,
    },
};
use hashbrown::{HashMap, HashSet};
use roaring::RoaringBitmap;

use super::{
    bounds::Bounds,
    memory::{MemoryPart, MemoryPoints},
    parquet::{FileRows, scan},
    series::matching,
};
use crate::{error::Result, magnetic::file::MagneticFile, row::SeriesId, schema::TIME, store::Store, table::Table};

/// A table of the store at the moment of a query.
#[derive(Debug, Clone)]
pub struct StoreTable {
    store: Store,
    table: Arc<Table>,
    schema: SchemaRef,
    /// Only the newest point of each series.
    newest_only: bool,
}

impl StoreTable {
    /// A table as it is now.
    ///
    /// # Errors
    /// A table that is not there.
    pub fn new(store: &Store, database: &str, table: &str) -> Result<Self> {
        let table = store.table(database, table)?;
        Ok(StoreTable { store: store.clone(), schema: table.schema(), table, newest_only: false })
    }

    /// The same table, of which only the newest point of each series is read.
    pub(super) fn newest_only(&self) -> Self {
        StoreTable { newest_only: true, ..self.clone() }
    }

    /// Whether only the newest point of each series is read.
    pub(super) fn is_newest_only(&self) -> bool {
        self.newest_only
    }

    /// The names of the dimensions that the query can know.
    pub(super) fn dimensions(&self) -> Vec<compact_str::CompactString> {
        let names = self.table.registry().read().dimension_names().to_vec();
        names.into_iter().filter(|name| self.schema.index_of(name).is_ok()).collect()
    }
}

#[async_trait::async_trait]
impl TableProvider for StoreTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> std::result::Result<Vec<TableProviderFilterPushDown>, DataFusionError> {
        // What is found by them is less than all, and may be more than what was asked for.
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> std::result::Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        let external = |e: crate::error::Error| DataFusionError::External(Box::new(e));
        let now = self.store.now_ms().saturating_mul(1_000_000);
        let kept = Bounds { from: self.table.retention().magnetic_from(now), to: i64::MAX };
        let bounds = Bounds::of(filters).and(kept);
        let series = self.table.all_series();
        let wanted = matching(state, filters, &self.schema, &self.dimensions(), &series)?;
        let projected = match projection {
            Some(projection) => Arc::new(self.schema.project(projection)?),
            None => self.schema.clone(),
        };
        if bounds.is_empty() || wanted.as_ref().is_some_and(RoaringBitmap::is_empty) {
            return Ok(Arc::new(EmptyExec::new(projected)));
        }
        let partitions = state.config().target_partitions();
        let snapshot = match self.newest_only {
            true => self.store.newest(&self.table, wanted.as_ref()).await.map_err(external)?,
            false => self.store.snapshot(&self.table, wanted.as_ref(), bounds).await,
        };
        let mut plans: Vec<Arc<dyn ExecutionPlan>> = Vec::new();
        if !snapshot.points.is_empty() {
            let columns = Arc::new(self.table.columns().read().all().to_vec());
            // A registry that is read after the points has all of their series.
            let series = self.table.all_series();
            let points = Arc::new(snapshot.points);
            let share = points.len().div_ceil(partitions.max(1));
            let part = |from: usize| -> Arc<dyn PartitionStream> {
                Arc::new(MemoryPart {
                    schema: projected.clone(),
                    columns: columns.clone(),
                    series: series.clone(),
                    bounds,
                    points: points.clone(),
                    range: from..points.len().min(from + share),
                })
            };
            let parts = (0..points.len()).step_by(share).map(part).collect();
            plans.push(Arc::new(StreamingTableExec::try_new(projected.clone(), parts, None, [], false, None)?));
        }
        let rows = snapshot.files.iter().map(|(file, deleted)| FileRows::of(file, deleted, wanted.as_ref()));
        let rows: Vec<FileRows> = rows.filter_map(Result::transpose).collect::<std::result::Result<_, _>>()?;
        let schema = DFSchema::try_from(self.schema.as_ref().clone())?;
        let physical =
            |filters: Vec<Expr>| conjunction(filters).map(|p| state.create_physical_expr(p, &schema)).transpose();
        // A file is dropped when all of it has expired; until then some of its rows may have.
        let (expiring, whole): (Vec<_>, Vec<_>) = rows.into_iter().partition(|rows| rows.oldest() < kept.from);
        if !whole.is_empty() {
            let predicate = physical(filters.to_vec())?;
            plans.push(scan(&whole, partitions, &self.schema, projection, predicate, limit)?);
        }
        if !expiring.is_empty() {
            let alive = col(TIME).gt_eq(lit(ScalarValue::TimestampNanosecond(Some(kept.from), None)));
            let predicate = physical(filters.iter().cloned().chain([alive.clone()]).collect())?;
            let all = scan(&expiring, partitions, &self.schema, None, predicate, None)?;
            let alive = FilterExecBuilder::new(state.create_physical_expr(alive, &schema)?, all);
            plans.push(Arc::new(alive.apply_projection(projection.cloned())?.build()?));
        }
        match plans.len() {
            0 => Ok(Arc::new(EmptyExec::new(projected))),
            1 => Ok(plans.remove(0)),
            _ => UnionExec::try_new(plans),
        }
    }
}

/// What is read, as it was at one moment.
pub struct Snapshot {
    /// In memory.
    pub points: Vec<MemoryPoints>,
    /// In files, without the rows that count no more.
    pub files: Vec<(Arc<MagneticFile>, RoaringBitmap)>,
}

impl Store {
    /// What a table has of these series and times at one moment.
    async fn snapshot(&self, table: &Table, wanted: Option<&RoaringBitmap>, bounds: Bounds) -> Snapshot {
        // While this is held, nothing goes from memory into files.
        let _reading = self.reading().await;
        let mut points = Vec::new();
        // All shards at once: a point that is replaced must be seen once, in memory or in its file.
        let shards: Vec<_> = table.shards().iter().map(|shard| shard.lock()).collect();
        let is_wanted = |series: SeriesId| wanted.is_none_or(|wanted| wanted.contains(series));
        for shard in &shards {
            for (&series, active) in shard.active().iter().filter(|(id, _)| is_wanted(**id)) {
                let chunks = active.chunks().iter().filter(|c| !bounds.range(c.times()).is_empty());
                points.extend(chunks.map(|chunk| MemoryPoints::Chunk(series, chunk.clone())));
            }
            let Some(sealed) = shard.sealed() else { continue };
            let mut replaced: HashMap<SeriesId, HashSet<i64>> = HashMap::new();
            for &(series, time) in sealed.replaced.lock().iter() {
                replaced.entry(series).or_default().insert(time);
            }
            let replaced: HashMap<_, _> = replaced.into_iter().map(|(id, times)| (id, Arc::new(times))).collect();
            for (&series, sealed) in sealed.points.iter().filter(|(id, _)| is_wanted(**id)) {
                let chunks = sealed.chunks().iter().filter(|c| !bounds.range(c.times()).is_empty()).cloned();
                match replaced.get(&series) {
                    None => points.extend(chunks.map(|chunk| MemoryPoints::Chunk(series, chunk))),
                    Some(replaced) => {
                        points.extend(chunks.map(|chunk| MemoryPoints::Sealed(series, chunk, replaced.clone())));
                    }
                }
            }
        }
        // The deleted rows of the files belong to the same moment.
        let files = table.files().into_iter().filter(|file| bounds.overlaps(file.meta().times));
        let files = files.map(|file| (file.clone(), file.deleted())).collect();
        Snapshot { points, files }
    }
}
