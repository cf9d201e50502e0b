//! Our answers against those of a real Flink 2.3 (`tests/recorded.json`, arrays cut to one
//! element of each shape): every field it has, we have, of the same type.

use std::{
    collections::{BTreeMap, VecDeque},
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, atomic::Ordering::Relaxed, mpsc},
};

use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::{Jobs, RestServer, serve};
use crate::{
    checkpoint::{
        CheckpointKind, CheckpointRecord, CheckpointStatus, RestoredCheckpoint, Statistics,
        statistics::{Ack, AckMetrics, Counts},
    },
    graph::plan::{stable_id, tests::sample},
    runner::{
        JobConfig, JobHandle, JobState,
        handle::{ExceptionInfo, JobStatus, Request, Shared, SinkBooks},
        master::MasterEvent,
    },
    sink::Books,
    task::TaskMetrics,
    time::ManualClock,
};

const JID: &str = "2fcad1b70da5e7d7542493ffd1716595";
const START: i64 = 1_795_448_052_782;

struct Served {
    _runtime: Runtime,
    server: RestServer,
    handle: JobHandle,
    jobs: Jobs,
    clock: Arc<ManualClock>,
}

/// A running job made by hand, with a bit of everything, behind a real socket.
fn served() -> Served {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("runtime");
    let clock = Arc::new(ManualClock::new(START + 60_000));
    let handle = JobHandle { shared: Arc::new(shared()) };
    let jobs = Jobs::new();
    let config = JobConfig { clock: clock.clone(), ..JobConfig::new("data") };
    jobs.add(handle.clone(), config);
    let server = serve(jobs.clone(), SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), runtime.handle()).expect("server");
    Served { _runtime: runtime, server, handle, jobs, clock }
}

fn shared() -> Shared {
    let graph = sample();
    let metrics: Vec<Vec<Arc<TaskMetrics>>> =
        graph.vertices.iter().map(|v| (0..v.parallelism).map(|_| Arc::default()).collect()).collect();
    metrics[1][0].records_in.store(300, Relaxed);
    metrics[1][1].records_in.store(100, Relaxed);
    metrics[1][0].watermark.store(START, Relaxed);
    metrics[1][1].watermark.store(START - 5, Relaxed);
    metrics[1][1].dead_lettered.store(7, Relaxed);
    let ack = Ack {
        at: START + 20_030,
        metrics: AckMetrics { full_bytes: 1000, uploaded_bytes: 200, sync_ms: 3, ..AckMetrics::default() },
    };
    let completed = CheckpointRecord {
        id: 7,
        kind: CheckpointKind::Checkpoint,
        status: CheckpointStatus::Completed,
        triggered_at: START + 20_000,
        ended_at: Some(START + 20_050),
        vertices: graph.vertices.iter().map(|v| (Arc::from(v.uid()), vec![Some(ack); v.parallelism])).collect(),
        failure: None,
        external_path: Some("checkpoints/7".into()),
        discarded: false,
    };
    let savepoint = CheckpointRecord { id: 8, kind: CheckpointKind::Savepoint, ..completed.clone() };
    let failed = CheckpointRecord {
        id: 9,
        status: CheckpointStatus::Failed,
        vertices: BTreeMap::from([(Arc::from("gen"), vec![Some(ack), None])]),
        failure: Some("timed out".into()),
        external_path: None,
        ..completed.clone()
    };
    let checkpoints = Statistics {
        counts: Counts { restored: 1, total: 3, in_progress: 0, completed: 2, failed: 1 },
        history: VecDeque::from([completed.clone(), failed.clone(), savepoint.clone(), completed.clone()]),
        latest_completed: Some(completed),
        latest_savepoint: Some(savepoint),
        latest_failed: Some(failed),
        latest_restored: Some(RestoredCheckpoint {
            id: 6,
            is_savepoint: false,
            external_path: "checkpoints/6".into(),
            restored_at: START + 10,
        }),
    };
    let exception = |n: i64| ExceptionInfo {
        timestamp: START + n,
        task: Some("count".into()),
        message: format!("panic {n}\nmore"),
    };
    let books = Books { read: 10, written: 8, rejected: 1, dead_lettered: 1 };
    let status = JobStatus {
        state: JobState::Running,
        timestamps: vec![
            (JobState::Created, START),
            (JobState::Initializing, START + 5),
            (JobState::Running, START + 1_005),
        ],
        start_time: START,
        end_time: None,
        restarts: 1,
        exceptions: vec![exception(1), exception(2), exception(3)],
        restored_from: Some((6, "checkpoints/6".into())),
        checkpoints,
        books: vec![SinkBooks { uid: "sink".into(), name: "Sink".into(), books }],
    };
    Shared {
        id: JID.into(),
        graph: Arc::new(graph),
        metrics,
        status: Mutex::new(status),
        changed: Condvar::new(),
        mailbox: Mutex::new(None),
        failure: Mutex::new(None),
    }
}

