//! The job's own type as serde shows it, in Avro's binary encoding.

use serde::{
    Serialize,
    ser::{self, SerializeMap, SerializeSeq, SerializeStruct},
};

use super::{
    decimal,
    plan::{Node, NodeId, Plan, Record},
};
use crate::{
    field_error::FieldError,
    serde_methods::{plain_values, tuples_are_sequences},
    wire::put_long,
};

type Result<T, E = FieldError> = std::result::Result<T, E>;

/// Writes one value as a `node`.
pub(super) struct Writing<'a> {
    pub plan: &'a Plan,
    pub node: NodeId,
    pub out: &'a mut Vec<u8>,
}

impl<'a> Writing<'a> {
    /// The type to be written: in a union the first branch that takes such a value.
    fn branch(&mut self, what: &str, takes: impl Fn(&Node) -> bool) -> Result<&'a Node> {
        let node = self.plan.node(self.node);
        if let Node::Union(branches) = node {
            for (i, branch) in branches.iter().enumerate() {
                if takes(self.plan.node(*branch)) {
                    put_long(i as i64, self.out);
                    self.node = *branch;
                    return Ok(self.plan.node(*branch));
                }
            }
        } else if takes(node) {
            return Ok(node);
        }
        Err(FieldError::from(format!("the schema has no {what} there")))
    }

    fn whole(mut self, n: i128) -> Result<()> {
        let n = i64::try_from(n)
            .map_err(|_| FieldError::from(format!("{n} has more than 64 bits, one of them its sign")))?;
        let small = i32::try_from(n).is_ok();
        // What a double holds exactly.
        let exact = n.unsigned_abs() <= 1 << 53;
        let node = self.branch("whole number of this size", |node| match node {
            Node::Long => true,
            Node::Int => small,
            Node::Double | Node::Float => exact,
            Node::Decimal { .. } => true,
            _ => false,
        })?;
        match node {
            Node::Double => self.out.extend((n as f64).to_le_bytes()),
            Node::Float => self.out.extend((n as f32).to_le_bytes()),
            Node::Decimal { scale, fixed } => return self.decimal(&n.to_string(), *scale, *fixed),
            _ => put_long(n, self.out),
        }
        Ok(())
    }

    fn decimal(self, text: &str, scale: usize, fixed: Option<usize>) -> Result<()> {
        let unscaled = decimal::parse(text, scale);
        let unscaled = unscaled.ok_or_else(|| FieldError::from(format!("'{text}' is no decimal of scale {scale}")))?;
        let bytes = decimal::bytes(unscaled, fixed);
        let bytes = bytes.ok_or_else(|| FieldError::from(format!("'{text}' is too long for the decimal")))?;
        if fixed.is_none() {
            put_long(bytes.len() as i64, self.out);
        }
        self.out.extend(bytes);
        Ok(())
    }

    fn raw(mut self, bytes: &[u8]) -> Result<()> {
        let node = self.branch("bytes of this length", |node| match node {
            Node::Bytes => true,
            Node::Fixed(size) => *size == bytes.len(),
            _ => false,
        })?;
        if matches!(node, Node::Bytes) {
            put_long(bytes.len() as i64, self.out);
        }
        self.out.extend(bytes);
        Ok(())
    }

    fn record(mut self, name: &str) -> Result<Fields<'a>> {
        let plan = self.plan;
        let by_name = |node: &Node| matches!(node, Node::Record(r) if r.name == name);
        let any = |node: &Node| matches!(node, Node::Record(_));
        let named = matches!(plan.node(self.node), Node::Union(b) if b.iter().any(|b| by_name(plan.node(*b))));
        let node = if named { self.branch("record", by_name)? } else { self.branch("record", any)? };
        let Node::Record(record) = node else { return Err(FieldError::from("the schema has no record there")) };
        Ok(Fields { plan, record, out: self.out, next: 0, late: Vec::new(), key: None })
    }

    fn items(mut self, len: Option<usize>, map: bool) -> Result<Items<'a>> {
        let node = self.branch(if map { "map" } else { "array" }, |node| match node {
            Node::Array(_) => !map,
            Node::Map(_) => map,
            _ => false,
        })?;
        let (Node::Array(item) | Node::Map(item)) = node else { return Err(FieldError::from("no such items")) };
        // A block begins with the number of its items; where that is not known, it is put there later.
        let start = self.out.len();
        if let Some(n) = len.filter(|n| *n > 0) {
            put_long(n as i64, self.out);
        }
        Ok(Items { plan: self.plan, item: *item, out: self.out, start, len, count: 0 })
    }
}

/// What serde's derived types never ask for where a record, an array or a map is not at hand.
type Impossible = ser::Impossible<(), FieldError>;

impl<'a> ser::Serializer for Writing<'a> {
    type Ok = ();
    type Error = FieldError;
    type SerializeSeq = Sequence<'a>;
    type SerializeTuple = Sequence<'a>;
    type SerializeTupleStruct = Sequence<'a>;
    type SerializeTupleVariant = Impossible;
    type SerializeMap = Mapping<'a>;
    type SerializeStruct = Fields<'a>;
    type SerializeStructVariant = Fields<'a>;

