//! Avro and Protobuf in messages, with a schema file or a schema registry.
//!
//! [`AvroFormat`] and [`ProtobufFormat`] fill the job's own serde types without generated code;
//! [`ProstFormat`] is for types that `prost` has generated. All of them read and write plain
//! messages and those of a [`SchemaRegistry`] (Confluent's wire format), and are
//! [`DeserializationSchema`](hurtig_operators::schema::DeserializationSchema) and
//! [`SerializationSchema`](hurtig_operators::schema::SerializationSchema) like the light formats in
//! `hurtig_operators::schema`. `docs/connectors/formats.md` says what becomes of which type.

mod avro;
mod error;
mod field_error;
mod protobuf;
mod registry;
mod serde_methods;
mod wire;

pub use avro::AvroFormat;
pub use error::{Error, Result};
pub use protobuf::{ProstFormat, ProtobufFormat, ProtobufSchema};
pub use registry::{Reference, RegisteredSchema, SchemaRegistry, SchemaRegistryBuilder, SchemaType};
