//! The committer by itself: fencing, committing twice, several writers, several jobs.

use std::sync::Arc;

use hurtig_engine::{
    record::Record,
    sink::{Committer, CommitterContext, Sink},
    time::{Clock, ManualClock, SystemClock},
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

/// Checkpoints are given up again and again, with as many records as anybody likes: what the engine keeps of them stays
/// near `max_epoch_bytes`, all of it comes with the checkpoint that succeeds, and then all is as before.
#[test]
fn what_given_up_checkpoints_leave_behind_is_bounded() {
    if left_out(&[Server::Kafka]) {
        return;
    }
    let _alone = alone();
    let kafka = Kafka::start().expect("a broker");
    kafka.create_topic("out", 2).expect("a topic");
    let limit = 1 << 20;
    let sink = KafkaSink::builder()
        .bootstrap_servers(kafka.bootstrap())
        .delivery_guarantee(DeliveryGuarantee::ExactlyOnce)
        .max_epoch_bytes(limit)
        .record_serializer(TopicSerializer::new("out", JsonFormat::<String>::new()))
        .build()
        .expect("a sink");
    let mut harness = SinkHarness::start(&sink, "runAg1a1s0").expect("a writer");
    // What does not compress: 1,000 bytes become some 600.
    let mut state = 7_u64;
    let mut record = || {
        let mut word = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            format!("{:08x}", state >> 32)
        };
        (0..125).map(|_| word()).collect::<String>()
    };
    let mut kept = Vec::new();
    let mut total = 0;
    let mut epoch = |harness: &mut SinkHarness<String, _>, kept: &mut Vec<Vec<u8>>| {
        // Ten seconds between two checkpoints, and whoever sends has more than enough.
        let before = total;
        for _ in 0..10_000 {
            for _ in 0..10 {
                if harness.write_if_ready(|| Record::new(record())).expect("written") {
                    total += 1;
                }
            }
            harness.advance(1).expect("advanced");
        }
        kept.extend(harness.flush().expect("flushed"));
        total - before
    };
    let bytes = |kept: &[Vec<u8>]| kept.iter().map(Vec::len).sum::<usize>() as u64;
    let first = epoch(&mut harness, &mut kept);
    for given_up in 0..6 {
        let records = epoch(&mut harness, &mut kept);
        println!("{given_up} given up, {records} more records: {} bytes", bytes(&kept));
        assert!(records > 0, "it never stands still");
    }
    assert!(bytes(&kept) < 3 * limit, "{} bytes", bytes(&kept));
    harness.commit(&kept).expect("committed at last");
    kept.clear();
    // The first one after that ends what is left of the last one's.
    epoch(&mut harness, &mut kept);
    harness.commit(&kept).expect("committed");
    kept.clear();
    let again = epoch(&mut harness, &mut kept);
    harness.commit(&kept).expect("committed");
    assert!(again * 2 > first, "{again} records, and {first} in the first epoch");
    assert_eq!(topics::committed(&kafka, "out").len() as u64, total);
    assert_eq!((harness.books.read, harness.books.written), (total, total));
}

#[test]
fn a_time_that_the_topic_does_not_take_is_a_dead_letter_before_its_checkpoint() {
    if left_out(&[Server::Kafka]) {
        return;
    }
    let _alone = alone();
    let kafka = Kafka::start().expect("a broker");
    kafka.create_topic("out", 1).expect("a topic");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().expect("a runtime");
    let now = SystemClock.now_ms();
    let mut writer = SinkHarness::start(&sink(&kafka), "runAg1a1s0").expect("a writer");
    writer.advance(now).expect("it is now");
    // A meter whose clock is two hours fast; the broker takes one.
    for (n, time) in [(0, now), (1, now + 2 * 3_600_000), (2, now + 1_000)] {
        writer.write(Record::at(n, time)).expect("written");
    }
    let epoch = writer.flush().expect("flushed");
    assert!(writer.books.balance());
    let reasons: Vec<&str> = writer.letters.iter().map(|(.., reason)| reason.as_str()).collect();
    assert!(matches!(reasons[..], [one] if one.contains("message.timestamp.after.max.ms")), "{reasons:?}");
    committer(&kafka, "job", &runtime).commit(&epoch).expect("committed");
    let there = topics::committed(&kafka, "out");
    assert_eq!(there, ["0", "2"]);
}
