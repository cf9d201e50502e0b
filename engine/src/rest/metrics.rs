//! Metrics by Flink's names: as strings for one subtask, as aggregates over all of them.
//!
//! Without `get` the names are listed, with it the values of those that exist.

use std::{collections::BTreeMap, sync::atomic::Ordering::Relaxed};

use axum::{
    Json,
    extract::{Path, Query, State},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Api, error::RestError, jobs::Job};
use crate::{checkpoint::CheckpointRecord, runner::JobState};

type Answer = Result<Json<Value>, RestError>;

/// `?get=a,b&agg=min,max`
#[derive(Deserialize)]
pub struct MetricsQuery {
    get: Option<String>,
    agg: Option<String>,
}

/// GET `/jobs/:jid/metrics`
pub async fn of_job(State(api): State<Api>, Path(jid): Path<String>, Query(query): Query<MetricsQuery>) -> Answer {
    let job = api.jobs.get(&jid)?;
    Ok(Json(strings(job_metrics(&job), &query)))
}

/// GET `/jobs/:jid/vertices/:vid/metrics`: `SUBTASK.NAME`
pub async fn of_vertex(
    State(api): State<Api>,
    Path((jid, vid)): Path<(String, String)>,
    Query(query): Query<MetricsQuery>,
) -> Answer {
    let job = api.jobs.get(&jid)?;
    let v = job.vertex(&vid)?;
    let mut all = BTreeMap::new();
    for subtask in 0..job.handle.graph().vertices[v].parallelism {
        for (name, value) in task_metrics(&job, v, subtask) {
            all.insert(format!("{subtask}.{name}"), plain(value));
        }
        for gauge in job.handle.metrics()[v][subtask].registry.entries() {
            // Flink's way to name what belongs to an operator, and to something of it.
            let of: String = gauge.labels.iter().map(|(_, value)| format!("{value}.")).collect();
            let name = format!("{subtask}.{}.{of}{}", gauge.operator.replace(' ', "_"), gauge.name);
            all.insert(name, gauge.gauge.get().to_string());
        }
    }
    Ok(Json(strings(all, &query)))
}

/// GET `/jobs/:jid/vertices/:vid/subtasks/metrics`: aggregates over the subtasks
pub async fn of_subtasks(
    State(api): State<Api>,
    Path((jid, vid)): Path<(String, String)>,
    Query(query): Query<MetricsQuery>,
) -> Answer {
    let job = api.jobs.get(&jid)?;
    let v = job.vertex(&vid)?;
    let mut values = BTreeMap::<&str, Vec<f64>>::new();
    for subtask in 0..job.handle.graph().vertices[v].parallelism {
        for (name, value) in task_metrics(&job, v, subtask) {
            values.entry(name).or_default().push(value);
        }
    }
    let Some(wanted) = &query.get else { return Ok(Json(names(values.keys().copied()))) };
    let aggregations: Option<Vec<&str>> = query.agg.as_deref().map(|agg| agg.split(',').collect());
    let mut answer = Vec::new();
    for name in wanted.split(',') {
        let Some(values) = values.get(name) else { continue };
        let mut line = json!({ "id": name });
        for (aggregation, value) in aggregates(values) {
            if aggregations.as_ref().is_none_or(|a| a.contains(&aggregation)) {
                line[aggregation] = json!(value);
            }
        }
        answer.push(line);
    }
    Ok(Json(Value::Array(answer)))
}

/// What is known about one subtask, under Flink's names.
pub(super) fn task_metrics(job: &Job, vertex: usize, subtask: usize) -> Vec<(&'static str, f64)> {
    let Some(m) = job.handle.metrics().get(vertex).and_then(|v| v.get(subtask)) else { return Vec::new() };
    let rates = job.rates().of(vertex, subtask);
    let busy = m.busy_ns.load(Relaxed) / 1_000_000;
    let backpressured = m.backpressured_ns.load(Relaxed) / 1_000_000;
    let ran = u64::try_from(job.now() - job.started_at).unwrap_or(0);
    vec![
        ("numRecordsIn", m.records_in.load(Relaxed) as f64),
        ("numRecordsInPerSecond", rates.records_in),
        ("numRecordsOut", m.records_out.load(Relaxed) as f64),
        ("numRecordsOutPerSecond", rates.records_out),
        ("busyTimeMsPerSecond", rates.busy_ms.round()),
        ("backPressuredTimeMsPerSecond", rates.backpressured_ms.round()),
        ("softBackPressuredTimeMsPerSecond", rates.backpressured_ms.round()),
        ("hardBackPressuredTimeMsPerSecond", 0.0),
        ("idleTimeMsPerSecond", rates.idle_ms.round()),
        ("isBackPressured", f64::from(u8::from(rates.backpressured_ms > 100.0))),
        ("accumulateBusyTimeMs", busy as f64),
        ("accumulateBackPressuredTimeMs", backpressured as f64),
        ("accumulateIdleTimeMs", ran.saturating_sub(busy + backpressured) as f64),
        ("currentInputWatermark", m.watermark.load(Relaxed) as f64),
        ("mailboxQueueSize", m.queued.load(Relaxed) as f64),
    ]
}

