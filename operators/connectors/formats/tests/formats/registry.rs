//! The registry's wire format byte by byte, and what a registry does at its worst: busy, closed, asked too often. For
//! that a small server of the test's own speaks its API; `tests/it/registry.rs` has a real one.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    routing::{get, post},
};
use hurtig_formats::{
    AvroFormat, ProstFormat, ProtobufFormat, ProtobufSchema, Reference, RegisteredSchema, SchemaRegistry,
    SchemaRegistryBuilder, SchemaType,
};
use hurtig_operators::schema::{DeserializationSchema, SchemaError};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::{net::TcpListener, runtime::Runtime, task::JoinHandle};

use super::{
    one, read,
    vectors::{PROTO, V1, V2, bytes, hex},
    write,
};

/// What Confluent's documentation says of `/schemas/ids/{id}` and `/subjects/{subject}/versions`.
#[derive(Default)]
struct Registry {
    schemas: Mutex<Vec<Value>>,
    subjects: Mutex<HashMap<String, Vec<usize>>>,
    asked: AtomicUsize,
    /// So many requests are answered with 503.
    failing: AtomicUsize,
    authorization: Option<String>,
}

type Answer = Result<Json<Value>, (StatusCode, Json<Value>)>;

fn refuse(status: StatusCode, code: i32, message: &str) -> Answer {
    Err((status, Json(json!({"error_code": code, "message": message}))))
}

impl Registry {
    fn admit(&self, headers: &HeaderMap) -> Result<(), (StatusCode, Json<Value>)> {
        self.asked.fetch_add(1, SeqCst);
        if self.failing.fetch_update(SeqCst, SeqCst, |n| n.checked_sub(1)).is_ok() {
            return refuse(StatusCode::SERVICE_UNAVAILABLE, 50003, "busy").map(drop);
        }
        let given = headers.get("authorization").and_then(|v| v.to_str().ok()).map(str::to_owned);
        if self.authorization.is_some() && given != self.authorization {
            return refuse(StatusCode::UNAUTHORIZED, 40101, "Unauthorized").map(drop);
        }
        Ok(())
    }

    fn version(&self, subject: &str, version: &str) -> Answer {
        let subjects = self.subjects.lock().unwrap();
        let all = subjects.get(subject).map_or(&[][..], Vec::as_slice);
        let index = if version == "latest" { all.len() } else { version.parse().unwrap_or(0) };
        let Some(&id) = index.checked_sub(1).and_then(|i| all.get(i)) else {
            return refuse(StatusCode::NOT_FOUND, 40402, "Version not found.");
        };
        let mut schema = self.schemas.lock().unwrap()[id - 1].clone();
        schema["id"] = id.into();
        schema["subject"] = subject.into();
        schema["version"] = index.into();
        Ok(Json(schema))
    }
}

async fn by_id(State(r): State<Arc<Registry>>, headers: HeaderMap, Path(id): Path<usize>) -> Answer {
    r.admit(&headers)?;
    match id.checked_sub(1).and_then(|i| r.schemas.lock().unwrap().get(i).cloned()) {
        Some(schema) => Ok(Json(schema)),
        None => refuse(StatusCode::NOT_FOUND, 40403, "Schema not found"),
    }
}

async fn versions(State(r): State<Arc<Registry>>, headers: HeaderMap, Path(subject): Path<String>) -> Answer {
    r.admit(&headers)?;
    match r.subjects.lock().unwrap().get(&subject) {
        Some(all) => Ok(Json((1..=all.len()).collect())),
        None => refuse(StatusCode::NOT_FOUND, 40401, "Subject not found."),
    }
}

async fn one_version(
    State(r): State<Arc<Registry>>,
    headers: HeaderMap,
    Path((subject, version)): Path<(String, String)>,
) -> Answer {
    r.admit(&headers)?;
    r.version(&subject, &version)
}

