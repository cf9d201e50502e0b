//! The pages above the single job.

use axum::{Json, extract::State};
use serde_json::{Map, Value, json};

use super::{
    Api,
    job::{task_counts, tasks_of},
    jobs::Job,
};
use crate::runner::JobState;

/// The Flink whose API this is; pages show it.
const FLINK_VERSION: &str = "2.3.0";

/// GET `/config`
pub async fn config() -> Json<Value> {
    Json(json!({
        "refresh-interval": 3000,
        "timezone-name": "Coordinated Universal Time",
        "timezone-offset": 0,
        "flink-version": FLINK_VERSION,
        "flink-revision": concat!("hurtig ", env!("CARGO_PKG_VERSION")),
        "features": { "web-submit": false, "web-cancel": true, "web-rescale": false, "web-history": false },
    }))
}

/// GET `/overview`
pub async fn overview(State(api): State<Api>) -> Json<Value> {
    let jobs = api.jobs.all();
    let count = |wanted: fn(JobState) -> bool| jobs.iter().filter(|job| wanted(job.handle.state())).count();
    // A slot is what one subtask of every vertex runs in: a worker.
    let slots = |job: &Job| job.handle.graph().vertices.iter().map(|v| v.parallelism).max().unwrap_or(0);
    let used: usize = jobs.iter().filter(|job| !job.handle.state().is_terminal()).map(|job| slots(job)).sum();
    Json(json!({
        "taskmanagers": 1,
        "slots-total": used,
        "slots-available": 0,
        "jobs-running": count(|s| !s.is_terminal()),
        "jobs-finished": count(|s| s == JobState::Finished),
        "jobs-cancelled": count(|s| s == JobState::Canceled),
        "jobs-failed": count(|s| s == JobState::Failed),
        "flink-version": FLINK_VERSION,
        "flink-commit": concat!("hurtig ", env!("CARGO_PKG_VERSION")),
    }))
}

/// GET `/taskmanagers`
pub async fn taskmanagers() -> Json<Value> {
    Json(json!({ "taskmanagers": [] }))
}

/// GET `/jobs`
pub async fn jobs(State(api): State<Api>) -> Json<Value> {
    let jobs = api.jobs.all();
    let line = |job: &std::sync::Arc<Job>| json!({ "id": job.handle.id(), "status": job.handle.state().to_string() });
    Json(json!({ "jobs": jobs.iter().map(line).collect::<Vec<_>>() }))
}

/// GET `/jobs/overview`
pub async fn jobs_overview(State(api): State<Api>) -> Json<Value> {
    let jobs: Vec<Value> = api.jobs.all().iter().map(|job| line(job)).collect();
    Json(json!({ "jobs": jobs }))
}

/// GET `/applications/overview`: here every job is its own application.
pub async fn applications(State(api): State<Api>) -> Json<Value> {
    let application = |job: &Job| {
        let status = job.handle.status();
        let state = status.state.to_string();
        json!({
            "id": job.handle.id(),
            "name": job.handle.name(),
            "start-time": status.start_time,
            "end-time": status.end_time.unwrap_or(-1),
            "duration": status.end_time.unwrap_or_else(|| job.now()) - status.start_time,
            "status": state,
            "jobs": { state: 1 },
        })
    };
    let applications: Vec<Value> = api.jobs.all().iter().map(|job| application(job)).collect();
    Json(json!({ "applications": applications }))
}

fn line(job: &Job) -> Value {
    let status = job.handle.status();
    let mut tasks = Map::new();
    let mut total = 0;
    for vertex in &job.handle.graph().vertices {
        for (state, count) in task_counts(tasks_of(&status, vertex)) {
            let sum = tasks.entry(state.to_lowercase()).or_insert_with(|| json!(0));
            *sum = json!(sum.as_u64().unwrap_or(0) + count as u64);
            total += count;
        }
    }
    tasks.insert("total".into(), json!(total));
    json!({
        "jid": job.handle.id(),
        "name": job.handle.name(),
        "jobType": "STREAMING",
        "schedulerType": "Default",
        "start-time": status.start_time,
        "end-time": status.end_time.unwrap_or(-1),
        "duration": status.end_time.unwrap_or_else(|| job.now()) - status.start_time,
        "state": status.state.to_string(),
        "last-modification": status.timestamps.last().map_or(status.start_time, |(_, at)| *at),
        "tasks": tasks,
        "pending-operators": 0,
    })
}
