//! Files in a real S3 server and events in a real queue (`scripts/servers.sh` starts both).

use std::{sync::Arc, time::Duration};

use aws_sdk_sqs::Client;
use hurtig_engine::{
    runner::{CheckpointSettings, JobConfig, Restore},
    watermark::WatermarkStrategy,
};
use hurtig_ingest::{Discovery, Message, Messages, RangeOptions, RangeSource};
use hurtig_operators::{connectors::collect::CollectSink, stream::Environment};
use object_store::{ObjectStore, ObjectStoreExt, aws::AmazonS3Builder, path::Path as Key};

use crate::drive::{all, runtime, source};

/// A prefix of its own in the test's bucket: `HURTIG_TEST_S3` is a bucket with a prefix.
fn place(name: &str) -> Option<(Arc<dyn ObjectStore>, String, String)> {
    let Ok(s3) = std::env::var("HURTIG_TEST_S3") else {
        eprintln!("left out: HURTIG_TEST_S3 is not set (make test sets it)");
        return None;
    };
    let bucket = s3.trim_start_matches("s3://").split('/').next().expect("a bucket").to_owned();
    let store = AmazonS3Builder::from_env().with_bucket_name(&bucket).build().expect("a store");
    Some((Arc::new(store), bucket, format!("ingest-{name}-{}", std::process::id())))
}

fn put(store: &Arc<dyn ObjectStore>, key: &str, bytes: Vec<u8>) {
    runtime().block_on(store.put(&Key::from(key), bytes.into())).expect("stored");
}

#[test]
fn ranges_of_objects_are_the_whole_objects_and_a_new_version_is_noticed() {
    let Some((store, bucket, prefix)) = place("ranges") else { return };
    let csv: String = std::iter::once("a,b\n".to_owned())
        .chain((0..30_000).map(|n| if n % 3 == 0 { format!("{n},\"x\n{n}\"\n") } else { format!("{n},é\r\n") }))
        .collect();
    put(&store, &format!("{prefix}/in/a b+ü.csv"), csv.clone().into_bytes());
    put(&store, &format!("{prefix}/in/deep/b.csv.gz"), crate::cuts::gzip(csv.as_bytes()));
    put(&store, &format!("{prefix}/other.txt"), b"nothing".to_vec());
    let options = RangeOptions { min_range: 50_000, max_range: 50_000, request: 30_000, ..RangeOptions::default() };
    let source = source(&format!("s3://{bucket}/{prefix}/in"), options);
    let splits = source.splits(&runtime(), 4).expect("planned");
    assert!(splits.len() > 5, "{}", splits.len());
    let expected: Vec<Vec<String>> = csv::Reader::from_reader(csv.as_bytes())
        .records()
        .map(|r| r.expect("a row").iter().map(str::to_owned).collect())
        .collect();
    for gzip in [false, true] {
        let some = splits.iter().filter(|s| s.file.gzip == gzip).cloned().collect();
        let (records, letters) = all(&source, some);
        let records: Vec<Vec<_>> = records
            .into_iter()
            .map(|(_, fields)| fields.into_iter().map(|f| String::from_utf8(f).expect("UTF-8")).collect())
            .collect();
        assert_eq!(letters, Vec::<u64>::new());
        assert!(records == expected, "gzip {gzip}: {} of {}", records.len(), expected.len());
    }

    put(&store, &format!("{prefix}/in/a b+ü.csv"), b"a,b\n1,2\n".to_vec());
    let mut harness =
        hurtig_operators::connectors::testing::SourceHarness::with_splits(&source, splits).expect("a reader");
    let mut out = hurtig_operators::connectors::testing::Output::default();
    let error = loop {
        match hurtig_engine::source::SourceReader::poll(&mut harness.reader, 1000, &mut out) {
            Ok(_) => std::thread::yield_now(),
            Err(e) => break e.to_string(),
        }
    };
    assert!(error.contains("no longer the file whose reading began"), "{error}");
}

