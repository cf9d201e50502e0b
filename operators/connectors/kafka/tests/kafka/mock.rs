//! Unit-level things on librdkafka's mock cluster. Nothing about transactions is claimed from it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use hurtig_engine::{
    source::{Assignments, Source, SourceOutput, SourceReader},
    time::{MIN_WATERMARK, ManualClock},
};
use hurtig_kafka::{KafkaSource, KafkaSplit, OffsetsInitializer};
use hurtig_operators::{
    connectors::testing::{SourceHarness, enumerator_context},
    schema::JsonFormat,
};
use rdkafka::{
    ClientConfig,
    mocking::MockCluster,
    producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer},
};

type Mock = MockCluster<'static, DefaultProducerContext>;

fn mock(topics: &[(&str, i32)]) -> Mock {
    let mock = MockCluster::new(1).expect("a mock cluster");
    for (topic, partitions) in topics {
        mock.create_topic(topic, *partitions, 1).expect("a topic");
    }
    mock
}

/// Writes the numbers of `range` to a partition.
fn fill(mock: &Mock, topic: &str, partition: i32, range: std::ops::Range<u64>) {
    let mut config = ClientConfig::new();
    let producer: BaseProducer = config.set("bootstrap.servers", mock.bootstrap_servers()).create().expect("a client");
    for n in range {
        let value = n.to_string();
        producer.send(BaseRecord::<(), str>::to(topic).partition(partition).payload(&value)).expect("sent");
    }
    producer.flush(Duration::from_secs(20)).expect("delivered");
}

/// All that is read, by split; every now and then a split is said to be too far ahead.
#[derive(Default)]
struct Uneven {
    read: BTreeMap<u32, Vec<(u64, u64)>>,
    finished: Vec<u32>,
    asked: u64,
}

impl SourceOutput<u64> for Uneven {
    fn emit(&mut self, split: u32, position: u64, _arrival: i64, value: u64) {
        self.read.entry(split).or_default().push((position, value));
    }

    fn dead_letter(&mut self, _: u32, position: u64, _: i64, _: &[u8], reason: &str) {
        panic!("{position}: {reason}");
    }

    fn is_full(&self) -> bool {
        false
    }

    fn split_watermark(&self, _split: u32) -> i64 {
        MIN_WATERMARK
    }

    fn is_paused(&mut self, split: u32) -> bool {
        self.asked += 1;
        (self.asked / 3 + u64::from(split)) % 5 < 2
    }

    fn finish_split(&mut self, split: u32) {
        self.finished.push(split);
    }
}

fn split(partition: i32, offset: i64, stopping: i64) -> KafkaSplit {
    KafkaSplit { topic: "t".into(), partition, offset, stopping: Some(stopping) }
}

#[test]
fn splits_that_are_paused_and_resumed_give_each_record_once_and_in_order() {
    let mock = mock(&[("t", 3)]);
    for partition in 0..3 {
        fill(&mock, "t", partition, 0..3000);
    }
    let source = KafkaSource::builder().bootstrap_servers(mock.bootstrap_servers()).topics(["t"]);
    let source = source.value_only(JsonFormat::<u64>::new()).bounded().build().expect("a source");
    let splits = vec![split(0, 0, 3000), split(1, 1000, 3000), split(2, 0, 2500)];
    let mut harness = SourceHarness::with_splits(&source, splits).expect("a reader");
    let mut out = Uneven::default();
    while out.finished.len() < 3 {
        harness.reader.poll(100, &mut out).expect("read");
        let positions = harness.snapshot().expect("positions");
        for s in positions {
            // A position is where the next record is, and nothing before it is missing.
            let first = [0, 1000, 0][s.partition as usize];
            let read = out.read.get(&(s.partition as u32)).map_or(0, Vec::len) as i64;
            assert_eq!(s.offset, first + read, "{s:?}");
        }
    }
    for (number, range) in [(0, 0..3000u64), (1, 1000..3000), (2, 0..2500)] {
        assert_eq!(out.read[&number], range.map(|n| (n, n)).collect::<Vec<_>>(), "split {number}");
    }
}

/// Errors that only mean to look again come while splits move, are paused, and stand still: each record comes once,
/// and every split comes to its end.
#[test]
fn errors_that_turn_out_to_be_none_neither_lose_nor_double() {
    for topics in [vec!["t"], vec!["t", "u"]] {
        let all: Vec<_> = topics.iter().map(|t| (*t, 2)).collect();
        let mock = mock(&all);
        let source = KafkaSource::builder().bootstrap_servers(mock.bootstrap_servers()).topics(topics.clone());
        let source = source.property("statistics.interval.ms", "50").property("fetch.max.bytes", "20000");
        let source = source.property("message.max.bytes", "20000").property("fetch.message.max.bytes", "2000");
        let source = source.value_only(JsonFormat::<u64>::new()).bounded().build().expect("a source");
        let mut splits = Vec::new();
        for (topic, partition) in topics.iter().flat_map(|t| [(*t, 0), (*t, 1)]) {
            fill(&mock, topic, partition, 0..5000);
            splits.push(KafkaSplit { topic: topic.into(), ..split(partition, 0, 5000) });
        }
        let mut harness = SourceHarness::with_splits(&source, splits.clone()).expect("a reader");
        let mut out = Uneven::default();
        let mut errors = 0;
        while out.finished.len() < splits.len() {
            harness.reader.poll(100, &mut out).expect("read");
            let read: usize = out.read.values().map(Vec::len).sum();
            if read / 2000 > errors {
                errors += 1;
                let error = rdkafka::types::RDKafkaRespErr::RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE;
                mock.request_errors(rdkafka::types::RDKafkaApiKey::Fetch, &[error]);
            }
        }
        assert!(errors > 2, "{errors}");
        for number in 0..splits.len() {
            let all: Vec<_> = (0..5000u64).map(|n| (n, n)).collect();
            assert!(out.read[&(number as u32)] == all, "split {number} of {topics:?}");
        }
    }
}

