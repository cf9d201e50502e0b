//! Timestream's SQL as SQL that DataFusion plans: on the parsed query, one expression at a time.
//!
//! - `if(c, a, b)`, `count_if(c)`, `max_by(x, y)`, `approx_percentile(x, p)` and the like become what DataFusion has.
//! - `x.value`, where `x` is a lambda's parameter, becomes access to a field.
//! - `CAST(ROW(a, b) AS ROW(x BIGINT, y DOUBLE))` becomes a structure with those fields.
//! - `t CROSS JOIN UNNEST(…)` becomes a join in parentheses, which [`unnest`](crate::unnest) plans.
//! - A column without a name is called `_col0` after its place, as Presto does.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    AccessExpr, BinaryOperator, CaseWhen, CastKind, DataType, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArgumentList, FunctionArguments, Ident, Join, JoinConstraint, JoinOperator, LambdaFunction, ObjectName,
    ObjectNamePart, OneOrManyWithParens, OrderByExpr, OrderByOptions, Query, Select, SelectItem, SetExpr, TableFactor,
    TableWithJoins, Value, VisitMut, VisitorMut, helpers::attached_token::AttachedToken,
};

use crate::error::{Error, Result};

/// What a rewritten query is known to be.
pub(crate) struct Rewritten {
    /// Its columns' names, where they are known before it is planned.
    pub names: Option<Vec<String>>,
    pub has_lambdas: bool,
}

/// Rewrites a query; `written` is the same one, with its names as they were written.
pub(crate) fn rewrite(query: &mut Query, written: &Query) -> Result<Rewritten> {
    let names = output_names(query, written);
    if let Some(select) = first_select(&mut query.body) {
        tell_apart(select);
    }
    let mut rewriter = Rewriter { lambdas: Vec::new(), has_lambdas: false };
    match query.visit(&mut rewriter) {
        ControlFlow::Continue(()) => Ok(Rewritten { names, has_lambdas: rewriter.has_lambdas }),
        ControlFlow::Break(error) => Err(error),
    }
}

fn first_select(body: &mut SetExpr) -> Option<&mut Select> {
    match body {
        SetExpr::Select(select) => Some(select),
        SetExpr::Query(query) => first_select(&mut query.body),
        SetExpr::SetOperation { left, .. } => first_select(left),
        _ => None,
    }
}

/// What the result's columns are called; `None` with a wildcard. An alias is shown as it was `written`.
fn output_names(query: &Query, written: &Query) -> Option<Vec<String>> {
    fn select(body: &SetExpr) -> Option<&Select> {
        match body {
            SetExpr::Select(s) => Some(s),
            SetExpr::Query(query) => select(&query.body),
            SetExpr::SetOperation { left, .. } => select(left),
            _ => None,
        }
    }
    let (spelled, written) = (select(&query.body)?, select(&written.body)?);
    let items = spelled.projection.iter().zip(&written.projection).enumerate();
    items
        .map(|(i, (spelled, written))| match (spelled, written) {
            (_, SelectItem::ExprWithAlias { alias, .. }) => Some(alias.value.clone()),
            (SelectItem::UnnamedExpr(Expr::Identifier(name)), _) => Some(name.value.clone()),
            (SelectItem::UnnamedExpr(Expr::CompoundIdentifier(names)), _) => Some(names.last()?.value.clone()),
            (SelectItem::UnnamedExpr(_), _) => Some(format!("_col{i}")),
            _ => None,
        })
        .collect()
}

/// `SELECT x, x` has two columns of one name, which DataFusion refuses.
fn tell_apart(select: &mut Select) {
    let mut seen: Vec<String> = Vec::new();
    for (i, item) in select.projection.iter_mut().enumerate() {
        let name = match item {
            SelectItem::UnnamedExpr(e @ (Expr::Identifier(_) | Expr::CompoundIdentifier(_))) => e.to_string(),
            SelectItem::ExprWithAlias { alias, .. } => alias.value.clone(),
            _ => continue,
        };
        if !seen.contains(&name) {
            seen.push(name);
            continue;
        }
        let alias = Ident::with_quote('"', format!("{name} {i}"));
        match item {
            SelectItem::UnnamedExpr(expr) => *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias },
            SelectItem::ExprWithAlias { alias: old, .. } => *old = alias,
            _ => {}
        }
    }
}

