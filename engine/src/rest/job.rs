//! One job: its states, vertices, plan, settings and failures.

use std::{collections::BTreeMap, sync::atomic::Ordering::Relaxed};

use axum::{
    Json,
    extract::{Path, Query, State},
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Api, error::RestError, jobs::Job};
use crate::{
    graph::{Vertex, plan::stable_id},
    runner::{JobState, JobStatus, RestartStrategy},
    task::TaskMetrics,
};

type Answer = Result<Json<Value>, RestError>;

/// The states that a job's `timestamps` has in Flink; two of them never come here.
const JOB_STATES: [&str; 11] = [
    "SUSPENDED",
    "RECONCILING",
    "RESTARTING",
    "FAILED",
    "CANCELLING",
    "RUNNING",
    "FINISHED",
    "CREATED",
    "CANCELED",
    "INITIALIZING",
    "FAILING",
];

/// The states of Flink's tasks.
const TASK_STATES: [&str; 10] = [
    "CANCELING",
    "CREATED",
    "DEPLOYING",
    "FINISHED",
    "CANCELED",
    "SCHEDULED",
    "INITIALIZING",
    "RECONCILING",
    "FAILED",
    "RUNNING",
];

/// GET `/jobs/:jid`
pub async fn details(State(api): State<Api>, Path(jid): Path<String>) -> Answer {
    let job = api.jobs.get(&jid)?;
    let status = job.handle.status();
    let graph = job.handle.graph();
    let now = job.now();
    let mut timestamps: Map<String, Value> = JOB_STATES.iter().map(|s| ((*s).to_owned(), json!(0))).collect();
    for (state, at) in &status.timestamps {
        timestamps.insert(state.to_string(), json!(at));
    }
    let mut counts: BTreeMap<&str, usize> = TASK_STATES.iter().map(|s| (*s, 0)).collect();
    let mut vertices = Vec::new();
    for (v, vertex) in graph.vertices.iter().enumerate() {
        let (state, _) = tasks_of(&status, vertex);
        *counts.entry(state).or_default() += 1;
        vertices.push(vertex_line(&job, &status, v, vertex, now));
    }
    Ok(Json(json!({
        "jid": job.handle.id(),
        "application-id": job.handle.id(),
        "name": job.handle.name(),
        "isStoppable": false,
        "state": status.state.to_string(),
        "job-type": "STREAMING",
        "schedulerType": "Default",
        "start-time": status.start_time,
        "end-time": status.end_time.unwrap_or(-1),
        "duration": status.end_time.unwrap_or(now) - status.start_time,
        "maxParallelism": graph.max_parallelism,
        "now": now,
        "timestamps": timestamps,
        "vertices": vertices,
        "status-counts": counts,
        "plan": graph.plan_of(job.handle.id()),
        "pending-operators": 0,
    })))
}

/// GET `/jobs/:jid/status`
pub async fn status(State(api): State<Api>, Path(jid): Path<String>) -> Answer {
    Ok(Json(json!({ "status": api.jobs.get(&jid)?.handle.state().to_string() })))
}

/// GET `/jobs/:jid/execution-result`: only whether there is one; the result itself is a Java object.
pub async fn execution_result(State(api): State<Api>, Path(jid): Path<String>) -> Answer {
    let done = api.jobs.get(&jid)?.handle.state().is_terminal();
    Ok(Json(json!({ "status": { "id": if done { "COMPLETED" } else { "IN_PROGRESS" } } })))
}

/// GET `/jobs/:jid/plan`
pub async fn plan(State(api): State<Api>, Path(jid): Path<String>) -> Answer {
    let job = api.jobs.get(&jid)?;
    Ok(Json(json!({ "plan": job.handle.graph().plan_of(job.handle.id()) })))
}

/// GET `/jobs/:jid/config`
pub async fn config(State(api): State<Api>, Path(jid): Path<String>) -> Answer {
    let job = api.jobs.get(&jid)?;
    let parallelism = job.handle.graph().vertices.iter().map(|v| v.parallelism).max().unwrap_or(1);
    Ok(Json(json!({
        "jid": job.handle.id(),
        "name": job.handle.name(),
        "execution-config": {
            "restart-strategy": strategy(&job.config.restart),
            "job-parallelism": parallelism,
            "object-reuse-mode": true,
            "user-config": {},
        },
    })))
}

/// GET `/jobs/:jid/accumulators`: there are none.
pub async fn accumulators(State(api): State<Api>, Path(jid): Path<String>) -> Answer {
    api.jobs.get(&jid)?;
    Ok(Json(json!({
        "job-accumulators": [],
        "user-task-accumulators": [],
        "serialized-user-task-accumulators": {},
    })))
}

/// What `/exceptions` can be asked for.
#[derive(Deserialize)]
pub struct ExceptionsQuery {
    #[serde(rename = "maxExceptions")]
    max: Option<usize>,
}

