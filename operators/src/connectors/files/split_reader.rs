//! Reads one file: keeps the window filled, the position right, and bad input out of the way.

use std::{
    io,
    path::{Path, PathBuf},
};

use hurtig_engine::{
    error::{Error, Result},
    record::Data,
    source::SourceOutput,
    time::NO_TIMESTAMP,
};

use super::{
    decoder::{Chunk, Cursor, Decoder},
    input::{Input, is_broken_stream},
    source::NAME,
    split::FileSplit,
    window::Window,
};

/// A plain file is read in blocks of this size.
const BLOCK: usize = 256 << 10;
/// A gzip stream's window stays for the whole file, and there may be thousands of them.
const GZIP_BLOCK: usize = 64 << 10;
/// How much of an endless line, or of what stands before a broken stream, a dead letter keeps.
const KEPT: usize = 64 << 10;

/// One file that is being read.
pub(super) struct SplitReader<D> {
    path: PathBuf,
    id: String,
    cursor: Cursor,
    decoder: D,
    window: Window,
    input: Option<Input>,
    /// Whether the decoder knows the header.
    begun: bool,
    last: bool,
    /// Why a gzip stream ends here.
    broken: Option<String>,
    /// A gzip stream is being read again up to this record: where the checkpoint was.
    skip_to: Option<u64>,
    /// A line too long to be held, so far.
    endless: Option<Endless>,
    max_record: usize,
}

struct Endless {
    kept: Vec<u8>,
    length: u64,
}

/// What a slice of reading came to.
pub(super) struct Slice {
    /// What it cost of the slice: records, or as many as were asked for when it was other work.
    pub records: usize,
    pub finished: bool,
}

impl<D> SplitReader<D> {
    pub fn new(root: &Path, number: u32, split: FileSplit, decoder: D, max_record: usize) -> Self {
        SplitReader {
            path: root.join(&split.path),
            id: split.path,
            cursor: Cursor { split: number, position: split.position, by_record: false },
            decoder,
            window: Window::default(),
            input: None,
            begun: false,
            last: false,
            broken: None,
            skip_to: None,
            endless: None,
            max_record,
        }
    }

    pub fn number(&self) -> u32 {
        self.cursor.split
    }

    /// The split at its position: everything before it was emitted.
    pub fn split(&self) -> FileSplit {
        FileSplit { path: self.id.clone(), position: self.skip_to.unwrap_or(self.cursor.position) }
    }

    pub fn is_open(&self) -> bool {
        self.input.is_some()
    }

    /// Gives file descriptor and buffer back. The position stays; a gzip stream keeps its
    /// decoder, because it could only start again from the beginning.
    pub fn close(&mut self) {
        match &mut self.input {
            Some(input) if input.is_gzip() => input.release(),
            _ => {
                self.input = None;
                self.window.release();
                self.last = false;
                self.endless = None;
            }
        }
    }

    fn fail(&self, e: &io::Error) -> Error {
        Error::source(
            NAME,
            format!("'{}' cannot be read: {e}; check the file and its permissions", self.path.display()),
        )
    }
}

impl<D> SplitReader<D> {
    /// Opens the file at its position.
    pub fn open<T: Data>(&mut self) -> Result<()>
    where
        D: Decoder<T>,
    {
        let input = Input::open(&self.path).map_err(|e| self.fail(&e))?;
        self.cursor.by_record = input.is_gzip();
        self.input = Some(input);
        self.window.clear();
        self.last = false;
        let header = if self.begun { None } else { Some(self.read_header()?) };
        self.begun = true;
        let position = self.cursor.position;
        if self.cursor.by_record {
            self.window.consume(header.unwrap_or(0));
            self.cursor.position = 0;
            self.skip_to = Some(position).filter(|p| *p > 0);
            return Ok(());
        }
        match header {
            Some(length) if position <= length as u64 => {
                self.cursor.position = length as u64;
                self.window.consume(length);
            }
            _ => {
                let length = std::fs::metadata(&self.path).map_err(|e| self.fail(&e))?.len();
                if position > length {
                    return Err(self.replaced(&format!("it is {length} bytes long, the checkpoint was at {position}")));
                }
                self.window.clear();
                self.last = false;
                if let Some(Err(e)) = self.input.as_mut().map(|i| i.seek(position)) {
                    return Err(self.fail(&e));
                }
            }
        }
        Ok(())
    }

    fn read_header<T: Data>(&mut self) -> Result<usize>
    where
        D: Decoder<T>,
    {
        loop {
            let chunk = Chunk { bytes: self.window.unread(), utf8: self.window.utf8(), last: self.last };
            match self.decoder.header(chunk) {
                Ok(Some(length)) => return Ok(length),
                Ok(None) if self.last || self.broken.is_some() => return Ok(0),
                Ok(None) if self.window.unread().len() >= self.max_record => {
                    return Err(self.unusable("its header is too long; is it a CSV file?"));
                }
                Ok(None) => self.refill()?,
                Err(reason) => return Err(self.unusable(&reason)),
            }
        }
    }

    /// Decompresses again towards where the checkpoint was, one block at a time: barriers and
    /// stop have to get their turn. `true` when it is there.
    fn skip<T: Data>(&mut self, count: u64) -> Result<bool>
    where
        D: Decoder<T>,
    {
        while self.cursor.position < count {
            if self.endless.is_some() {
                self.pass_endless::<T, _>(&mut NoOutput)?;
                return Ok(false);
            }
            let left = usize::try_from(count - self.cursor.position).unwrap_or(usize::MAX);
            let chunk = Chunk { bytes: self.window.unread(), utf8: self.window.utf8(), last: self.last };
            let progress = self.decoder.skip(chunk, &mut self.cursor, left);
            self.window.consume(progress.consumed);
            if !progress.starved {
                continue;
            }
            if self.last || self.broken.is_some() {
                return Err(
                    self.replaced(&format!("it has {} records, the checkpoint was at {count}", self.cursor.position))
                );
            }
            if self.window.unread().len() >= self.max_record {
                self.give_up_on_line::<T, _>(&mut NoOutput);
            } else {
                self.refill()?;
                return Ok(false);
            }
        }
        self.skip_to = None;
        Ok(true)
    }

