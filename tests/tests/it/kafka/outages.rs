//! A commit that is under way when the broker is gone: nothing is lost, and nobody waits for ever.

use std::time::Instant;

use hurtig_engine::{
    record::Record,
    runner::{JobState, Restore},
    time::ms,
};
use hurtig_kafka::{DeliveryGuarantee, KafkaSink, TopicSerializer};
use hurtig_operators::{connectors::testing::SinkHarness, schema::JsonFormat};
use hurtig_tests::servers::{Kafka, Server, left_out};

use super::{
    alone,
    jobs::{must_be_exact, settings, start, until_counted, until_out},
    topics,
};
use crate::support::{directory, files_below};

/// As often as a writer's queue has room, and more: so much is neither sent nor kept by the client at once.
const MANY: u64 = 150_000;

#[test]
#[allow(clippy::disallowed_methods, reason = "printed only")]
fn a_commit_gives_up_when_nobody_is_there_and_is_made_later() {
    if left_out(&[Server::Kafka]) {
        return;
    }
    let _alone = alone();
    let mut kafka = Kafka::start().expect("a broker");
    kafka.create_topic("out", 2).expect("a topic");
    let sink = KafkaSink::builder()
        .bootstrap_servers(kafka.bootstrap())
        .delivery_guarantee(DeliveryGuarantee::ExactlyOnce)
        .record_serializer(TopicSerializer::new("out", JsonFormat::<u64>::new()))
        .build()
        .expect("a sink");
    let mut harness = SinkHarness::start(&sink, "runAg1a1s0").expect("a writer");
    harness.write(Record::new(0)).expect("written");
    harness.checkpoint().expect("committed");
    harness.write_all((0..MANY).map(|n| n + 1)).expect("written");
    let committables = harness.flush().expect("flushed");
    kafka.kill9();
    let began = Instant::now();
    let e = harness.commit(&committables).expect_err("nobody is there").to_string();
    println!("the commit gave up after {:?}: {e}", began.elapsed());
    assert!(e.contains("nothing is lost") && e.contains("bootstrap_servers") && !e.contains('\n'), "{e}");
    kafka.start_again().expect("a broker");
    harness.commit(&committables).expect("committed");
    assert_eq!(topics::committed(&kafka, "out").len() as u64, 1 + MANY);
}

#[test]
#[allow(clippy::disallowed_methods, reason = "printed only")]
fn a_job_is_cancelled_while_its_commit_finds_nobody_and_the_next_one_makes_it() {
    if left_out(&[Server::Kafka]) {
        return;
    }
    let _alone = alone();
    let mut kafka = Kafka::start().expect("a broker");
    kafka.create_topic("in", 2).expect("a topic");
    kafka.create_topic("out", 3).expect("a topic");
    let dir = directory();
    let data = dir.path().join("data");
    let mut config = settings(&data, Restore::Fresh);
    config.checkpoints.interval = None;
    let job = start(&kafka, 2, config);
    topics::produce(&kafka, "in", 0..5_000, |n| (n % 2) as i32);
    until_counted(&job, 5_000);
    kafka.kill9();
    std::thread::scope(|scope| {
        // Whoever has asked for it hears of the cancellation.
        scope.spawn(|| job.checkpoint());
        let is_manifest = |path: &std::path::PathBuf| path.parent().is_some_and(|p| p.ends_with("manifests"));
        while !files_below(&data).iter().any(is_manifest) {
            let ended = job.wait_timeout(ms(5)).expect("the job runs");
            assert!(ended.is_none(), "it has ended before its checkpoint");
        }
        let began = Instant::now();
        job.cancel().expect("cancelled");
        assert_eq!(job.wait().expect("it ends").state, JobState::Canceled);
        println!("cancelled after {:?}", began.elapsed());
    });
    drop(job);
    kafka.start_again().expect("a broker");
    assert!(topics::committed(&kafka, "out").is_empty(), "nobody could publish it");
    let job = start(&kafka, 3, settings(&data, Restore::Latest));
    topics::produce(&kafka, "in", 5_000..6_000, |n| (n % 2) as i32);
    until_out(&kafka, &job, 6_000);
    job.stop(None, false).expect("a savepoint");
    job.wait().expect("it ends");
    must_be_exact(&kafka, 6_000);
}
