//! What a stream's message holds: one flat JSON object, or several one after the other, as the talk's
//! batch path puts them on the stream (`{…}{…}` without anything in between) or as lines.

use hurtig_operators::schema::{DeserializationSchema, SchemaError};
use memchr::memmem;
use serde_json::value::RawValue;

/// Takes a message apart into its objects, without looking into them: what they hold, and what is
/// broken, is the job's business.
#[derive(Debug, Clone, Copy, Default)]
pub struct StreamLines;

impl DeserializationSchema for StreamLines {
    type Item = Vec<u8>;

    fn deserialize(&mut self, message: &[u8], out: &mut Vec<Vec<u8>>) -> Result<(), SchemaError> {
        let message = message.trim_ascii();
        // Nearly always one object: nothing to take apart.
        if memmem::find(message, b"}{").is_none() && memchr::memchr(b'\n', message).is_none() {
            out.push(message.to_vec());
            return Ok(());
        }
        let mut objects = serde_json::Deserializer::from_slice(message).into_iter::<&RawValue>();
        let mut read = 0;
        while let Some(Ok(object)) = objects.next() {
            out.push(object.get().as_bytes().to_vec());
            read = objects.byte_offset();
        }
        // From where it is broken on nobody can say where the next one begins.
        let rest = message.get(read..).unwrap_or_default().trim_ascii();
        if !rest.is_empty() {
            out.push(rest.to_vec());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(message: &str) -> Vec<String> {
        let mut out = Vec::new();
        StreamLines.deserialize(message.as_bytes(), &mut out).expect("lines");
        out.into_iter().map(|l| String::from_utf8(l).expect("text")).collect()
    }

    #[test]
    fn a_message_holds_one_object_or_many() {
        assert_eq!(lines("{\"a\":1}\n"), ["{\"a\":1}"]);
        assert_eq!(lines("{\"a\":\"}{\"}"), ["{\"a\":\"}{\"}"]);
        assert_eq!(lines("{\"a\":1}{\"a\":2}\n{\"a\":3}"), ["{\"a\":1}", "{\"a\":2}", "{\"a\":3}"]);
        assert_eq!(lines("{\"a\":{\n\"b\":2}}"), ["{\"a\":{\n\"b\":2}}"]);
    }

    #[test]
    fn what_is_broken_is_kept_and_spoils_nothing_before_it() {
        assert_eq!(lines("{\"a\":1}{\"a\":2}{\"a\":"), ["{\"a\":1}", "{\"a\":2}", "{\"a\":"]);
        assert_eq!(lines("{]}{\"a\":2}"), ["{]}{\"a\":2}"]);
        assert_eq!(lines("  "), [""]);
    }
}
