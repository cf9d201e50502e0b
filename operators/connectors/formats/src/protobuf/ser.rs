//! The job's own type as serde shows it, as a message.

use std::collections::HashMap;

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value, bytes::Bytes};
use serde::{Serialize, ser};

use super::de::is_wrapper;
use crate::{
    field_error::FieldError,
    serde_methods::{plain_values, tuples_are_sequences},
};

type Result<T, E = FieldError> = std::result::Result<T, E>;

/// `value` as a message of this kind.
pub(super) fn message<T: Serialize>(descriptor: &MessageDescriptor, value: &T) -> Result<DynamicMessage> {
    let kind = Kind::Message(descriptor.clone());
    match value.serialize(Writing { kind: &kind, shape: Shape::One })? {
        Some(Value::Message(message)) => Ok(message),
        _ => Err(FieldError::from("it has no fields")),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    One,
    List,
    Map,
}

/// Makes one field's value; `None`: the field is left out.
struct Writing<'a> {
    kind: &'a Kind,
    shape: Shape,
}

fn number(kind: &Kind, n: i128) -> Result<Value> {
    let long = || FieldError::from(format!("{n} is not in the range of {kind:?}"));
    Ok(match kind {
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(n.try_into().map_err(|_| long())?),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(n.try_into().map_err(|_| long())?),
        Kind::Uint32 | Kind::Fixed32 => Value::U32(n.try_into().map_err(|_| long())?),
        Kind::Uint64 | Kind::Fixed64 => Value::U64(n.try_into().map_err(|_| long())?),
        Kind::Double => Value::F64(n as f64),
        Kind::Float => Value::F32(n as f32),
        Kind::Enum(_) => Value::EnumNumber(n.try_into().map_err(|_| long())?),
        Kind::Message(m) if matches!(m.full_name(), "google.protobuf.Timestamp" | "google.protobuf.Duration") => {
            let (mut seconds, mut millis) = (n.div_euclid(1000), n.rem_euclid(1000));
            // A duration's parts have the same sign.
            if m.name() == "Duration" && seconds < 0 && millis > 0 {
                (seconds, millis) = (seconds + 1, millis - 1000);
            }
            let mut message = DynamicMessage::new(m.clone());
            message.set_field_by_number(1, Value::I64(seconds.try_into().map_err(|_| long())?));
            message.set_field_by_number(2, Value::I32((millis * 1_000_000).try_into().map_err(|_| long())?));
            Value::Message(message)
        }
        kind => return Err(misfit("a whole number", kind)),
    })
}

#[cold]
fn misfit(what: &str, kind: &Kind) -> FieldError {
    let kind = match kind {
        Kind::Message(m) => m.full_name().to_owned(),
        Kind::Enum(e) => e.full_name().to_owned(),
        other => format!("{other:?}").to_lowercase(),
    };
    FieldError::from(format!("the record has {what}, and the schema {kind}"))
}

impl<'a> Writing<'a> {
    /// Sees that one value is wanted, and puts it into its wrapper if it has one.
    fn one(&self, what: &str, make: impl Fn(&Kind) -> Result<Value>) -> Result<Option<Value>> {
        if self.shape != Shape::One {
            return Err(FieldError::from(format!("the record has {what}, and the schema many")));
        }
        match self.kind {
            Kind::Message(m) if is_wrapper(m.full_name()) => {
                let inner = m.get_field(1).ok_or_else(|| misfit(what, self.kind))?;
                let mut message = DynamicMessage::new(m.clone());
                message.set_field(&inner, make(&inner.kind())?);
                Ok(Some(Value::Message(message)))
            }
            kind => make(kind).map(Some),
        }
    }

    fn whole(self, n: i128) -> Result<Option<Value>> {
        self.one("a whole number", |kind| number(kind, n))
    }

    fn fields(self) -> Result<Fields> {
        match (self.kind, self.shape) {
            (Kind::Message(m), Shape::One) => Ok(Fields { message: DynamicMessage::new(m.clone()), key: None }),
            (kind, _) => Err(misfit("fields", kind)),
        }
    }
}

