//! What a shard is: its parents and its range of hash keys.

use serde::{Deserialize, Serialize};

use crate::kpl::parse_hash_key;

/// A shard as ListShards describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// `shardId-000000000000`.
    pub id: String,
    /// The shard that was split into this one, or the shards that were merged into it.
    pub parents: Vec<String>,
    /// The first and the last hash key.
    pub hash_keys: (u128, u128),
    /// Whether nothing can be written to it any more.
    pub closed: bool,
}

impl Shard {
    /// Whether a key belongs here.
    pub fn contains(&self, hash_key: u128) -> bool {
        (self.hash_keys.0..=self.hash_keys.1).contains(&hash_key)
    }

    /// The reader for this shard by Flink's UniformShardAssigner: where the middle of its range
    /// lies when the hash keys are divided evenly among `readers`.
    pub fn uniform_reader(&self, readers: usize) -> usize {
        let (first, last) = self.hash_keys;
        let middle = first + last.saturating_sub(first) / 2;
        // The upper half of the key is precise enough, and the product fits.
        usize::try_from(((middle >> 64) * readers as u128) >> 64).unwrap_or(0)
    }
}

impl From<&aws_sdk_kinesis::types::Shard> for Shard {
    fn from(s: &aws_sdk_kinesis::types::Shard) -> Self {
        let key = |decimal: &str, default| parse_hash_key(decimal).unwrap_or(default);
        let range = s.hash_key_range();
        Shard {
            id: s.shard_id.clone(),
            parents: [&s.parent_shard_id, &s.adjacent_parent_shard_id].into_iter().flatten().cloned().collect(),
            hash_keys: range
                .map_or((0, u128::MAX), |r| (key(&r.starting_hash_key, 0), key(&r.ending_hash_key, u128::MAX))),
            closed: s.sequence_number_range().is_some_and(|r| r.ending_sequence_number.is_some()),
        }
    }
}
