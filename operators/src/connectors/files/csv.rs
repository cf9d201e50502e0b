//! CSV: rows by csv-core, columns mapped by options, records by the user's function.
//!
//! A quoted field may hold line breaks. A quote that is never closed would swallow the rest of
//! the file: then only its first line is a dead letter, and reading goes on with the next.

use std::sync::Arc;

use hurtig_engine::{record::Data, source::SourceOutput, time::NO_TIMESTAMP};
use serde::{Deserialize, Serialize};

use super::{
    decoder::{Chunk, Cursor, Decoder, Format, Progress, byte_order_mark},
    row::CsvRow,
    timestamp::TimeParser,
};

/// How a CSV file is laid out, and what its columns mean.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CsvOptions {
    /// What stands between fields: one ASCII character.
    pub delimiter: char,
    /// Whether the first row names the columns.
    pub header: bool,
    /// The columns' names where there is no header.
    pub columns: Vec<String>,
    /// The column with the event time.
    pub time: Option<String>,
    /// The column with the measured value.
    pub value: Option<String>,
    /// Where the meter's id comes from.
    pub meter: Meter,
    /// The column with the region.
    pub region: Option<String>,
    /// The column with the unit.
    pub unit: Option<String>,
    /// The column with the time at which the row reached the source.
    pub arrival: Option<String>,
    /// How times are written: see [`TimeParser::new`]. `None`: the usual forms.
    pub time_format: Option<String>,
    /// The zone of times that do not say: an IANA name, `UTC` if not given.
    pub time_zone: String,
}

/// Where a row's meter id comes from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Meter {
    /// The file's name without `.csv` and `.gz`.
    #[default]
    FileName,
    /// A column.
    Column(String),
}

impl Default for CsvOptions {
    fn default() -> Self {
        CsvOptions {
            delimiter: ',',
            header: true,
            columns: Vec::new(),
            time: None,
            value: None,
            meter: Meter::FileName,
            region: None,
            unit: None,
            arrival: None,
            time_format: None,
            time_zone: "UTC".into(),
        }
    }
}

impl CsvOptions {
    /// Names the column with the arrival time.
    #[must_use]
    pub fn arrival_column(mut self, name: impl Into<String>) -> Self {
        self.arrival = Some(name.into());
        self
    }

    fn times(&self) -> Result<TimeParser, String> {
        TimeParser::new(self.time_format.as_deref(), &self.time_zone)
    }

    fn check(&self) -> Result<(), String> {
        if !self.delimiter.is_ascii() || matches!(self.delimiter, '"' | '\n' | '\r') {
            return Err(format!("{:?} cannot be a CSV delimiter; give one ASCII character", self.delimiter));
        }
        if !self.header {
            CsvColumns::resolve(self, self.columns.clone())?;
        }
        self.times().map(drop)
    }
}

/// The columns of one file, found by name.
#[derive(Debug, Clone)]
pub struct CsvColumns {
    pub(super) names: Vec<String>,
    pub(super) times: TimeParser,
    pub(super) time: Option<usize>,
    pub(super) value: Option<usize>,
    /// `None`: the file's name.
    pub(super) meter: Option<usize>,
    pub(super) region: Option<usize>,
    pub(super) unit: Option<usize>,
    pub(super) arrival: Option<usize>,
}

impl CsvColumns {
    /// The columns `names`, which mean what `options` say of them by name. `Err(reason)`: one that
    /// the options name is not there.
    pub fn resolve(options: &CsvOptions, names: Vec<String>) -> Result<Self, String> {
        let find = |name: &Option<String>| match name {
            None => Ok(None),
            Some(n) => match names.iter().position(|c| c == n.trim()) {
                None if names.is_empty() => Err(format!("without a header, name the columns: there is no '{n}'")),
                None => Err(format!("there is no column '{n}'; the columns are {}", names.join(", "))),
                found => Ok(found),
            },
        };
        let meter = match &options.meter {
            Meter::FileName => None,
            Meter::Column(n) => find(&Some(n.clone()))?,
        };
        Ok(CsvColumns {
            times: options.times()?,
            time: find(&options.time)?,
            value: find(&options.value)?,
            meter,
            region: find(&options.region)?,
            unit: find(&options.unit)?,
            arrival: find(&options.arrival)?,
            names,
        })
    }