/// What is known about the job, under Flink's names.
pub(super) fn job_metrics(job: &Job) -> BTreeMap<String, String> {
    let status = job.handle.status();
    let now = job.now();
    let checkpoints = &status.checkpoints;
    let last = checkpoints.latest_completed.as_ref();
    let of_last = |value: fn(&CheckpointRecord) -> i64| last.map_or(-1, value);
    let since = |wanted: JobState| {
        let entered = status.timestamps.last().filter(|(state, _)| *state == wanted);
        entered.map_or(0, |(_, at)| now - at)
    };
    let up = if status.state == JobState::Running { since(JobState::Running) } else { 0 };
    let numbers = [
        ("numRestarts", i64::from(status.restarts)),
        ("uptime", up),
        ("downtime", if status.state.is_terminal() || up > 0 { 0 } else { now - status.start_time }),
        ("runningTime", since(JobState::Running)),
        ("restartingTime", since(JobState::Restarting)),
        ("cancellingTime", since(JobState::Cancelling)),
        ("failingTime", since(JobState::Failing)),
        ("initializingTime", since(JobState::Initializing)),
        ("createdTime", since(JobState::Created)),
        ("totalNumberOfCheckpoints", checkpoints.counts.total as i64),
        ("numberOfInProgressCheckpoints", checkpoints.counts.in_progress as i64),
        ("numberOfCompletedCheckpoints", checkpoints.counts.completed as i64),
        ("numberOfFailedCheckpoints", checkpoints.counts.failed as i64),
        ("lastCompletedCheckpointId", of_last(|c| c.id as i64)),
        ("lastCheckpointDuration", of_last(|c| c.duration_ms(0))),
        ("lastCheckpointSize", of_last(|c| c.uploaded_bytes() as i64)),
        ("lastCheckpointFullSize", of_last(|c| c.full_bytes() as i64)),
        ("lastCheckpointCompletedTimestamp", of_last(|c| c.ended_at.unwrap_or(-1))),
        ("lastCheckpointRestoreTimestamp", checkpoints.latest_restored.as_ref().map_or(-1, |r| r.restored_at)),
    ];
    let mut metrics: BTreeMap<String, String> =
        numbers.into_iter().map(|(name, value)| (name.to_owned(), value.to_string())).collect();
    let path = last.and_then(|c| c.external_path.clone()).unwrap_or_else(|| "n/a".into());
    metrics.insert("lastCheckpointExternalPath".into(), path);
    metrics
}

fn strings(metrics: BTreeMap<String, String>, query: &MetricsQuery) -> Value {
    let Some(wanted) = &query.get else { return names(metrics.keys().map(String::as_str)) };
    let lines = wanted.split(',').filter_map(|name| metrics.get(name).map(|v| json!({ "id": name, "value": v })));
    Value::Array(lines.collect())
}

fn names<'a>(names: impl Iterator<Item = &'a str>) -> Value {
    Value::Array(names.map(|name| json!({ "id": name })).collect())
}

/// As Java prints a long or a double where the difference does not matter.
fn plain(value: f64) -> String {
    if value.fract() == 0.0 { format!("{value:.0}") } else { value.to_string() }
}

fn aggregates(values: &[f64]) -> [(&'static str, f64); 5] {
    let sum: f64 = values.iter().sum();
    let n = values.len().max(1) as f64;
    let avg = sum / n;
    let min = values.iter().copied().fold(f64::INFINITY, f64::min);
    let max = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    // Flink's: how far the subtasks are from the average, in percent of all that lies above zero.
    let deviation: f64 = values.iter().map(|v| (v - avg).abs()).sum();
    let skew = if sum == 0.0 { 0.0 } else { (deviation / (2.0 * sum) * 100.0).clamp(0.0, 100.0) };
    [("min", min), ("max", max), ("avg", avg), ("sum", sum), ("skew", skew)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aggregates_of_even_and_of_skewed_subtasks() {
        assert_eq!(aggregates(&[2.0, 2.0]), [("min", 2.0), ("max", 2.0), ("avg", 2.0), ("sum", 4.0), ("skew", 0.0)]);
        let [.., (_, skew)] = aggregates(&[0.0, 8.0]);
        assert_eq!(skew, 50.0);
        assert_eq!(aggregates(&[0.0]), [("min", 0.0), ("max", 0.0), ("avg", 0.0), ("sum", 0.0), ("skew", 0.0)]);
    }

    #[test]
    fn longs_have_no_fraction() {
        assert_eq!((plain(1_795_448_624_331.0), plain(0.5)), ("1795448624331".into(), "0.5".into()));
    }
}
