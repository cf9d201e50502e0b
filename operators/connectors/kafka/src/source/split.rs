//! A partition from an offset on, and which reader it belongs to.

use hurtig_engine::source::Split;
use serde::{Deserialize, Serialize};

/// A partition at a position.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KafkaSplit {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The next offset to read: always a number, so that "latest" means the same after a restore.
    pub offset: i64,
    /// Where it ends: the first offset that is not read any more.
    pub stopping: Option<i64>,
}

impl Split for KafkaSplit {
    fn id(&self) -> String {
        format!("{}-{}", self.topic, self.partition)
    }
}

/// The reader of a partition, as Flink's `KafkaSourceEnumerator` chooses it: a topic's partitions go round robin
/// from a start that depends on its name, so that many small topics do not all begin with the first reader.
pub fn split_owner(topic: &str, partition: i32, readers: usize) -> usize {
    // Java's String.hashCode.
    let hash = topic.encode_utf16().fold(0i32, |h, c| h.wrapping_mul(31).wrapping_add(i32::from(c)));
    let readers = readers.max(1) as u64;
    let start = (hash.wrapping_mul(31) & 0x7fff_ffff) as u64 % readers;
    ((start + u64::from(partition.unsigned_abs())) % readers) as usize
}
