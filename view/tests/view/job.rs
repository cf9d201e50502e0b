//! The panels of the job, against answers as the engine's REST API gives them. The real one is in the whole-job tests.

use axum::{Json, Router, routing::get};
use hurtig_view::ViewOptions;
use serde_json::{Value, json};

use crate::support::{MINUTE_MS, NOW_MS, Served, Stored, members, options, run};

const JOB: &str = "0123456789abcdef0123456789abcdef";
const OTHER: &str = "fedcba9876543210fedcba9876543210";

/// `/metrics`: two subtasks, of a source and of a sink behind it, and another job.
fn metrics() -> String {
    let mut text = String::from("# HELP anything of it.\n# TYPE anything gauge\n");
    let mut put = |name: &str, labels: &str, value: &str| {
        text.push_str(&format!("{name}{{job_id=\"{JOB}\",{labels}}} {value}\n"))
    };
    let task = |id: &str, subtask: u8| {
        format!("job_name=\"j\",task_id=\"{id}\",task_name=\"a \\\"b\\\" \\\\ c\",subtask_index=\"{subtask}\"")
    };
    put("flink_jobmanager_job_numRestarts", "job_name=\"j\"", "2");
    for (id, subtask, rate, out, watermark) in [
        ("aa", 0, "100.5", "200.0", 60),
        ("aa", 1, "50.25", "100.0", 30),
        ("bb", 0, "10.0", "0.0", 90),
        ("bb", 1, "20.0", "0.0", 120),
    ] {
        let watermark = (NOW_MS - watermark * 1_000).to_string();
        put("flink_taskmanager_job_task_numRecordsInPerSecond", &task(id, subtask), rate);
        put("flink_taskmanager_job_task_numRecordsOutPerSecond", &task(id, subtask), out);
        put(
            "flink_taskmanager_job_task_busyTimeMsPerSecond",
            &task(id, subtask),
            if subtask == 0 { "250.0" } else { "750.0" },
        );
        put(
            "flink_taskmanager_job_task_backPressuredTimeMsPerSecond",
            &task(id, subtask),
            if id == "aa" { "600.0" } else { "0.0" },
        );
        put("hurtig_task_dead_lettered", &task(id, subtask), "3");
        let name = if id == "aa" {
            "flink_taskmanager_job_task_operator_currentOutputWatermark"
        } else {
            "flink_taskmanager_job_task_currentInputWatermark"
        };
        put(name, &task(id, subtask), &watermark);
        for (le, count) in [("10s", 5), ("1s", 40), ("inf", 1), ("1h", 4)] {
            let of = format!("{},operator_id=\"o\",le=\"{le}\"", task(id, subtask));
            put(
                "flink_taskmanager_job_task_operator_latenessBucket",
                &of,
                &(count * (1 + i32::from(subtask))).to_string(),
            );
        }
    }
    for (name, books) in [("lake", [10, 7, 1, 2]), ("store", [10, 7, 1, 1])] {
        for (count, value) in ["read", "written", "rejected", "dead_lettered"].iter().zip(books) {
            put(
                &format!("hurtig_sink_books_{count}"),
                &format!("operator_id=\"{name}\",operator_name=\"{name}\""),
                &value.to_string(),
            );
        }
    }
    // Of another job, which has ended: its sources read nothing any more.
    text.push_str(&format!(
        "flink_taskmanager_job_task_numRecordsInPerSecond{{job_id=\"{OTHER}\",task_id=\"cc\",subtask_index=\"0\"}} 999.0\n\
         flink_taskmanager_job_task_operator_currentOutputWatermark{{job_id=\"{OTHER}\",task_id=\"cc\"}} 9.223372036854776e18\n\
         # EOF\n"
    ));
    text
}

fn checkpoints() -> Value {
    json!({
        "counts": { "restored": 1, "total": 9, "in_progress": 1, "completed": 7, "failed": 1 },
        "latest": {
            "completed": { "id": 8, "latest_ack_timestamp": NOW_MS - 4_000, "end_to_end_duration": 120, "checkpointed_size": 2_000, "state_size": 9_000 },
            "failed": { "failure_message": "a disk is full" },
            "savepoint": null, "restored": null,
        },
    })
}

