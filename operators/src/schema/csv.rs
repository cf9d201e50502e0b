//! CSV: one or many rows a message, columns by name or by order, values by serde.

use std::marker::PhantomData;

use csv::StringRecord;
use csv_core::ReadRecordResult;
use hurtig_engine::record::Data;
use serde::Serialize;

use super::{DeserializationSchema, SchemaError, SerializationSchema, raw::text};

/// CSV, read into the job's own type by serde.
///
/// Without more, a row's fields are those of `T` in their order. [`columns`](Self::columns) names
/// them, so that `T` may have fewer and in another order; [`header`](Self::header) says that the
/// first row of every message does. A message may hold many rows; one that cannot be read sends the
/// whole message to the dead letters, with its line and its column.
///
/// ```
/// use hurtig_operators::schema::{CsvFormat, DeserializationSchema};
///
/// #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
/// struct Reading {
///     meter: String,
///     kwh: Option<f64>,
/// }
///
/// let mut csv = CsvFormat::<Reading>::new().delimiter(b';')?.header();
/// let mut readings = Vec::new();
/// csv.deserialize(b"kwh;unit;meter\n1.5;kWh;m-7\n;kWh;\"m;8\"", &mut readings)?;
/// assert_eq!(readings[0], Reading { meter: "m-7".into(), kwh: Some(1.5) });
/// assert_eq!(readings[1], Reading { meter: "m;8".into(), kwh: None });
///
/// let reason = csv.deserialize(b"kwh;meter\n1;a\nx;b", &mut readings).unwrap_err();
/// assert_eq!(reason.to_string(), "line 3, column 'kwh': 'x' is not what is expected there: invalid float literal");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct CsvFormat<T> {
    delimiter: u8,
    /// Its tables cost 20 µs to build.
    core: csv_core::Reader,
    names: Names,
    row: Row,
    record: StringRecord,
    item: PhantomData<fn() -> T>,
}

/// Where the columns' names come from.
#[derive(Debug, Clone)]
enum Names {
    /// There are none: the order of `T`'s fields.
    None,
    /// Told beforehand.
    Given(StringRecord),
    /// The first row of each message.
    Header,
}

/// The fields of one row, one after the other, without quotes.
#[derive(Debug, Clone)]
struct Row {
    text: Vec<u8>,
    ends: Vec<usize>,
}

impl<T> CsvFormat<T> {
    /// Fields between commas, in the order of `T`'s.
    pub fn new() -> Self {
        CsvFormat {
            delimiter: b',',
            core: core(b','),
            names: Names::None,
            row: Row { text: vec![0; 256], ends: vec![0; 16] },
            record: StringRecord::new(),
            item: PhantomData,
        }
    }

    /// What stands between fields: one ASCII character that is no quote and no line end.
    pub fn delimiter(mut self, delimiter: u8) -> Result<Self, String> {
        if !delimiter.is_ascii() || matches!(delimiter, b'"' | b'\n' | b'\r') {
            let shown = char::from(delimiter);
            return Err(format!("{shown:?} cannot be a CSV delimiter; give one ASCII character"));
        }
        self.delimiter = delimiter;
        self.core = core(delimiter);
        Ok(self)
    }

    /// The first row of every message that is read or written names the columns.
    #[must_use]
    pub fn header(mut self) -> Self {
        self.names = Names::Header;
        self
    }

    /// The columns' names in their order, which are in no message. To be written they must be the
    /// names of `T`'s fields.
    #[must_use]
    pub fn columns<S: AsRef<str>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        let mut record = StringRecord::new();
        names.into_iter().for_each(|n| record.push_field(n.as_ref().trim()));
        self.names = Names::Given(record);
        self
    }
}

fn core(delimiter: u8) -> csv_core::Reader {
    csv_core::ReaderBuilder::new().delimiter(delimiter).build()
}

impl<T> Default for CsvFormat<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Clone for CsvFormat<T> {
    fn clone(&self) -> Self {
        CsvFormat {
            delimiter: self.delimiter,
            // csv-core's own clone forgets which byte is which (0.1.13).
            core: core(self.delimiter),
            names: self.names.clone(),
            row: self.row.clone(),
            record: StringRecord::new(),
            item: PhantomData,
        }
    }
}

impl<T: Data> CsvFormat<T> {
    fn rows(&mut self, message: &str, out: &mut Vec<T>) -> Result<(), String> {
        let mut names = match &self.names {
            Names::None | Names::Header => None,
            Names::Given(names) => Some(names.clone()),
        };
        let mut header = matches!(self.names, Names::Header);
        let (mut rest, mut any) = (message.as_bytes(), false);
        loop {
            let ends = rest.iter().take_while(|b| matches!(b, b'\n' | b'\r')).count();
            if ends == rest.len() {
                return if any { Ok(()) } else { Err("the message is empty: it should be CSV".into()) };
            }
            self.core.reset();
            let begin = message.len() - rest.len() + ends;
            rest = self
                .row
                .read(&mut self.core, &rest[ends..], &mut self.record)
                .ok_or_else(|| format!("line {}: a quote is not closed", line_of(message, begin)))?;
            any = true;
            if std::mem::take(&mut header) {
                let mut found = StringRecord::new();
                self.record.iter().for_each(|n| found.push_field(n.trim()));
                names = Some(found);
                continue;
            }
            if let Some(names) = &names
                && names.len() != self.record.len()
            {
                let line = line_of(message, begin);
                return Err(format!("line {line}: the row has {} fields, not {}", self.record.len(), names.len()));
            }
            let value = self.record.deserialize(names.as_ref());
            out.push(value.map_err(|e| not_csv(&e, line_of(message, begin), &self.record, names.as_ref()))?);
        }
    }
}

