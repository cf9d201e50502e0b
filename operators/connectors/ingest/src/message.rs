//! The messages that files become on their way into a stream.
//!
//! Every message is one JSON object and carries `"record_id"`: file and ETag as a hash, the offset,
//! and the number within the record where one becomes several. Whoever reads a file again (after a
//! kill, after an event that came twice) writes the same ids: a reader that drops ids it has seen
//! sees each record once.

use compact_str::CompactString;
use hurtig_operators::{connectors::files::CsvRow, schema::SchemaError};
use serde::{
    Deserialize, Serialize,
    de::{Deserializer as _, IgnoredAny, MapAccess, Visitor},
};

use crate::schema::{Body, FileRecord, FileSchema, RecordId};

/// The field with a message's id.
pub const RECORD_ID: &str = "record_id";

/// One message: what is written, and what decides where to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Whose it is: the partition key.
    pub key: CompactString,
    /// Which record of which file it is (of several packed together, the first).
    pub id: RecordId,
    /// Which of the record's messages it is.
    pub part: u32,
    /// How many messages are packed together in `data`.
    pub messages: u32,
    /// JSON, one object after the other.
    pub data: Vec<u8>,
}

impl Message {
    /// What its `record_id` says.
    pub fn record_id(&self) -> String {
        self.id.of_part(self.part)
    }
}

impl AsRef<[u8]> for Message {
    fn as_ref(&self) -> &[u8] {
        &self.data
    }
}

/// What CSV rows become.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RowForm {
    /// One message for each measure that the row has, as the talk's batch path writes them:
    /// `{"meter_id":"…","reading_type":"kw","reading_value":"1.2","reading_date_time":"…","reading_source":"B"}`.
    #[default]
    Readings,
    /// One message for the row: its columns as fields, numbers as numbers.
    Row,
}

/// Makes [`Message`]s of records: CSV rows as `rows` says, JSON objects as they are.
#[derive(Debug, Clone)]
pub struct Messages {
    /// The field or column with the key. In CSV, if there is no such column, `device_id`,
    /// `meter_id` or `LCLid` are taken.
    pub key: String,
    /// The column with the time: by default `time`, `reading_date_time` or `DateTime`.
    pub time: Option<String>,
    /// What CSV rows become.
    pub rows: RowForm,
}

impl Default for Messages {
    fn default() -> Self {
        Messages { key: "meter_id".into(), time: None, rows: RowForm::default() }
    }
}

const KEYS: [&str; 3] = ["device_id", "meter_id", "LCLid"];
const TIMES: [&str; 3] = ["time", "reading_date_time", "DateTime"];
/// Columns that are no measures: they say when, what and where.
const NO_MEASURES: [&str; 6] = ["arrival_time", "measure_name", "stdorToU", "Acorn", "Acorn_grouped", "region"];

impl FileSchema for Messages {
    type Item = Message;

    fn deserialize(&mut self, record: &FileRecord<'_>, out: &mut Vec<Message>) -> Result<(), SchemaError> {
        let id = record.id();
        match record.body() {
            Body::Line(line) => {
                let key = key_of(line, &self.key)?;
                let data = with_id(line, id);
                out.push(Message { key, id, part: 0, messages: 1, data });
                Ok(())
            }
            Body::Row(row) => match self.rows {
                RowForm::Readings => Ok(self.readings(&row, id, out)?),
                RowForm::Row => Ok(self.row(&row, id, out)?),
            },
        }
    }
}

impl Messages {
    fn readings(&self, row: &CsvRow<'_>, id: RecordId, out: &mut Vec<Message>) -> Result<(), String> {
        let (key_column, key) = find(row, Some(&self.key), &KEYS, "the meter (--key)")?;
        let (time_column, time) = find(row, self.time.as_deref(), &TIMES, "the time (--time)")?;
        let mut part = 0;
        for (name, value) in row.names().iter().zip(row.fields()) {
            let value = value.trim();
            if name == key_column || name == time_column || NO_MEASURES.contains(&name.as_str()) || is_absent(value) {
                continue;
            }
            let mut json = Json::new();
            json.text("meter_id", key);
            json.text("reading_type", name);
            json.text("reading_value", value);
            json.text("reading_date_time", time);
            json.text("reading_source", "B");
            out.push(Message { key: key.into(), id, part, messages: 1, data: json.end(id, part) });
            part += 1;
        }
        if part == 0 { Err("there is no reading in the row".into()) } else { Ok(()) }
    }

    fn row(&self, row: &CsvRow<'_>, id: RecordId, out: &mut Vec<Message>) -> Result<(), String> {
        let (key_column, key) = find(row, Some(&self.key), &KEYS, "the meter (--key)")?;
        let mut json = Json::new();
        json.text("meter_id", key);
        for (name, value) in row.names().iter().zip(row.fields()) {
            if name != key_column {
                json.value(name, value.trim());
            }
        }
        out.push(Message { key: key.into(), id, part: 0, messages: 1, data: json.end(id, 0) });
        Ok(())
    }
}

