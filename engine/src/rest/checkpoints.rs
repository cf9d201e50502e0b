//! A job's checkpoints: counts, the latest of each sort, history, details by vertex and subtask.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
};
use serde_json::{Map, Value, json};

use super::{Api, error::RestError, jobs::Job};
use crate::{
    checkpoint::{
        CheckpointRecord, CheckpointStatus, Statistics,
        statistics::{Ack, Summary},
    },
    graph::plan::stable_id,
    time::millis,
};

type Answer = Result<Json<Value>, RestError>;

/// GET `/jobs/:jid/checkpoints`
pub async fn statistics(State(api): State<Api>, Path(jid): Path<String>) -> Answer {
    let job = api.jobs.get(&jid)?;
    let now = job.now();
    let statistics = job.handle.status().checkpoints;
    let Statistics { counts, history, latest_completed, latest_savepoint, latest_failed, latest_restored } =
        &statistics;
    let line = |record: &Option<CheckpointRecord>| record.as_ref().map(|r| checkpoint(r, now));
    let restored = latest_restored.as_ref().map(|restored| {
        json!({
            "id": restored.id,
            "restore_timestamp": restored.restored_at,
            "is_savepoint": restored.is_savepoint,
            "external_path": restored.external_path,
        })
    });
    let nothing = statistics.summary(|_| 0);
    Ok(Json(json!({
        "counts": {
            "restored": counts.restored,
            "total": counts.total,
            "in_progress": counts.in_progress,
            "completed": counts.completed,
            "failed": counts.failed,
        },
        "summary": {
            "checkpointed_size": summary(&statistics.summary(|r| r.uploaded_bytes() as i64)),
            "state_size": summary(&statistics.summary(|r| r.full_bytes() as i64)),
            "end_to_end_duration": summary(&statistics.summary(|r| r.duration_ms(now))),
            "alignment_buffered": summary(&nothing),
            "processed_data": summary(&nothing),
            "persisted_data": summary(&nothing),
        },
        "latest": {
            "completed": line(latest_completed),
            "savepoint": line(latest_savepoint),
            "failed": line(latest_failed),
            "restored": restored,
        },
        "history": history.iter().rev().map(|r| checkpoint(r, now)).collect::<Vec<_>>(),
    })))
}

/// GET `/jobs/:jid/checkpoints/config`
pub async fn config(State(api): State<Api>, Path(jid): Path<String>) -> Answer {
    let job = api.jobs.get(&jid)?;
    let settings = &job.config.checkpoints;
    Ok(Json(json!({
        "mode": "exactly_once",
        "interval": job.checkpoint_interval_ms(),
        "timeout": millis(settings.timeout),
        "min_pause": millis(settings.min_pause),
        "max_concurrent": 1,
        "externalization": { "enabled": true, "delete_on_cancellation": false },
        "state_backend": backend(&job),
        "checkpoint_storage": "FileSystemCheckpointStorage",
        "unaligned_checkpoints": false,
        "tolerable_failed_checkpoints": settings.tolerable_failures,
        "aligned_checkpoint_timeout": 0,
        "checkpoints_after_tasks_finish": true,
        "state_changelog_enabled": false,
        "changelog_periodic_materialization_interval": 0,
        "changelog_storage": "memory",
    })))
}

/// GET `/jobs/:jid/checkpoints/details/:id`
pub async fn details(State(api): State<Api>, Path((jid, id)): Path<(String, String)>) -> Answer {
    let job = api.jobs.get(&jid)?;
    let now = job.now();
    let record = find(&job, &id)?;
    let mut details = checkpoint(&record, now);
    let tasks: Map<String, Value> =
        record.vertices.iter().map(|(uid, acks)| (stable_id(uid), vertex(&record, acks, now))).collect();
    details["tasks"] = Value::Object(tasks);
    Ok(Json(details))
}

/// GET `/jobs/:jid/checkpoints/details/:id/subtasks/:vid`
pub async fn subtasks(State(api): State<Api>, Path((jid, id, vid)): Path<(String, String, String)>) -> Answer {
    let job = api.jobs.get(&jid)?;
    let now = job.now();
    let v = job.vertex(&vid)?;
    let record = find(&job, &id)?;
    let uid: Arc<str> = job.handle.graph().vertices[v].uid().into();
    let Some(acks) = record.vertices.get(&uid) else {
        return Err(RestError::not_found(format!("Checkpoint {id} has no statistics of vertex {vid}.")));
    };
    let of_acks = |value: fn(&Ack) -> i64| spread(acks.iter().flatten().map(value));
    let triggered = record.triggered_at;
    let mut details = vertex(&record, acks, now);
    details["summary"] = json!({
        "checkpointed_size": of_acks(|ack| ack.metrics.uploaded_bytes as i64),
        "state_size": of_acks(|ack| ack.metrics.full_bytes as i64),
        "end_to_end_duration": spread(acks.iter().flatten().map(|ack| ack.at - triggered)),
        "checkpoint_duration": {
            "sync": of_acks(|ack| ack.metrics.sync_ms),
            "async": of_acks(|ack| ack.metrics.async_ms),
        },
        "alignment": {
            "buffered": of_acks(|_| 0),
            "processed": of_acks(|_| 0),
            "persisted": of_acks(|_| 0),
            "duration": of_acks(|ack| ack.metrics.alignment_ms),
        },
        "start_delay": of_acks(|ack| ack.metrics.start_delay_ms),
    });
    let subtask = |(index, ack): (usize, &Option<Ack>)| match ack {
        None => json!({ "className": "pending", "index": index, "status": "pending_or_failed" }),
        Some(ack) => json!({
            "className": "completed",
            "index": index,
            "status": "completed",
            "ack_timestamp": ack.at,
            "end_to_end_duration": ack.at - triggered,
            "state_size": ack.metrics.full_bytes,
            "checkpointed_size": ack.metrics.uploaded_bytes,
            "checkpoint": { "sync": ack.metrics.sync_ms, "async": ack.metrics.async_ms },
            "alignment": { "buffered": 0, "processed": 0, "persisted": 0, "duration": ack.metrics.alignment_ms },
            "start_delay": ack.metrics.start_delay_ms,
            "unaligned_checkpoint": false,
            "aborted": false,
        }),
    };
    details["subtasks"] = acks.iter().enumerate().map(subtask).collect();
    Ok(Json(details))
}