type Impossible = ser::Impossible<Option<Value>, FieldError>;

impl<'a> ser::Serializer for Writing<'a> {
    type Ok = Option<Value>;
    type Error = FieldError;
    type SerializeSeq = List<'a>;
    type SerializeTuple = List<'a>;
    type SerializeTupleStruct = List<'a>;
    type SerializeTupleVariant = Impossible;
    type SerializeMap = Mapping;
    type SerializeStruct = Fields;
    type SerializeStructVariant = Impossible;

    plain_values!();

    fn serialize_bool(self, v: bool) -> Result<Option<Value>> {
        self.one("a boolean", |kind| match kind {
            Kind::Bool => Ok(Value::Bool(v)),
            kind => Err(misfit("a boolean", kind)),
        })
    }

    fn serialize_f32(self, v: f32) -> Result<Option<Value>> {
        self.serialize_f64(v.into())
    }

    fn serialize_f64(self, v: f64) -> Result<Option<Value>> {
        self.one("a number", |kind| match kind {
            Kind::Double => Ok(Value::F64(v)),
            Kind::Float => Ok(Value::F32(v as f32)),
            kind => Err(misfit("a number with a fraction", kind)),
        })
    }

    fn serialize_str(self, v: &str) -> Result<Option<Value>> {
        self.one("a text", |kind| match kind {
            Kind::String => Ok(Value::String(v.to_owned())),
            Kind::Enum(e) => match e.get_value_by_name(v) {
                Some(value) => Ok(Value::EnumNumber(value.number())),
                None => Err(FieldError::from(format!("the enum {} has no value '{v}'", e.full_name()))),
            },
            kind => Err(misfit("a text", kind)),
        })
    }

    fn serialize_bytes(self, v: &[u8]) -> Result<Option<Value>> {
        self.one("bytes", |kind| match kind {
            Kind::Bytes => Ok(Value::Bytes(Bytes::copy_from_slice(v))),
            kind => Err(misfit("bytes", kind)),
        })
    }

    fn serialize_unit(self) -> Result<Option<Value>> {
        Ok(None)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        _value: &T,
    ) -> Result<Option<Value>> {
        Err(FieldError::from(format!(
            "the variant '{variant}' has a value: write a oneof as one Option for each of its fields"
        )))
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<List<'a>> {
        let bytes = self.shape == Shape::One && matches!(self.kind, Kind::Bytes);
        if self.shape != Shape::List && !bytes {
            return Err(misfit("a list", self.kind));
        }
        Ok(List { kind: self.kind, bytes, items: Vec::with_capacity(len.unwrap_or_default()) })
    }

    fn serialize_tuple(self, len: usize) -> Result<List<'a>> {
        self.serialize_seq(Some(len))
    }

    fn serialize_map(self, _len: Option<usize>) -> Result<Mapping> {
        match (self.shape, self.kind) {
            (Shape::Map, Kind::Message(entry)) => {
                let (key, value) = (entry.map_entry_key_field().kind(), entry.map_entry_value_field().kind());
                Ok(Mapping::Entries { key, value, items: HashMap::new(), current: None })
            }
            _ => self.fields().map(Mapping::Fields),
        }
    }

    fn serialize_struct(self, _name: &'static str, _len: usize) -> Result<Fields> {
        self.fields()
    }

    fn serialize_struct_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        _len: usize,
    ) -> Result<Impossible> {
        Err(FieldError::from(format!(
            "the variant '{variant}' has fields: write a oneof as one Option for each of its fields"
        )))
    }
}

/// A repeated field, or bytes that serde shows as a sequence of numbers.
pub(super) struct List<'a> {
    kind: &'a Kind,
    bytes: bool,
    items: Vec<Value>,
}