    /// The columns' names, in order.
    pub fn names(&self) -> &[String] {
        &self.names
    }
}

/// The format of CSV files.
pub struct CsvFormat<F> {
    options: Arc<CsvOptions>,
    map: Arc<F>,
}

impl<F> CsvFormat<F> {
    /// Files laid out as `options` say, whose rows `map` turns into records.
    pub fn new(options: CsvOptions, map: F) -> Self {
        CsvFormat { options: Arc::new(options), map: Arc::new(map) }
    }
}

impl<F> Clone for CsvFormat<F> {
    fn clone(&self) -> Self {
        CsvFormat { options: self.options.clone(), map: self.map.clone() }
    }
}

impl<T, F> Format<T> for CsvFormat<F>
where
    T: Data,
    F: Fn(&CsvRow<'_>) -> Result<T, String> + Send + Sync + 'static,
{
    type Decoder = CsvDecoder<F>;

    fn suffixes(&self) -> &'static [&'static str] {
        &[".csv", ".tsv"]
    }

    fn check(&self) -> Result<(), String> {
        self.options.check()
    }

    fn decoder(&self, file: &str) -> Self::Decoder {
        let delimiter = u8::try_from(self.options.delimiter).unwrap_or(b',');
        CsvDecoder {
            file: file.to_owned(),
            options: self.options.clone(),
            map: self.map.clone(),
            columns: None,
            row: RowBuffer {
                core: csv_core::ReaderBuilder::new().delimiter(delimiter).build(),
                text: vec![0; 512],
                ends: vec![0; 16],
                fields: 0,
            },
        }
    }
}

/// Decodes one CSV file.
pub struct CsvDecoder<F> {
    file: String,
    options: Arc<CsvOptions>,
    map: Arc<F>,
    columns: Option<CsvColumns>,
    row: RowBuffer,
}

/// The fields of one row, without quotes.
struct RowBuffer {
    core: csv_core::Reader,
    text: Vec<u8>,
    ends: Vec<usize>,
    fields: usize,
}

/// What stands at the beginning of some bytes.
enum Row {
    /// A row of this length; its line end may be missing or come after it.
    Whole(usize),
    /// A quote that is not closed before the end of the file.
    Unclosed,
    /// More bytes are needed.
    Starved,
}

impl RowBuffer {
    /// Splits the row at the beginning of `bytes`, which is no line end.
    fn read(&mut self, bytes: &[u8], last: bool) -> Row {
        use csv_core::ReadRecordResult as Result;

        self.core.reset();
        self.fields = 0;
        let (mut read, mut written) = (0, 0);
        let mut at_end = false;
        loop {
            // At the end of the file a line end more shows whether a quote is open.
            let input = if at_end { &b"\n"[..] } else { &bytes[read..] };
            let (result, n, out, ends) =
                self.core.read_record(input, &mut self.text[written..], &mut self.ends[self.fields..]);
            written += out;
            self.fields += ends;
            if !at_end {
                read += n;
            }
            match result {
                Result::Record | Result::End => return Row::Whole(read),
                Result::InputEmpty if at_end => return Row::Unclosed,
                Result::InputEmpty if last => at_end = true,
                Result::InputEmpty => return Row::Starved,
                Result::OutputFull => self.text.resize(self.text.len() * 2, 0),
                Result::OutputEndsFull => self.ends.resize(self.ends.len() * 2, 0),
            }
        }
    }

    fn text(&self) -> Result<&str, String> {
        let end = self.fields.checked_sub(1).map_or(0, |i| self.ends[i]);
        std::str::from_utf8(&self.text[..end]).map_err(|_| "the row is not UTF-8".to_owned())
    }
}