    /// Emits up to `max` records.
    pub fn read<T: Data, O: SourceOutput<T>>(&mut self, max: usize, out: &mut O) -> Result<Slice>
    where
        D: Decoder<T>,
    {
        if let Some(count) = self.skip_to
            && !self.skip(count)?
        {
            return Ok(Slice { records: max, finished: false });
        }
        let mut records = 0;
        loop {
            if self.endless.is_some() {
                if !self.pass_endless(out)? {
                    return Ok(Slice { records: records + 1, finished: false });
                }
                records += 1;
            }
            let chunk = Chunk { bytes: self.window.unread(), utf8: self.window.utf8(), last: self.last };
            let progress = self.decoder.decode(chunk, &mut self.cursor, max.saturating_sub(records), out);
            self.window.consume(progress.consumed);
            records += progress.records;
            if !progress.starved {
                return Ok(Slice { records, finished: false });
            }
            if let Some(reason) = &self.broken {
                let rest = self.window.unread();
                let kept = &rest[..rest.len().min(KEPT)];
                out.dead_letter(self.cursor.split, self.cursor.position, NO_TIMESTAMP, kept, reason);
                return Ok(Slice { records, finished: true });
            }
            if self.last {
                return Ok(Slice { records, finished: true });
            }
            if self.window.unread().len() >= self.max_record {
                self.give_up_on_line(out);
                records += 1;
            } else {
                self.refill()?;
            }
        }
    }

    fn refill(&mut self) -> Result<()> {
        let Some(input) = &mut self.input else {
            return Err(Error::source(NAME, format!("'{}' is not open", self.path.display())));
        };
        let block = if input.is_gzip() { GZIP_BLOCK } else { BLOCK };
        match self.window.refill(input, block, self.max_record) {
            Ok(0) => {
                self.last = true;
                self.window.check_all();
            }
            Ok(_) => {}
            Err(e) if input.is_gzip() && is_broken_stream(&e) => {
                self.broken = Some(format!(
                    "the gzip stream of '{}' is damaged or cut off behind record {} ({e}): nothing after it can be read",
                    self.id, self.cursor.position
                ));
            }
            Err(e) => return Err(self.fail(&e)),
        }
        Ok(())
    }

    /// The window is full and there is no whole record in it: the line at its beginning goes
    /// to the dead letters. (A CSV record can be that long because of a quote never closed.)
    fn give_up_on_line<T, O: SourceOutput<T>>(&mut self, out: &mut O) {
        let unread = self.window.unread();
        if let Some(end) = memchr::memchr(b'\n', unread) {
            let line = &unread[..end];
            let reason =
                format!("no record ends within {} bytes of this line; is a quote not closed?", self.max_record);
            out.dead_letter(self.cursor.split, self.cursor.position, NO_TIMESTAMP, &line[..end.min(KEPT)], &reason);
            self.window.consume(end + 1);
            self.cursor.advance(end + 1);
        } else {
            self.endless =
                Some(Endless { kept: unread[..unread.len().min(KEPT)].to_vec(), length: unread.len() as u64 });
            self.window.release();
        }
    }

    /// Reads on in a line that is too long, one block; `true` when its end was found. The
    /// position stays at the line's beginning until then.
    fn pass_endless<T, O: SourceOutput<T>>(&mut self, out: &mut O) -> Result<bool> {
        if self.window.unread().is_empty() && !self.last && self.broken.is_none() {
            self.refill()?;
        }
        let unread = self.window.unread();
        let end = memchr::memchr(b'\n', unread);
        let length = end.map_or(unread.len(), |i| i + 1);
        self.window.consume(length);
        let ended = end.is_some() || self.last || self.broken.is_some();
        let Some(line) = &mut self.endless else { return Ok(true) };
        line.length += length as u64;
        if ended {
            let reason = format!(
                "the line is {} bytes long, more than the {} allowed; only its beginning is kept here",
                line.length, self.max_record
            );
            out.dead_letter(self.cursor.split, self.cursor.position, NO_TIMESTAMP, &line.kept, &reason);
            self.cursor.advance(usize::try_from(line.length).unwrap_or(usize::MAX));
            self.endless = None;
        }
        Ok(ended)
    }

    fn unusable(&self, reason: &str) -> Error {
        Error::source(NAME, format!("'{}': {reason}; mend the file or the options", self.path.display()))
    }

    fn replaced(&self, reason: &str) -> Error {
        Error::source(NAME, format!("'{}' is not the file that was read before: {reason}", self.path.display()))
    }
}

/// Takes what is passed on a restore, and forgets it: it was emitted before the checkpoint.
struct NoOutput;

impl<T> SourceOutput<T> for NoOutput {
    fn emit(&mut self, _: u32, _: u64, _: i64, _: T) {}
    fn dead_letter(&mut self, _: u32, _: u64, _: i64, _: &[u8], _: &str) {}
    fn is_full(&self) -> bool {
        false
    }
    fn split_watermark(&self, _: u32) -> i64 {
        i64::MIN
    }
    fn finish_split(&mut self, _: u32) {}
}
