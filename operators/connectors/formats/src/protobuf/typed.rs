//! Protobuf by types that prost has generated.

use std::marker::PhantomData;

use hurtig_engine::record::Data;
use hurtig_operators::schema::{DeserializationSchema, SchemaError, SerializationSchema};
use prost::Message;

use super::schema::{Framing, ProtobufSchema, undecodable};
use crate::{error::Result, registry::SchemaRegistry};

/// Protobuf by a generated type, which also has serde's traits as all records do
/// (`prost_build::Config::type_attribute(".", "#[derive(serde::Serialize, serde::Deserialize)]")`).
/// It is faster than [`ProtobufFormat`](super::ProtobufFormat), and fixed when it is compiled.
pub struct ProstFormat<M> {
    /// What a registry calls it.
    schema: Option<ProtobufSchema>,
    framing: Framing,
    item: PhantomData<fn() -> M>,
}

impl<M> ProstFormat<M> {
    /// Messages that hold an `M` and nothing else.
    pub const fn new() -> Self {
        ProstFormat { schema: None, framing: Framing::Plain, item: PhantomData }
    }

    /// Messages name the schema that they were written by; what is written is registered in `subject`.
    /// `schema` is what `M` was generated from.
    pub fn register(mut self, schema: ProtobufSchema, registry: &SchemaRegistry, subject: &str) -> Result<Self> {
        self.framing = Framing::register(&schema, registry, subject)?;
        self.schema = Some(schema);
        Ok(self)
    }
}

impl<M> Default for ProstFormat<M> {
    fn default() -> Self {
        Self::new()
    }
}

impl<M> Clone for ProstFormat<M> {
    fn clone(&self) -> Self {
        ProstFormat { schema: self.schema.clone(), framing: self.framing.clone(), item: PhantomData }
    }
}

impl<M: Message + Default + Data> DeserializationSchema for ProstFormat<M> {
    type Item = M;

    #[inline]
    fn deserialize(&mut self, message: &[u8], out: &mut Vec<M>) -> Result<(), SchemaError> {
        let name = self.schema.as_ref().map_or(std::any::type_name::<M>(), ProtobufSchema::name);
        let data = self.framing.strip(message, name)?;
        out.push(M::decode(data).map_err(|e| undecodable(&e, name))?);
        Ok(())
    }
}

impl<M: Message + 'static> SerializationSchema<M> for ProstFormat<M> {
    #[inline]
    fn serialize(&mut self, value: &M, out: &mut Vec<u8>) -> Result<(), SchemaError> {
        if let Some(schema) = &self.schema {
            self.framing.put(schema, out)?;
        }
        value.encode(out).map_err(|e| e.to_string().into())
    }
}
