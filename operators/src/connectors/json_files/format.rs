//! JSON lines as a part file format, plain or gzip.

use std::{fs::File, io, marker::PhantomData};

use hurtig_engine::record::Record;
use serde::Serialize;

use crate::connectors::part_files::{LineFile, PartFormat, Refusal, Stored};

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

impl<T: Serialize + 'static> PartFormat<T> for JsonFormat<T> {
    type Chunk = JsonChunk;
    type File = LineFile;

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

    fn create(&self, file: File) -> io::Result<LineFile> {
        Ok(LineFile::new(file, self.gzip, 0))
    }

    fn append(&self, file: &mut LineFile, chunk: &mut JsonChunk) -> io::Result<Stored> {
        file.append(&chunk.lines)?;
        let stored = Stored { written: chunk.rows as u64, refused: Vec::new() };
        chunk.lines.clear();
        chunk.rows = 0;
        Ok(stored)
    }

    fn written(&self, file: &LineFile) -> u64 {
        file.written()
    }

    fn finish(&self, file: LineFile) -> io::Result<File> {
        file.finish()
    }

    fn resumes(&self) -> bool {
        true
    }

    fn resume(&self, file: File, written: u64) -> io::Result<LineFile> {
        Ok(LineFile::new(file, self.gzip, written))
    }
}