async fn register(
    State(r): State<Arc<Registry>>,
    headers: HeaderMap,
    Path(subject): Path<String>,
    body: String,
) -> Answer {
    r.admit(&headers)?;
    assert_eq!(headers["content-type"], "application/vnd.schemaregistry.v1+json");
    let schema: Value = serde_json::from_str(&body).unwrap();
    if schema["schema"].as_str().unwrap().contains("incompatible") {
        return refuse(StatusCode::CONFLICT, 409, "Schema being registered is incompatible with an earlier schema");
    }
    let mut schemas = r.schemas.lock().unwrap();
    let id = schemas.iter().position(|s| *s == schema).map_or(schemas.len(), |i| i) + 1;
    if id > schemas.len() {
        schemas.push(schema);
    }
    let mut subjects = r.subjects.lock().unwrap();
    let all = subjects.entry(subject).or_default();
    if !all.contains(&id) {
        all.push(id);
    }
    Ok(Json(json!({"id": id})))
}

struct Server {
    registry: Arc<Registry>,
    url: String,
    _task: JoinHandle<()>,
    _runtime: Runtime,
}

fn server_at(registry: Registry, address: &str) -> Server {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let registry = Arc::new(registry);
    let listener = runtime.block_on(TcpListener::bind(address)).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new()
        .route("/schemas/ids/{id}", get(by_id))
        .route("/subjects/{subject}/versions", post(register).get(versions))
        .route("/subjects/{subject}/versions/{version}", get(one_version))
        .with_state(registry.clone());
    let task = runtime.spawn(async move { axum::serve(listener, router).await.unwrap() });
    Server { registry, url, _task: task, _runtime: runtime }
}

fn server() -> Server {
    server_at(Registry::default(), "127.0.0.1:0")
}

