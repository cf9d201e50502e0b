//! Avro: messages with a schema that is known beforehand, named by a fingerprint, or by a registry's id.
//!
//! apache-avro reads the schemas and takes their fingerprints. The data is read and written here, by
//! plans made of a writer's and a reader's schema, straight into the job's type. No library does this;
//! tried with this package's tests were:
//!
//! - apache-avro 0.22 (and 0.23.0-rc0): resolves two schemas only in a tree of values, and panics where
//!   it is to read straight into a type with a reader's schema. A decimal is neither text nor number to
//!   it, a union of records no enum, a type must be called as its record. Eleven bytes that announce
//!   2^62 items without bytes keep it busy for ever.
//! - serde_avro_fast 2.1: has no reader's schema, so no aliases, no defaults of fields or of enums. It
//!   rounds a decimal that has too many places, stops at 28 digits, takes bytes only from types made
//!   for them, and does not say in which field or at which byte a message is broken.

mod bytes;
mod de;
mod decimal;
mod default;
mod plan;
mod ser;

use std::{marker::PhantomData, path::Path, sync::Arc};

use apache_avro::{Schema, rabin::Rabin};
use hurtig_engine::record::Data;
use hurtig_operators::schema::{DeserializationSchema, SchemaError, SerializationSchema};
use serde::Serialize;
use serde_json::Value;

use self::{
    bytes::Input,
    de::Datum,
    plan::{Plan, Schemata},
    ser::Writing,
};
use crate::{
    error::{Error, Result},
    registry::{RegisteredSchema, SchemaRegistry, SchemaType},
    wire::{self, Writers},
};

/// Avro, read into the job's own type by serde; no code is generated.
///
/// The format's schema is the *reader's*, and that of what is written. Fields are matched by name: of
/// the schema and of `T`. `docs/connectors/formats.md` says which Avro type becomes which of Rust's.
///
/// ```
/// use hurtig_formats::AvroFormat;
/// use hurtig_operators::schema::{DeserializationSchema, SerializationSchema};
///
/// #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
/// struct Reading {
///     meter: String,
///     kwh: Option<f64>,
/// }
///
/// let schema = r#"{"type": "record", "name": "Reading", "fields": [
///     {"name": "meter", "type": "string"}, {"name": "kwh", "type": ["null", "double"], "default": null}]}"#;
/// let mut avro = AvroFormat::<Reading>::new(schema)?;
/// let mut message = Vec::new();
/// avro.serialize(&Reading { meter: "m-7".into(), kwh: Some(1.5) }, &mut message)?;
/// assert_eq!(message, b"\x06m-7\x02\x00\x00\x00\x00\x00\x00\xf8\x3f");
///
/// let mut readings = Vec::new();
/// avro.deserialize(&message, &mut readings)?;
/// assert_eq!(readings[0].kwh, Some(1.5));
/// let reason = avro.deserialize(&message[..6], &mut readings).unwrap_err();
/// assert_eq!(reason.to_string(), "byte 5: field 'kwh': the message ends inside a double");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct AvroFormat<T> {
    reader: Arc<Reader>,
    framing: Framing,
    item: PhantomData<fn() -> T>,
}

/// The format's own schema.
#[derive(Debug)]
struct Reader {
    schemata: Schemata,
    text: String,
    own: Arc<Plan>,
}

/// What precedes the data.
#[derive(Debug, Clone)]
enum Framing {
    /// Nothing: all messages are written by one schema.
    Plain { writer: Arc<Plan> },
    /// C3 01 and the fingerprint of the writer's schema (Avro's single-object encoding).
    SingleObject { own: [u8; 8], writers: Vec<([u8; 8], Arc<Plan>)> },
    /// 0 and the writer's schema id. `own`: where what is written is registered.
    Registry { own: Option<u32>, writers: Writers<Plan> },
}

impl<T> Clone for AvroFormat<T> {
    fn clone(&self) -> Self {
        AvroFormat { reader: self.reader.clone(), framing: self.framing.clone(), item: PhantomData }
    }
}

impl<T> AvroFormat<T> {
    /// The schema in `json`, for messages that hold the data and nothing else.
    pub fn new(json: &str) -> Result<Self> {
        Self::with(json, &[], "Avro schema")
    }

