//! "The last value of each meter": an aggregate that only needs the newest point of each series reads nothing else.
//!
//! `SELECT meter, max(time), max_by(kw, time) FROM t GROUP BY meter` over a hundred million readings asks for as many points
//! as there are series. The store knows each series' newest point, so the scan below such an aggregate is replaced by one of
//! those. The aggregate stays: a group may be of several series.

use std::sync::Arc;

use datafusion::{
    common::{
        DataFusionError, ScalarValue,
        tree_node::{Transformed, TreeNode},
    },
    datasource::{DefaultTableSource, provider_as_source, source_as_provider},
    logical_expr::{Aggregate, Expr, LogicalPlan, expr::AggregateFunction, utils::split_conjunction},
    optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule},
};
use hashbrown::HashMap;
use roaring::RoaringBitmap;

use super::{
    bounds::Bounds,
    memory::MemoryPoints,
    series::is_of_series,
    table::{Snapshot, StoreTable},
};
use crate::{error::Result, magnetic::file::MagneticFile, row::SeriesId, schema::TIME, store::Store, table::Table};

/// The rule of the optimizer, to be put behind all others.
#[derive(Debug, Default)]
pub struct LastPoints;

impl OptimizerRule for LastPoints {
    fn name(&self) -> &str {
        "last_points"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(
        &self,
        plan: LogicalPlan,
        _: &dyn OptimizerConfig,
    ) -> std::result::Result<Transformed<LogicalPlan>, DataFusionError> {
        let LogicalPlan::Aggregate(aggregate) = plan else { return Ok(Transformed::no(plan)) };
        let Some(dimensions) = dimensions_below(&aggregate.input) else {
            return Ok(Transformed::no(LogicalPlan::Aggregate(aggregate)));
        };
        let needs_newest_only = !aggregate.aggr_expr.is_empty()
            && aggregate.group_expr.iter().all(|e| is_of_series(e, &dimensions))
            && aggregate.aggr_expr.iter().all(is_of_newest);
        if !needs_newest_only {
            return Ok(Transformed::no(LogicalPlan::Aggregate(aggregate)));
        }
        let input = Arc::unwrap_or_clone(aggregate.input).transform_down(newest_only)?.data;
        let Aggregate { group_expr, aggr_expr, .. } = aggregate;
        Ok(Transformed::yes(LogicalPlan::Aggregate(Aggregate::try_new(Arc::new(input), group_expr, aggr_expr)?)))
    }
}

/// The dimensions of the table below, when what lies between does not ask for older points than the newest.
fn dimensions_below(plan: &LogicalPlan) -> Option<Vec<compact_str::CompactString>> {
    match plan {
        LogicalPlan::SubqueryAlias(alias) => dimensions_below(&alias.input),
        LogicalPlan::Projection(projection) => {
            let plain = projection.expr.iter().all(|e| matches!(e, Expr::Column(_)));
            plain.then(|| dimensions_below(&projection.input)).flatten()
        }
        LogicalPlan::Filter(filter) => {
            let dimensions = dimensions_below(&filter.input)?;
            let keeps = split_conjunction(&filter.predicate).into_iter().all(|e| keeps_newest(e, &dimensions));
            keeps.then_some(dimensions)
        }
        LogicalPlan::TableScan(scan) => {
            let provider = source_as_provider(&scan.source).ok()?;
            let table = (provider.as_ref() as &dyn std::any::Any).downcast_ref::<StoreTable>()?;
            let dimensions = table.dimensions();
            let keeps = scan.filters.iter().flat_map(split_conjunction).all(|e| keeps_newest(e, &dimensions));
            (keeps && scan.fetch.is_none() && !table.is_newest_only()).then_some(dimensions)
        }
        _ => None,
    }
}

/// Whether of each series it leaves the newest point or nothing.
fn keeps_newest(filter: &Expr, dimensions: &[compact_str::CompactString]) -> bool {
    is_of_series(filter, dimensions) || Bounds::is_lower_bound(filter)
}

/// Whether an aggregate of the points of some series is one of their newest points.
fn is_of_newest(expr: &Expr) -> bool {
    let expr = match expr {
        Expr::Alias(alias) => &*alias.expr,
        other => other,
    };
    let Expr::AggregateFunction(AggregateFunction { func, params }) = expr else { return false };
    let is_time = |e: &Expr| matches!(e, Expr::Column(column) if column.name == TIME);
    // No point is without a time.
    let is_true = |e: &Expr| match e {
        Expr::Literal(value, _) => *value == ScalarValue::Boolean(Some(true)),
        Expr::IsNotNull(of) => is_time(of),
        _ => false,
    };
    if params.distinct || !params.filter.as_deref().is_none_or(is_true) {
        return false;
    }
    // `max_by(x, time)` has become the first value of x by descending time.
    let order = match &params.order_by[..] {
        [] => None,
        [by] if is_time(&by.expr) => Some(by.asc),
        _ => return false,
    };
    match (func.name(), &params.args[..], order) {
        ("max", [of], None) => is_time(of),
        ("max_by", [_, by], None) => is_time(by),
        ("first_value", [_], Some(ascending)) => !ascending,
        ("last_value", [_], Some(ascending)) => ascending,
        _ => false,
    }
}

fn newest_only(plan: LogicalPlan) -> std::result::Result<Transformed<LogicalPlan>, DataFusionError> {
    let LogicalPlan::TableScan(mut scan) = plan else { return Ok(Transformed::no(plan)) };
    let provider = source_as_provider(&scan.source)?;
    if let Some(table) = (provider.as_ref() as &dyn std::any::Any).downcast_ref::<StoreTable>() {
        scan.source = provider_as_source(Arc::new(table.newest_only()));
    }
    debug_assert!((scan.source.as_ref() as &dyn std::any::Any).is::<DefaultTableSource>());
    Ok(Transformed::yes(LogicalPlan::TableScan(scan)))
}

impl Store {
    /// The newest points of these series. Those that only files have are read once, and known from then on.
    pub(super) async fn newest(&self, table: &Table, wanted: Option<&RoaringBitmap>) -> Result<Snapshot> {
        let _reading = self.reading().await;
        let count = table.registry().read().len() as SeriesId;
        let (mut points, mut unknown) = (Vec::new(), HashMap::new());
        for series in (0..count).filter(|id| wanted.is_none_or(|wanted| wanted.contains(*id))) {
            let shard = table.shard(series).lock();
            match (shard.newest(series), shard.newest_in_files(series)) {
                (Some(row), in_files) if in_files.is_none_or(|time| time <= row.time) => {
                    points.push(MemoryPoints::One(series, Box::new(row.clone())));
                }
                (_, Some(time)) => {
                    unknown.insert(series, time);
                }
                _ => (),
            }
        }
        if !unknown.is_empty() {
            self.read_newest(table, &mut unknown).await?;
            for &series in unknown.keys() {
                if let Some(row) = table.shard(series).lock().newest(series) {
                    points.push(MemoryPoints::One(series, Box::new(row.clone())));
                }
            }
        }
        Ok(Snapshot { points, files: Vec::new() })
    }

    async fn read_newest(&self, table: &Table, unknown: &mut HashMap<SeriesId, i64>) -> Result<()> {
        let columns = table.columns().read().clone();
        for file in table.files() {
            let mut rows: HashMap<usize, Vec<(SeriesId, u32)>> = HashMap::new();
            for (at, (series, newest)) in file.index().newest().enumerate() {
                let row = file.index().range_at(at).end - 1;
                if unknown.get(&series) == Some(&newest) && !file.is_deleted(row) {
                    rows.entry(group_of(&file, row)).or_default().push((series, row));
                }
            }
            for (group, rows) in rows {
                let decoded = file.read(group, &columns).await?;
                for (series, at) in rows {
                    if let Some(row) = decoded.row(at) {
                        table.shard(series).lock().learn_newest(series, row);
                    }
                }
            }
        }
        Ok(())
    }
}

fn group_of(file: &MagneticFile, row: u32) -> usize {
    file.groups_of(row..row + 1).start
}
