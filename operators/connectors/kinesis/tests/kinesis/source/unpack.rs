//! Stream records become user records, and go on in the middle of an aggregate.

use bytes::Bytes;
use hurtig_kinesis::{
    kpl::{AggregatedRecord, Record, encode, hash_key},
    source::{
        OutOfRange, Position, Shard,
        unpack::{Next, StreamRecord, Unpacking},
    },
};

use super::shard;

fn whole() -> Shard {
    shard("shardId-0", &[], (0, u128::MAX))
}

fn stream_record(data: impl Into<Bytes>) -> StreamRecord {
    StreamRecord { sequence_number: "7".into(), arrival: 1, partition_key: "pk".into(), data: data.into() }
}

/// An aggregate of single letters, each its own key.
fn aggregate(letters: &str) -> StreamRecord {
    let keys: Vec<String> = letters.chars().map(String::from).collect();
    let record = |i: usize| Record {
        partition_key_index: i as u64,
        explicit_hash_key_index: None,
        data: keys[i].clone().into(),
        tags: Vec::new(),
    };
    let records = (0..keys.len()).map(record).collect();
    let message = AggregatedRecord { records, partition_key_table: keys, explicit_hash_key_table: Vec::new() };
    stream_record(encode(&message))
}

/// What is read from `position` on, and the positions after each step.
fn read(record: StreamRecord, position: &Position, shard: &Shard, how: OutOfRange) -> (String, Vec<Position>) {
    let mut unpacking = Unpacking::new(record, position);
    let (mut read, mut positions) = (String::new(), vec![unpacking.position(position)]);
    while !unpacking.is_done() {
        match unpacking.peek(shard, how) {
            Some(Next::Record { data, .. }) => read.push_str(&String::from_utf8_lossy(data)),
            Some(Next::OutOfRange) => read.push('-'),
            Some(Next::Broken { .. }) => read.push('!'),
            None => panic!("not done, and nothing there"),
        }
        unpacking.advance();
        positions.push(unpacking.position(position));
    }
    (read, positions)
}

#[test]
fn a_plain_record_is_one_record_also_when_its_md5_is_wrong() {
    let (text, positions) = read(stream_record("x"), &Position::TrimHorizon, &whole(), OutOfRange::Drop);
    assert_eq!(text, "x");
    assert_eq!(positions, [Position::TrimHorizon, Position::After("7".into())]);
    let mut broken = aggregate("ab").data.to_vec();
    *broken.last_mut().expect("bytes") ^= 1;
    let unpacking = Unpacking::new(stream_record(broken.clone()), &Position::TrimHorizon);
    assert!(!unpacking.is_aggregate());
    let shard = whole();
    let Some(Next::Record { data, partition_key: "pk", .. }) = unpacking.peek(&shard, OutOfRange::Drop) else {
        panic!("{unpacking:?}");
    };
    assert_eq!(data, &broken);
}

#[test]
fn any_position_in_an_aggregate_goes_on_with_exactly_the_rest() {
    let letters = "abcde";
    let (text, positions) = read(aggregate(letters), &Position::After("6".into()), &whole(), OutOfRange::Drop);
    assert_eq!(text, letters);
    assert_eq!(positions[0], Position::After("6".into()));
    assert_eq!(positions[5], Position::After("7".into()));
    for (emitted, position) in positions.iter().enumerate().take(5).skip(1) {
        let within = Position::Within { sequence_number: "7".into(), sub_sequence_number: emitted as u64 };
        assert_eq!(position, &within);
        let (rest, _) = read(aggregate(letters), position, &whole(), OutOfRange::Drop);
        assert_eq!(rest, letters[emitted..]);
    }
    // The aggregate left with the retention: what comes instead is read whole.
    let gone = Position::Within { sequence_number: "6".into(), sub_sequence_number: 3 };
    assert_eq!(read(aggregate(letters), &gone, &whole(), OutOfRange::Drop).0, letters);
}

#[test]
fn members_of_other_shards_are_dropped_one_by_one_unless_they_are_wanted() {
    let split_at = hash_key("c", None);
    let (low, high) = (shard("low", &[], (0, split_at - 1)), shard("high", &[], (split_at, u128::MAX)));
    let letters = "abcdefgh";
    let in_low = read(aggregate(letters), &Position::TrimHorizon, &low, OutOfRange::Drop).0;
    let in_high = read(aggregate(letters), &Position::TrimHorizon, &high, OutOfRange::Drop).0;
    assert!(in_low.contains('-') && in_high.contains('-'));
    for (i, letter) in letters.char_indices() {
        let (l, h) = (in_low.as_bytes()[i], in_high.as_bytes()[i]);
        assert!((l == b'-') != (h == b'-'), "{letter} belongs to one shard: {in_low} {in_high}");
        assert!(l == letter as u8 || h == letter as u8);
    }
    assert_eq!(read(aggregate(letters), &Position::TrimHorizon, &low, OutOfRange::Emit).0, letters);
}

#[test]
fn an_aggregate_with_a_wrong_table_gives_up_its_members_one_by_one() {
    let mut message = hurtig_kinesis::kpl::decode(&aggregate("abc").data).expect("an aggregate");
    message.records[1].partition_key_index = 9;
    let record = stream_record(encode(&message));
    assert_eq!(read(record, &Position::TrimHorizon, &whole(), OutOfRange::Drop).0, "a!c");
    let empty = stream_record(encode(&AggregatedRecord::default()));
    assert!(!Unpacking::new(empty, &Position::TrimHorizon).is_aggregate(), "no message at all is a plain record");
}
