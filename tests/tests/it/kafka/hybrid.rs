//! History from files, then the topic: each record once, wherever the job is ended and restored in between.

use std::{
    path::Path,
    sync::{Mutex, mpsc},
    time::Duration,
};

use hurtig_engine::{
    Error,
    runner::{JobConfig, JobState, Restore},
    time::ms,
};
use hurtig_kafka::{KafkaSource, OffsetsInitializer, ValueOnly};
use hurtig_operators::{
    connectors::{
        files::FileSource,
        hybrid::{HybridSource, SwitchContext},
    },
    schema::JsonFormat,
};
use hurtig_tests::{
    gated::{Gate, Gated},
    servers::{Kafka, Server, left_out},
};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::{
    alone,
    jobs::{must_be_exact, settings, start_from, until_counted, until_out},
    topics,
};
use crate::support::{Watched, checkpoint, directory, until_closed};

/// The time of record 0.
const BEGAN: i64 = 1_704_067_200_000;
/// How many records there are in the files, and how many files.
const HISTORY: u64 = 6_000;
const FILES: u64 = 5;
const PATIENCE: Duration = Duration::from_secs(60);

fn time_of(n: u64) -> i64 {
    BEGAN + n as i64
}

/// `records` in files that all cover the whole time.
fn history(dir: &Path, records: u64) {
    std::fs::create_dir(dir).expect("a directory");
    for file in 0..FILES {
        let lines = (0..records).filter(|n| n % FILES == file).map(|n| format!("[{},{n}]\n", n % 100));
        std::fs::write(dir.join(format!("{file}.json")), lines.collect::<String>()).expect("a file");
    }
}

/// Sends numbers with their own times, to partitions in turn.
fn send(kafka: &Kafka, numbers: impl Iterator<Item = u64>, partitions: u64) {
    let producer: BaseProducer = kafka.client().create().expect("a producer");
    for n in numbers {
        let (key, value) = ((n % 100).to_string(), format!("[{},{n}]", n % 100));
        let record = BaseRecord::to("in").partition((n % partitions) as i32).key(&key).payload(&value);
        producer.send(record.timestamp(time_of(n))).expect("sent");
    }
    producer.flush(PATIENCE).expect("delivered");
}

fn broker() -> Kafka {
    // The records are of a time long ago, which is no reason to remove them.
    let kafka = Kafka::start_with("log.retention.ms=-1\n").expect("a broker");
    kafka.create_topic("in", 3).expect("a topic");
    kafka.create_topic("out", 3).expect("a topic");
    kafka
}

type Pairs = JsonFormat<(u64, u64)>;

fn topic(bootstrap: &str, starting: OffsetsInitializer) -> hurtig_engine::Result<KafkaSource<ValueOnly<Pairs>>> {
    KafkaSource::builder()
        .bootstrap_servers(bootstrap)
        .topics(["in"])
        .starting_offsets(starting)
        .partition_discovery_interval(ms(200))
        .value_only(Pairs::new())
        .build()
}

/// The moment between the two sources, as long as somebody wants it.
struct Switching {
    begins: mpsc::Sender<()>,
    /// Nothing comes: whoever wants it to go on drops the other end.
    goes_on: Mutex<mpsc::Receiver<()>>,
}

impl Switching {
    fn held() -> (Self, mpsc::Receiver<()>, mpsc::Sender<()>) {
        let ((begins, has_begun), (hold, goes_on)) = (mpsc::channel(), mpsc::channel());
        (Switching { begins, goes_on: Mutex::new(goes_on) }, has_begun, hold)
    }

    fn pass(&self) {
        // Nobody may be waiting for it.
        let _ = self.begins.send(());
        let _ = self.goes_on.lock().unwrap_or_else(|e| e.into_inner()).recv();
    }
}

/// The files as far as the gate lets them through, then the topic from where they end.
fn start(
    kafka: &Kafka,
    files: &Path,
    gate: &Gate,
    switching: Switching,
    parallelism: usize,
    config: JobConfig,
) -> Watched {
    let files = FileSource::new(files.display().to_string()).json_lines::<(u64, u64)>();
    let bootstrap = kafka.bootstrap().to_owned();
    let source = HybridSource::builder(Gated::new(files, gate))
        .position_of(|(_, n): &(u64, u64)| time_of(*n))
        .add_source(move |switch: &SwitchContext| {
            let at = switch.at.ok_or_else(|| Error::Config("the files have no record".into()))?;
            assert_eq!(at, time_of(HISTORY), "where the files end");
            switching.pass();
            topic(&bootstrap, OffsetsInitializer::Timestamp(at))
        });
    start_from(source, kafka, parallelism, config)
}

fn end(job: Watched) {
    job.cancel().expect("cancelled");
    assert_eq!(job.wait().expect("it ends").state, JobState::Canceled);
}

