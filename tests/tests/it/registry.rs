//! Avro and Protobuf with a real schema registry, and a job whose registry is away.

use std::{sync::MutexGuard, time::Duration};

use hurtig_engine::{
    runner::{JobConfig, RestartStrategy},
    time::ms,
    watermark::WatermarkStrategy,
};
use hurtig_formats::{
    AvroFormat, Error, ProtobufFormat, ProtobufSchema, Reference, RegisteredSchema, SchemaRegistry, SchemaType,
};
use hurtig_kafka::{KafkaSource, OffsetsInitializer};
use hurtig_operators::{
    connectors::collect::CollectSink,
    schema::{DeserializationSchema, SchemaError, SerializationSchema},
    stream::Environment,
};
use hurtig_state::BackendKind;
use hurtig_tests::servers::{Apicurio, Kafka, Server, left_out};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    kafka,
    support::{Watched, books_hold, config, directory, submit},
};

const V1: &str = r#"{"type": "record", "name": "Reading", "namespace": "grid", "fields": [
    {"name": "meter", "type": "string"}, {"name": "wh", "type": "int"}]}"#;
const V2: &str = r#"{"type": "record", "name": "Reading", "namespace": "grid", "fields": [
    {"name": "meter_id", "type": "string", "aliases": ["meter"]}, {"name": "wh", "type": "double"},
    {"name": "unit", "type": "string", "default": "Wh"}]}"#;
const PROTO: &str = r#"syntax = "proto3"; package grid; message First { int32 a = 1; } message Outer {
    message Inner { string name = 1; } Inner inner = 1; }"#;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Old {
    meter: String,
    wh: i32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct New {
    meter_id: String,
    wh: f64,
    unit: String,
}

fn client(url: &str) -> SchemaRegistry {
    SchemaRegistry::builder(url).timeout(Duration::from_secs(20)).retries(1, ms(1)).build().expect("a client")
}

fn write<T>(format: &impl SerializationSchema<T>, value: &T) -> Vec<u8> {
    let mut message = Vec::new();
    format.clone().serialize(value, &mut message).expect("written");
    message
}

fn read<D: DeserializationSchema>(format: &D, message: &[u8]) -> Result<D::Item, SchemaError> {
    let mut values = Vec::new();
    format.clone().deserialize(message, &mut values)?;
    assert_eq!(values.len(), 1);
    Ok(values.remove(0))
}

fn plain(schema: &str, schema_type: SchemaType, references: Vec<Reference>) -> RegisteredSchema {
    RegisteredSchema { id: 0, schema: schema.into(), schema_type, references, imports: vec![] }
}

fn reference(name: &str, subject: &str) -> Reference {
    Reference { name: name.into(), subject: subject.into(), version: 1 }
}

#[test]
fn a_real_registry_is_understood() {
    if left_out(&[Server::Registry]) {
        return;
    }
    let _alone = alone();
    let server = Apicurio::start().expect("a registry");
    let url = server.url();
    old_and_new_writers(&url);
    messages_of_protobuf(&url);
    references(&url);
    what_it_refuses(&url);
}

/// A registry takes a quarter of a gigabyte: it and the brokers come one after the other.
fn alone() -> MutexGuard<'static, ()> {
    kafka::alone()
}

fn old_and_new_writers(url: &str) {
    let subject = "grid/readings-value";
    let older = AvroFormat::<Old>::new(V1).expect("a schema").register(&client(url), subject).expect("registered");
    let again = AvroFormat::<Old>::new(V1).expect("a schema").register(&client(url), subject).expect("registered");
    let old = Old { meter: "m-7".into(), wh: 1500 };
    let message = write(&older, &old);
    assert_eq!(message, write(&again, &old), "a schema that is there has its id");
    let early = AvroFormat::<New>::new(V2).expect("a schema").registry(&client(url));
    let newer = AvroFormat::<New>::new(V2).expect("a schema").register(&client(url), subject).expect("registered");
    let new = New { meter_id: "m-8".into(), wh: -0.25, unit: "kWh".into() };
    let full = write(&newer, &new);
    assert_ne!(message[..5], full[..5], "two ids");
    assert_eq!(client(url).prefetch(subject).expect("versions"), 2);
    let latest = AvroFormat::<New>::from_registry(&client(url), subject).expect("a subject");
    for reader in [&early, &newer, &latest] {
        assert_eq!(read(reader, &message), Ok(New { meter_id: "m-7".into(), wh: 1500.0, unit: "Wh".into() }));
        assert_eq!(read(reader, &full).as_ref(), Ok(&new));
    }
}