/// One request over a real connection: status and body.
fn ask(addr: SocketAddr, request: &str, host: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(addr).expect("connect");
    let length = body.len();
    write!(stream, "{request} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
        .expect("send");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("receive");
    let (head, body) = answer.split_once("\r\n\r\n").expect("head and body");
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).expect("status");
    (status, body.to_owned())
}

impl Served {
    fn ask(&self, request: &str, body: &str) -> (u16, Value) {
        let (status, text) = ask(self.server.local_addr(), request, "127.0.0.1", body);
        (status, serde_json::from_str(&text).unwrap_or_else(|e| panic!("{request}: {e}: {text}")))
    }

    fn get(&self, path: &str) -> Value {
        let (status, value) = self.ask(&format!("GET {path}"), "");
        assert_eq!(status, 200, "{path}: {value}");
        value
    }
}

/// Every field of `theirs` is in `ours`, with a value of the same type.
fn assert_covers(path: &str, theirs: &Value, ours: &Value) {
    match (theirs, ours) {
        (Value::Null, _) => {}
        (Value::Object(theirs), Value::Object(ours)) => {
            for (key, value) in theirs {
                // Ids are not ours; what is below them is.
                let is_id = key.len() == 32 && key.bytes().all(|b| b.is_ascii_hexdigit());
                let found = if is_id { ours.values().next() } else { ours.get(key) };
                let found = found.unwrap_or_else(|| panic!("{path}: there is no {key} in {ours:?}"));
                assert_covers(&format!("{path}.{key}"), value, found);
            }
        }
        (Value::Array(theirs), Value::Array(ours)) => {
            if let Some(theirs) = theirs.first() {
                let ours = ours.first().unwrap_or_else(|| panic!("{path}: an empty array"));
                assert_covers(&format!("{path}[0]"), theirs, ours);
            }
        }
        // A percentile is a number or "NaN".
        (Value::Number(_), Value::String(nan)) | (Value::String(nan), Value::Number(_)) if nan == "NaN" => {}
        (theirs, ours) => {
            let same = std::mem::discriminant(theirs) == std::mem::discriminant(ours);
            assert!(same, "{path}: theirs is {theirs}, ours {ours}");
        }
    }
}

#[test]
fn answers_have_every_field_of_flinks() {
    let served = served();
    let recorded: Value = serde_json::from_str(include_str!("tests/recorded.json")).expect("recorded answers");
    let job = format!("/jobs/{JID}");
    let vertex = format!("{job}/vertices/{}", stable_id("count"));
    let metrics = "backPressuredTimeMsPerSecond,busyTimeMsPerSecond,numRecordsInPerSecond";
    for (name, path) in [
        ("overview", "/overview".to_owned()),
        ("config", "/config".to_owned()),
        ("jobs", "/jobs".to_owned()),
        ("jobs_overview", "/jobs/overview".to_owned()),
        ("applications", "/applications/overview".to_owned()),
        ("job", job.clone()),
        ("status", format!("{job}/status")),
        ("execution_result", format!("{job}/execution-result")),
        ("plan", format!("{job}/plan")),
        ("job_config", format!("{job}/config")),
        ("exceptions", format!("{job}/exceptions?maxExceptions=10")),
        ("metrics", format!("{job}/metrics?get=lastCheckpointDuration,numRestarts,uptime")),
        ("checkpoints", format!("{job}/checkpoints")),
        ("checkpoints_config", format!("{job}/checkpoints/config")),
        ("checkpoint_details", format!("{job}/checkpoints/details/7")),
        ("checkpoint_subtasks", format!("{job}/checkpoints/details/7/subtasks/{}", stable_id("gen"))),
        ("vertex", vertex.clone()),
        ("watermarks", format!("{vertex}/watermarks")),
        ("backpressure", format!("{vertex}/backpressure")),
        ("subtasks_metrics", format!("{vertex}/subtasks/metrics?get={metrics}")),
    ] {
        assert!(!recorded[name].is_null(), "{name} was not recorded");
        for prefix in ["", "/v1"] {
            assert_covers(name, &recorded[name], &served.get(&format!("{prefix}{path}")));
        }
    }
}

