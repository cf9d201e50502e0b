//! When the broker does not have the next record any more: finding out what is lost, never jumping in silence.

use hurtig_engine::error::{Error, Result};
use rdkafka::{
    consumer::Consumer,
    error::{KafkaError, RDKafkaErrorCode},
};

use super::{
    builder::NAME,
    discovery::{Client, TIMEOUT},
    split::KafkaSplit,
};

/// What to do when the next offset of a partition is not there: retention was faster than the job, or the topic
/// was made anew.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OffsetOutOfRange {
    /// The job fails, and says what is lost.
    #[default]
    Fail,
    /// Go on with the oldest record there is; what is lost is counted (`recordsLost`) and warned of.
    Earliest,
    /// Go on at the end; what is lost is counted (`recordsLost`) and warned of.
    Latest,
}

/// What the broker said of one partition.
#[derive(Debug, Clone, Copy)]
pub(super) struct Range {
    pub low: i64,
    pub high: i64,
}

/// Where to go on, and how many records are lost for certain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Jump {
    pub to: i64,
    pub lost: i64,
}

/// Asks for the ranges of all `splits`. `None`: the broker does not answer now.
pub(super) fn ranges(client: &Client, splits: &[KafkaSplit]) -> Result<Option<Vec<Range>>> {
    let mut ranges = Vec::with_capacity(splits.len());
    for split in splits {
        match client.fetch_watermarks(&split.topic, split.partition, TIMEOUT) {
            Ok((low, high)) => ranges.push(Range { low, high }),
            Err(e) if is_unknown(&e) && is_gone(client, split) => return Err(gone(split)),
            Err(e) => {
                tracing::warn!("{}-{}: its offsets cannot be asked for: {e}", split.topic, split.partition);
                return Ok(None);
            }
        }
    }
    Ok(Some(ranges))
}

fn is_unknown(e: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(e.rdkafka_error_code(), Some(Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition))
}

fn is_gone(client: &Client, split: &KafkaSplit) -> bool {
    let Ok(metadata) = client.fetch_metadata(Some(&split.topic), TIMEOUT) else { return false };
    let Some(topic) = metadata.topics().iter().find(|t| t.name() == split.topic) else { return true };
    match topic.error() {
        Some(e) => RDKafkaErrorCode::from(e) == RDKafkaErrorCode::UnknownTopicOrPartition,
        None => topic.partitions().iter().all(|p| p.id() != split.partition),
    }
}

fn gone(split: &KafkaSplit) -> Error {
    let KafkaSplit { topic, partition, offset, .. } = split;
    let reason = format!(
        "partition {partition} of topic '{topic}' does not exist any more (it was read up to offset {offset}); make \
         the topic again and begin without a checkpoint, or take the topic out of the job"
    );
    Error::source(NAME, reason)
}

/// What `policy` makes of a split whose range is `range`; `None`: it is where it should be.
pub(super) fn judge(split: &KafkaSplit, range: Range, policy: OffsetOutOfRange) -> Result<Option<Jump>> {
    let KafkaSplit { topic, partition, offset, .. } = split;
    let Range { low, high } = range;
    if (low..=high).contains(offset) {
        return Ok(None);
    }
    let lost = (low - offset).max(0);
    let what = if *offset < low {
        format!(
            "offsets {offset} to {} of {topic}-{partition} are not there any more: retention has removed them before \
             they were read",
            low - 1
        )
    } else {
        format!(
            "{topic}-{partition} ends at offset {high}, but it has been read up to {offset}: the topic was made anew, \
             or has lost records"
        )
    };
    let to = match policy {
        OffsetOutOfRange::Fail => {
            let reason = format!("{what}; on_offset_out_of_range(Earliest) goes on without them, Latest at the end");
            return Err(Error::source(NAME, reason));
        }
        OffsetOutOfRange::Earliest => low,
        OffsetOutOfRange::Latest => high,
    };
    let lost = if policy == OffsetOutOfRange::Latest { lost + (high - (*offset).max(low)).max(0) } else { lost };
    tracing::warn!("{what}; going on at offset {to}");
    Ok(Some(Jump { to, lost }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(offset: i64) -> KafkaSplit {
        KafkaSplit { topic: "t".into(), partition: 3, offset, stopping: None }
    }

    #[test]
    fn what_is_lost_is_said_or_counted_and_nothing_else_moves() {
        let range = Range { low: 10, high: 20 };
        for inside in [10, 15, 20] {
            assert_eq!(judge(&split(inside), range, OffsetOutOfRange::Fail).expect("inside"), None);
        }
        let e = judge(&split(4), range, OffsetOutOfRange::Fail).expect_err("lost").to_string();
        assert!(
            e.contains("offsets 4 to 9 of t-3") && e.contains("on_offset_out_of_range") && !e.contains('\n'),
            "{e}"
        );
        let e = judge(&split(21), range, OffsetOutOfRange::Fail).expect_err("beyond").to_string();
        assert!(e.contains("ends at offset 20") && e.contains("up to 21"), "{e}");
        let jump = |offset, policy| judge(&split(offset), range, policy).expect("a jump");
        assert_eq!(jump(4, OffsetOutOfRange::Earliest), Some(Jump { to: 10, lost: 6 }));
        assert_eq!(jump(4, OffsetOutOfRange::Latest), Some(Jump { to: 20, lost: 16 }));
        assert_eq!(jump(21, OffsetOutOfRange::Latest), Some(Jump { to: 20, lost: 0 }));
    }
}
