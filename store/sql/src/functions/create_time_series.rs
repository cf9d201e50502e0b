//! `create_time_series(time, value)`: rows into one series, ordered by time.
//!
//! Rows whose time or value is NULL are left out. A time that comes twice in one series is an error: which of the
//! two values counts would depend on chance.

use std::{cmp::Ordering, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray, ListArray, StructArray, TimestampNanosecondArray, UInt64Array},
    compute::{cast, concat, filter, is_not_null, take},
    datatypes::{DataType, Field, FieldRef, TimestampNanosecondType},
};
use datafusion::{
    common::{Result, ScalarValue, exec_err, plan_err},
    logical_expr::{
        Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility,
        function::{AccumulatorArgs, StateFieldsArgs},
    },
};

use super::{is_text, is_time, unexpected};
use crate::series::{SeriesBuilder, TIMESTAMP, timeseries_type, timeseries_value};

pub(super) fn create_time_series() -> Arc<AggregateUDF> {
    let signature = Signature::user_defined(Volatility::Immutable);
    Arc::new(AggregateUDF::new_from_impl(CreateTimeSeries { signature }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct CreateTimeSeries {
    signature: Signature,
}

impl AggregateUDFImpl for CreateTimeSeries {
    fn name(&self) -> &str {
        "create_time_series"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        match types {
            [time, value] if is_time(time) && timeseries_value(value).is_none() => {
                // Dictionaries and views are how a store keeps texts; a series has texts.
                let value = if is_text(value) { DataType::Utf8 } else { value.clone() };
                Ok(vec![TIMESTAMP, value])
            }
            _ => unexpected(self.name(), types, "create_time_series(timestamp, T)"),
        }
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types {
            [_, value] => Ok(timeseries_type(value.clone())),
            _ => plan_err!("create_time_series takes two arguments"),
        }
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        if args.is_distinct {
            return plan_err!("create_time_series does not take DISTINCT");
        }
        let Some(value) = timeseries_value(args.return_type()) else {
            return exec_err!("create_time_series returns a timeseries");
        };
        Ok(Box::new(Points { value: value.clone(), times: Vec::new(), values: Vec::new() }))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        Ok(vec![Arc::new(Field::new(format!("{}[points]", args.name), args.return_type().clone(), true))])
    }
}

/// The points so far, as they came.
#[derive(Debug)]
struct Points {
    value: DataType,
    times: Vec<i64>,
    values: Vec<ArrayRef>,
}

impl Points {
    fn push(&mut self, times: &ArrayRef, values: &ArrayRef) -> Result<()> {
        let there: BooleanArray = arrow::compute::and(&is_not_null(times)?, &is_not_null(values)?)?;
        if there.true_count() == 0 {
            return Ok(());
        }
        let (times, values) = (filter(times, &there)?, filter(values, &there)?);
        self.times.extend_from_slice(times.as_primitive::<TimestampNanosecondType>().values());
        // What is kept must not hold a whole batch.
        self.values.push(values);
        if self.values.len() >= 64 {
            self.compact()?;
        }
        Ok(())
    }

    fn compact(&mut self) -> Result<()> {
        let parts: Vec<&dyn Array> = self.values.iter().map(|a| a.as_ref()).collect();
        let whole = concat(&parts)?;
        self.values = vec![whole];
        Ok(())
    }

    /// One series, as a column of one row, with the points in `order` or as they came.
    fn series(&mut self, ordered: bool) -> Result<ArrayRef> {
        let mut builder = SeriesBuilder::default();
        if self.times.is_empty() {
            builder.null();
            return builder.finish(arrow::array::new_empty_array(&self.value));
        }
        self.compact()?;
        let Some(values) = self.values.first() else { return exec_err!("points without values") };
        let values = cast(values, &self.value)?;
        if !ordered || self.times.is_sorted_by(|a, b| a < b) {
            builder.times.extend_from_slice(&self.times);
            builder.end();
            return builder.finish(values);
        }
        let mut order: Vec<u64> = (0..self.times.len() as u64).collect();
        order.sort_unstable_by_key(|i| self.times[*i as usize]);
        for pair in order.windows(2) {
            let (a, b) = (self.times[pair[0] as usize], self.times[pair[1] as usize]);
            if a.cmp(&b) == Ordering::Equal {
                let time = jiff::Timestamp::from_nanosecond(i128::from(a)).unwrap_or_default();
                return plan_err!("create_time_series: the time {time} comes twice in one series");
            }
        }
        builder.times.extend(order.iter().map(|i| self.times[*i as usize]));
        builder.end();
        builder.finish(take(&values, &UInt64Array::from(order), None)?)
    }
}

impl Accumulator for Points {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        match values {
            [times, values] => self.push(times, values),
            _ => exec_err!("create_time_series takes two arguments"),
        }
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        ScalarValue::try_from_array(&self.series(true)?, 0)
    }

    fn size(&self) -> usize {
        let values: usize = self.values.iter().map(|a| a.get_array_memory_size()).sum();
        size_of_val(self) + self.times.capacity() * size_of::<i64>() + values
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![ScalarValue::try_from_array(&self.series(false)?, 0)?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let [lists] = states else { return exec_err!("create_time_series has one state") };
        let lists: &ListArray = lists.as_list();
        for row in (0..lists.len()).filter(|row| lists.is_valid(*row)) {
            let points: ArrayRef = lists.value(row);
            let points: &StructArray = points.as_struct();
            let times: &TimestampNanosecondArray = points.column(0).as_primitive();
            self.push(&(Arc::new(times.clone()) as ArrayRef), points.column(1))?;
        }
        Ok(())
    }
}
