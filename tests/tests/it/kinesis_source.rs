//! The Kinesis source in whole jobs, against real servers: a stream that is split and merged while
//! the job runs, stops and goes on elsewhere.

use std::{collections::BTreeMap, path::Path, time::Duration};

use aws_sdk_kinesis::{
    Client,
    primitives::Blob,
    types::{PutRecordsRequestEntry, Shard},
};
use hurtig_engine::{
    runner::{JobConfig, Restore},
    source::SourceReader,
    watermark::WatermarkStrategy,
};
use hurtig_kinesis::{
    kpl::{AggregatedRecord, Record, encode, hash_key},
    source::{
        EfoConsumer, InitialPosition, KinesisRecord, KinesisSource, KinesisSplit, Position, ReaderType, RecordFn,
    },
};
use hurtig_operators::{
    connectors::{
        json_files::JsonFilesSink,
        testing::{Output, SourceHarness},
    },
    stream::Environment,
};
use hurtig_state::BackendKind;
use hurtig_tests::{
    kinesis_proxy::{Faults, KinesisProxy},
    servers::{Kinesalite, KinesisLocal, Server, aws_config, left_out},
};
use serde::{Deserialize, Serialize};
use tokio::runtime::Runtime;

use crate::support::{self, Watched, checkpoint, config, directory, lines_below, until_running};

const STREAM: &str = "meters";

/// What a job makes of a reading: whether it came right after the one before of its meter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Reading {
    meter: String,
    n: u32,
    in_order: bool,
}

/// A stream, and how many readings of each meter were put into it.
struct Stream {
    runtime: Runtime,
    client: Client,
    put: BTreeMap<String, u32>,
}

