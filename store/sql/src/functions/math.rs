//! Numbers: what DataFusion has in a feature of its own, with Presto's rules.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array},
    datatypes::{DataType, Float64Type, Int64Type},
};
use datafusion::{
    common::{Result, exec_err, plan_datafusion_err, plan_err},
    logical_expr::{ScalarFunctionArgs, ScalarUDF},
};

use super::{arrays, columnar, columnar_with_aliases, is_number, unexpected};

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    let double = |_: &[DataType]| Ok(DataType::Float64);
    let boolean = |_: &[DataType]| Ok(DataType::Boolean);
    vec![
        columnar("abs", one_number, same, |a| integer_or_double(a, i64::checked_abs, f64::abs)),
        columnar("sign", one_number, same, |a| integer_or_double(a, |n| Some(n.signum()), sign)),
        columnar_with_aliases("ceil", &["ceiling"], one_number, same, |a| integer_or_double(a, Some, f64::ceil)),
        columnar("floor", one_number, same, |a| integer_or_double(a, Some, f64::floor)),
        columnar("truncate", one_number, same, |a| integer_or_double(a, Some, f64::trunc)),
        columnar("round", number_and_digits, same, round),
        columnar("mod", two_numbers, same, modulus),
        columnar("sqrt", one_double, double, |a| one(a, f64::sqrt)),
        columnar("cbrt", one_double, double, |a| one(a, f64::cbrt)),
        columnar("exp", one_double, double, |a| one(a, f64::exp)),
        columnar("ln", one_double, double, |a| one(a, f64::ln)),
        columnar("log2", one_double, double, |a| one(a, f64::log2)),
        columnar("log10", one_double, double, |a| one(a, f64::log10)),
        columnar("log", two_doubles, double, |a| two(a, |base, x| x.ln() / base.ln())),
        columnar_with_aliases("power", &["pow"], two_doubles, double, |a| two(a, f64::powf)),
        columnar("sin", one_double, double, |a| one(a, f64::sin)),
        columnar("cos", one_double, double, |a| one(a, f64::cos)),
        columnar("tan", one_double, double, |a| one(a, f64::tan)),
        columnar("asin", one_double, double, |a| one(a, f64::asin)),
        columnar("acos", one_double, double, |a| one(a, f64::acos)),
        columnar("atan", one_double, double, |a| one(a, f64::atan)),
        columnar("atan2", two_doubles, double, |a| two(a, f64::atan2)),
        columnar("degrees", one_double, double, |a| one(a, f64::to_degrees)),
        columnar("radians", one_double, double, |a| one(a, f64::to_radians)),
        columnar("is_nan", one_double, boolean, |a| test(a, f64::is_nan)),
        columnar("is_finite", one_double, boolean, |a| test(a, f64::is_finite)),
        columnar("is_infinite", one_double, boolean, |a| test(a, f64::is_infinite)),
        columnar("pi", nothing, double, |_| Ok(Arc::new(Float64Array::from(vec![std::f64::consts::PI])))),
        columnar("e", nothing, double, |_| Ok(Arc::new(Float64Array::from(vec![std::f64::consts::E])))),
        columnar("nan", nothing, double, |_| Ok(Arc::new(Float64Array::from(vec![f64::NAN])))),
        columnar("infinity", nothing, double, |_| Ok(Arc::new(Float64Array::from(vec![f64::INFINITY])))),
    ]
}

fn same(types: &[DataType]) -> Result<DataType> {
    Ok(types[0].clone())
}

fn wide(data_type: &DataType) -> DataType {
    if data_type.is_integer() { DataType::Int64 } else { DataType::Float64 }
}

fn nothing(name: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    if types.is_empty() { Ok(vec![]) } else { unexpected(name, types, &format!("{name}()")) }
}

fn one_number(name: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    match types {
        [t] if is_number(t) => Ok(vec![wide(t)]),
        _ => unexpected(name, types, &format!("{name}(bigint), {name}(double)")),
    }
}

fn one_double(name: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    match types {
        [t] if is_number(t) => Ok(vec![DataType::Float64]),
        _ => unexpected(name, types, &format!("{name}(double)")),
    }
}

fn two_doubles(name: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    match types {
        [a, b] if is_number(a) && is_number(b) => Ok(vec![DataType::Float64, DataType::Float64]),
        _ => unexpected(name, types, &format!("{name}(double, double)")),
    }
}

fn two_numbers(name: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    match types {
        [a, b] if a.is_integer() && b.is_integer() => Ok(vec![DataType::Int64, DataType::Int64]),
        [a, b] if is_number(a) && is_number(b) => Ok(vec![DataType::Float64, DataType::Float64]),
        _ => unexpected(name, types, &format!("{name}(bigint, bigint), {name}(double, double)")),
    }
}

