//! The KPL codec against other people's aggregators, and its edges.

use std::path::Path;

use bytes::Bytes;
use hurtig_kinesis::kpl::{
    AggregatedRecord, MAGIC, OVERHEAD, Record, decode, decode_bytes, encode, hash_key, parse_hash_key,
};
use proptest::prelude::*;

const MIDDLE: &str = "170141183460469231731687303715884105728";
const LAST: &str = "340282366920938463463374607431768211455";

fn vector(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kinesis/vectors").join(name);
    std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// What vectors/make.py and vectors/make.js pack.
fn members() -> Vec<(&'static str, Option<&'static str>, Vec<u8>)> {
    vec![
        ("meter-1", None, br#"{"kwh":1.25}"#.to_vec()),
        ("meter-2", None, Vec::new()),
        ("meter-1", None, (0..=255).collect()),
        ("zähler-3 ☀", Some(LAST), "größer".into()),
        ("meter-4", Some(MIDDLE), vec![b'x'; 20_000]),
    ]
}

#[test]
fn aggregates_of_two_independent_packages_are_read_and_written_byte_for_byte() {
    for name in ["python.bin", "node.bin"] {
        let bytes = vector(name);
        let aggregate = decode(&bytes).unwrap_or_else(|| panic!("{name} is an aggregate"));
        let read: Vec<_> = (0..aggregate.records.len())
            .map(|i| aggregate.member(i).expect("a member"))
            .map(|m| (m.partition_key, m.explicit_hash_key, m.data.to_vec()))
            .collect();
        assert!(read == members(), "{name} holds other members");
        assert_eq!(decode_bytes(&bytes.clone().into()), Some(aggregate.clone()));
        let again = encode(&aggregate);
        assert_eq!(decode(&again), Some(aggregate), "{name}");
        if name == "python.bin" {
            assert!(again == bytes, "our encoding of {name} differs from its own");
        }
    }
}

#[test]
fn whatever_is_not_an_aggregate_to_the_last_byte_is_a_plain_record() {
    let good = vector("python.bin");
    for cut in [0, 1, 3, 4, 19, 20, 21, good.len() - 1] {
        assert_eq!(decode(&good[..cut]), None, "{cut} bytes");
    }
    for flipped in [0, 3, 4, 100, good.len() - 16, good.len() - 1] {
        let mut bad = good.clone();
        bad[flipped] ^= 1;
        assert_eq!(decode(&bad), None, "byte {flipped}");
        assert_eq!(decode_bytes(&bad.into()), None, "byte {flipped}");
    }
    // A right MD5 over what is no message.
    let no_message = "\u{f}\u{f}\u{f}";
    let digest = hash_key(no_message, None).to_be_bytes();
    assert_eq!(decode(&[&MAGIC, no_message.as_bytes(), &digest].concat()), None);
}

#[test]
fn a_key_that_is_not_in_the_table_is_no_member() {
    let record = |partition_key_index, explicit_hash_key_index| Record {
        partition_key_index,
        explicit_hash_key_index,
        data: Bytes::from_static(b"1"),
        tags: Vec::new(),
    };
    let aggregate = AggregatedRecord {
        partition_key_table: vec!["a".into()],
        explicit_hash_key_table: Vec::new(),
        records: vec![record(0, None), record(1, None), record(0, Some(0)), record(u64::MAX, None)],
    };
    let aggregate = decode(&encode(&aggregate)).expect("an aggregate");
    let there: Vec<_> = (0..5).map(|i| aggregate.member(i).is_some()).collect();
    assert_eq!(there, [true, false, false, false, false]);
}

#[test]
fn hash_keys_are_those_of_kinesis() {
    assert_eq!(hash_key("", None), 0xd41d_8cd9_8f00_b204_e980_0998_ecf8_427e);
    assert_eq!(hash_key("a", None), 0x0cc1_75b9_c0f1_b6a8_31c3_99e2_6977_2661);
    assert_eq!(hash_key("a", Some(LAST)), u128::MAX);
    assert_eq!(hash_key("a", Some("0")), 0);
    for refused in ["", "+1", "01", "-1", "1x", "340282366920938463463374607431768211456"] {
        assert_eq!(parse_hash_key(refused), None, "{refused}");
    }
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(
        keys in proptest::collection::vec(".{0,20}", 1..5),
        records in proptest::collection::vec((any::<proptest::sample::Index>(), proptest::collection::vec(any::<u8>(), 0..50)), 1..30),
    ) {
        let aggregate = AggregatedRecord {
            records: records.iter().map(|(key, data)| Record {
                partition_key_index: key.index(keys.len()) as u64,
                explicit_hash_key_index: None,
                data: data.clone().into(),
                tags: Vec::new(),
            }).collect(),
            partition_key_table: keys,
            explicit_hash_key_table: Vec::new(),
        };
        let bytes = encode(&aggregate);
        prop_assert_eq!(bytes.len(), prost_len(&aggregate) + OVERHEAD);
        prop_assert_eq!(decode(&bytes), Some(aggregate));
    }
}

fn prost_len(aggregate: &AggregatedRecord) -> usize {
    prost::Message::encoded_len(aggregate)
}
