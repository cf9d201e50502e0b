//! A result's columns as Timestream's JSON names and types them: `ColumnInfo` and `Type`.

use arrow::datatypes::{DataType, Field, IntervalUnit, Schema};
use serde::{Deserialize, Serialize};

use crate::series::timeseries_value;

/// A column of a result, of an array, of a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ColumnInfo {
    /// Its name; what is in an array or a series has none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub name: Option<String>,
    /// Its type.
    #[serde(rename = "Type")]
    pub data_type: Type,
}

/// A type, as Timestream's JSON has it: an object with one member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Type {
    /// A single value.
    #[serde(rename = "ScalarType")]
    Scalar(ScalarType),
    /// An array.
    #[serde(rename = "ArrayColumnInfo")]
    Array(Box<ColumnInfo>),
    /// A series of points.
    #[serde(rename = "TimeSeriesMeasureValueColumnInfo")]
    TimeSeries(Box<ColumnInfo>),
    /// A row within a row.
    #[serde(rename = "RowColumnInfo")]
    Row(Vec<ColumnInfo>),
}

/// The types of single values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "the names are Timestream's")]
pub enum ScalarType {
    Varchar,
    Boolean,
    Bigint,
    Double,
    Timestamp,
    Date,
    Time,
    IntervalDayToSecond,
    IntervalYearToMonth,
    Unknown,
    Integer,
}

impl ColumnInfo {
    /// A column of a name.
    pub fn named(name: impl Into<String>, data_type: Type) -> Self {
        ColumnInfo { name: Some(name.into()), data_type }
    }

    fn unnamed(data_type: Type) -> Box<Self> {
        Box::new(ColumnInfo { name: None, data_type })
    }
}

impl Type {
    /// The type of an Arrow type's values.
    pub fn of(data_type: &DataType) -> Self {
        if let Some(value) = timeseries_value(data_type) {
            return Type::TimeSeries(ColumnInfo::unnamed(Type::of(value)));
        }
        match data_type {
            DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
                Type::Array(ColumnInfo::unnamed(Type::of(item.data_type())))
            }
            DataType::Struct(fields) => Type::Row(fields.iter().map(|field| column_info(field)).collect()),
            DataType::Dictionary(_, value) => Type::of(value),
            other => Type::Scalar(scalar(other)),
        }
    }
}

fn scalar(data_type: &DataType) -> ScalarType {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => ScalarType::Varchar,
        DataType::Boolean => ScalarType::Boolean,
        DataType::Int64 | DataType::UInt64 | DataType::UInt32 => ScalarType::Bigint,
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::UInt8 | DataType::UInt16 => ScalarType::Integer,
        DataType::Float16 | DataType::Float32 | DataType::Float64 => ScalarType::Double,
        DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..) | DataType::Decimal256(..) => {
            ScalarType::Double
        }
        DataType::Timestamp(_, _) => ScalarType::Timestamp,
        DataType::Date32 | DataType::Date64 => ScalarType::Date,
        DataType::Time32(_) | DataType::Time64(_) => ScalarType::Time,
        DataType::Interval(IntervalUnit::YearMonth) => ScalarType::IntervalYearToMonth,
        DataType::Interval(_) | DataType::Duration(_) => ScalarType::IntervalDayToSecond,
        _ => ScalarType::Unknown,
    }
}

fn column_info(field: &Field) -> ColumnInfo {
    ColumnInfo::named(field.name(), Type::of(field.data_type()))
}

/// The columns of a schema.
pub fn column_infos(schema: &Schema) -> Vec<ColumnInfo> {
    schema.fields().iter().map(|field| column_info(field)).collect()
}

/// A type as errors and DESCRIBE write it: `timeseries(double)`, `array(varchar)`.
pub(crate) fn type_name(data_type: &DataType) -> String {
    fn name(data_type: &Type) -> String {
        match data_type {
            Type::Scalar(ScalarType::IntervalDayToSecond) => "interval day to second".to_owned(),
            Type::Scalar(ScalarType::IntervalYearToMonth) => "interval year to month".to_owned(),
            Type::Scalar(scalar) => format!("{scalar:?}").to_lowercase(),
            Type::Array(item) => format!("array({})", name(&item.data_type)),
            Type::TimeSeries(value) => format!("timeseries({})", name(&value.data_type)),
            Type::Row(fields) => {
                let fields = fields.iter().map(|f| {
                    let prefix = f.name.as_ref().map(|n| format!("{n} ")).unwrap_or_default();
                    prefix + &name(&f.data_type)
                });
                format!("row({})", fields.collect::<Vec<_>>().join(", "))
            }
        }
    }
    name(&Type::of(data_type))
}
