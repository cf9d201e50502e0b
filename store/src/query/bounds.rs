//! The range of times that predicates leave.

use datafusion::{
    common::ScalarValue,
    logical_expr::{
        Expr, Operator,
        expr::{Between, BinaryExpr},
    },
};

use crate::schema::TIME;

/// From the first to the last nanosecond, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The first.
    pub from: i64,
    /// The last.
    pub to: i64,
}

impl Bounds {
    /// All of time.
    pub const ALL: Bounds = Bounds { from: i64::MIN, to: i64::MAX };

    /// What the conjunction of these leaves. What is no comparison of the time leaves everything.
    pub fn of(filters: &[Expr]) -> Self {
        filters.iter().fold(Bounds::ALL, |bounds, filter| bounds.and(Bounds::of_one(filter)))
    }

    /// What both leave.
    pub fn and(self, other: Bounds) -> Self {
        Bounds { from: self.from.max(other.from), to: self.to.min(other.to) }
    }

    /// Whether nothing is left.
    pub fn is_empty(self) -> bool {
        self.from > self.to
    }

    /// Whether any time of this range is left.
    pub fn overlaps(self, (from, to): (i64, i64)) -> bool {
        from <= self.to && self.from <= to
    }

    /// Those of some ascending times that are left.
    pub fn range(self, times: &[i64]) -> std::ops::Range<usize> {
        let start = times.partition_point(|&t| t < self.from);
        let end = times.partition_point(|&t| t <= self.to);
        start..end.max(start)
    }

    /// Whether this is nothing but a lower bound of the time.
    pub fn is_lower_bound(filter: &Expr) -> bool {
        let bounds = Bounds::of_one(filter);
        bounds.from > i64::MIN
            && bounds.to == i64::MAX
            && matches!(filter, Expr::BinaryExpr(e) if e.op != Operator::And)
    }

    fn of_one(filter: &Expr) -> Self {
        match filter {
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
                Bounds::of_one(left).and(Bounds::of_one(right))
            }
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
                if is_time(left) {
                    nanos(right).map_or(Bounds::ALL, |time| compare(*op, time))
                } else if is_time(right) {
                    let swapped = op.swap();
                    nanos(left).zip(swapped).map_or(Bounds::ALL, |(time, op)| compare(op, time))
                } else {
                    Bounds::ALL
                }
            }
            Expr::Between(Between { expr, negated: false, low, high }) if is_time(expr) => {
                let from = nanos(low).map_or(i64::MIN, |t| t);
                Bounds { from, to: nanos(high).unwrap_or(i64::MAX) }
            }
            _ => Bounds::ALL,
        }
    }
}

fn compare(op: Operator, time: i64) -> Bounds {
    match op {
        Operator::Eq => Bounds { from: time, to: time },
        Operator::Lt => time.checked_sub(1).map_or(Bounds { from: 1, to: 0 }, |to| Bounds { to, ..Bounds::ALL }),
        Operator::LtEq => Bounds { to: time, ..Bounds::ALL },
        Operator::Gt => time.checked_add(1).map_or(Bounds { from: 1, to: 0 }, |from| Bounds { from, ..Bounds::ALL }),
        Operator::GtEq => Bounds { from: time, ..Bounds::ALL },
        _ => Bounds::ALL,
    }
}

fn is_time(expr: &Expr) -> bool {
    matches!(expr, Expr::Column(column) if column.name == TIME)
}

/// A time that is known now.
fn nanos(expr: &Expr) -> Option<i64> {
    let Expr::Literal(value, _) = expr else { return None };
    match value {
        ScalarValue::TimestampNanosecond(Some(t), _) => Some(*t),
        ScalarValue::TimestampMicrosecond(Some(t), _) => t.checked_mul(1_000),
        ScalarValue::TimestampMillisecond(Some(t), _) => t.checked_mul(1_000_000),
        ScalarValue::TimestampSecond(Some(t), _) => t.checked_mul(1_000_000_000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use datafusion::logical_expr::{col, lit};

    use super::*;

    fn at(time: i64) -> Expr {
        lit(ScalarValue::TimestampNanosecond(Some(time), None))
    }

    #[test]
    fn are_what_all_comparisons_leave() {
        let time = || col(TIME);
        let of = |filters: &[Expr]| {
            let Bounds { from, to } = Bounds::of(filters);
            (from, to)
        };
        assert_eq!(of(&[]), (i64::MIN, i64::MAX));
        assert_eq!(of(&[time().gt(at(5)), time().lt_eq(at(9))]), (6, 9));
        assert_eq!(of(&[time().gt_eq(at(5)).and(time().lt(at(9)))]), (5, 8));
        assert_eq!(of(&[time().between(at(5), at(9))]), (5, 9));
        assert_eq!(of(&[at(5).lt(time())]), (6, i64::MAX));
        assert_eq!(of(&[time().eq(lit(ScalarValue::TimestampMillisecond(Some(2), None)))]), (2_000_000, 2_000_000));
        // What leaves either leaves all, as far as is known here.
        assert_eq!(of(&[time().gt(at(5)).or(time().lt(at(1)))]), (i64::MIN, i64::MAX));
        assert_eq!(of(&[time().not_between(at(5), at(9))]), (i64::MIN, i64::MAX));
        assert!(Bounds::of(&[time().gt(at(i64::MAX))]).is_empty());
        assert_eq!(Bounds { from: 2, to: 4 }.range(&[1, 2, 3, 4, 5]), 1..4);
        assert_eq!(Bounds { from: 6, to: 4 }.range(&[1, 2, 3, 4, 5]), 5..5);
        assert!(Bounds::is_lower_bound(&time().gt(at(5))) && !Bounds::is_lower_bound(&time().lt(at(5))));
    }
}
