//! The Kinesis sink against real servers, and scaling while it writes: what is acknowledged can be
//! read, every key in its order, by a reader that drops what the KCL drops.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    io::Write,
    process::{Command, Stdio},
    time::Duration,
};

use aws_sdk_kinesis::{
    Client,
    types::{Record as KinesisRecord, ShardIteratorType},
};
use hurtig_engine::record::{Origin, Record};
use hurtig_kinesis::{
    kpl,
    scaling::{LoadMeter, Scaler, ShardLimits, covers_everything},
    sink::KinesisSink,
};
use hurtig_operators::{connectors::testing::SinkHarness, schema::JsonFormat};
use hurtig_tests::{
    kinesis_proxy::{Faults, KinesisProxy, Limits},
    servers::{Kinesalite, KinesisLocal, Server, aws_config, left_out},
};
use tokio::runtime::Runtime;

const STREAM: &str = "readings";

/// Meter and number.
type Reading = (String, u64);

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime")
}

fn client(runtime: &Runtime, endpoint: &str) -> Client {
    let config = runtime.block_on(aws_config(endpoint).attempts(3).load()).expect("a configuration");
    Client::new(&config)
}

fn create(runtime: &Runtime, client: &Client, shards: i32) -> Scaler {
    let scaler = Scaler::new(client.clone(), STREAM).poll_every(Duration::from_millis(20), Duration::from_secs(60));
    runtime.block_on(async {
        client.create_stream().stream_name(STREAM).shard_count(shards).send().await.expect("a stream");
        while scaler.state().await.expect("a state").status != "ACTIVE" {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    scaler
}

fn sink(endpoint: &str) -> KinesisSink<Reading, JsonFormat<Reading>> {
    KinesisSink::new(STREAM, JsonFormat::new(), |r: &Reading| r.0.clone())
        .aws(aws_config(endpoint))
        .shard_limits(ShardLimits::UNLIMITED)
        .backoff(Duration::from_millis(10), Duration::from_millis(200))
}

/// All of a shard, as it is stored.
async fn records(client: &Client, shard: &str) -> Vec<KinesisRecord> {
    let request = client.get_shard_iterator().stream_name(STREAM).shard_id(shard);
    let answer = request.shard_iterator_type(ShardIteratorType::TrimHorizon).send().await.expect("an iterator");
    let (mut iterator, mut all, mut empty) = (answer.shard_iterator().map(str::to_owned), Vec::new(), 0);
    while let Some(at) = iterator.take()
        && empty < 3
    {
        let page = client.get_records().shard_iterator(at).send().await.expect("records");
        empty = if page.records().is_empty() { empty + 1 } else { 0 };
        all.extend(page.records().iter().cloned());
        iterator = page.next_shard_iterator().map(str::to_owned);
    }
    all
}

/// What a reader of the stream has seen.
#[derive(Default)]
struct Read {
    /// Of every meter, its numbers as they come first.
    meters: BTreeMap<String, Vec<u64>>,
    seen: HashSet<u64>,
    twice: usize,
    dropped: usize,
    plain: usize,
    aggregates: Vec<Vec<u8>>,
}

impl Read {
    fn see(&mut self, data: &[u8]) {
        let (meter, n): Reading = serde_json::from_slice(data).expect("a reading");
        if self.seen.insert(n) { self.meters.entry(meter).or_default().push(n) } else { self.twice += 1 }
    }

    fn of(runtime: &Runtime, client: &Client, scaler: &Scaler) -> Read {
        let mut read = Read::default();
        runtime.block_on(async {
            let mut shards = scaler.state().await.expect("a state").shards;
            // A child's name comes after its parents'.
            shards.sort_by(|a, b| a.id.cmp(&b.id));
            for shard in shards {
                for record in records(client, &shard.id).await {
                    let data = record.data().as_ref();
                    let Some(aggregate) = kpl::decode(data) else {
                        read.plain += 1;
                        read.see(data);
                        continue;
                    };
                    read.aggregates.push(data.to_vec());
                    for i in 0..aggregate.records.len() {
                        let m = aggregate.member(i).expect("a member");
                        if shard.range.contains(kpl::hash_key(m.partition_key, m.explicit_hash_key)) {
                            read.see(m.data);
                        } else {
                            read.dropped += 1;
                        }
                    }
                }
            }
        });
        read
    }

    fn is_whole_and_in_order(&self, records: u64) {
        assert_eq!(self.seen.len() as u64, records, "some are lost");
        for (meter, numbers) in &self.meters {
            assert!(numbers.is_sorted(), "{meter} is out of order");
        }
    }
}

fn reading(n: u64) -> Record<Reading> {
    Record::new((format!("meter-{}", n * 7919 % 97), n))
}

#[test]
fn on_a_bad_day_nothing_is_lost_and_every_key_keeps_its_order() {
    if left_out(&[Server::Kinesis]) {
        return;
    }
    let (runtime, server) = (runtime(), Kinesalite::start().expect("kinesalite"));
    let direct = client(&runtime, &server.endpoint());
    let scaler = create(&runtime, &direct, 3);
    let proxy = KinesisProxy::start(&server.endpoint(), 11, Faults::bad_day()).expect("the proxy");
    for (aggregate, from, to) in [(false, 0, 4_000), (true, 4_000, 12_000)] {
        let mut sink = sink(&proxy.endpoint()).max_buffered_requests(2_000);
        if aggregate {
            sink = sink.aggregate_up_to(4 << 10);
        }
        let mut harness = SinkHarness::start(&sink, "1").expect("started");
        for n in from..to {
            harness.write(reading(n)).expect("written");
            if n % 1_500 == 0 {
                harness.checkpoint().expect("a checkpoint");
                assert!(harness.books.balance(), "{:?}", harness.books);
            }
        }
        harness.checkpoint().expect("a checkpoint");
        assert_eq!((harness.books.read, harness.books.written), (to - from, to - from));
    }
    let read = Read::of(&runtime, &direct, &scaler);
    read.is_whole_and_in_order(12_000);
    assert!(!read.aggregates.is_empty());
    let c = proxy.counters();
    let refused = c.throttled_records + c.internal_failures + c.server_errors + c.cut_before + c.cut_after;
    assert!(refused > 50, "it was no bad day: {c:?}");
    println!("{} came twice; {c:?}", read.twice);
}

#[test]
fn a_stream_is_split_and_merged_and_its_server_killed_under_aggregates() {
    if left_out(&[Server::Kinesis]) {
        return;
    }
    let (runtime, mut server) = (runtime(), Kinesalite::start().expect("kinesalite"));
    let direct = client(&runtime, &server.endpoint());
    let scaler = create(&runtime, &direct, 2);
    let sink = sink(&server.endpoint()).aggregate_up_to(8 << 10).linger(Duration::ZERO);
    let mut harness = SinkHarness::start(&sink, "1").expect("started");
    let mut n = 0;
    for shards in [5, 3, 8, 2] {
        let scale = scaler.clone();
        let scaling = runtime.spawn(async move { scale.scale_to(shards, |_| ()).await });
        while !scaling.is_finished() {
            for _ in 0..50 {
                harness.write(reading(n)).expect("written");
                n += 1;
            }
        }
        runtime.block_on(scaling).expect("no panic").expect("scaled");
        assert_eq!(runtime.block_on(scaler.state()).expect("a state").open().len(), shards);
        // Some are under way when it dies, and fewer than would fill the buffer come while it is away.
        harness.checkpoint().expect("a checkpoint");
        (n..n + 500).for_each(|n| harness.write(reading(n)).expect("written"));
        harness.advance(1).expect("sent");
        server.kill9();
        (n + 500..n + 1_000).for_each(|n| harness.write(reading(n)).expect("written"));
        n += 1_000;
        server.start_again().expect("on the same port");
        harness.checkpoint().expect("a checkpoint");
        assert!(harness.books.balance() && harness.books.written == n, "{:?}", harness.books);
    }
    let read = Read::of(&runtime, &direct, &scaler);
    println!("{n} records, {} members dropped and sent again, {} came twice", read.dropped, read.twice);
    read.is_whole_and_in_order(n);
}

/// UpdateShardCount, where there is one.
#[test]
fn a_stream_is_scaled_by_its_server() {
    if left_out(&[Server::Kinesis]) {
        return;
    }
    let (runtime, server) = (runtime(), KinesisLocal::start().expect("kinesis-local"));
    let direct = client(&runtime, &server.endpoint());
    let scaler = create(&runtime, &direct, 2);
    let mut harness = SinkHarness::start(&sink(&server.endpoint()).aggregate(), "1").expect("started");
    let mut said = Vec::new();
    // Not 2 from 3: kinesis-local then says ACTIVE and has 3.
    for (shards, from) in [(5, 0), (3, 500)] {
        (from..from + 250).for_each(|n| harness.write(reading(n)).expect("written"));
        runtime.block_on(scaler.scale_to(shards, |p| said.push(format!("{p:?}")))).expect("scaled");
        (from + 250..from + 500).for_each(|n| harness.write(reading(n)).expect("written"));
        harness.checkpoint().expect("a checkpoint");
        let ranges = runtime.block_on(scaler.state()).expect("a state").ranges();
        assert!(ranges.len() == shards && covers_everything(&ranges));
    }
    assert_eq!(said, ["Updating(4)", "Updating(5)", "Updating(3)"]);
    Read::of(&runtime, &direct, &scaler).is_whole_and_in_order(1_000);
}

#[test]
fn a_throttled_shard_is_written_as_fast_as_it_takes_and_its_meter_shows_it() {
    if left_out(&[Server::Kinesis]) {
        return;
    }
    let (runtime, server) = (runtime(), Kinesalite::start().expect("kinesalite"));
    let direct = client(&runtime, &server.endpoint());
    let scaler = create(&runtime, &direct, 2);
    let limits = Limits { records_in: 1_000.0, ..Limits::default() };
    let proxy = KinesisProxy::start(&server.endpoint(), 5, Faults { limits: Some(limits), ..Faults::default() });
    let proxy = proxy.expect("the proxy");
    let meter = LoadMeter::default();
    // The sink takes the shards for ten times as fast as they are: it has to find out.
    let fast = ShardLimits { bytes_per_second: 1e7, records_per_second: 1e4 };
    let sink = sink(&proxy.endpoint()).shard_limits(fast).load_meter(meter.clone()).linger(Duration::ZERO);
    let mut harness = SinkHarness::start(&sink, "1").expect("started");
    // Many keys, so that there is something to send while others wait.
    for n in 0..8_000_u64 {
        harness.write(Record::new((format!("meter-{n}"), n))).expect("written");
    }
    harness.checkpoint().expect("a checkpoint");
    let read = Read::of(&runtime, &direct, &scaler);
    read.is_whole_and_in_order(8_000);
    let c = proxy.counters();
    assert!(c.throttled_records > 0, "{c:?}");
    println!("{} of 8,000 throttled", c.throttled_records);
}

#[test]
fn what_kinesis_does_not_take_is_a_dead_letter_or_one_clear_line() {
    if left_out(&[Server::Kinesis]) {
        return;
    }
    let (runtime, server) = (runtime(), Kinesalite::start().expect("kinesalite"));
    let direct = client(&runtime, &server.endpoint());
    let missing = SinkHarness::start(&sink(&server.endpoint()), "1").err().expect("no stream").to_string();
    assert!(
        missing.contains("ResourceNotFound") && missing.contains("create it") && !missing.contains('\n'),
        "{missing}"
    );
    let scaler = create(&runtime, &direct, 1);
    let sink = sink(&server.endpoint()).max_record_size(100).with_dedup_key(|r: &Reading| r.1.to_string());
    let mut harness = SinkHarness::start(&sink, "1").expect("started");
    let keys =
        [String::new(), "k".repeat(300), "long enough to be too large with a number and all".repeat(2), "good".into()];
    for (n, key) in keys.into_iter().enumerate() {
        let record = Record { value: (key, n as u64), timestamp: 5, origin: Origin::new(1, n as u64) };
        harness.write(record).expect("taken");
    }
    harness.checkpoint().expect("a checkpoint");
    assert_eq!((harness.books.written, harness.books.dead_lettered), (1, 3));
    let reasons: Vec<_> = harness.letters.iter().map(|(origin, _, _, why)| (origin.position(), why.as_str())).collect();
    assert!(reasons[0].1.contains("empty") && reasons[1].1.contains("302 characters"), "{reasons:?}");
    assert!(reasons[2].1.contains("largest record is 100") && reasons[2].0 == 2, "{reasons:?}");
    let stored = runtime.block_on(records(&direct, "shardId-000000000000"));
    assert_eq!(stored.len(), 1);
    assert_eq!(stored[0].partition_key(), Some("good\u{1f}3"));
    assert!(runtime.block_on(scaler.state()).is_ok());
}

/// A script over an independent implementation of the format, `pip install aws_kinesis_agg`.
const DEAGGREGATE: &str = "
import base64, sys
from aws_kinesis_agg.deaggregator import deaggregate_records
for line in sys.stdin:
    record = {'kinesis': {'data': line.strip(), 'partitionKey': 'x', 'sequenceNumber': '1',
        'kinesisSchemaVersion': '1.0', 'approximateArrivalTimestamp': 0}, 'eventSource': '', 'eventVersion': '1.0',
        'eventID': '1', 'eventName': '', 'invokeIdentityArn': '', 'awsRegion': '', 'eventSourceARN': ''}
    for member in deaggregate_records([record]):
        kinesis = member['kinesis']
        print(kinesis['partitionKey'], base64.b64decode(kinesis['data']).decode())
";

#[test]
fn an_independent_de_aggregator_reads_what_the_sink_wrote() {
    if left_out(&[Server::Kinesis]) {
        return;
    }
    let there = Command::new("python3").args(["-c", "import aws_kinesis_agg"]).stderr(Stdio::null()).status();
    if !there.is_ok_and(|status| status.success()) {
        println!("left out: no Python with aws_kinesis_agg");
        return;
    }
    let (runtime, server) = (runtime(), Kinesalite::start().expect("kinesalite"));
    let direct = client(&runtime, &server.endpoint());
    let scaler = create(&runtime, &direct, 2);
    let sink =
        sink(&server.endpoint()).aggregate().explicit_hash_key(|r: &Reading| u128::MAX / 1_000 * u128::from(r.1));
    let mut harness = SinkHarness::start(&sink, "1").expect("started");
    (0..1_000).for_each(|n| harness.write(reading(n)).expect("written"));
    harness.checkpoint().expect("a checkpoint");
    let read = Read::of(&runtime, &direct, &scaler);
    read.is_whole_and_in_order(1_000);
    let mut python = Command::new("python3")
        .args(["-c", DEAGGREGATE])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python");
    let mut input = python.stdin.take().expect("its input");
    for aggregate in &read.aggregates {
        use base64::Engine;
        writeln!(input, "{}", base64::engine::general_purpose::STANDARD.encode(aggregate)).expect("taken");
    }
    drop(input);
    let said = String::from_utf8(python.wait_with_output().expect("ended").stdout).expect("text");
    let mut theirs: HashMap<u64, String> = HashMap::new();
    for line in said.lines() {
        let (key, data) = line.split_once(' ').expect("key and data");
        let (meter, n): Reading = serde_json::from_str(data).expect("a reading");
        assert_eq!(key, meter);
        theirs.insert(n, meter);
    }
    // One record alone is no aggregate.
    assert!(read.plain < 100);
    assert_eq!(theirs.len() + read.plain, 1_000, "{}", &said[..said.len().min(500)]);
}
