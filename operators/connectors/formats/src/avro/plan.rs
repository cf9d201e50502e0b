//! How bytes that were written by one schema are read by another: worked out once, walked often.
//!
//! A plan is the writer's schema with every decision of Avro's schema resolution taken: which
//! fields the reader has and by which names, what it has instead where the writer has none, which
//! symbol stands for which. A writer's plan is that of a schema with itself.

use std::collections::HashMap;

use apache_avro::schema::{EnumSchema, Name, Namespace, RecordField, RecordSchema, ResolvedSchema, Schema};

use super::default::encode_default;

/// The number of a node in its plan.
pub(super) type NodeId = usize;

/// One type, resolved.
#[derive(Debug)]
pub(super) enum Node {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    Fixed(usize),
    /// `fixed`: its size, where it is not `bytes`.
    Decimal {
        scale: usize,
        fixed: Option<usize>,
    },
    /// The reader's symbol for each of the writer's; `None`: it has none.
    Enum(Vec<Option<String>>),
    Array(NodeId),
    Map(NodeId),
    /// By the writer's branch.
    Union(Vec<NodeId>),
    Record(Record),
    /// The reader cannot take what the writer wrote: why.
    Never(String),
}

/// A record: what the writer wrote, in its order, and what the reader has beyond it.
#[derive(Debug, Default)]
pub(super) struct Record {
    pub name: String,
    pub fields: Vec<Field>,
    /// The fields that only the reader has: their names, types and default values, encoded.
    pub defaults: Vec<(String, NodeId, Vec<u8>)>,
}

#[derive(Debug)]
pub(super) struct Field {
    /// The reader's name for it; `None`: it has no such field.
    pub name: Option<String>,
    pub node: NodeId,
    /// What is written where the value has no such field.
    pub default: Option<Vec<u8>>,
}

/// All types of a schema, resolved.
#[derive(Debug)]
pub(super) struct Plan {
    nodes: Vec<Node>,
    pub root: NodeId,
}

/// A schema and what it refers to.
#[derive(Debug)]
pub(super) struct Schemata {
    pub schema: Schema,
    /// Everything, `schema` too: where names are looked up.
    pub all: Vec<Schema>,
}

type Names<'s> = HashMap<Name, &'s Schema>;

impl Plan {
    /// The plan for reading what `writer` wrote as `reader` has it.
    pub fn new(writer: &Schemata, reader: &Schemata) -> Result<Self, String> {
        let (writers, readers) = (names(writer)?, names(reader)?);
        let mut building = Building { writers, readers, nodes: Vec::new(), known: HashMap::new() };
        let root = building.both((&writer.schema, &None), (&reader.schema, &None))?;
        Ok(Plan { nodes: building.nodes, root })
    }

    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id]
    }
}

fn names(schemata: &Schemata) -> Result<Names<'_>, String> {
    let resolved = ResolvedSchema::try_from(schemata.all.iter().collect::<Vec<_>>());
    Ok(resolved.map_err(|e| e.to_string())?.get_names().clone())
}

/// A schema where it stands: names in it are looked up in the namespace around it.
type Placed<'s> = (&'s Schema, &'s Namespace);

struct Building<'s> {
    writers: Names<'s>,
    readers: Names<'s>,
    nodes: Vec<Node>,
    /// Named types by their names in the writer and the reader: a type may contain itself.
    known: HashMap<(String, String), NodeId>,
}

/// Follows a reference.
fn settle<'x, 's: 'x>((schema, namespace): Placed<'x>, names: &Names<'s>) -> Result<(&'x Schema, Namespace), String> {
    match schema {
        Schema::Ref { name } => {
            let full = name.fully_qualified_name(namespace);
            let found = names.get(&full).ok_or_else(|| format!("the schema has no type '{}'", full.fullname(None)))?;
            Ok((*found, full.namespace))
        }
        other => Ok((other, namespace.clone())),
    }
}

fn full_name(schema: &Schema, namespace: &Namespace) -> Option<String> {
    schema.name().map(|n| n.fullname(namespace.clone()))
}

