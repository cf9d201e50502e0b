//! The committer by itself: fencing, committing twice, several writers, several jobs.

use std::sync::Arc;

use hurtig_engine::{
    record::Record,
    sink::{Committer, CommitterContext, Sink},
    time::ManualClock,
};
use hurtig_kafka::{DeliveryGuarantee, KafkaSink, TopicSerializer};
use hurtig_operators::{connectors::testing::SinkHarness, schema::JsonFormat};
use hurtig_tests::servers::{Kafka, Server, left_out};

use super::{alone, topics};

type Numbers = KafkaSink<u64, TopicSerializer<u64, JsonFormat<u64>>>;

fn sink(kafka: &Kafka) -> Numbers {
    KafkaSink::builder()
        .bootstrap_servers(kafka.bootstrap())
        .delivery_guarantee(DeliveryGuarantee::ExactlyOnce)
        .record_serializer(TopicSerializer::new("out", JsonFormat::new()))
        .build()
        .expect("a sink")
}

/// As another process would have one.
fn committer(kafka: &Kafka, job: &str, runtime: &tokio::runtime::Runtime) -> Box<dyn Committer> {
    let ctx = CommitterContext {
        job: job.into(),
        uid: "sink".into(),
        name: "the sink".into(),
        generation: 1,
        clock: Arc::new(ManualClock::new(0)),
        runtime: runtime.handle().clone(),
    };
    sink(kafka).committer(ctx).expect("a committer").expect("exactly once has one")
}

/// What a writer hands over at each of its barriers.
fn epochs(kafka: &Kafka, subtask: usize, attempt: &str, epochs: &[std::ops::Range<u64>]) -> Vec<Vec<Vec<u8>>> {
    let mut writer = SinkHarness::start_subtask(&sink(kafka), "sink", subtask, attempt).expect("a writer");
    let mut all = Vec::new();
    for epoch in epochs {
        for n in epoch.clone() {
            writer.write(Record::new(n)).expect("written");
        }
        all.push(writer.flush().expect("flushed"));
        assert!(writer.books.balance());
    }
    all
}

fn must_be(kafka: &Kafka, numbers: std::ops::Range<u64>) {
    let mut there: Vec<u64> = topics::committed(kafka, "out").iter().map(|v| v.parse().expect("a number")).collect();
    there.sort_unstable();
    assert_eq!(there, numbers.collect::<Vec<_>>());
}

#[test]
fn whoever_comes_later_fences_the_other_and_nothing_is_published_twice() {
    if left_out(&[Server::Kafka]) {
        return;
    }
    let _alone = alone();
    let kafka = Kafka::start().expect("a broker");
    kafka.create_topic("out", 2).expect("a topic");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().expect("a runtime");
    let one = epochs(&kafka, 0, "runAg1a1s0", &[0..100, 100..200, 200..300]);
    let other = epochs(&kafka, 1, "runAg1a1s1", &[300..400, 400..500]);

    let mut first = committer(&kafka, "job", &runtime);
    first.commit(&one[0]).expect("committed");
    must_be(&kafka, 0..100);
    // The same again, together with what is new: as after a checkpoint that was given up.
    first.commit(&[one[0].clone(), one[1].clone()].concat()).expect("committed");
    must_be(&kafka, 0..200);

    // Another run begins while this one still believes that it is there.
    let mut second = committer(&kafka, "job", &runtime);
    second.remove_orphans().expect("it takes over");
    for _ in 0..2 {
        let e = first.commit(&one[2]).expect_err("fenced").to_string();
        assert!(e.contains("has taken over") && e.contains("hurtig/job/sink") && !e.contains('\n'), "{e}");
    }
    must_be(&kafka, 0..200);
    second.commit(&one[2]).expect("it may");
    // Whoever was fenced does not come back by itself.
    first.commit(&one[2]).expect_err("fenced for good");
    second.commit(&one.concat()).expect("all of it was there");
    must_be(&kafka, 0..300);

    // A job of another name has a token of its own, in the same topic.
    let mut elsewhere = committer(&kafka, "another job", &runtime);
    elsewhere.commit(&other[0]).expect("committed");
    second.commit(&[other[1].clone(), one[1].clone()].concat()).expect("not fenced by it");
    must_be(&kafka, 0..500);
    drop((first, second));

    // A savepoint that was carried away and comes back: all of it is published.
    let mut third = committer(&kafka, "job", &runtime);
    third.commit_savepoint(&[one.concat(), other[1].clone()].concat()).expect("nothing to do");
    must_be(&kafka, 0..500);
}

#[test]
fn a_commits_topic_that_forgets_is_refused() {
    if left_out(&[Server::Kafka]) {
        return;
    }
    let _alone = alone();
    let kafka = Kafka::start().expect("a broker");
    kafka.create_topic("out", 1).expect("a topic");
    // As a broker makes one of its own accord.
    kafka.create_topic("hurtig-commits", 1).expect("a topic");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().expect("a runtime");
    let e = committer(&kafka, "job", &runtime).remove_orphans().expect_err("it deletes").to_string();
    assert!(e.contains("'hurtig-commits' has cleanup.policy=delete") && !e.contains('\n'), "{e}");
}
