//! Which message it is, where its description comes from, and what precedes it on the wire.

use std::{collections::HashMap, path::Path};

use hurtig_operators::schema::SchemaError;
use prost_reflect::{DescriptorPool, FileDescriptor, MessageDescriptor, prost::DecodeError};
use protox::{
    Compiler,
    file::{ChainFileResolver, File, FileResolver, GoogleFileResolver},
};

use crate::{
    error::{Error, Result, one_line},
    registry::{RegisteredSchema, SchemaRegistry, SchemaType},
    wire::{self, Writers},
};

/// A message's description.
#[derive(Debug, Clone)]
pub struct ProtobufSchema {
    message: MessageDescriptor,
    /// What a registry would be given, and why it cannot be.
    text: Result<String, String>,
}

/// What a file is called that has no name.
const UNNAMED: &str = "schema.proto";

impl ProtobufSchema {
    /// The message `name` (with its package: `grid.Reading`) of a `.proto` file's text. It may import
    /// Google's well-known types.
    pub fn parse(proto: &str, name: &str) -> Result<Self> {
        let pool = compile(proto, &[]).map_err(|e| Error::schema("Protobuf schema", e))?;
        Self::of(&pool, name, "Protobuf schema", Ok(proto.to_owned()))
    }

    /// The message `name` of a `.proto` file; what it imports is looked for below `includes`, or where
    /// the file is if there are none.
    pub fn from_file(path: impl AsRef<Path>, includes: &[&Path], name: &str) -> Result<Self> {
        let path = path.as_ref();
        let shown = path.display().to_string();
        let io = |source| Error::Io { path: path.to_owned(), source };
        let text = std::fs::read_to_string(path).map_err(io)?;
        let own = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let includes = if includes.is_empty() { vec![own] } else { includes.to_vec() };
        let wrong = |e: protox::Error| Error::schema(shown.clone(), e);
        let mut compiler = Compiler::new(includes).map_err(wrong)?;
        compiler.include_imports(true).open_file(path).map_err(wrong)?;
        let pool = compiler.descriptor_pool();
        let mut imports = pool.files().filter(|f| !f.name().starts_with("google/protobuf/"));
        let text = match imports.nth(1) {
            None => Ok(text),
            Some(_) => Err("it imports other files: register them and it by hand, and read it from there".into()),
        };
        Self::of(&pool, name, &shown, text)
    }

    /// The message `name` of a descriptor set (`protoc --include_imports --descriptor_set_out=FILE`).
    pub fn from_descriptor_set(bytes: &[u8], name: &str) -> Result<Self> {
        let wrong = |e: &dyn std::fmt::Display| Error::schema("Protobuf descriptor set", e);
        let pool = DescriptorPool::decode(bytes).map_err(|e| wrong(&e))?;
        let text = Err("it comes from a descriptor set: a registry wants its .proto file".to_owned());
        Self::of(&pool, name, "Protobuf descriptor set", text)
    }

    fn of(pool: &DescriptorPool, name: &str, shown: &str, text: Result<String, String>) -> Result<Self> {
        let message = pool.get_message_by_name(name).ok_or_else(|| {
            let all = pool.all_messages().filter(|m| !m.is_map_entry() && !m.package_name().starts_with("google."));
            let all = all.map(|m| m.full_name().to_owned()).collect::<Vec<_>>().join(", ");
            Error::schema(shown, format!("it has no message '{name}'; its messages are {all}"))
        })?;
        Ok(ProtobufSchema { message, text })
    }

    /// The message's full name.
    pub fn name(&self) -> &str {
        self.message.full_name()
    }

    pub(super) fn message(&self) -> &MessageDescriptor {
        &self.message
    }
}

/// Files in memory.
struct Texts(HashMap<String, String>);

impl FileResolver for Texts {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        match self.0.get(name) {
            Some(text) => File::from_source(name, text),
            None => Err(protox::Error::file_not_found(name)),
        }
    }
}

fn compile(text: &str, imports: &[(String, String)]) -> Result<DescriptorPool, String> {
    let mut files: HashMap<_, _> = imports.iter().cloned().collect();
    files.insert(UNNAMED.into(), text.to_owned());
    let mut resolver = ChainFileResolver::new();
    resolver.add(Texts(files));
    resolver.add(GoogleFileResolver::new());
    let mut compiler = Compiler::with_file_resolver(resolver);
    compiler.include_imports(true).open_file(UNNAMED).map_err(|e| one_line(&e.to_string()))?;
    Ok(compiler.descriptor_pool())
}

/// A decoder's words in one line.
#[cold]
pub(super) fn undecodable(e: &DecodeError, name: &str) -> String {
    let words = e.to_string();
    let words = words.strip_prefix("failed to decode Protobuf message: ").unwrap_or(&words);
    format!("not a message {name}: {}", one_line(words))
}

