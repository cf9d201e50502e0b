//! JSON by serde: one value a message, or several one after the other.

use std::marker::PhantomData;

use hurtig_engine::record::Data;
use serde::{
    Serialize,
    de::{DeserializeOwned, IgnoredAny},
};

use super::{DeserializationSchema, SchemaError, SerializationSchema, raw::text};
use crate::connectors::files::json_lane;

/// JSON, read into the job's own type by serde.
///
/// A message may hold several values, each on its own line, with blanks between them or with
/// nothing at all (`{..}{..}`, as aggregators put them together). One that cannot be read sends the
/// whole message to the dead letters, with its number and its place.
#[derive(Debug)]
pub struct JsonFormat<T> {
    line_ends: bool,
    item: PhantomData<fn() -> T>,
}

impl<T> JsonFormat<T> {
    /// One value a message is written, and nothing behind it.
    pub const fn new() -> Self {
        JsonFormat { line_ends: false, item: PhantomData }
    }

    /// Puts a line end behind each value that is written: for what puts messages together to a file
    /// without a delimiter (Firehose).
    #[must_use]
    pub const fn line_ends(mut self) -> Self {
        self.line_ends = true;
        self
    }
}

impl<T> Default for JsonFormat<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Clone for JsonFormat<T> {
    fn clone(&self) -> Self {
        JsonFormat { line_ends: self.line_ends, item: PhantomData }
    }
}

impl<T: Data> DeserializationSchema for JsonFormat<T> {
    type Item = T;

    #[inline]
    fn deserialize(&mut self, message: &[u8], out: &mut Vec<T>) -> Result<(), SchemaError> {
        let text = text(message)?;
        let before = out.len();
        let mut at = blanks(text, 0);
        if at == text.len() {
            return Err("the message is empty: it should be JSON".into());
        }
        while at < text.len() {
            let (value, length) = match json_lane::first(&text[at..]) {
                Some(first) => first,
                None => match first_by_sonic(&text[at..]) {
                    Ok(first) => first,
                    Err((what, byte)) => {
                        let number = out.len() - before + 1;
                        out.truncate(before);
                        return Err(not_json(&what, number, at + byte).into());
                    }
                },
            };
            out.push(value);
            at = blanks(text, at + length);
        }
        Ok(())
    }
}

impl<T: Serialize + 'static> SerializationSchema<T> for JsonFormat<T> {
    #[inline]
    fn serialize(&mut self, value: &T, out: &mut Vec<u8>) -> Result<(), SchemaError> {
        serde_json::to_writer(&mut *out, value).map_err(|e| format!("the record cannot be written as JSON: {e}"))?;
        if self.line_ends {
            out.push(b'\n');
        }
        Ok(())
    }
}

/// Where the blanks at `at` end.
#[inline]
fn blanks(text: &str, at: usize) -> usize {
    at + text.as_bytes()[at..].iter().take_while(|b| matches!(b, b' ' | b'\t' | b'\n' | b'\r')).count()
}

/// The general parser: the value at the beginning, and its length; or what is wrong, and at
/// which byte.
#[inline(never)]
fn first_by_sonic<T: DeserializeOwned>(text: &str) -> Result<(T, usize), (String, usize)> {
    // Nearly always it is the only one.
    if let Ok(value) = sonic_rs::from_str(text) {
        return Ok((value, text.len()));
    }
    // serde_json finds where it ends; it does not read every number to the last bit.
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<IgnoredAny>();
    let length = match stream.next() {
        Some(Ok(_)) => stream.byte_offset(),
        Some(Err(e)) => {
            let lines = text.split_inclusive('\n').take(e.line().saturating_sub(1));
            return Err((words(&e), lines.map(str::len).sum::<usize>() + e.column()));
        }
        None => text.len(),
    };
    match sonic_rs::from_str(&text[..length]) {
        Ok(value) => Ok((value, length)),
        Err(e) => Err((words(&e), e.offset())),
    }
}

/// The parser's first line without the place: the others draw it, and the raw bytes are in the letter.
#[cold]
fn words(e: &dyn std::fmt::Display) -> String {
    let text = e.to_string();
    let first = text.lines().next().unwrap_or_default();
    first.rsplit_once(" at line ").map_or(first, |(what, _)| what).trim_end().to_owned()
}

/// What is wrong with value `number`.
#[cold]
fn not_json(what: &str, number: usize, byte: usize) -> String {
    if number == 1 {
        format!("not the expected JSON: {what} (at byte {byte})")
    } else {
        format!("value {number} of the message is not the expected JSON: {what} (at byte {byte})")
    }
}
