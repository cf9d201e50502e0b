//! Messages as they are: bytes, or text.

use super::{DeserializationSchema, SchemaError, SerializationSchema};

/// A message is its bytes, whatever they are. Writes anything that is bytes or text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RawFormat;

impl DeserializationSchema for RawFormat {
    type Item = Vec<u8>;

    fn deserialize(&mut self, message: &[u8], out: &mut Vec<Vec<u8>>) -> Result<(), SchemaError> {
        out.push(message.to_vec());
        Ok(())
    }
}

impl<T: AsRef<[u8]>> SerializationSchema<T> for RawFormat {
    fn serialize(&mut self, value: &T, out: &mut Vec<u8>) -> Result<(), SchemaError> {
        out.extend_from_slice(value.as_ref());
        Ok(())
    }
}

/// A message is a text in UTF-8 (Flink's `SimpleStringSchema`, but for that a message that is no
/// UTF-8 goes to the dead letters, where Java puts replacement characters into it).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TextFormat;

impl DeserializationSchema for TextFormat {
    type Item = String;

    fn deserialize(&mut self, message: &[u8], out: &mut Vec<String>) -> Result<(), SchemaError> {
        out.push(text(message)?.to_owned());
        Ok(())
    }
}

impl<T: AsRef<str>> SerializationSchema<T> for TextFormat {
    fn serialize(&mut self, value: &T, out: &mut Vec<u8>) -> Result<(), SchemaError> {
        out.extend_from_slice(value.as_ref().as_bytes());
        Ok(())
    }
}

/// The message as text.
#[inline]
pub(super) fn text(message: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(message).map_err(|e| format!("the message is not UTF-8 from byte {} on", e.valid_up_to()))
}
