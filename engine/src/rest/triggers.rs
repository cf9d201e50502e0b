//! What is asked of a job and takes a while: savepoint, stop, checkpoint, cancel.
//!
//! As with Flink, the request is answered at once with a `request-id`, and the client polls for
//! the result. A failed operation answers 500 with its reason.

use std::{
    collections::HashMap,
    sync::{Arc, Condvar, Mutex, MutexGuard},
    time::Duration,
};

use axum::{
    Json,
    body::Bytes,
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{Api, error::RestError, jobs::Job};
use crate::{graph::plan::stable_id, runner::JobState};

/// Operations by their request id. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct Triggers(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    operations: Mutex<Operations>,
    fetched: Condvar,
}

#[derive(Debug, Default)]
struct Operations {
    number: u64,
    by_id: HashMap<String, Operation>,
}

#[derive(Debug, Clone, Default)]
struct Operation {
    /// `None` while it is under way; then what `operation` holds, or why it failed.
    result: Option<Result<Value, String>>,
    fetched: bool,
}

/// POST `/jobs/:jid/savepoints`
#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case", default)]
struct SavepointRequest {
    target_directory: Option<String>,
    cancel_job: bool,
    #[serde(rename = "triggerId")]
    trigger_id: Option<String>,
}

/// POST `/jobs/:jid/stop`
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct StopRequest {
    target_directory: Option<String>,
    drain: bool,
    trigger_id: Option<String>,
}

/// POST `/jobs/:jid/checkpoints`
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct CheckpointRequest {
    trigger_id: Option<String>,
}

/// PATCH `/jobs/:jid?mode=cancel`
#[derive(Deserialize)]
pub struct CancelQuery {
    mode: Option<String>,
}

/// POST `/jobs/:jid/savepoints`
pub async fn savepoint(State(api): State<Api>, Path(jid): Path<String>, body: Bytes) -> Result<Response, RestError> {
    let job = api.jobs.get(&jid)?;
    let request: SavepointRequest = parse(&body)?;
    api.start(job, request.trigger_id, move |job| {
        let directory = request.target_directory;
        let path = if request.cancel_job { job.handle.stop(directory, false) } else { job.handle.savepoint(directory) };
        path.map(|path| json!({ "location": path }))
    })
}

/// POST `/jobs/:jid/stop`
pub async fn stop(State(api): State<Api>, Path(jid): Path<String>, body: Bytes) -> Result<Response, RestError> {
    let job = api.jobs.get(&jid)?;
    let request: StopRequest = parse(&body)?;
    api.start(job, request.trigger_id, move |job| {
        job.handle.stop(request.target_directory, request.drain).map(|path| json!({ "location": path }))
    })
}

/// POST `/jobs/:jid/checkpoints`
pub async fn checkpoint(State(api): State<Api>, Path(jid): Path<String>, body: Bytes) -> Result<Response, RestError> {
    let job = api.jobs.get(&jid)?;
    let request: CheckpointRequest = parse(&body)?;
    api.start(job, request.trigger_id, |job| {
        let path = job.handle.checkpoint()?;
        let checkpoints = job.handle.status().checkpoints;
        let mut records = checkpoints.history.iter().rev();
        let id = records.find(|r| r.external_path.as_deref() == Some(path.as_str())).map(|r| r.id);
        Ok(json!({ "checkpointId": id.or_else(|| checkpoints.latest_completed.map(|r| r.id)) }))
    })
}

/// GET `/jobs/:jid/savepoints/:trigger`, also for a stop
pub async fn savepoint_status(
    State(api): State<Api>,
    Path((jid, trigger)): Path<(String, String)>,
) -> Result<Json<Value>, RestError> {
    api.jobs.get(&jid)?;
    api.triggers.fetch(&trigger)
}

/// GET `/jobs/:jid/checkpoints/:trigger`
pub async fn checkpoint_status(
    State(api): State<Api>,
    Path((jid, trigger)): Path<(String, String)>,
) -> Result<Json<Value>, RestError> {
    api.jobs.get(&jid)?;
    api.triggers.fetch(&trigger)
}

/// PATCH `/jobs/:jid?mode=cancel`
pub async fn cancel(
    State(api): State<Api>,
    Path(jid): Path<String>,
    Query(query): Query<CancelQuery>,
) -> Result<Response, RestError> {
    let job = api.jobs.get(&jid)?;
    match query.mode.as_deref() {
        None | Some("cancel") => cancel_now(&job),
        Some("stop") => {
            let message = "The termination mode \"stop\" has been removed: use POST /jobs/:jid/stop.";
            Err(RestError::new(StatusCode::BAD_REQUEST, message))
        }
        Some(other) => Err(RestError::bad_parameter("mode", other)),
    }
}

/// GET `/jobs/:jid/yarn-cancel`: the dashboard's cancel button
pub async fn cancel_by_get(State(api): State<Api>, Path(jid): Path<String>) -> Result<Response, RestError> {
    cancel_now(&*api.jobs.get(&jid)?)
}