    /// The schema in a file (`.avsc`).
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
        Self::with(&text, &[], &path.display().to_string())
    }

    /// The newest schema of `subject`; messages name the schema that they were written by.
    pub fn from_registry(registry: &SchemaRegistry, subject: &str) -> Result<Self> {
        let latest = registry.latest(subject)?;
        registry.prefetch(subject)?;
        let mut format = Self::with(&latest.schema, &latest.imports, &format!("subject '{subject}'"))?;
        format.framing = Framing::Registry { own: Some(latest.id), writers: Writers::new(registry.clone()) };
        Ok(format)
    }

    /// Messages name the schema that they were written by; what is written is registered in `subject`.
    pub fn register(mut self, registry: &SchemaRegistry, subject: &str) -> Result<Self> {
        let own = registry.register(subject, &registered(&self.reader.text))?;
        registry.prefetch(subject)?;
        self.framing = Framing::Registry { own: Some(own), writers: Writers::new(registry.clone()) };
        Ok(self)
    }

    /// Messages name the schema that they were written by, and are read by this one. To be written,
    /// [`register`](Self::register) it.
    #[must_use]
    pub fn registry(mut self, registry: &SchemaRegistry) -> Self {
        self.framing = Framing::Registry { own: None, writers: Writers::new(registry.clone()) };
        self
    }

    /// Messages begin with a fingerprint of the schema that they were written by (Avro's single-object
    /// encoding). Others than this one are told by [`writer_schema`](Self::writer_schema).
    pub fn single_object(mut self) -> Result<Self> {
        let own = fingerprint(&self.reader.text).map_err(|e| Error::schema("Avro schema", e))?;
        self.framing = Framing::SingleObject { own, writers: vec![(own, self.reader.own.clone())] };
        Ok(self)
    }

    /// The schema that messages were written by, where it is another than that they are read by: the
    /// one of all plain messages, one more of single objects. A registry tells them itself.
    pub fn writer_schema(mut self, json: &str) -> Result<Self> {
        let writer = schemata(json, &[]).map_err(|e| Error::schema("Avro schema of the writer", e))?;
        let plan = Plan::new(&writer, &self.reader.schemata);
        let plan = Arc::new(plan.map_err(|e| Error::schema("Avro schema of the writer", e))?);
        match &mut self.framing {
            Framing::Plain { writer } => *writer = plan,
            Framing::SingleObject { writers, .. } => {
                let fingerprint = fingerprint(json).map_err(|e| Error::schema("Avro schema of the writer", e))?;
                writers.retain(|(known, _)| *known != fingerprint);
                writers.push((fingerprint, plan));
            }
            Framing::Registry { .. } => {
                return Err(Error::schema("Avro schema of the writer", "the registry has it: do not give one"));
            }
        }
        Ok(self)
    }

    fn with(json: &str, imports: &[(String, String)], name: &str) -> Result<Self> {
        let schemata = schemata(json, imports).map_err(|e| Error::schema(name, e))?;
        let own = Arc::new(Plan::new(&schemata, &schemata).map_err(|e| Error::schema(name, e))?);
        let framing = Framing::Plain { writer: own.clone() };
        let reader = Arc::new(Reader { schemata, text: json.to_owned(), own });
        Ok(AvroFormat { reader, framing, item: PhantomData })
    }
}

impl<T: Data> DeserializationSchema for AvroFormat<T> {
    type Item = T;

    #[inline]
    fn deserialize(&mut self, message: &[u8], out: &mut Vec<T>) -> Result<(), SchemaError> {
        match &mut self.framing {
            Framing::Plain { writer } => out.push(read(writer, message, 0)?),
            Framing::SingleObject { writers, .. } => {
                let (named, data) = split_single_object(message)?;
                let found = writers.iter().find(|(f, _)| *f == named);
                let (_, plan) = found.ok_or_else(|| {
                    format!("no schema with the fingerprint {:016x} is known", u64::from_le_bytes(named))
                })?;
                out.push(read(plan, data, message.len() - data.len())?);
            }
            Framing::Registry { writers, .. } => {
                let (id, data) = wire::split(message)?;
                let reader = &self.reader;
                let plan = writers.get(id, |schema| plan_of(schema, reader))?;
                out.push(read(&plan, data, message.len() - data.len())?);
            }
        }
        Ok(())
    }
}

impl<T: Serialize + 'static> SerializationSchema<T> for AvroFormat<T> {
    #[inline]
    fn serialize(&mut self, value: &T, out: &mut Vec<u8>) -> Result<(), SchemaError> {
        match &self.framing {
            Framing::Plain { .. } => {}
            Framing::SingleObject { own, .. } => {
                out.extend(SINGLE_OBJECT);
                out.extend(own);
            }
            Framing::Registry { own: Some(id), .. } => wire::put_header(*id, out),
            Framing::Registry { own: None, .. } => {
                return Err("the Avro format has no schema id to write: register its schema in a subject".into());
            }
        }
        let plan = &self.reader.own;
        let written = value.serialize(Writing { plan, node: plan.root, out });
        written.map_err(|e| format!("the record cannot be written as Avro: {e}").into())
    }
}

