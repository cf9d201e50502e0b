//! Whole jobs: source, keyed state, exactly-once sink; partitions are added, the broker is killed, the job is killed.

use std::{collections::BTreeMap, path::Path, time::Duration};

use hurtig_engine::{
    Result,
    operator::Output,
    runner::{CheckpointSettings, JobConfig, JobState, RestartStrategy, Restore},
    source::Source,
    time::ms,
    watermark::WatermarkStrategy,
};
use hurtig_kafka::{DeliveryGuarantee, KafkaSink, KafkaSource, TopicSerializer};
use hurtig_operators::{
    collector::Collector,
    keyed_process::{KeyedContextOf, KeyedProcessFunction},
    schema::JsonFormat,
    stream::Environment,
};
use hurtig_state::{BackendKind, ValueState, ValueStateDescriptor};
use hurtig_tests::servers::{Kafka, Server, left_out};

use super::{alone, topics};
use crate::support::{Watched, books_hold, config, directory, submit, until_running};

/// Counts what comes for a key: a record that is lost, or counted twice, shows in all that follow.
#[derive(Clone, Default)]
struct Count {
    seen: ValueState<u64>,
}

impl KeyedProcessFunction<u64, (u64, u64)> for Count {
    type Out = (u64, u64, u64);

    fn open(&mut self, ctx: &mut KeyedContextOf<'_, u64>) -> Result<()> {
        self.seen = ctx.state().value_state(ValueStateDescriptor::new("seen"))?;
        Ok(())
    }

    fn process_element<O: Output<Self::Out>>(
        &mut self,
        (key, n): (u64, u64),
        ctx: &mut KeyedContextOf<'_, u64>,
        out: &mut Collector<'_, O>,
    ) -> Result<()> {
        let seen = self.seen.get_or_insert_with(ctx, || 0)?;
        *seen += 1;
        let seen = *seen;
        out.collect((key, seen, n));
        Ok(())
    }
}

/// Reads `in`, counts by key, writes `out`.
pub(super) fn start(kafka: &Kafka, parallelism: usize, config: JobConfig) -> Watched {
    let source = KafkaSource::builder()
        .bootstrap_servers(kafka.bootstrap())
        .topics(["in"])
        .group_id("watched")
        .partition_discovery_interval(ms(200))
        .value_only(JsonFormat::<(u64, u64)>::new())
        .build()
        .expect("a source");
    start_from(source, kafka, parallelism, config)
}

/// Reads `source`, counts by key, writes `out`.
pub(super) fn start_from(
    source: impl Source<Item = (u64, u64)>,
    kafka: &Kafka,
    parallelism: usize,
    config: JobConfig,
) -> Watched {
    let serializer = TopicSerializer::new("out", JsonFormat::<(u64, u64, u64)>::new());
    let sink = KafkaSink::builder()
        .bootstrap_servers(kafka.bootstrap())
        .delivery_guarantee(DeliveryGuarantee::ExactlyOnce)
        .record_serializer(serializer.key(|v: &(u64, u64, u64), key| key.extend(v.0.to_string().bytes())))
        .build()
        .expect("a sink");
    let env = Environment::new("counts");
    env.set_parallelism(parallelism);
    env.from_source(source, WatermarkStrategy::no_watermarks(), "in")
        .key_by(|v| v.0)
        .process(Count::default())
        .uid("count")
        .sink_to(sink)
        .uid("out");
    submit(env.graph().expect("a graph"), config).expect("a job")
}

pub(super) fn settings(data: &Path, restore: Restore) -> JobConfig {
    JobConfig {
        checkpoints: CheckpointSettings {
            interval: Some(ms(200)),
            tolerable_failures: 100,
            ..CheckpointSettings::default()
        },
        restart: RestartStrategy::FixedDelay { delay: ms(200), attempts: 1000 },
        restore,
        ..config(data, BackendKind::Heap)
    }
}

/// Waits until a reader with `read_committed` sees so many, and no fewer than ever.
pub(super) fn until_out(kafka: &Kafka, job: &Watched, count: usize) {
    loop {
        let there = topics::committed(kafka, "out").len();
        if there >= count {
            return;
        }
        let ended = job.wait_timeout(Duration::from_millis(100)).expect("the job runs");
        assert!(ended.is_none(), "the job has ended with {there} of {count}");
    }
}

/// Each of the `n` numbers is there once, and each key was counted through.
pub(super) fn must_be_exact(kafka: &Kafka, n: u64) {
    let mut numbers = Vec::new();
    let mut counts = BTreeMap::<u64, Vec<u64>>::new();
    for value in topics::committed(kafka, "out") {
        let (key, count, n): (u64, u64, u64) = serde_json::from_str(&value).expect("what was written");
        numbers.push(n);
        counts.entry(key).or_default().push(count);
    }
    numbers.sort_unstable();
    let wrong = numbers.iter().zip(0..).find(|(a, b)| *a != b);
    assert_eq!((numbers.len() as u64, wrong), (n, None), "each record once");
    for (key, mut seen) in counts {
        // One key's records are in one partition, in the order in which they were counted.
        assert!(seen.is_sorted(), "key {key} is out of order");
        seen.dedup();
        assert_eq!(seen, (1..=seen.len() as u64).collect::<Vec<_>>(), "key {key}");
    }
}

