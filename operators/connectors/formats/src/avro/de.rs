//! Avro's binary encoding as serde sees it: straight from the bytes into the job's own type.

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error as _, IgnoredAny, IntoDeserializer, MapAccess, SeqAccess,
    Unexpected, VariantAccess, Visitor, value::BorrowedStrDeserializer,
};

use super::{
    bytes::Input,
    decimal,
    plan::{Node, NodeId, Plan, Record},
};
use crate::{field_error::FieldError, serde_methods::visit_by};

/// Types may contain themselves; a message may not do so more often than this.
const MAX_DEPTH: u32 = 64;

type Result<T, E = FieldError> = std::result::Result<T, E>;

/// A value of type `node` at the beginning of what is left.
pub(super) struct Datum<'a, 'de> {
    pub plan: &'de Plan,
    pub node: NodeId,
    pub input: &'a mut Input<'de>,
}

impl<'a, 'de> Datum<'a, 'de> {
    /// Goes to the branch that the message chose.
    #[inline]
    fn settle(&mut self) -> Result<&'de Node> {
        loop {
            match self.plan.node(self.node) {
                Node::Union(branches) => {
                    self.node = branches[self.input.index(branches.len(), "the branch of a union")?];
                }
                Node::Never(why) => return Err(why.clone().into()),
                node => return Ok(node),
            }
        }
    }

    fn enter(&mut self) -> Result<()> {
        self.input.depth += 1;
        if self.input.depth > MAX_DEPTH { Err(format!("nested more than {MAX_DEPTH} deep").into()) } else { Ok(()) }
    }

    fn decimal(&mut self, fixed: Option<usize>) -> Result<&'de [u8]> {
        Ok(match fixed {
            Some(size) => self.input.take(size, "a decimal")?,
            None => self.input.sized("a decimal")?,
        })
    }

    /// The bytes of what is bytes.
    fn raw(&mut self, node: &Node) -> Result<Option<&'de [u8]>> {
        Ok(Some(match node {
            Node::Bytes => self.input.sized("bytes")?,
            Node::Fixed(size) => self.input.take(*size, "a fixed")?,
            Node::Decimal { fixed, .. } => self.decimal(*fixed)?,
            _ => return Ok(None),
        }))
    }

    /// Passes over the value.
    fn skip(mut self) -> Result<()> {
        self.skip_one()
    }

    fn skip_one(&mut self) -> Result<()> {
        let node = self.settle()?;
        match node {
            Node::Null | Node::Union(_) | Node::Never(_) => {}
            Node::Boolean => drop(boolean(self.input)?),
            Node::Int => drop(self.input.int()?),
            Node::Long => drop(self.input.long("a long")?),
            Node::Float => drop(self.input.take(4, "a float")?),
            Node::Double => drop(self.input.take(8, "a double")?),
            Node::String => drop(self.input.text()?),
            Node::Bytes | Node::Fixed(_) | Node::Decimal { .. } => drop(self.raw(node)?),
            Node::Enum(symbols) => drop(self.input.index(symbols.len(), "the symbol of an enum")?),
            Node::Array(item) | Node::Map(item) => {
                self.enter()?;
                let keyed = matches!(node, Node::Map(_));
                loop {
                    let count = self.input.block()?;
                    if count == 0 {
                        break;
                    }
                    for _ in 0..count {
                        if keyed {
                            self.input.text()?;
                        }
                        Datum { plan: self.plan, node: *item, input: self.input }.skip()?;
                    }
                }
                self.input.depth -= 1;
            }
            Node::Record(record) => {
                self.enter()?;
                for field in &record.fields {
                    Datum { plan: self.plan, node: field.node, input: self.input }
                        .skip()
                        .map_err(|e| e.inside(field.name.as_deref().unwrap_or("(not read)")))?;
                }
                self.input.depth -= 1;
            }
        }
        Ok(())
    }

    /// A decimal without a fraction is a whole number to whoever wants one.
    #[inline]
    fn whole<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value> {
        if let Node::Decimal { scale: 0, fixed } = self.settle()? {
            let unscaled = decimal::unscaled(self.decimal(*fixed)?)?;
            return match i64::try_from(unscaled) {
                Ok(n) => visitor.visit_i64(n),
                Err(_) => Err(format!("the decimal {unscaled} has more than 64 bits").into()),
            };
        }
        self.deserialize_any(visitor)
    }

    #[inline]
    fn fraction<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value> {
        if let Node::Decimal { scale, fixed } = self.settle()? {
            let text = decimal::text(decimal::unscaled(self.decimal(*fixed)?)?, *scale);
            return visitor.visit_f64(text.parse().map_err(FieldError::custom)?);
        }
        self.deserialize_any(visitor)
    }

    /// What `visit` makes of the items of an array or a map.
    #[inline]
    fn items<T>(mut self, item: NodeId, visit: impl FnOnce(&mut Items<'_, 'de>) -> Result<T>) -> Result<T> {
        self.enter()?;
        let value = visit(&mut Items { plan: self.plan, item, input: self.input, block: 0, number: 0, ended: false })?;
        self.input.depth -= 1;
        Ok(value)
    }

    /// What `visit` makes of the fields of a record.
    #[inline]
    fn fields<T>(mut self, record: &'de Record, visit: impl FnOnce(&mut Fields<'_, 'de>) -> Result<T>) -> Result<T> {
        self.enter()?;
        let mut fields = Fields { plan: self.plan, record, input: self.input, next: 0, current: None };
        let value = visit(&mut fields)?;
        // A type of its own kind may stop before the end.
        while fields.advance()? {
            fields.next_value::<IgnoredAny>()?;
        }
        self.input.depth -= 1;
        Ok(value)
    }

    fn symbol(&mut self, symbols: &'de [Option<String>]) -> Result<&'de str> {
        let index = self.input.index(symbols.len(), "the symbol of an enum")?;
        let symbol = symbols[index].as_deref();
        symbol.ok_or_else(|| format!("the reader's enum has no symbol for the writer's number {index}").into())
    }
}