/// Commits that nobody answers are not waited for: a job could not be cancelled meanwhile.
#[test]
fn a_reader_whose_broker_is_gone_ends() {
    let mock = mock(&[("t", 1)]);
    fill(&mock, "t", 0, 0..10);
    let source = KafkaSource::builder().bootstrap_servers(mock.bootstrap_servers()).topics(["t"]).group_id("g");
    // Longer than anybody waits for a test.
    let source = source.property("session.timeout.ms", "3600000").property("max.poll.interval.ms", "3600000");
    let source = source.value_only(JsonFormat::<u64>::new()).build().expect("a source");
    let splits = vec![KafkaSplit { stopping: None, ..split(0, 0, 0) }];
    let mut harness = SourceHarness::with_splits(&source, splits).expect("a reader");
    let mut out = Uneven::default();
    while out.read.get(&0).map_or(0, Vec::len) < 10 {
        harness.reader.poll(100, &mut out).expect("read");
    }
    drop(mock);
    harness.reader.snapshot(1).expect("positions");
    harness.reader.checkpoint_complete(1);
    drop(harness);
}

#[test]
fn starting_offsets_are_numbers_from_the_first_start_on() {
    let mock = mock(&[("t", 2), ("other", 1), ("empty", 1)]);
    fill(&mock, "t", 0, 0..10);
    fill(&mock, "other", 0, 0..5);
    let assigned = |builder: hurtig_kafka::KafkaSourceBuilder<()>, restored: Option<Vec<u8>>, back: Vec<KafkaSplit>| {
        let source = builder.bootstrap_servers(mock.bootstrap_servers()).value_only(JsonFormat::<u64>::new());
        let source = source.build().expect("a source");
        let restoring = restored.is_some();
        let ctx = enumerator_context(1, Arc::new(ManualClock::new(0)));
        let mut enumerator = source.enumerator(ctx, restored).expect("an enumerator");
        if restoring {
            enumerator.add_splits_back(back);
        }
        let mut assignments = Assignments::new(1);
        enumerator.poll(&mut assignments).expect("polled");
        let splits: Vec<_> = assignments.into_parts().0.into_iter().map(|(_, split)| split).collect();
        (splits, enumerator.snapshot().expect("a snapshot"))
    };
    let all = || KafkaSource::builder().topic_pattern("t|other|empty");
    let at = |splits: &[KafkaSplit]| {
        splits.iter().map(|s| (s.topic.clone(), s.partition, s.offset, s.stopping)).collect::<Vec<_>>()
    };
    let name = str::to_owned;
    let (splits, state) = assigned(all(), None, vec![]);
    let earliest = vec![
        (name("empty"), 0, 0, None),
        (name("other"), 0, 0, None),
        (name("t"), 0, 0, None),
        (name("t"), 1, 0, None),
    ];
    assert_eq!(at(&splits), earliest);
    let (splits, _) = assigned(all().starting_offsets(OffsetsInitializer::Latest), None, vec![]);
    assert_eq!(splits.iter().map(|s| s.offset).collect::<Vec<_>>(), [0, 5, 10, 0]);
    // What is empty has no end to come to.
    let (splits, _) = assigned(all().bounded(), None, vec![]);
    assert_eq!(at(&splits), [(name("other"), 0, 0, Some(5)), (name("t"), 0, 0, Some(10))]);
    let given = BTreeMap::from([((name("t"), 0), 7)]);
    let (splits, _) = assigned(all().starting_offsets(OffsetsInitializer::Offsets(given)), None, vec![]);
    assert_eq!(splits.iter().map(|s| s.offset).collect::<Vec<_>>(), [0, 0, 7, 0]);

    // Restored: what comes back goes on where it was, what is new begins at its beginning.
    mock.create_topic("t2", 1, 1).expect("a topic");
    let more = KafkaSource::builder().topic_pattern("t.*|other|empty").starting_offsets(OffsetsInitializer::Latest);
    let back = KafkaSplit { topic: name("t"), partition: 0, offset: 4, stopping: None };
    let (mut splits, _) = assigned(more, Some(state), vec![back]);
    splits.sort_by(|a, b| a.topic.cmp(&b.topic));
    assert_eq!(at(&splits), [(name("t"), 0, 4, None), (name("t2"), 0, 0, None)]);
}

#[test]
fn nobody_there_is_one_line() {
    // A port that nobody listens on.
    let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    let servers = format!("127.0.0.1:{port}");
    let source = KafkaSource::builder().bootstrap_servers(&servers).topics(["t"]).property("socket.timeout.ms", "1000");
    let source = source.value_only(JsonFormat::<u64>::new()).build().expect("a source");
    let ctx = enumerator_context(1, Arc::new(ManualClock::new(0)));
    let e = source.enumerator(ctx, None).err().expect("nobody").to_string();
    assert!(e.contains(&servers) && e.contains("bootstrap_servers") && !e.contains('\n'), "{e}");
}

#[test]
fn a_topic_that_is_not_there_is_one_line() {
    let mock = mock(&[]);
    mock.topic_error("t", rdkafka::types::RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART).expect("an error");
    let source = KafkaSource::builder().bootstrap_servers(mock.bootstrap_servers()).topics(["t"]);
    let source = source.value_only(JsonFormat::<u64>::new()).build().expect("a source");
    let ctx = enumerator_context(1, Arc::new(ManualClock::new(0)));
    let e = source.enumerator(ctx, None).err().expect("no topic").to_string();
    assert!(e.contains("there is no topic 't'") && !e.contains('\n'), "{e}");
}