#[test]
fn each_record_once_when_the_job_ends_before_at_and_after_the_switch_and_the_topic_grows_meanwhile() {
    if left_out(&[Server::Kafka]) {
        return;
    }
    let _alone = alone();
    let kafka = broker();
    let dir = directory();
    let (files, data) = (dir.path().join("history"), dir.path().join("data"));
    history(&files, HISTORY);
    let config = |restore| {
        let mut config = settings(&data, restore);
        config.checkpoints.interval = None;
        config
    };
    // The topic has the end of the history too, and some of what comes later stands before it.
    send(&kafka, (HISTORY..HISTORY + 200).chain(HISTORY - 1_000..HISTORY).chain(HISTORY + 200..HISTORY + 500), 3);

    // Before the switch, in the middle of the files: a checkpoint, and some more that is read again.
    let gate = Gate::default();
    let (switching, _, hold) = Switching::held();
    let job = start(&kafka, &files, &gate, switching, 2, config(Restore::Fresh));
    gate.let_through(2_000);
    until_closed(&job, &gate);
    checkpoint(&job);
    let visible = topics::committed(&kafka, "out").len();
    assert!((1..3_000).contains(&visible), "{visible} of the files' records");
    gate.let_through(1_000);
    until_closed(&job, &gate);
    send(&kafka, HISTORY + 500..HISTORY + 1_000, 3);
    drop(hold);
    end(job);

    // At the switch: the files have been read, and there is no next source yet.
    let gate = Gate::default();
    gate.open();
    let (switching, has_begun, hold) = Switching::held();
    let job = start(&kafka, &files, &gate, switching, 3, config(Restore::Latest));
    has_begun.recv_timeout(PATIENCE).expect("the files come to their end");
    checkpoint(&job);
    assert_eq!(topics::committed(&kafka, "out").len() as u64, HISTORY, "the files, and nothing of the topic");
    send(&kafka, HISTORY + 1_000..HISTORY + 1_500, 3);
    job.cancel().expect("cancelled");
    drop(hold);
    assert_eq!(job.wait().expect("it ends").state, JobState::Canceled);
    drop(job);

    // After it, with files that nobody needs any more, and partitions that were not there at the switch.
    std::fs::remove_dir_all(&files).expect("removed");
    let (switching, _, hold) = Switching::held();
    drop(hold);
    let job = start(&kafka, &files, &gate, switching, 1, config(Restore::Latest));
    until_counted(&job, HISTORY + 1_500);
    checkpoint(&job);
    until_out(&kafka, &job, HISTORY as usize + 1_500);
    kafka.add_partitions("in", 5).expect("partitions");
    send(&kafka, HISTORY + 1_500..HISTORY + 2_500, 5);
    until_counted(&job, HISTORY + 2_000);
    end(job);

    let (switching, _, hold) = Switching::held();
    drop(hold);
    let job = start(&kafka, &files, &gate, switching, 3, config(Restore::Latest));
    until_counted(&job, HISTORY + 2_500);
    job.stop(None, false).expect("a savepoint");
    assert_eq!(job.wait().expect("it ends").state, JobState::Finished);
    must_be_exact(&kafka, HISTORY + 2_500);
}

/// The switch point is given, both sides have more than is theirs, and the first commit behind it fails half way.
#[test]
fn each_record_once_with_a_switch_point_that_is_given_and_a_failure_behind_it() {
    if left_out(&[Server::Kafka]) {
        return;
    }
    let _alone = alone();
    let kafka = broker();
    let dir = directory();
    let files = dir.path().join("history");
    history(&files, 5_000);
    send(&kafka, 3_000..4_500, 3);
    let bootstrap = kafka.bootstrap().to_owned();
    let (begins, has_begun) = mpsc::channel();
    let source = HybridSource::builder(FileSource::new(files.display().to_string()).json_lines::<(u64, u64)>())
        .switch_at(time_of(4_000))
        .position_of(|(_, n): &(u64, u64)| time_of(*n))
        .add_source(move |switch: &SwitchContext| {
            assert_eq!(switch.at, Some(time_of(4_000)));
            let _ = begins.send(());
            topic(&bootstrap, OffsetsInitializer::Earliest)
        });
    let job = start_from(source, &kafka, 2, settings(&dir.path().join("data"), Restore::Fresh));
    has_begun.recv_timeout(PATIENCE).expect("the files come to their end");
    until_out(&kafka, &job, 4_001);
    fail::cfg("kafka-mid-commit", "1*return->off").expect("a failpoint");
    send(&kafka, 4_500..6_000, 3);
    until_out(&kafka, &job, 6_000);
    fail::remove("kafka-mid-commit");
    assert!(job.status().restarts >= 1, "it failed");
    end(job);
    must_be_exact(&kafka, 6_000);
}