    plain_values!();

    fn serialize_bool(mut self, v: bool) -> Result<()> {
        self.branch("boolean", |node| matches!(node, Node::Boolean))?;
        self.out.push(u8::from(v));
        Ok(())
    }

    fn serialize_f32(mut self, v: f32) -> Result<()> {
        match self.branch("float", |node| matches!(node, Node::Float | Node::Double | Node::Decimal { .. }))? {
            Node::Float => self.out.extend(v.to_le_bytes()),
            Node::Decimal { scale, fixed } => return self.decimal(&format!("{v:.scale$}"), *scale, *fixed),
            _ => self.out.extend(f64::from(v).to_le_bytes()),
        }
        Ok(())
    }

    fn serialize_f64(mut self, v: f64) -> Result<()> {
        // A float would lose digits: only where there is no double.
        let double = matches!(self.plan.node(self.node), Node::Union(b)
            if b.iter().any(|b| matches!(self.plan.node(*b), Node::Double)));
        let node = self.branch("double", |node| match node {
            Node::Double | Node::Decimal { .. } => true,
            Node::Float => !double,
            _ => false,
        })?;
        match node {
            Node::Float => self.out.extend((v as f32).to_le_bytes()),
            // A double is rounded to the decimal's scale.
            Node::Decimal { scale, fixed } => return self.decimal(&format!("{v:.scale$}"), *scale, *fixed),
            _ => self.out.extend(v.to_le_bytes()),
        }
        Ok(())
    }

    #[inline]
    fn serialize_str(mut self, v: &str) -> Result<()> {
        let node = self.branch("string, enum or decimal for this text", |node| match node {
            Node::String | Node::Bytes => true,
            Node::Enum(symbols) => symbols.iter().flatten().any(|s| s == v),
            Node::Decimal { scale, .. } => decimal::parse(v, *scale).is_some(),
            _ => false,
        })?;
        match node {
            Node::Enum(symbols) => {
                let index = symbols.iter().position(|s| s.as_deref() == Some(v)).unwrap_or_default();
                put_long(index as i64, self.out);
            }
            Node::Decimal { scale, fixed } => return self.decimal(v, *scale, *fixed),
            _ => {
                put_long(v.len() as i64, self.out);
                self.out.extend_from_slice(v.as_bytes());
            }
        }
        Ok(())
    }

    fn serialize_bytes(self, v: &[u8]) -> Result<()> {
        self.raw(v)
    }

    fn serialize_unit(mut self) -> Result<()> {
        self.branch("null", |node| matches!(node, Node::Null))?;
        Ok(())
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        mut self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<()> {
        self.branch("record of the variant's name", |node| matches!(node, Node::Record(r) if r.name == variant))?;
        value.serialize(self)
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<Sequence<'a>> {
        let plan = self.plan;
        let has = |wanted: fn(&Node) -> bool| match plan.node(self.node) {
            Node::Union(branches) => branches.iter().any(|b| wanted(plan.node(*b))),
            node => wanted(node),
        };
        // What serde shows as a sequence of numbers may be bytes.
        if !has(|n| matches!(n, Node::Array(_))) && has(|n| matches!(n, Node::Bytes | Node::Fixed(_))) {
            return Ok(Sequence::Bytes(self, Vec::with_capacity(len.unwrap_or_default())));
        }
        self.items(len, false).map(Sequence::Items)
    }

    fn serialize_tuple(mut self, len: usize) -> Result<Sequence<'a>> {
        if let Node::Record(_) = self.plan.node(self.node) {
            let node = self.branch("record", |node| matches!(node, Node::Record(_)))?;
            let Node::Record(record) = node else { return Err(FieldError::from("no record")) };
            let (plan, out) = (self.plan, self.out);
            return Ok(Sequence::Record(Fields { plan, record, out, next: 0, late: Vec::new(), key: None }));
        }
        self.serialize_seq(Some(len))
    }

    fn serialize_map(self, len: Option<usize>) -> Result<Mapping<'a>> {
        let plan = self.plan;
        let map = |node: &Node| matches!(node, Node::Map(_));
        let is_map = match plan.node(self.node) {
            Node::Union(branches) => branches.iter().any(|b| map(plan.node(*b))),
            node => map(node),
        };
        if is_map { self.items(len, true).map(Mapping::Items) } else { self.record("").map(Mapping::Record) }
    }

    #[inline]
    fn serialize_struct(self, name: &'static str, _len: usize) -> Result<Fields<'a>> {
        self.record(name)
    }

    fn serialize_struct_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        _len: usize,
    ) -> Result<Fields<'a>> {
        self.record(variant)
    }
}

/// The items of an array or a map.
pub(super) struct Items<'a> {
    plan: &'a Plan,
    item: NodeId,
    out: &'a mut Vec<u8>,
    start: usize,
    len: Option<usize>,
    count: usize,
}