#[inline]
fn boolean(input: &mut Input<'_>) -> Result<bool> {
    match input.array::<1>("a boolean")?[0] {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(format!("{other} is no boolean").into()),
    }
}

impl<'de> Deserializer<'de> for Datum<'_, 'de> {
    type Error = FieldError;

    #[inline]
    fn deserialize_any<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value> {
        match self.settle()? {
            Node::Null => visitor.visit_unit(),
            Node::Boolean => visitor.visit_bool(boolean(self.input)?),
            Node::Int => visitor.visit_i32(self.input.int()?),
            Node::Long => visitor.visit_i64(self.input.long("a long")?),
            Node::Float => visitor.visit_f32(f32::from_le_bytes(self.input.array("a float")?)),
            Node::Double => visitor.visit_f64(f64::from_le_bytes(self.input.array("a double")?)),
            Node::String => visitor.visit_borrowed_str(self.input.text()?),
            node @ (Node::Bytes | Node::Fixed(_)) => visitor.visit_borrowed_bytes(self.raw(node)?.unwrap_or_default()),
            Node::Decimal { scale, fixed } => {
                let unscaled = decimal::unscaled(self.decimal(*fixed)?)?;
                visitor.visit_string(decimal::text(unscaled, *scale))
            }
            Node::Enum(symbols) => visitor.visit_borrowed_str(self.symbol(symbols)?),
            Node::Array(item) => self.items(*item, |items| {
                let value = visitor.visit_seq(&mut *items)?;
                while items.next_element::<IgnoredAny>()?.is_some() {}
                Ok(value)
            }),
            Node::Map(item) => self.items(*item, |items| {
                let value = visitor.visit_map(&mut *items)?;
                while items.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(value)
            }),
            Node::Record(record) => self.fields(record, |fields| visitor.visit_map(fields)),
            Node::Union(_) | Node::Never(_) => Err(FieldError::from("a union that is not settled")),
        }
    }

    #[inline]
    fn deserialize_option<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value> {
        match self.settle()? {
            Node::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    visit_by! { whole numbers: whole }

    visit_by! { fraction: deserialize_f32 deserialize_f64 }

    visit_by! { deserialize_any: deserialize_bool deserialize_char deserialize_str deserialize_string deserialize_unit
    deserialize_map deserialize_identifier }

    visit_by! { deserialize_bytes: deserialize_byte_buf }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _name: &'static str, visitor: V) -> Result<V::Value> {
        self.deserialize_any(visitor)
    }

    #[inline]
    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _name: &'static str, visitor: V) -> Result<V::Value> {
        visitor.visit_newtype_struct(self)
    }

