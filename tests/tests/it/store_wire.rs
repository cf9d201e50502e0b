//! `hurtig store serve` as its clients see it: boto3, the SDKs for Rust and JavaScript, signed requests, TLS, and `kill -9`.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

use aws_sdk_timestreamwrite::{
    Client, Config,
    config::{BehaviorVersion, Credentials, Region, retry::RetryConfig},
    error::{ProvideErrorMetadata, SdkError},
    types::{Dimension, MeasureValueType, Record},
};
use hurtig_engine::time::{Clock, SystemClock};
use hurtig_store::{Store, StoreOptions};
use hurtig_tests::{
    program::hurtig,
    servers::{Server, javascript, left_out, python},
};
use serde_json::{Value, json};

use crate::{running::Running, support::directory};

/// A server in a directory.
pub struct Served {
    pub process: Running,
    pub url: String,
}

impl Served {
    pub fn start(dir: &Path, arguments: &[&str]) -> Self {
        Self::start_at(dir, "127.0.0.1:0", arguments)
    }

    pub fn start_at(dir: &Path, listen: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(hurtig().expect("the binary"));
        command.args(["store", "serve", "--listen", listen, "--json", "--dir"]).arg(dir).args(arguments);
        let mut process = Running::start(&mut command);
        let line: Value = serde_json::from_str(&process.until_said("listening")).expect("JSON");
        let url = line["url"].as_str().expect("its URL").to_owned();
        Served { process, url }
    }

    pub fn client(&self, key: &str, secret: &str) -> Client {
        let http = aws_smithy_http_client::Builder::new().build_http();
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-west-1"))
            .credentials_provider(Credentials::new(key, secret, None, None, "test"))
            .retry_config(RetryConfig::disabled())
            .endpoint_url(&self.url)
            .http_client(http);
        Client::from_conf(config.build())
    }
}

fn now_ms() -> i64 {
    SystemClock.now_ms()
}

fn reading(meter: &str, time: i64) -> Record {
    let dimension = Dimension::builder().name("meter").value(meter).build().expect("all");
    Record::builder()
        .dimensions(dimension)
        .measure_name("kw")
        .measure_value("1.5")
        .measure_value_type(MeasureValueType::Double)
        .time(time.to_string())
        .build()
}

fn code<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> Option<&str> {
    error.as_service_error().and_then(|e| e.code())
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/store_wire").join(name)
}

/// Runs a script that has something to show with boto3, and says "ok" and nothing else when it has.
pub fn run_script(name: &str, arguments: &[&str]) {
    says_ok(python().expect("Python").arg(script(name)).args(arguments));
}

fn says_ok(command: &mut Command) {
    assert_eq!(said(command).trim(), "ok", "{command:?}");
}

/// What it says; it may have said "ok" and still not end well.
fn said(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().expect("it runs");
    let said = String::from_utf8_lossy(&stdout).into_owned();
    assert!(status.success(), "{status}: {said}{}", String::from_utf8_lossy(&stderr));
    said
}

#[test]
fn boto3_over_tls() {
    if left_out(&[Server::Python]) {
        return;
    }
    let (dir, keys) = (directory(), directory());
    let path = |name: &str| keys.path().join(name).display().to_string();
    let (certificate, key, access) = (path("cert.pem"), path("key.pem"), path("access"));
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).expect("a certificate");
    std::fs::write(&certificate, made.cert.pem()).expect("a file");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("a file");
    std::fs::write(&access, "AKIDTEST:secret").expect("a file");
    let arguments = ["--tls-cert", &certificate, "--tls-key", &key, "--access-keys", &access];
    let served = Served::start(dir.path(), &arguments);
    assert!(served.url.starts_with("https://127.0.0.1:"), "{}", served.url);
    run_script("tls.py", &[&served.url, &certificate]);
}

#[test]
fn boto3_finds_timestream() {
    if left_out(&[Server::Python]) {
        return;
    }
    let dir = directory();
    let out = directory();
    let mut served = Served::start(dir.path(), &["--unload-to", &out.path().display().to_string()]);
    run_script("client.py", &[&served.url]);
    served.process.signal(libc::SIGINT);
    assert_eq!(served.process.end().code, Some(0));
}

/// How fast, a run of the script by hand tells: here it counts what was acknowledged.
#[test]
fn what_boto3_writes_as_fast_as_it_can_is_counted() {
    if left_out(&[Server::Python]) {
        return;
    }
    let said = said(python().expect("Python").arg(script("rate.py")).arg(hurtig().expect("the binary")).arg("1"));
    // Its figures come first.
    assert_eq!(said.lines().last(), Some("ok"), "{said}");
}

