//! The Kinesis sink against real servers, and scaling while it writes: what is acknowledged can be
//! read, every key in its order, by a reader that drops what the KCL drops.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    io::Write,
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use aws_sdk_kinesis::{
    Client,
    types::{Record as KinesisRecord, ShardIteratorType},
};
use hurtig_engine::{
    record::{Origin, Record},
    time::SystemClock,
};
use hurtig_kinesis::{
    kpl,
    scaling::{
        Autoscaler, Decision, LoadMeter, LoadSource, MeteredLoad, Policy, Scaler, ShardLimits, Step, covers_everything,
    },
    sink::KinesisSink,
};
use hurtig_operators::{connectors::testing::SinkHarness, schema::JsonFormat};
use hurtig_tests::{
    kinesis_proxy::{Faults, KinesisProxy, Limits},
    program::{self, Said},
    servers::{Kinesalite, KinesisLocal, Server, aws_config, left_out, python},
};
use serde_json::Value;
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

/// UpdateShardCount, where there is one; sink and scaler name the stream by its ARN.
#[test]
fn a_stream_is_scaled_by_its_server() {
    if left_out(&[Server::Kinesis]) {
        return;
    }
    let (runtime, server) = (runtime(), KinesisLocal::start().expect("kinesis-local"));
    let direct = client(&runtime, &server.endpoint());
    create(&runtime, &direct, 2);
    let described = runtime.block_on(direct.describe_stream_summary().stream_name(STREAM).send()).expect("described");
    let arn = described.stream_description_summary().expect("a summary").stream_arn().to_owned();
    let scaler = Scaler::new(direct.clone(), &*arn).poll_every(Duration::from_millis(20), Duration::from_secs(60));
    let sink = KinesisSink::new(&*arn, JsonFormat::new(), |r: &Reading| r.0.clone());
    let mut harness = SinkHarness::start(&sink.aws(aws_config(&server.endpoint())).aggregate(), "1").expect("started");
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
    let loads = meter.read(1.0);
    assert_eq!(loads.len(), 2, "{loads:?}");
    assert!(loads.iter().all(|s| s.throttled_per_second > 0.0 && s.records_per_second > 0.0), "{loads:?}");
    println!("{} of 8,000 throttled", c.throttled_records);
}

fn says_that_it_is_missing(said: &str) {
    assert!(said.contains("ResourceNotFound") && said.contains("create it") && !said.contains('\n'), "{said}");
}