#[test]
fn answers_are_true() {
    let served = served();
    let job = served.get(&format!("/jobs/{JID}"));
    assert_eq!((&job["state"], &job["duration"]), (&json!("RUNNING"), &json!(60_000)));
    assert_eq!(job["timestamps"]["RUNNING"], json!(START + 1_005));
    assert_eq!(job["plan"]["jid"], JID);
    assert_eq!((&job["status-counts"]["RUNNING"], &job["status-counts"]["FAILED"]), (&json!(4), &json!(0)));
    assert_eq!(job["vertices"][1]["metrics"]["read-records"], 400);
    // The page joins vertices and plan by id.
    let ids = |list: &Value| -> Vec<String> {
        let mut ids: Vec<_> = list.as_array().into_iter().flatten().map(|v| v["id"].to_string()).collect();
        ids.sort();
        ids
    };
    assert_eq!(ids(&job["vertices"]), ids(&job["plan"]["nodes"]));

    let overview = served.get("/overview");
    assert_eq!((&overview["jobs-running"], &overview["slots-total"]), (&json!(1), &json!(2)));
    let line = &served.get("/jobs/overview")["jobs"][0];
    assert_eq!((&line["tasks"]["running"], &line["tasks"]["total"]), (&json!(6), &json!(6)));

    let count = stable_id("count");
    let watermarks = served.get(&format!("/jobs/{JID}/vertices/{count}/watermarks"));
    assert_eq!(watermarks[1], json!({ "id": "1.currentInputWatermark", "value": (START - 5).to_string() }));
    let source = served.get(&format!("/jobs/{JID}/vertices/{}/watermarks", stable_id("gen")));
    assert_eq!(source, json!([]));

    let metrics = served.get(&format!("/jobs/{JID}/vertices/{count}/subtasks/metrics?get=numRecordsIn,nothing"));
    assert_eq!(
        metrics,
        json!([{"id": "numRecordsIn", "min": 100.0, "max": 300.0, "avg": 200.0, "sum": 400.0, "skew": 25.0}])
    );
    let one = served.get(&format!("/jobs/{JID}/vertices/{count}/metrics?get=0.numRecordsIn"));
    assert_eq!(one, json!([{ "id": "0.numRecordsIn", "value": "300" }]));

    let exceptions = &served.get(&format!("/jobs/{JID}/exceptions?maxExceptions=2"))["exceptionHistory"];
    assert_eq!(
        (&exceptions["truncated"], &exceptions["entries"][0]["exceptionName"]),
        (&json!(true), &json!("panic 3"))
    );

    let checkpoints = served.get(&format!("/jobs/{JID}/checkpoints"));
    assert_eq!(checkpoints["history"][0]["id"], 7, "the newest is first");
    assert_eq!(checkpoints["latest"]["failed"]["failure_message"], "timed out");
    assert_eq!(checkpoints["latest"]["savepoint"]["checkpoint_type"], "SAVEPOINT");
    assert_eq!(checkpoints["summary"]["state_size"]["max"], 6000);
    let failed = served.get(&format!("/jobs/{JID}/checkpoints/details/9"));
    assert_eq!(failed["tasks"][stable_id("gen")]["num_acknowledged_subtasks"], 1);
}

#[test]
fn rates_come_from_two_readings() {
    let served = served();
    served.jobs.sample();
    served.clock.advance(2_000);
    served.handle.metrics()[1][0].busy_ns.fetch_add(1_000_000_000, Relaxed);
    served.handle.metrics()[1][0].records_in.fetch_add(5_000, Relaxed);
    served.jobs.sample();
    let count = stable_id("count");
    let query = "get=0.busyTimeMsPerSecond,0.numRecordsInPerSecond";
    let metrics = served.get(&format!("/jobs/{JID}/vertices/{count}/metrics?{query}"));
    assert_eq!(metrics[0]["value"], "500");
    assert_eq!(metrics[1]["value"], "2500");
}

