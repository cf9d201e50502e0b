//! Which partitions can have rows of a query, from its filters.
//!
//! Each partition column is narrowed by itself first, by its domain and by the filters on it alone; then the columns'
//! product is built column by column, and a filter over several drops combinations as soon as all its columns are there.

use arrow::{
    array::{Array, ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, UInt32Array},
    compute::{filter, prep_null_mask_filter, take},
    datatypes::{Field, Schema},
};
use datafusion::{
    catalog::Session,
    common::{DFSchema, DataFusionError, ScalarValue, cast::as_boolean_array, tree_node::TreeNode},
    datasource::listing::helpers::expr_applicable_for_cols,
    logical_expr::Expr,
};
use std::sync::Arc;

use crate::{
    domain::Domain,
    error::{Error, Result, grouped},
    file_table::ScanOptions,
    projection::{PartitionValue, Projection, utc},
    table::Table,
};

/// Combinations that are looked at before a filter over several columns has dropped most of them.
const CANDIDATES: usize = 1_000_000;

/// A query's filters as far as they are about partitions.
pub(crate) struct Pruning<'a> {
    table: &'a Table,
    state: &'a dyn Session,
    filters: Vec<PartitionFilter<'a>>,
    domains: Vec<Domain>,
}

struct PartitionFilter<'a> {
    expr: &'a Expr,
    /// The partition columns it is about, by their places, in order.
    columns: Vec<usize>,
}

/// Whether a filter can be decided by a row's partition alone.
pub(crate) fn is_on_partitions(table: &Table, filter: &Expr) -> bool {
    let names: Vec<&str> = table.partitions.iter().map(|column| column.name.as_str()).collect();
    let needs_more = filter.exists(|expr| {
        Ok(matches!(
            expr,
            Expr::Exists(_)
                | Expr::InSubquery(_)
                | Expr::ScalarSubquery(_)
                | Expr::SetComparison(_)
                | Expr::OuterReferenceColumn(..)
                | Expr::ScalarVariable(..)
                | Expr::Lambda(_)
                | Expr::LambdaVariable(_)
        ))
    });
    !names.is_empty() && needs_more.is_ok_and(|more| !more) && expr_applicable_for_cols(&names, filter)
}

impl<'a> Pruning<'a> {
    /// The filters of a query on a table.
    pub fn new(table: &'a Table, state: &'a dyn Session, filters: &'a [Expr]) -> Self {
        let on_partitions = filters.iter().filter(|filter| is_on_partitions(table, filter)).map(|expr| {
            let names = expr.column_refs();
            let is_in = |name: &str| names.iter().any(|column| column.name == *name);
            let columns = table.partitions.iter().enumerate().filter(|(_, column)| is_in(&column.name));
            PartitionFilter { expr, columns: columns.map(|(at, _)| at).collect() }
        });
        let domains =
            table.partitions.iter().map(|column| Domain::of(filters, &column.name, &column.kind.to_arrow())).collect();
        Pruning { table, state, filters: on_partitions.collect(), domains }
    }

    /// How many partition columns, from the first one, the filters say something about.
    pub fn depth(&self) -> usize {
        let by_filter = self.filters.iter().filter_map(|filter| filter.columns.last()).max().map_or(0, |last| last + 1);
        let by_domain = self.domains.iter().rposition(|domain| *domain != Domain::All).map_or(0, |last| last + 1);
        by_filter.max(by_domain)
    }

    /// Of partitions whose first columns have these values, those that can have rows; filters that end at an earlier
    /// column have been asked before.
    pub fn keep(&self, columns: &[ArrayRef]) -> Result<BooleanArray> {
        let last = columns.len() - 1;
        let rows = columns[last].len();
        let mut keep = vec![true; rows];
        if self.domains[last] != Domain::All {
            for (row, keep) in keep.iter_mut().enumerate() {
                let value = ScalarValue::try_from_array(&columns[last], row)?;
                *keep = !value.is_null() && self.domains[last].contains(&value);
            }
        }
        let mut keep = BooleanArray::from(keep);
        for one in &self.filters {
            if one.columns.last().copied().unwrap_or(0) == last {
                keep = arrow::compute::and(&keep, &self.evaluate(one, 0, columns)?).map_err(DataFusionError::from)?;
            }
        }
        Ok(keep)
    }

