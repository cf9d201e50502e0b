//! Options that cannot be: one line each, that says what to do.

use hurtig_engine::source::{Boundedness, Source};
use hurtig_kafka::KafkaSink as Sink;
use hurtig_kafka::{
    DeliveryGuarantee, KafkaSink, KafkaSinkBuilder, KafkaSource, KafkaSourceBuilder, OffsetsInitializer,
    TopicSerializer, ValueOnly,
};
use hurtig_operators::schema::JsonFormat;

type Json = JsonFormat<u64>;

fn source() -> KafkaSourceBuilder<ValueOnly<Json>> {
    KafkaSource::builder().bootstrap_servers("127.0.0.1:1").topics(["t"]).value_only(Json::new())
}

fn sink() -> KafkaSinkBuilder<TopicSerializer<u64, Json>> {
    KafkaSink::builder().bootstrap_servers("127.0.0.1:1").record_serializer(TopicSerializer::new("t", Json::new()))
}

#[test]
fn a_source_that_cannot_be() {
    let no_servers = KafkaSource::builder().topics(["t"]).value_only(Json::new());
    let no_topic = KafkaSource::builder().bootstrap_servers("x:1").value_only(Json::new());
    let committed = OffsetsInitializer::committed_or(OffsetsInitializer::Latest);
    for (builder, word) in [
        (no_servers, "bootstrap_servers"),
        (no_topic, "topic_pattern()"),
        (source().topic_pattern("t.*"), "exclude each other"),
        (source().topics(Vec::<String>::new()).topic_pattern("["), "not a valid pattern"),
        (source().starting_offsets(committed), "group_id()"),
        (source().commit_offsets_on_checkpoints(true), "group_id()"),
        (source().property("auto.offset.reset", "latest"), "starting_offsets()"),
        (source().property("group.id", "g"), "group_id()"),
        (source().property("fetch.maximum.bytes", "1"), "fetch.maximum.bytes"),
        (source().property("security.protocol", "carrier-pigeon"), "carrier-pigeon"),
    ] {
        let e = builder.build().err().expect(word).to_string();
        assert!(e.contains(word) && !e.contains('\n'), "{word}: {e}");
    }
}

#[test]
fn a_source_that_can_be() {
    let sasl = [
        ("security.protocol", "SASL_SSL"),
        ("sasl.mechanism", "SCRAM-SHA-512"),
        ("sasl.username", "u"),
        ("sasl.password", "p"),
        ("ssl.ca.location", "/etc/ssl/certs/ca-certificates.crt"),
        ("isolation.level", "read_uncommitted"),
        ("compression.type", "zstd"),
    ];
    let builder = sasl.into_iter().fold(source(), |b, (name, value)| b.property(name, value));
    assert_eq!(builder.clone().build().expect("a source").boundedness(), Boundedness::ContinuousUnbounded);
    assert_eq!(builder.bounded().build().expect("a source").boundedness(), Boundedness::Bounded);
}

#[test]
fn a_sink_that_cannot_be() {
    let no_servers = KafkaSink::builder().record_serializer(TopicSerializer::new("t", Json::new()));
    for (builder, word) in [
        (no_servers, "bootstrap_servers"),
        (sink().property("transactional.id", "x"), "transactional_id_prefix()"),
        (sink().property("enable.idempotence", "false"), "guarantee"),
        (sink().property("compression.type", "rar"), "rar"),
        (sink().max_epoch_bytes(1000), "1 MiB"),
        (sink().commits_topic("t"), "commits_topic"),
        (sink().transactional_id_prefix(""), "transactional_id_prefix"),
    ] {
        let built: Result<Sink<u64, _>, _> = builder.delivery_guarantee(DeliveryGuarantee::ExactlyOnce).build();
        let e = built.err().expect(word).to_string();
        assert!(e.contains(word) && !e.contains('\n'), "{word}: {e}");
    }
    let built: Result<Sink<u64, _>, _> = sink().build();
    built.expect("a sink");
}
