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
    /// Any of these: in order, and no two meet, so that many filters together stay as small as each of them.
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
                    Domain::Ranges(merged(points))
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
                let (mut left, mut right) = (left.as_slice(), right.as_slice());
                let mut both = Vec::new();
                while let ([one, ..], [other, ..]) = (left, right) {
                    both.extend(one.and(other));
                    match order(&one.high, &other.high, Side::High) {
                        Ordering::Less => left = &left[1..],
                        _ => right = &right[1..],
                    }
                }
                Domain::Ranges(both)
            }
        }
    }

    fn or(self, other: Domain) -> Self {
        match (self, other) {
            (Domain::Ranges(mut left), Domain::Ranges(right)) => {
                left.extend(right);
                Domain::Ranges(merged(left))
            }
            _ => Domain::All,
        }
    }

    /// Whether the column may have this value.
    pub fn contains(&self, value: &ScalarValue) -> bool {
        match self {
            Domain::All => true,
            Domain::Ranges(ranges) => {
                let begun = ranges.partition_point(|range| range.is_above_low(value));
                begun.checked_sub(1).is_some_and(|last| ranges[last].is_below_high(value))
            }
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
        let low = match order(&self.low, &other.low, Side::Low) {
            Ordering::Less => &other.low,
            _ => &self.low,
        };
        let high = match order(&self.high, &other.high, Side::High) {
            Ordering::Greater => &other.high,
            _ => &self.high,
        };
        let range = Range { low: low.clone(), high: high.clone() };
        (!range.is_empty()).then_some(range)
    }

    fn is_empty(&self) -> bool {
        match (&self.low, &self.high) {
            (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
            (Bound::Included(low), Bound::Included(high)) => low.partial_cmp(high) == Some(Ordering::Greater),
            (Bound::Included(low) | Bound::Excluded(low), Bound::Included(high) | Bound::Excluded(high)) => {
                matches!(low.partial_cmp(high), Some(Ordering::Greater | Ordering::Equal))
            }
        }
    }

    fn is_above_low(&self, value: &ScalarValue) -> bool {
        match &self.low {
            Bound::Unbounded => true,
            Bound::Included(low) => is(value, low, &[Ordering::Greater, Ordering::Equal]),
            Bound::Excluded(low) => is(value, low, &[Ordering::Greater]),
        }
    }

    fn is_below_high(&self, value: &ScalarValue) -> bool {
        match &self.high {
            Bound::Unbounded => true,
            Bound::Included(high) => is(value, high, &[Ordering::Less, Ordering::Equal]),
            Bound::Excluded(high) => is(value, high, &[Ordering::Less]),
        }
    }
}

/// Whether a value stands so to a bound. What cannot be compared may be anything.
fn is(value: &ScalarValue, bound: &ScalarValue, orders: &[Ordering]) -> bool {
    value.partial_cmp(bound).is_none_or(|order| orders.contains(&order))
}

#[derive(Clone, Copy, PartialEq)]
enum Side {
    Low,
    High,
}

/// Which of two bounds of the same side comes first.
fn order(one: &Bound<ScalarValue>, other: &Bound<ScalarValue>, side: Side) -> Ordering {
    // Without a bound, a low end is before all values and a high end behind them; one that leaves its value out is just
    // behind it when it is low, and just before it when it is high.
    let (open, excluded) = match side {
        Side::Low => (Ordering::Less, Ordering::Greater),
        Side::High => (Ordering::Greater, Ordering::Less),
    };
    match (one, other) {
        (Bound::Unbounded, Bound::Unbounded) => Ordering::Equal,
        (Bound::Unbounded, _) => open,
        (_, Bound::Unbounded) => open.reverse(),
        (Bound::Included(left) | Bound::Excluded(left), Bound::Included(right) | Bound::Excluded(right)) => {
            let ends = left.partial_cmp(right).unwrap_or(Ordering::Equal);
            ends.then(match (one, other) {
                (Bound::Excluded(_), Bound::Included(_)) => excluded,
                (Bound::Included(_), Bound::Excluded(_)) => excluded.reverse(),
                _ => Ordering::Equal,
            })
        }
    }
}

/// The same values in ranges that are in order and do not meet.
fn merged(mut ranges: Vec<Range>) -> Vec<Range> {
    ranges.retain(|range| !range.is_empty());
    ranges.sort_by(|one, other| order(&one.low, &other.low, Side::Low));
    let mut out: Vec<Range> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match out.last_mut() {
            Some(last) if last.and(&range).is_some() => {
                if order(&last.high, &range.high, Side::High) == Ordering::Less {
                    last.high = range.high;
                }
            }
            _ => out.push(range),
        }
    }
    out
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
        // What has no place in an order (NaN) makes no range.
        Ok(there) if !there.is_null() && there.partial_cmp(&there).is_some() => match there.cast_to(&from) {
            Ok(back) if back == value => Value::Is(there),
            _ => Value::Unknown,
        },
        _ => Value::Unknown,
    }
}
