//! The open shards by hash key, and the ranges of all: where a record will go, and what the shard
//! that took it is responsible for.

use std::{collections::HashMap, sync::Arc};

use crate::{
    scaling::{HashRange, covers_everything},
    service::Shard,
};

/// One shard of `ListShards`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardInfo {
    /// `ShardId`
    pub id: Arc<str>,
    /// `HashKeyRange`
    pub range: HashRange,
    /// Whether it takes records: it has no `EndingSequenceNumber`.
    pub open: bool,
}

impl From<Shard> for ShardInfo {
    fn from(shard: Shard) -> Self {
        let (start, end) = shard.hash_keys;
        ShardInfo { id: shard.id.into(), range: HashRange { start, end }, open: !shard.closed }
    }
}

/// All shards at one moment.
#[derive(Debug, Clone, Default)]
pub struct ShardMap {
    /// By range.
    open: Vec<ShardInfo>,
    ranges: HashMap<Arc<str>, HashRange>,
}

impl ShardMap {
    /// `None` if the open shards do not cover all hash keys: the listing was taken in the middle
    /// of a change, and is to be asked for again.
    pub fn new(shards: Vec<ShardInfo>) -> Option<Self> {
        let ranges = shards.iter().map(|s| (s.id.clone(), s.range)).collect();
        let mut open: Vec<_> = shards.into_iter().filter(|s| s.open).collect();
        open.sort_unstable_by_key(|s| s.range);
        covers_everything(&open.iter().map(|s| s.range).collect::<Vec<_>>()).then_some(ShardMap { open, ranges })
    }

    /// The open shards, by their ranges.
    pub fn open(&self) -> &[ShardInfo] {
        &self.open
    }

    /// The number, among the open ones, of the shard that takes `hash`.
    pub fn locate(&self, hash: u128) -> usize {
        self.open.partition_point(|s| s.range.end < hash)
    }

    /// The range of a shard, be it open or closed.
    pub fn range(&self, id: &str) -> Option<HashRange> {
        self.ranges.get(id).copied()
    }
}
