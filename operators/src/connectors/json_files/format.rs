//! JSON lines as a part file format, plain or gzip.

use std::{
    fs::File,
    io::{self, Write},
    marker::PhantomData,
};

use flate2::{Compression, write::GzEncoder};
use hurtig_engine::record::Record;
use serde::Serialize;

use crate::connectors::part_files::{PartFormat, Refusal, Stored};

/// Lines are appended when there are this many bytes of them.
const CHUNK: usize = 256 << 10;

/// Each record as one line of JSON.
#[derive(Debug)]
pub struct JsonFormat<T> {
    gzip: bool,
    item: PhantomData<fn(T)>,
}

impl<T> JsonFormat<T> {
    /// Plain, or compressed.
    pub fn new(gzip: bool) -> Self {
        JsonFormat { gzip, item: PhantomData }
    }
}

/// Lines in memory.
#[derive(Debug, Default)]
pub struct JsonChunk {
    lines: Vec<u8>,
    rows: usize,
}

/// A file of lines that is being written.
#[derive(Debug)]
pub struct JsonFile {
    encoder: Encoder,
    /// Bytes of a plain file.
    written: u64,
}

#[derive(Debug)]
enum Encoder {
    Plain(File),
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

impl<T: Serialize + 'static> PartFormat<T> for JsonFormat<T> {
    type Chunk = JsonChunk;
    type File = JsonFile;

    fn extension(&self) -> &str {
        if self.gzip { "jsonl.gz" } else { "jsonl" }
    }

    fn chunk(&self) -> JsonChunk {
        JsonChunk::default()
    }

    #[inline]
    fn gather(&self, chunk: &mut JsonChunk, record: Record<T>) -> Result<(), Refusal> {
        let before = chunk.lines.len();
        match serde_json::to_writer(&mut chunk.lines, &record.value) {
            Ok(()) => {
                chunk.lines.push(b'\n');
                chunk.rows += 1;
                Ok(())
            }
            Err(e) => {
                // What came out before the error is all there is to show.
                let raw = chunk.lines.split_off(before);
                let reason = format!("the record cannot be written as JSON: {e}");
                Err(Refusal { origin: record.origin, time: record.timestamp, raw, reason })
            }
        }
    }

    fn raw(&self, value: &T) -> Vec<u8> {
        let mut raw = Vec::new();
        // A value that cannot be written shows as far as it could.
        let _ = serde_json::to_writer(&mut raw, value);
        raw
    }

    fn bytes(&self, chunk: &JsonChunk) -> usize {
        chunk.lines.len()
    }

    fn rows(&self, chunk: &JsonChunk) -> usize {
        chunk.rows
    }

    fn is_full(&self, chunk: &JsonChunk) -> bool {
        chunk.lines.len() >= CHUNK
    }

    fn create(&self, file: File) -> io::Result<JsonFile> {
        let encoder = if self.gzip {
            Encoder::Gzip(Box::new(GzEncoder::new(Counted { file, written: 0 }, Compression::new(4))))
        } else {
            Encoder::Plain(file)
        };
        Ok(JsonFile { encoder, written: 0 })
    }

    fn append(&self, file: &mut JsonFile, chunk: &mut JsonChunk) -> io::Result<Stored> {
        match &mut file.encoder {
            Encoder::Plain(f) => {
                f.write_all(&chunk.lines)?;
                file.written += chunk.lines.len() as u64;
            }
            Encoder::Gzip(f) => {
                f.write_all(&chunk.lines)?;
                file.written = f.get_ref().written;
            }
        }
        let stored = Stored { written: chunk.rows as u64, refused: Vec::new() };
        chunk.lines.clear();
        chunk.rows = 0;
        Ok(stored)
    }

    fn written(&self, file: &JsonFile) -> u64 {
        file.written
    }

    fn finish(&self, file: JsonFile) -> io::Result<File> {
        match file.encoder {
            Encoder::Plain(f) => Ok(f),
            Encoder::Gzip(f) => Ok(f.finish()?.file),
        }
    }
}