#[test]
fn errors_are_flinks() {
    let served = served();
    for (request, status, words) in [
        ("GET /jobs/nothex", 400, "Cannot resolve path parameter (jobid) from value \"nothex\""),
        ("GET /jobs/deadbeefdeadbeefdeadbeefdeadbeef", 404, "Job deadbeefdeadbeefdeadbeefdeadbeef not found"),
        ("GET /nosuch", 404, "Unable to load requested file /nosuch."),
        ("GET /v1/nosuch", 404, "Unable to load requested file"),
        ("DELETE /overview", 404, "Unable to load requested file"),
        (&format!("GET /jobs/{JID}/vertices/xyz"), 400, "vertexid"),
        (&format!("GET /jobs/{JID}/checkpoints/details/99"), 404, "checkpoint 99"),
        (&format!("GET /jobs/{JID}/checkpoints/details/abc"), 400, "checkpointid"),
        (&format!("GET /jobs/{JID}/savepoints/0123456789abcdef0123456789abcdef"), 404, "request id"),
        (&format!("PATCH /jobs/{JID}?mode=stop"), 400, "has been removed"),
    ] {
        let (got, body) = served.ask(request, "");
        assert_eq!(got, status, "{request}: {body}");
        let message = body["errors"][0].as_str().unwrap_or_default();
        assert!(message.contains(words), "{request}: {message}");
    }
}

