//! How bytes become records: the contract between a file's window and a format.

use hurtig_engine::{record::Data, source::SourceOutput};

/// A file format: makes the decoder of each file.
pub trait Format<T: Data>: Clone + Send + Sync + 'static {
    /// Decodes one file.
    type Decoder: Decoder<T>;

    /// What the names of such files end in (each also with `.gz`); none: anything.
    fn suffixes(&self) -> &'static [&'static str];

    /// Says what is wrong with the format's own options.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }

    /// The decoder of one file.
    fn decoder(&self, file: &str) -> Self::Decoder;
}

/// What a decoder is given: the unread bytes of a file from the start of a record.
#[derive(Debug, Clone, Copy)]
pub struct Chunk<'a> {
    /// The bytes.
    pub bytes: &'a [u8],
    /// Whether all whole lines in them are valid UTF-8.
    pub(super) utf8: bool,
    /// Whether nothing comes after them.
    pub last: bool,
}

/// Where a decoder is, kept up to date record by record.
#[derive(Debug, Clone, Copy)]
pub struct Cursor {
    /// The split's number.
    pub split: u32,
    /// The position of the next record.
    pub position: u64,
    /// Whether positions count records (gzip) and not bytes.
    pub by_record: bool,
}

impl Cursor {
    /// Moves past one record of `bytes` bytes.
    #[inline]
    pub fn advance(&mut self, bytes: usize) {
        self.position += if self.by_record { 1 } else { bytes as u64 };
    }

    /// Moves past bytes that are no record.
    #[inline]
    pub fn pass(&mut self, bytes: usize) {
        self.position += if self.by_record { 0 } else { bytes as u64 };
    }
}

/// What came of a chunk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes that are done with.
    pub consumed: usize,
    /// Records that were found in them, good and bad.
    pub records: usize,
    /// Whether it stopped because a record is not complete (or nothing is left).
    pub starved: bool,
}

/// Decodes one file, chunk by chunk. It has no memory of what it consumed but the header.
pub trait Decoder<T> {
    /// The length of what precedes the first record (a byte order mark, a header line), which
    /// is remembered; `None` if more bytes are needed to tell. Called before anything else
    /// with the beginning of the file.
    fn header(&mut self, chunk: Chunk<'_>) -> Result<Option<usize>, String>;

    /// Emits up to `max` records, as long as `out` is not full.
    fn decode<O: SourceOutput<T>>(
        &mut self,
        chunk: Chunk<'_>,
        cursor: &mut Cursor,
        max: usize,
        out: &mut O,
    ) -> Progress;

    /// Passes `max` records without decoding them: exactly those that
    /// [`decode`](Self::decode) would have counted.
    fn skip(&mut self, chunk: Chunk<'_>, cursor: &mut Cursor, max: usize) -> Progress;
}

/// The length of a byte order mark.
pub(super) fn byte_order_mark(chunk: Chunk<'_>) -> Option<usize> {
    const MARK: &[u8] = b"\xef\xbb\xbf";
    if chunk.bytes.starts_with(MARK) {
        Some(MARK.len())
    } else if !chunk.last && chunk.bytes.len() < MARK.len() && MARK.starts_with(chunk.bytes) {
        None
    } else {
        Some(0)
    }
}
