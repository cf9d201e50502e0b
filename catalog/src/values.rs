//! A column as it grows, value by value, from text or JSON.

use std::{collections::HashMap, sync::Arc};

use arrow::{
    array::{
        ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, Float32Builder, Float64Builder,
        Int8Builder, Int16Builder, Int32Builder, Int64Builder, ListArray, MapArray, StringBuilder, StructArray,
        TimestampMicrosecondBuilder,
    },
    buffer::{NullBuffer, OffsetBuffer, ScalarBuffer},
    compute::kernels::cast_utils::parse_decimal,
    datatypes::Decimal128Type,
    error::ArrowError,
};
use jiff::civil::{Date, DateTime};

use crate::hive_type::{HiveType, entries_field, entry_fields, item_field, struct_fields};

/// Why a value is not one of the column's type.
pub(crate) type NotOfType = String;

/// A column that grows.
#[derive(Debug)]
pub(crate) enum Values {
    Boolean(BooleanBuilder),
    TinyInt(Int8Builder),
    SmallInt(Int16Builder),
    Int(Int32Builder),
    BigInt(Int64Builder),
    Float(Float32Builder),
    Double(Float64Builder),
    Decimal(Decimal128Builder, u8, i8),
    Text(StringBuilder),
    Binary(BinaryBuilder),
    Date(Date32Builder),
    Timestamp(TimestampMicrosecondBuilder),
    List(Box<ListValues>),
    Map(Box<MapValues>),
    Struct(Box<StructValues>),
}

#[derive(Debug)]
pub(crate) struct ListValues {
    kind: HiveType,
    pub items: Values,
    rows: Rows,
}

#[derive(Debug)]
pub(crate) struct MapValues {
    kinds: (HiveType, HiveType),
    pub keys: Values,
    pub values: Values,
    rows: Rows,
}

#[derive(Debug)]
pub(crate) struct StructValues {
    fields: Vec<(String, HiveType)>,
    pub columns: Vec<Values>,
    /// The fields' places by their names.
    pub places: HashMap<String, usize>,
    valid: Vec<bool>,
}

/// Where each row's items end, and which rows there are.
#[derive(Debug)]
struct Rows {
    ends: Vec<i32>,
    valid: Vec<bool>,
}

impl Rows {
    fn new() -> Self {
        Rows { ends: vec![0], valid: Vec::new() }
    }

    fn end(&mut self, items: usize, valid: bool) {
        self.ends.push(i32::try_from(items).unwrap_or(i32::MAX));
        self.valid.push(valid);
    }

    fn finish(&mut self) -> (OffsetBuffer<i32>, Option<NullBuffer>) {
        let ends = std::mem::replace(&mut self.ends, vec![0]);
        (OffsetBuffer::new(ScalarBuffer::from(ends)), nulls(&mut self.valid))
    }
}

fn nulls(valid: &mut Vec<bool>) -> Option<NullBuffer> {
    let valid = NullBuffer::from(std::mem::take(valid));
    (valid.null_count() > 0).then_some(valid)
}