/// A queue with a body for each event.
fn queue(name: &str) -> (Client, String) {
    runtime().block_on(async {
        let config = hurtig_aws::AwsConfig::new().load().await.expect("a configuration");
        let client = Client::new(&config);
        let made = client.create_queue().queue_name(format!("{name}-{}", std::process::id())).send().await;
        (client, made.expect("a queue").queue_url.expect("its URL"))
    })
}

fn send(client: &Client, url: &str, bucket: &str, key: &str) {
    let body = serde_json::json!({"Records": [{"eventName": "ObjectCreated:Put",
        "s3": {"bucket": {"name": bucket}, "object": {"key": key.replace(' ', "+")}}}]});
    let send = client.send_message().queue_url(url).message_body(body.to_string()).send();
    runtime().block_on(send).expect("sent");
}

/// How many events are in the queue, seen or unseen.
fn waiting(client: &Client, url: &str) -> u64 {
    use aws_sdk_sqs::types::QueueAttributeName::All;
    let ask = client.get_queue_attributes().queue_url(url).attribute_names(All).send();
    let attributes = runtime().block_on(ask).expect("an answer").attributes.expect("attributes");
    attributes
        .iter()
        .filter(|(name, _)| name.as_str().starts_with("ApproximateNumberOfMessages"))
        .map(|(_, n)| n.parse::<u64>().expect("a number"))
        .sum()
}

/// An event that was handed to a request of a job that was cancelled meanwhile comes again after its
/// visibility timeout: that is a minute.
fn until(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..3_600 {
        if done() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("waited in vain for {what}");
}

#[test]
fn an_event_goes_when_a_checkpoint_knows_its_file_is_read_and_twice_is_once() {
    let Some((store, bucket, prefix)) = place("events") else { return };
    let (client, url) = queue("ingest");
    let dir = tempfile::tempdir().expect("dir");
    let start = |restore: Restore| {
        let env = Environment::new("events");
        env.set_parallelism(2);
        let source = RangeSource::new(format!("s3://{bucket}/{prefix}/"))
            .discovery(Discovery::Events { queue_url: url.clone() })
            .schema(Messages::default());
        let sink = CollectSink::<Message>::new();
        env.from_source(source, WatermarkStrategy::no_watermarks(), "objects").sink_to(sink.clone());
        let checkpoints = CheckpointSettings { interval: None, ..CheckpointSettings::default() };
        let config = JobConfig { restore, checkpoints, ..JobConfig::new(dir.path()) };
        (env.execute_async(config).expect("started"), sink)
    };
    let (job, sink) = start(Restore::Fresh);
    for name in ["one.json", "t wo.json"] {
        put(&store, &format!("{prefix}/{name}"), format!("{{\"meter_id\":\"{name}\"}}\n").into_bytes());
        for _ in 0..2 {
            send(&client, &url, &bucket, &format!("{prefix}/{name}"));
        }
    }
    let keys = |sink: &CollectSink<Message>| {
        let mut keys: Vec<_> = sink.values().iter().map(|m| m.key.to_string()).collect();
        keys.sort();
        keys
    };
    until("both files", || keys(&sink) == ["one.json", "t wo.json"]);
    assert_eq!(waiting(&client, &url), 4, "no checkpoint knows of them");
    job.checkpoint().expect("a checkpoint");
    until("the events to go", || waiting(&client, &url) == 0);
    job.cancel().expect("cancelled");
    let _ = job.wait();

    // An event that comes again after a restore finds its file done.
    send(&client, &url, &bucket, &format!("{prefix}/one.json"));
    put(&store, &format!("{prefix}/three.json"), b"{\"meter_id\":\"three\"}\n".to_vec());
    send(&client, &url, &bucket, &format!("{prefix}/three.json"));
    let (job, sink) = start(Restore::Latest);
    until("the third file", || keys(&sink) == ["three"]);
    until("the old event to go", || waiting(&client, &url) == 1);
    job.checkpoint().expect("a checkpoint");
    until("the last event to go", || waiting(&client, &url) == 0);
    assert_eq!(keys(&sink), ["three"]);
    job.cancel().expect("cancelled");
    let _ = job.wait();
}