/// GET `/jobs/:jid/exceptions`, newest first
pub async fn exceptions(
    State(api): State<Api>,
    Path(jid): Path<String>,
    Query(query): Query<ExceptionsQuery>,
) -> Answer {
    let job = api.jobs.get(&jid)?;
    let status = job.handle.status();
    let max = query.max.unwrap_or(20);
    let entry = |exception: &crate::runner::ExceptionInfo| {
        json!({
            "exceptionName": exception.message.lines().next().unwrap_or_default(),
            "stacktrace": exception.message,
            "timestamp": exception.timestamp,
            "failureLabels": {},
            "taskName": exception.task,
            "endpoint": LOCAL,
            "taskManagerId": LOCAL,
            "concurrentExceptions": [],
        })
    };
    let entries: Vec<Value> = status.exceptions.iter().rev().take(max).map(entry).collect();
    let truncated = entries.len() < status.exceptions.len();
    Ok(Json(json!({ "exceptionHistory": { "entries": entries, "truncated": truncated } })))
}

/// The one place where tasks run.
pub(super) const LOCAL: &str = "localhost";

/// The state of a vertex's tasks, and how many there are. Tasks have no life of their own here:
/// they are made, run and end together, so the job's state says theirs.
pub(super) fn tasks_of(status: &JobStatus, vertex: &Vertex) -> (&'static str, usize) {
    let state = match status.state {
        JobState::Created => "CREATED",
        JobState::Initializing => "INITIALIZING",
        JobState::Running => "RUNNING",
        JobState::Failing | JobState::Cancelling => "CANCELING",
        JobState::Restarting => "SCHEDULED",
        JobState::Canceled => "CANCELED",
        JobState::Finished => "FINISHED",
        JobState::Failed => {
            let name = vertex.name();
            let failed = status.exceptions.last().is_some_and(|e| e.task.as_deref() == Some(name.as_str()));
            if failed { "FAILED" } else { "CANCELED" }
        }
    };
    (state, vertex.parallelism)
}

/// A count for every state of Flink's tasks.
pub(super) fn task_counts((state, tasks): (&'static str, usize)) -> impl Iterator<Item = (&'static str, usize)> {
    TASK_STATES.into_iter().map(move |s| (s, if s == state { tasks } else { 0 }))
}

/// When the tasks of this attempt began.
pub(super) fn tasks_began(status: &JobStatus) -> i64 {
    let began = |wanted: JobState| status.timestamps.iter().rev().find(|(s, _)| *s == wanted).map(|(_, at)| *at);
    began(JobState::Initializing).or_else(|| began(JobState::Running)).unwrap_or(status.start_time)
}

/// Flink's `metrics` object of some subtasks, which have run for `duration` ms each.
///
/// Bytes are not counted in this process (batches move by pointer): they are shown as incomplete.
pub(super) fn io_metrics<'a>(tasks: impl Iterator<Item = &'a TaskMetrics>, duration: i64) -> Value {
    let [mut read, mut written, mut busy, mut backpressured, mut idle] = [0u64; 5];
    for m in tasks {
        let task_busy = m.busy_ns.load(Relaxed) / 1_000_000;
        let task_backpressured = m.backpressured_ns.load(Relaxed) / 1_000_000;
        read += m.records_in.load(Relaxed);
        written += m.records_out.load(Relaxed);
        busy += task_busy;
        backpressured += task_backpressured;
        idle += u64::try_from(duration).unwrap_or(0).saturating_sub(task_busy + task_backpressured);
    }
    json!({
        "read-bytes": 0,
        "read-bytes-complete": false,
        "write-bytes": 0,
        "write-bytes-complete": false,
        "read-records": read,
        "read-records-complete": true,
        "write-records": written,
        "write-records-complete": true,
        "accumulated-backpressured-time": backpressured,
        "accumulated-idle-time": idle,
        "accumulated-busy-time": busy as f64,
    })
}

fn vertex_line(job: &Job, status: &JobStatus, v: usize, vertex: &Vertex, now: i64) -> Value {
    let began = tasks_began(status);
    let duration = status.end_time.unwrap_or(now) - began;
    let tasks = tasks_of(status, vertex);
    let counts: Map<String, Value> = task_counts(tasks).map(|(s, n)| (s.to_owned(), json!(n))).collect();
    let metrics = job.handle.metrics().get(v).into_iter().flatten().map(|m| m.as_ref());
    json!({
        "id": vertex.id(),
        "slotSharingGroupId": stable_id("default"),
        "name": vertex.title(),
        "maxParallelism": job.handle.graph().max_parallelism,
        "parallelism": vertex.parallelism,
        "status": tasks.0,
        "start-time": began,
        "end-time": status.end_time.unwrap_or(-1),
        "duration": duration,
        "tasks": counts,
        "metrics": io_metrics(metrics, duration),
    })
}

/// In the words of Flink's pages.
fn strategy(restart: &RestartStrategy) -> String {
    match restart {
        RestartStrategy::ExponentialDelay { initial, max, multiplier, .. } => format!(
            "Restart with exponential delay: starting at {initial:?}, increasing by {multiplier}, with maximum {max:?}."
        ),
        RestartStrategy::FixedDelay { delay, attempts } => {
            format!("Restart with fixed delay ({delay:?}). #{attempts} restart attempts.")
        }
        RestartStrategy::FailureRate { failures, per, delay } => {
            format!(
                "Failure rate restart with maximum of {failures} failures within {per:?} and fixed delay {delay:?}."
            )
        }
        RestartStrategy::None => "No restart.".to_owned(),
    }
}
