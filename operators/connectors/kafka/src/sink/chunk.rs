//! Records of an epoch as they are stored in a checkpoint: compressed chunks, each with a header that says whose.
//!
//! ```text
//! chunk  = version (1 byte) · header's length (4 bytes) · header (postcard) · records (zstd)
//! record = topic · partition + 1 · timestamp + 1 · key · value · headers      (numbers as LEB128, 0: none)
//! bytes  = length + 1 · the bytes                                             (0: null)
//! ```

use hurtig_engine::error::{Error, Result, from_bytes, to_bytes};
use serde::{Deserialize, Serialize};

/// What is written now, and the newest that is read.
const VERSION: u8 = 1;

/// Fast: four fifths of what level 3 saves, at a third of its time (readings as JSON).
const LEVEL: i32 = 1;

/// Whose records a chunk holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkHeader {
    /// The writer's attempt: unique for every start of a subtask.
    pub attempt: String,
    /// The writer's subtask.
    pub subtask: u32,
    /// The attempt's epochs, from 1.
    pub epoch: u64,
    /// The epoch's chunks, from 0.
    pub part: u32,
    /// How many records it holds.
    pub records: u32,
    /// Their size before compression.
    pub raw_bytes: u32,
}

/// A chunk that was read back.
#[derive(Debug, Clone, Copy)]
pub struct Chunk<'a>(&'a [u8]);

/// A record in a chunk.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StoredRecord<'a> {
    /// Where it goes.
    pub topic: &'a str,
    /// The partition, if it was chosen.
    pub partition: Option<i32>,
    /// Its time, if it was given.
    pub timestamp: Option<i64>,
    /// The key.
    pub key: Option<&'a [u8]>,
    /// The value.
    pub value: Option<&'a [u8]>,
    /// The headers.
    pub headers: Vec<(&'a str, Option<&'a [u8]>)>,
}

/// Makes a chunk of records that were encoded by [`StoredRecord::encode`].
pub(super) fn pack(header: &ChunkHeader, raw: &[u8]) -> Result<Vec<u8>> {
    let head = to_bytes("a chunk's header", header)?;
    let records = zstd::bulk::compress(raw, LEVEL).map_err(broken)?;
    let mut chunk = Vec::with_capacity(5 + head.len() + records.len());
    chunk.push(VERSION);
    chunk.extend(u32::try_from(head.len()).map_err(broken)?.to_le_bytes());
    chunk.extend(head);
    chunk.extend(records);
    Ok(chunk)
}

impl<'a> Chunk<'a> {
    /// A committable back from a checkpoint: whose it is, and what is in it.
    pub fn open(bytes: &'a [u8]) -> Result<(ChunkHeader, Chunk<'a>)> {
        let (&version, rest) = bytes.split_first().ok_or_else(|| broken("it is empty"))?;
        if version > VERSION {
            return Err(broken(format!("its version is {version}, this one knows up to {VERSION}")));
        }
        let (length, rest) = rest.split_first_chunk::<4>().ok_or_else(|| broken("it is cut off"))?;
        let length = u32::from_le_bytes(*length) as usize;
        let (head, records) = rest.split_at_checked(length).ok_or_else(|| broken("it is cut off"))?;
        Ok((from_bytes("a chunk's header", head)?, Chunk(records)))
    }

    /// The records' bytes, to be read by [`StoredRecord::decode`].
    pub fn unpack(self, header: &ChunkHeader) -> Result<Vec<u8>> {
        zstd::bulk::decompress(self.0, header.raw_bytes as usize).map_err(broken)
    }

    /// How large it is as stored.
    pub fn stored_bytes(self) -> usize {
        self.0.len()
    }
}

impl<'a> StoredRecord<'a> {
    /// Appends the record.
    pub fn encode(&self, out: &mut Vec<u8>) {
        encode(out, self.topic, (self.partition, self.timestamp), (self.key, self.value), self.headers.iter().copied());
    }

    /// Takes the first record off `bytes`; `None` at their end.
    pub fn decode(bytes: &mut &'a [u8]) -> Result<Option<Self>> {
        if bytes.is_empty() {
            return Ok(None);
        }
        let text = |b: Option<&'a [u8]>| std::str::from_utf8(b.unwrap_or_default()).map_err(broken);
        let topic = text(take_bytes(bytes)?)?;
        let partition = match take_number(bytes)? {
            0 => None,
            n => Some(i32::try_from(n - 1).map_err(broken)?),
        };
        let timestamp = match take_number(bytes)? {
            0 => None,
            n => Some(i64::try_from(n - 1).map_err(broken)?),
        };
        let (key, value) = (take_bytes(bytes)?, take_bytes(bytes)?);
        let count = take_number(bytes)?;
        let mut headers = Vec::new();
        for _ in 0..count {
            headers.push((text(take_bytes(bytes)?)?, take_bytes(bytes)?));
        }
        Ok(Some(StoredRecord { topic, partition, timestamp, key, value, headers }))
    }
}

/// Appends one record.
pub(super) fn encode<'a>(
    out: &mut Vec<u8>,
    topic: &str,
    (partition, timestamp): (Option<i32>, Option<i64>),
    (key, value): (Option<&[u8]>, Option<&[u8]>),
    headers: impl ExactSizeIterator<Item = (&'a str, Option<&'a [u8]>)>,
) {
    put_bytes(out, Some(topic.as_bytes()));
    // Negative is none, for both.
    put_number(out, partition.and_then(|p| u64::try_from(p).ok()).map_or(0, |p| p + 1));
    put_number(out, timestamp.and_then(|t| u64::try_from(t).ok()).map_or(0, |t| t + 1));
    put_bytes(out, key);
    put_bytes(out, value);
    put_number(out, headers.len() as u64);
    for (name, value) in headers {
        put_bytes(out, Some(name.as_bytes()));
        put_bytes(out, value);
    }
}

fn put_number(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

fn put_bytes(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        None => out.push(0),
        Some(bytes) => {
            put_number(out, bytes.len() as u64 + 1);
            out.extend_from_slice(bytes);
        }
    }
}

fn take_number(bytes: &mut &[u8]) -> Result<u64> {
    let mut n = 0;
    for shift in (0..64).step_by(7) {
        let (&b, rest) = bytes.split_first().ok_or_else(|| broken("it is cut off"))?;
        *bytes = rest;
        n |= u64::from(b & 0x7f) << shift;
        if b < 0x80 {
            return Ok(n);
        }
    }
    Err(broken("a number is too long"))
}

fn take_bytes<'a>(bytes: &mut &'a [u8]) -> Result<Option<&'a [u8]>> {
    let Some(length) = take_number(bytes)?.checked_sub(1) else { return Ok(None) };
    let length = usize::try_from(length).map_err(broken)?;
    let (taken, rest) = bytes.split_at_checked(length).ok_or_else(|| broken("it is cut off"))?;
    *bytes = rest;
    Ok(Some(taken))
}

fn broken(reason: impl ToString) -> Error {
    Error::codec("a chunk of records for Kafka", reason)
}