struct Rewriter {
    /// The parameters of the lambdas around.
    lambdas: Vec<Vec<String>>,
    has_lambdas: bool,
}

impl VisitorMut for Rewriter {
    type Break = Error;

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<Error> {
        select.from = fold_unnest(std::mem::take(&mut select.from));
        for (i, item) in select.projection.iter_mut().enumerate() {
            if let SelectItem::UnnamedExpr(expr) = item
                && !matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_))
            {
                let alias = Ident::with_quote('"', format!("_col{i}"));
                *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        if let Expr::Lambda(lambda) = expr {
            self.has_lambdas = true;
            self.lambdas.push(parameters(lambda));
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        let rewritten = match expr {
            Expr::Lambda(_) => {
                self.lambdas.pop();
                return ControlFlow::Continue(());
            }
            Expr::CompoundIdentifier(names) => self.field_of_parameter(names),
            Expr::CompoundFieldAccess { root, access_chain } => Ok(field_of_value(root, access_chain)),
            Expr::Cast { kind: CastKind::Cast, expr: value, data_type: DataType::Struct(fields, _), .. } => match value
                .as_ref()
            {
                Expr::Function(row) if is_called(row, "row") => {
                    let values = arguments(row);
                    if values.len() != fields.len() {
                        let (from, to) = (values.len(), fields.len());
                        Err(Error::Validation(format!("Cannot cast a row of {from} fields to one of {to}")))
                    } else {
                        let parts =
                            values.into_iter().zip(fields.iter()).enumerate().flat_map(|(i, (value, field))| {
                                let name =
                                    field.field_name.as_ref().map_or(format!("field{i}"), |n| n.value.to_lowercase());
                                [text(name), cast(value, field.field_type.clone())]
                            });
                        Ok(Some(call("named_struct", parts.collect())))
                    }
                }
                _ => Ok(None),
            },
            Expr::Function(function) => rewrite_function(function),
            _ => Ok(None),
        };
        match rewritten {
            Ok(Some(new)) => {
                *expr = new;
                ControlFlow::Continue(())
            }
            Ok(None) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        }
    }
}

impl Rewriter {
    fn field_of_parameter(&self, names: &[Ident]) -> Result<Option<Expr>> {
        let [parameter, fields @ ..] = names else { return Ok(None) };
        let is_parameter = self.lambdas.iter().flatten().any(|p| *p == parameter.value.to_lowercase());
        if !is_parameter {
            return Ok(None);
        }
        let parameter = Expr::Identifier(parameter.clone());
        Ok(Some(fields.iter().fold(parameter, |value, field| get_field(value, &field.value))))
    }
}

fn parameters(lambda: &LambdaFunction) -> Vec<String> {
    match &lambda.params {
        OneOrManyWithParens::One(one) => vec![one.name.value.to_lowercase()],
        OneOrManyWithParens::Many(many) => many.iter().map(|p| p.name.value.to_lowercase()).collect(),
    }
}

/// `max_by(…).value`, `ts[1].value`: fields in lower case.
fn field_of_value(root: &Expr, chain: &[AccessExpr]) -> Option<Expr> {
    let dots = chain.iter().map(|access| match access {
        AccessExpr::Dot(Expr::Identifier(name)) => Some(name.value.clone()),
        _ => None,
    });
    let fields: Option<Vec<String>> = dots.collect();
    Some(fields?.iter().fold(root.clone(), |value, field| get_field(value, field)))
}

fn get_field(value: Expr, field: &str) -> Expr {
    call("get_field", vec![value, text(field.to_lowercase())])
}

fn rewrite_function(function: &Function) -> Result<Option<Expr>> {
    let [ObjectNamePart::Identifier(name)] = function.name.0.as_slice() else { return Ok(None) };
    let args = arguments(function);
    let wrong = |expected: &str| {
        let start = name.span.start;
        Err(Error::Validation(format!(
            "line {}:{}: Unexpected parameters for function {}. Expected: {expected}",
            start.line,
            start.column,
            name.value.to_lowercase()
        )))
    };
    let aggregate = |name: &str, args: Vec<Expr>| {
        let mut new = function.clone();
        new.name = ObjectName::from(vec![Ident::new(name)]);
        set_arguments(&mut new, args);
        new
    };
    let rewritten = match (name.value.to_lowercase().as_str(), args.as_slice()) {
        ("if", [condition, then]) => case(condition.clone(), then.clone(), None),
        ("if", [condition, then, otherwise]) => case(condition.clone(), then.clone(), Some(otherwise.clone())),
        ("if", _) => return wrong("if(boolean, T[, T])"),
        ("count_if", [condition]) => {
            Expr::Function(aggregate("count", vec![case(condition.clone(), number("1"), None)]))
        }
        ("count_if", _) => return wrong("count_if(boolean)"),
        ("max_by" | "min_by", [x, y]) => {
            let descending = name.value.eq_ignore_ascii_case("max_by");
            Expr::Function(by(aggregate("first_value", vec![x.clone()]), y, descending))
        }
        ("max_by" | "min_by", [x, y, n]) => {
            let descending = name.value.eq_ignore_ascii_case("max_by");
            let all = Expr::Function(by(aggregate("array_agg", vec![x.clone()]), y, descending));
            call("array_slice", vec![all, number("1"), n.clone()])
        }
        ("max_by" | "min_by", _) => return wrong("max_by(V, K), max_by(V, K, bigint)"),
        ("arbitrary" | "any_value", [x]) => {
            let mut new = aggregate("first_value", vec![x.clone()]);
            new.filter = Some(Box::new(and(new.filter, not_null(x))));
            Expr::Function(new)
        }
        ("every", [x]) => Expr::Function(aggregate("bool_and", vec![x.clone()])),
        ("approx_percentile", [x, p]) => {
            let mut new = aggregate("approx_percentile_cont", vec![p.clone()]);
            new.within_group = vec![order(x, None)];
            Expr::Function(new)
        }
        ("approx_percentile", [x, weight, p]) => {
            let mut new = aggregate("approx_percentile_cont_with_weight", vec![weight.clone(), p.clone()]);
            new.within_group = vec![order(x, None)];
            Expr::Function(new)
        }
        ("approx_percentile", _) => return wrong("approx_percentile(double, double)"),
        // DataFusion's concat leaves NULLs out, Presto's is NULL then.
        ("concat", [first, rest @ ..]) if !rest.is_empty() => rest.iter().fold(first.clone(), |left, right| {
            Expr::Nested(Box::new(Expr::BinaryOp {
                left: Box::new(left),
                op: BinaryOperator::StringConcat,
                right: Box::new(right.clone()),
            }))
        }),
        ("approx_distinct", [x, _error]) => Expr::Function(aggregate("approx_distinct", vec![x.clone()])),
        ("contains", [array, x]) => call("array_has", vec![array.clone(), x.clone()]),
        ("element_at", [array, i]) => call("array_element", vec![array.clone(), i.clone()]),
        ("cardinality", [array]) => call("array_length", vec![array.clone()]),
        ("array_join", args @ [_, _] | args @ [_, _, _]) => call("array_to_string", args.to_vec()),
        ("slice", [array, start, length]) => {
            let end = Expr::BinaryOp {
                left: Box::new(Expr::Nested(Box::new(start.clone()))),
                op: BinaryOperator::Plus,
                right: Box::new(Expr::Nested(Box::new(Expr::BinaryOp {
                    left: Box::new(Expr::Nested(Box::new(length.clone()))),
                    op: BinaryOperator::Minus,
                    right: Box::new(number("1")),
                }))),
            };
            call("array_slice", vec![array.clone(), start.clone(), end])
        }
        ("row", args) => call("struct", args.to_vec()),
        _ => return Ok(None),
    };
    Ok(Some(rewritten))
}

fn is_called(function: &Function, name: &str) -> bool {
    // `row` has become `struct` by then.
    let [ObjectNamePart::Identifier(called)] = function.name.0.as_slice() else { return false };
    called.value.eq_ignore_ascii_case(name) || (name == "row" && called.value == "struct")
}

fn arguments(function: &Function) -> Vec<Expr> {
    let FunctionArguments::List(list) = &function.args else { return Vec::new() };
    let args = list.args.iter().map(|arg| match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
        _ => None,
    });
    args.collect::<Option<Vec<_>>>().unwrap_or_default()
}