impl<F> CsvDecoder<F> {
    fn map<T>(&self, position: u64) -> Result<(T, i64), String>
    where
        F: Fn(&CsvRow<'_>) -> Result<T, String>,
    {
        let columns = self.columns.as_ref().ok_or("the file has no header")?;
        let fields = self.row.fields;
        if fields != columns.names.len() && !columns.names.is_empty() {
            return Err(format!("the row has {fields} fields, not {}", columns.names.len()));
        }
        let row = CsvRow::new(columns, &self.file, position, self.row.text()?, &self.row.ends[..fields]);
        let arrival = row.arrival()?.unwrap_or(NO_TIMESTAMP);
        Ok(((self.map)(&row)?, arrival))
    }

    /// Walks over rows; `row` gets each of them (`None`: an unclosed quote) with its raw bytes.
    fn walk(
        &mut self,
        chunk: Chunk<'_>,
        cursor: &mut Cursor,
        max: usize,
        mut row: impl FnMut(&mut Self, &Cursor, &[u8], bool) -> bool,
    ) -> Progress {
        let mut progress = Progress::default();
        while progress.records < max {
            let ends = line_ends(&chunk.bytes[progress.consumed..]);
            progress.consumed += ends;
            cursor.pass(ends);
            let rest = &chunk.bytes[progress.consumed..];
            if rest.is_empty() {
                progress.starved = true;
                break;
            }
            let (length, whole) = match self.row.read(rest, chunk.last) {
                Row::Whole(length) => (length, true),
                Row::Unclosed => (memchr::memchr(b'\n', rest).map_or(rest.len(), |i| i + 1), false),
                Row::Starved => {
                    progress.starved = true;
                    break;
                }
            };
            if !row(self, cursor, without_line_end(&rest[..length]), whole) {
                break;
            }
            progress.consumed += length;
            progress.records += 1;
            cursor.advance(length);
        }
        progress
    }
}

impl<T, F> Decoder<T> for CsvDecoder<F>
where
    T: Data,
    F: Fn(&CsvRow<'_>) -> Result<T, String> + Send + Sync + 'static,
{
    fn header(&mut self, chunk: Chunk<'_>) -> Result<Option<usize>, String> {
        let Some(mark) = byte_order_mark(chunk) else { return Ok(None) };
        if !self.options.header {
            self.columns = Some(CsvColumns::resolve(&self.options, self.options.columns.clone())?);
            return Ok(Some(mark));
        }
        let before = mark + line_ends(&chunk.bytes[mark..]);
        let bytes = &chunk.bytes[before..];
        if bytes.is_empty() {
            // An empty file has no columns, and that is fine.
            return Ok(chunk.last.then_some(before));
        }
        match self.row.read(bytes, chunk.last) {
            Row::Starved => Ok(None),
            Row::Unclosed => Err("the header has a quote that is not closed".into()),
            Row::Whole(length) => {
                let text = self.row.text()?;
                let mut start = 0;
                let names = self.row.ends[..self.row.fields].iter().map(|&end| {
                    let name = text.get(start..end).unwrap_or_default().trim().to_owned();
                    start = end;
                    name
                });
                let names = names.collect();
                self.columns = Some(CsvColumns::resolve(&self.options, names)?);
                Ok(Some(before + length))
            }
        }
    }

    fn decode<O: SourceOutput<T>>(
        &mut self,
        chunk: Chunk<'_>,
        cursor: &mut Cursor,
        max: usize,
        out: &mut O,
    ) -> Progress {
        self.walk(chunk, cursor, max, |this, cursor, raw, whole| {
            if out.is_full() {
                return false;
            }
            let mapped = if whole { this.map(cursor.position) } else { Err(UNCLOSED.to_owned()) };
            match mapped {
                Ok((value, arrival)) => out.emit(cursor.split, cursor.position, arrival, value),
                Err(reason) => out.dead_letter(cursor.split, cursor.position, NO_TIMESTAMP, raw, &reason),
            }
            true
        })
    }

    fn skip(&mut self, chunk: Chunk<'_>, cursor: &mut Cursor, max: usize) -> Progress {
        self.walk(chunk, cursor, max, |_, _, _, _| true)
    }
}

const UNCLOSED: &str = "a quote in this line is not closed; reading goes on with the next line";

/// A row as it is in the file, with the blanks at its end: they may be what is wrong with it.
#[inline]
fn without_line_end(row: &[u8]) -> &[u8] {
    let end = row.iter().rposition(|b| !matches!(b, b'\n' | b'\r')).map_or(0, |i| i + 1);
    &row[..end]
}

/// How many bytes of line ends there are at the beginning.
#[inline]
fn line_ends(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|b| matches!(b, b'\n' | b'\r')).count()
}