    /// The partitions of a projection, one value a partition column each.
    pub fn project(
        &self,
        projection: &Projection,
        now_ms: i64,
        options: &ScanOptions,
    ) -> Result<Vec<Vec<PartitionValue>>> {
        let now = utc(now_ms);
        let limit = options.max_locations.max(CANDIDATES);
        let mut values = Vec::with_capacity(projection.columns.len());
        for (at, column) in projection.columns.iter().enumerate() {
            let found = column.values(&self.domains[at], now, limit);
            let found = found.map_err(|none| none.into_error(self.table, &column.name, options.max_locations))?;
            values.push(self.alone(at, found)?);
        }
        if values.iter().any(Vec::is_empty) {
            return Ok(Vec::new());
        }
        let sizes: Vec<u128> = values.iter().map(|values| values.len() as u128).collect();
        let product = |sizes: &[u128]| sizes.iter().fold(1_u128, |product, size| product.saturating_mul(*size));
        let too_many = |count| self.too_many(count, &sizes, options);
        let together: Vec<_> = self.filters.iter().filter(|filter| filter.columns.len() > 1).collect();
        if together.is_empty() && product(&sizes) > options.max_locations as u128 {
            return Err(too_many(product(&sizes)));
        }
        // One column of indices into its values for each partition column.
        let mut rows = 1;
        let mut chosen: Vec<UInt32Array> = Vec::with_capacity(values.len());
        let arrays = values.iter().map(|values| array_of(values)).collect::<Result<Vec<_>>>()?;
        for at in 0..values.len() {
            let size = values[at].len();
            if rows as u128 * sizes[at] > limit as u128 {
                return Err(too_many(product(&sizes[at..]).saturating_mul(rows as u128)));
            }
            let each = |row: usize| u32::try_from(row).unwrap_or(u32::MAX);
            let repeat = UInt32Array::from_iter_values((0..rows).flat_map(|row| std::iter::repeat_n(each(row), size)));
            for indices in &mut chosen {
                *indices = taken(indices, &repeat)?;
            }
            chosen.push(UInt32Array::from_iter_values((0..rows).flat_map(|_| (0..size).map(each))));
            rows *= size;
            for one in together.iter().filter(|filter| filter.columns.last() == Some(&at)) {
                let columns = chosen.iter().zip(&arrays).map(|(indices, array)| take(array, indices, None));
                let columns = columns.collect::<Result<Vec<_>, _>>().map_err(DataFusionError::from)?;
                let keep = self.evaluate(one, 0, &columns)?;
                for indices in &mut chosen {
                    let kept = filter(indices, &keep).map_err(DataFusionError::from)?;
                    *indices = kept
                        .as_any()
                        .downcast_ref::<UInt32Array>()
                        .cloned()
                        .unwrap_or_else(|| UInt32Array::from(Vec::<u32>::new()));
                }
                rows = chosen[at].len();
            }
        }
        if rows > options.max_locations {
            return Err(too_many(rows as u128));
        }
        let partition = |row: usize| {
            chosen.iter().zip(&values).map(|(indices, values)| values[indices.value(row) as usize].clone()).collect()
        };
        Ok((0..rows).map(partition).collect())
    }

    /// One column's values without those that the filters on it alone drop.
    fn alone(&self, at: usize, values: Vec<PartitionValue>) -> Result<Vec<PartitionValue>> {
        let filters: Vec<_> = self
            .filters
            .iter()
            .filter(|filter| filter.columns == [at] || (at == 0 && filter.columns.is_empty()))
            .collect();
        if filters.is_empty() || values.is_empty() {
            return Ok(values);
        }
        let array = array_of(&values)?;
        let mut kept = vec![true; values.len()];
        for one in filters {
            let keep = self.evaluate(one, at, std::slice::from_ref(&array))?;
            kept.iter_mut().zip(keep.values()).for_each(|(kept, keep)| *kept &= keep);
        }
        Ok(values.into_iter().zip(kept).filter_map(|(value, keep)| keep.then_some(value)).collect())
    }

    /// A filter on columns that begin with the partition column `first`: where it is true.
    fn evaluate(&self, one: &PartitionFilter<'_>, first: usize, columns: &[ArrayRef]) -> Result<BooleanArray> {
        let named = self.table.partitions[first..].iter().zip(columns);
        let fields: Vec<Field> =
            named.map(|(column, array)| Field::new(&column.name, array.data_type().clone(), true)).collect();
        let schema = Arc::new(Schema::new(fields));
        let physical = self.state.create_physical_expr(one.expr.clone(), &DFSchema::try_from(schema.clone())?)?;
        let rows = columns.first().map_or(0, |column| column.len());
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch =
            RecordBatch::try_new_with_options(schema, columns.to_vec(), &options).map_err(DataFusionError::from)?;
        let answer = physical.evaluate(&batch)?.into_array(rows)?;
        let answer = as_boolean_array(&answer)?;
        Ok(if answer.null_count() > 0 { prep_null_mask_filter(answer) } else { answer.clone() })
    }

    /// The error that these are more locations than may be looked at, with the columns to filter by.
    fn too_many(&self, count: u128, sizes: &[u128], options: &ScanOptions) -> Error {
        let is_open = |at: &usize| {
            self.domains[*at] == Domain::All
                && !self.filters.iter().any(|filter| filter.columns.contains(at))
                && sizes[*at] > 1
        };
        let open: Vec<usize> = (0..sizes.len()).filter(is_open).collect();
        let name = |at: usize| format!("{} ({} values)", self.table.partitions[at].name, grouped(&sizes[at]));
        let advice = match open.as_slice() {
            [] => {
                let largest = (0..sizes.len()).max_by_key(|at| sizes[*at]).unwrap_or(0);
                format!("narrow the filter, for example on {}", name(largest))
            }
            [one] => format!("filter by {}", name(*one)),
            [others @ .., last] => {
                let others: Vec<String> = others.iter().map(|at| name(*at)).collect();
                format!("filter by {} or {}", others.join(", "), name(*last))
            }
        };
        Error::TooManyLocations { table: self.table.name.to_string(), count, limit: options.max_locations, advice }
    }
}

fn array_of(values: &[PartitionValue]) -> Result<ArrayRef> {
    Ok(ScalarValue::iter_to_array(values.iter().map(|value| value.value.clone()))?)
}

fn taken(indices: &UInt32Array, at: &UInt32Array) -> Result<UInt32Array> {
    Ok(at.values().iter().map(|row| Some(indices.value(*row as usize))).collect())
}
