//! A column's type as the DDL writes it, and what it is in Arrow.

use std::{fmt, sync::Arc};

use arrow::datatypes::{DataType, Field, Fields, TimeUnit};

/// A type of Hive's.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HiveType {
    /// `boolean`
    Boolean,
    /// `tinyint`
    TinyInt,
    /// `smallint`
    SmallInt,
    /// `int`, `integer`
    Int,
    /// `bigint`
    BigInt,
    /// `float`, `real`
    Float,
    /// `double`
    Double,
    /// `decimal(precision, scale)`; alone it is `decimal(10, 0)`.
    Decimal(u8, i8),
    /// `string`
    String,
    /// `varchar(n)`. The length is kept, values are not cut to it.
    Varchar(u32),
    /// `char(n)`. As `varchar`: values are not padded.
    Char(u32),
    /// `date`
    Date,
    /// `timestamp`, in microseconds and without a zone.
    Timestamp,
    /// `binary`
    Binary,
    /// `array<T>`
    Array(Box<HiveType>),
    /// `map<K, V>`
    Map(Box<HiveType>, Box<HiveType>),
    /// `struct<name: T, …>`
    Struct(Vec<(String, HiveType)>),
}

impl HiveType {
    /// The same in Arrow.
    pub fn to_arrow(&self) -> DataType {
        match self {
            HiveType::Boolean => DataType::Boolean,
            HiveType::TinyInt => DataType::Int8,
            HiveType::SmallInt => DataType::Int16,
            HiveType::Int => DataType::Int32,
            HiveType::BigInt => DataType::Int64,
            HiveType::Float => DataType::Float32,
            HiveType::Double => DataType::Float64,
            HiveType::Decimal(precision, scale) => DataType::Decimal128(*precision, *scale),
            HiveType::String | HiveType::Varchar(_) | HiveType::Char(_) => DataType::Utf8,
            HiveType::Date => DataType::Date32,
            HiveType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            HiveType::Binary => DataType::Binary,
            HiveType::Array(item) => DataType::List(item_field(item)),
            HiveType::Map(key, value) => DataType::Map(entries_field(key, value), false),
            HiveType::Struct(fields) => DataType::Struct(struct_fields(fields)),
        }
    }

    /// Whether it can be a partition's.
    pub fn is_primitive(&self) -> bool {
        !matches!(self, HiveType::Array(_) | HiveType::Map(..) | HiveType::Struct(_))
    }

    /// Whether it is text.
    pub fn is_text(&self) -> bool {
        matches!(self, HiveType::String | HiveType::Varchar(_) | HiveType::Char(_))
    }

    /// Whether it is a whole number.
    pub fn is_integer(&self) -> bool {
        matches!(self, HiveType::TinyInt | HiveType::SmallInt | HiveType::Int | HiveType::BigInt)
    }
}

/// A list's items.
pub(crate) fn item_field(item: &HiveType) -> Arc<Field> {
    Arc::new(Field::new("item", item.to_arrow(), true))
}

/// A map's keys and values.
pub(crate) fn entry_fields(key: &HiveType, value: &HiveType) -> Fields {
    vec![Field::new("key", key.to_arrow(), false), Field::new("value", value.to_arrow(), true)].into()
}

/// A map's entries.
pub(crate) fn entries_field(key: &HiveType, value: &HiveType) -> Arc<Field> {
    Arc::new(Field::new("entries", DataType::Struct(entry_fields(key, value)), false))
}

/// A struct's fields.
pub(crate) fn struct_fields(fields: &[(String, HiveType)]) -> Fields {
    fields.iter().map(|(name, kind)| Field::new(name, kind.to_arrow(), true)).collect()
}

impl fmt::Display for HiveType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HiveType::Boolean => f.write_str("boolean"),
            HiveType::TinyInt => f.write_str("tinyint"),
            HiveType::SmallInt => f.write_str("smallint"),
            HiveType::Int => f.write_str("int"),
            HiveType::BigInt => f.write_str("bigint"),
            HiveType::Float => f.write_str("float"),
            HiveType::Double => f.write_str("double"),
            HiveType::Decimal(precision, scale) => write!(f, "decimal({precision},{scale})"),
            HiveType::String => f.write_str("string"),
            HiveType::Varchar(length) => write!(f, "varchar({length})"),
            HiveType::Char(length) => write!(f, "char({length})"),
            HiveType::Date => f.write_str("date"),
            HiveType::Timestamp => f.write_str("timestamp"),
            HiveType::Binary => f.write_str("binary"),
            HiveType::Array(item) => write!(f, "array<{item}>"),
            HiveType::Map(key, value) => write!(f, "map<{key},{value}>"),
            HiveType::Struct(fields) => {
                f.write_str("struct<")?;
                for (at, (name, kind)) in fields.iter().enumerate() {
                    let comma = if at > 0 { "," } else { "" };
                    write!(f, "{comma}{}:{kind}", crate::ddl::struct_name(name))?;
                }
                f.write_str(">")
            }
        }
    }
}
