//! Runs jobs in this process: one master thread a job, one thread a worker.
//!
//! [`LocalRunner::submit`] checks everything that can be checked before a record moves (the data
//! directory, the checkpoint to begin from, the sources), starts the master and returns a
//! [`JobHandle`]. The master owns the checkpoint coordinator, the sources' enumerators and the
//! sinks' committers; when a task fails it ends the others, waits, and begins a new attempt from
//! the latest checkpoint.

pub mod config;
mod deployment;
pub mod handle;
pub(crate) mod master;
pub mod restart;
mod restore;

use std::{
    fs::File,
    path::Path,
    sync::{Arc, Condvar, Mutex, mpsc},
};

pub use self::{
    config::{CheckpointSettings, JobConfig, Restore},
    handle::{ExceptionInfo, JobHandle, JobResult, JobState, JobStatus, SinkBooks},
    restart::RestartStrategy,
};
use self::{
    handle::Shared,
    master::{Master, Startup},
};
use crate::{
    checkpoint::{CheckpointStorage, RestorePoint, Retention, Statistics},
    error::{Error, Result},
    graph::JobGraph,
    sink::CommitterContext,
    task::TaskMetrics,
};

/// Runs jobs in this process.
#[derive(Debug, Clone, Copy, Default)]
pub struct LocalRunner;

impl LocalRunner {
    /// Starts `graph` and returns at once. What can be found wrong before a record moves is an
    /// error here: a data directory in use or read-only, a checkpoint of another job, a source
    /// that is not there.
    pub fn submit(graph: JobGraph, config: JobConfig) -> Result<JobHandle> {
        let runtime = runtime(&config)?;
        let lock = lock(&config.data_dir)?;
        let work = config.data_dir.join("work");
        clear(&work)?;

        let location = config.checkpoints.storage.clone();
        let location = location.unwrap_or_else(|| config.data_dir.join("checkpoints").display().to_string());
        let storage = CheckpointStorage::open(&location, &graph.name)?;
        let (writer, retention, point, earlier) = runtime.block_on(async {
            let writer = storage.claim_generation().await?;
            let retention = Retention::open(&writer).await?;
            let point = match &config.restore {
                Restore::Fresh => None,
                Restore::Latest => storage.latest().await?,
                Restore::Path(path) => Some(RestorePoint::open(path).await?),
            };
            let earlier = match &config.restore {
                Restore::Fresh => storage.latest().await?,
                _ => None,
            };
            Ok::<_, Error>((writer, retention, point, earlier))
        })?;
        if let Some(point) = &point {
            let uids = graph.uids().into_iter().map(str::to_owned).collect();
            let allow = config.allow_non_restored_state;
            point.manifest.check_compatible(&graph.name, &uids, graph.max_parallelism, allow)?;
        }

        let mut committers = Vec::new();
        for vertex in &graph.vertices {
            for meta in &vertex.committers {
                let Some(operator) = vertex.operators.get(meta.operator) else { continue };
                let (uid, name) = (operator.uid.clone(), operator.name.clone());
                let ctx = CommitterContext {
                    job: graph.name.clone(),
                    uid: uid.clone(),
                    name,
                    generation: writer.generation(),
                    clock: config.clock.clone(),
                    runtime: runtime.handle().clone(),
                };
                if let Some(committer) = (meta.make)(ctx)? {
                    committers.push((uid, committer));
                }
            }
        }

        let now = config.clock.now_ms();
        let metrics = graph
            .vertices
            .iter()
            .map(|v| (0..v.parallelism).map(|_| Arc::new(TaskMetrics::default())).collect::<Vec<_>>());
        let metrics = metrics.collect();
        let (mailbox, events) = mpsc::channel();
        let shared = Arc::new(Shared {
            id: job_id(&graph.name, config.seed, now),
            graph: Arc::new(graph),
            metrics,
            status: Mutex::new(JobStatus {
                state: JobState::Created,
                timestamps: vec![(JobState::Created, now)],
                start_time: now,
                end_time: None,
                restarts: 0,
                exceptions: Vec::new(),
                restored_from: None,
                checkpoints: Statistics::default(),
                books: Vec::new(),
            }),
            changed: Condvar::new(),
            mailbox: Mutex::new(Some(mailbox.clone())),
            failure: Mutex::new(None),
        });
        let startup = Startup {
            shared: shared.clone(),
            config,
            work,
            lock,
            runtime,
            writer: Arc::new(writer),
            retention,
            committers,
            initial: point,
            earlier,
            mailbox,
            events,
        };
        let mut master = Master::new(startup);
        // The first attempt's sources are opened here, so that a wrong path is an error at once.
        master.prepare()?;
        std::thread::Builder::new()
            .name("hurtig-master".into())
            .spawn(move || master.run())
            .map_err(|e| Error::Config(format!("no thread for the job's master: {e}")))?;
        Ok(JobHandle { shared })
    }
}

/// The edges' runtime; its numbers of threads are set here and nowhere else.
fn runtime(config: &JobConfig) -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .max_blocking_threads(config.io_threads.max(1) + 2)
        .thread_name("hurtig-io")
        .enable_all()
        .build()
        .map_err(|e| Error::Config(format!("the runtime for files and network cannot start: {e}")))
}

/// One process a data directory.
fn lock(data_dir: &Path) -> Result<File> {
    std::fs::create_dir_all(data_dir).map_err(|e| unusable(data_dir, e))?;
    let path = data_dir.join("lock");
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(|e| unusable(data_dir, e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(Error::Config(format!(
            "the data directory {} is in use by another hurtig: stop that one, or give this one its own with --data-dir",
            data_dir.display()
        ))),
        Err(std::fs::TryLockError::Error(e)) => Err(unusable(data_dir, e)),
    }
}

fn unusable(data_dir: &Path, e: std::io::Error) -> Error {
    Error::Config(format!(
        "the data directory {} cannot be used: {e}. Give a directory that can be written with --data-dir",
        data_dir.display()
    ))
}

/// Local state of earlier runs is of no use: the checkpoint is the only truth.
fn clear(work: &Path) -> Result<()> {
    match std::fs::remove_dir_all(work) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(Error::io(work, e)),
        _ => {}
    }
    std::fs::create_dir_all(work).map_err(|e| Error::io(work, e))
}

/// 32 hex digits from the name, the seed and the time.
fn job_id(name: &str, seed: u64, now: i64) -> String {
    let mix = |mut z: u64| {
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    };
    let named = name.bytes().fold(seed, |h, b| mix(h ^ u64::from(b)).wrapping_add(0x9E37_79B9_7F4A_7C15));
    format!("{:016x}{:016x}", mix(named), mix(named ^ now as u64))
}