    #[inline]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        self.deserialize_any(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value> {
        let node = self.settle()?;
        match self.raw(node)? {
            Some(bytes) => visitor.visit_borrowed_bytes(bytes),
            None => self.deserialize_any(visitor),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value> {
        let node = self.settle()?;
        match (node, self.raw(node)?) {
            // Bytes are a `Vec<u8>` to whoever has no type of their own for them.
            (_, Some(bytes)) => visitor.visit_seq(serde::de::value::SeqDeserializer::new(bytes.iter().copied())),
            (Node::Record(record), None) => self.fields(record, |fields| visitor.visit_seq(Values(fields))),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _len: usize,
        visitor: V,
    ) -> Result<V::Value> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        mut self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        match self.settle()? {
            Node::Enum(symbols) => visitor.visit_enum(self.symbol(symbols)?.into_deserializer()),
            Node::String => visitor.visit_enum(self.input.text()?.into_deserializer()),
            // One record of several, by its name: `["A", "B"]` is `enum { A {..}, B {..} }`.
            Node::Record(record) => visitor.visit_enum(Branch { datum: self, name: &record.name }),
            _ => Err(FieldError::invalid_type(Unexpected::Other("a value that is no enum"), &visitor)),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.skip()?;
        visitor.visit_unit()
    }
}

/// A name as it stands in the message or its schema.
#[inline]
fn word(text: &str) -> BorrowedStrDeserializer<'_, FieldError> {
    BorrowedStrDeserializer::new(text)
}

/// The items of an array or a map.
struct Items<'a, 'de> {
    plan: &'de Plan,
    item: NodeId,
    input: &'a mut Input<'de>,
    /// How many of the block are to come.
    block: usize,
    number: usize,
    ended: bool,
}

impl Items<'_, '_> {
    fn more(&mut self) -> Result<bool> {
        if self.block == 0 && !self.ended {
            self.block = self.input.block()?;
            self.ended = self.block == 0;
        }
        if self.ended {
            return Ok(false);
        }
        self.block -= 1;
        self.number += 1;
        Ok(true)
    }
}

impl<'de> SeqAccess<'de> for Items<'_, 'de> {
    type Error = FieldError;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>> {
        if !self.more()? {
            return Ok(None);
        }
        let value = seed.deserialize(Datum { plan: self.plan, node: self.item, input: self.input });
        value.map(Some).map_err(|e| e.in_item(self.number - 1))
    }
}

impl<'de> MapAccess<'de> for Items<'_, 'de> {
    type Error = FieldError;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>> {
        if !self.more()? {
            return Ok(None);
        }
        seed.deserialize(word(self.input.text()?)).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value> {
        seed.deserialize(Datum { plan: self.plan, node: self.item, input: self.input })
    }
}

/// The fields of a record: the writer's, and then what the reader has by default.
struct Fields<'a, 'de> {
    plan: &'de Plan,
    record: &'de Record,
    input: &'a mut Input<'de>,
    next: usize,
    current: Option<(&'de str, NodeId, Option<&'de [u8]>)>,
}

impl<'de> Fields<'_, 'de> {
    #[inline]
    fn advance(&mut self) -> Result<bool> {
        while let Some(field) = self.record.fields.get(self.next) {
            self.next += 1;
            match &field.name {
                Some(name) => {
                    self.current = Some((name, field.node, None));
                    return Ok(true);
                }
                None => Datum { plan: self.plan, node: field.node, input: self.input }.skip()?,
            }
        }
        let Some((name, node, bytes)) = self.record.defaults.get(self.next - self.record.fields.len()) else {
            return Ok(false);
        };
        self.next += 1;
        self.current = Some((name, *node, Some(bytes)));
        Ok(true)
    }
}

impl<'de> MapAccess<'de> for Fields<'_, 'de> {
    type Error = FieldError;

    #[inline]
    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>> {
        if !self.advance()? {
            return Ok(None);
        }
        let name = self.current.map(|c| c.0).unwrap_or_default();
        seed.deserialize(word(name)).map(Some)
    }

    #[inline]
    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value> {
        let Some((name, node, default)) = self.current.take() else {
            return Err(FieldError::from("a value without a key"));
        };
        let value = match default {
            None => seed.deserialize(Datum { plan: self.plan, node, input: self.input }),
            Some(bytes) => seed.deserialize(Datum { plan: self.plan, node, input: &mut Input::new(bytes) }),
        };
        value.map_err(|e| e.inside(name))
    }
}

/// The fields of a record in their order, for tuples.
struct Values<'a, 'b, 'de>(&'a mut Fields<'b, 'de>);

impl<'de> SeqAccess<'de> for Values<'_, '_, 'de> {
    type Error = FieldError;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>> {
        if !self.0.advance()? {
            return Ok(None);
        }
        self.0.next_value_seed(seed).map(Some)
    }
}

/// A record that is one of several.
struct Branch<'a, 'de> {
    datum: Datum<'a, 'de>,
    name: &'de str,
}

impl<'a, 'de> EnumAccess<'de> for Branch<'a, 'de> {
    type Error = FieldError;
    type Variant = Datum<'a, 'de>;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Datum<'a, 'de>)> {
        Ok((seed.deserialize(word(self.name))?, self.datum))
    }
}

impl<'de> VariantAccess<'de> for Datum<'_, 'de> {
    type Error = FieldError;

    fn unit_variant(self) -> Result<()> {
        self.skip()
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value> {
        self.deserialize_seq(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, _fields: &'static [&'static str], visitor: V) -> Result<V::Value> {
        self.deserialize_any(visitor)
    }
}
