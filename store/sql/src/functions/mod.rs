//! Timestream's functions, where DataFusion has none of that name or one that means something else.

mod calendar;
mod correlation;
mod create_time_series;
mod derivative;
mod epoch;
mod format;
mod integral;
mod interpolation;
mod lambda;
mod math;
mod now;
mod reduce;
mod sequence;
mod time_bin;

use std::{
    hash::{Hash, Hasher},
    sync::Arc,
};

use arrow::{array::ArrayRef, datatypes::DataType};
use datafusion::{
    common::{Result, ScalarValue, plan_err},
    logical_expr::{
        AggregateUDF, ColumnarValue, HigherOrderUDF, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
        Volatility,
    },
};

pub(crate) use {
    interpolation::Curve,
    now::{ago, now},
};

/// The scalar functions that do not depend on the query's time.
pub(crate) fn scalar_functions() -> Vec<Arc<ScalarUDF>> {
    let mut functions = vec![time_bin::bin(), sequence::sequence(), correlation::pearson(), correlation::spearman()];
    functions.extend(calendar::functions());
    functions.extend(derivative::functions());
    functions.extend(epoch::functions());
    functions.extend(format::functions());
    functions.extend(integral::functions());
    functions.extend(interpolation::functions());
    functions.extend(math::functions());
    functions
}

/// The functions that take a lambda.
pub(crate) fn higher_order_functions() -> Vec<Arc<HigherOrderUDF>> {
    vec![lambda::filter(), lambda::transform(), reduce::reduce()]
}

/// The aggregates.
pub(crate) fn aggregate_functions() -> Vec<Arc<AggregateUDF>> {
    vec![create_time_series::create_time_series()]
}

type Types = fn(&str, &[DataType]) -> Result<Vec<DataType>>;
type Returns = fn(&[DataType]) -> Result<DataType>;
type Invoke = fn(&ScalarFunctionArgs) -> Result<ArrayRef>;

/// A scalar function of a name, a rule for its arguments' types, its result's type, and what it does with columns.
/// Each column has one value for every row, or one value when all arguments are constants.
#[derive(Debug)]
struct Columnar {
    name: String,
    aliases: Vec<String>,
    signature: Signature,
    types: Types,
    returns: Returns,
    invoke: Invoke,
}

fn columnar(name: &str, types: Types, returns: Returns, invoke: Invoke) -> Arc<ScalarUDF> {
    columnar_with_aliases(name, &[], types, returns, invoke)
}

fn columnar_with_aliases(
    name: &str,
    aliases: &[&str],
    types: Types,
    returns: Returns,
    invoke: Invoke,
) -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::new_from_impl(Columnar {
        name: name.to_owned(),
        aliases: aliases.iter().map(|&a| a.to_owned()).collect(),
        signature: Signature::user_defined(Volatility::Immutable),
        types,
        returns,
        invoke,
    }))
}

/// A function that is asked for every batch, also where its arguments are constants: what it makes of them would be made
/// once and copied for every row, and nobody counts those copies.
fn columnar_per_batch(name: &str, types: Types, returns: Returns, invoke: Invoke) -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::new_from_impl(Columnar {
        name: name.to_owned(),
        aliases: Vec::new(),
        signature: Signature::user_defined(Volatility::Volatile),
        types,
        returns,
        invoke,
    }))
}

// A function's name says which one it is.
impl PartialEq for Columnar {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Columnar {}

impl Hash for Columnar {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for Columnar {
    fn name(&self) -> &str {
        &self.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        (self.types)(&self.name, arg_types)
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        (self.returns)(arg_types)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let constant = args.args.iter().all(|a| matches!(a, ColumnarValue::Scalar(_)));
        let array = (self.invoke)(&args)?;
        if constant && array.len() == 1 {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?));
        }
        Ok(ColumnarValue::Array(array))
    }
}

/// The arguments as columns of one length.
fn arrays(args: &ScalarFunctionArgs) -> Result<Vec<ArrayRef>> {
    ColumnarValue::values_to_arrays(&args.args)
}

/// The error for arguments that a function does not take.
fn unexpected<T>(name: &str, got: &[DataType], expected: &str) -> Result<T> {
    let got: Vec<String> = got.iter().map(crate::column_info::type_name).collect();
    plan_err!("Unexpected parameters ({}) for function {name}. Expected: {expected}", got.join(", "))
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
        || matches!(data_type, DataType::Dictionary(_, value) if is_text(value))
}

/// What is taken for a time: timestamps, dates, and NULL.
fn is_time(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Timestamp(_, _) | DataType::Date32 | DataType::Date64 | DataType::Null)
}

fn is_interval(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Interval(_) | DataType::Duration(_) | DataType::Null)
}

fn is_number(data_type: &DataType) -> bool {
    data_type.is_numeric() || *data_type == DataType::Null
}
