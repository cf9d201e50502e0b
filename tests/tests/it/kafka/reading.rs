//! The reader against the real broker: markers and gaps, groups, times, what retention has removed.

use std::{sync::Arc, time::Duration};

use hurtig_engine::{
    source::{Assignments, Source, SourceReader},
    time::ManualClock,
};
use hurtig_kafka::{
    KafkaDeserializationSchema, KafkaRecord, KafkaSource, KafkaSourceBuilder, KafkaSplit, OffsetOutOfRange,
    OffsetsInitializer, TimestampType,
};
use hurtig_operators::{
    connectors::testing::{Output, SourceHarness, enumerator_context},
    schema::SchemaError,
};
use hurtig_tests::servers::{Kafka, Server, left_out};
use rdkafka::{
    Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
    message::{Header, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, Producer},
};

use super::{alone, topics};

const PATIENCE: Duration = Duration::from_secs(60);

/// Everything there is about a message, in words.
#[derive(Clone)]
struct AllOfIt;

impl KafkaDeserializationSchema for AllOfIt {
    type Item = String;

    fn deserialize(&mut self, record: &KafkaRecord<'_>, out: &mut Vec<String>) -> Result<(), SchemaError> {
        let text = |b: Option<&[u8]>| b.map_or("null".to_owned(), |b| String::from_utf8_lossy(b).into_owned());
        let value = text(record.value);
        if value == "bad" {
            return Err("it is bad".into());
        }
        let headers: Vec<_> = record.headers.iter().map(|(n, v)| format!("{n}={}", text(v))).collect();
        let time = match record.timestamp {
            Some((t, TimestampType::CreateTime)) => t.to_string(),
            other => format!("{other:?}"),
        };
        let KafkaRecord { topic, partition, offset, .. } = record;
        out.push(format!("{topic}-{partition}@{offset} {time} {}:{value} [{}]", text(record.key), headers.join(",")));
        Ok(())
    }
}

fn source(kafka: &Kafka) -> KafkaSourceBuilder<AllOfIt> {
    KafkaSource::builder().bootstrap_servers(kafka.bootstrap()).topics(["t"]).deserializer(AllOfIt)
}

/// What an enumerator assigns at first.
fn first_splits(source: &KafkaSource<AllOfIt>) -> Vec<KafkaSplit> {
    let ctx = enumerator_context(1, Arc::new(ManualClock::new(0)));
    let mut enumerator = source.enumerator(ctx, None).expect("an enumerator");
    let mut assignments = Assignments::new(1);
    enumerator.poll(&mut assignments).expect("polled");
    assignments.into_parts().0.into_iter().map(|(_, split)| split).collect()
}

