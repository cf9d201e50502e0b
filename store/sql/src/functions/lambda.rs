//! `filter(list, x -> …)` and `transform(list, x -> …)`, of arrays and of series.
//!
//! The lambda is evaluated once, on all points of all rows together.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray, ListArray},
    buffer::OffsetBuffer,
    compute::{filter as filter_rows, take_arrays},
    datatypes::{DataType, Field, FieldRef},
};
use datafusion::{
    common::{
        Result, exec_err, plan_err,
        utils::{adjust_offsets_for_slice, list_values, list_values_row_number},
    },
    logical_expr::{
        ColumnarValue, HigherOrderFunctionArgs, HigherOrderReturnFieldArgs, HigherOrderSignature, HigherOrderUDF,
        HigherOrderUDFImpl, LambdaParametersProgress, ValueOrLambda, Volatility,
    },
};

pub(super) fn filter() -> Arc<HigherOrderUDF> {
    Arc::new(HigherOrderUDF::new_from_impl(Each::new("filter", Does::Filter)))
}

pub(super) fn transform() -> Arc<HigherOrderUDF> {
    Arc::new(HigherOrderUDF::new_from_impl(Each::new("transform", Does::Transform)))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Does {
    Filter,
    Transform,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Each {
    name: &'static str,
    does: Does,
    signature: HigherOrderSignature,
}

impl Each {
    fn new(name: &'static str, does: Does) -> Self {
        let arguments = vec![ValueOrLambda::Value(()), ValueOrLambda::Lambda(())];
        Each { name, does, signature: HigherOrderSignature::exact(arguments, Volatility::Immutable) }
    }
}

/// The type of a list's items.
pub(super) fn item(name: &str, list: &DataType) -> Result<FieldRef> {
    match list {
        DataType::List(item) => Ok(item.clone()),
        other => plan_err!(
            "Unexpected parameters ({}, function) for function {name}. Expected: {name}(array(T), function(T, …))",
            crate::column_info::type_name(other)
        ),
    }
}

/// Arrays come as plain lists.
pub(super) fn as_list(name: &str, list: &DataType) -> Result<DataType> {
    match list {
        DataType::List(_) => Ok(list.clone()),
        DataType::FixedSizeList(item, _) | DataType::LargeList(item) => Ok(DataType::List(item.clone())),
        DataType::Null => Ok(DataType::new_list(DataType::Null, true)),
        other => item(name, other).map(DataType::List),
    }
}

impl HigherOrderUDFImpl for Each {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &HigherOrderSignature {
        &self.signature
    }

    fn coerce_value_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        match types {
            [list] => Ok(vec![as_list(self.name, list)?]),
            _ => plan_err!("{} takes one array and one lambda", self.name),
        }
    }

    fn lambda_parameters(
        &self,
        _step: usize,
        fields: &[ValueOrLambda<FieldRef, Option<FieldRef>>],
    ) -> Result<LambdaParametersProgress> {
        match fields {
            [ValueOrLambda::Value(list), ValueOrLambda::Lambda(_)] => {
                Ok(LambdaParametersProgress::Complete(vec![vec![item(self.name, list.data_type())?]]))
            }
            _ => plan_err!("{} takes one array and one lambda", self.name),
        }
    }

    fn return_field_from_args(&self, args: HigherOrderReturnFieldArgs) -> Result<FieldRef> {
        let [ValueOrLambda::Value(list), ValueOrLambda::Lambda(result)] = args.arg_fields else {
            return plan_err!("{} takes one array and one lambda", self.name);
        };
        let data_type = match self.does {
            Does::Filter if matches!(result.data_type(), DataType::Boolean | DataType::Null) => {
                list.data_type().clone()
            }
            Does::Filter => return plan_err!("filter takes a lambda that returns boolean"),
            Does::Transform => DataType::List(Arc::new(Field::new_list_field(result.data_type().clone(), true))),
        };
        Ok(Arc::new(Field::new("", data_type, true)))
    }

    fn invoke_with_args(&self, args: HigherOrderFunctionArgs) -> Result<ColumnarValue> {
        let [ValueOrLambda::Value(list), ValueOrLambda::Lambda(lambda)] = args.args.as_slice() else {
            return exec_err!("{} takes one array and one lambda", self.name);
        };
        let array = list.to_array(args.number_rows)?;
        let Some(list) = array.as_list_opt::<i32>() else { return exec_err!("expected a list") };
        let values = list_values(&array)?;
        let value = || Ok(Arc::clone(&values));
        let result = lambda
            .evaluate(&[&value], |captured| Ok(take_arrays(captured, &list_values_row_number(&array)?, None)?))?
            .into_array(values.len())?;
        let offsets = adjust_offsets_for_slice(list);
        let out = match self.does {
            Does::Filter => kept(list, &offsets, &values, &result)?,
            Does::Transform => {
                let item = item(self.name, args.return_field.data_type())?;
                ListArray::try_new(item, offsets, result, list.nulls().cloned())?
            }
        };
        Ok(ColumnarValue::Array(Arc::new(out)))
    }
}

fn kept(list: &ListArray, offsets: &OffsetBuffer<i32>, values: &ArrayRef, keep: &ArrayRef) -> Result<ListArray> {
    let keep: BooleanArray = match keep.as_boolean_opt() {
        Some(keep) => keep.clone(),
        // `x -> NULL` keeps nothing.
        None => BooleanArray::from(vec![false; values.len()]),
    };
    let lengths = offsets.windows(2).map(|w| {
        let (from, to) = (w[0] as usize, w[1] as usize);
        keep.slice(from, to - from).true_count()
    });
    let item = item("filter", list.data_type())?;
    Ok(ListArray::try_new(
        item,
        OffsetBuffer::from_lengths(lengths),
        filter_rows(values, &keep)?,
        list.nulls().cloned(),
    )?)
}
