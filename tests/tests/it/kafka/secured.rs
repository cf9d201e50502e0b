//! SASL and TLS: who may come in comes in, and whoever may not is told so at once.

use std::{sync::Arc, time::Instant};

use hurtig_engine::{
    runner::{JobState, RestartStrategy},
    source::{Assignments, Source, SourceReader},
    time::{ManualClock, ms},
    watermark::WatermarkStrategy,
};
use hurtig_kafka::{DeliveryGuarantee, KafkaSink, KafkaSource, TopicSerializer, ValueOnly};
use hurtig_operators::{
    connectors::testing::{Output, SinkHarness, SourceHarness, committer_context, enumerator_context},
    schema::JsonFormat,
    stream::Environment,
};
use hurtig_state::BackendKind;
use hurtig_tests::servers::{SecuredKafka, Server, left_out};

use super::{alone, topics};
use crate::support::{config, directory, submit};

type Json = JsonFormat<u64>;
type Source_ = KafkaSource<ValueOnly<Json>>;
type Sink_ = KafkaSink<u64, TopicSerializer<u64, Json>>;

/// What a client says at a door.
struct Login {
    servers: String,
    properties: Vec<(&'static str, String)>,
}

impl Login {
    fn sasl(kafka: &SecuredKafka, password: &str) -> Self {
        let properties = vec![
            ("security.protocol", "SASL_PLAINTEXT".to_owned()),
            ("sasl.mechanism", "PLAIN".to_owned()),
            ("sasl.username", SecuredKafka::USER.to_owned()),
            ("sasl.password", password.to_owned()),
        ];
        Login { servers: kafka.sasl().to_owned(), properties }
    }

    fn tls(kafka: &SecuredKafka, trusting: bool) -> Self {
        let mut properties = vec![("security.protocol", "SSL".to_owned())];
        if trusting {
            properties.push(("ssl.ca.location", kafka.certificate().display().to_string()));
        }
        Login { servers: kafka.tls().to_owned(), properties }
    }

    fn source(&self) -> Source_ {
        let builder = KafkaSource::builder().bootstrap_servers(&self.servers).topics(["t"]).bounded();
        let builder = self.properties.iter().fold(builder, |b, (name, value)| b.property(*name, value));
        builder.value_only(Json::new()).build().expect("a source")
    }

    fn sink(&self, guarantee: DeliveryGuarantee) -> Sink_ {
        let builder = KafkaSink::builder().bootstrap_servers(&self.servers).delivery_guarantee(guarantee);
        let builder = self.properties.iter().fold(builder, |b, (name, value)| b.property(*name, value));
        builder.record_serializer(TopicSerializer::new("t", Json::new())).build().expect("a sink")
    }
}

/// All that a source reads until its end.
fn read(source: &Source_) -> Vec<u64> {
    let mut enumerator = source.enumerator(enumerator_context(1, Arc::new(ManualClock::new(0))), None).expect("it may");
    let mut assignments = Assignments::new(1);
    enumerator.poll(&mut assignments).expect("polled");
    let splits: Vec<_> = assignments.into_parts().0.into_iter().map(|(_, split)| split).collect();
    let count = splits.len();
    let mut harness = SourceHarness::with_splits(source, splits).expect("a reader");
    let mut out = Output::default();
    while out.finished.len() < count {
        harness.reader.poll(1000, &mut out).expect("read");
    }
    let mut values = out.values();
    values.sort_unstable();
    values
}

#[test]
fn who_may_comes_in_and_who_may_not_is_told_what_to_do() {
    if left_out(&[Server::Kafka]) {
        return;
    }
    let _alone = alone();
    let kafka = SecuredKafka::start().expect("a broker");
    kafka.kafka.create_topic("t", 2).expect("a topic");
    let mut total = 0;
    for login in [Login::sasl(&kafka, SecuredKafka::PASSWORD), Login::tls(&kafka, true)] {
        for guarantee in [DeliveryGuarantee::None, DeliveryGuarantee::AtLeastOnce, DeliveryGuarantee::ExactlyOnce] {
            let attempt = format!("run{total}a1s0");
            let mut harness = SinkHarness::start(&login.sink(guarantee), &attempt).expect("a writer");
            harness.write_all(total..total + 100).expect("written");
            harness.checkpoint().expect("committed");
            assert!(harness.books.balance(), "{:?}", harness.books);
            total += 100;
            assert_eq!(read(&login.source()), (0..total).collect::<Vec<_>>(), "{guarantee:?}");
        }
    }
    assert_eq!(topics::committed(&kafka.kafka, "t").len() as u64, total);

    for (login, word) in [
        (Login::sasl(&kafka, "of somebody else"), "check sasl.username, sasl.password and sasl.mechanism"),
        (Login::tls(&kafka, false), "check security.protocol and the ssl.* properties"),
    ] {
        #[allow(clippy::disallowed_methods, reason = "printed only")]
        let began = Instant::now();
        let mut lines = Vec::new();
        let ctx = enumerator_context(1, Arc::new(ManualClock::new(0)));
        lines.push(login.source().enumerator(ctx, None).err().expect("it may not").to_string());
        for guarantee in [DeliveryGuarantee::AtLeastOnce, DeliveryGuarantee::ExactlyOnce] {
            lines.push(SinkHarness::start(&login.sink(guarantee), "1").err().expect("it may not").to_string());
        }
        let sink = login.sink(DeliveryGuarantee::ExactlyOnce);
        let mut committer = hurtig_engine::sink::Sink::committer(&sink, committer_context("sink"));
        let committer = committer.as_mut().expect("made").as_mut().expect("exactly once has one");
        lines.push(committer.remove_orphans().expect_err("it may not").to_string());
        println!("four refusals took {:?}", began.elapsed());
        for line in lines {
            assert!(line.contains(word) && line.contains(&login.servers) && !line.contains('\n'), "{line}");
        }
    }
}

/// A job whose sink is not let in ends, however often it might be tried again.
#[test]
fn a_job_that_may_not_write_ends_with_one_line() {
    if left_out(&[Server::Kafka]) {
        return;
    }
    let _alone = alone();
    let kafka = SecuredKafka::start().expect("a broker");
    kafka.kafka.create_topic("t", 2).expect("a topic");
    topics::produce(&kafka.kafka, "t", 0..10, |n| (n % 2) as i32);
    let (right, wrong) = (Login::tls(&kafka, true), Login::sasl(&kafka, "of somebody else"));
    for guarantee in [DeliveryGuarantee::AtLeastOnce, DeliveryGuarantee::ExactlyOnce] {
        let env = Environment::new("not let in");
        env.from_source(right.source(), WatermarkStrategy::no_watermarks(), "in").sink_to(wrong.sink(guarantee));
        let dir = directory();
        let mut config = config(&dir.path().join("data"), BackendKind::Heap);
        config.restart = RestartStrategy::FixedDelay { delay: ms(1), attempts: 1_000_000 };
        let line = match submit(env.graph().expect("a graph"), config) {
            Err(e) => e.to_string(),
            Ok(job) => {
                let e = job.wait().expect_err("it may not");
                assert_eq!(job.state(), JobState::Failed);
                e.to_string()
            }
        };
        assert!(line.contains("check sasl.username") && !line.contains('\n'), "{line}");
    }
}
