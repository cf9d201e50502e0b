//! `t CROSS JOIN UNNEST(t.series) AS p(time, value)`: a row for every point, beside the row it came from.

use datafusion::{
    common::{Column, DFSchema, NullHandling, Result, TableReference, UnnestOptions, not_impl_err, plan_err},
    functions::core::expr_fn::get_field,
    logical_expr::{
        Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, col,
        planner::{PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning},
    },
    sql::sqlparser::ast::{self, JoinConstraint, JoinOperator, TableAlias, TableFactor, TableWithJoins, Value},
};

use crate::names::Spelling;
use arrow::datatypes::DataType;

/// Plans joins in parentheses whose last table is an UNNEST, as [`rewrite`](crate::rewrite) makes them.
#[derive(Debug)]
pub(crate) struct UnnestPlanner {
    pub spelling: Spelling,
}

impl RelationPlanner for UnnestPlanner {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        let TableFactor::NestedJoin { table_with_joins, alias: None } = relation else {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        };
        let TableWithJoins { relation, mut joins } = *table_with_joins;
        let (before, unnest, outer) = match joins.pop() {
            None if matches!(relation, TableFactor::UNNEST { .. }) => (None, relation, false),
            Some(last) if matches!(last.relation, TableFactor::UNNEST { .. }) => {
                let outer = match &last.join_operator {
                    JoinOperator::CrossJoin(_) => false,
                    JoinOperator::Join(c) | JoinOperator::Inner(c) if is_true(c) => false,
                    JoinOperator::Left(c) | JoinOperator::LeftOuter(c) if is_true(c) => true,
                    _ => return plan_err!("UNNEST is joined by CROSS JOIN, or by LEFT JOIN … ON TRUE"),
                };
                let before = match joins.is_empty() {
                    true => relation,
                    false => TableFactor::NestedJoin {
                        table_with_joins: Box::new(TableWithJoins { relation, joins }),
                        alias: None,
                    },
                };
                (Some(before), last.relation, outer)
            }
            last => {
                joins.extend(last);
                let table_with_joins = Box::new(TableWithJoins { relation, joins });
                let original = TableFactor::NestedJoin { table_with_joins, alias: None };
                return Ok(RelationPlanning::Original(Box::new(original)));
            }
        };
        let left = match before {
            Some(before) => context.plan(before)?,
            None => LogicalPlanBuilder::empty(true).build()?,
        };
        let TableFactor::UNNEST { alias, array_exprs, with_ordinality, with_offset: false, .. } = unnest else {
            return not_impl_err!("UNNEST WITH OFFSET");
        };
        if with_ordinality {
            return not_impl_err!("UNNEST WITH ORDINALITY");
        }
        let exprs =
            array_exprs.into_iter().map(|e| context.sql_to_expr(e, left.schema())).collect::<Result<Vec<_>>>()?;
        let plan = self.plan(left, exprs, alias, outer)?;
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, None))))
    }
}

impl UnnestPlanner {
    fn plan(
        &self,
        left: LogicalPlan,
        arrays: Vec<Expr>,
        alias: Option<TableAlias>,
        outer: bool,
    ) -> Result<LogicalPlan> {
        let schema: DFSchema = left.schema().as_ref().clone();
        let beside = || schema.iter().map(|(qualifier, field)| Expr::Column(Column::from((qualifier, field.as_ref()))));
        let element = |i: usize| format!("unnest {i}");

        // The columns of the result: an array's own, or the fields of its rows.
        let mut columns = Vec::new();
        for (i, array) in arrays.iter().enumerate() {
            let DataType::List(item) = array.get_type(&schema)? else {
                return plan_err!("Cannot unnest type: {}", crate::column_info::type_name(&array.get_type(&schema)?));
            };
            match item.data_type() {
                DataType::Struct(fields) => columns.extend(fields.iter().map(|field| {
                    let value = get_field(col(Column::new_unqualified(element(i))), field.name().as_str());
                    (value, self.spelling.of(field.name()))
                })),
                _ => {
                    let name = if arrays.len() == 1 { "unnest".to_owned() } else { format!("unnest{i}") };
                    columns.push((col(Column::new_unqualified(element(i))), name));
                }
            }
        }
        let qualifier = alias.as_ref().map(|alias| TableReference::bare(name_of(&alias.name)));
        if let Some(alias) = alias.filter(|alias| !alias.columns.is_empty()) {
            let (names, found) = (alias.columns.len(), columns.len());
            if names != found {
                return plan_err!(
                    "Column alias list has {names} entries but '{}' has {found} columns available",
                    alias.name
                );
            }
            for (column, name) in columns.iter_mut().zip(&alias.columns) {
                column.1 = name_of(&name.name);
            }
        }

        let named = arrays.into_iter().enumerate().map(|(i, array)| array.alias(element(i)));
        let unnested: Vec<Column> = (0..named.len()).map(|i| Column::new_unqualified(element(i))).collect();
        let input: Vec<Expr> = beside().chain(named).collect();
        let null_handling = if outer { NullHandling::PreserveAndExpandEmpty } else { NullHandling::Drop };
        let output = columns.into_iter().map(|(value, name)| value.alias_qualified(qualifier.clone(), name));
        LogicalPlanBuilder::from(left)
            .project(input)?
            .unnest_columns_with_options(unnested, UnnestOptions { null_handling, ..Default::default() })?
            .project(beside().chain(output))?
            .build()
    }
}

fn name_of(ident: &ast::Ident) -> String {
    match ident.quote_style {
        Some(_) => ident.value.clone(),
        None => ident.value.to_lowercase(),
    }
}

fn is_true(constraint: &JoinConstraint) -> bool {
    matches!(constraint, JoinConstraint::On(ast::Expr::Value(v)) if v.value == Value::Boolean(true))
}
