//! An aggregate to bytes and back.

use bytes::{Buf, Bytes};
use md5::{Digest, Md5};
use prost::Message;

use super::message::AggregatedRecord;

/// What an aggregate begins with.
pub const MAGIC: [u8; 4] = [0xF3, 0x89, 0x9A, 0xC2];

/// The bytes of an MD5.
const DIGEST: usize = 16;

/// How many bytes an aggregate has beside its message ([`Message::encoded_len`]).
pub const OVERHEAD: usize = MAGIC.len() + DIGEST;

/// Reads an aggregate. `None`: this is a plain record (another beginning, a wrong MD5, or no
/// message behind a right one, as KCL has it).
pub fn decode(record: &[u8]) -> Option<AggregatedRecord> {
    is_aggregate(record).then(|| AggregatedRecord::decode(&record[MAGIC.len()..record.len() - DIGEST]).ok())?
}

/// [`decode`] whose members share `record`'s memory.
pub fn decode_bytes(record: &Bytes) -> Option<AggregatedRecord> {
    if !is_aggregate(record) {
        return None;
    }
    let mut message = record.slice(..record.len() - DIGEST);
    message.advance(MAGIC.len());
    AggregatedRecord::decode(message).ok()
}

/// Writes an aggregate.
pub fn encode(aggregate: &AggregatedRecord) -> Vec<u8> {
    let mut out = Vec::with_capacity(aggregate.encoded_len() + OVERHEAD);
    out.extend_from_slice(&MAGIC);
    aggregate.encode_raw(&mut out);
    let digest = Md5::digest(&out[MAGIC.len()..]);
    out.extend_from_slice(&digest);
    out
}

fn is_aggregate(record: &[u8]) -> bool {
    let Some(rest) = record.strip_prefix(&MAGIC) else { return false };
    let Some((message, digest)) = rest.split_last_chunk::<DIGEST>() else { return false };
    !message.is_empty() && Md5::digest(message).as_slice() == digest
}