fn cancel_now(job: &Job) -> Result<Response, RestError> {
    let already = |state: JobState| {
        let message =
            format!("Job cancellation failed because the job has already reached another terminal state ({state}).");
        Err(RestError::new(StatusCode::CONFLICT, message))
    };
    let state = job.handle.state();
    if state.is_terminal() && state != JobState::Canceled {
        return already(state);
    }
    if state != JobState::Canceled && job.handle.cancel().is_err() {
        return already(job.handle.state());
    }
    Ok((StatusCode::ACCEPTED, Json(json!({}))).into_response())
}

/// Clients send a body without saying of which type, or none at all.
fn parse<T: DeserializeOwned + Default>(body: &[u8]) -> Result<T, RestError> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(T::default());
    }
    serde_json::from_slice(body)
        .map_err(|e| RestError::new(StatusCode::BAD_REQUEST, format!("Bad request, could not parse the body: {e}")))
}

impl Api {
    /// Runs `operation` on a thread that may wait, and answers with its request id.
    fn start(
        &self,
        job: Arc<Job>,
        id: Option<String>,
        operation: impl FnOnce(&Job) -> crate::error::Result<Value> + Send + 'static,
    ) -> Result<Response, RestError> {
        let state = job.handle.state();
        if state.is_terminal() {
            let message = format!("The job '{}' is not running (it is {state}).", job.handle.name());
            return Err(RestError::new(StatusCode::CONFLICT, message));
        }
        let id = self.triggers.begin(job.handle.id(), id);
        let (triggers, request) = (self.triggers.clone(), id.clone());
        tokio::task::spawn_blocking(move || {
            let result = operation(&job).map_err(|e| e.to_string());
            triggers.end(&request, result);
        });
        Ok((StatusCode::ACCEPTED, Json(json!({ "request-id": id }))).into_response())
    }
}

impl Triggers {
    /// Opens an operation; its id is the client's if it gave one.
    fn begin(&self, jid: &str, id: Option<String>) -> String {
        let mut operations = self.lock();
        operations.number += 1;
        let id = id.unwrap_or_else(|| stable_id(&format!("{jid}/{}", operations.number)));
        operations.by_id.insert(id.clone(), Operation::default());
        id
    }

    fn end(&self, id: &str, result: Result<Value, String>) {
        if let Some(operation) = self.lock().by_id.get_mut(id) {
            operation.result = Some(result);
        }
        self.0.fetched.notify_all();
    }

    fn fetch(&self, id: &str) -> Result<Json<Value>, RestError> {
        let mut operations = self.lock();
        let Some(operation) = operations.by_id.get_mut(id) else {
            return Err(RestError::not_found(format!("There is no operation with the request id {id}.")));
        };
        operation.fetched = operation.result.is_some();
        let result = operation.result.clone();
        drop(operations);
        self.0.fetched.notify_all();
        match result {
            None => Ok(Json(json!({ "status": { "id": "IN_PROGRESS" }, "operation": null }))),
            Some(Ok(operation)) => Ok(Json(json!({ "status": { "id": "COMPLETED" }, "operation": operation }))),
            Some(Err(reason)) => Err(RestError::new(StatusCode::INTERNAL_SERVER_ERROR, reason)),
        }
    }

    /// Waits until every operation is over and was fetched, but no longer than `timeout`.
    pub fn wait_until_fetched(&self, timeout: Duration) {
        let operations = self.lock();
        let open = |operations: &mut Operations| operations.by_id.values().any(|o| !o.fetched);
        let _ = self.0.fetched.wait_timeout_while(operations, timeout, open);
    }

    fn lock(&self) -> MutexGuard<'_, Operations> {
        self.0.operations.lock().unwrap_or_else(|e| e.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_goes_from_in_progress_to_its_result() {
        let triggers = Triggers::default();
        let id = triggers.begin("a", None);
        assert_eq!(id.len(), 32);
        assert_ne!(triggers.begin("a", None), id);
        let poll = |id: &str| triggers.fetch(id).map(|Json(value)| value["status"]["id"].clone());
        assert_eq!(poll(&id).ok(), Some(json!("IN_PROGRESS")));
        triggers.end(&id, Ok(json!({ "location": "/s" })));
        assert_eq!(poll(&id).ok(), Some(json!("COMPLETED")));
        assert!(poll("feed").is_err());
        assert_eq!(triggers.begin("a", Some("cafe".into())), "cafe");
    }

    #[test]
    fn the_end_waits_for_answers_to_be_fetched() {
        let triggers = Triggers::default();
        let id = triggers.begin("a", None);
        triggers.end(&id, Err("disk full".into()));
        let client = {
            let triggers = triggers.clone();
            std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(50));
                triggers.fetch(&id).is_err()
            })
        };
        triggers.wait_until_fetched(Duration::from_secs(60));
        // It returned because of the fetch, not of the minute.
        assert!(client.join().is_ok_and(|failed| failed));
        // Nothing open: no wait at all.
        triggers.wait_until_fetched(Duration::from_secs(60));
    }
}
