//! Which series predicates leave: dimensions and measure names are asked of the registry, not of the readings.

use std::sync::Arc;

use arrow::{
    array::{Array, AsArray, RecordBatch, UInt32Array},
    datatypes::{DataType, Field, Schema, SchemaRef},
};
use datafusion::{
    catalog::Session,
    common::{DFSchema, DataFusionError, tree_node::TreeNode},
    logical_expr::{
        Expr,
        utils::{conjunction, split_conjunction},
    },
};
use roaring::RoaringBitmap;

use crate::{
    core_batch::with_dimensions,
    registry::Series,
    schema::{MEASURE_NAME, SERIES},
};

/// Whether an expression says something of a series as a whole, whatever its readings.
pub fn is_of_series(expr: &Expr, dimensions: &[compact_str::CompactString]) -> bool {
    let is_dimension = |name: &str| name == MEASURE_NAME || dimensions.iter().any(|d| d == name);
    let has_subquery = expr
        .exists(|e| Ok(matches!(e, Expr::Exists(_) | Expr::InSubquery(_) | Expr::ScalarSubquery(_))))
        .unwrap_or(true);
    !expr.is_volatile() && !has_subquery && {
        let columns = expr.column_refs();
        !columns.is_empty() && columns.iter().all(|c| is_dimension(&c.name))
    }
}

/// The series that those of the predicates leave that are only of dimensions; none when they leave all.
pub fn matching(
    state: &dyn Session,
    filters: &[Expr],
    schema: &SchemaRef,
    dimensions: &[compact_str::CompactString],
    series: &[Arc<Series>],
) -> Result<Option<RoaringBitmap>, DataFusionError> {
    let all = filters.iter().flat_map(split_conjunction);
    let of_series: Vec<Expr> = all.filter(|e| is_of_series(e, dimensions)).cloned().collect();
    let Some(predicate) = conjunction(of_series) else { return Ok(None) };
    let used: Vec<Field> = schema
        .fields()
        .iter()
        .filter(|field| predicate.column_refs().iter().any(|c| c.name == *field.name()))
        .map(|field| field.as_ref().clone())
        .collect();
    let schema = Arc::new(Schema::new(used));
    let numbers = UInt32Array::from_iter_values(0..series.len() as u32);
    let core = Arc::new(Schema::new(vec![Field::new(SERIES, DataType::UInt32, false)]));
    let core = RecordBatch::try_new(core, vec![Arc::new(numbers)])?;
    let batch = with_dimensions(&core, series, &schema).map_err(|e| DataFusionError::External(Box::new(e)))?;
    let unqualified = predicate.transform(|e| {
        Ok(match e {
            Expr::Column(column) => datafusion::common::tree_node::Transformed::yes(Expr::Column(
                datafusion::common::Column::new_unqualified(column.name),
            )),
            other => datafusion::common::tree_node::Transformed::no(other),
        })
    })?;
    let physical = state.create_physical_expr(unqualified.data, &DFSchema::try_from(schema.as_ref().clone())?)?;
    let kept = physical.evaluate(&batch)?.into_array(series.len())?;
    let kept = kept.as_boolean_opt().ok_or_else(|| DataFusionError::Internal("a predicate that is no truth".into()))?;
    Ok(Some((0..series.len()).filter(|&i| kept.is_valid(i) && kept.value(i)).map(|i| i as u32).collect()))
}