impl Items<'_> {
    fn item<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        value.serialize(Writing { plan: self.plan, node: self.item, out: self.out })
    }

    fn finish(self) -> Result<()> {
        match self.len {
            Some(len) if len != self.count => return Err(FieldError::from("items that were announced did not come")),
            Some(_) => {}
            None if self.count > 0 => {
                let mut count = Vec::new();
                put_long(self.count as i64, &mut count);
                self.out.splice(self.start..self.start, count);
            }
            None => {}
        }
        put_long(0, self.out);
        Ok(())
    }
}

/// A sequence: an array, bytes, or a record in order.
pub(super) enum Sequence<'a> {
    Items(Items<'a>),
    Bytes(Writing<'a>, Vec<u8>),
    Record(Fields<'a>),
}

impl SerializeSeq for Sequence<'_> {
    type Ok = ();
    type Error = FieldError;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        match self {
            Sequence::Items(items) => {
                items.count += 1;
                let number = items.count - 1;
                items.item(value).map_err(|e| e.in_item(number))
            }
            Sequence::Bytes(_, bytes) => {
                let number = serde_json::to_value(value).ok().and_then(|v| v.as_u64());
                let byte = number.and_then(|n| u8::try_from(n).ok());
                bytes.push(byte.ok_or_else(|| FieldError::from("what is written as bytes has an item that is none"))?);
                Ok(())
            }
            Sequence::Record(fields) => {
                let Some(name) = fields.record.fields.get(fields.next).and_then(|f| f.name.as_deref()) else {
                    return Err(FieldError::from("the record has fewer fields in its schema"));
                };
                fields.field(name, value)
            }
        }
    }

    fn end(self) -> Result<()> {
        match self {
            Sequence::Items(items) => items.finish(),
            Sequence::Bytes(writing, bytes) => writing.raw(&bytes),
            Sequence::Record(fields) => fields.finish(),
        }
    }
}

tuples_are_sequences!(Sequence);

/// The fields of a record, in whatever order they come.
pub(super) struct Fields<'a> {
    plan: &'a Plan,
    record: &'a Record,
    out: &'a mut Vec<u8>,
    next: usize,
    /// What came before its turn.
    late: Vec<(usize, Vec<u8>)>,
    key: Option<String>,
}

impl Fields<'_> {
    #[inline]
    fn field<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<()> {
        let fields = &self.record.fields;
        let at = match fields.get(self.next) {
            Some(field) if field.name.as_deref() == Some(name) => self.next,
            _ => match fields.iter().position(|f| f.name.as_deref() == Some(name)) {
                Some(at) => at,
                None => return Err(FieldError::from(format!("the schema has no field '{name}'"))),
            },
        };
        let node = fields[at].node;
        if at == self.next {
            value.serialize(Writing { plan: self.plan, node, out: self.out }).map_err(|e| e.inside(name))?;
            self.next += 1;
            while let Some(i) = self.late.iter().position(|(at, _)| *at == self.next) {
                self.out.extend(self.late.swap_remove(i).1);
                self.next += 1;
            }
        } else {
            let mut bytes = Vec::new();
            value.serialize(Writing { plan: self.plan, node, out: &mut bytes }).map_err(|e| e.inside(name))?;
            self.late.push((at, bytes));
        }
        Ok(())
    }

    fn finish(mut self) -> Result<()> {
        while let Some(field) = self.record.fields.get(self.next) {
            if let Some(i) = self.late.iter().position(|(at, _)| *at == self.next) {
                self.out.extend(self.late.swap_remove(i).1);
            } else if let Some(default) = &field.default {
                self.out.extend(default);
            } else {
                let name = field.name.as_deref().unwrap_or_default();
                return Err(FieldError::from(format!("the record has no field '{name}', and the schema no default")));
            }
            self.next += 1;
        }
        Ok(())
    }
}

impl SerializeStruct for Fields<'_> {
    type Ok = ();
    type Error = FieldError;

    #[inline]
    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<()> {
        self.field(key, value)
    }

    fn end(self) -> Result<()> {
        self.finish()
    }
}

impl ser::SerializeStructVariant for Fields<'_> {
    type Ok = ();
    type Error = FieldError;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<()> {
        self.field(key, value)
    }

    fn end(self) -> Result<()> {
        self.finish()
    }
}

/// A map: an Avro map, or a record whose fields it names.
pub(super) enum Mapping<'a> {
    Items(Items<'a>),
    Record(Fields<'a>),
}

impl SerializeMap for Mapping<'_> {
    type Ok = ();
    type Error = FieldError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<()> {
        let key = match serde_json::to_value(key) {
            Ok(serde_json::Value::String(key)) => key,
            Ok(other) => other.to_string(),
            Err(e) => return Err(e.to_string().into()),
        };
        match self {
            Mapping::Items(items) => {
                items.count += 1;
                put_long(key.len() as i64, items.out);
                items.out.extend_from_slice(key.as_bytes());
            }
            Mapping::Record(fields) => fields.key = Some(key),
        }
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        match self {
            Mapping::Items(items) => items.item(value),
            Mapping::Record(fields) => {
                let key = fields.key.take().unwrap_or_default();
                fields.field(&key, value)
            }
        }
    }

    fn end(self) -> Result<()> {
        match self {
            Mapping::Items(items) => items.finish(),
            Mapping::Record(fields) => fields.finish(),
        }
    }
}