impl ser::SerializeSeq for List<'_> {
    type Ok = Option<Value>;
    type Error = FieldError;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        let kind = if self.bytes { &Kind::Uint32 } else { self.kind };
        let item = value.serialize(Writing { kind, shape: Shape::One });
        let item = item.map_err(|e| e.in_item(self.items.len()))?;
        self.items.push(item.ok_or_else(|| FieldError::from("a list has no place for None"))?);
        Ok(())
    }

    fn end(self) -> Result<Option<Value>> {
        if !self.bytes {
            return Ok(Some(Value::List(self.items)));
        }
        let bytes = self.items.iter().map(|v| v.as_u32().and_then(|n| u8::try_from(n).ok()));
        let bytes: Option<Vec<u8>> = bytes.collect();
        let bytes = bytes.ok_or_else(|| FieldError::from("what is written as bytes has an item that is none"))?;
        Ok(Some(Value::Bytes(bytes.into())))
    }
}

tuples_are_sequences!(List);

/// The fields of a message.
pub(super) struct Fields {
    message: DynamicMessage,
    key: Option<FieldDescriptor>,
}

impl Fields {
    fn find(&self, name: &str) -> Result<FieldDescriptor> {
        use prost_reflect::ReflectMessage;

        let descriptor = self.message.descriptor();
        let found = descriptor.get_field_by_name(name);
        found.ok_or_else(|| FieldError::from(format!("the message {} has no field '{name}'", descriptor.full_name())))
    }

    fn set<T: Serialize + ?Sized>(&mut self, field: &FieldDescriptor, value: &T) -> Result<()> {
        let shape = match (field.is_map(), field.is_list()) {
            (true, _) => Shape::Map,
            (_, true) => Shape::List,
            _ => Shape::One,
        };
        let kind = field.kind();
        let value = value.serialize(Writing { kind: &kind, shape }).map_err(|e| e.inside(field.name()))?;
        if let Some(value) = value {
            let set = self.message.try_set_field(field, value);
            set.map_err(|e| FieldError::from(e.to_string()).inside(field.name()))?;
        }
        Ok(())
    }
}

impl ser::SerializeStruct for Fields {
    type Ok = Option<Value>;
    type Error = FieldError;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<()> {
        let field = self.find(key)?;
        self.set(&field, value)
    }

    fn end(self) -> Result<Option<Value>> {
        Ok(Some(Value::Message(self.message)))
    }
}

/// A map: a map field, or a message whose fields it names.
pub(super) enum Mapping {
    Fields(Fields),
    Entries { key: Kind, value: Kind, items: HashMap<MapKey, Value>, current: Option<MapKey> },
}

impl ser::SerializeMap for Mapping {
    type Ok = Option<Value>;
    type Error = FieldError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, name: &T) -> Result<()> {
        match self {
            Mapping::Fields(fields) => {
                let name = name.serialize(Writing { kind: &Kind::String, shape: Shape::One })?;
                let name = name.as_ref().and_then(Value::as_str).unwrap_or_default();
                fields.key = Some(fields.find(name)?);
            }
            Mapping::Entries { key, current, .. } => {
                let value = name.serialize(Writing { kind: key, shape: Shape::One })?;
                *current = value.and_then(Value::into_map_key);
            }
        }
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        match self {
            Mapping::Fields(fields) => match fields.key.take() {
                Some(field) => fields.set(&field, value),
                None => Err(FieldError::from("a value without a key")),
            },
            Mapping::Entries { value: kind, items, current, .. } => {
                let made = value.serialize(Writing { kind, shape: Shape::One })?;
                match (current.take(), made) {
                    (Some(key), Some(value)) => {
                        items.insert(key, value);
                        Ok(())
                    }
                    _ => Err(FieldError::from("a map has no place for None")),
                }
            }
        }
    }

    fn end(self) -> Result<Option<Value>> {
        Ok(Some(match self {
            Mapping::Fields(fields) => Value::Message(fields.message),
            Mapping::Entries { items, .. } => Value::Map(items),
        }))
    }
}
