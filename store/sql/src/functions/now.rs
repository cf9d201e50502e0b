//! `now()` and `ago(2h)`: constants, once the query's time is known. One query has one now.

use std::sync::Arc;

use arrow::datatypes::{DataType, IntervalUnit};
use datafusion::{
    common::{Result, ScalarValue, exec_err, plan_err},
    logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility},
};

use super::{is_interval, unexpected};
use crate::{interval, series::TIMESTAMP};

/// `now()` at a time, in nanoseconds since the epoch.
pub(crate) fn now(nanoseconds: i64) -> Arc<ScalarUDF> {
    let aliases = vec!["current_timestamp".to_owned()];
    Arc::new(ScalarUDF::new_from_impl(Now {
        nanoseconds,
        aliases,
        signature: Signature::exact(vec![], Volatility::Immutable),
    }))
}

/// `ago(interval)` at a time, in nanoseconds since the epoch.
pub(crate) fn ago(nanoseconds: i64) -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::new_from_impl(Ago { nanoseconds, signature: Signature::user_defined(Volatility::Immutable) }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Now {
    nanoseconds: i64,
    aliases: Vec<String>,
    signature: Signature,
}

impl ScalarUDFImpl for Now {
    fn name(&self) -> &str {
        "now"
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(TIMESTAMP)
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Ok(ColumnarValue::Scalar(ScalarValue::TimestampNanosecond(Some(self.nanoseconds), None)))
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Ago {
    nanoseconds: i64,
    signature: Signature,
}

impl ScalarUDFImpl for Ago {
    fn name(&self) -> &str {
        "ago"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        match types {
            [t] if is_interval(t) => Ok(vec![DataType::Interval(IntervalUnit::MonthDayNano)]),
            _ => unexpected(self.name(), types, "ago(interval day to second)"),
        }
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(TIMESTAMP)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match args.args.as_slice() {
            [ColumnarValue::Scalar(ScalarValue::IntervalMonthDayNano(back))] => {
                let time = match back {
                    Some(back) => match self.nanoseconds.checked_sub(interval::nanoseconds(*back)?) {
                        Some(time) => Some(time),
                        None => return plan_err!("ago: the interval is too long"),
                    },
                    None => None,
                };
                Ok(ColumnarValue::Scalar(ScalarValue::TimestampNanosecond(time, None)))
            }
            _ => exec_err!("ago takes a constant interval"),
        }
    }
}
