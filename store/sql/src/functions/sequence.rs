//! `sequence(from, to[, step])`: the times, or the integers, from `from` to `to`, both of them included.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, Int64Array, ListArray, TimestampNanosecondArray},
    buffer::{NullBuffer, OffsetBuffer},
    datatypes::{DataType, Field, Int64Type, IntervalMonthDayNanoType, IntervalUnit, TimestampNanosecondType},
};
use datafusion::{
    common::{Result, exec_err, plan_err},
    logical_expr::{ScalarFunctionArgs, ScalarUDF},
};

use super::{columnar_per_batch, is_interval, is_time, unexpected};
use crate::{interval, series::TIMESTAMP};

/// More entries than this are a mistake: Timestream allows 10,000; a second over a day is 86,400.
const LONGEST: i128 = 1_000_000;
/// Entries of all rows of a batch: 512 MiB. A day by quarter of a minute (5,760) for each of 8,192 series is 47 million.
const IN_A_BATCH: i128 = 64 << 20;

pub(super) fn sequence() -> Arc<ScalarUDF> {
    columnar_per_batch(
        "sequence",
        types,
        |t| Ok(DataType::List(Arc::new(Field::new_list_field(t[0].clone(), true)))),
        invoke,
    )
}

fn types(name: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    let integer = |t: &DataType| t.is_integer() || *t == DataType::Null;
    match types {
        [from, to, step] if is_time(from) && is_time(to) && is_interval(step) => {
            Ok(vec![TIMESTAMP, TIMESTAMP, DataType::Interval(IntervalUnit::MonthDayNano)])
        }
        [from, to] if integer(from) && integer(to) => Ok(vec![DataType::Int64; 2]),
        [from, to, step] if integer(from) && integer(to) && integer(step) => Ok(vec![DataType::Int64; 3]),
        _ => unexpected(
            name,
            types,
            "sequence(timestamp, timestamp, interval day to second), sequence(bigint, bigint[, bigint])",
        ),
    }
}

fn invoke(args: &ScalarFunctionArgs) -> Result<ArrayRef> {
    // A row each, also of constants: a constant list would be copied for every row behind our back.
    let columns: Vec<ArrayRef> = args.args.iter().map(|a| a.to_array(args.number_rows)).collect::<Result<_>>()?;
    let (from, to, step) = match columns.as_slice() {
        [from, to] => (from, to, None),
        [from, to, step] => (from, to, Some(step)),
        _ => return exec_err!("sequence takes two or three arguments"),
    };
    let number = |array: &ArrayRef, row: usize| -> i64 {
        match array.as_primitive_opt::<TimestampNanosecondType>() {
            Some(times) => times.value(row),
            None => array.as_primitive::<Int64Type>().value(row),
        }
    };
    let (mut entries, mut lengths, mut valid) = (Vec::new(), Vec::with_capacity(from.len()), Vec::new());
    for row in 0..from.len() {
        let there = from.is_valid(row) && to.is_valid(row) && step.is_none_or(|s| s.is_valid(row));
        valid.push(there);
        if !there {
            lengths.push(0);
            continue;
        }
        let (from, to) = (number(from, row), number(to, row));
        let step = match step {
            None => {
                if from <= to {
                    1
                } else {
                    -1
                }
            }
            Some(step) => match step.as_primitive_opt::<IntervalMonthDayNanoType>() {
                Some(step) => interval::nanoseconds(step.value(row))?,
                None => step.as_primitive::<Int64Type>().value(row),
            },
        };
        lengths.push(extend(&mut entries, from, to, step)?);
    }
    let values: ArrayRef = match from.data_type() {
        DataType::Timestamp(_, _) => Arc::new(TimestampNanosecondArray::from(entries)),
        _ => Arc::new(Int64Array::from(entries)),
    };
    let item = Arc::new(Field::new_list_field(values.data_type().clone(), true));
    let nulls = Some(NullBuffer::from(valid));
    Ok(Arc::new(ListArray::try_new(item, OffsetBuffer::from_lengths(lengths), values, nulls)?))
}

fn extend(entries: &mut Vec<i64>, from: i64, to: i64, step: i64) -> Result<usize> {
    if step == 0 {
        return plan_err!("sequence: the step must not be zero");
    }
    if (step > 0) != (from <= to) && from != to {
        return plan_err!(
            "sequence stop value should be greater than or equal to start value if step is greater than zero otherwise stop should be less than or equal to start"
        );
    }
    let count = (i128::from(to) - i128::from(from)) / i128::from(step) + 1;
    if count > LONGEST {
        return plan_err!("sequence: {count} entries are more than {LONGEST}");
    }
    if count + entries.len() as i128 > IN_A_BATCH {
        return exec_err!(
            "sequence: over {IN_A_BATCH} entries in one batch of rows; make shorter ones, or of fewer rows"
        );
    }
    entries.extend((0..count as i64).map(|n| from + n * step));
    Ok(count as usize)
}