#[test]
fn javascript_finds_timestream() {
    if left_out(&[Server::JavaScript]) {
        return;
    }
    let sdk = javascript().expect("the SDK");
    let (dir, keys) = (directory(), directory());
    let file = keys.path().join("keys");
    std::fs::write(&file, "AKIDTEST:se/cr+et").expect("a file");
    // So little memory for a query that one of the script's goes beyond it.
    let mut served = Served::start(dir.path(), &["--query-memory=16MiB", "--access-keys", &file.display().to_string()]);
    says_ok(Command::new("node").arg(script("client.mjs")).args([&served.url, "AKIDTEST", "se/cr+et"]).arg(sdk));
    served.process.signal(libc::SIGINT);
    assert_eq!(served.process.end().code, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_was_acknowledged_is_there_after_kill_9() {
    let dir = directory();
    let start = now_ms();
    let (mut acknowledged, rounds) = (0, 5);
    for round in 0..rounds {
        let served = Served::start(dir.path(), &["--table", "meters/readings"]);
        let client = served.client("any", "any");
        let writes = (0..20).map(|batch| {
            let readings = (0..100).map(|n| reading(&format!("m-{n}"), start - (round * 20 + batch) * 100)).collect();
            client.write_records().database_name("meters").table_name("readings").set_records(Some(readings)).send()
        });
        for write in writes {
            let done = write.await.expect("acknowledged");
            acknowledged += done.records_ingested().expect("figures").total();
        }
        // With SIGKILL.
        drop(served);
    }
    assert_eq!(acknowledged, 5 * 20 * 100);
    let store = Store::open(StoreOptions::new(dir.path(), std::sync::Arc::new(SystemClock))).await.expect("a store");
    let queries = hurtig_store::Queries::new(&store, Default::default()).expect("queries");
    let result = queries.execute("SELECT count(*) FROM meters.readings").await.expect("a query");
    let count = hurtig_timestream_sql::datum::rows(&result.collect().await.expect("rows")[0]).expect("a row");
    assert_eq!(json!(count[0])["Data"][0]["ScalarValue"], "10000");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_rust_sdk_and_its_signatures() {
    let (dir, keys) = (directory(), directory());
    let file = keys.path().join("keys");
    std::fs::write(&file, "# whose\nAKIDTEST:se/cr+et\nOTHER:another\n").expect("a file");
    let served =
        Served::start(dir.path(), &["--access-keys", &file.display().to_string(), "--table", "meters/readings"]);
    let client = served.client("AKIDTEST", "se/cr+et");
    let write = |client: &Client, readings: Vec<Record>| {
        client.write_records().database_name("meters").table_name("readings").set_records(Some(readings)).send()
    };
    let now = now_ms();
    let done = write(&client, vec![reading("m-1", now), reading("m-2", now)]).await.expect("signed");
    assert_eq!(done.records_ingested().map(|r| r.total()), Some(2));
    // Rejected records are the SDK's own type.
    let mut other = reading("m-1", now);
    other.measure_value = Some("2".into());
    let refused = write(&client, vec![reading("m-3", now), other]).await.expect_err("a conflict").into_service_error();
    let meta_code = refused.code().map(str::to_owned);
    let rejected = refused.is_rejected_records_exception();
    assert!(rejected, "{meta_code:?}");
    if let aws_sdk_timestreamwrite::operation::write_records::WriteRecordsError::RejectedRecordsException(e) = &refused
    {
        let records = e.rejected_records();
        assert_eq!((records.len(), records[0].record_index(), records[0].existing_version()), (1, 1, Some(1)));
    }
    let list = |client: Client| async move { client.list_databases().send().await };
    list(served.client("OTHER", "another")).await.expect("another key");
    let wrong = list(served.client("AKIDTEST", "guessed")).await.expect_err("a wrong secret");
    assert_eq!(code(&wrong), Some("InvalidSignatureException"));
    let unknown = list(served.client("NOBODY", "se/cr+et")).await.expect_err("a key that is not there");
    assert_eq!(code(&unknown), Some("UnrecognizedClientException"));
}

/// A request that is signed by AWS's signer and then sent as it is told.
async fn send(
    url: &str,
    secret: &str,
    at_ms: i64,
    signed_body: &str,
    sent_body: &str,
    operation: &str,
) -> (u16, String) {
    use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
    let host = url.trim_start_matches("http://");
    let headers = [
        ("host", host),
        ("content-type", "application/x-amz-json-1.0"),
        ("x-amz-target", "Timestream_20181101.ListDatabases"),
    ];
    let identity = Credentials::new("AKIDTEST", secret, None, None, "test").into();
    let parameters = aws_sigv4::sign::v4::SigningParams::builder()
        .identity(&identity)
        .region("us-east-1")
        .name("timestream")
        .time(std::time::UNIX_EPOCH + Duration::from_millis(u64::try_from(at_ms).expect("a time")))
        .settings(SigningSettings::default())
        .build()
        .expect("parameters")
        .into();
    let body = SignableBody::Bytes(signed_body.as_bytes());
    let request = SignableRequest::new("POST", format!("{url}/"), headers.into_iter(), body).expect("a request");
    let (instructions, _) = sign(request, &parameters).expect("a signature").into_parts();
    let mut post = reqwest::Client::new()
        .post(url)
        .header("content-type", "application/x-amz-json-1.0")
        .header("x-amz-target", format!("Timestream_20181101.{operation}"))
        .body(sent_body.to_owned());
    for (name, value) in instructions.headers() {
        post = post.header(name, value);
    }
    let answer = post.send().await.expect("an answer");
    (answer.status().as_u16(), answer.text().await.expect("text"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_was_changed_or_is_old_is_not_taken() {
    let dir = directory();
    let file = dir.path().join("keys");
    std::fs::write(&file, "AKIDTEST:secret").expect("a file");
    let served = Served::start(dir.path(), &["--access-keys", &file.display().to_string()]);
    let (url, now) = (served.url.as_str(), now_ms());
    let (status, body) = send(url, "secret", now, "{}", "{}", "ListDatabases").await;
    assert_eq!((status, body.as_str()), (200, r#"{"Databases":[]}"#));
    let minute = 60_000;
    for (what, (status, body), words) in [
        ("secret", send(url, "other", now, "{}", "{}", "ListDatabases").await, "does not match"),
        ("body", send(url, "secret", now, "{}", r#"{"MaxResults":1}"#, "ListDatabases").await, "does not match"),
        ("operation", send(url, "secret", now, "{}", "{}", "DeleteDatabase").await, "does not match"),
        ("old", send(url, "secret", now - 6 * minute, "{}", "{}", "ListDatabases").await, "Signature expired"),
        ("early", send(url, "secret", now + 6 * minute, "{}", "{}", "ListDatabases").await, "not yet current"),
    ] {
        let body: Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!(status, 403, "{what}: {body}");
        assert!(body["__type"].as_str().is_some_and(|t| t.ends_with("#InvalidSignatureException")), "{what}: {body}");
        assert!(body["Message"].as_str().is_some_and(|m| m.contains(words)), "{what}: {body}");
    }
    let bare = reqwest::Client::new().post(url).header("x-amz-target", "Timestream_20181101.ListDatabases");
    let answer = bare.send().await.expect("an answer");
    assert_eq!(answer.status().as_u16(), 403);
    assert!(answer.text().await.expect("text").contains("MissingAuthenticationTokenException"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_is_not_there_is_said() {
    let dir = directory();
    let served = Served::start(dir.path(), &[]);
    let http = reqwest::Client::new();
    let post = |target: &str, body: &str| {
        http.post(&served.url).header("x-amz-target", format!("Timestream_20181101.{target}")).body(body.to_owned())
    };
    for (request, status, kind) in [
        (post("DropEverything", "{}"), 400, "UnknownOperationException"),
        (post("ListDatabases", "{"), 400, "SerializationException"),
        (post("DescribeDatabase", "{}"), 400, "ValidationException"),
        (post("ListDatabases", "{}").header("origin", "http://example.com:8086"), 403, "AccessDeniedException"),
        (http.get(&served.url), 404, "UnknownOperationException"),
    ] {
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status().as_u16(), status, "{kind}");
        assert!(answer.headers().contains_key("x-amzn-requestid"), "{kind}");
        let body = answer.text().await.expect("text");
        assert!(body.contains(kind), "{kind}: {body}");
    }
    // A client of its own: its connection is closed behind the answer. What is a little too long is read to its end.
    let too_long = |bytes: usize| {
        let post = reqwest::Client::new().post(&served.url).header("x-amz-target", "Timestream_20181101.WriteRecords");
        post.body(" ".repeat(bytes)).send()
    };
    let answer = too_long(5 << 20).await.expect("an answer");
    assert_eq!(answer.status().as_u16(), 413);
    assert_eq!(answer.headers().get("connection").map(|c| c.as_bytes()), Some(&b"close"[..]));
    assert!(answer.text().await.expect("text").contains("RequestEntityTooLargeException"));
    // What is far too long is not, and whoever is still sending it may see the connection's end instead of the answer.
    if let Ok(answer) = too_long(40 << 20).await {
        assert_eq!(answer.status().as_u16(), 413);
    }
    let open = post("ListDatabases", "{}").header("origin", "http://localhost:3000").send().await.expect("an answer");
    assert_eq!(open.status().as_u16(), 200);
}

#[test]
fn beyond_loopback_keys_are_needed() {
    let dir = directory();
    let mut command = Command::new(hurtig().expect("the binary"));
    command.args(["store", "serve", "--listen", "0.0.0.0:0", "--dir"]).arg(dir.path());
    let said = Running::start(&mut command).end();
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(said.err.contains("--access-keys"), "{said:?}");
}
