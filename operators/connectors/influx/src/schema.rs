//! How a value of the stream becomes points.

use hurtig_operators::schema::SchemaError;

use crate::point::Point;

/// Makes points of values. A closure `|value: &T| -> Point` is one; implement it where a value makes several points, or
/// can be refused. What it makes of a value must be the same every time: then what is written again after a restore
/// changes nothing.
pub trait PointSchema<T>: Clone + Send + Sync + 'static {
    /// Appends the value's points to `out`: one or more, or none, and the value counts as written. `timestamp` is the
    /// stream's own (event time in milliseconds), which a point without a time gets. What was appended before an `Err`
    /// is not written.
    fn points(&mut self, value: &T, timestamp: i64, out: &mut Vec<Point>) -> Result<(), SchemaError>;
}

impl<T, F> PointSchema<T> for F
where
    F: Fn(&T) -> Point + Clone + Send + Sync + 'static,
{
    fn points(&mut self, value: &T, _timestamp: i64, out: &mut Vec<Point>) -> Result<(), SchemaError> {
        out.push(self(value));
        Ok(())
    }
}