impl Values {
    /// An empty column.
    pub fn of(kind: &HiveType) -> Self {
        match kind {
            HiveType::Boolean => Values::Boolean(BooleanBuilder::new()),
            HiveType::TinyInt => Values::TinyInt(Int8Builder::new()),
            HiveType::SmallInt => Values::SmallInt(Int16Builder::new()),
            HiveType::Int => Values::Int(Int32Builder::new()),
            HiveType::BigInt => Values::BigInt(Int64Builder::new()),
            HiveType::Float => Values::Float(Float32Builder::new()),
            HiveType::Double => Values::Double(Float64Builder::new()),
            HiveType::Decimal(precision, scale) => {
                Values::Decimal(Decimal128Builder::new().with_data_type(kind.to_arrow()), *precision, *scale)
            }
            HiveType::String | HiveType::Varchar(_) | HiveType::Char(_) => Values::Text(StringBuilder::new()),
            HiveType::Binary => Values::Binary(BinaryBuilder::new()),
            HiveType::Date => Values::Date(Date32Builder::new()),
            HiveType::Timestamp => Values::Timestamp(TimestampMicrosecondBuilder::new()),
            HiveType::Array(item) => Values::List(Box::new(ListValues {
                kind: (**item).clone(),
                items: Values::of(item),
                rows: Rows::new(),
            })),
            HiveType::Map(key, value) => Values::Map(Box::new(MapValues {
                kinds: ((**key).clone(), (**value).clone()),
                keys: Values::of(key),
                values: Values::of(value),
                rows: Rows::new(),
            })),
            HiveType::Struct(fields) => Values::Struct(Box::new(StructValues {
                columns: fields.iter().map(|(_, kind)| Values::of(kind)).collect(),
                places: fields.iter().enumerate().map(|(at, (name, _))| (name.clone(), at)).collect(),
                fields: fields.clone(),
                valid: Vec::new(),
            })),
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        use arrow::array::ArrayBuilder;
        match self {
            Values::Boolean(b) => b.len(),
            Values::TinyInt(b) => b.len(),
            Values::SmallInt(b) => b.len(),
            Values::Int(b) => b.len(),
            Values::BigInt(b) => b.len(),
            Values::Float(b) => b.len(),
            Values::Double(b) => b.len(),
            Values::Decimal(b, ..) => b.len(),
            Values::Text(b) => b.len(),
            Values::Binary(b) => b.len(),
            Values::Date(b) => b.len(),
            Values::Timestamp(b) => b.len(),
            Values::List(list) => list.rows.valid.len(),
            Values::Map(map) => map.rows.valid.len(),
            Values::Struct(columns) => columns.valid.len(),
        }
    }

    /// Appends NULL.
    pub fn push_null(&mut self) {
        match self {
            Values::Boolean(b) => b.append_null(),
            Values::TinyInt(b) => b.append_null(),
            Values::SmallInt(b) => b.append_null(),
            Values::Int(b) => b.append_null(),
            Values::BigInt(b) => b.append_null(),
            Values::Float(b) => b.append_null(),
            Values::Double(b) => b.append_null(),
            Values::Decimal(b, ..) => b.append_null(),
            Values::Text(b) => b.append_null(),
            Values::Binary(b) => b.append_null(),
            Values::Date(b) => b.append_null(),
            Values::Timestamp(b) => b.append_null(),
            Values::List(list) => list.end(false),
            Values::Map(map) => map.end(false),
            Values::Struct(columns) => {
                columns.columns.iter_mut().for_each(Values::push_null);
                columns.end(false);
            }
        }
    }

    /// Appends what a text says. Nothing is appended when it is not of the type.
    pub fn push_text(&mut self, text: &str) -> Result<(), NotOfType> {
        let plain = text.trim();
        match self {
            Values::Boolean(b) => match plain {
                _ if plain.eq_ignore_ascii_case("true") => b.append_value(true),
                _ if plain.eq_ignore_ascii_case("false") => b.append_value(false),
                _ => return Err(format!("'{text}' is no boolean")),
            },
            Values::TinyInt(b) => b.append_value(number(text, "tinyint")?),
            Values::SmallInt(b) => b.append_value(number(text, "smallint")?),
            Values::Int(b) => b.append_value(number(text, "int")?),
            Values::BigInt(b) => b.append_value(number(text, "bigint")?),
            Values::Float(b) => b.append_value(number(text, "float")?),
            Values::Double(b) => b.append_value(number(text, "double")?),
            Values::Decimal(b, precision, scale) => {
                let value = decimal(plain, *precision, *scale);
                b.append_value(value.ok_or_else(|| format!("'{text}' is no decimal({precision},{scale})"))?);
            }
            Values::Text(b) => b.append_value(text),
            Values::Binary(b) => b.append_value(text.as_bytes()),
            Values::Date(b) => {
                let date: Date = plain.parse().map_err(|_| format!("'{text}' is no date: yyyy-MM-dd is"))?;
                b.append_value(days(date));
            }
            Values::Timestamp(b) => {
                let micros = timestamp(plain);
                b.append_value(micros.ok_or_else(|| format!("'{text}' is no timestamp: yyyy-MM-dd HH:mm:ss.SSS is"))?);
            }
            Values::List(_) => return Err(format!("'{text}' is no array")),
            Values::Map(_) => return Err(format!("'{text}' is no map")),
            Values::Struct(_) => return Err(format!("'{text}' is no struct")),
        }
        Ok(())
    }

    /// The column, and an empty one again.
    pub fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        Ok(match self {
            Values::Boolean(b) => Arc::new(b.finish()),
            Values::TinyInt(b) => Arc::new(b.finish()),
            Values::SmallInt(b) => Arc::new(b.finish()),
            Values::Int(b) => Arc::new(b.finish()),
            Values::BigInt(b) => Arc::new(b.finish()),
            Values::Float(b) => Arc::new(b.finish()),
            Values::Double(b) => Arc::new(b.finish()),
            Values::Decimal(b, ..) => Arc::new(b.finish()),
            Values::Text(b) => Arc::new(b.finish()),
            Values::Binary(b) => Arc::new(b.finish()),
            Values::Date(b) => Arc::new(b.finish()),
            Values::Timestamp(b) => Arc::new(b.finish()),
            Values::List(list) => {
                let (ends, nulls) = list.rows.finish();
                Arc::new(ListArray::try_new(item_field(&list.kind), ends, list.items.finish()?, nulls)?)
            }
            Values::Map(map) => {
                let (ends, nulls) = map.rows.finish();
                let (key, value) = &map.kinds;
                let columns = vec![map.keys.finish()?, map.values.finish()?];
                let entries = StructArray::try_new(entry_fields(key, value), columns, None)?;
                Arc::new(MapArray::try_new(entries_field(key, value), ends, entries, nulls, false)?)
            }
            Values::Struct(columns) => {
                let nulls = nulls(&mut columns.valid);
                let arrays = columns.columns.iter_mut().map(Values::finish).collect::<Result<Vec<_>, _>>()?;
                Arc::new(StructArray::try_new(struct_fields(&columns.fields), arrays, nulls)?)
            }
        })
    }
}