fn find(job: &Job, id: &str) -> Result<CheckpointRecord, RestError> {
    let number = id.parse().map_err(|_| RestError::bad_parameter("checkpointid", id))?;
    let record = job.handle.status().checkpoints.record(number).cloned();
    record.ok_or_else(|| RestError::not_found(format!("Could not find checkpointing statistics for checkpoint {id}.")))
}

/// Flink's class names are made of the status.
fn checkpoint(record: &CheckpointRecord, now: i64) -> Value {
    let acks = record.acks().count();
    let mut line = json!({
        "className": match record.status {
            CheckpointStatus::InProgress => "in_progress",
            CheckpointStatus::Completed => "completed",
            CheckpointStatus::Failed => "failed",
        },
        "id": record.id,
        "status": record.status.as_str(),
        "is_savepoint": record.is_savepoint(),
        "savepointFormat": record.is_savepoint().then_some("CANONICAL"),
        "trigger_timestamp": record.triggered_at,
        "latest_ack_timestamp": record.latest_ack_at().unwrap_or(-1),
        "checkpointed_size": record.uploaded_bytes(),
        "state_size": record.full_bytes(),
        "end_to_end_duration": record.duration_ms(now),
        "alignment_buffered": 0,
        "processed_data": 0,
        "persisted_data": 0,
        "num_subtasks": record.num_subtasks(),
        "num_acknowledged_subtasks": acks,
        "checkpoint_type": match (record.is_savepoint(), record.kind.ends_job()) {
            (true, true) => "SYNC_SAVEPOINT",
            (true, false) => "SAVEPOINT",
            _ => "CHECKPOINT",
        },
        "tasks": {},
    });
    match record.status {
        CheckpointStatus::Completed => {
            line["external_path"] = json!(record.external_path);
            line["discarded"] = json!(record.discarded);
        }
        CheckpointStatus::Failed => {
            line["failure_timestamp"] = json!(record.ended_at);
            line["failure_message"] = json!(record.failure);
        }
        CheckpointStatus::InProgress => {}
    }
    line
}

fn vertex(record: &CheckpointRecord, acks: &[Option<Ack>], now: i64) -> Value {
    let known = || acks.iter().flatten();
    let latest = known().map(|ack| ack.at).max();
    let done = known().count() == acks.len();
    json!({
        "id": record.id,
        "status": if done { CheckpointStatus::Completed.as_str() } else { record.status.as_str() },
        "latest_ack_timestamp": latest.unwrap_or(-1),
        "checkpointed_size": known().map(|ack| ack.metrics.uploaded_bytes).sum::<u64>(),
        "state_size": known().map(|ack| ack.metrics.full_bytes).sum::<u64>(),
        "end_to_end_duration": latest.unwrap_or(now) - record.triggered_at,
        "alignment_buffered": 0,
        "processed_data": 0,
        "persisted_data": 0,
        "num_subtasks": acks.len(),
        "num_acknowledged_subtasks": known().count(),
    })
}

fn summary(values: &Summary) -> Value {
    let percentile = |p| values.percentile(p).map_or_else(|| json!("NaN"), |v| json!(v));
    json!({
        "min": values.min(),
        "max": values.max(),
        "avg": values.avg(),
        "p50": percentile(50.0),
        "p90": percentile(90.0),
        "p95": percentile(95.0),
        "p99": percentile(99.0),
        "p999": percentile(99.9),
    })
}

/// As [`summary`], over the subtasks of one checkpoint: Flink gives no percentiles there.
fn spread(values: impl Iterator<Item = i64> + Clone) -> Value {
    let n = values.clone().count().max(1) as i64;
    json!({
        "min": values.clone().min().unwrap_or(0),
        "max": values.clone().max().unwrap_or(0),
        "avg": values.sum::<i64>() / n,
        "p50": "NaN",
        "p90": "NaN",
        "p95": "NaN",
        "p99": "NaN",
        "p999": "NaN",
    })
}

/// Under the name by which Flink's page knows it.
fn backend(job: &Job) -> &'static str {
    match job.config.state_backend {
        hurtig_state::BackendKind::RocksDb => "EmbeddedRocksDBStateBackend",
        _ => "HashMapStateBackend",
    }
}
