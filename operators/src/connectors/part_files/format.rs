//! How records become bytes in a file: the contract between a part writer and a format.

use std::{fs::File, io};

use hurtig_engine::record::{Origin, Record};

/// A kind of file. Gathering happens on the worker, record by record; creating, appending and
/// finishing happen on the pool, chunk by chunk, one at a time per file.
pub trait PartFormat<T>: Send + Sync + 'static {
    /// Records in memory: bytes, or rows.
    type Chunk: Send + 'static;
    /// An open file with its encoder.
    type File: Send + 'static;

    /// What names end in: `jsonl`, `parquet`.
    fn extension(&self) -> &str;

    /// An empty chunk.
    fn chunk(&self) -> Self::Chunk;

    /// Adds a record. If it is refused, the chunk is as before.
    fn gather(&self, chunk: &mut Self::Chunk, record: Record<T>) -> Result<(), Refusal>;

    /// A record as a dead letter shows it.
    fn raw(&self, value: &T) -> Vec<u8>;

    /// About how many bytes the chunk holds in memory.
    fn bytes(&self, chunk: &Self::Chunk) -> usize;

    /// How many records it holds.
    fn rows(&self, chunk: &Self::Chunk) -> usize;

    /// Whether it is worth appending.
    fn is_full(&self, chunk: &Self::Chunk) -> bool;

    /// Begins a file.
    fn create(&self, file: File) -> io::Result<Self::File>;

    /// Appends the chunk's records and leaves it empty, its memory kept.
    fn append(&self, file: &mut Self::File, chunk: &mut Self::Chunk) -> io::Result<Stored>;

    /// How many bytes the file has by now, about.
    fn written(&self, file: &Self::File) -> u64;

    /// Ends the file.
    fn finish(&self, file: Self::File) -> io::Result<File>;

    /// Whether a file that was ended can be gone on with. Then a partition has one file, however
    /// many partitions there are: when too many files are open, one is ended and closed after each
    /// chunk, and opened again for the next.
    fn resumes(&self) -> bool {
        false
    }

    /// Goes on with a file that was ended; it is open at its end. `written`: what
    /// [`written`](Self::written) said before it was ended.
    fn resume(&self, file: File, written: u64) -> io::Result<Self::File> {
        let _ = (file, written);
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// A record that a format cannot write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Where it came from.
    pub origin: Origin,
    /// Its event time.
    pub time: i64,
    /// What it looked like.
    pub raw: Vec<u8>,
    /// Why.
    pub reason: String,
}

/// What came of a chunk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stored {
    /// How many of its records were written.
    pub written: u64,
    /// The others.
    pub refused: Vec<Refusal>,
}
