//! One record on its way into a shard.

use std::sync::Arc;

use bytes::Bytes;

use crate::kpl::{OVERHEAD, hash_key};

/// A record as Kinesis takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Decides about the shard if there is no explicit hash key, and travels with the record.
    pub partition_key: Arc<str>,
    /// `ExplicitHashKey`
    pub explicit_hash_key: Option<u128>,
    /// The payload.
    pub data: Bytes,
    pub(super) hash: u128,
    /// Given by [`Lanes::push`](super::lanes::Lanes::push): the order in which records came.
    pub(super) number: u64,
    /// It was sent before and not taken: it waits for nothing but its lane.
    pub(super) again: bool,
}

/// Protobuf's tags and lengths around one member of an aggregate, at their largest: the member's
/// own, two indices, the data's, and the two table entries'.
const FRAME: usize = 40;

impl Member {
    /// A record with its keys.
    pub fn new(partition_key: impl Into<Arc<str>>, explicit_hash_key: Option<u128>, data: impl Into<Bytes>) -> Self {
        let partition_key = partition_key.into();
        let hash = explicit_hash_key.unwrap_or_else(|| hash_key(&partition_key, None));
        Member { partition_key, explicit_hash_key, data: data.into(), hash, number: 0, again: false }
    }

    /// Where in `0..2^128` it belongs.
    pub fn hash(&self) -> u128 {
        self.hash
    }

    /// What counts towards Kinesis's limits: data and partition key.
    pub fn size(&self) -> usize {
        self.data.len() + self.partition_key.len()
    }

    /// What an aggregate that it leads has beside its members: magic number, MD5, and the entry's own
    /// partition key, which is this one's.
    pub(super) fn size_around(&self) -> usize {
        OVERHEAD + self.partition_key.len()
    }

    /// What it can at most add to an aggregate.
    pub(super) fn size_in_aggregate(&self) -> usize {
        let explicit = if self.explicit_hash_key.is_some() { 39 } else { 0 };
        self.size() + explicit + FRAME
    }
}
