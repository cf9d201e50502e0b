//! A file of lines, plain or gzip: what JSON lines and lines as received are written to.
//!
//! Both can be ended and gone on with: a plain file is only bytes, and gzip members one after
//! another are one gzip file (RFC 1952, 2.2).

use std::{
    fs::File,
    io::{self, Write},
};

use flate2::{Compression, write::GzEncoder};

/// A file of lines that is being written.
#[derive(Debug)]
pub struct LineFile {
    encoder: Encoder,
}

#[derive(Debug)]
enum Encoder {
    Plain(Counted),
    Gzip(Box<GzEncoder<Counted>>),
}

/// Counts what reaches the file.
#[derive(Debug)]
struct Counted {
    file: File,
    written: u64,
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.file.write(bytes)?;
        self.written += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl LineFile {
    /// Goes on with `file`, which has `written` bytes so far: none if it is new.
    pub fn new(file: File, gzip: bool, written: u64) -> Self {
        let file = Counted { file, written };
        let encoder = if gzip {
            Encoder::Gzip(Box::new(GzEncoder::new(file, Compression::new(4))))
        } else {
            Encoder::Plain(file)
        };
        LineFile { encoder }
    }

    /// Appends lines.
    pub fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        match &mut self.encoder {
            Encoder::Plain(f) => f.write_all(lines),
            Encoder::Gzip(f) => f.write_all(lines),
        }
    }

    /// How many bytes have reached the file. An encoder holds some back.
    pub fn written(&self) -> u64 {
        match &self.encoder {
            Encoder::Plain(f) => f.written,
            Encoder::Gzip(f) => f.get_ref().written,
        }
    }

    /// Ends the file.
    pub fn finish(self) -> io::Result<File> {
        match self.encoder {
            Encoder::Plain(f) => Ok(f.file),
            Encoder::Gzip(f) => Ok(f.finish()?.file),
        }
    }
}
