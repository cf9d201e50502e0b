//! The jobs that REST answers for.

use std::sync::{Arc, Mutex, MutexGuard};

use super::{error::RestError, rates::Rates};
use crate::{
    runner::{JobConfig, JobHandle},
    time::millis,
};

/// A registry of jobs. Clones share it.
#[derive(Clone, Default)]
pub struct Jobs(Arc<Mutex<Vec<Arc<Job>>>>);

/// One job with what only REST keeps about it.
pub(super) struct Job {
    pub handle: JobHandle,
    pub config: JobConfig,
    pub started_at: i64,
    rates: Mutex<Rates>,
}

impl Jobs {
    /// An empty registry.
    pub fn new() -> Self {
        Jobs::default()
    }

    /// Adds a job that was submitted with `config`.
    pub fn add(&self, handle: JobHandle, config: JobConfig) {
        let started_at = handle.status().start_time;
        self.lock().push(Arc::new(Job { handle, config, started_at, rates: Mutex::default() }));
    }

    /// The handles, in the order in which they were added.
    pub fn handles(&self) -> Vec<JobHandle> {
        self.lock().iter().map(|job| job.handle.clone()).collect()
    }

    /// The newest first, as Flink lists them.
    pub(super) fn all(&self) -> Vec<Arc<Job>> {
        self.lock().iter().rev().cloned().collect()
    }

    /// The job with this id.
    pub(super) fn get(&self, jid: &str) -> Result<Arc<Job>, RestError> {
        if !is_id(jid) {
            return Err(RestError::bad_parameter("jobid", jid));
        }
        let jobs = self.lock();
        let found = jobs.iter().find(|job| job.handle.id().eq_ignore_ascii_case(jid));
        found.cloned().ok_or_else(|| RestError::not_found(format!("Job {jid} not found")))
    }

    /// Reads the figures of all running jobs, for rates.
    pub(super) fn sample(&self) {
        for job in self.all() {
            if !job.handle.state().is_terminal() {
                let now = job.now();
                job.rates().record(now, job.handle.metrics());
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Job>>> {
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }
}

impl Job {
    /// By the job's own clock.
    pub fn now(&self) -> i64 {
        self.config.clock.now_ms()
    }

    pub fn rates(&self) -> MutexGuard<'_, Rates> {
        self.rates.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// The index of the vertex with this id.
    pub fn vertex(&self, vid: &str) -> Result<usize, RestError> {
        if !is_id(vid) {
            return Err(RestError::bad_parameter("vertexid", vid));
        }
        let mut vertices = self.handle.graph().vertices.iter();
        let found = vertices.position(|v| v.id().eq_ignore_ascii_case(vid));
        found.ok_or_else(|| RestError::not_found(format!("Vertex {vid} of job {} not found", self.handle.id())))
    }

    /// The checkpoint interval as Flink shows it when there is none.
    pub fn checkpoint_interval_ms(&self) -> i64 {
        self.config.checkpoints.interval.map_or(i64::MAX, millis)
    }
}

impl std::fmt::Debug for Jobs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.lock().iter().map(|job| job.handle.name().to_owned())).finish()
    }
}

fn is_id(id: &str) -> bool {
    id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit())
}