impl<'s> Building<'s> {
    fn push(&mut self, node: Node) -> NodeId {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    fn never(&mut self, writer: &Schema, reader: &Schema) -> NodeId {
        self.push(Node::Never(format!("the writer has {}, and the reader {}", kind(writer), kind(reader))))
    }

    /// The writer's schema read by the reader's.
    fn both<'x>(&mut self, writer: Placed<'x>, reader: Placed<'x>) -> Result<NodeId, String>
    where
        's: 'x,
    {
        let (w, w_space) = settle(writer, &self.writers)?;
        let (r, r_space) = settle(reader, &self.readers)?;
        if let (Schema::Union(union), _) = (w, r) {
            let place = self.push(Node::Null);
            let branches = union.variants().iter().map(|b| self.both((b, &w_space), (r, &r_space)));
            let branches = branches.collect::<Result<Vec<_>, _>>()?;
            self.nodes[place] = Node::Union(branches);
            return Ok(place);
        }
        if let Schema::Union(union) = r {
            // The first that is of the writer's type, and only then one that it can become.
            for exactly in [true, false] {
                for branch in union.variants() {
                    let (b, b_space) = settle((branch, &r_space), &self.readers)?;
                    if fits(w, &w_space, b, &b_space, exactly) {
                        return self.both((w, &w_space), (b, &b_space));
                    }
                }
            }
            return Ok(self.never(w, r));
        }
        if !fits(w, &w_space, r, &r_space, false) {
            return Ok(self.never(w, r));
        }
        let key = full_name(w, &w_space).zip(full_name(r, &r_space));
        if let Some(id) = key.as_ref().and_then(|k| self.known.get(k)) {
            return Ok(*id);
        }
        let place = self.push(Node::Null);
        if let Some(key) = key {
            self.known.insert(key, place);
        }
        self.nodes[place] = match (w, r) {
            (Schema::Record(w), Schema::Record(r)) => Node::Record(self.record(w, &w_space, r, &r_space)?),
            (Schema::Enum(w), Schema::Enum(r)) => Node::Enum(symbols(w, r)),
            (Schema::Array(w), Schema::Array(r)) => Node::Array(self.both((&w.items, &w_space), (&r.items, &r_space))?),
            (Schema::Map(w), Schema::Map(r)) => Node::Map(self.both((&w.types, &w_space), (&r.types, &r_space))?),
            // Bytes may become a string and a string bytes: the reader says what it is.
            (Schema::Bytes | Schema::String, Schema::Bytes) => Node::Bytes,
            (Schema::Bytes | Schema::String, Schema::String) => Node::String,
            (w, _) => leaf(w),
        };
        Ok(place)
    }

    fn record(
        &mut self,
        w: &RecordSchema,
        w_space: &Namespace,
        r: &RecordSchema,
        r_space: &Namespace,
    ) -> Result<Record, String> {
        let inside = |s: &RecordSchema, space: &Namespace| s.name.fully_qualified_name(space).namespace;
        let (w_space, r_space) = (inside(w, w_space), inside(r, r_space));
        let mut record = Record { name: r.name.name.clone(), ..Record::default() };
        let mut taken = vec![false; r.fields.len()];
        for field in &w.fields {
            let found = r.fields.iter().position(|f| f.name == field.name);
            let found = found.or_else(|| r.fields.iter().position(|f| has_alias(f, &field.name)));
            let (name, node) = match found {
                Some(i) if !taken[i] => {
                    taken[i] = true;
                    let theirs = &r.fields[i];
                    (Some(theirs.name.clone()), self.both((&field.schema, &w_space), (&theirs.schema, &r_space))?)
                }
                _ => (None, self.itself((&field.schema, &w_space), false)?),
            };
            let default = default_of(field);
            let default = default.map(|d| encode_default((&field.schema, &w_space), d, &self.writers)).transpose()?;
            record.fields.push(Field { name, node, default });
        }
        for (field, _) in r.fields.iter().zip(taken).filter(|(_, taken)| !taken) {
            let Some(default) = default_of(field) else {
                // Found out message by message: an older writer's need not be in the stream.
                let why = format!("the writer has no field '{}', and the reader no default for it", field.name);
                let never = self.push(Node::Never(why));
                record.defaults.push((field.name.clone(), never, Vec::new()));
                continue;
            };
            let bytes = encode_default((&field.schema, &r_space), default, &self.readers)?;
            let node = self.itself((&field.schema, &r_space), true)?;
            record.defaults.push((field.name.clone(), node, bytes));
        }
        Ok(record)
    }

    /// A schema by itself: of the reader for what it has by default, of the writer for what is skipped.
    fn itself(&mut self, schema: Placed<'_>, reader: bool) -> Result<NodeId, String> {
        let (writers, readers) = (self.writers.clone(), self.readers.clone());
        let known = std::mem::take(&mut self.known);
        if reader {
            self.writers = readers.clone();
        } else {
            self.readers = writers.clone();
        }
        let node = self.both(schema, schema);
        (self.writers, self.readers, self.known) = (writers, readers, known);
        node
    }
}

/// A field's default, where the parser was made to leave it.
pub(super) fn default_of(field: &RecordField) -> Option<&serde_json::Value> {
    field.custom_attributes.get(super::DEFAULT)
}

fn has_alias(field: &RecordField, name: &str) -> bool {
    field.aliases.as_ref().is_some_and(|all| all.iter().any(|a| a == name))
}

fn symbols(w: &EnumSchema, r: &EnumSchema) -> Vec<Option<String>> {
    let theirs = |s: &String| if r.symbols.contains(s) { Some(s.clone()) } else { r.default.clone() };
    w.symbols.iter().map(theirs).collect()
}

/// What has nothing inside.
fn leaf(schema: &Schema) -> Node {
    match schema {
        Schema::Null => Node::Null,
        Schema::Boolean => Node::Boolean,
        Schema::Int | Schema::Date | Schema::TimeMillis => Node::Int,
        Schema::Float => Node::Float,
        Schema::Double => Node::Double,
        Schema::Bytes | Schema::BigDecimal => Node::Bytes,
        Schema::String | Schema::Uuid => Node::String,
        Schema::Fixed(fixed) => Node::Fixed(fixed.size),
        Schema::Duration => Node::Fixed(12),
        Schema::Decimal(decimal) => Node::Decimal {
            scale: decimal.scale,
            fixed: match &*decimal.inner {
                Schema::Fixed(fixed) => Some(fixed.size),
                _ => None,
            },
        },
        _ => Node::Long,
    }
}

/// Whether what `w` writes can be read as `r`; `exactly`: without becoming another type.
fn fits(w: &Schema, w_space: &Namespace, r: &Schema, r_space: &Namespace, exactly: bool) -> bool {
    use Schema as S;
    let number = |s: &Schema| match s {
        S::Int | S::Date | S::TimeMillis => Some(0),
        S::Float => Some(2),
        S::Double => Some(3),
        s if matches!(leaf(s), Node::Long) && !is_complex(s) => Some(1),
        _ => None,
    };
    let same_name = || {
        let (w, r) = (w.name().map(|n| &n.name), r.name().map(|n| &n.name));
        w == r
    };
    let full = || full_name(w, w_space) == full_name(r, r_space);
    match (w, r) {
        (S::Union(_), _) | (_, S::Union(_)) => true,
        // Names count where there is a choice; a record of another name is still read by its fields,
        // as Avro's own readers do.
        (S::Record(_), S::Record(_)) => !exactly || full() || same_name(),
        (S::Enum(_), S::Enum(_)) => !exactly || full() || same_name(),
        (S::Array(_), S::Array(_)) | (S::Map(_), S::Map(_)) => true,
        (S::Fixed(a), S::Fixed(b)) => a.size == b.size,
        (S::Decimal(a), S::Decimal(b)) => a.scale == b.scale,
        (S::Duration, S::Duration) | (S::BigDecimal, S::BigDecimal | S::Bytes) => true,
        (S::Boolean, S::Boolean) | (S::Null, S::Null) => true,
        (S::String | S::Uuid, S::String | S::Uuid) | (S::Bytes, S::Bytes) => true,
        (S::String, S::Bytes) | (S::Bytes, S::String) => !exactly,
        (w, r) => match (number(w), number(r)) {
            (Some(a), Some(b)) => a == b || a < b && !exactly,
            _ => false,
        },
    }
}

fn is_complex(schema: &Schema) -> bool {
    matches!(
        schema,
        Schema::Record(_) | Schema::Enum(_) | Schema::Array(_) | Schema::Map(_) | Schema::Union(_) | Schema::Ref { .. }
    )
}

/// What a schema is called in a reason.
pub(super) fn kind(schema: &Schema) -> String {
    match schema {
        Schema::Record(r) => format!("the record '{}'", r.name.name),
        Schema::Enum(e) => format!("the enum '{}'", e.name.name),
        Schema::Fixed(f) => format!("fixed({})", f.size),
        Schema::Decimal(d) => format!("decimal({}, {})", d.precision, d.scale),
        Schema::Array(_) => "an array".into(),
        Schema::Map(_) => "a map".into(),
        Schema::Union(u) => u.variants().iter().map(kind).collect::<Vec<_>>().join(" or "),
        Schema::Ref { name } => format!("'{}'", name.name),
        other => format!("{other:?}").to_lowercase(),
    }
}
