//! A schema that says `Unavailable` fails the job, in whichever connector, and no record is blamed for it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

use aws_sdk_kinesis::Client;
use hurtig_engine::{
    runner::{JobConfig, RestartStrategy},
    time::ms,
    watermark::WatermarkStrategy,
};
use hurtig_ingest::RangeSource;
use hurtig_kinesis::{
    sink::KinesisSink,
    source::{InitialPosition, KinesisSource},
};
use hurtig_operators::{
    connectors::collect::CollectSink,
    schema::{DeserializationSchema, JsonFormat, SchemaError, SerializationSchema},
    stream::Environment,
};
use hurtig_state::BackendKind;
use hurtig_tests::servers::{Kinesalite, Server, aws_config, left_out};

use crate::support::{books_hold, config, directory, submit};

const STREAM: &str = "numbers";
const RECORDS: u64 = 50;

/// JSON, when what it needs has come back.
#[derive(Clone)]
struct AwayAtFirst {
    json: JsonFormat<u64>,
    times: Arc<AtomicU32>,
}

impl AwayAtFirst {
    fn times(times: u32) -> Self {
        AwayAtFirst { json: JsonFormat::new(), times: Arc::new(AtomicU32::new(times)) }
    }

    fn ask(&self) -> Result<(), SchemaError> {
        match self.times.fetch_update(SeqCst, SeqCst, |n| n.checked_sub(1)) {
            Ok(_) => Err(SchemaError::Unavailable("the registry is away".into())),
            Err(_) => Ok(()),
        }
    }
}

impl DeserializationSchema for AwayAtFirst {
    type Item = u64;

    fn deserialize(&mut self, message: &[u8], out: &mut Vec<u64>) -> Result<(), SchemaError> {
        self.ask()?;
        self.json.deserialize(message, out)
    }
}

impl SerializationSchema<u64> for AwayAtFirst {
    fn serialize(&mut self, value: &u64, out: &mut Vec<u8>) -> Result<(), SchemaError> {
        self.ask()?;
        self.json.serialize(value, out)
    }
}

/// Runs it to its end, with all records written, none dead, and as many failures as there are words for.
fn run(env: &Environment, words: &[&str]) {
    let dir = directory();
    let restart = RestartStrategy::FixedDelay { delay: ms(1), attempts: 20 };
    let config = JobConfig { restart, ..config(dir.path(), BackendKind::Heap) };
    let job = submit(env.graph().expect("a graph"), config).expect("a job");
    let ended = job.wait().expect("the job ends well");
    let said: Vec<_> = ended.status.exceptions.iter().map(|e| e.message.as_str()).collect();
    assert_eq!(said.len(), words.len(), "{said:?}");
    for (said, words) in said.iter().zip(words) {
        assert!(said.contains(words) && said.ends_with("the registry is away"), "{said}");
    }
    books_hold("numbers", &ended.status.books, RECORDS as usize);
    assert!(ended.status.books.iter().all(|sink| sink.books.dead_lettered == 0), "{:?}", ended.status.books);
}

#[test]
fn files_and_streams_fail_with_their_schema_and_blame_no_record() {
    if left_out(&[Server::Kinesis]) {
        return;
    }
    let kinesis = Kinesalite::start().expect("kinesalite");
    let aws = aws_config(&kinesis.endpoint());
    create(&aws);
    let dir = directory();
    let lines: String = (0..RECORDS).map(|n| format!("{n}\n")).collect();
    std::fs::write(dir.path().join("numbers.json"), lines).expect("written");

    let env = Environment::new("in");
    env.set_parallelism(1);
    let files = RangeSource::new(dir.path().to_str().expect("text")).lines(AwayAtFirst::times(2));
    let sink = KinesisSink::new(STREAM, AwayAtFirst::times(2), |n: &u64| n.to_string()).aws(aws.clone());
    env.from_source(files, WatermarkStrategy::no_watermarks(), "files").sink_to(sink).name("stream");
    run(&env, &["source ingest", "source ingest", "sink stream", "sink stream"]);

    let env = Environment::new("out");
    env.set_parallelism(1);
    let stream = KinesisSource::new(STREAM, AwayAtFirst::times(2)).aws(aws);
    let stream = stream.initial_position(InitialPosition::TrimHorizon).bounded_at_now();
    let sink = CollectSink::new();
    env.from_source(stream, WatermarkStrategy::no_watermarks(), "stream").sink_to(sink.clone());
    run(&env, &["source numbers", "source numbers"]);
    let mut found = sink.values();
    found.sort_unstable();
    assert_eq!(found, (0..RECORDS).collect::<Vec<_>>());
}

fn create(aws: &hurtig_aws::AwsConfig) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let client = Client::new(&aws.load().await.expect("a configuration"));
        client.create_stream().stream_name(STREAM).shard_count(1).send().await.expect("a stream");
        loop {
            let told = client.describe_stream_summary().stream_name(STREAM).send().await.expect("an answer");
            if told.stream_description_summary().is_some_and(|s| s.stream_status().as_str() == "ACTIVE") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
}
