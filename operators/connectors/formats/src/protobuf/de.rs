//! A decoded message as serde sees it.

use std::borrow::Cow;

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, ReflectMessage, Value};
use serde::de::{DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor};

use crate::{field_error::FieldError, serde_methods::visit_by};

type Result<T, E = FieldError> = std::result::Result<T, E>;

/// One value.
pub(super) enum Item<'a> {
    Message(&'a DynamicMessage),
    Value(&'a Value, Kind),
    /// A field with presence that is not there: `None`, or its default to whoever wants a value.
    Absent(&'a Value, Kind),
    Key(&'a MapKey),
}

/// Messages that are one number to whoever wants one: milliseconds, or what is wrapped.
fn as_scalar(message: &DynamicMessage) -> Option<Value> {
    let descriptor = message.descriptor();
    let number = |n| message.get_field_by_number(n).map(Cow::into_owned);
    match descriptor.full_name() {
        "google.protobuf.Timestamp" | "google.protobuf.Duration" => {
            let seconds = number(1)?.as_i64()?;
            let nanos = number(2)?.as_i32()?;
            let millis = seconds.checked_mul(1000)?.checked_add(i64::from(nanos.div_euclid(1_000_000)))?;
            Some(Value::I64(millis))
        }
        name if is_wrapper(name) => number(1),
        _ => None,
    }
}

/// `google.protobuf.DoubleValue` and its like.
pub(super) fn is_wrapper(name: &str) -> bool {
    name.strip_prefix("google.protobuf.").and_then(|n| n.strip_suffix("Value")).is_some_and(|n| {
        matches!(n, "Double" | "Float" | "Int64" | "UInt64" | "Int32" | "UInt32" | "Bool" | "String" | "Bytes")
    })
}

impl<'a> Item<'a> {
    pub fn message(message: &'a DynamicMessage) -> Self {
        Item::Message(message)
    }

    fn of(value: &'a Value, kind: Kind) -> Self {
        match value {
            Value::Message(message) => Item::Message(message),
            value => Item::Value(value, kind),
        }
    }

    fn scalar<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self {
            Item::Message(message) => match as_scalar(message) {
                Some(value) => one(&value, &Kind::Int64, visitor),
                None => visitor.visit_map(Fields::new(message)),
            },
            other => other.deserialize_any(visitor),
        }
    }

    fn whole<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self {
            // An enum is a number to whoever wants one.
            Item::Value(Value::EnumNumber(n), _) | Item::Absent(Value::EnumNumber(n), _) => visitor.visit_i32(*n),
            other => other.scalar(visitor),
        }
    }
}

/// The name of an enum's number, if it has one.
fn symbol(kind: &Kind, number: i32) -> Option<String> {
    kind.as_enum().and_then(|e| e.get_value(number)).map(|v| v.name().to_owned())
}

fn one<'de, V: Visitor<'de>>(value: &Value, kind: &Kind, visitor: V) -> Result<V::Value> {
    match value {
        Value::Bool(v) => visitor.visit_bool(*v),
        Value::I32(v) => visitor.visit_i32(*v),
        Value::I64(v) => visitor.visit_i64(*v),
        Value::U32(v) => visitor.visit_u32(*v),
        Value::U64(v) => visitor.visit_u64(*v),
        Value::F32(v) => visitor.visit_f32(*v),
        Value::F64(v) => visitor.visit_f64(*v),
        Value::String(v) => visitor.visit_str(v),
        Value::Bytes(v) => visitor.visit_bytes(v),
        Value::EnumNumber(n) => match symbol(kind, *n) {
            Some(name) => visitor.visit_str(&name),
            None => visitor.visit_i32(*n),
        },
        Value::Message(message) => visitor.visit_map(Fields::new(message)),
        Value::List(items) => visitor.visit_seq(List { items: items.iter(), kind, number: 0 }),
        Value::Map(items) => {
            let value = kind.as_message().map(|m| m.map_entry_value_field().kind());
            let kind = value.unwrap_or(Kind::Bool);
            visitor.visit_map(Entries { items: items.iter(), kind, value: None })
        }
    }
}

impl<'de> Deserializer<'de> for Item<'_> {
    type Error = FieldError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self {
            Item::Message(message) => visitor.visit_map(Fields::new(message)),
            Item::Value(value, kind) | Item::Absent(value, kind) => one(value, &kind, visitor),
            Item::Key(key) => match key {
                MapKey::Bool(v) => visitor.visit_bool(*v),
                MapKey::I32(v) => visitor.visit_i32(*v),
                MapKey::I64(v) => visitor.visit_i64(*v),
                MapKey::U32(v) => visitor.visit_u32(*v),
                MapKey::U64(v) => visitor.visit_u64(*v),
                MapKey::String(v) => visitor.visit_str(v),
            },
        }
    }

    visit_by! { whole numbers: whole }

    visit_by! { scalar: deserialize_bool deserialize_f32 deserialize_f64 deserialize_char deserialize_str
    deserialize_string deserialize_bytes deserialize_byte_buf }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self {
            Item::Absent(..) => visitor.visit_none(),
            other => visitor.visit_some(other),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self {
            // Bytes are a `Vec<u8>` to whoever has no type of their own for them.
            Item::Value(Value::Bytes(bytes), _) | Item::Absent(Value::Bytes(bytes), _) => {
                visitor.visit_seq(serde::de::value::SeqDeserializer::new(bytes.iter().copied()))
            }
            other => other.deserialize_any(visitor),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        match self {
            Item::Value(Value::EnumNumber(n), kind) | Item::Absent(Value::EnumNumber(n), kind) => {
                let name = symbol(&kind, *n);
                let name = name.ok_or_else(|| FieldError::from(format!("the enum has no value {n}")));
                visitor.visit_enum(IntoDeserializer::<FieldError>::into_deserializer(name?))
            }
            Item::Value(Value::String(text), _) | Item::Absent(Value::String(text), _) => {
                visitor.visit_enum(IntoDeserializer::<FieldError>::into_deserializer(text.as_str()))
            }
            other => other.deserialize_any(visitor),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _name: &'static str, visitor: V) -> Result<V::Value> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! { unit unit_struct tuple tuple_struct map struct identifier }
}

/// The fields of a message: those that are there, and the defaults of the others.
struct Fields<'a> {
    message: &'a DynamicMessage,
    fields: std::vec::IntoIter<FieldDescriptor>,
    current: Option<FieldDescriptor>,
}

impl<'a> Fields<'a> {
    fn new(message: &'a DynamicMessage) -> Self {
        let fields: Vec<_> = message.descriptor().fields().collect();
        Fields { message, fields: fields.into_iter(), current: None }
    }
}

impl<'de> MapAccess<'de> for Fields<'_> {
    type Error = FieldError;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>> {
        for field in self.fields.by_ref() {
            // A message that is not there has no default: the job's type says what it is without it.
            if matches!(field.kind(), Kind::Message(_)) && field.supports_presence() && !self.message.has_field(&field)
            {
                continue;
            }
            let key = seed.deserialize(IntoDeserializer::<FieldError>::into_deserializer(field.name()));
            self.current = Some(field);
            return key.map(Some);
        }
        Ok(None)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value> {
        let Some(field) = self.current.take() else {
            return Err("a value without a key".into());
        };
        let value = self.message.get_field(&field);
        let absent = field.supports_presence() && !self.message.has_field(&field);
        let item = if absent { Item::Absent(&value, field.kind()) } else { Item::of(&value, field.kind()) };
        seed.deserialize(item).map_err(|e| e.inside(field.name()))
    }
}

struct List<'a> {
    items: std::slice::Iter<'a, Value>,
    kind: &'a Kind,
    number: usize,
}

impl<'de> SeqAccess<'de> for List<'_> {
    type Error = FieldError;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>> {
        let Some(item) = self.items.next() else { return Ok(None) };
        self.number += 1;
        let value = seed.deserialize(Item::of(item, self.kind.clone()));
        value.map(Some).map_err(|e| e.in_item(self.number - 1))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

struct Entries<'a> {
    items: std::collections::hash_map::Iter<'a, MapKey, Value>,
    kind: Kind,
    value: Option<&'a Value>,
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = FieldError;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>> {
        let Some((key, value)) = self.items.next() else { return Ok(None) };
        self.value = Some(value);
        seed.deserialize(Item::Key(key)).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value> {
        let Some(value) = self.value.take() else { return Err("a value without a key".into()) };
        seed.deserialize(Item::of(value, self.kind.clone()))
    }
}
