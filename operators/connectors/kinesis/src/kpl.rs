//! The Kinesis Producer Library's aggregated records: many user records in one stream record.
//!
//! An aggregate is `F3 89 9A C2`, a protobuf message ([`AggregatedRecord`]) and the MD5 of that
//! message. Whatever does not have this form to the last byte is a plain record. The form knows
//! no version; KPL, KCL, Firehose and the `aws-kinesis-agg` packages all write and read this one
//! (aggregation-format.md in awslabs/amazon-kinesis-producer).
//!
//! All members of an aggregate lie in the shard that the aggregate was sent to. When a reshard
//! comes in between, some no longer do; the producer sends those again and the reader drops
//! them where their [`hash_key`] is outside the shard's range.

mod codec;
mod hash_key;
mod message;

pub use codec::{MAGIC, OVERHEAD, decode, decode_bytes, encode};
pub use hash_key::{hash_key, parse_hash_key};
pub use message::{AggregatedRecord, Member, Record, Tag};
