//! Points as lines.
//!
//! Servers differ in what a backslash in a name or a tag is ([`Escaping`]). InfluxDB 1 and 2 (asked: 1.6) have no escape for
//! it, take it for itself, and so cannot be told some texts at all; those are refused here, or they would be stored under
//! another name, or tear the lines behind them apart:
//!
//! - of tags, an odd number of backslashes before a space: where a line ends is looked for after an escape that is none;
//! - of fields' names, an odd number of backslashes before a comma, an equals sign or a space;
//! - of measurements, a backslash before one of these or a quote: the name is unescaped once more when it is looked up.
//!
//! The builder of the crate `influxdb-line-protocol` always writes two backslashes, so tags with them come to be others in
//! InfluxDB 1 and 2; its parser, which is InfluxDB 3's, is what the tests here read lines with.

use std::hash::{BuildHasher, Hasher};

use foldhash::quality::FixedState;

use crate::point::{FieldValue, Point};

/// How a backslash is written in a name or in a tag, and a line break in a string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escaping {
    /// A backslash as it is: InfluxDB 1 and 2.
    V1,
    /// A backslash twice: InfluxDB 3 and Cloud.
    V3,
    /// A backslash twice, and one before a line break in a string: QuestDB.
    QuestDb,
}

/// Which part of a line a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Measurement,
    TagName,
    TagValue,
    FieldName,
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
    write_text(Part::Measurement, &point.measurement, escaping, out)?;
    let mut tags: Vec<_> = point.tags.iter().filter(|(_, value)| !value.is_empty()).collect();
    tags.sort_unstable();
    for (i, (name, value)) in tags.iter().enumerate() {
        if i > 0 && tags.get(i - 1).is_some_and(|(other, _)| other == name) {
            return Err(format!("its tag '{name}' is there twice"));
        }
        out.push(b',');
        write_text(Part::TagName, name, escaping, out)?;
        out.push(b'=');
        write_text(Part::TagValue, value, escaping, out)?;
    }
    let mut hasher = FixedState::default().build_hasher();
    hasher.write(out.get(start..).unwrap_or_default());
    hasher.write_i64(time);
    if point.fields.is_empty() {
        return Err("it has no field, a point has one at least".into());
    }
    for (i, (name, value)) in point.fields.iter().enumerate() {
        if point.fields.iter().take(i).any(|(other, _)| other == name) {
            return Err(format!("its field '{name}' is there twice"));
        }
        if tags.iter().any(|(tag, _)| tag == name) {
            return Err(format!("'{name}' is a tag and a field of it"));
        }
        out.push(if i == 0 { b' ' } else { b',' });
        write_text(Part::FieldName, name, escaping, out)?;
        out.push(b'=');
        write_value(name, value, escaping, out)?;
    }
    out.push(b' ');
    out.extend_from_slice(itoa::Buffer::new().format(time).as_bytes());
    Ok(hasher.finish())
}

fn write_value(name: &str, value: &FieldValue, escaping: Escaping, out: &mut Vec<u8>) -> Result<(), String> {
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
                if matches!(byte, b'"' | b'\\') || (byte == b'\n' && escaping == Escaping::QuestDb) {
                    out.push(b'\\');
                }
                out.push(byte);
            }
            out.push(b'"');
        }
    }
    Ok(())
}

impl Part {
    /// For messages: "its …".
    fn words(self) -> &'static str {
        match self {
            Part::Measurement => "measurement",
            Part::TagName => "tag",
            Part::TagValue => "tag's value",
            Part::FieldName => "field",
        }
    }

    /// What would end it, and gets a backslash.
    fn special(self) -> &'static [u8] {
        match self {
            Part::Measurement => b", ",
            Part::TagName | Part::TagValue | Part::FieldName => b",= ",
        }
    }

    /// What no escape helps with.
    fn check(self, text: &str, escaping: Escaping) -> Result<(), String> {
        let what = self.words();
        if text == "time" && matches!(self, Part::TagName | Part::FieldName) {
            return Err(format!("its {what} is called 'time', which InfluxDB keeps for the time"));
        }
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
        if escaping == Escaping::V1
            && let Some(c) = self.behind_a_backslash(text)
        {
            return Err(format!(
                "its {what} '{text}' holds a backslash before '{c}', which cannot be written for InfluxDB 1 and 2"
            ));
        }
        Ok(())
    }

    /// The first character that InfluxDB 1 and 2 misread because of the backslashes before it.
    fn behind_a_backslash(self, text: &str) -> Option<char> {
        let mut backslashes = 0;
        for c in text.chars() {
            if c == '\\' {
                backslashes += 1;
                continue;
            }
            let misread = match self {
                Part::Measurement => backslashes > 0 && matches!(c, ',' | ' ' | '=' | '"'),
                Part::TagName | Part::TagValue => backslashes % 2 == 1 && c == ' ',
                Part::FieldName => backslashes % 2 == 1 && matches!(c, ',' | ' ' | '='),
            };
            if misread {
                return Some(c);
            }
            backslashes = 0;
        }
        None
    }
}

fn write_text(part: Part, text: &str, escaping: Escaping, out: &mut Vec<u8>) -> Result<(), String> {
    part.check(text, escaping)?;
    let mut previous = 0;
    for byte in text.bytes() {
        let escaped = match byte {
            b'\\' => escaping != Escaping::V1,
            // InfluxDB 1 and 2 unescape quotes too, though here they need no escape.
            b'"' => part == Part::FieldName && escaping == Escaping::V1 && previous == b'\\',
            _ => part.special().contains(&byte),
        };
        if escaped {
            out.push(b'\\');
        }
        out.push(byte);
        previous = byte;
    }
    Ok(())
}
