//! The sink without transactions: acknowledgements, refusals, a queue that is full.

use hurtig_engine::record::Record;
use hurtig_kafka::{DeliveryGuarantee, KafkaSink, TopicSerializer};
use hurtig_operators::{connectors::testing::SinkHarness, schema::JsonFormat};
use hurtig_tests::servers::{Kafka, Server, left_out};
use rdkafka::{
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
};

use super::{alone, topics};

type Text = TopicSerializer<String, JsonFormat<String>>;

/// Words to their own topic: `topic/key/rest`.
fn words() -> Text {
    let part = |v: &str, i: usize| v.split('/').nth(i).unwrap_or_default().to_owned();
    TopicSerializer::new("plain", JsonFormat::new()).key(move |v: &String, key| key.extend(part(v, 1).bytes()))
}

fn make(kafka: &Kafka, topic: &NewTopic<'_>) {
    let admin: AdminClient<DefaultClientContext> = kafka.client().create().expect("a client");
    let made = futures::executor::block_on(admin.create_topics([topic], &AdminOptions::new())).expect("an answer");
    made.into_iter().for_each(|t| drop(t.expect("a topic")));
}

#[test]
fn refused_messages_are_letters_and_the_books_hold() {
    if left_out(&[Server::Kafka]) {
        return;
    }
    let _alone = alone();
    let kafka = Kafka::start().expect("a broker");
    kafka.create_topic("plain", 4).expect("a topic");
    let narrow = NewTopic::new("narrow", 2, TopicReplication::Fixed(1)).set("max.message.bytes", "20000");
    make(&kafka, &narrow);
    let compacted = NewTopic::new("compacted", 2, TopicReplication::Fixed(1)).set("cleanup.policy", "compact");
    make(&kafka, &compacted);
    let sink = |guarantee, serializer: Text| {
        KafkaSink::builder()
            .bootstrap_servers(kafka.bootstrap())
            .delivery_guarantee(guarantee)
            .property("queue.buffering.max.messages", "200")
            .record_serializer(serializer)
            .build()
            .expect("a sink")
    };
    for guarantee in [DeliveryGuarantee::AtLeastOnce, DeliveryGuarantee::ExactlyOnce] {
        // What is known beforehand is refused beforehand, for both guarantees alike.
        let narrow: Text = TopicSerializer::new("narrow", JsonFormat::new());
        let mut harness = SinkHarness::start(&sink(guarantee, narrow), "1").expect("a writer");
        harness.write_all((0..500).map(|n| "x".repeat(n * 50))).expect("written");
        let committables = harness.flush().expect("flushed");
        harness.commit(&committables).expect("committed");
        assert!(harness.books.balance(), "{:?}", harness.books);
        let kept = (0..500).filter(|n| n * 50 + 2 + 128 <= 20_000).count() as u64;
        assert_eq!((harness.books.written, harness.books.dead_lettered), (kept, 500 - kept), "{guarantee:?}");
        assert!(harness.letters[0].3.contains("max.message.bytes"), "{}", harness.letters[0].3);

        let compacted: Text = TopicSerializer::new("compacted", JsonFormat::new());
        let mut harness = SinkHarness::start(&sink(guarantee, compacted), "1").expect("a writer");
        harness.write(Record::at("no key".to_owned(), 5)).expect("written");
        harness.flush().expect("flushed");
        assert_eq!((harness.books.written, harness.books.dead_lettered), (0, 1), "{guarantee:?}");
        assert!(harness.letters[0].3.contains("no key"), "{}", harness.letters[0].3);
        assert_eq!(harness.letters[0].2, b"\"no key\"");
    }
    assert_eq!(topics::committed(&kafka, "narrow").len(), 2 * 398);

    // What only the broker knows: a topic chosen by the value is not asked for beforehand. Those in the same batch
    // that are in order are sent again.
    let by_value = words().topic_of(|v: &String| v.split('/').next().unwrap_or_default().to_owned());
    let compacted_too = |v: &String| v.starts_with("compacted").then_some(0);
    let by_value = by_value.partition(compacted_too).key(|_, _| ());
    let no_key = TopicSerializer::new("compacted", JsonFormat::<String>::new());
    let no_key = no_key.topic_of(|_: &String| "compacted".to_owned());
    let mut harness = SinkHarness::start(&sink(DeliveryGuarantee::AtLeastOnce, by_value), "1").expect("a writer");
    harness.write_all((0..1000).map(|n| format!("plain/{n}/"))).expect("written");
    harness.write_all(["plain/x".repeat(1_000_000)]).expect("written");
    harness.flush().expect("flushed");
    assert!(harness.books.balance(), "{:?}", harness.books);
    assert_eq!((harness.books.written, harness.books.dead_lettered), (1000, 1));
    let mut harness = SinkHarness::start(&sink(DeliveryGuarantee::AtLeastOnce, no_key), "1").expect("a writer");
    harness.write_all(["the broker refuses it".to_owned()]).expect("written");
    harness.flush().expect("flushed");
    assert_eq!((harness.books.written, harness.books.dead_lettered), (0, 1));
    assert!(harness.letters[0].3.contains("Kafka refuses it"), "{}", harness.letters[0].3);

    // No promise, but what a job has handed over when it ends normally is there.
    let mut harness = SinkHarness::start(&sink(DeliveryGuarantee::None, words()), "1").expect("a writer");
    harness.write_all((0..1000).map(|n| format!("none/{n}/"))).expect("written");
    harness.flush().expect("flushed");
    assert_eq!((harness.books.written, harness.books.read), (1000, 1000));
    drop(harness);
    let mut there = topics::values(&kafka, "plain", "read_uncommitted");
    there.retain(|v| v.contains("none/"));
    assert_eq!(there.len(), 1000);
}

#[test]
fn a_topic_that_is_not_there_ends_the_job_with_one_line() {
    if left_out(&[Server::Kafka]) {
        return;
    }
    let _alone = alone();
    let kafka = Kafka::start().expect("a broker");
    let missing: Text = TopicSerializer::new("missing", JsonFormat::new());
    let sink = KafkaSink::builder()
        .bootstrap_servers(kafka.bootstrap())
        .property("topic.metadata.propagation.max.ms", "500")
        .record_serializer(missing)
        .build()
        .expect("a sink");
    let mut harness = SinkHarness::start(&sink, "1").expect("a writer");
    harness.write(Record::new("lost".to_owned())).expect("taken");
    let e = harness.flush().expect_err("no topic").to_string();
    assert!(e.contains("create the topic") && !e.contains('\n'), "{e}");
}
