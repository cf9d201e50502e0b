//! The servers themselves: they answer, they keep what they promise to keep, and they go.

use aws_sdk_kinesis::{
    Client,
    primitives::Blob,
    types::{PutRecordsRequestEntry, ShardIteratorType},
};
use hurtig_tests::servers::{Kafka, Kinesalite, KinesisLocal, Ministack, Server, aws_config, left_out};
use rdkafka::{
    Message,
    consumer::{BaseConsumer, Consumer},
    producer::{BaseProducer, BaseRecord, Producer},
};
use std::time::Duration;

async fn client(endpoint: &str) -> Client {
    Client::new(&aws_config(endpoint).load().await.expect("a configuration"))
}

async fn create(client: &Client, shards: i32) {
    client.create_stream().stream_name("s").shard_count(shards).send().await.expect("a stream");
    loop {
        let stream = client.describe_stream_summary().stream_name("s").send().await.expect("a description");
        let summary = stream.stream_description_summary().expect("a summary");
        if summary.stream_status().as_str() == "ACTIVE" {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn put(client: &Client, words: &[&str]) {
    let entry = |word: &&str| {
        PutRecordsRequestEntry::builder().partition_key(*word).data(Blob::new(word.as_bytes())).build().expect("all")
    };
    let records = words.iter().map(entry).collect();
    let put = client.put_records().stream_name("s").set_records(Some(records)).send().await.expect("an answer");
    assert_eq!(put.failed_record_count(), Some(0));
}

async fn all_words(client: &Client) -> Vec<String> {
    let shards = client.list_shards().stream_name("s").send().await.expect("shards");
    let mut words = Vec::new();
    for shard in shards.shards() {
        let start = client.get_shard_iterator().stream_name("s").shard_id(shard.shard_id());
        let start = start.shard_iterator_type(ShardIteratorType::TrimHorizon).send().await.expect("an iterator");
        let got = client.get_records().shard_iterator(start.shard_iterator().expect("one")).send().await;
        let got = got.expect("records");
        words.extend(got.records().iter().map(|r| String::from_utf8_lossy(r.data().as_ref()).into_owned()));
    }
    words.sort_unstable();
    words
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn kinesalite_keeps_what_it_acknowledged_over_kill_9() {
    if left_out(&[Server::Kinesis]) {
        return;
    }
    let mut server = Kinesalite::start().expect("kinesalite");
    let client = client(&server.endpoint()).await;
    create(&client, 2).await;
    put(&client, &["a", "b", "c", "d"]).await;
    server.kill9();
    server.start_again().expect("again");
    put(&client, &["e"]).await;
    assert_eq!(all_words(&client).await, ["a", "b", "c", "d", "e"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn kinesis_local_keeps_its_streams_over_a_stop() {
    if left_out(&[Server::Kinesis]) {
        return;
    }
    let mut server = KinesisLocal::start().expect("kinesis-local");
    let client = client(&server.endpoint()).await;
    create(&client, 2).await;
    put(&client, &["a", "b", "c", "d"]).await;
    server.restart().expect("again");
    put(&client, &["e"]).await;
    assert_eq!(all_words(&client).await, ["a", "b", "c", "d", "e"]);
}

#[test]
fn kafka_goes_on_after_kill_9_with_more_partitions() {
    if left_out(&[Server::Kafka]) {
        return;
    }
    let mut kafka = Kafka::start().expect("kafka");
    kafka.create_topic("t", 1).expect("a topic");
    let send = |kafka: &Kafka, partition, word: &str| {
        // A new one knows of new partitions at once.
        let producer: BaseProducer = kafka.client().set("acks", "all").create().expect("a producer");
        let record = BaseRecord::to("t").partition(partition).key("k").payload(word);
        producer.send(record).map_err(|(e, _)| e).expect("room");
        producer.flush(Duration::from_secs(60)).expect("acknowledged");
    };
    send(&kafka, 0, "a");
    kafka.kill9();
    kafka.start_again().expect("again");
    kafka.add_partitions("t", 3).expect("more");
    send(&kafka, 0, "b");
    send(&kafka, 2, "c");

    let mut config = kafka.client();
    config.set("group.id", "readers").set("auto.offset.reset", "earliest").set("enable.auto.commit", "false");
    let consumer: BaseConsumer = config.create().expect("a consumer");
    consumer.subscribe(&["t"]).expect("a subscription");
    let mut words: Vec<String> = Vec::new();
    // News of the group are polled too, and are no messages.
    for _ in 0..600 {
        let Some(message) = consumer.poll(Duration::from_millis(100)) else { continue };
        let message = message.expect("no error");
        words.push(String::from_utf8_lossy(message.payload().expect("its payload")).into_owned());
        if words.len() == 3 {
            break;
        }
    }
    words.sort_unstable();
    assert_eq!(words, ["a", "b", "c"]);
}

#[tokio::test]
async fn ministack_keeps_its_objects_over_kill_9() {
    if left_out(&[Server::Ministack]) {
        return;
    }
    let mut server = Ministack::start().expect("ministack");
    let (http, bucket) = (reqwest::Client::new(), format!("{}/bucket", server.endpoint()));
    for (url, body) in [(bucket.clone(), ""), (format!("{bucket}/key"), "value")] {
        let put = http.put(url).body(body).send().await.expect("an answer");
        assert!(put.status().is_success(), "{put:?}");
    }
    server.kill9();
    server.start_again().expect("again");
    // Connections that the old one had are of no use.
    let got = reqwest::Client::new().get(format!("{bucket}/key")).send().await.expect("an answer");
    assert_eq!(got.text().await.expect("text"), "value");
}

#[test]
fn a_server_goes_with_its_guard() {
    if left_out(&[Server::Kinesis]) {
        return;
    }
    let server = Kinesalite::start().expect("kinesalite");
    let address = server.endpoint().trim_start_matches("http://").to_owned();
    std::net::TcpStream::connect(&address).expect("it listens");
    drop(server);
    std::net::TcpStream::connect(&address).expect_err("it is gone");
}
