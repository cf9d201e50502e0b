//! Messages to values, and values to messages.

use hurtig_kafka::{
    Headers, KafkaDeserializationSchema, KafkaRecord, KafkaRecordSerializationSchema, ProducerRecord, Tombstones,
    TopicSerializer, ValueOnly,
};
use hurtig_operators::schema::JsonFormat;

fn record(value: Option<&'static [u8]>) -> KafkaRecord<'static> {
    KafkaRecord { topic: "t", partition: 0, offset: 7, timestamp: None, key: Some(b"k"), value, headers: Headers::NONE }
}

#[test]
fn a_tombstone_is_a_letter_or_nothing() {
    let read = |tombstones, value| {
        let mut values = Vec::new();
        ValueOnly::new(JsonFormat::<u64>::new(), tombstones).deserialize(&record(value), &mut values).map(|()| values)
    };
    assert_eq!(read(Tombstones::DeadLetter, Some(b"5")), Ok(vec![5]));
    assert_eq!(read(Tombstones::Ignore, None), Ok(vec![]));
    assert!(read(Tombstones::DeadLetter, None).expect_err("a letter").to_string().contains("tombstone"));
    read(Tombstones::Ignore, Some(b"x")).expect_err("no number");
}

#[test]
fn headers_keep_their_order_and_the_last_of_a_name_counts() {
    let all = [("a".to_owned(), Some(vec![1])), ("b".to_owned(), None), ("a".to_owned(), Some(vec![2]))];
    let headers = Headers::new(&all);
    assert_eq!(headers.iter().map(|(n, _)| n).collect::<Vec<_>>(), ["a", "b", "a"]);
    assert_eq!((headers.last("a"), headers.last("b"), headers.last("c")), (Some(&[2u8][..]), None, None));
    assert!(Headers::NONE.is_empty());
}

#[test]
fn a_message_has_what_was_asked_for_and_nothing_of_the_one_before() {
    let full = TopicSerializer::<(u64, i64), _>::new("t", JsonFormat::<(u64, i64)>::new())
        .topic_of(|v| format!("t{}", v.0 % 2))
        .key(|v, key| key.extend(v.0.to_be_bytes()))
        .partition(|v| (v.0 > 1).then_some(3))
        .timestamp(|v| v.1)
        .headers(|v, record| record.header("n", Some(&[v.0 as u8])));
    let mut plain = TopicSerializer::new("p", JsonFormat::<(u64, i64)>::new());
    let mut full = full.clone();
    let mut out = ProducerRecord::default();
    full.serialize(&(3, 99), Some(5), &mut out).expect("a message");
    assert_eq!((out.topic(), out.partition, out.timestamp), ("t1", Some(3), Some(99)));
    assert_eq!((out.key(), out.value()), (Some(&3u64.to_be_bytes()[..]), Some(&b"[3,99]"[..])));
    assert_eq!(out.headers(), [("n".to_owned(), Some(vec![3]))]);

    out.clear();
    plain.serialize(&(4, 1), Some(5), &mut out).expect("a message");
    assert_eq!((out.topic(), out.partition, out.timestamp), ("p", None, Some(5)));
    assert_eq!((out.key(), out.value(), out.headers().len()), (None, Some(&b"[4,1]"[..]), 0));
    out.clear();
    assert_eq!((out.key(), out.value()), (None, None));
    plain.serialize(&(4, 1), None, &mut out).expect("a message");
    assert_eq!(out.timestamp, None);
    assert_eq!((plain.topics(), full.topics()), (vec!["p".to_owned()], vec![]));
}