fn number_and_digits(name: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    match types {
        [t] if is_number(t) => Ok(vec![wide(t)]),
        [t, digits] if is_number(t) && (digits.is_integer() || *digits == DataType::Null) => {
            Ok(vec![wide(t), DataType::Int64])
        }
        _ => unexpected(name, types, "round(double), round(double, bigint), round(bigint)"),
    }
}

fn one(args: &ScalarFunctionArgs, f: fn(f64) -> f64) -> Result<ArrayRef> {
    let columns = arrays(args)?;
    let [x] = columns.as_slice() else { return exec_err!("one argument expected") };
    let out: Float64Array = x.as_primitive::<Float64Type>().unary(f);
    Ok(Arc::new(out))
}

fn two(args: &ScalarFunctionArgs, f: fn(f64, f64) -> f64) -> Result<ArrayRef> {
    let columns = arrays(args)?;
    let [x, y] = columns.as_slice() else { return exec_err!("two arguments expected") };
    let (x, y) = (x.as_primitive::<Float64Type>(), y.as_primitive::<Float64Type>());
    let out: Float64Array = arrow::compute::binary(x, y, f)?;
    Ok(Arc::new(out))
}

fn test(args: &ScalarFunctionArgs, f: fn(f64) -> bool) -> Result<ArrayRef> {
    let columns = arrays(args)?;
    let [x] = columns.as_slice() else { return exec_err!("one argument expected") };
    let out: BooleanArray = x.as_primitive::<Float64Type>().iter().map(|x| x.map(f)).collect();
    Ok(Arc::new(out))
}

fn integer_or_double(
    args: &ScalarFunctionArgs,
    integer: fn(i64) -> Option<i64>,
    double: fn(f64) -> f64,
) -> Result<ArrayRef> {
    let columns = arrays(args)?;
    let [x] = columns.as_slice() else { return exec_err!("one argument expected") };
    if let Some(x) = x.as_primitive_opt::<Int64Type>() {
        let out: Int64Array =
            x.try_unary(|n| integer(n).ok_or_else(|| plan_datafusion_err!("Value out of range: {n}")))?;
        return Ok(Arc::new(out));
    }
    let out: Float64Array = x.as_primitive::<Float64Type>().unary(double);
    Ok(Arc::new(out))
}

/// Rust's signum of 0 is 1.
fn sign(x: f64) -> f64 {
    if x == 0.0 { 0.0 } else { x.signum() }
}

fn modulus(args: &ScalarFunctionArgs) -> Result<ArrayRef> {
    let columns = arrays(args)?;
    let [x, y] = columns.as_slice() else { return exec_err!("two arguments expected") };
    if let (Some(x), Some(y)) = (x.as_primitive_opt::<Int64Type>(), y.as_primitive_opt::<Int64Type>()) {
        let out = x
            .iter()
            .zip(y.iter())
            .map(|(x, y)| match x.zip(y) {
                Some((_, 0)) => plan_err!("Division by zero"),
                Some((x, y)) => Ok(Some(x.wrapping_rem(y))),
                None => Ok(None),
            })
            .collect::<Result<Int64Array>>()?;
        return Ok(Arc::new(out));
    }
    two(args, |x, y| x % y)
}

fn round(args: &ScalarFunctionArgs) -> Result<ArrayRef> {
    let columns = arrays(args)?;
    let (x, digits) = match columns.as_slice() {
        [x] => (x, None),
        [x, digits] => (x, Some(digits.as_primitive::<Int64Type>())),
        _ => return exec_err!("one or two arguments expected"),
    };
    if let Some(x) = x.as_primitive_opt::<Int64Type>() {
        let out: Int64Array = match digits {
            None => x.clone(),
            Some(digits) => x
                .iter()
                .zip(digits.iter())
                .map(|(x, digits)| x.zip(digits).map(|(x, digits)| round_integer(x, digits)))
                .collect(),
        };
        return Ok(Arc::new(out));
    }
    let x = x.as_primitive::<Float64Type>();
    let out: Float64Array = match digits {
        None => x.unary(|x| round_double(x, 0)),
        Some(digits) => arrow::compute::binary(x, digits, round_double)?,
    };
    Ok(Arc::new(out))
}

/// As Presto: half away from zero, by multiplying; what is too large for that has no such digits.
fn round_double(x: f64, digits: i64) -> f64 {
    let Ok(digits) = i32::try_from(digits) else { return x };
    let factor = 10f64.powi(digits);
    let scaled = x * factor;
    if !scaled.is_finite() || factor == 0.0 { x } else { scaled.round() / factor }
}

fn round_integer(x: i64, digits: i64) -> i64 {
    if digits >= 0 {
        return x;
    }
    let Some(factor) = u32::try_from(-digits).ok().and_then(|d| 10i128.checked_pow(d)) else { return 0 };
    let (x, half) = (i128::from(x), factor / 2);
    let rounded = (x + x.signum() * half) / factor * factor;
    i64::try_from(rounded).unwrap_or(x as i64)
}
