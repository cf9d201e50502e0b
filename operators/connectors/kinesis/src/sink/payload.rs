//! From a unit to what stands in a request.

use std::sync::Arc;

use foldhash::{HashMap, HashMapExt};

use super::member::Member;
use crate::kpl::{self, AggregatedRecord, MAGIC, Record};

/// One entry of `PutRecords`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// `PartitionKey`
    pub partition_key: Arc<str>,
    /// `ExplicitHashKey`
    pub explicit_hash_key: Option<u128>,
    /// `Data`
    pub data: Vec<u8>,
}

/// Whether a unit is sent as a KPL aggregate: several records, or one that would itself be taken
/// for an aggregate. One alone goes plain, as the KPL sends it.
pub(super) fn is_wrapped(members: &[Member], aggregating: bool) -> bool {
    aggregating && (members.len() > 1 || members.iter().any(|m| m.data.starts_with(&MAGIC)))
}

/// What a unit of one record counts towards Kinesis's limits.
pub(super) fn size_alone(member: &Member, aggregating: bool) -> usize {
    if is_wrapped(std::slice::from_ref(member), aggregating) {
        member.size_around() + member.size_in_aggregate()
    } else {
        member.size()
    }
}

/// A unit as an entry. An aggregate is put where its first member belongs, so it is in the shard of
/// that member at least, whatever has become of the shards.
pub fn entry(members: &[Member], aggregating: bool) -> Entry {
    let Some(first) = members.first() else {
        return Entry { partition_key: "".into(), explicit_hash_key: None, data: Vec::new() };
    };
    let partition_key = first.partition_key.clone();
    if is_wrapped(members, aggregating) {
        Entry { partition_key, explicit_hash_key: Some(first.hash()), data: aggregate(members) }
    } else {
        Entry { partition_key, explicit_hash_key: first.explicit_hash_key, data: first.data.to_vec() }
    }
}

/// Every member with its own partition key, and its own explicit hash key if it has one.
fn aggregate(members: &[Member]) -> Vec<u8> {
    let mut whole = AggregatedRecord { records: Vec::with_capacity(members.len()), ..AggregatedRecord::default() };
    let mut keys: HashMap<&str, u64> = HashMap::new();
    let mut hashes: HashMap<u128, u64> = HashMap::new();
    for member in members {
        let partition_key_index = *keys.entry(&member.partition_key).or_insert_with(|| {
            whole.partition_key_table.push(member.partition_key.to_string());
            whole.partition_key_table.len() as u64 - 1
        });
        let explicit_hash_key_index = member.explicit_hash_key.map(|hash| {
            *hashes.entry(hash).or_insert_with(|| {
                whole.explicit_hash_key_table.push(hash.to_string());
                whole.explicit_hash_key_table.len() as u64 - 1
            })
        });
        let data = member.data.clone();
        whole.records.push(Record { partition_key_index, explicit_hash_key_index, data, tags: Vec::new() });
    }
    kpl::encode(&whole)
}
