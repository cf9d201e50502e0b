//! Reads one range: finds its records, decodes them, keeps its position.

use std::io::Write;

use flate2::write::MultiGzDecoder;
use hurtig_engine::{
    error::{Error, Result},
    source::SourceOutput,
    time::NO_TIMESTAMP,
};
use hurtig_operators::{
    connectors::files::{CsvColumns, CsvRow},
    schema::SchemaError,
};

use crate::{
    fetch::{Fetch, Fetched},
    fields::Fields,
    scan::{Rules, Step},
    schema::{Body, FileRecord, FileSchema},
    split::{FileFormat, RangeSplit},
    store::NAME,
};

/// How much of a line that is too long, or of what stands before a broken stream, is kept.
const KEPT: usize = 64 << 10;
/// How much of a compressed file is unpacked at once: it may become a thousand times as much.
const PACKED: usize = 4 << 10;

/// What a slice of reading came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Slice {
    /// There is more at once; so many records were read.
    More(usize),
    /// There will be more when bytes have come.
    Starved(usize),
    /// The range is at its end.
    Finished(usize),
}

/// One range that is being read.
pub(crate) struct RangeReader<S: FileSchema> {
    number: u32,
    split: RangeSplit,
    hash: u64,
    /// Why nothing of it can be read.
    unreadable: Option<String>,
    rules: Rules,
    columns: Option<CsvColumns>,
    fields: Fields,
    schema: S,
    fetch: Option<Fetch>,
    unpacker: Option<Unpacker>,
    /// What has come and is not read, from `position` on.
    window: Vec<u8>,
    at: usize,
    /// Nothing comes after the window.
    last: bool,
    /// Why a gzip stream ends here.
    broken: Option<String>,
    /// A line that is too long, so far: what is kept of it, and its length.
    endless: Option<(Vec<u8>, u64)>,
    values: Vec<S::Item>,
    /// Stored bytes that were read since somebody asked.
    read: u64,
}

/// A gzip stream, and how much of what comes out was read before the checkpoint.
struct Unpacker {
    decoder: MultiGzDecoder<Vec<u8>>,
    packed: bytes::Bytes,
    skip: u64,
}

impl<S: FileSchema> RangeReader<S> {
    pub fn new(number: u32, split: RangeSplit, schema: S) -> Self {
        let rules = split.file.rules();
        let mut unreadable = split.file.unreadable.clone();
        let (columns, fields) = match &split.file.format {
            FileFormat::JsonLines => (None, Fields::new(b',', true)),
            FileFormat::Csv { delimiter, quoting, columns } => {
                let columns = schema.columns(columns.clone());
                let columns = columns.map_err(|reason| unreadable.get_or_insert(reason).clone()).ok();
                (columns, Fields::new(*delimiter, *quoting))
            }
        };
        let unpacker = split.file.gzip.then(|| Unpacker {
            decoder: MultiGzDecoder::new(Vec::new()),
            packed: bytes::Bytes::new(),
            skip: split.position,
        });
        RangeReader {
            number,
            hash: split.file.hash(),
            unreadable,
            split,
            rules,
            columns,
            fields,
            schema,
            fetch: None,
            unpacker,
            window: Vec::new(),
            at: 0,
            last: false,
            broken: None,
            endless: None,
            values: Vec::new(),
            read: 0,
        }
    }

    pub fn number(&self) -> u32 {
        self.number
    }

    /// The range at its position: the records that begin before it were emitted.
    pub fn split(&self) -> RangeSplit {
        self.split.clone()
    }

    /// From where, until where and up to where bytes are needed.
    pub fn wanted(&self) -> (u64, u64, u64) {
        let size = self.split.file.size;
        if self.split.file.gzip {
            return (0, size, size);
        }
        // The byte before says whether a record begins here.
        let from = if self.split.aligned { self.split.position } else { self.split.position.saturating_sub(1) };
        // A cut outside of quotes stands between two records: nothing behind it is needed.
        let last = if self.rules.cuts_freely() { size } else { self.split.end };
        (from, self.split.end, last)
    }

    pub fn begin(&mut self, fetch: Fetch) {
        self.fetch = Some(fetch);
    }