/// The first of the columns that is there, and its field.
fn find<'a>(row: &CsvRow<'a>, wanted: Option<&str>, usual: &[&str], what: &str) -> Result<(&'a str, &'a str), String> {
    let wanted = wanted.into_iter().chain(usual.iter().copied());
    for name in wanted {
        if let Some(i) = row.names().iter().position(|n| n == name)
            && let Some(field) = row.fields().nth(i).map(str::trim).filter(|f| !f.is_empty())
        {
            return Ok((&row.names()[i], field));
        }
    }
    Err(format!("no column says {what}: there is none of {}, or it is empty", usual.join(", ")))
}

fn is_absent(value: &str) -> bool {
    value.is_empty() || value.eq_ignore_ascii_case("null") || value.eq_ignore_ascii_case("na")
}

/// A JSON object that is being written.
struct Json(Vec<u8>);

impl Json {
    fn new() -> Self {
        let mut text = Vec::with_capacity(192);
        text.push(b'{');
        Json(text)
    }

    fn name(&mut self, name: &str) {
        if self.0.len() > 1 {
            self.0.push(b',');
        }
        push_text(&mut self.0, name);
        self.0.push(b':');
    }

    fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        push_text(&mut self.0, value);
    }

    /// A number stays as it is written, what is absent becomes `null`.
    fn value(&mut self, name: &str, value: &str) {
        self.name(name);
        if is_absent(value) {
            self.0.extend_from_slice(b"null");
        } else if serde_json::from_str::<serde_json::Number>(value).is_ok() {
            self.0.extend_from_slice(value.as_bytes());
        } else {
            push_text(&mut self.0, value);
        }
    }

    fn end(mut self, id: RecordId, part: u32) -> Vec<u8> {
        self.text(RECORD_ID, &id.of_part(part));
        self.0.push(b'}');
        self.0
    }
}

/// Text in quotes. Nearly always nothing in it has to be escaped.
fn push_text(out: &mut Vec<u8>, text: &str) {
    if text.bytes().all(|b| b >= b' ' && b != b'"' && b != b'\\') {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        out.extend_from_slice(serde_json::Value::from(text).to_string().as_bytes());
    }
}

/// The object `line` with its id as last field. One that it has already (of another file) goes
/// before, and JSON readers take the last.
fn with_id(line: &[u8], id: RecordId) -> Vec<u8> {
    let body = line.trim_ascii();
    let body = body.strip_suffix(b"}").unwrap_or(body).trim_ascii_end();
    let mut data = Vec::with_capacity(line.len() + 48);
    data.extend_from_slice(body);
    if body != b"{" {
        data.push(b',');
    }
    data.extend_from_slice(format!("\"{RECORD_ID}\":\"{id}\"}}").as_bytes());
    data
}

/// The key in a JSON object; the whole of it is looked at, so that nothing else than JSON is sent.
fn key_of(line: &[u8], key: &str) -> Result<CompactString, String> {
    struct Finder<'a>(&'a str);

    impl<'de> Visitor<'de> for Finder<'_> {
        type Value = Option<CompactString>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a JSON object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut found = None;
            while let Some(name) = map.next_key::<std::borrow::Cow<'de, str>>()? {
                if name == self.0 {
                    found = Some(map.next_value::<CompactString>()?);
                } else {
                    map.next_value::<IgnoredAny>()?;
                }
            }
            Ok(found)
        }
    }

    let mut json = serde_json::Deserializer::from_slice(line);
    let found = json.deserialize_map(Finder(key)).and_then(|found| json.end().map(|()| found));
    match found {
        Ok(Some(key)) if !key.is_empty() => Ok(key),
        Ok(_) => Err(format!("there is no text in the field '{key}' (--key)")),
        Err(e) => Err(format!("not the expected JSON: {e}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_gets_its_id_and_nothing_else() {
        let id = RecordId { file: 0xabc, offset: 31 };
        for (line, data) in [
            (r#"{"meter_id":"m"} "#, r#"{"meter_id":"m","record_id":"0000000000000abc-1f"}"#),
            ("{}", r#"{"record_id":"0000000000000abc-1f"}"#),
        ] {
            assert_eq!(String::from_utf8_lossy(&with_id(line.as_bytes(), id)), data);
        }
        assert_eq!(key_of(br#"{"a":{"meter_id":1},"meter_id":"m\u0041"}"#, "meter_id"), Ok("mA".into()));
        for bad in [r#"{"a":1}"#, r#"{"meter_id":""}"#, r#"{"meter_id":"m""#, "[1]", r#"{"meter_id":"m"}{}"#] {
            assert!(key_of(bad.as_bytes(), "meter_id").is_err(), "{bad}");
        }
    }
}