fn set_arguments(function: &mut Function, args: Vec<Expr>) {
    let args = args.into_iter().map(|e| FunctionArg::Unnamed(FunctionArgExpr::Expr(e))).collect();
    match &mut function.args {
        FunctionArguments::List(list) => list.args = args,
        other => {
            *other = FunctionArguments::List(FunctionArgumentList { duplicate_treatment: None, args, clauses: vec![] });
        }
    }
}

/// The first value in the order of `y`, among the rows that have one.
fn by(mut function: Function, y: &Expr, descending: bool) -> Function {
    use datafusion::sql::sqlparser::ast::FunctionArgumentClause::OrderBy;
    if let FunctionArguments::List(list) = &mut function.args {
        list.clauses = vec![OrderBy(vec![order(y, descending.then_some(false))])];
    }
    function.filter = Some(Box::new(and(function.filter, not_null(y))));
    function
}

fn order(expr: &Expr, asc: Option<bool>) -> OrderByExpr {
    OrderByExpr { expr: expr.clone(), options: OrderByOptions { asc, nulls_first: None }, with_fill: None }
}

fn and(filter: Option<Box<Expr>>, condition: Expr) -> Expr {
    match filter {
        Some(filter) => {
            Expr::BinaryOp { left: Box::new(Expr::Nested(filter)), op: BinaryOperator::And, right: Box::new(condition) }
        }
        None => condition,
    }
}