impl Row {
    /// Splits the row at the beginning of `bytes`, which is no line end, into `record`; gives what
    /// comes behind it, and `None` if a quote is open at the end.
    fn read<'a>(
        &mut self,
        core: &mut csv_core::Reader,
        bytes: &'a [u8],
        record: &mut StringRecord,
    ) -> Option<&'a [u8]> {
        let (mut read, mut written, mut fields, mut at_end) = (0, 0, 0, false);
        loop {
            // At the end of the message a line end more shows whether a quote is open.
            let input = if at_end { &b"\n"[..] } else { &bytes[read..] };
            let (result, n, out, ends) = core.read_record(input, &mut self.text[written..], &mut self.ends[fields..]);
            written += out;
            fields += ends;
            if !at_end {
                read += n;
            }
            match result {
                ReadRecordResult::Record | ReadRecordResult::End => break,
                ReadRecordResult::InputEmpty if at_end => return None,
                ReadRecordResult::InputEmpty => at_end = true,
                ReadRecordResult::OutputFull => self.text.resize(self.text.len() * 2, 0),
                ReadRecordResult::OutputEndsFull => self.ends.resize(self.ends.len() * 2, 0),
            }
        }
        record.clear();
        let mut start = 0;
        for &end in &self.ends[..fields] {
            // The message is UTF-8 and is cut at ASCII characters only.
            record.push_field(std::str::from_utf8(&self.text[start..end]).unwrap_or_default());
            start = end;
        }
        Some(&bytes[read..])
    }
}

impl<T: Data> DeserializationSchema for CsvFormat<T> {
    type Item = T;

    fn deserialize(&mut self, message: &[u8], out: &mut Vec<T>) -> Result<(), SchemaError> {
        let text = text(message)?;
        let before = out.len();
        let read = self.rows(text, out);
        if read.is_err() {
            out.truncate(before);
        }
        Ok(read?)
    }
}

impl<T: Serialize + 'static> SerializationSchema<T> for CsvFormat<T> {
    fn serialize(&mut self, value: &T, out: &mut Vec<u8>) -> Result<(), SchemaError> {
        let start = out.len();
        let named = !matches!(self.names, Names::None);
        let refused = |e: csv::Error| format!("the record cannot be written as CSV: {e}");
        let mut writer = csv::WriterBuilder::new()
            .delimiter(self.delimiter)
            .has_headers(named)
            .buffer_capacity(256)
            .from_writer(&mut *out);
        writer.serialize(value).map_err(refused)?;
        writer.flush().map_err(|e| refused(e.into()))?;
        drop(writer);
        if let Names::Given(names) = &self.names {
            self.core.reset();
            let header = self.row.read(&mut self.core, &out[start..], &mut self.record).map(<[u8]>::len);
            if self.record != *names {
                let (own, given) = (list(&self.record), list(names));
                return Err(format!("the record's fields are {own}, and the columns {given}: name them alike").into());
            }
            let header = out.len() - start - header.unwrap_or_default();
            out.drain(start..start + header);
        }
        while out.len() > start && matches!(out.last(), Some(b'\n' | b'\r')) {
            out.pop();
        }
        Ok(())
    }
}

fn list(names: &StringRecord) -> String {
    names.iter().collect::<Vec<_>>().join(", ")
}

/// The number of the line at byte `at`.
#[cold]
fn line_of(message: &str, at: usize) -> usize {
    1 + memchr::memchr_iter(b'\n', &message.as_bytes()[..at]).count()
}

#[cold]
fn not_csv(e: &csv::Error, line: usize, record: &StringRecord, names: Option<&StringRecord>) -> String {
    let csv::ErrorKind::Deserialize { err, .. } = e.kind() else { return format!("line {line}: {e}") };
    let what = err.kind();
    let Some(field) = err.field().and_then(|f| usize::try_from(f).ok()) else { return format!("line {line}: {what}") };
    let column = match names.and_then(|n| n.get(field)) {
        Some(name) => format!("column '{name}'"),
        None => format!("column {}", field + 1),
    };
    match record.get(field) {
        Some(text) => {
            let short: String = text.chars().take(40).filter(|c| !c.is_control()).collect();
            format!("line {line}, {column}: '{short}' is not what is expected there: {what}")
        }
        None => format!("line {line}, {column}: {what}"),
    }
}