    /// Whether reading would come to something at once.
    pub fn has_news(&self) -> bool {
        self.last
            || self.unreadable.is_some()
            || self.unpacker.as_ref().is_some_and(|u| !u.packed.is_empty())
            || self.fetch.as_ref().is_some_and(Fetch::has_news)
    }

    /// How many stored bytes were read since the last call.
    pub fn take_read(&mut self) -> u64 {
        std::mem::take(&mut self.read)
    }

    /// Emits up to `max` records.
    pub fn read<O: SourceOutput<S::Item>>(&mut self, max: usize, out: &mut O) -> Result<Slice> {
        if let Some(reason) = &self.unreadable {
            let reason = format!("'{}' cannot be read: {reason}", self.split.file.path);
            out.dead_letter(self.number, 0, NO_TIMESTAMP, b"", &reason);
            self.read += self.split.file.size;
            return Ok(Slice::Finished(1));
        }
        let mut records = 0;
        loop {
            if records >= max || out.is_full() {
                return Ok(Slice::More(records));
            }
            if self.endless.is_none() && self.split.position >= self.split.end {
                return Ok(Slice::Finished(records));
            }
            let starved = if self.endless.is_some() {
                self.pass_endless(&mut records, out)
            } else if !self.split.aligned {
                self.align()
            } else {
                self.record(&mut records, out)?
            };
            if !starved {
                continue;
            }
            if let Some(reason) = &self.broken {
                let rest = &self.window[self.at..];
                let kept = &rest[..rest.len().min(KEPT)];
                out.dead_letter(self.number, self.split.position, NO_TIMESTAMP, kept, reason);
                return Ok(Slice::Finished(records + 1));
            }
            if self.last {
                return Ok(Slice::Finished(records));
            }
            match self.refill() {
                Ok(true) => {}
                Ok(false) => return Ok(Slice::Starved(records)),
                Err(e) => return Err(e),
            }
        }
    }

    /// One step on; `true`: more bytes are needed.
    #[inline]
    fn record<O: SourceOutput<S::Item>>(&mut self, records: &mut usize, out: &mut O) -> Result<bool> {
        // What is behind a broken place in a gzip stream is not known: its last line is no record.
        let last = self.last && self.broken.is_none();
        match self.rules.step(&self.window[self.at..], last) {
            Step::Blank(n) => self.pass(n),
            Step::Record(n) => {
                let from = self.at;
                self.decode(from, n, out)?;
                *records += 1;
                self.pass(n);
            }
            Step::Unclosed(n) => {
                let raw = &self.window[self.at..self.at + n];
                let kept = &raw[..n.min(KEPT)];
                out.dead_letter(self.number, self.split.position, NO_TIMESTAMP, kept, UNCLOSED);
                *records += 1;
                self.pass(n);
            }
            Step::Overlong => {
                self.endless = Some((self.window[self.at..][..KEPT.min(self.window.len() - self.at)].to_vec(), 0));
            }
            Step::Starved => return Ok(true),
        }
        Ok(false)
    }

    fn decode<O: SourceOutput<S::Item>>(&mut self, from: usize, length: usize, out: &mut O) -> Result<()> {
        let raw = &self.window[from..from + length];
        let offset = self.split.position;
        let body = match &self.columns {
            None => {
                let line = raw.strip_suffix(b"\r").unwrap_or(raw);
                if line.trim_ascii().is_empty() {
                    return Ok(());
                }
                Ok(Body::Line(line))
            }
            Some(columns) => {
                self.fields.read(raw);
                let (found, expected) = (self.fields.ends().len(), columns.names().len());
                match self.fields.text() {
                    None => Err("the row is not UTF-8".to_owned()),
                    Some(_) if expected > 0 && found != expected => {
                        Err(format!("the row has {found} fields, not {expected}"))
                    }
                    Some(text) => {
                        Ok(Body::Row(CsvRow::new(columns, &self.split.file.path, offset, text, self.fields.ends())))
                    }
                }
            }
        };
        let result = body.map_err(SchemaError::from).and_then(|body| {
            let record = FileRecord { file: &self.split.file, hash: self.hash, offset, body };
            self.schema.deserialize(&record, &mut self.values)
        });
        match result {
            Ok(()) => {
                for value in self.values.drain(..) {
                    out.emit(self.number, offset, NO_TIMESTAMP, value);
                }
            }
            Err(e) => {
                let reason = e.refused_or(|reason| Error::source(NAME, reason))?;
                self.values.clear();
                out.dead_letter(self.number, offset, NO_TIMESTAMP, raw, &reason);
            }
        }
        Ok(())
    }