fn not_null(expr: &Expr) -> Expr {
    Expr::IsNotNull(Box::new(Expr::Nested(Box::new(expr.clone()))))
}

fn case(condition: Expr, then: Expr, otherwise: Option<Expr>) -> Expr {
    Expr::Case {
        case_token: AttachedToken::empty(),
        end_token: AttachedToken::empty(),
        operand: None,
        conditions: vec![CaseWhen { condition, result: then }],
        else_result: otherwise.map(Box::new),
    }
}

fn cast(expr: Expr, data_type: DataType) -> Expr {
    Expr::Cast { kind: CastKind::Cast, expr: Box::new(expr), data_type, array: false, format: None }
}

fn text(value: impl Into<String>) -> Expr {
    Expr::Value(Value::SingleQuotedString(value.into()).into())
}

fn number(value: &str) -> Expr {
    Expr::Value(Value::Number(value.to_owned(), false).into())
}

fn call(name: &str, args: Vec<Expr>) -> Expr {
    let args = args.into_iter().map(|e| FunctionArg::Unnamed(FunctionArgExpr::Expr(e))).collect();
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new(name)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList { duplicate_treatment: None, args, clauses: vec![] }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: vec![],
    })
}

/// Each UNNEST with all that stands before it as one join in parentheses: it refers to those columns.
fn fold_unnest(from: Vec<TableWithJoins>) -> Vec<TableWithJoins> {
    let mut out: Vec<TableWithJoins> = Vec::new();
    for item in from {
        let is_unnest = matches!(item.relation, TableFactor::UNNEST { .. });
        let mut current = match (is_unnest, out.pop()) {
            // `FROM t, UNNEST(t.x)`
            (true, Some(mut before)) => {
                let join_operator = JoinOperator::CrossJoin(JoinConstraint::None);
                before.joins.push(Join { relation: item.relation, global: false, join_operator });
                nested(before)
            }
            (true, None) => nested(TableWithJoins { relation: item.relation, joins: vec![] }),
            (false, before) => {
                out.extend(before);
                TableWithJoins { relation: item.relation, joins: vec![] }
            }
        };
        for join in item.joins {
            let is_unnest = matches!(join.relation, TableFactor::UNNEST { .. });
            current.joins.push(join);
            if is_unnest {
                current = nested(current);
            }
        }
        out.push(current);
    }
    out
}

fn nested(table: TableWithJoins) -> TableWithJoins {
    let relation = TableFactor::NestedJoin { table_with_joins: Box::new(table), alias: None };
    TableWithJoins { relation, joins: vec![] }
}