/// What precedes a message.
#[derive(Debug, Clone)]
pub(super) enum Framing {
    /// Nothing.
    Plain,
    /// 0, the schema's id, and which of its messages it is.
    Registry { own: Option<u32>, writers: Writers<FileDescriptor> },
}

impl Framing {
    pub fn reading(registry: &SchemaRegistry) -> Self {
        Framing::Registry { own: None, writers: Writers::new(registry.clone()) }
    }

    pub fn from_registry(registry: &SchemaRegistry, subject: &str, name: &str) -> Result<(ProtobufSchema, Self)> {
        let latest = registry.latest(subject)?;
        registry.prefetch(subject)?;
        let shown = format!("subject '{subject}'");
        let file = file_of(&latest).map_err(|e| Error::schema(shown.clone(), e))?;
        let schema = ProtobufSchema::of(file.parent_pool(), name, &shown, Ok(latest.schema.clone()))?;
        if schema.message.parent_file() != file {
            let reason = format!("the message '{name}' is in a file that it imports: name that one's subject");
            return Err(Error::schema(shown, reason));
        }
        let framing = Framing::Registry { own: Some(latest.id), writers: Writers::new(registry.clone()) };
        Ok((schema, framing))
    }

    pub fn register(schema: &ProtobufSchema, registry: &SchemaRegistry, subject: &str) -> Result<Self> {
        let text = schema.text.clone().map_err(|e| Error::schema(format!("message '{}'", schema.name()), e))?;
        let registered = RegisteredSchema {
            id: 0,
            schema: text,
            schema_type: SchemaType::Protobuf,
            references: Vec::new(),
            imports: Vec::new(),
        };
        let own = registry.register(subject, &registered)?;
        registry.prefetch(subject)?;
        Ok(Framing::Registry { own: Some(own), writers: Writers::new(registry.clone()) })
    }

    /// The message behind what precedes it, which must be a message `name`.
    #[inline]
    pub fn strip<'a>(&mut self, message: &'a [u8], name: &str) -> Result<&'a [u8], SchemaError> {
        let Framing::Registry { writers, .. } = self else { return Ok(message) };
        let (id, rest) = wire::split(message)?;
        let (path, data) = message_path(rest)?;
        let file = writers.get(id, file_of)?;
        match at(&file, &path) {
            Some(written) if written.full_name() == name => Ok(data),
            Some(written) => Err(format!("it is a message {}, and not {name}", written.full_name()).into()),
            None => Err(format!("schema {id} has no message {path:?}").into()),
        }
    }

    /// Writes what precedes a message.
    pub fn put(&self, schema: &ProtobufSchema, out: &mut Vec<u8>) -> Result<(), String> {
        let Framing::Registry { own, .. } = self else { return Ok(()) };
        let Some(id) = own else {
            return Err("the Protobuf format has no schema id to write: register its schema in a subject".into());
        };
        wire::put_header(*id, out);
        // The path in a descriptor has a field's number before each index.
        let path: Vec<i64> = schema.message.path().iter().skip(1).step_by(2).map(|i| i64::from(*i)).collect();
        if path == [0] {
            // By far the most frequent one has a short form.
            out.push(0);
            return Ok(());
        }
        wire::put_long(path.len() as i64, out);
        path.iter().for_each(|i| wire::put_long(*i, out));
        Ok(())
    }
}

/// The file of a registered schema, with all it imports.
fn file_of(schema: &RegisteredSchema) -> Result<FileDescriptor, String> {
    if schema.schema_type != SchemaType::Protobuf {
        return Err(format!("it is {:?}, and not Protobuf", schema.schema_type));
    }
    let pool = compile(&schema.schema, &schema.imports)?;
    pool.get_file_by_name(UNNAMED).ok_or_else(|| "it has no file".into())
}

/// The message at a path: the first index among the file's messages, the next inside that one.
fn at(file: &FileDescriptor, path: &[usize]) -> Option<MessageDescriptor> {
    let (first, rest) = path.split_first()?;
    let mut message = file.messages().nth(*first)?;
    for index in rest {
        let next = message.child_messages().nth(*index)?;
        message = next;
    }
    Some(message)
}

/// Messages inside messages inside messages.
const MAX_PATH: usize = 32;

/// Which message it is, and what is behind that.
fn message_path(bytes: &[u8]) -> Result<(Vec<usize>, &[u8]), String> {
    let mut at = 0;
    let mut number = || {
        let n = wire::long(bytes, &mut at, "the number of the message")?;
        usize::try_from(n).map_err(|_| format!("{n} is the number of no message"))
    };
    let count = number()?;
    if count > MAX_PATH {
        return Err(format!("a path of {count} messages is none"));
    }
    let path = (0..count).map(|_| number()).collect::<Result<Vec<_>, _>>()?;
    // By far the most frequent one has a short form.
    let path = if path.is_empty() { vec![0] } else { path };
    Ok((path, &bytes[at..]))
}