fn messages_of_protobuf(url: &str) {
    let schema = ProtobufSchema::parse(PROTO, "grid.Outer.Inner").expect("a schema");
    let inner = ProtobufFormat::<Value>::new(schema).register(&client(url), "inner-value").expect("registered");
    let value = json!({"name": "in"});
    let message = write(&inner, &value);
    // Behind the id: the first message of the file's second one.
    assert_eq!(message[5..8], [4, 2, 0]);
    let latest = ProtobufFormat::<Value>::from_registry(&client(url), "inner-value", "grid.Outer.Inner");
    let latest = latest.expect("a subject");
    assert_eq!((read(&latest, &message), write(&latest, &value)), (Ok(value), message));
}

fn references(url: &str) {
    let registry = client(url);
    let position =
        r#"{"type": "record", "name": "Position", "namespace": "grid", "fields": [{"name": "lat", "type": "double"}]}"#;
    let place =
        r#"{"type": "record", "name": "Place", "namespace": "grid", "fields": [{"name": "at", "type": "Position"}]}"#;
    registry.register("position", &plain(position, SchemaType::Avro, vec![])).expect("registered");
    let at = vec![reference("grid.Position", "position")];
    registry.register("place", &plain(place, SchemaType::Avro, at)).expect("registered");
    let value = json!({"at": {"lat": 1.5}});
    let format = AvroFormat::<Value>::from_registry(&client(url), "place").expect("a subject");
    let by_id = AvroFormat::<Value>::from_registry(&registry, "place").expect("a subject");
    assert_eq!(read(&by_id, &write(&format, &value)).as_ref(), Ok(&value));

    let position = r#"syntax = "proto3"; package grid; message Position { double lat = 1; }"#;
    let place = r#"syntax = "proto3"; package grid; import "position.proto"; message Place { Position at = 1; }"#;
    registry.register("p.position", &plain(position, SchemaType::Protobuf, vec![])).expect("registered");
    let at = vec![reference("position.proto", "p.position")];
    registry.register("p.place", &plain(place, SchemaType::Protobuf, at)).expect("registered");
    let format = ProtobufFormat::<Value>::from_registry(&client(url), "p.place", "grid.Place").expect("a subject");
    assert_eq!(read(&format, &write(&format, &value)), Ok(value));
}

fn what_it_refuses(url: &str) {
    let error = client(url).latest("nobody").expect_err("no subject").to_string();
    assert!(error.contains("subject 'nobody' has no version latest; register its schema"), "{error}");
    let reader = AvroFormat::<New>::new(V2).expect("a schema").registry(&client(url));
    let reason = format!("the schema registry {url} has no schema 65535");
    assert_eq!(read(&reader, &[0, 0, 0, 255, 255, 2]), Err(SchemaError::Refused(reason)));
    let proto = client(url).latest("inner-value").expect("a subject").id;
    let message = [&[0][..], &proto.to_be_bytes(), &[0]].concat();
    let refused = read(&reader, &message).expect_err("Protobuf").to_string();
    assert!(refused.contains("it is Protobuf, and not Avro"), "{refused}");
    let error = client(url).register("broken", &plain("{", SchemaType::Avro, vec![])).expect_err("no schema");
    assert!(matches!(error, Error::Registry { .. }), "{error}");
    // Below another path there is a server, and no registry: that says nothing of any schema.
    let wrong = AvroFormat::<New>::new(V2).expect("a schema").registry(&client(&format!("{url}/nowhere")));
    let SchemaError::Unavailable(reason) = read(&wrong, &message).expect_err("no registry") else {
        panic!("a wrong address makes no dead letters")
    };
    assert!(reason.contains("is this the address of a schema registry"), "{reason}");
}