/// The value of one message, of which `before` bytes came before its data.
#[inline]
fn read<T: Data>(plan: &Plan, data: &[u8], before: usize) -> Result<T, String> {
    let mut input = Input::new(data);
    match T::deserialize(Datum { plan, node: plan.root, input: &mut input }) {
        Ok(value) if input.left() == 0 => Ok(value),
        Ok(_) => Err(format!(
            "byte {}: {} bytes are left over behind the record; was it written by another schema?",
            before + input.at,
            input.left()
        )),
        Err(e) => Err(format!("byte {}: {e}", before + input.at)),
    }
}

fn plan_of(schema: &RegisteredSchema, reader: &Reader) -> Result<Plan, String> {
    if schema.schema_type != SchemaType::Avro {
        return Err(format!("it is {:?}, and not Avro", schema.schema_type));
    }
    Plan::new(&schemata(&schema.schema, &schema.imports)?, &reader.schemata)
}

fn registered(text: &str) -> RegisteredSchema {
    RegisteredSchema {
        id: 0,
        schema: text.to_owned(),
        schema_type: SchemaType::Avro,
        references: Vec::new(),
        imports: Vec::new(),
    }
}

/// Parses a schema with what it refers to.
fn schemata(json: &str, imports: &[(String, String)]) -> Result<Schemata, String> {
    let plain = |text: &str| -> Result<String, String> {
        let mut value: Value = serde_json::from_str(text).map_err(|e| format!("it is no JSON: {e}"))?;
        forget_forms(&mut value);
        Ok(value.to_string())
    };
    let main = plain(json)?;
    if imports.is_empty() {
        let schema = Schema::parse_str(&main).map_err(|e| e.to_string())?;
        return Ok(Schemata { all: vec![schema.clone()], schema });
    }
    let imports = imports.iter().map(|(_, text)| plain(text)).collect::<Result<Vec<_>, _>>()?;
    let (schema, mut all) = Schema::parse_str_with_list(&main, imports).map_err(|e| e.to_string())?;
    all.push(schema.clone());
    Ok(Schemata { schema, all })
}

/// Takes off the logical types that only change how a value is shown, and which apache-avro tells
/// from one another less well than their forms: a UUID may be text or 16 bytes. Fields' defaults go
/// under another name: it refuses good ones (of a fixed decimal).
fn forget_forms(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if let Some(Value::String(logical)) = fields.get("logicalType")
                && matches!(logical.as_str(), "uuid" | "duration" | "big-decimal")
            {
                fields.remove("logicalType");
            }
            for (key, value) in fields.iter_mut().filter(|(key, _)| *key != "default") {
                forget_forms(value);
                if key == "fields" {
                    value.as_array_mut().into_iter().flatten().for_each(hide_default);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(forget_forms),
        _ => {}
    }
}

fn hide_default(field: &mut Value) {
    if let Value::Object(field) = field
        && let Some(default) = field.remove("default")
    {
        field.insert(DEFAULT.into(), default);
    }
}

/// Where a field's default is.
const DEFAULT: &str = "hurtig.default";

const SINGLE_OBJECT: [u8; 2] = [0xc3, 0x01];

/// The fingerprint of a schema's canonical form, in which logical types are not: apache-avro keeps the
/// braces that were around them.
fn fingerprint(json: &str) -> Result<[u8; 8], String> {
    fn plain(schema: &mut Value) {
        match schema {
            Value::Object(fields) => {
                fields.remove("logicalType");
                fields.iter_mut().filter(|(key, _)| *key != "default").for_each(|(_, value)| plain(value));
                fields.get_mut("fields").and_then(Value::as_array_mut).into_iter().flatten().for_each(hide_default);
            }
            Value::Array(items) => items.iter_mut().for_each(plain),
            _ => {}
        }
    }
    let mut value: Value = serde_json::from_str(json).map_err(|e| e.to_string())?;
    plain(&mut value);
    let schema = Schema::parse(&value).map_err(|e| e.to_string())?;
    let bytes: Result<[u8; 8], _> = schema.fingerprint::<Rabin>().bytes.try_into();
    bytes.map_err(|_| "its fingerprint is not of 8 bytes".into())
}

fn split_single_object(message: &[u8]) -> Result<([u8; 8], &[u8]), String> {
    let named = message.strip_prefix(&SINGLE_OBJECT).and_then(|rest| rest.split_first_chunk::<8>());
    let (named, data) =
        named.ok_or("the message does not begin with C3 01 and a fingerprint: it is no single object")?;
    Ok((*named, data))
}