#[test]
fn a_savepoint_is_asked_for_and_polled() {
    let served = served();
    // The job has no master: what is asked of it fails, and the poll says why.
    let (status, body) =
        served.ask(&format!("POST /v1/jobs/{JID}/savepoints"), r#"{"target-directory":null,"cancel-job":false}"#);
    assert_eq!(status, 202, "{body}");
    let trigger = body["request-id"].as_str().unwrap_or_default().to_owned();
    assert_eq!(trigger.len(), 32);
    let (status, body) = loop {
        let answer = served.ask(&format!("GET /v1/jobs/{JID}/savepoints/{trigger}"), "{}");
        if answer.1["status"]["id"] != "IN_PROGRESS" {
            break answer;
        }
    };
    assert_eq!(status, 500, "{body}");
    assert!(body["errors"][0].as_str().unwrap_or_default().contains("does not take requests any more"), "{body}");

    let (status, body) = served.ask(&format!("POST /jobs/{JID}/stop"), "{not json");
    assert_eq!(status, 400, "{body}");
}

/// Answers as a master does, and tells what it was asked.
fn with_master(served: &Served) -> mpsc::Receiver<String> {
    let (mailbox, events) = mpsc::channel();
    *served.handle.shared.mailbox.lock().expect("mailbox") = Some(mailbox);
    let (tell, asked) = mpsc::channel();
    let handle = served.handle.clone();
    std::thread::spawn(move || {
        for event in events {
            let MasterEvent::Request(request) = event else { continue };
            let _ = tell.send(format!("{request:?}"));
            match request {
                Request::Savepoint { directory, answer, .. } => {
                    let _ = answer.send(Ok(format!("{}/savepoint-1", directory.unwrap_or_default())));
                }
                Request::Checkpoint { answer } => {
                    let _ = answer.send(Ok("checkpoints/7".into()));
                }
                Request::Cancel => handle.shared.status.lock().expect("status").state = JobState::Canceled,
            }
        }
    });
    asked
}

#[test]
fn what_is_asked_of_a_job_is_answered_as_flink_answers() {
    let served = served();
    let asked = with_master(&served);
    let recorded: Value = serde_json::from_str(include_str!("tests/recorded.json")).expect("recorded answers");
    let operation = |post: &str, body: &str, poll: &str| -> Value {
        let (status, trigger) = served.ask(&format!("POST /v1/jobs/{JID}/{post}"), body);
        assert_eq!(status, 202, "{trigger}");
        assert_covers("savepoint_request", &recorded["savepoint_request"], &trigger);
        let id = trigger["request-id"].as_str().unwrap_or_default();
        loop {
            let answer = served.get(&format!("/v1/jobs/{JID}/{poll}/{id}"));
            if answer["status"]["id"] != "IN_PROGRESS" {
                break answer;
            }
        }
    };
    let saved = operation("savepoints", r#"{"target-directory":"/s","cancel-job":false}"#, "savepoints");
    assert_covers("savepoint_status", &recorded["savepoint_status"], &saved);
    assert_eq!(saved["operation"]["location"], "/s/savepoint-1");
    assert!(asked.recv().is_ok_and(|r| r.contains("kind: Savepoint")));

    let stopped = operation("stop", r#"{"targetDirectory":"/t","drain":true}"#, "savepoints");
    assert_covers("savepoint_status", &recorded["savepoint_status"], &stopped);
    assert_eq!(stopped["operation"]["location"], "/t/savepoint-1");
    assert!(asked.recv().is_ok_and(|r| r.contains("StopWithSavepoint { drain: true }")));

    let checkpoint = operation("checkpoints", "", "checkpoints");
    assert_covers("checkpoint_status", &recorded["checkpoint_status"], &checkpoint);
    assert_eq!(checkpoint["operation"]["checkpointId"], 7);
    assert!(asked.recv().is_ok_and(|r| r.contains("Checkpoint")));

    let (status, body) = served.ask(&format!("PATCH /v1/jobs/{JID}?mode=cancel"), "");
    assert_eq!((status, body), (202, json!({})));
    assert_eq!(asked.recv().as_deref(), Ok("Cancel"));
}

#[test]
fn a_finished_job_cannot_be_cancelled_and_a_cancelled_one_can() {
    let served = served();
    let set = |state| served.handle.shared.status.lock().expect("status").state = state;
    set(JobState::Finished);
    let (status, body) = served.ask(&format!("PATCH /jobs/{JID}?mode=cancel"), "");
    assert_eq!(status, 409);
    assert!(body["errors"][0].as_str().unwrap_or_default().contains("terminal state (FINISHED)"), "{body}");
    let (status, _) = served.ask(&format!("POST /jobs/{JID}/checkpoints"), "");
    assert_eq!(status, 409);
    set(JobState::Canceled);
    let (status, body) = served.ask(&format!("GET /jobs/{JID}/yarn-cancel"), "");
    assert_eq!((status, body), (202, json!({})));
}

#[test]
fn prometheus_has_flinks_names_and_the_books() {
    let served = served();
    let (status, text) = ask(served.server.local_addr(), "GET /metrics", "localhost:8081", "");
    assert_eq!(status, 200);
    // The lines of a metric come in any order.
    let value = |name: &str, labels: &[&str]| -> Option<f64> {
        let is_it = |l: &&str| l.starts_with(&format!("{name}{{")) && labels.iter().all(|label| l.contains(label));
        text.lines().find(is_it)?.rsplit(' ').next()?.parse().ok()
    };
    let task = format!("task_id=\"{}\"", stable_id("count"));
    let [first, second] = ["subtask_index=\"0\"", "subtask_index=\"1\""];
    assert_eq!(value("flink_taskmanager_job_task_numRecordsIn", &[&task, first]), Some(300.0));
    assert_eq!(value("hurtig_task_dead_lettered", &[&task, second]), Some(7.0));
    assert_eq!(value("hurtig_task_dead_lettered", &[&task, first]), Some(0.0));
    assert_eq!(value("flink_jobmanager_job_numRestarts", &["job_name=\"demo-counts\""]), Some(1.0));
    assert_eq!(value("hurtig_sink_books_written", &["operator_name=\"Sink\""]), Some(8.0));
    assert!(text.ends_with("# EOF\n"), "{text}");
    for line in text.lines().filter(|l| l.starts_with("# TYPE")) {
        assert!(line.ends_with(" gauge"), "{line}");
    }
}

#[test]
fn a_foreign_name_gets_nothing() {
    let served = served();
    for (host, status) in [("evil.example", 403), ("evil.example:8081", 403), ("[::1]:8081", 200), ("LocalHost", 200)] {
        assert_eq!(ask(served.server.local_addr(), "GET /overview", host, "").0, status, "{host}");
    }
}

#[test]
fn a_taken_port_is_passed_over() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let addr = taken.local_addr().expect("its address");
    let runtime = Runtime::new().expect("runtime");
    let server = serve(Jobs::new(), addr, runtime.handle()).expect("the next port");
    assert_ne!(server.local_addr().port(), addr.port());
    assert_eq!(ask(server.local_addr(), "GET /overview", "localhost", "").0, 200);
    server.shutdown();
}
