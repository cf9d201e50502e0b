//! Points as lines.
//!
//! Servers differ in one thing: InfluxDB 3 takes a backslash in a name or a tag for the beginning of an escape, and two of
//! them for one; InfluxDB 1 and 2 take two for two ([`Escaping`]). The builder of the crate `influxdb-line-protocol`
//! always writes two, so tags with backslashes come to be others in InfluxDB 1 and 2; its parser is what the tests here
//! are compared with.

use std::hash::{BuildHasher, Hasher};

use foldhash::quality::FixedState;

use crate::point::{FieldValue, Point};

/// How a backslash is written in a name or in a tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escaping {
    /// As it is: InfluxDB 1 and 2.
    V1,
    /// Twice: InfluxDB 3 and Cloud.
    V3,
}

/// Appends the point as a line, without the newline, its tags in the order of their names. Returns what servers tell
/// points apart by: points of the same series and time have the same number, two others by accident once in 2^64.
/// What cannot be written is told why not, and nothing is appended.
pub fn encode(point: &Point, escaping: Escaping, out: &mut Vec<u8>) -> Result<u64, String> {
    let start = out.len();
    encode_onto(point, escaping, out).inspect_err(|_| out.truncate(start))
}

fn encode_onto(point: &Point, escaping: Escaping, out: &mut Vec<u8>) -> Result<u64, String> {
    let start = out.len();
    let time = point.time_ns.ok_or("it has no time, and its record has none")?;
    if point.measurement.starts_with('#') {
        return Err(format!("its measurement '{}' begins with '#', which makes a line a comment", point.measurement));
    }
    check("measurement", &point.measurement)?;
    escape(&point.measurement, b", ", escaping, out);
    let mut tags: Vec<_> = point.tags.iter().filter(|(_, value)| !value.is_empty()).collect();
    tags.sort_unstable();
    for (i, (name, value)) in tags.iter().enumerate() {
        check_name("tag", name)?;
        check("tag's value", value)?;
        if i > 0 && tags.get(i - 1).is_some_and(|(other, _)| other == name) {
            return Err(format!("its tag '{name}' is there twice"));
        }
        out.push(b',');
        escape(name, b",= ", escaping, out);
        out.push(b'=');
        escape(value, b",= ", escaping, out);
    }
    let mut hasher = FixedState::default().build_hasher();
    hasher.write(out.get(start..).unwrap_or_default());
    hasher.write_i64(time);
    if point.fields.is_empty() {
        return Err("it has no field, a point has one at least".into());
    }
    for (i, (name, value)) in point.fields.iter().enumerate() {
        check_name("field", name)?;
        if point.fields.iter().take(i).any(|(other, _)| other == name) {
            return Err(format!("its field '{name}' is there twice"));
        }
        if tags.iter().any(|(tag, _)| tag == name) {
            return Err(format!("'{name}' is a tag and a field of it"));
        }
        out.push(if i == 0 { b' ' } else { b',' });
        escape(name, b",= ", escaping, out);
        out.push(b'=');
        write_value(name, value, out)?;
    }
    out.push(b' ');
    out.extend_from_slice(itoa::Buffer::new().format(time).as_bytes());
    Ok(hasher.finish())
}

fn write_value(name: &str, value: &FieldValue, out: &mut Vec<u8>) -> Result<(), String> {
    match value {
        FieldValue::Float(x) if !x.is_finite() => {
            return Err(format!("its field '{name}' is {x}, line protocol has finite numbers only"));
        }
        FieldValue::Float(x) => out.extend_from_slice(format!("{x:?}").as_bytes()),
        FieldValue::Integer(n) => {
            out.extend_from_slice(itoa::Buffer::new().format(*n).as_bytes());
            out.push(b'i');
        }
        FieldValue::UInteger(n) => {
            out.extend_from_slice(itoa::Buffer::new().format(*n).as_bytes());
            out.push(b'u');
        }
        FieldValue::Boolean(b) => out.extend_from_slice(if *b { b"true" } else { b"false" }),
        FieldValue::String(text) => {
            out.push(b'"');
            for byte in text.bytes() {
                if matches!(byte, b'"' | b'\\') {
                    out.push(b'\\');
                }
                out.push(byte);
            }
            out.push(b'"');
        }
    }
    Ok(())
}

/// A tag's or a field's name.
fn check_name(what: &str, name: &str) -> Result<(), String> {
    if name == "time" {
        return Err(format!("its {what} is called 'time', which InfluxDB keeps for the time"));
    }
    check(what, name)
}

/// What no escape helps with.
fn check(what: &str, text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err(format!("its {what} is empty"));
    }
    if text.chars().any(char::is_control) {
        return Err(format!(
            "its {what} {text:?} holds a line break or another control character, line protocol has none"
        ));
    }
    if text.ends_with('\\') {
        return Err(format!("its {what} '{text}' ends with a backslash, which would escape what follows"));
    }
    Ok(())
}

fn escape(text: &str, special: &[u8], escaping: Escaping, out: &mut Vec<u8>) {
    for byte in text.bytes() {
        if special.contains(&byte) || (byte == b'\\' && escaping == Escaping::V3) {
            out.push(b'\\');
        }
        out.push(byte);
    }
}
