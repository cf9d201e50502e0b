//! Which values of one column a filter lets through, as ranges: what is known before anything is enumerated.
//!
//! A domain may be too wide, never too narrow. Whatever it cannot express, a function or a cast that does not keep the
//! order, leaves it [`Domain::All`]; the filter itself is evaluated on the values later.

use std::{cmp::Ordering, ops::Bound};

use datafusion::{
    arrow::datatypes::DataType,
    common::ScalarValue,
    logical_expr::{Between, BinaryExpr, Expr, Operator, expr::InList},
};

/// The values a column may have.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Domain {
    All,
    /// Any of these.
    Ranges(Vec<Range>),
}

/// Values from one to another.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Range {
    pub low: Bound<ScalarValue>,
    pub high: Bound<ScalarValue>,
}

impl Domain {
    /// What all of the filters together leave of a column.
    pub fn of(filters: &[Expr], column: &str, kind: &DataType) -> Self {
        filters.iter().fold(Domain::All, |domain, filter| domain.and(Domain::of_one(filter, column, kind)))
    }

    fn of_one(filter: &Expr, column: &str, kind: &DataType) -> Self {
        let of = |expr: &Expr| Domain::of_one(expr, column, kind);
        let value = |expr: &Expr, cast: Option<&DataType>| literal(expr, cast, kind);
        match filter {
            Expr::Alias(alias) => of(&alias.expr),
            Expr::Literal(ScalarValue::Boolean(Some(true)), _) => Domain::All,
            Expr::Literal(ScalarValue::Boolean(_) | ScalarValue::Null, _) => Domain::none(),
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => of(left).and(of(right)),
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => of(left).or(of(right)),
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
                let found = match (column_of(left, column, kind), column_of(right, column, kind)) {
                    (Some(cast), None) => Some((*op, value(right, cast))),
                    (None, Some(cast)) => op.swap().map(|op| (op, value(left, cast))),
                    _ => None,
                };
                match found {
                    Some((_, Value::Null)) if is_comparison(*op) => Domain::none(),
                    Some((op, Value::Is(value))) => Domain::compared(op, value),
                    _ => Domain::All,
                }
            }
            Expr::Between(Between { expr, negated: false, low, high }) => match column_of(expr, column, kind) {
                Some(cast) => match (value(low, cast), value(high, cast)) {
                    (Value::Is(low), Value::Is(high)) => {
                        Domain::compared(Operator::GtEq, low).and(Domain::compared(Operator::LtEq, high))
                    }
                    _ => Domain::All,
                },
                None => Domain::All,
            },
            Expr::InList(InList { expr, list, negated: false }) => match column_of(expr, column, kind) {
                Some(cast) => {
                    let mut points = Vec::with_capacity(list.len());
                    for item in list {
                        match value(item, cast) {
                            Value::Is(value) => points.push(Range::point(value)),
                            Value::Null => {}
                            Value::Unknown => return Domain::All,
                        }
                    }
                    Domain::Ranges(distinct(points))
                }
                None => Domain::All,
            },
            _ => Domain::All,
        }
    }

    fn none() -> Self {
        Domain::Ranges(Vec::new())
    }

    fn compared(op: Operator, value: ScalarValue) -> Self {
        use Bound::{Excluded, Included, Unbounded};
        let (low, high) = match op {
            Operator::Eq => return Domain::Ranges(vec![Range::point(value)]),
            Operator::NotEq => {
                return Domain::Ranges(vec![
                    Range { low: Unbounded, high: Excluded(value.clone()) },
                    Range { low: Excluded(value), high: Unbounded },
                ]);
            }
            Operator::Lt => (Unbounded, Excluded(value)),
            Operator::LtEq => (Unbounded, Included(value)),
            Operator::Gt => (Excluded(value), Unbounded),
            Operator::GtEq => (Included(value), Unbounded),
            _ => return Domain::All,
        };
        Domain::Ranges(vec![Range { low, high }])
    }

    fn and(self, other: Domain) -> Self {
        match (self, other) {
            (Domain::All, other) | (other, Domain::All) => other,
            (Domain::Ranges(left), Domain::Ranges(right)) => {
                let both = left.iter().flat_map(|one| right.iter().filter_map(|other| one.and(other))).collect();
                Domain::Ranges(distinct(both))
            }
        }
    }

    fn or(self, other: Domain) -> Self {
        match (self, other) {
            (Domain::Ranges(mut left), Domain::Ranges(right)) => {
                left.extend(right);
                Domain::Ranges(distinct(left))
            }
            _ => Domain::All,
        }
    }

    /// Whether the column may have this value.
    pub fn contains(&self, value: &ScalarValue) -> bool {
        match self {
            Domain::All => true,
            Domain::Ranges(ranges) => ranges.iter().any(|range| range.contains(value)),
        }
    }

    /// The values, when there are only single ones.
    pub fn points(&self) -> Option<Vec<&ScalarValue>> {
        match self {
            Domain::All => None,
            Domain::Ranges(ranges) => ranges.iter().map(Range::as_point).collect(),
        }
    }

    /// The ranges; one without bounds when all values are in.
    pub fn ranges(&self) -> Vec<Range> {
        match self {
            Domain::All => vec![Range { low: Bound::Unbounded, high: Bound::Unbounded }],
            Domain::Ranges(ranges) => ranges.clone(),
        }
    }
}

