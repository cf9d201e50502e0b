//! `reduce(list, initial, (state, x) -> …, state -> …)`: folds each row's list.
//!
//! A fold is sequential in its list, but all rows fold side by side: the first lambda is evaluated once for every
//! position, on all rows whose list is that long. Rows are ordered by length, the longest first, so that those
//! are always the first ones.

use std::{cmp::Reverse, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, UInt32Array, new_null_array},
    compute::{cast, concat, take, take_arrays},
    datatypes::{DataType, Field, FieldRef},
};
use datafusion::{
    common::{Result, exec_err, plan_err},
    logical_expr::{
        ColumnarValue, HigherOrderFunctionArgs, HigherOrderReturnFieldArgs, HigherOrderSignature, HigherOrderUDF,
        HigherOrderUDFImpl, LambdaParametersProgress, ValueOrLambda, Volatility,
    },
};

use super::lambda::{as_list, item};

pub(super) fn reduce() -> Arc<HigherOrderUDF> {
    let (value, lambda) = (ValueOrLambda::Value(()), ValueOrLambda::Lambda(()));
    let arguments = vec![value.clone(), value, lambda.clone(), lambda];
    Arc::new(HigherOrderUDF::new_from_impl(Reduce {
        signature: HigherOrderSignature::exact(arguments, Volatility::Immutable),
    }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Reduce {
    signature: HigherOrderSignature,
}

const TAKES: &str = "reduce takes an array, an initial state and two lambdas";

impl HigherOrderUDFImpl for Reduce {
    fn name(&self) -> &str {
        "reduce"
    }

    fn signature(&self) -> &HigherOrderSignature {
        &self.signature
    }

    fn coerce_value_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        match types {
            [list, initial] => Ok(vec![as_list(self.name(), list)?, initial.clone()]),
            _ => plan_err!("{TAKES}"),
        }
    }

    fn lambda_parameters(
        &self,
        _step: usize,
        fields: &[ValueOrLambda<FieldRef, Option<FieldRef>>],
    ) -> Result<LambdaParametersProgress> {
        let [
            ValueOrLambda::Value(list),
            ValueOrLambda::Value(initial),
            ValueOrLambda::Lambda(next),
            ValueOrLambda::Lambda(_),
        ] = fields
        else {
            return plan_err!("{TAKES}");
        };
        let item = item(self.name(), list.data_type())?;
        let state = |t: &DataType| Arc::new(Field::new("state", t.clone(), true));
        // `reduce(ts, 0, (s, x) -> s + x.value, …)`: the state is of the type that the lambda makes of it.
        Ok(match next {
            None => LambdaParametersProgress::Partial(vec![Some(vec![state(initial.data_type()), item]), None]),
            Some(next) => LambdaParametersProgress::Complete(vec![
                vec![state(next.data_type()), item],
                vec![state(next.data_type())],
            ]),
        })
    }

    fn coerce_values_for_lambdas(&self, fields: &[ValueOrLambda<DataType, DataType>]) -> Result<Option<Vec<DataType>>> {
        match fields {
            [ValueOrLambda::Value(list), ValueOrLambda::Value(_), ValueOrLambda::Lambda(state), _] => {
                Ok(Some(vec![list.clone(), state.clone()]))
            }
            _ => plan_err!("{TAKES}"),
        }
    }

    fn return_field_from_args(&self, args: HigherOrderReturnFieldArgs) -> Result<FieldRef> {
        match args.arg_fields {
            [_, _, _, ValueOrLambda::Lambda(result)] => Ok(Arc::new(Field::new("", result.data_type().clone(), true))),
            _ => plan_err!("{TAKES}"),
        }
    }

    fn invoke_with_args(&self, args: HigherOrderFunctionArgs) -> Result<ColumnarValue> {
        let [
            ValueOrLambda::Value(list),
            ValueOrLambda::Value(initial),
            ValueOrLambda::Lambda(next),
            ValueOrLambda::Lambda(finish),
        ] = args.args.as_slice()
        else {
            return exec_err!("{TAKES}");
        };
        let rows = args.number_rows;
        let list = list.to_array(rows)?;
        let Some(list) = list.as_list_opt::<i32>() else { return exec_err!("expected a list") };
        let initial = initial.to_array(rows)?;
        let (offsets, values) = (list.value_offsets(), list.values());
        let length = |row: u32| match list.is_null(row as usize) {
            true => 0,
            false => (offsets[row as usize + 1] - offsets[row as usize]) as usize,
        };
        let mut order: Vec<u32> = (0..rows as u32).collect();
        order.sort_by_key(|row| Reverse(length(*row)));

        let mut state = take(&initial, &UInt32Array::from(order.clone()), None)?;
        let mut finished: Vec<ArrayRef> = Vec::new();
        let longest = order.first().map_or(0, |row| length(*row));
        for position in 0..longest {
            let active = order.partition_point(|row| length(*row) > position);
            if active < state.len() {
                finished.push(state.slice(active, state.len() - active));
                state = state.slice(0, active);
            }
            let at: UInt32Array =
                order[..active].iter().map(|r| offsets[*r as usize] as u32 + position as u32).collect();
            let before = || Ok(Arc::clone(&state));
            let element = || Ok(take(values, &at, None)?);
            let rows = UInt32Array::from(order[..active].to_vec());
            let after = next
                .evaluate(&[&before, &element], |captured| Ok(take_arrays(captured, &rows, None)?))?
                .into_array(active)?;
            let same = after.data_type() == initial.data_type();
            state = if same { after } else { cast(&after, initial.data_type())? };
        }
        finished.push(state);
        finished.reverse();
        let parts: Vec<&dyn Array> = finished.iter().map(|a| a.as_ref()).collect();
        let folded = concat(&parts)?;

        // Back into the rows' order; NULL for NULL.
        let mut place = vec![None; rows];
        for (at, row) in order.iter().enumerate() {
            place[*row as usize] = list.is_valid(*row as usize).then_some(at as u32);
        }
        if rows == 0 {
            return Ok(ColumnarValue::Array(new_null_array(args.return_field.data_type(), 0)));
        }
        let folded = take(&folded, &UInt32Array::from(place), None)?;
        let folded = || Ok(Arc::clone(&folded));
        let result = finish.evaluate(&[&folded], |captured| Ok(captured.to_vec()))?.into_array(rows)?;
        Ok(ColumnarValue::Array(nulls_of(list, result)?))
    }
}

/// A constant of the second lambda must not hide that there was no list.
fn nulls_of(list: &dyn Array, result: ArrayRef) -> Result<ArrayRef> {
    if list.null_count() == 0 {
        return Ok(result);
    }
    let rows: UInt32Array = (0..result.len()).map(|row| list.is_valid(row).then_some(row as u32)).collect();
    Ok(take(&result, &rows, None)?)
}
