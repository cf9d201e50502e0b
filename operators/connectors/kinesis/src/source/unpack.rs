//! A stream record becomes user records: KPL de-aggregation, as KCL does it, one member at a time.

use bytes::Bytes;

use super::split::Position;
use crate::{
    kpl::{self, AggregatedRecord},
    service::Shard,
};

/// What happens to the members of an aggregate whose hash key is not in the shard's range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OutOfRange {
    /// They are dropped and counted. They come from a reshard between packing and arrival, and
    /// KPL sends them again, to the right shard.
    #[default]
    Drop,
    /// They are read. For producers that pack whatever comes, regardless of shards (most of the
    /// `aws-kinesis-agg` packages' users), and never send anything again.
    Emit,
}

/// A record as it was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamRecord {
    /// Rising in its shard.
    pub sequence_number: String,
    /// Milliseconds since the epoch.
    pub arrival: i64,
    /// The key it was put with: for an aggregate, that of its first member.
    pub partition_key: String,
    /// The bytes.
    pub data: Bytes,
}

impl StreamRecord {
    /// About how much memory it takes.
    pub fn bytes(&self) -> usize {
        self.data.len() + self.partition_key.len() + self.sequence_number.len() + 64
    }
}

impl From<aws_sdk_kinesis::types::Record> for StreamRecord {
    fn from(r: aws_sdk_kinesis::types::Record) -> Self {
        let arrival = r.approximate_arrival_timestamp.and_then(|t| t.to_millis().ok());
        StreamRecord {
            sequence_number: r.sequence_number,
            arrival: arrival.unwrap_or(hurtig_engine::time::NO_TIMESTAMP),
            partition_key: r.partition_key.unwrap_or_default(),
            data: r.data.into_inner().into(),
        }
    }
}

/// What a stream record holds next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next<'a> {
    /// A user record.
    Record {
        /// Its bytes.
        data: &'a Bytes,
        /// Its key.
        partition_key: &'a str,
        /// Its explicit hash key.
        explicit_hash_key: Option<&'a str>,
        /// Its index.
        sub_sequence_number: u64,
    },
    /// A member that belongs to another shard.
    OutOfRange,
    /// A member without a key: the aggregate's MD5 is right, and yet it is not what its producer
    /// meant.
    Broken {
        /// Its bytes.
        data: &'a Bytes,
        /// Its index.
        sub_sequence_number: u64,
    },
}

/// A stream record and how many of its user records were taken.
#[derive(Debug)]
pub struct Unpacking {
    record: StreamRecord,
    aggregate: Option<AggregatedRecord>,
    /// The hash keys of its partition keys, where several members share one; else none.
    hash_keys: Vec<u128>,
    next: u64,
}

impl Unpacking {
    /// Begins `record`; `position` says what of it was already emitted before a restore.
    pub fn new(record: StreamRecord, position: &Position) -> Self {
        let next = match position {
            Position::Within { sequence_number, sub_sequence_number } if *sequence_number == record.sequence_number => {
                *sub_sequence_number
            }
            _ => 0,
        };
        let aggregate = kpl::decode_bytes(&record.data);
        let shared = aggregate.as_ref().filter(|a| a.partition_key_table.len() < a.records.len());
        let hash_keys = shared.map_or(&[][..], |a| &a.partition_key_table[..]);
        let hash_keys = hash_keys.iter().map(|key| kpl::hash_key(key, None)).collect();
        Unpacking { record, aggregate, hash_keys, next }
    }

    /// The stream record.
    pub fn record(&self) -> &StreamRecord {
        &self.record
    }

    /// Whether it is a KPL aggregate.
    pub fn is_aggregate(&self) -> bool {
        self.aggregate.is_some()
    }

    /// Whether all was taken.
    pub fn is_done(&self) -> bool {
        self.next >= self.aggregate.as_ref().map_or(1, |a| a.records.len() as u64)
    }

    /// The next user record, if there is one.
    pub fn peek(&self, shard: &Shard, out_of_range: OutOfRange) -> Option<Next<'_>> {
        let Some(aggregate) = &self.aggregate else {
            let StreamRecord { data, partition_key, .. } = &self.record;
            let record = Next::Record { data, partition_key, explicit_hash_key: None, sub_sequence_number: 0 };
            return (self.next == 0).then_some(record);
        };
        let index = usize::try_from(self.next).ok()?;
        let Some(member) = aggregate.member(index) else {
            let data = &aggregate.records.get(index)?.data;
            return Some(Next::Broken { data, sub_sequence_number: self.next });
        };
        let in_range = || {
            let known = usize::try_from(aggregate.records[index].partition_key_index).ok();
            let known = known.filter(|_| member.explicit_hash_key.is_none()).and_then(|i| self.hash_keys.get(i));
            let unknown = || kpl::hash_key(member.partition_key, member.explicit_hash_key);
            shard.contains(known.copied().unwrap_or_else(unknown))
        };
        if out_of_range == OutOfRange::Drop && !in_range() {
            return Some(Next::OutOfRange);
        }
        Some(Next::Record {
            data: member.data,
            partition_key: member.partition_key,
            explicit_hash_key: member.explicit_hash_key,
            sub_sequence_number: self.next,
        })
    }

    /// What [`peek`](Self::peek) showed was taken.
    pub fn advance(&mut self) {
        self.next += 1;
    }

    /// Where reading would go on now; `before` is where it stood before this record.
    pub fn position(&self, before: &Position) -> Position {
        if self.is_done() {
            Position::After(self.record.sequence_number.clone())
        } else if self.next == 0 {
            before.clone()
        } else {
            Position::Within { sequence_number: self.record.sequence_number.clone(), sub_sequence_number: self.next }
        }
    }
}