    /// Looks for the first record: behind the next line end, from the byte before the range on.
    fn align(&mut self) -> bool {
        match self.rules.line_end(&self.window[self.at..]) {
            Some(i) => {
                self.at += i + 1;
                self.split.position += i as u64;
                self.split.aligned = true;
                false
            }
            None => {
                // The first byte is the one before the range.
                let passed = self.window.len() - self.at;
                self.at = self.window.len();
                self.split.position += passed as u64;
                if self.last {
                    self.split.aligned = true;
                    self.split.position = self.split.end;
                }
                true
            }
        }
    }

    /// Goes on in a line that is too long. Its position stands at its beginning until its end.
    fn pass_endless<O: SourceOutput<S::Item>>(&mut self, records: &mut usize, out: &mut O) -> bool {
        let unread = &self.window[self.at..];
        let end = self.rules.line_end(unread);
        let length = end.unwrap_or(unread.len());
        self.at += length;
        let ended = end.is_some() || self.last;
        let Some((kept, passed)) = &mut self.endless else { return false };
        *passed += length as u64;
        if !ended {
            return true;
        }
        let reason = format!(
            "the line is {passed} bytes long, more than the {} allowed; only its beginning is kept here",
            self.rules.max_record
        );
        out.dead_letter(self.number, self.split.position, NO_TIMESTAMP, kept, &reason);
        *records += 1;
        self.split.position += *passed;
        self.endless = None;
        false
    }

    #[inline]
    fn pass(&mut self, n: usize) {
        self.at += n;
        self.split.position += n as u64;
    }

    /// Gets more bytes; `false`: none are there yet.
    fn refill(&mut self) -> Result<bool> {
        self.window.drain(..self.at);
        self.at = 0;
        if self.unpacker.as_ref().is_some_and(|u| !u.packed.is_empty()) {
            self.unpack();
            return Ok(true);
        }
        let Some(fetch) = &mut self.fetch else {
            return Err(Error::source(NAME, format!("'{}' was not opened", self.split.file.path)));
        };
        match fetch.next()? {
            Fetched::Pending => return Ok(false),
            Fetched::Bytes(bytes) => {
                self.read += bytes.len() as u64;
                match &mut self.unpacker {
                    None => self.window.extend_from_slice(&bytes),
                    Some(unpacker) => unpacker.packed = bytes,
                }
            }
            Fetched::End => {
                self.last = true;
                if let Some(unpacker) = &mut self.unpacker {
                    match unpacker.decoder.try_finish() {
                        Ok(()) => self.take_unpacked(),
                        Err(e) => self.stop_at_damage(&e),
                    }
                }
            }
        }
        Ok(true)
    }

    fn unpack(&mut self) {
        let Some(unpacker) = &mut self.unpacker else { return };
        let packed = unpacker.packed.split_to(unpacker.packed.len().min(PACKED));
        let result = unpacker.decoder.write_all(&packed);
        self.take_unpacked();
        if let Err(e) = result {
            self.stop_at_damage(&e);
        }
    }

    /// Moves what was unpacked into the window, but for what was read before the checkpoint.
    fn take_unpacked(&mut self) {
        let Some(unpacker) = &mut self.unpacker else { return };
        let unpacked = unpacker.decoder.get_mut();
        let skipped = usize::try_from(unpacker.skip).unwrap_or(usize::MAX).min(unpacked.len());
        unpacker.skip -= skipped as u64;
        self.window.extend_from_slice(&unpacked[skipped..]);
        unpacked.clear();
    }

    fn stop_at_damage(&mut self, e: &std::io::Error) {
        self.take_unpacked();
        if let Some(unpacker) = &mut self.unpacker {
            unpacker.packed.clear();
        }
        self.fetch = None;
        self.last = true;
        self.broken = Some(format!(
            "the gzip stream of '{}' is damaged or cut off ({e}): nothing after this can be read",
            self.split.file.path
        ));
    }
}

const UNCLOSED: &str = "a quote in this line is not closed; reading goes on with the next line";
