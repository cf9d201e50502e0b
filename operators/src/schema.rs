//! What stands in a message: bytes to values, and values to bytes.
//!
//! A connector that carries messages (Kinesis, Kafka) knows nothing of what is in them; a
//! [`DeserializationSchema`] makes values of a message, a [`SerializationSchema`] a message of a
//! value. Both are Flink's words. A [`SchemaError`] says why not, in one line: what is refused goes to
//! the dead letters together with that line; where nothing is wrong with it, the job fails instead.
//!
//! What needs nothing else is here: [`JsonFormat`], [`CsvFormat`], [`RawFormat`] and
//! [`TextFormat`]. Avro and Protobuf, with or without a schema registry, are in `hurtig-formats`.
//!
//! ```
//! use hurtig_operators::schema::{DeserializationSchema, JsonFormat, SerializationSchema};
//!
//! let mut json = JsonFormat::<(String, f64)>::new();
//! let mut values = Vec::new();
//! json.deserialize(br#"["a",1.5]["b",2]"#, &mut values)?;
//! assert_eq!(values, [("a".into(), 1.5), ("b".into(), 2.0)]);
//!
//! let mut message = Vec::new();
//! json.serialize(&values[0], &mut message)?;
//! assert_eq!(message, br#"["a",1.5]"#);
//! # Ok::<(), hurtig_operators::schema::SchemaError>(())
//! ```

mod csv;
mod error;
mod json;
mod raw;

use hurtig_engine::record::Data;

pub use csv::CsvFormat;
pub use error::SchemaError;
pub use json::JsonFormat;
pub use raw::{RawFormat, TextFormat};

/// Flink's `DeserializationSchema`: the bytes of one message become values.
pub trait DeserializationSchema: Clone + Send + Sync + 'static {
    /// What a message holds.
    type Item: Data;

    /// Appends what the message holds to `out`: none, one or many values.
    ///
    /// After an `Err` nothing of the message was appended.
    fn deserialize(&mut self, message: &[u8], out: &mut Vec<Self::Item>) -> Result<(), SchemaError>;
}

/// Flink's `SerializationSchema`: a value becomes the bytes of one message.
pub trait SerializationSchema<T>: Clone + Send + Sync + 'static {
    /// Appends the message's bytes to `out`.
    ///
    /// What was appended before an `Err` is taken off again by the caller.
    fn serialize(&mut self, value: &T, out: &mut Vec<u8>) -> Result<(), SchemaError>;
}
