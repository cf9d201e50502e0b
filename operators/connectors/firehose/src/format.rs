//! Lines as received, as a part file format.

use std::{fs::File, io, sync::Arc};

use hurtig_engine::record::Record;
use hurtig_operators::connectors::part_files::{LineFile, PartFormat, Refusal, Stored};

/// Lines are appended when there are this many bytes of them.
const CHUNK: usize = 256 << 10;

/// Records of one partition, each with its delimiter behind it.
#[derive(Debug)]
pub(crate) struct Line {
    /// Of the partition: see [`Layout`](crate::layout::Layout).
    pub name: Arc<str>,
    /// When the record arrived.
    pub arrival: i64,
    pub bytes: Vec<u8>,
    /// How many records it is.
    pub rows: usize,
}

/// Plain or gzip.
#[derive(Debug)]
pub(crate) struct LineFormat {
    pub extension: String,
    pub gzip: bool,
    /// Whether a file's size is that of the file, not that of the records in it.
    pub size_is_the_files: bool,
}

/// Lines in memory.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    bytes: Vec<u8>,
    rows: usize,
}

/// A file, and how many bytes of records are in it.
#[derive(Debug)]
pub(crate) struct RawFile {
    file: LineFile,
    raw: u64,
}

impl PartFormat<Line> for LineFormat {
    type Chunk = Lines;
    type File = RawFile;

    fn extension(&self) -> &str {
        &self.extension
    }

    fn chunk(&self) -> Lines {
        Lines::default()
    }

    #[inline]
    fn gather(&self, chunk: &mut Lines, record: Record<Line>) -> Result<(), Refusal> {
        chunk.bytes.extend_from_slice(&record.value.bytes);
        chunk.rows += record.value.rows;
        Ok(())
    }

    fn raw(&self, value: &Line) -> Vec<u8> {
        value.bytes.clone()
    }

    fn bytes(&self, chunk: &Lines) -> usize {
        chunk.bytes.len()
    }

    fn rows(&self, chunk: &Lines) -> usize {
        chunk.rows
    }

    fn is_full(&self, chunk: &Lines) -> bool {
        chunk.bytes.len() >= CHUNK
    }

    fn create(&self, file: File) -> io::Result<RawFile> {
        self.resume(file, 0)
    }

    fn append(&self, file: &mut RawFile, chunk: &mut Lines) -> io::Result<Stored> {
        file.file.append(&chunk.bytes)?;
        file.raw += chunk.bytes.len() as u64;
        let stored = Stored { written: chunk.rows as u64, refused: Vec::new() };
        chunk.bytes.clear();
        chunk.rows = 0;
        Ok(stored)
    }

    fn written(&self, file: &RawFile) -> u64 {
        if self.size_is_the_files { file.file.written() } else { file.raw }
    }

    fn finish(&self, file: RawFile) -> io::Result<File> {
        file.file.finish()
    }

    fn resumes(&self) -> bool {
        true
    }

    fn resume(&self, file: File, written: u64) -> io::Result<RawFile> {
        // One of the two numbers goes on where it was, the other one is not asked for.
        Ok(RawFile { file: LineFile::new(file, self.gzip, written), raw: written })
    }
}