impl Stream {
    fn create(endpoint: &str, shards: i32) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let client =
            runtime.block_on(async { Client::new(&aws_config(endpoint).load().await.expect("a configuration")) });
        let stream = Stream { runtime, client, put: BTreeMap::new() };
        let create = stream.client.create_stream().stream_name(STREAM).shard_count(shards);
        stream.runtime.block_on(create.send()).expect("a stream");
        stream.until_active();
        stream
    }

    fn until_active(&self) {
        loop {
            let described = self.client.describe_stream_summary().stream_name(STREAM);
            let described = self.runtime.block_on(described.send()).expect("a description");
            if described.stream_description_summary().expect("a summary").stream_status().as_str() == "ACTIVE" {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn open_shards(&self) -> Vec<Shard> {
        let listed = self.runtime.block_on(self.client.list_shards().stream_name(STREAM).send()).expect("shards");
        let open = |s: &&Shard| s.sequence_number_range().is_some_and(|r| r.ending_sequence_number().is_none());
        let mut open: Vec<_> = listed.shards().iter().filter(open).cloned().collect();
        open.sort_by_key(|s| range(s).0);
        open
    }

    /// Splits the `n`th open shard in the middle.
    fn split(&self, n: usize) {
        let shard = &self.open_shards()[n];
        let (first, last) = range(shard);
        let middle = first + (last - first) / 2;
        let split = self.client.split_shard().stream_name(STREAM).shard_to_split(shard.shard_id());
        self.runtime.block_on(split.new_starting_hash_key(middle.to_string()).send()).expect("a split");
        self.until_active();
    }

    /// Merges the `n`th open shard with the next.
    fn merge(&self, n: usize) {
        let open = self.open_shards();
        let merge = self.client.merge_shards().stream_name(STREAM).shard_to_merge(open[n].shard_id());
        self.runtime.block_on(merge.adjacent_shard_to_merge(open[n + 1].shard_id()).send()).expect("a merge");
        self.until_active();
    }

    /// Puts the next `each` readings of every meter: aggregates whose members lie in one shard, and
    /// every meter's first as a record of its own.
    fn put(&mut self, meters: usize, each: u32) {
        let open = self.open_shards();
        let mut entries = Vec::new();
        let mut packed: BTreeMap<usize, AggregatedRecord> = BTreeMap::new();
        for meter in (0..meters).map(|m| format!("meter-{m}")) {
            let key = hash_key(&meter, None);
            let shard = open.iter().position(|s| (range(s).0..=range(s).1).contains(&key)).expect("a shard");
            let count = self.put.entry(meter.clone()).or_insert(0);
            entries.push(entry(&meter, None, format!("{meter} {count}").into_bytes()));
            let aggregate = packed.entry(shard).or_default();
            aggregate.partition_key_table.push(meter.clone());
            let partition_key_index = aggregate.partition_key_table.len() as u64 - 1;
            aggregate.records.extend((1..each).map(|i| Record {
                partition_key_index,
                explicit_hash_key_index: None,
                data: format!("{meter} {}", *count + i).into(),
                tags: Vec::new(),
            }));
            *count += each;
        }
        for (shard, aggregate) in packed {
            entries.push(entry("aggregate", Some(range(&open[shard]).0), encode(&aggregate)));
        }
        for entries in entries.chunks(400) {
            let put = self.client.put_records().stream_name(STREAM).set_records(Some(entries.to_vec()));
            let put = self.runtime.block_on(put.send()).expect("an answer");
            assert_eq!(put.failed_record_count(), Some(0));
        }
    }

    fn readings(&self) -> u64 {
        self.put.values().map(|&n| u64::from(n)).sum()
    }

    /// Everything once, in each meter's order.
    fn expected(&self) -> Vec<Reading> {
        let readings = |(meter, &count): (&String, &u32)| {
            (0..count).map(|n| Reading { meter: meter.clone(), n, in_order: true }).collect::<Vec<_>>()
        };
        let mut all: Vec<_> = self.put.iter().flat_map(readings).collect();
        all.sort();
        all
    }
}

fn range(shard: &Shard) -> (u128, u128) {
    let range = shard.hash_key_range().expect("a range");
    (range.starting_hash_key().parse().expect("a key"), range.ending_hash_key().parse().expect("a key"))
}

fn entry(key: &str, hash_key: Option<u128>, data: Vec<u8>) -> PutRecordsRequestEntry {
    let entry = PutRecordsRequestEntry::builder().partition_key(key).data(Blob::new(data));
    entry.set_explicit_hash_key(hash_key.map(|k| k.to_string())).build().expect("all of it")
}

fn reading(record: &KinesisRecord<'_>) -> Result<Reading, String> {
    let text = std::str::from_utf8(record.data).map_err(|e| e.to_string())?;
    let (meter, n) = text.split_once(' ').ok_or("no space")?;
    Ok(Reading { meter: meter.into(), n: n.parse().map_err(|_| "no number")?, in_order: true })
}

type ReadingSource = KinesisSource<RecordFn<fn(&KinesisRecord<'_>) -> Result<Reading, String>>>;

fn source(endpoint: &str) -> ReadingSource {
    let source = KinesisSource::with_metadata(STREAM, RecordFn(reading as fn(&KinesisRecord<'_>) -> _));
    let source = source.aws(aws_config(endpoint)).initial_position(InitialPosition::TrimHorizon);
    // A local server knows no limits.
    source.discovery_interval(Duration::from_millis(200)).get_records_interval(Duration::from_millis(20))
}

/// Reads, sees to each meter's order in keyed state, and writes files.
fn submit(source: ReadingSource, parallelism: usize, out: &Path, config: JobConfig) -> Watched {
    let env = Environment::new("kinesis");
    env.set_parallelism(parallelism);
    let readings = env.from_source(source, WatermarkStrategy::no_watermarks(), "readings").uid("readings");
    let after = |before: Reading, now: Reading| Reading { in_order: before.in_order && now.n == before.n + 1, ..now };
    let readings = readings.key_by(|r: &Reading| r.meter.clone()).reduce(after).uid("order");
    readings.sink_to(JsonFilesSink::new(out)).uid("out");
    support::submit(env.graph().expect("a job"), config).expect("it starts")
}

fn read(job: &Watched) -> u64 {
    use std::sync::atomic::Ordering::Relaxed;
    let source = job.metrics_of("readings").expect("a source");
    source.iter().map(|m| m.records_in.load(Relaxed)).sum()
}

fn until_read(job: &Watched, readings: u64) {
    while read(job) < readings {
        let ended = job.wait_timeout(Duration::from_millis(5)).expect("the job runs");
        assert!(ended.is_none(), "the job has ended before it has read {readings}");
    }
}

fn written(out: &Path) -> Vec<Reading> {
    let mut all: Vec<Reading> =
        lines_below(out).iter().map(|line| serde_json::from_str(line).expect("a reading")).collect();
    all.sort();
    all
}

/// Both lists are long: only what differs is shown.
fn same(written: &[Reading], expected: &[Reading]) {
    let wrong = written.iter().zip(expected).find(|(a, b)| a != b);
    assert_eq!(wrong, None, "{} written, {} put", written.len(), expected.len());
    assert_eq!(written.len(), expected.len());
}

#[test]
fn a_stream_is_split_and_merged_while_the_job_runs_stops_and_goes_on_at_another_parallelism() {
    if left_out(&[Server::Kinesis]) {
        return;
    }
    let server = KinesisLocal::start().expect("kinesis-local");
    let (dir, out) = (directory(), directory());
    let mut stream = Stream::create(&server.endpoint(), 2);
    stream.put(40, 10);

    // One reader: a merged shard's parents are read by the same one, so that order can be asked for.
    let job = submit(source(&server.endpoint()), 1, out.path(), config(dir.path(), BackendKind::Heap));
    until_running(&job);
    until_read(&job, stream.readings());
    checkpoint(&job);
    stream.split(0);
    stream.put(40, 10);
    stream.split(2);
    stream.put(40, 10);
    checkpoint(&job);
    stream.merge(1);
    stream.put(40, 10);
    until_read(&job, stream.readings());
    stream.merge(0);
    // Some of this is read before the stop and some after, also within aggregates.
    stream.put(40, 10);
    let savepoint = job.stop(None, false).expect("a savepoint");
    job.wait().expect("it has stopped");
    drop(job);

    // A reshard that nobody sees happen.
    stream.split(0);
    stream.put(40, 10);
    stream.split(0);
    stream.put(40, 10);

    let settings = JobConfig { restore: Restore::Path(savepoint), ..config(dir.path(), BackendKind::Heap) };
    let job = submit(source(&server.endpoint()).bounded_at_now(), 3, out.path(), settings);
    job.wait().expect("it has come to its end");
    same(&written(out.path()), &stream.expected());
}

#[test]
fn kill_9_of_the_server_costs_the_job_nothing() {
    if left_out(&[Server::Kinesis]) {
        return;
    }
    let mut server = Kinesalite::start().expect("kinesalite");
    let (dir, out) = (directory(), directory());
    let mut stream = Stream::create(&server.endpoint(), 2);
    let source = source(&server.endpoint()).shard_bytes_per_second(20_000_000).buffer_bytes(256 << 10);
    let job = submit(source.clone(), 2, out.path(), config(dir.path(), BackendKind::Heap));
    until_running(&job);
    for round in 0..10 {
        stream.put(40, 500);
        if round == 3 {
            stream.split(1);
        }
        if round % 4 == 2 {
            until_read(&job, stream.readings() / 2);
            server.kill9();
            server.start_again().expect("again");
        }
    }
    until_read(&job, stream.readings());
    let savepoint = job.stop(None, false).expect("a savepoint");
    job.wait().expect("it has stopped");
    stream.put(40, 100);
    let settings = JobConfig { restore: Restore::Path(savepoint), ..config(dir.path(), BackendKind::Heap) };
    submit(source.bounded_at_now(), 1, out.path(), settings).wait().expect("it has come to its end");
    same(&written(out.path()), &stream.expected());
}

#[test]
fn enhanced_fan_out_reads_a_stream_that_was_split_and_gives_its_consumer_back() {
    if left_out(&[Server::Kinesis]) {
        return;
    }
    let server = KinesisLocal::start().expect("kinesis-local");
    let (dir, out) = (directory(), directory());
    let mut stream = Stream::create(&server.endpoint(), 1);
    stream.put(20, 5);
    stream.split(0);
    stream.put(20, 5);
    let efo = ReaderType::Efo(EfoConsumer::Name("readings".into()));
    let source = source(&server.endpoint()).reader_type(efo).bounded_at_now();
    submit(source, 2, out.path(), config(dir.path(), BackendKind::Heap)).wait().expect("it has come to its end");
    same(&written(out.path()), &stream.expected());

    let described = stream.client.describe_stream_summary().stream_name(STREAM);
    let described = stream.runtime.block_on(described.send()).expect("a description");
    let arn = described.stream_description_summary().expect("a summary").stream_arn();
    // The job has waited for it: what is left is the server's own delay.
    for _ in 0..6000 {
        let consumers = stream.client.list_stream_consumers().stream_arn(arn);
        let consumers = stream.runtime.block_on(consumers.send()).expect("consumers");
        // One that is being deleted is still named.
        if consumers.consumers().iter().all(|c| c.consumer_status().as_str() == "DELETING") {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("the consumer was not deregistered");
}

#[test]
fn a_consumer_that_was_there_before_is_left_there() {
    if left_out(&[Server::Kinesis]) {
        return;
    }
    let server = KinesisLocal::start().expect("kinesis-local");
    let (dir, out) = (directory(), directory());
    let mut stream = Stream::create(&server.endpoint(), 1);
    stream.put(20, 5);
    let described = stream.client.describe_stream_summary().stream_name(STREAM);
    let described = stream.runtime.block_on(described.send()).expect("a description");
    let arn = described.stream_description_summary().expect("a summary").stream_arn().to_owned();
    let register = stream.client.register_stream_consumer().stream_arn(&arn).consumer_name("readings");
    stream.runtime.block_on(register.send()).expect("somebody's consumer");

    let efo = ReaderType::Efo(EfoConsumer::Name("readings".into()));
    let source = source(&server.endpoint()).reader_type(efo).bounded_at_now();
    submit(source, 1, out.path(), config(dir.path(), BackendKind::Heap)).wait().expect("it has come to its end");
    same(&written(out.path()), &stream.expected());
    let consumer = stream.client.describe_stream_consumer().stream_arn(&arn).consumer_name("readings");
    let consumer = stream.runtime.block_on(consumer.send()).expect("still there");
    let status = consumer.consumer_description().expect("a description").consumer_status();
    assert_eq!(status.as_str(), "ACTIVE");
}

#[test]
fn latest_is_the_first_start_also_when_nothing_was_read_before_the_stop() {
    if left_out(&[Server::Kinesis]) {
        return;
    }
    let server = KinesisLocal::start().expect("kinesis-local");
    let (dir, out) = (directory(), directory());
    let mut stream = Stream::create(&server.endpoint(), 2);
    stream.put(10, 5);
    stream.put.clear();
    // What was put so far must be older than the start, by the millisecond.
    std::thread::sleep(Duration::from_millis(50));
    let source = source(&server.endpoint()).initial_position(InitialPosition::Latest);
    let job = submit(source.clone(), 1, out.path(), config(dir.path(), BackendKind::Heap));
    until_running(&job);
    let savepoint = job.stop(None, false).expect("a savepoint");
    job.wait().expect("it has stopped");
    stream.put(10, 5);
    stream.split(0);
    stream.put(10, 5);
    let settings = JobConfig { restore: Restore::Path(savepoint), ..config(dir.path(), BackendKind::Heap) };
    submit(source.bounded_at_now(), 2, out.path(), settings).wait().expect("it has come to its end");
    same(&written(out.path()), &stream.expected());
}

#[test]
fn a_stream_that_is_not_there_is_said_before_anything_runs() {
    if left_out(&[Server::Kinesis]) {
        return;
    }
    let server = Kinesalite::start().expect("kinesalite");
    let dir = directory();
    let env = Environment::new("kinesis");
    let readings = env.from_source(source(&server.endpoint()), WatermarkStrategy::no_watermarks(), "readings");
    readings.uid("readings").sink_to(JsonFilesSink::new(dir.path().join("out"))).uid("out");
    let job = support::submit(env.graph().expect("a job"), config(dir.path(), BackendKind::Heap));
    let Err(e) = job else { panic!("a job without its stream") };
    let words = e.to_string();
    assert!(words.contains("stream 'meters' does not exist in region us-east-1"), "{words}");
    assert!(!words.contains('\n'), "{words}");
}

/// A reader of the first shard alone, as if it had been found under the name of `id`.
fn first_shard(stream: &Stream, id: Option<&str>) -> KinesisSplit {
    let mut shard: hurtig_kinesis::source::Shard = (&stream.open_shards()[0]).into();
    shard.id = id.unwrap_or(&shard.id).to_owned();
    KinesisSplit { shard, position: Position::TrimHorizon, until: None, consumer_arn: None }
}

/// Polls until something is emitted or the shard ends, or says what went wrong.
fn poll_once(
    harness: &mut SourceHarness<ReadingSource>,
    out: &mut Output<Reading>,
) -> hurtig_engine::error::Result<()> {
    let before = out.len();
    for _ in 0..60_000 {
        harness.reader.poll(7, out)?;
        if out.len() > before || !out.finished.is_empty() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("nothing came");
}

#[test]
fn every_stop_within_an_aggregate_goes_on_with_the_rest_of_it() {
    if left_out(&[Server::Kinesis]) {
        return;
    }
    let server = Kinesalite::start().expect("kinesalite");
    let mut stream = Stream::create(&server.endpoint(), 1);
    stream.put(3, 20);
    stream.put(3, 20);
    let source = source(&server.endpoint());
    let (mut split, mut within, mut read) = (first_shard(&stream, None), 0, Vec::new());
    while (read.len() as u64) < stream.readings() {
        let mut harness = SourceHarness::with_splits(&source, vec![split]).expect("a reader");
        let mut out = Output::default();
        poll_once(&mut harness, &mut out).expect("read");
        read.extend(out.values());
        split = harness.snapshot().expect("positions").remove(0);
        within += usize::from(matches!(split.position, Position::Within { .. }));
    }
    assert!(within >= 10, "{within} stops were within an aggregate");
    read.sort();
    same(&read, &stream.expected());
}

#[test]
fn a_shard_that_is_gone_is_read_to_its_end_and_a_stream_that_is_gone_is_not() {
    if left_out(&[Server::Kinesis]) {
        return;
    }
    let server = Kinesalite::start().expect("kinesalite");
    let mut stream = Stream::create(&server.endpoint(), 1);
    stream.put(3, 20);
    let source = source(&server.endpoint());
    // The server never heard of it, as of one that the retention has taken.
    let gone = first_shard(&stream, Some("a-shard-of-old"));
    let mut harness = SourceHarness::with_splits(&source, vec![gone]).expect("a reader");
    let mut out = Output::default();
    poll_once(&mut harness, &mut out).expect("read");
    assert_eq!((out.finished, out.records.len()), (vec![0], 0));

    let mut harness = SourceHarness::with_splits(&source, vec![first_shard(&stream, None)]).expect("a reader");
    let mut out = Output::default();
    poll_once(&mut harness, &mut out).expect("read");
    stream.runtime.block_on(stream.client.delete_stream().stream_name(STREAM).send()).expect("deleted");
    let failed = loop {
        out.records.clear();
        match poll_once(&mut harness, &mut out) {
            Ok(()) => assert!(out.finished.is_empty(), "a stream that was deleted is no shard's end"),
            Err(e) => break e.to_string(),
        }
    };
    assert!(failed.contains("stream 'meters' does not exist in region us-east-1"), "{failed}");
    assert!(!failed.contains('\n'), "{failed}");
}

#[test]
fn an_iterator_that_has_expired_is_taken_anew_behind_what_was_fetched() {
    if left_out(&[Server::Kinesis]) {
        return;
    }
    let server = Kinesalite::start().expect("kinesalite");
    let mut stream = Stream::create(&server.endpoint(), 1);
    (0..5).for_each(|_| stream.put(40, 2));
    let faults = Faults { expired_iterators: 0.3, ..Faults::default() };
    let proxy = KinesisProxy::start(&server.endpoint(), 7, faults).expect("a proxy");
    let source = source(&proxy.endpoint()).max_record_count(7).get_records_interval(Duration::from_millis(1));
    let mut harness = SourceHarness::with_splits(&source, vec![first_shard(&stream, None)]).expect("a reader");
    let mut out = Output::default();
    while (out.len() as u64) < stream.readings() {
        poll_once(&mut harness, &mut out).expect("read");
    }
    assert!(proxy.counters().expired_iterators > 0, "{:?}", proxy.counters());
    let mut read = out.values();
    read.sort();
    same(&read, &stream.expected());
}