impl Range {
    fn point(value: ScalarValue) -> Self {
        Range { low: Bound::Included(value.clone()), high: Bound::Included(value) }
    }

    fn as_point(&self) -> Option<&ScalarValue> {
        match (&self.low, &self.high) {
            (Bound::Included(low), Bound::Included(high)) if low == high => Some(low),
            _ => None,
        }
    }

    fn and(&self, other: &Range) -> Option<Range> {
        let low = narrower(&self.low, &other.low, Ordering::Greater);
        let high = narrower(&self.high, &other.high, Ordering::Less);
        let range = Range { low, high };
        let is_empty = match (&range.low, &range.high) {
            (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
            (Bound::Included(low), Bound::Included(high)) => low.partial_cmp(high) == Some(Ordering::Greater),
            (Bound::Included(low) | Bound::Excluded(low), Bound::Included(high) | Bound::Excluded(high)) => {
                matches!(low.partial_cmp(high), Some(Ordering::Greater | Ordering::Equal))
            }
        };
        (!is_empty).then_some(range)
    }

    fn contains(&self, value: &ScalarValue) -> bool {
        let is = |bound: &ScalarValue, orders: &[Ordering]| {
            // What cannot be compared may be anything.
            value.partial_cmp(bound).is_none_or(|order| orders.contains(&order))
        };
        let above = match &self.low {
            Bound::Unbounded => true,
            Bound::Included(low) => is(low, &[Ordering::Greater, Ordering::Equal]),
            Bound::Excluded(low) => is(low, &[Ordering::Greater]),
        };
        let below = match &self.high {
            Bound::Unbounded => true,
            Bound::Included(high) => is(high, &[Ordering::Less, Ordering::Equal]),
            Bound::Excluded(high) => is(high, &[Ordering::Less]),
        };
        above && below
    }
}

/// Of two bounds the one that leaves less; `wins` is how its value compares.
fn narrower(one: &Bound<ScalarValue>, other: &Bound<ScalarValue>, wins: Ordering) -> Bound<ScalarValue> {
    let (Some(left), Some(right)) = (value_of(one), value_of(other)) else {
        return if value_of(one).is_some() { one.clone() } else { other.clone() };
    };
    match left.partial_cmp(right) {
        Some(order) if order == wins => one.clone(),
        Some(Ordering::Equal) if matches!(one, Bound::Excluded(_)) => one.clone(),
        _ => other.clone(),
    }
}

fn value_of(bound: &Bound<ScalarValue>) -> Option<&ScalarValue> {
    match bound {
        Bound::Included(value) | Bound::Excluded(value) => Some(value),
        Bound::Unbounded => None,
    }
}

fn distinct(ranges: Vec<Range>) -> Vec<Range> {
    let mut seen = std::collections::HashSet::new();
    ranges.into_iter().filter(|range| range.as_point().is_none_or(|point| seen.insert(point.clone()))).collect()
}

enum Value {
    Is(ScalarValue),
    Null,
    Unknown,
}

fn is_comparison(op: Operator) -> bool {
    matches!(op, Operator::Eq | Operator::NotEq | Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq)
}

/// Whether an expression is the column, and through which cast: only one that keeps order and loses nothing.
fn column_of<'a>(expr: &'a Expr, column: &str, kind: &DataType) -> Option<Option<&'a DataType>> {
    let is_it = |expr: &Expr| matches!(expr, Expr::Column(found) if found.name == column);
    let (inner, to) = match expr {
        Expr::Column(_) => return is_it(expr).then_some(None),
        Expr::Cast(cast) => (&cast.expr, cast.field.data_type()),
        Expr::TryCast(cast) => (&cast.expr, cast.field.data_type()),
        _ => return None,
    };
    let keeps = |from: &DataType, to: &DataType| {
        (from.is_signed_integer() && to.is_signed_integer() && from.primitive_width() <= to.primitive_width())
            || (is_text(from) && is_text(to))
    };
    (is_it(inner) && keeps(kind, to)).then_some(Some(to))
}

fn is_text(kind: &DataType) -> bool {
    matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// A literal as a value of the column, if it is one exactly.
fn literal(expr: &Expr, cast: Option<&DataType>, kind: &DataType) -> Value {
    let value = match expr {
        Expr::Literal(value, _) => value.clone(),
        // DataFusion casts literals; what it has not folded yet is folded here.
        Expr::Cast(inner) => match (&*inner.expr, inner.field.data_type()) {
            (Expr::Literal(value, _), to) => match value.cast_to(to) {
                Ok(value) => value,
                Err(_) => return Value::Unknown,
            },
            _ => return Value::Unknown,
        },
        _ => return Value::Unknown,
    };
    if value.is_null() {
        return Value::Null;
    }
    let from = value.data_type();
    // A text compared with a number is compared as a number: not the order of this column.
    if !is_text(&from) && is_text(kind) {
        return Value::Unknown;
    }
    if cast.is_some_and(|cast| *cast != from && !is_text(cast)) {
        return Value::Unknown;
    }
    match value.cast_to(kind) {
        Ok(there) if !there.is_null() => match there.cast_to(&from) {
            Ok(back) if back == value => Value::Is(there),
            _ => Value::Unknown,
        },
        _ => Value::Unknown,
    }
}