fn until<S: Source<Split = KafkaSplit>>(
    harness: &mut SourceHarness<S>,
    out: &mut Output<S::Item>,
    so: impl Fn(&mut SourceHarness<S>, &Output<S::Item>) -> bool,
) {
    for _ in 0..60_000 {
        harness.reader.poll(1000, out).expect("read");
        if so(harness, out) {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("it has not come to be: {} records", out.len());
}

/// Ten records that are committed, ten that are not, and the markers behind them, in each partition of each topic.
fn transactions(kafka: &Kafka, all: &[(&str, i32)]) {
    let mut config = kafka.client();
    let producer: BaseProducer = config.set("transactional.id", "test").create().expect("a producer");
    producer.init_transactions(PATIENCE).expect("initialized");
    for commit in [true, false] {
        producer.begin_transaction().expect("begun");
        for (topic, partition) in all {
            for n in 0..10 {
                let value = format!("{commit}{n}");
                let record = BaseRecord::to(topic).partition(*partition).key("k").payload(&value).timestamp(1000 + n);
                producer.send(record).expect("sent");
            }
        }
        producer.flush(PATIENCE).expect("delivered");
        match commit {
            true => producer.commit_transaction(PATIENCE).expect("committed"),
            false => producer.abort_transaction(PATIENCE).expect("aborted"),
        }
    }
}

#[test]
fn markers_and_aborted_records_are_gaps_that_a_bounded_reader_comes_past() {
    if left_out(&[Server::Kafka]) {
        return;
    }
    let _alone = alone();
    let kafka = Kafka::start().expect("a broker");
    kafka.create_topic("t", 2).expect("a topic");
    kafka.create_topic("u", 2).expect("a topic");
    transactions(&kafka, &[("t", 0), ("t", 1), ("u", 0), ("u", 1)]);
    for topics in [vec!["t"], vec!["t", "u"]] {
        let bounded = source(&kafka).topics(topics.clone()).bounded().build().expect("a source");
        let splits = first_splits(&bounded);
        assert!(splits.iter().all(|s| (s.offset, s.stopping) == (0, Some(22))), "{splits:?}");
        let mut harness = SourceHarness::with_splits(&bounded, splits).expect("a reader");
        let mut out = Output::default();
        until(&mut harness, &mut out, |_, out| out.finished.len() == 2 * topics.len());
        assert_eq!(out.len(), 20 * topics.len());
        assert!(out.values().iter().all(|v| v.contains("k:true")), "nothing that was aborted");
        assert_eq!(out.records[0].value, "t-0@0 1000 k:true0 []");
        assert!(out.records.iter().all(|r| r.arrival == 1000 + r.position as i64), "the time is the arrival");
    }
    // Without an end the position goes past the markers too, by and by: retention may remove them.
    let endless = source(&kafka).property("statistics.interval.ms", "50").build().expect("a source");
    let splits = first_splits(&endless);
    let mut harness = SourceHarness::with_splits(&endless, splits).expect("a reader");
    let mut out = Output::default();
    until(&mut harness, &mut out, |h, _| h.snapshot().expect("positions").iter().all(|s| s.offset == 22));
    assert_eq!(out.len(), 20);
    // And nothing that comes then is missed.
    topics::produce(&kafka, "t", 0..100, |n| (n % 2) as i32);
    until(&mut harness, &mut out, |_, out| out.len() >= 120);
    assert_eq!(out.len(), 120);

    // Who wants to sees what is not committed.
    let all = source(&kafka).property("isolation.level", "read_uncommitted").bounded().build().expect("a source");
    let mut harness = SourceHarness::with_splits(&all, first_splits(&all)).expect("a reader");
    let mut out = Output::default();
    until(&mut harness, &mut out, |_, out| out.finished.len() == 2);
    assert_eq!(out.len(), 140);
}

#[test]
fn groups_times_headers_tombstones_and_what_is_bad() {
    if left_out(&[Server::Kafka]) {
        return;
    }
    let _alone = alone();
    let kafka = Kafka::start().expect("a broker");
    kafka.create_topic("t", 1).expect("a topic");
    let producer: BaseProducer = kafka.client().create().expect("a producer");
    let headers = OwnedHeaders::new().insert(Header { key: "a", value: Some("1") });
    let headers = headers.insert(Header { key: "a", value: None::<&str> });
    let record = BaseRecord::to("t").key("k").payload("v").timestamp(10).headers(headers);
    producer.send(record).expect("sent");
    producer.send(BaseRecord::<str, str>::to("t").key("k").timestamp(20)).expect("sent");
    producer.send(BaseRecord::<str, str>::to("t").payload("bad").timestamp(30)).expect("sent");
    producer.flush(PATIENCE).expect("delivered");

    let grouped = |starting| source(&kafka).group_id("g").starting_offsets(starting).build().expect("a source");
    let earliest = grouped(OffsetsInitializer::committed_or(OffsetsInitializer::Earliest));
    let mut harness = SourceHarness::with_splits(&earliest, first_splits(&earliest)).expect("a reader");
    let mut out = Output::default();
    until(&mut harness, &mut out, |_, out| out.len() == 3);
    assert_eq!(out.values(), ["t-0@0 10 k:v [a=1,a=null]", "t-0@1 20 k:null []"]);
    let letter = &out.letters[0];
    assert_eq!((letter.position, letter.raw.as_slice(), letter.reason.as_str()), (2, &b"bad"[..], "it is bad"));

    // A checkpoint that is complete is told to the group, one that is not is not.
    harness.reader.snapshot(7).expect("positions");
    harness.reader.checkpoint_complete(7);
    let committed = || first_splits(&grouped(OffsetsInitializer::committed_or(OffsetsInitializer::Earliest)))[0].offset;
    until(&mut harness, &mut out, |_, _| committed() == 3);
    // The group has no members: it was only told.
    for (starting, offset) in [
        (OffsetsInitializer::Timestamp(11), 1),
        (OffsetsInitializer::Timestamp(30), 2),
        (OffsetsInitializer::Timestamp(31), 3),
        (OffsetsInitializer::Latest, 3),
        (OffsetsInitializer::Earliest, 0),
    ] {
        assert_eq!(first_splits(&grouped(starting.clone()))[0].offset, offset, "{starting:?}");
    }
}

#[test]
fn what_retention_has_removed_is_said_and_never_jumped_over() {
    if left_out(&[Server::Kafka]) {
        return;
    }
    let _alone = alone();
    let kafka = Kafka::start().expect("a broker");
    kafka.create_topic("t", 2).expect("a topic");
    topics::produce(&kafka, "t", 0..20, |n| (n % 2) as i32);
    let admin: AdminClient<DefaultClientContext> = kafka.client().create().expect("a client");
    let mut list = TopicPartitionList::new();
    list.add_partition_offset("t", 1, Offset::Offset(6)).expect("an offset");
    futures::executor::block_on(admin.delete_records(&list, &AdminOptions::new())).expect("deleted");

    let splits = |offset| {
        let split = |partition, offset| KafkaSplit { topic: "t".into(), partition, offset, stopping: None };
        vec![split(0, 0), split(1, offset)]
    };
    for (offset, words) in [(2, "offsets 2 to 5 of t-1"), (11, "ends at offset 10, but it has been read up to 11")] {
        let failing = source(&kafka).build().expect("a source");
        let mut harness = SourceHarness::with_splits(&failing, splits(offset)).expect("a reader");
        let mut out = Output::default();
        let e = loop {
            if let Err(e) = harness.reader.poll(1000, &mut out) {
                break e.to_string();
            }
            std::thread::sleep(Duration::from_millis(1));
        };
        assert!(e.contains(words) && e.contains("on_offset_out_of_range") && !e.contains('\n'), "{e}");
    }
    for (policy, of_one) in [(OffsetOutOfRange::Earliest, 4), (OffsetOutOfRange::Latest, 0)] {
        let going_on = source(&kafka).on_offset_out_of_range(policy).build().expect("a source");
        let mut harness = SourceHarness::with_splits(&going_on, splits(2)).expect("a reader");
        let mut out = Output::default();
        until(&mut harness, &mut out, |h, out| {
            out.len() >= 10 + of_one && h.snapshot().expect("positions").iter().all(|s| s.offset == 10)
        });
        let read = |partition| out.values().iter().filter(|v| v.starts_with(partition)).count();
        assert_eq!((read("t-0"), read("t-1")), (10, of_one), "{policy:?}");
    }
}

/// Nothing of this time or later is there when it is asked for, and the first of it comes at that very moment.
#[test]
fn what_comes_while_the_offsets_of_a_time_are_asked_for_is_not_jumped_over() {
    if left_out(&[Server::Kafka]) {
        return;
    }
    let _alone = alone();
    let kafka = Kafka::start_with("log.retention.ms=-1\n").expect("a broker");
    kafka.create_topic("t", 100).expect("a topic");
    let producer: BaseProducer = kafka.client().set("linger.ms", "0").create().expect("a producer");
    let send = |partition: i32, timestamp: i64| {
        let record = BaseRecord::<str, str>::to("t").partition(partition).payload("v").timestamp(timestamp);
        producer.send(record).expect("sent");
        producer.flush(PATIENCE).expect("delivered");
    };
    (0..100).for_each(|partition| send(partition, 10));
    let at_11 = source(&kafka).starting_offsets(OffsetsInitializer::Timestamp(11)).build().expect("a source");
    let splits = std::thread::scope(|scope| {
        let resolved = scope.spawn(|| first_splits(&at_11));
        // From the other end than the one they are asked for from.
        (0..100).rev().for_each(|partition| send(partition, 11));
        resolved.join().expect("splits")
    });
    assert_eq!(splits.len(), 100);
    assert!(splits.iter().all(|s| s.offset == 1), "{splits:?}");
}
