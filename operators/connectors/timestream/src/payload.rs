//! How a value of the stream becomes records of Timestream.

use hurtig_operators::schema::SchemaError;

use crate::record::TimestreamRecord;

/// Makes records of values. A closure `|value: &T| -> TimestreamRecord` is one; implement it where a value makes
/// several records, or can be refused.
///
/// ```
/// use hurtig_operators::schema::SchemaError;
/// use hurtig_timestream::{TimestreamPayload, TimestreamRecord};
///
/// /// Every measure its own record, as the single-measure model has it.
/// #[derive(Clone)]
/// struct Singles;
///
/// impl TimestreamPayload<(String, i64, Option<f64>, f64)> for Singles {
///     fn records(
///         &mut self,
///         (meter, time, kwh, voltage): &(String, i64, Option<f64>, f64),
///         _timestamp: i64,
///         out: &mut Vec<TimestreamRecord>,
///     ) -> Result<(), SchemaError> {
///         let kwh = kwh.ok_or("it has no kwh")?;
///         out.push(TimestreamRecord::single("kwh", kwh, *time).dimension("meter_id", meter));
///         out.push(TimestreamRecord::single("voltage", *voltage, *time).dimension("meter_id", meter));
///         Ok(())
///     }
/// }
/// ```
///
/// What it makes of a value must be the same every time, version included: then what is written again after a restore
/// changes nothing.
pub trait TimestreamPayload<T>: Clone + Send + Sync + 'static {
    /// Appends the value's records to `out`: one or more, or none, and the value counts as written. `timestamp` is the
    /// stream's own (event time in milliseconds). What was appended before an `Err` is not written.
    fn records(&mut self, value: &T, timestamp: i64, out: &mut Vec<TimestreamRecord>) -> Result<(), SchemaError>;
}

impl<T, F> TimestreamPayload<T> for F
where
    F: Fn(&T) -> TimestreamRecord + Clone + Send + Sync + 'static,
{
    fn records(&mut self, value: &T, _timestamp: i64, out: &mut Vec<TimestreamRecord>) -> Result<(), SchemaError> {
        out.push(self(value));
        Ok(())
    }
}
