//! One record a line: JSON lines, and whatever else a [`Deserializer`] makes of a line.

use std::{marker::PhantomData, sync::Arc};

use hurtig_engine::{record::Data, source::SourceOutput, time::NO_TIMESTAMP};

use super::{
    decoder::{Chunk, Cursor, Decoder, Format, Progress, byte_order_mark},
    json_lane,
};

/// Turns a line into a record.
///
/// ```
/// use hurtig_operators::connectors::files::{Deserializer, FileSource, LineMeta};
///
/// /// `meter;kWh`
/// #[derive(Clone)]
/// struct Semicolons;
///
/// impl Deserializer<(String, f64)> for Semicolons {
///     fn deserialize(&mut self, line: &[u8], _meta: &LineMeta<'_>) -> Result<Option<(String, f64)>, String> {
///         let line = std::str::from_utf8(line).map_err(|e| e.to_string())?;
///         let (meter, kwh) = line.split_once(';').ok_or("no ';' in the line")?;
///         Ok(Some((meter.to_owned(), kwh.parse().map_err(|e| format!("'{kwh}': {e}"))?)))
///     }
/// }
///
/// let source = FileSource::new("readings").lines(Semicolons);
/// # let _ = source;
/// ```
pub trait Deserializer<T>: Clone + Send + Sync + 'static {
    /// The record in `line` (without its line end, never blank). `None`: there is none, and
    /// that is fine (a comment). An error sends the line to the dead letters with this reason.
    fn deserialize(&mut self, line: &[u8], meta: &LineMeta<'_>) -> Result<Option<T>, String>;

    /// What the names of such files end in; none: anything.
    fn suffixes(&self) -> &'static [&'static str] {
        &[]
    }
}

/// Where a line is.
#[derive(Debug, Clone, Copy)]
pub struct LineMeta<'a> {
    file: &'a str,
    position: u64,
    utf8: bool,
}

impl<'a> LineMeta<'a> {
    /// The file's path below the source's root.
    pub fn file(&self) -> &'a str {
        self.file
    }

    /// Its byte offset (gzip: its number).
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Whether the line is known to be valid UTF-8; `false` only says that nobody knows.
    pub fn is_utf8(&self) -> bool {
        self.utf8
    }
}

/// JSON lines by sonic-rs, straight from the file's buffer into `T`.
#[derive(Debug)]
pub struct JsonLines<T>(PhantomData<fn() -> T>);

impl<T> JsonLines<T> {
    /// Each line is one `T`.
    pub const fn new() -> Self {
        JsonLines(PhantomData)
    }
}

impl<T> Default for JsonLines<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Clone for JsonLines<T> {
    fn clone(&self) -> Self {
        Self::new()
    }
}

impl<T: Data> Deserializer<T> for JsonLines<T> {
    #[inline]
    fn deserialize(&mut self, line: &[u8], meta: &LineMeta<'_>) -> Result<Option<T>, String> {
        if meta.utf8 {
            // SAFETY: the line is part of a block that was checked to be valid UTF-8, cut at
            // ASCII line ends; only this module makes a `LineMeta` that says so.
            let text = unsafe { std::str::from_utf8_unchecked(line) };
            if let Some(value) = json_lane::from_line(text) {
                return Ok(Some(value));
            }
        }
        by_sonic(line)
    }

    fn suffixes(&self) -> &'static [&'static str] {
        &[".json", ".jsonl", ".ndjson"]
    }
}

/// The general parser.
#[inline(never)]
fn by_sonic<T: Data>(line: &[u8]) -> Result<Option<T>, String> {
    sonic_rs::from_slice(line).map(Some).map_err(|e| bad_json(&e))
}

/// The parser's first line: the others draw the place, and the raw bytes are in the letter.
#[cold]
fn bad_json(e: &sonic_rs::Error) -> String {
    let text = e.to_string();
    let first = text.lines().next().unwrap_or_default().trim_end();
    format!("not the expected JSON: {first}")
}

