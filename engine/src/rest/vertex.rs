//! One vertex: its subtasks, watermarks and backpressure.

use std::sync::atomic::Ordering::Relaxed;

use axum::{
    Json,
    extract::{Path, State},
};
use serde_json::{Map, Value, json};

use super::{
    Api,
    error::RestError,
    job::{LOCAL, io_metrics, tasks_began, tasks_of},
    rates::TaskRates,
};
use crate::{runner::JobStatus, time::MIN_WATERMARK};

type Answer = Result<Json<Value>, RestError>;

/// GET `/jobs/:jid/vertices/:vid`
pub async fn details(State(api): State<Api>, Path((jid, vid)): Path<(String, String)>) -> Answer {
    let job = api.jobs.get(&jid)?;
    let v = job.vertex(&vid)?;
    let vertex = &job.handle.graph().vertices[v];
    let status = job.handle.status();
    let now = job.now();
    let began = tasks_began(&status);
    let duration = status.end_time.unwrap_or(now) - began;
    let (state, _) = tasks_of(&status, vertex);
    let durations = state_durations(&status, now);
    let mut subtasks = Vec::new();
    for (subtask, metrics) in job.handle.metrics().get(v).into_iter().flatten().enumerate() {
        subtasks.push(json!({
            "subtask": subtask,
            "status": state,
            "attempt": status.restarts,
            "endpoint": LOCAL,
            "start-time": began,
            "end-time": status.end_time.unwrap_or(-1),
            "duration": duration,
            "metrics": io_metrics(std::iter::once(metrics.as_ref()), duration),
            "taskmanager-id": LOCAL,
            "status-duration": durations,
            "start_time": began,
        }));
    }
    Ok(Json(json!({
        "id": vertex.id(),
        "name": vertex.title(),
        "parallelism": vertex.parallelism,
        "maxParallelism": job.handle.graph().max_parallelism,
        "now": now,
        "aggregated": {
            "metrics": aggregated(&subtasks, "metrics"),
            "status-duration": aggregated(&subtasks, "status-duration"),
        },
        "subtasks": subtasks,
    })))
}

/// GET `/jobs/:jid/vertices/:vid/watermarks`
pub async fn watermarks(State(api): State<Api>, Path((jid, vid)): Path<(String, String)>) -> Answer {
    let job = api.jobs.get(&jid)?;
    let v = job.vertex(&vid)?;
    let line = |(subtask, watermark): (usize, i64)| json!({ "id": format!("{subtask}.currentInputWatermark"), "value": watermark.to_string() });
    let metrics = job.handle.metrics().get(v).into_iter().flatten();
    let watermarks = metrics.map(|m| m.watermark.load(Relaxed)).enumerate();
    // A source has no input and so no line; nor has a subtask that has seen no watermark yet.
    let has_input = !job.handle.graph().vertices[v].is_source();
    let lines: Vec<Value> = watermarks.filter(|(_, w)| has_input && *w != MIN_WATERMARK).map(line).collect();
    Ok(Json(Value::Array(lines)))
}

/// GET `/jobs/:jid/vertices/:vid/backpressure`
pub async fn backpressure(State(api): State<Api>, Path((jid, vid)): Path<(String, String)>) -> Answer {
    let job = api.jobs.get(&jid)?;
    let v = job.vertex(&vid)?;
    let rates = job.rates();
    let subtasks: Vec<TaskRates> =
        (0..job.handle.graph().vertices[v].parallelism).map(|subtask| rates.of(v, subtask)).collect();
    let worst = subtasks.iter().map(|r| r.backpressured_ms).fold(0.0, f64::max);
    let line = |(subtask, rates): (usize, &TaskRates)| {
        json!({
            "subtask": subtask,
            "backpressureLevel": level(rates.backpressured_ms),
            "backpressure-level": level(rates.backpressured_ms),
            "ratio": rates.backpressured_ms / 1000.0,
            "idleRatio": rates.idle_ms / 1000.0,
            "busyRatio": rates.busy_ms / 1000.0,
        })
    };
    Ok(Json(json!({
        "status": "ok",
        "backpressureLevel": level(worst),
        "backpressure-level": level(worst),
        "end-timestamp": job.now(),
        "subtasks": subtasks.iter().enumerate().map(line).collect::<Vec<_>>(),
    })))
}

/// GET `/jobs/:jid/vertices/:vid/accumulators`: there are none.
pub async fn accumulators(State(api): State<Api>, Path((jid, vid)): Path<(String, String)>) -> Answer {
    let job = api.jobs.get(&jid)?;
    let v = job.vertex(&vid)?;
    Ok(Json(json!({ "id": job.handle.graph().vertices[v].id(), "user-accumulators": [] })))
}

/// Flink's limits.
fn level(backpressured_ms: f64) -> &'static str {
    match backpressured_ms / 1000.0 {
        ratio if ratio <= 0.10 => "ok",
        ratio if ratio <= 0.50 => "low",
        _ => "high",
    }
}

/// How long this attempt's tasks were in which state.
fn state_durations(status: &JobStatus, now: i64) -> Map<String, Value> {
    let began = tasks_began(status);
    let mut durations: Map<String, Value> = ["CREATED", "DEPLOYING", "SCHEDULED", "INITIALIZING", "RUNNING"]
        .map(|s| (s.to_owned(), json!(0)))
        .into_iter()
        .collect();
    let of_attempt: Vec<_> = status.timestamps.iter().filter(|(_, at)| *at >= began).collect();
    for (i, (state, at)) in of_attempt.iter().enumerate() {
        let until = of_attempt.get(i + 1).map_or(status.end_time.unwrap_or(now), |(_, at)| *at);
        if let Some(duration) = durations.get_mut(&state.to_string()) {
            *duration = json!(duration.as_i64().unwrap_or(0) + until - at);
        }
    }
    durations
}

/// Min, max, percentiles and so on of every number in `part` of the subtasks.
fn aggregated(subtasks: &[Value], part: &str) -> Value {
    let Some(first) = subtasks.first().and_then(|s| s[part].as_object()) else { return json!({}) };
    let mut aggregated = Map::new();
    for name in first.keys().filter(|name| first[name.as_str()].is_number()) {
        let mut values: Vec<i64> =
            subtasks.iter().filter_map(|s| s[part][name].as_f64()).map(|value| value as i64).collect();
        values.sort_unstable();
        let sum: i64 = values.iter().sum();
        let last = values.len().saturating_sub(1);
        let at = |p: f64| values.get((p * last as f64).round() as usize).copied().unwrap_or(0);
        aggregated.insert(
            name.clone(),
            json!({
                "min": at(0.0),
                "max": at(1.0),
                "avg": sum / values.len().max(1) as i64,
                "sum": sum,
                "median": at(0.5),
                "p25": at(0.25),
                "p75": at(0.75),
                "p95": at(0.95),
            }),
        );
    }
    Value::Object(aggregated)
}