fn client(url: &str) -> SchemaRegistry {
    SchemaRegistry::builder(url).timeout(Duration::from_secs(20)).retries(2, Duration::from_millis(1)).build().unwrap()
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Old {
    meter: String,
    time: i64,
    wh: i32,
    quality: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct New {
    meter_id: String,
    wh: f64,
    tags: Vec<String>,
}

fn old() -> Old {
    Old { meter: "m-7".into(), time: 1_704_164_645_678, wh: 1500, quality: "GOOD".into() }
}

#[test]
fn avro_by_schema_id_old_and_new_writers_in_one_stream() {
    let server = server();
    let registry = client(&server.url);
    let older = AvroFormat::<Old>::new(V1).unwrap().register(&registry, "grid/readings-value").unwrap();
    let message = write(&older, &old()).unwrap();
    // The wire format: 0, four bytes of id, and what fastavro writes.
    assert_eq!(message, [&[0, 0, 0, 0, 1][..], &bytes("avro_v1")].concat());
    let newer = AvroFormat::<Value>::new(V2).unwrap().register(&registry, "grid/readings-value").unwrap();
    let full = [&[0, 0, 0, 0, 2][..], &bytes("avro_v2")].concat();

    let reader = AvroFormat::<New>::from_registry(&client(&server.url), "grid/readings-value").unwrap();
    let asked = server.registry.asked.load(SeqCst);
    for _ in 0..3 {
        let old = New { meter_id: "m-7".into(), wh: 1500.0, tags: vec!["new".into()] };
        assert_eq!(one(&reader, &message), old);
        assert_eq!(one(&reader, &full).meter_id, "m-8");
    }
    assert_eq!(server.registry.asked.load(SeqCst), asked, "what was there at the start was fetched at the start");
    drop(newer);
}

#[test]
fn a_schema_that_comes_later_is_asked_for_once() {
    let server = server();
    let registry = client(&server.url);
    let mut reader = AvroFormat::<New>::new(V2).unwrap().registry(&registry);
    let older = AvroFormat::<Old>::new(V1).unwrap().register(&client(&server.url), "other").unwrap();
    let message = write(&older, &old()).unwrap();
    let asked = server.registry.asked.load(SeqCst);
    let mut out = Vec::new();
    for _ in 0..5 {
        reader.deserialize(&message, &mut out).unwrap();
        // Clones share what the client has.
        assert_eq!(read(&reader.clone(), &message).unwrap().len(), 1);
    }
    assert_eq!(out.len(), 5);
    assert_eq!(server.registry.asked.load(SeqCst), asked + 1);
    assert!(write(&reader, &out[0]).unwrap_err().contains("register its schema in a subject"));
}

#[test]
fn a_message_that_is_not_of_the_registry_is_a_dead_letter() {
    let server = server();
    let mut reader = AvroFormat::<New>::new(V2).unwrap().registry(&client(&server.url));
    let reason = |message: &[u8]| read(&reader, message).unwrap_err();
    assert_eq!(reason(b""), "the message is empty");
    assert!(reason(b"{}").contains("begins with 0x7b"));
    assert!(reason(b"\x00\x00\x01").contains("it has 3 bytes"));
    assert_eq!(reason(b"\x00\x00\x00\x01\x00"), format!("the schema registry {} has no schema 256", server.url));
    // Nonsense does not ask again and again.
    let asked = server.registry.asked.load(SeqCst);
    for _ in 0..100 {
        let mut out = Vec::new();
        reader.deserialize(b"\x00\x00\x00\x02\x00", &mut out).unwrap_err();
    }
    assert_eq!(server.registry.asked.load(SeqCst), asked + 1);
}

#[test]
fn a_registry_that_cannot_be_asked_fails_the_job_and_no_message() {
    let server = server();
    let registry = client(&server.url);
    let older = AvroFormat::<Old>::new(V1).unwrap().register(&registry, "s").unwrap();
    let message = write(&older, &old()).unwrap();
    let reader = AvroFormat::<New>::new(V2).unwrap().registry(&client(&server.url));

    // Twice busy is borne.
    server.registry.failing.store(2, SeqCst);
    assert_eq!(read(&reader, &message).unwrap().len(), 1);

    let reader = AvroFormat::<New>::new(V2).unwrap().registry(&client(&server.url));
    server.registry.failing.store(3, SeqCst);
    let said = reader.clone().deserialize(&message, &mut Vec::new()).unwrap_err();
    let SchemaError::Unavailable(words) = said else { panic!("nothing is wrong with the message: {said}") };
    assert!(
        words.contains(&server.url) && words.contains("503 busy") && words.contains("see that it is running"),
        "{words}"
    );
    // The next attempt goes on.
    assert_eq!(read(&reader, &message).unwrap().len(), 1);

    let url = server.url.clone();
    drop(server);
    let error = AvroFormat::<New>::from_registry(&client(&url), "s").err().unwrap().to_string();
    assert!(error.starts_with(&format!("schema registry {url}: ")) && !error.contains('\n'), "{error}");
    // TLS is spoken, and is not what answers here.
    let server = server_at(Registry::default(), "127.0.0.1:0");
    let secure = client(&server.url.replace("http:", "https:"));
    let error = secure.latest("s").unwrap_err().to_string();
    assert!(error.contains("https://127.0.0.1:") && !error.contains('\n'), "{error}");
}

#[test]
fn credentials_go_with_every_request_and_into_no_message() {
    type Build = fn(SchemaRegistryBuilder) -> SchemaRegistryBuilder;
    let builds: [(&str, Build); 3] = [
        ("Basic a2V5OnNlY3JldA==", |b| b),
        ("Basic a2V5OnNlY3JldA==", |b| b.basic_auth("key", "secret")),
        ("Bearer token-1", |b| b.bearer_token("token-1")),
    ];
    for (authorization, build) in builds {
        let registry = Registry { authorization: Some(authorization.into()), ..Registry::default() };
        let server = server_at(registry, "127.0.0.1:0");
        let with_user = server.url.replace("http://", "http://key:secret@");
        let registry = build(SchemaRegistry::builder(&with_user)).build().unwrap();
        assert_eq!(registry.url(), server.url);
        AvroFormat::<Old>::new(V1).unwrap().register(&registry, "s").unwrap();
        assert_eq!(registry.latest("s").unwrap().id, 1);
        let error = SchemaRegistry::new(&server.url).unwrap().latest("s").unwrap_err().to_string();
        assert!(error.contains("access denied: Unauthorized"), "{error}");
        assert!(!format!("{registry:?}").contains("secret"), "{registry:?}");
    }
    assert!(SchemaRegistry::new("localhost:8081").err().unwrap().to_string().contains("http://"));
}

#[test]
fn several_addresses_are_asked_one_after_the_other() {
    let (gone, server) = (server(), server());
    let urls = format!("{}, {}", gone.url, server.url);
    drop(gone);
    let registry = client(&urls);
    AvroFormat::<Old>::new(V1).unwrap().register(&registry, "s").unwrap();
    assert_eq!(registry.latest("s").unwrap().schema, V1);
    let error = registry.latest("none").unwrap_err().to_string();
    assert!(error.contains("subject 'none' has no version latest"), "{error}");
}

#[test]
fn what_the_registry_refuses_is_said_in_its_words() {
    let server = server();
    let schema = r#"{"type": "record", "name": "incompatible", "fields": []}"#;
    let error = AvroFormat::<Value>::new(schema).unwrap().register(&client(&server.url), "s").err().unwrap();
    assert!(error.to_string().contains("Schema being registered is incompatible"), "{error}");
    // Protobuf where Avro is expected.
    let proto = RegisteredSchema {
        id: 0,
        schema: PROTO.into(),
        schema_type: SchemaType::Protobuf,
        references: vec![],
        imports: vec![],
    };
    assert_eq!(client(&server.url).register("p", &proto).unwrap(), 1);
    let reader = AvroFormat::<New>::new(V2).unwrap().registry(&client(&server.url));
    let reason = read(&reader, &hex("000000000100")).unwrap_err();
    assert!(reason.contains("it is Protobuf, and not Avro"), "{reason}");
}

#[test]
fn references_in_a_circle_end() {
    let server = server();
    let registry = client(&server.url);
    let reference = Reference { name: "x".into(), subject: "circle".into(), version: 1 };
    let itself = RegisteredSchema {
        id: 0,
        schema: V1.into(),
        schema_type: SchemaType::Avro,
        references: vec![reference],
        imports: vec![],
    };
    registry.register("circle", &itself).unwrap();
    assert!(registry.latest("circle").is_ok(), "each name is fetched once");
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Inner {
    name: String,
}

#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
struct TypedInner {
    #[prost(string, tag = "1")]
    name: String,
}

#[test]
fn protobuf_by_schema_id_and_the_message_in_it() {
    let server = server();
    let registry = client(&server.url);
    let schema = |name| ProtobufSchema::parse(PROTO, name).unwrap();
    let inner = ProtobufFormat::<Inner>::new(schema("grid.Outer.Inner")).register(&registry, "inner-value").unwrap();
    let value = Inner { name: "in".into() };
    let message = write(&inner, &value).unwrap();
    // grid.proto's third message, in which it is the second: 2 numbers, 2 and 1, all of them zigzag.
    assert_eq!(message, [&[0, 0, 0, 0, 1, 4, 4, 2][..], &bytes("protobuf_inner")].concat());
    assert_eq!(one(&inner, &message), value);
    let latest = ProtobufFormat::<Inner>::from_registry(&registry, "inner-value", "grid.Outer.Inner").unwrap();
    assert_eq!(one(&latest, &message), value);
    assert_eq!(write(&latest, &value).unwrap(), message);
    let typed =
        ProstFormat::<TypedInner>::new().register(schema("grid.Outer.Inner"), &registry, "inner-value").unwrap();
    assert_eq!(one(&typed, &message), TypedInner { name: "in".into() });
    assert_eq!(write(&typed, &TypedInner { name: "in".into() }).unwrap(), message);

    // The first message of a file has the short form, and the long one is read as well.
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Position {
        lat: f64,
        lon: f64,
    }
    let position = ProtobufFormat::<Position>::new(schema("grid.Position")).register(&registry, "p").unwrap();
    let value = Position { lat: 1.0, lon: 0.0 };
    let short = write(&position, &value).unwrap();
    assert_eq!(short[..6], [0, 0, 0, 0, 1, 0]);
    let long = [&[0, 0, 0, 0, 1, 2, 0][..], &short[6..]].concat();
    assert_eq!((one(&position, &short), one(&position, &long)), (value.clone(), value));

    let reason = |message: &[u8]| read(&position, message).unwrap_err();
    assert_eq!(reason(&message), "it is a message grid.Outer.Inner, and not grid.Position");
    assert_eq!(reason(&[0, 0, 0, 0, 1, 2, 18]), "schema 1 has no message [9]");
    for broken in [
        &[0, 0, 0, 0, 1][..],
        &[0, 0, 0, 0, 1, 3],
        &[0, 0, 0, 0, 1, 4, 0],
        &[0, 0, 0, 0, 1, 255, 255, 255, 255, 255, 1],
    ] {
        reason(broken);
    }
    let set = ProtobufSchema::from_descriptor_set(&bytes("protobuf_descriptor_set"), "grid.Position").unwrap();
    let error = ProtobufFormat::<Position>::new(set).register(&registry, "p").err().unwrap().to_string();
    assert!(error.contains("a registry wants its .proto file"), "{error}");
}