fn start(kafka: &Kafka, url: &str, restart: RestartStrategy, data: &std::path::Path) -> (Watched, CollectSink<New>) {
    let impatient = SchemaRegistry::builder(url).timeout(ms(300)).retries(0, ms(1)).build();
    let source = KafkaSource::builder()
        .bootstrap_servers(kafka.bootstrap())
        .topics(["in"])
        .starting_offsets(OffsetsInitializer::Earliest)
        .bounded()
        .value_only(AvroFormat::<New>::new(V2).expect("a schema").registry(&impatient.expect("a client")))
        .build()
        .expect("a source");
    let sink = CollectSink::new();
    let env = Environment::new("readings");
    env.from_source(source, WatermarkStrategy::no_watermarks(), "in").sink_to(sink.clone()).uid("out");
    let config = JobConfig { restart, ..config(data, BackendKind::Heap) };
    (submit(env.graph().expect("a graph"), config).expect("a job"), sink)
}

#[test]
fn a_registry_that_is_away_at_first_use_fails_the_job_which_goes_on_when_it_is_back() {
    if left_out(&[Server::Kafka, Server::Registry]) {
        return;
    }
    let _alone = alone();
    let kafka = Kafka::start().expect("a broker");
    kafka.create_topic("in", 1).expect("a topic");
    let mut registry = Apicurio::start().expect("a registry");
    let older = AvroFormat::<Old>::new(V1).expect("a schema");
    let older = older.register(&client(&registry.url()), "in-value").expect("registered");
    let producer: BaseProducer = kafka.client().create().expect("a producer");
    let old = |n| Old { meter: format!("m-{n}"), wh: n };
    for n in 0..100 {
        let message = write(&older, &old(n));
        producer.send(BaseRecord::<(), _>::to("in").payload(&message)).expect("sent");
    }
    producer.flush(Duration::from_secs(60)).expect("delivered");

    registry.pause();
    let dir = directory();
    let restart = RestartStrategy::FixedDelay { delay: ms(100), attempts: 10_000 };
    let (job, sink) = start(&kafka, &registry.url(), restart, &dir.path().join("many"));
    while job.status().restarts < 2 {
        let ended = job.wait_timeout(ms(10)).expect("the job runs");
        assert!(ended.is_none(), "the job has ended without a registry");
    }
    let failure = job.status().exceptions.pop().expect("a failure");
    must_say_what_to_do(&failure.message, &registry);
    assert_eq!(sink.values(), []);

    registry.resume();
    let ended = job.wait().expect("the job ends well");
    books_hold("readings", &ended.status.books, 100);
    let mut found = sink.values();
    found.sort_by(|a, b| a.wh.total_cmp(&b.wh));
    let wanted = (0..100).map(|n| New { meter_id: format!("m-{n}"), wh: n.into(), unit: "Wh".into() });
    assert_eq!(found, wanted.collect::<Vec<_>>(), "each record once, and no dead letters");

    // Without restarts that is the end.
    registry.kill9();
    let (job, sink) = start(&kafka, &registry.url(), RestartStrategy::None, &dir.path().join("none"));
    must_say_what_to_do(&job.wait().expect_err("the job has failed").to_string(), &registry);
    assert_eq!(sink.values(), []);
}

fn must_say_what_to_do(said: &str, registry: &Apicurio) {
    assert!(said.contains(&format!("schema registry {}: ", registry.url())), "{said}");
    assert!(said.contains("see that it is running") && !said.contains("panic"), "{said}");
}