/// When a record arrived.
pub(super) type Arrival<T> = Arc<dyn Fn(&T) -> i64 + Send + Sync>;

/// The format of files with one record a line.
pub struct LineFormat<T, D> {
    deserializer: D,
    pub(super) arrival: Option<Arrival<T>>,
}

impl<T, D> LineFormat<T, D> {
    /// Lines as `deserializer` reads them.
    pub fn new(deserializer: D) -> Self {
        LineFormat { deserializer, arrival: None }
    }
}

impl<T, D: Clone> Clone for LineFormat<T, D> {
    fn clone(&self) -> Self {
        LineFormat { deserializer: self.deserializer.clone(), arrival: self.arrival.clone() }
    }
}

impl<T: Data, D: Deserializer<T>> Format<T> for LineFormat<T, D> {
    type Decoder = LineDecoder<T, D>;

    fn suffixes(&self) -> &'static [&'static str] {
        self.deserializer.suffixes()
    }

    fn decoder(&self, file: &str) -> Self::Decoder {
        LineDecoder { file: file.to_owned(), deserializer: self.deserializer.clone(), arrival: self.arrival.clone() }
    }
}

/// Decodes a file of lines.
pub struct LineDecoder<T, D> {
    file: String,
    deserializer: D,
    arrival: Option<Arrival<T>>,
}

impl<T: Data, D: Deserializer<T>> Decoder<T> for LineDecoder<T, D> {
    fn header(&mut self, chunk: Chunk<'_>) -> Result<Option<usize>, String> {
        Ok(byte_order_mark(chunk))
    }

    #[inline]
    fn decode<O: SourceOutput<T>>(
        &mut self,
        chunk: Chunk<'_>,
        cursor: &mut Cursor,
        max: usize,
        out: &mut O,
    ) -> Progress {
        let mut progress = Progress::default();
        while progress.records < max && !out.is_full() {
            let Some((line, length)) = next_line(&chunk, progress.consumed) else {
                progress.starved = true;
                break;
            };
            if !is_blank(line) {
                let meta = LineMeta { file: &self.file, position: cursor.position, utf8: chunk.utf8 };
                match self.deserializer.deserialize(line, &meta) {
                    Ok(Some(value)) => {
                        let arrival = self.arrival.as_ref().map_or(NO_TIMESTAMP, |f| f(&value));
                        out.emit(cursor.split, cursor.position, arrival, value);
                    }
                    Ok(None) => {}
                    Err(reason) => out.dead_letter(cursor.split, cursor.position, NO_TIMESTAMP, line, &reason),
                }
            }
            progress.consumed += length;
            progress.records += 1;
            cursor.advance(length);
        }
        progress
    }

    fn skip(&mut self, chunk: Chunk<'_>, cursor: &mut Cursor, max: usize) -> Progress {
        let mut progress = Progress::default();
        while progress.records < max {
            let Some((_, length)) = next_line(&chunk, progress.consumed) else {
                progress.starved = true;
                break;
            };
            progress.consumed += length;
            progress.records += 1;
            cursor.advance(length);
        }
        progress
    }
}

/// The line at `from` without its end, and its length with it.
#[inline]
fn next_line<'a>(chunk: &Chunk<'a>, from: usize) -> Option<(&'a [u8], usize)> {
    let rest = &chunk.bytes[from..];
    let (line, length) = match memchr::memchr(b'\n', rest) {
        Some(end) => (&rest[..end], end + 1),
        None if chunk.last && !rest.is_empty() => (rest, rest.len()),
        None => return None,
    };
    Some((line.strip_suffix(b"\r").unwrap_or(line), length))
}

#[inline]
fn is_blank(line: &[u8]) -> bool {
    line.first().is_none_or(|&b| b <= b' ' && line.trim_ascii().is_empty())
}