/// Answers as a job does, until this goes.
struct Rest {
    url: String,
    serving: tokio::task::JoinHandle<()>,
}

impl Drop for Rest {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(app: Router) -> Rest {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("it listens");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let serving = tokio::spawn(async move { axum::serve(listener, app).await.expect("it serves") });
    Rest { url, serving }
}

async fn job() -> Rest {
    let vertex = |id: &str, name: &str| json!({ "id": id, "name": name, "parallelism": 2, "status": "RUNNING" });
    let details = json!({
        "jid": JOB, "vertices": [vertex("aa", "Source: meters -> Map"), vertex("bb", "Sink")],
        "plan": { "nodes": [{ "id": "aa" }, { "id": "bb", "inputs": [{ "id": "aa" }] }] },
    });
    let ended = json!({
        "jid": OTHER, "vertices": [{ "id": "cc", "name": "Source: old", "parallelism": 1 }], "plan": { "nodes": [{ "id": "cc" }] },
    });
    let overview = json!({ "jobs": [
        { "jid": JOB, "name": "smart-meters", "state": "RUNNING", "duration": 60_000 },
        { "jid": OTHER, "name": "old", "state": "FINISHED", "duration": 5 },
    ] });
    let failures = json!({ "exceptionHistory": { "entries": [
        { "timestamp": NOW_MS - 9_000, "exceptionName": "it broke", "taskName": "Sink" },
    ] } });
    let none = json!({ "exceptionHistory": { "entries": [] } });
    let nothing = json!({ "counts": {}, "latest": {} });
    let app = Router::new()
        .route("/jobs/overview", get(move || async move { Json(overview) }))
        .route("/metrics", get(|| async { metrics() }))
        .route(&format!("/jobs/{JOB}"), get(move || async move { Json(details) }))
        .route(&format!("/jobs/{JOB}/checkpoints"), get(|| async { Json(checkpoints()) }))
        .route(&format!("/jobs/{JOB}/exceptions"), get(move || async move { Json(failures) }))
        .route(&format!("/jobs/{OTHER}"), get(move || async move { Json(ended) }))
        .route(&format!("/jobs/{OTHER}/checkpoints"), get(move || async move { Json(nothing) }))
        .route(&format!("/jobs/{OTHER}/exceptions"), get(move || async move { Json(none) }));
    serve(app).await
}

async fn view_of(rest: &str) -> (Stored, Served) {
    let stored = Stored::empty().await;
    let served = stored.serve_with(ViewOptions { rest: Some(rest.to_owned()), ..options() }).await;
    (stored, served)
}

#[test]
fn a_job_s_health() {
    run(async {
        let rest = job().await;
        let (_stored, served) = view_of(&rest.url).await;
        let answer = served.ok("/api/pipeline").await;
        // Of the running job's source, not of the sink nor of the job that has ended.
        assert_eq!(
            members(&answer, &["clock_ms", "rest", "why", "readings_per_second"]),
            [json!(NOW_MS), json!(rest.url), json!(null), json!(150.75)]
        );
        let jobs = answer["jobs"].as_array().expect("jobs");
        assert_eq!(jobs.len(), 2);
        let job = &jobs[0];
        assert_eq!(
            members(job, &["id", "name", "state", "duration_ms", "restarts", "dead_lettered"]),
            [json!(JOB), json!("smart-meters"), json!("RUNNING"), json!(60_000), json!(2), json!(12.0)]
        );
        let vertex = |name: &str, source: bool, rates: [f64; 2], lag: i64, backpressured: f64| {
            json!({
                "name": name, "source": source, "parallelism": 2, "in_per_second": rates[0], "out_per_second": rates[1],
                "watermark_ms": NOW_MS - lag, "lag_ms": lag, "ended": false, "busy": 0.75, "backpressured": backpressured,
            })
        };
        assert_eq!(
            job["vertices"],
            json!([
                vertex("Source: meters -> Map", true, [150.75, 300.0], MINUTE_MS, 0.6),
                vertex("Sink", false, [30.0, 0.0], 2 * MINUTE_MS, 0.0),
            ])
        );
        assert_eq!(
            job["checkpoints"],
            json!({
                "completed": 7, "failed": 1, "in_progress": 1, "last_id": 8, "last_ms": NOW_MS - 4_000,
                "last_duration_ms": 120, "last_bytes": 2_000, "last_full_bytes": 9_000, "last_failure": "a disk is full",
            })
        );
        let books = |name: &str, dead: f64, balanced: bool| json!({ "name": name, "read": 10.0, "written": 7.0, "rejected": 1.0, "dead_lettered": dead, "balanced": balanced });
        assert_eq!(job["books"], json!([books("lake", 2.0, true), books("store", 1.0, false)]));
        assert_eq!(job["exceptions"], json!([{ "at_ms": NOW_MS - 9_000, "what": "it broke", "task": "Sink" }]));
        let old = &jobs[1];
        assert_eq!(old["checkpoints"]["last_ms"], json!(null));
        // At the end of the input there is no lag.
        assert_eq!(members(&old["vertices"][0], &["ended", "lag_ms"]), [json!(true), json!(null)]);
        served.end().await;
    });
}

#[test]
fn how_late_readings_come() {
    run(async {
        let rest = job().await;
        let (_stored, served) = view_of(&rest.url).await;
        // Of two vertices with two subtasks each, of which the second has counted twice as much.
        let bucket = |le: &str, upper: Option<i64>, count: f64| json!({ "le": le, "upper_ms": upper, "count": count });
        let expected = json!({
            "why": null, "total": 300.0,
            "buckets": [
                bucket("1s", Some(1_000), 240.0), bucket("10s", Some(10_000), 30.0), bucket("1h", Some(3_600_000), 24.0),
                bucket("inf", None, 6.0),
            ],
        });
        assert_eq!(served.ok("/api/lateness").await, expected);
        served.end().await;
    });
}

#[test]
fn a_job_that_cannot_be_asked_takes_nothing_else_with_it() {
    run(async {
        let why = |answer: &Value| answer["why"].as_str().unwrap_or_default().to_owned();
        // None was named.
        let stored = Stored::with(&crate::support::fleet()).await;
        let served = stored.serve().await;
        let (pipeline, lateness) = (served.ok("/api/pipeline").await, served.ok("/api/lateness").await);
        assert!(why(&pipeline).contains("No job's REST address was given"), "{pipeline}");
        assert!(why(&lateness).contains("no job's REST address was given"), "{lateness}");
        assert_eq!(pipeline["readings_per_second"], json!(null));
        served.end().await;

        // Nobody listens.
        let rest = job().await;
        let (url, serving) = (rest.url.clone(), &rest.serving);
        serving.abort();
        while !serving.is_finished() {
            tokio::task::yield_now().await;
        }
        let served = stored.serve_with(ViewOptions { rest: Some(url.clone()), ..options() }).await;
        for path in ["/api/pipeline", "/api/lateness"] {
            let answer = served.ok(path).await;
            assert!(why(&answer).contains(&url) && why(&answer).contains("nobody listens"), "{answer}");
        }
        assert_eq!(served.ok("/api/fleet").await["meters"], json!(5));
        served.end().await;

        // Somebody else listens.
        let rest = serve(Router::new().route("/metrics", get(|| async { "no metrics" }))).await;
        let (_stored, served) = view_of(&rest.url).await;
        let answer = served.ok("/api/pipeline").await;
        assert!(why(&answer).contains("404"), "{answer}");
        let answer = served.ok("/api/lateness").await;
        assert_eq!(why(&answer), "No job that runs there counts late readings.");
        served.end().await;
    });
}
