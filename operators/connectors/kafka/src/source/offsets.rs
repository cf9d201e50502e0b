//! Where a partition's reading begins: Flink's `OffsetsInitializer`, turned into numbers.

use std::collections::BTreeMap;

use rdkafka::{Offset, TopicPartitionList, consumer::Consumer, error::KafkaResult};

use super::discovery::{Client, TIMEOUT};

/// A topic and a partition.
pub(super) type TopicPartition = (String, i32);

/// Where to begin with the partitions that are there when the job first starts. Looked up once, by the enumerator:
/// a job that is restored goes on from its checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OffsetsInitializer {
    /// With the oldest record there is.
    Earliest,
    /// With the first record after the job's first start.
    Latest,
    /// With the first record of this time (milliseconds since the epoch) or later; at the end if there is none.
    Timestamp(i64),
    /// Where the group (`group_id`) has committed, and where it has not, as the other says.
    Committed(Box<OffsetsInitializer>),
    /// With these offsets; partitions that are not named begin with the oldest record.
    Offsets(BTreeMap<(String, i32), i64>),
}

impl OffsetsInitializer {
    /// Flink's `committedOffsets(resetStrategy)`.
    pub fn committed_or(fallback: OffsetsInitializer) -> Self {
        OffsetsInitializer::Committed(Box::new(fallback))
    }

    /// Whether the group has to be known.
    pub(super) fn needs_group(&self) -> bool {
        matches!(self, OffsetsInitializer::Committed(_))
    }

    /// The offset of each partition.
    pub(super) fn resolve(
        &self,
        client: &Client,
        partitions: &[TopicPartition],
    ) -> KafkaResult<BTreeMap<TopicPartition, i64>> {
        let mut offsets = BTreeMap::new();
        match self {
            OffsetsInitializer::Earliest => {
                for at in partitions {
                    offsets.insert(at.clone(), watermarks(client, at)?.0);
                }
            }
            OffsetsInitializer::Latest => {
                for at in partitions {
                    offsets.insert(at.clone(), watermarks(client, at)?.1);
                }
            }
            OffsetsInitializer::Timestamp(time) => {
                let found = client.offsets_for_times(list(partitions, Offset::Offset(*time))?, TIMEOUT)?;
                let mut at_the_end = BTreeMap::new();
                for at in partitions {
                    match offset_in(&found, at)? {
                        Some(offset) => drop(offsets.insert(at.clone(), offset)),
                        None => drop(at_the_end.insert(at.clone(), watermarks(client, at)?.1)),
                    }
                }
                // What has come between the two questions is behind the first answer and before the second one: only
                // what there still is none of when the end is known begins there.
                if !at_the_end.is_empty() {
                    let ends: Vec<_> = at_the_end.keys().cloned().collect();
                    let found = client.offsets_for_times(list(&ends, Offset::Offset(*time))?, TIMEOUT)?;
                    for (at, end) in at_the_end {
                        let offset = offset_in(&found, &at)?.unwrap_or(end);
                        offsets.insert(at, offset);
                    }
                }
            }
            OffsetsInitializer::Committed(fallback) => {
                let found = client.committed_offsets(list(partitions, Offset::Invalid)?, TIMEOUT)?;
                let mut missing = Vec::new();
                for at in partitions {
                    match offset_in(&found, at)? {
                        Some(offset) => drop(offsets.insert(at.clone(), offset)),
                        None => missing.push(at.clone()),
                    }
                }
                offsets.extend(fallback.resolve(client, &missing)?);
            }
            OffsetsInitializer::Offsets(given) => {
                for at in partitions {
                    let offset = match given.get(at) {
                        Some(offset) => *offset,
                        None => watermarks(client, at)?.0,
                    };
                    offsets.insert(at.clone(), offset);
                }
            }
        }
        Ok(offsets)
    }
}

/// The first offset there is, and the one that comes next (under `read_committed`: the last stable one).
pub(super) fn watermarks(client: &Client, (topic, partition): &TopicPartition) -> KafkaResult<(i64, i64)> {
    client.fetch_watermarks(topic, *partition, TIMEOUT)
}

fn list(partitions: &[TopicPartition], offset: Offset) -> KafkaResult<TopicPartitionList> {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for (topic, partition) in partitions {
        list.add_partition_offset(topic, *partition, offset)?;
    }
    Ok(list)
}

fn offset_in(found: &TopicPartitionList, (topic, partition): &TopicPartition) -> KafkaResult<Option<i64>> {
    let Some(element) = found.find_partition(topic, *partition) else { return Ok(None) };
    element.error()?;
    Ok(match element.offset() {
        Offset::Offset(offset) if offset >= 0 => Some(offset),
        _ => None,
    })
}
