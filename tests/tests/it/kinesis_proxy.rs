//! The proxy in front of Kinesis: what it refuses has not happened, what it lets through has.

use std::{collections::BTreeSet, time::Duration};

use aws_sdk_kinesis::{
    Client,
    operation::put_records::PutRecordsOutput,
    primitives::Blob,
    types::{PutRecordsRequestEntry, ShardIteratorType},
};
use hurtig_tests::{
    kinesis_proxy::{Faults, KinesisProxy, Limits},
    servers::{Kinesalite, KinesisLocal, Server, aws_config, left_out},
};

const STREAM: &str = "s";

/// A server with a stream, and a proxy in front of it. Clients do not try again by themselves.
struct Setup {
    server: Kinesalite,
    proxy: KinesisProxy,
    direct: Client,
    client: Client,
}

async fn client(endpoint: &str) -> Client {
    Client::new(&aws_config(endpoint).attempts(1).load().await.expect("a configuration"))
}

async fn stream(client: &Client, shards: i32) {
    client.create_stream().stream_name(STREAM).shard_count(shards).send().await.expect("a stream");
    until_active(client).await;
}

async fn until_active(client: &Client) {
    loop {
        let stream = client.describe_stream_summary().stream_name(STREAM).send().await.expect("a description");
        if stream.stream_description_summary().expect("a summary").stream_status().as_str() == "ACTIVE" {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

impl Setup {
    async fn new(shards: i32, faults: Faults) -> Self {
        let server = Kinesalite::start().expect("kinesalite");
        let proxy = KinesisProxy::start(&server.endpoint(), 7, faults).expect("the proxy");
        let (direct, client) = (client(&server.endpoint()).await, client(&proxy.endpoint()).await);
        stream(&direct, shards).await;
        Setup { server, proxy, direct, client }
    }

    async fn put(&self, records: impl IntoIterator<Item = (String, usize)>) -> PutRecordsOutput {
        let put = self.client.put_records().stream_name(STREAM).set_records(Some(entries(records)));
        put.send().await.expect("an answer")
    }

    async fn iterator(&self, client: &Client, shard: usize) -> String {
        let start = client.get_shard_iterator().stream_name(STREAM).shard_id(format!("shardId-{shard:012}"));
        let start = start.shard_iterator_type(ShardIteratorType::TrimHorizon).send().await.expect("an iterator");
        start.shard_iterator().expect("one").to_owned()
    }

    /// What is in a shard, whatever the proxy does.
    async fn keys(&self, shard: usize) -> Vec<String> {
        let iterator = self.iterator(&self.direct, shard).await;
        let got = self.direct.get_records().shard_iterator(iterator).send().await.expect("records");
        got.records().iter().map(|record| record.partition_key().unwrap_or_default().to_owned()).collect()
    }
}

fn entries(records: impl IntoIterator<Item = (String, usize)>) -> Vec<PutRecordsRequestEntry> {
    let entry = |(key, size)| {
        let entry = PutRecordsRequestEntry::builder().partition_key(key).data(Blob::new(vec![b'x'; size]));
        entry.build().expect("all that it needs")
    };
    records.into_iter().map(entry).collect()
}

fn codes(put: &PutRecordsOutput) -> Vec<&str> {
    put.records().iter().map(|record| record.error_code().unwrap_or("")).collect()
}

macro_rules! code {
    ($sent:expr) => {{
        use aws_sdk_kinesis::error::ProvideErrorMetadata;
        $sent.expect_err("it is refused").code().map(str::to_owned)
    }};
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_shard_takes_what_it_may_and_the_others_are_not_concerned() {
    if left_out(&[Server::Kinesis]) {
        return;
    }
    // A bucket that is overdrawn for hours by the first record.
    let limits = Limits { bytes_in: 10.0, ..Limits::default() };
    let setup = Setup::new(2, Faults { limits: Some(limits), ..Faults::default() }).await;
    // "a" belongs to the first shard (0cc1...), "b" to the second (92eb...).
    let put = setup.put([("a", 500_000), ("a", 1), ("b", 500_000), ("b", 1)].map(|(key, n)| (key.into(), n))).await;
    let refused = "ProvisionedThroughputExceededException";
    assert_eq!(codes(&put), ["", refused, "", refused]);
    assert_eq!(put.failed_record_count(), Some(2));
    assert!(put.records()[0].sequence_number().is_some(), "{put:?}");
    let message = put.records()[1].error_message().expect("a message");
    assert!(message.contains("shardId-000000000000") && message.contains(STREAM), "{message}");
    assert_eq!((setup.keys(0).await.len(), setup.keys(1).await.len()), (1, 1));
    let one = setup.client.put_record().stream_name(STREAM).partition_key("a").data(Blob::new("x")).send().await;
    assert_eq!(code!(one).as_deref(), Some(refused));
    let counters = setup.proxy.counters();
    assert_eq!((counters.records_in, counters.bytes_in, counters.throttled_records), (2, 1_000_002, 3));
    // Others are new.
    setup.proxy.set(Faults::throttled());
    assert_eq!(codes(&setup.put([("a".into(), 1)]).await), [""]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_split_stream_has_other_shards_at_once() {
    if left_out(&[Server::Kinesis]) {
        return;
    }
    let limits = Limits { bytes_in: 10.0, ..Limits::default() };
    let setup = Setup::new(1, Faults { limits: Some(limits), ..Faults::default() }).await;
    let keys = || [("a", 1_000), ("b", 1_000)].map(|(key, n)| (key.to_owned(), n));
    let refused = "ProvisionedThroughputExceededException";
    assert_eq!(codes(&setup.put(keys()).await), ["", refused]);
    let half = (u128::MAX / 2 + 1).to_string();
    let split = setup.client.split_shard().stream_name(STREAM).shard_to_split("shardId-000000000000");
    split.new_starting_hash_key(half).send().await.expect("a split");
    until_active(&setup.direct).await;
    // Whoever else asks meanwhile, the shards are asked for again when what is known is old.
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(codes(&setup.put(keys()).await), ["", ""]);
    assert_eq!((setup.keys(1).await.len(), setup.keys(2).await.len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn single_records_fail_and_exactly_the_others_are_there() {
    if left_out(&[Server::Kinesis]) {
        return;
    }
    let faults = Faults { internal_failures: 0.2, throttled_records: 0.1, ..Faults::default() };
    let setup = Setup::new(2, faults).await;
    let (mut taken, mut refused) = (BTreeSet::new(), [0, 0]);
    for call in 0..10 {
        let keys: Vec<_> = (0..100).map(|i| format!("{call}-{i}")).collect();
        let put = setup.put(keys.iter().map(|key| (key.clone(), 10))).await;
        for (key, code) in keys.into_iter().zip(codes(&put)) {
            match code {
                "" => assert!(taken.insert(key)),
                "InternalFailure" => refused[0] += 1,
                "ProvisionedThroughputExceededException" => refused[1] += 1,
                other => panic!("{other}"),
            }
        }
    }
    let there: BTreeSet<_> = setup.keys(0).await.into_iter().chain(setup.keys(1).await).collect();
    assert_eq!(there, taken);
    let counters = setup.proxy.counters();
    assert_eq!([counters.internal_failures, counters.throttled_records], refused);
    assert!(refused[0] > 100 && refused[1] > 30, "{refused:?}");
    assert_eq!(counters.records_in, taken.len() as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_cut_before_has_done_nothing_and_a_cut_after_all() {
    if left_out(&[Server::Kinesis]) {
        return;
    }
    let setup = Setup::new(1, Faults { cut_before: 1.0, ..Faults::default() }).await;
    let put = |key: &'static str| {
        let put = setup.client.put_records().stream_name(STREAM);
        put.set_records(Some(entries([(key.to_owned(), 1)]))).send()
    };
    put("before").await.expect_err("no answer");
    assert_eq!(setup.keys(0).await, [""; 0]);
    setup.proxy.set(Faults { cut_after: 1.0, ..Faults::default() });
    // Some before the answer, some in its middle.
    for _ in 0..8 {
        put("after").await.expect_err("no answer");
    }
    assert_eq!(setup.keys(0).await, ["after"; 8]);
    setup.proxy.set(Faults { server_errors: 1.0, ..Faults::default() });
    assert_eq!(code!(put("refused").await).as_deref(), Some("InternalFailure"));
    setup.proxy.set(Faults::default());
    put("well").await.expect("an answer");
    assert_eq!(setup.keys(0).await.len(), 9);
    let counters = setup.proxy.counters();
    assert_eq!((counters.cut_before, counters.cut_after, counters.server_errors), (1, 8, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn reads_are_limited_and_iterators_expire() {
    if left_out(&[Server::Kinesis]) {
        return;
    }
    let limits = Limits { bytes_out: 10.0, bytes_per_read: 250_000, ..Limits::default() };
    let setup = Setup::new(1, Faults::default()).await;
    setup.put((0..10).map(|i| (i.to_string(), 100_000))).await;
    setup.proxy.set(Faults { limits: Some(limits), ..Faults::default() });
    let iterator = setup.iterator(&setup.client, 0).await;
    let get = |iterator: &str| setup.client.get_records().shard_iterator(iterator).send();
    let got = get(&iterator).await.expect("records");
    assert_eq!(got.records().len(), 2, "as many as one read gives");
    let next = got.next_shard_iterator().expect("there is more");
    assert_eq!(code!(get(next).await).as_deref(), Some("ProvisionedThroughputExceededException"));
    setup.proxy.set(Faults::default());
    assert_eq!(get(next).await.expect("records").records().len(), 8, "nothing is left out");
    setup.proxy.set(Faults { iterator_lifetime: Duration::ZERO, ..Faults::default() });
    assert_eq!(code!(get(next).await).as_deref(), Some("ExpiredIteratorException"));
    setup.proxy.set(Faults { expired_iterators: 1.0, ..Faults::default() });
    assert_eq!(code!(get(next).await).as_deref(), Some("ExpiredIteratorException"));
    let counters = setup.proxy.counters();
    assert_eq!((counters.records_out, counters.throttled_reads, counters.expired_iterators), (10, 1, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn while_the_server_is_down_there_is_no_answer() {
    if left_out(&[Server::Kinesis]) {
        return;
    }
    let mut setup = Setup::new(1, Faults::throttled()).await;
    setup.put([("a".into(), 1)]).await;
    setup.server.kill9();
    let put = setup.client.put_records().stream_name(STREAM).set_records(Some(entries([("a".to_owned(), 1)])));
    put.send().await.expect_err("no answer");
    setup.server.start_again().expect("again");
    setup.put([("a".into(), 1)]).await;
    assert_eq!(setup.keys(0).await.len(), 2);
    assert!(setup.proxy.counters().unanswered > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn more_than_aws_takes_at_once_is_refused() {
    if left_out(&[Server::Kinesis]) {
        return;
    }
    let setup = Setup::new(1, Faults::default()).await;
    let put = |n: usize, size| {
        let records = entries((0..n).map(|i| (i.to_string(), size)));
        setup.client.put_records().stream_name(STREAM).set_records(Some(records)).send()
    };
    for (n, size) in [(501, 1), (1, (1 << 20) + 1), (11, 1_000_000)] {
        assert_eq!(code!(put(n, size).await).as_deref(), Some("ValidationException"), "{n} of {size}");
    }
    assert_eq!(setup.proxy.counters().too_much, 3);
}

/// Its events come as they are; kinesis-local, because kinesalite has no enhanced fan-out.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_subscription_is_passed_on_and_not_taken_too_soon() {
    if left_out(&[Server::Kinesis]) {
        return;
    }
    let server = KinesisLocal::start().expect("kinesis-local");
    let proxy = KinesisProxy::start(&server.endpoint(), 7, Faults::throttled()).expect("the proxy");
    let client = client(&proxy.endpoint()).await;
    stream(&client, 1).await;
    let summary = client.describe_stream_summary().stream_name(STREAM).send().await.expect("a description");
    let arn = summary.stream_description_summary().expect("a summary").stream_arn().to_owned();
    let consumer = client.register_stream_consumer().stream_arn(&arn).consumer_name("c").send().await.expect("one");
    let consumer = consumer.consumer().expect("one").consumer_arn().to_owned();
    loop {
        let described = client.describe_stream_consumer().consumer_arn(&consumer).send().await.expect("a description");
        if described.consumer_description().expect("one").consumer_status().as_str() == "ACTIVE" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let put = client.put_record().stream_name(STREAM).partition_key("a").data(Blob::new("hello"));
    put.send().await.expect("a record");

    let http = reqwest::Client::new();
    let subscribe = || {
        let body = format!(
            r#"{{"ConsumerARN":"{consumer}","ShardId":"shardId-000000000000","StartingPosition":{{"Type":"TRIM_HORIZON"}}}}"#
        );
        let request = http.post(proxy.endpoint()).header("X-Amz-Target", "Kinesis_20131202.SubscribeToShard");
        let request =
            request.header("Content-Type", "application/x-amz-json-1.1").header("X-Amz-Date", "20260101T000000Z");
        let signed = "AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/kinesis/aws4_request, SignedHeaders=host, Signature=0";
        request.header("Authorization", signed).body(body).send()
    };
    let mut events = subscribe().await.expect("an answer");
    assert!(events.status().is_success(), "{events:?}");
    let mut seen = Vec::new();
    // "hello" in base64.
    while !String::from_utf8_lossy(&seen).contains("aGVsbG8=") {
        seen.extend(events.chunk().await.expect("no cut").expect("more"));
    }
    let again = subscribe().await.expect("an answer").text().await.expect("text");
    assert!(again.contains("ResourceInUseException"), "{again}");
    // From now on every event is the last.
    proxy.update(|faults| faults.cut_after = 1.0);
    proxy.update(|faults| faults.limits = None);
    // The cut may come before the client has seen the answer's head.
    match subscribe().await {
        Ok(mut cut) => {
            while let Ok(chunk) = cut.chunk().await {
                assert!(chunk.is_some(), "it has ended in good order");
            }
        }
        Err(e) => assert!(e.is_request(), "{e:?}"),
    }
    assert_eq!(proxy.counters().cut_after, 1);
}