#[test]
fn each_record_once_while_partitions_are_added_the_broker_is_killed_and_the_job_is_restored_at_another_parallelism() {
    if left_out(&[Server::Kafka]) {
        return;
    }
    let _alone = alone();
    let mut kafka = Kafka::start().expect("a broker");
    kafka.create_topic("in", 2).expect("a topic");
    kafka.create_topic("out", 3).expect("a topic");
    let dir = directory();
    let data = dir.path().join("data");

    let job = start(&kafka, 2, settings(&data, Restore::Fresh));
    topics::produce(&kafka, "in", 0..20_000, |n| (n % 2) as i32);
    until_out(&kafka, &job, 20_000);

    // New partitions are found while the job runs, with what is in them from their beginning.
    kafka.add_partitions("in", 5).expect("partitions");
    topics::produce(&kafka, "in", 20_000..40_000, |n| (n % 5) as i32);
    until_out(&kafka, &job, 40_000);

    // The broker goes down in the middle of it.
    topics::produce(&kafka, "in", 40_000..60_000, |n| (n % 5) as i32);
    kafka.kill9();
    kafka.start_again().expect("a broker");
    until_out(&kafka, &job, 60_000);

    // So does the job: what it has read since its last checkpoint is read again.
    topics::produce(&kafka, "in", 60_000..80_000, |n| (n % 5) as i32);
    job.cancel().expect("cancelled");
    assert_eq!(job.wait().expect("it ends").state, JobState::Canceled);
    drop(job);
    let job = start(&kafka, 3, settings(&data, Restore::Latest));
    topics::produce(&kafka, "in", 80_000..100_000, |n| (n % 5) as i32);
    until_out(&kafka, &job, 100_000);

    let stopped = job.stop(None, false).expect("a savepoint");
    let result = job.wait().expect("it ends");
    assert_eq!(result.state, JobState::Finished);
    books_hold("counts", &result.status.books, 100_000);
    must_be_exact(&kafka, 100_000);

    // From the savepoint it goes on, and what the savepoint held is not published again.
    let job = start(&kafka, 1, settings(&dir.path().join("elsewhere"), Restore::Path(stopped)));
    topics::produce(&kafka, "in", 100_000..101_000, |n| (n % 5) as i32);
    until_out(&kafka, &job, 101_000);
    job.cancel().expect("cancelled");
    job.wait().expect("it ends");
    must_be_exact(&kafka, 101_000);
}

#[test]
fn each_record_once_with_a_crash_before_in_the_middle_of_and_after_the_commit() {
    if left_out(&[Server::Kafka]) {
        return;
    }
    let _alone = alone();
    let kafka = Kafka::start().expect("a broker");
    kafka.create_topic("in", 3).expect("a topic");
    kafka.create_topic("out", 3).expect("a topic");
    let dir = directory();
    let mut total = 0;
    let mut restore = Restore::Fresh;
    for (round, point) in ["kafka-commit", "kafka-mid-commit", "kafka-committed"].into_iter().enumerate() {
        // The run dies for good with its commit; what comes then is another one, at another parallelism.
        let config = JobConfig {
            checkpoints: CheckpointSettings { interval: None, ..CheckpointSettings::default() },
            restart: RestartStrategy::None,
            ..settings(&dir.path().join("data"), restore)
        };
        let job = start(&kafka, 1 + round, config);
        until_running(&job);
        topics::produce(&kafka, "in", total..total + 5000, |n| (n % 3) as i32);
        total += 5000;
        until_counted(&job, total);
        let before = topics::committed(&kafka, "out").len();
        fail::cfg(point, "return").expect("a failpoint");
        // The checkpoint is complete; whoever asked for it may hear of that, or of the failure.
        let _ = job.checkpoint();
        let failed = job.wait().err().map(|e| e.to_string()).unwrap_or_default();
        fail::remove(point);
        assert!(failed.contains(point), "{failed}");
        let visible = topics::committed(&kafka, "out").len();
        let published = if point == "kafka-committed" { before + 5000 } else { before };
        assert_eq!(visible, published, "{point}: all of it or nothing");
        if point == "kafka-mid-commit" {
            let written = topics::values(&kafka, "out", "read_uncommitted").len();
            assert!(written > visible, "it was in the middle");
        }
        restore = Restore::Latest;
    }
    let job = start(&kafka, 2, settings(&dir.path().join("data"), restore));
    until_out(&kafka, &job, total as usize);
    job.stop(None, false).expect("a savepoint");
    assert_eq!(job.wait().expect("it ends").state, JobState::Finished);
    must_be_exact(&kafka, total);
}

/// Waits until the job has read so many. One that is restored counts on from what its checkpoint has.
pub(super) fn until_counted(job: &Watched, count: u64) {
    let read = || {
        let of_source = &job.metrics()[0];
        of_source.iter().map(|m| m.records_in.load(std::sync::atomic::Ordering::Relaxed)).sum::<u64>()
    };
    while read() < count {
        let ended = job.wait_timeout(ms(5)).expect("the job runs");
        assert!(ended.is_none(), "the job has ended");
    }
}