#[test]
fn a_server_that_is_away_at_the_start_is_waited_for_and_a_deleted_stream_ends_the_job() {
    if left_out(&[Server::Kinesis]) {
        return;
    }
    let (runtime, mut server) = (runtime(), Kinesalite::start().expect("kinesalite"));
    let direct = client(&runtime, &server.endpoint());
    let scaler = create(&runtime, &direct, 2);
    server.kill9();
    let mut harness = SinkHarness::start(&sink(&server.endpoint()), "1").expect("it does not wait for the server");
    (0..500).for_each(|n| harness.write(reading(n)).expect("taken"));
    server.start_again().expect("on the same port");
    harness.checkpoint().expect("a checkpoint");
    Read::of(&runtime, &direct, &scaler).is_whole_and_in_order(500);
    runtime.block_on(async {
        direct.delete_stream().stream_name(STREAM).send().await.expect("deleted");
        while scaler.state().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    (500..600).for_each(|n| drop(harness.write(reading(n))));
    says_that_it_is_missing(&harness.checkpoint().expect_err("it is gone").to_string());
    assert_eq!(harness.books.written, 500);
}

#[test]
fn the_autoscaler_gives_a_throttled_stream_shards_while_it_is_written() {
    if left_out(&[Server::Kinesis]) {
        return;
    }
    let (runtime, server) = (runtime(), Kinesalite::start().expect("kinesalite"));
    let direct = client(&runtime, &server.endpoint());
    let scaler = create(&runtime, &direct, 2);
    let limits = Limits { records_in: 300.0, ..Limits::default() };
    let proxy = KinesisProxy::start(&server.endpoint(), 3, Faults { limits: Some(limits), ..Faults::default() });
    let proxy = proxy.expect("the proxy");
    let meter = LoadMeter::default();
    let fast = ShardLimits { bytes_per_second: 1e7, records_per_second: 3e3 };
    let sink = sink(&proxy.endpoint()).shard_limits(fast).load_meter(meter.clone()).max_buffered_requests(2_000);
    let mut harness = SinkHarness::start(&sink, "1").expect("started");
    let policy = Policy {
        max: 5,
        settle_ms: 1_000,
        limits: ShardLimits { records_per_second: 300.0, ..ShardLimits::default() },
        ..Policy::default()
    };
    let (live, mut autoscaler) = (scaler.clone(), Autoscaler::new(policy).expect("a policy"));
    let scaling = runtime.spawn(async move {
        let mut load = MeteredLoad::new(meter, Arc::new(SystemClock));
        let mut decisions = Vec::new();
        for second in 0.. {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let decision = autoscaler.decide(second * 1_000, &load.load().await.expect("a load"));
            match &decision {
                Decision::ScaleTo(n) => live.scale_to(*n, |_| ()).await.expect("scaled"),
                Decision::Split { shard, at } => {
                    live.carry_out(vec![Step::Split { shard: *shard, at: *at }], |_| ()).await.expect("split");
                }
                Decision::Hold | Decision::OneKey { .. } => continue,
            }
            decisions.push(decision);
            if live.state().await.expect("a state").open().len() == 5 {
                break;
            }
        }
        decisions
    });
    let mut n = 0;
    while !scaling.is_finished() {
        assert!(n < 200_000, "it does not scale");
        for _ in 0..50 {
            harness.write(reading(n)).expect("written");
            n += 1;
        }
    }
    let decisions = runtime.block_on(scaling).expect("no panic");
    (n..n + 1_000).for_each(|n| harness.write(reading(n)).expect("written"));
    harness.checkpoint().expect("a checkpoint");
    assert!(harness.books.balance() && harness.books.written == n + 1_000, "{:?}", harness.books);
    let state = runtime.block_on(scaler.state()).expect("a state");
    assert!(state.open().len() == 5 && covers_everything(&state.ranges()), "{decisions:?}");
    Read::of(&runtime, &direct, &scaler).is_whole_and_in_order(n + 1_000);
    println!("{} records, {decisions:?}, {:?}", n + 1_000, proxy.counters());
}

#[test]
fn streams_from_the_command_line() {
    if left_out(&[Server::Kinesis]) {
        return;
    }
    let (runtime, server) = (runtime(), Kinesalite::start().expect("kinesalite"));
    let direct = client(&runtime, &server.endpoint());
    let stream = |line: &str| -> Said {
        let mut command = program::command(line.split_whitespace()).expect("the binary");
        for (name, value) in [("REGION", "us-east-1"), ("ACCESS_KEY_ID", "local"), ("SECRET_ACCESS_KEY", "local")] {
            command.env(format!("AWS_{name}"), value);
        }
        program::finish(command.env("AWS_ENDPOINT_URL", server.endpoint())).expect("it ends")
    };
    // A missing stream ends even what runs for ever.
    for line in ["stream describe readings", "stream scale readings --shards 3", "stream autoscale readings"] {
        let said = stream(line);
        assert!(said.code.is_some_and(|code| code != 0), "{line}: {said:?}");
        assert!(said.err.contains("create it") && said.err.trim_end().lines().count() == 1, "{line}: {said:?}");
    }
    create(&runtime, &direct, 2);
    let well = |line: &str| {
        let said = stream(line);
        assert!(said.code == Some(0) && said.err.is_empty(), "{line}: {said:?}");
        said.out
    };
    let list = well("stream list");
    let row: Vec<_> = list.lines().nth(1).expect("a row").split_whitespace().collect();
    assert_eq!(row, ["readings", "ACTIVE", "PROVISIONED", "2", "24", "h"], "{list}");
    let described: Value = serde_json::from_str(&well("stream describe readings --json")).expect("JSON");
    assert_eq!(described["shards"][1]["starting_hash_key"], "170141183460469231731687303715884105728");
    assert!(well("stream describe readings").contains("2 open and 0 closed shards"));
    let plan = well("stream scale readings --shards 5 --dry-run");
    assert_eq!(
        plan.trim_end(),
        "readings has 2 shards; to have 5 even ones: UpdateShardCount to 4, then 5, or 5 splits and merges"
    );
    assert!(well("stream list --json").contains("\"open_shards\":2"), "a dry run changes nothing");
    let scaled = well("stream scale readings --shards 3");
    assert!(scaled.contains("readings: 2 shards before, 3 now"), "{scaled}");
    for help in ["stream autoscale --help", "stream simulate --help", "stream scale --help"] {
        let text = well(help);
        assert!(text.contains(" stream ") && text.lines().all(|line| line.len() <= 110), "{text}");
    }
}

#[test]
fn what_kinesis_does_not_take_is_a_dead_letter_or_one_clear_line() {
    if left_out(&[Server::Kinesis]) {
        return;
    }
    let (runtime, server) = (runtime(), Kinesalite::start().expect("kinesalite"));
    let direct = client(&runtime, &server.endpoint());
    // Though nothing is written.
    let mut harness = SinkHarness::start(&sink(&server.endpoint()), "1").expect("started");
    says_that_it_is_missing(&harness.checkpoint().expect_err("no stream").to_string());
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

/// A script over an independent implementation of the format.
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
    if left_out(&[Server::Kinesis, Server::Python]) {
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
    let mut python = python()
        .expect("Python")
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