impl ListValues {
    /// The row's items are all there.
    pub fn end(&mut self, valid: bool) {
        self.rows.end(self.items.len(), valid);
    }
}

impl MapValues {
    /// The row's entries are all there.
    pub fn end(&mut self, valid: bool) {
        self.rows.end(self.keys.len(), valid);
    }
}

impl StructValues {
    /// The row's fields are all there.
    pub fn end(&mut self, valid: bool) {
        self.valid.push(valid);
    }
}

fn number<T: std::str::FromStr>(text: &str, kind: &str) -> Result<T, NotOfType> {
    let plain = text.trim();
    let wrong = || format!("'{text}' is no {kind}");
    match plain.parse() {
        Ok(number) => Ok(number),
        // `7.0` is seven, `7.5` is no whole number.
        Err(_) => match plain.split_once('.') {
            Some((whole, fraction)) if !fraction.is_empty() && fraction.bytes().all(|b| b == b'0') => {
                whole.parse().map_err(|_| wrong())
            }
            _ => Err(wrong()),
        },
    }
}

/// Rounds half away from zero, as Hive does; the parser would cut.
fn decimal(text: &str, precision: u8, scale: i8) -> Option<i128> {
    if scale >= 37 {
        return parse_decimal::<Decimal128Type>(text, precision, scale).ok();
    }
    let tenfold = parse_decimal::<Decimal128Type>(text, 38, scale + 1).ok()?;
    let value = tenfold / 10 + tenfold % 10 / 5;
    (value.unsigned_abs() < 10_u128.pow(u32::from(precision))).then_some(value)
}

fn days(date: Date) -> i32 {
    let midnight = date.to_datetime(jiff::civil::Time::midnight());
    let second = midnight.to_zoned(jiff::tz::TimeZone::UTC).map_or(0, |time| time.timestamp().as_second());
    i32::try_from(second.div_euclid(86_400)).unwrap_or(0)
}

/// Microseconds since 1970 of a time without zone, or with one; of a number, as OpenX reads it: seconds, and
/// milliseconds from 13 digits on.
fn timestamp(text: &str) -> Option<i64> {
    if !text.contains([':', '-']) || text.strip_prefix('-').is_some_and(|rest| !rest.contains([':', '-'])) {
        if text.contains(['.', 'e', 'E']) {
            let seconds: f64 = text.parse().ok()?;
            return seconds.is_finite().then_some((seconds * 1e6).round() as i64);
        }
        let number: i64 = text.parse().ok()?;
        return number.checked_mul(if text.len() >= 13 { 1_000 } else { 1_000_000 });
    }
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Some(time.as_microsecond());
    }
    let time: DateTime = text.parse().ok()?;
    Some(time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_microsecond())
}
