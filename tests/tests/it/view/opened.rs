//! Who opens the view: a job, beside its REST API and its store's wire; and `hurtig view`, over a store whose files are elsewhere.

use std::{net::TcpListener, sync::Arc};

use hurtig_engine::time::SystemClock;
use hurtig_store::{Storage, StoreOptions};
use hurtig_tests::program::command;
use serde_json::{Value, json};

use super::fleet;
use crate::{
    running::Running,
    support::{directory, words},
};

async fn get(url: String) -> Value {
    let answer = reqwest::get(url).await.and_then(reqwest::Response::error_for_status).expect("an answer");
    serde_json::from_slice(&answer.bytes().await.expect("all of it")).expect("JSON")
}

/// What Timestream's own protocol says to a query.
async fn query(url: &str, sql: &str) -> Value {
    let request = reqwest::Client::new()
        .post(url)
        .header("X-Amz-Target", "Timestream_20181101.Query")
        .header("Content-Type", "application/x-amz-json-1.0")
        .body(json!({ "QueryString": sql }).to_string());
    let answer = request.send().await.expect("an answer");
    serde_json::from_slice(&answer.bytes().await.expect("all of it")).expect("JSON")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_opens_its_view_and_its_store() {
    let dir = directory();
    // Somebody has the port already.
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("its address").port();
    let line = format!(
        "run smart-meters --source generator --meters 300 --rate 500 --rest-port 0 --view-port {port} --store-port 0 --json"
    );
    let mut run = command(words(&line)).expect("the binary");
    let mut job = Running::start(run.arg("--data-dir").arg(dir.path().join("job")));
    let started: Value = serde_json::from_str(&job.until_said("\"started\"")).expect("JSON");
    let url = |what: &str| started[what].as_str().unwrap_or_else(|| panic!("{what}: {started}")).to_owned();
    let (view, store) = (url("view"), url("store"));
    assert_ne!(view, format!("http://127.0.0.1:{port}/"), "the next one that is free");

    // All of the fleet is seen, by the page and by the wire.
    let mut fleet = Value::Null;
    for _ in 0..60 {
        job.until_said("\"progress\"");
        fleet = get(format!("{view}api/fleet")).await;
        if fleet["meters"] == json!(300) {
            break;
        }
    }
    assert_eq!((&fleet["meters"], &fleet["measured"]), (&json!(300), &json!(300)), "{fleet}");
    assert!(fleet["kwh"].as_f64().is_some_and(|kwh| kwh > 0.0), "{fleet}");
    let counted = query(&store, "SELECT count(DISTINCT meter_id) FROM meters.readings").await;
    assert_eq!(counted["Rows"][0]["Data"][0]["ScalarValue"], json!("300"), "{counted}");
    let pipeline = get(format!("{view}api/pipeline")).await;
    assert!(pipeline.to_string().contains("smart-meters"), "it knows the job: {pipeline}");

    job.signal(libc::SIGTERM);
    assert_eq!(job.end().code, Some(143));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_view_over_a_store_whose_files_are_elsewhere() {
    let dir = directory();
    let (store, files) = (dir.path().join("store"), dir.path().join("files"));
    let files = files.display().to_string();
    let mut options = StoreOptions::new(&store, Arc::new(SystemClock));
    options.magnetic = Some(Storage::open(&files).expect("a place"));
    fleet::write(options).await;
    let start = |more: &[&str]| {
        let mut view = command(["view", "--json", "--listen", "127.0.0.1:0", "--dir"]).expect("the binary");
        Running::start(view.arg(&store).args(more))
    };
    let mut view = start(&["--magnetic", &files]);
    let said: Value = serde_json::from_str(&view.until_said("listening")).expect("JSON");
    let fleet = get(format!("{}api/fleet", said["url"].as_str().expect("its URL"))).await;
    assert_eq!(fleet["meters"], json!(fleet::METERS), "{fleet}");
    // Only files have the day before.
    assert!(fleet["kw_day_before"].as_f64().is_some_and(|kw| kw > 0.0), "{fleet}");
    view.signal(libc::SIGTERM);
    assert_eq!(view.end().code, Some(0));
    // Without being told it does not begin.
    let said = start(&[]).end();
    assert!(said.code == Some(1) && said.err.contains("--magnetic"), "{said:?}");
}
