//! Which reader a partition belongs to.

use hurtig_engine::source::Split;
use hurtig_kafka::{KafkaSplit, split_owner};
use proptest::prelude::*;

/// Computed by a JVM: topic, readers, `((topic.hashCode() * 31) & 0x7FFFFFFF) % readers`.
#[rustfmt::skip]
const STARTS: &[(&str, usize, usize)] = &[
    ("", 1, 0), ("", 3, 0), ("", 4, 0), ("", 7, 0),
    ("a", 1, 0), ("a", 3, 1), ("a", 4, 3), ("a", 7, 4),
    ("readings", 1, 0), ("readings", 3, 2), ("readings", 4, 1), ("readings", 7, 5),
    ("meters.über", 1, 0), ("meters.über", 3, 0), ("meters.über", 4, 1), ("meters.über", 7, 3),
    ("𝄞", 1, 0), ("𝄞", 3, 0), ("𝄞", 4, 2), ("𝄞", 7, 3),
];

#[test]
fn as_flink_assigns() {
    for &(topic, readers, start) in STARTS {
        for partition in 0..9 {
            let owner = split_owner(topic, partition, readers);
            assert_eq!(owner, (start + partition as usize) % readers, "{topic}-{partition} of {readers}");
        }
    }
}

#[test]
fn ids_are_topic_and_partition() {
    let split = KafkaSplit { topic: "a-b".into(), partition: 12, offset: 3, stopping: None };
    assert_eq!(split.id(), "a-b-12");
}

proptest! {
    /// One topic's partitions differ by at most one between readers, whatever their number.
    #[test]
    fn a_topics_partitions_spread_evenly(topic in "[a-zA-Z0-9._ü€𝄞-]{0,40}", partitions in 1..200i32, readers in 1..40usize) {
        let mut counts = vec![0; readers];
        for partition in 0..partitions {
            counts[split_owner(&topic, partition, readers)] += 1;
        }
        let (least, most) = (counts.iter().min().expect("one"), counts.iter().max().expect("one"));
        prop_assert!(most - least <= 1, "{counts:?}");
    }
}
