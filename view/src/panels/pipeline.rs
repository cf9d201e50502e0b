//! How the job is: state, throughput, lag, checkpoints, books, failures.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use crate::{
    error::{Error, Result},
    exposition::{Sample, samples},
    rest::Rest,
};

/// The jobs at an address.
#[derive(Debug, Default, Serialize)]
pub struct Pipeline {
    /// The clock's time.
    pub clock_ms: i64,
    /// The address that was asked.
    pub rest: Option<String>,
    /// Why nothing is known.
    pub why: Option<String>,
    /// Readings that the running jobs' sources take in a second; none without a job.
    pub readings_per_second: Option<f64>,
    /// Newest first.
    pub jobs: Vec<Job>,
}

/// A job.
#[derive(Debug, Serialize)]
pub struct Job {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Flink's word: `RUNNING`.
    pub state: String,
    /// How long it has been there.
    pub duration_ms: i64,
    /// How often it was restarted.
    pub restarts: i64,
    /// Its vertices, sources first.
    pub vertices: Vec<Vertex>,
    /// Its checkpoints.
    pub checkpoints: Checkpoints,
    /// Its sinks' books, as of the last completed checkpoint.
    pub books: Vec<Books>,
    /// Records that became dead letters, at any vertex.
    pub dead_lettered: f64,
    /// Failures, newest first.
    pub exceptions: Vec<Exception>,
}

/// A vertex, over all of its subtasks.
#[derive(Debug, Serialize)]
pub struct Vertex {
    /// Its operators' names.
    pub name: String,
    /// Whether it reads from outside.
    pub source: bool,
    /// How many subtasks it has.
    pub parallelism: i64,
    /// Records that come in, in a second.
    pub in_per_second: f64,
    /// Records that go out, in a second.
    pub out_per_second: f64,
    /// The least watermark of its subtasks; none before the first one, and at the end of the input.
    pub watermark_ms: Option<i64>,
    /// How far that is behind the clock.
    pub lag_ms: Option<i64>,
    /// Whether the input has come to its end.
    pub ended: bool,
    /// The share of time that the busiest subtask works.
    pub busy: f64,
    /// The share of time that a subtask could work and has no room downstream: the highest.
    pub backpressured: f64,
}

/// A job's checkpoints.
#[derive(Debug, Default, Serialize)]
pub struct Checkpoints {
    /// Completed ones.
    pub completed: i64,
    /// Failed ones.
    pub failed: i64,
    /// Running ones.
    pub in_progress: i64,
    /// The last completed one's number.
    pub last_id: Option<i64>,
    /// When it was complete.
    pub last_ms: Option<i64>,
    /// How long it took.
    pub last_duration_ms: Option<i64>,
    /// What it has uploaded, in bytes.
    pub last_bytes: Option<i64>,
    /// What it stands for, in bytes.
    pub last_full_bytes: Option<i64>,
    /// Why the last one that has failed did.
    pub last_failure: Option<String>,
}

/// A sink's books.
#[derive(Debug, Default, Serialize)]
pub struct Books {
    /// The sink.
    pub name: String,
    /// Records that came to it.
    pub read: f64,
    /// Records that it has written.
    pub written: f64,
    /// Records that were refused and, by policy, not kept.
    pub rejected: f64,
    /// Records that are dead letters.
    pub dead_lettered: f64,
    /// Whether nothing is missing: `read = written + rejected + dead_lettered`.
    pub balanced: bool,
}

/// A failure.
#[derive(Debug, Serialize)]
pub struct Exception {
    /// When it was.
    pub at_ms: i64,
    /// What it was, in a line.
    pub what: String,
    /// Which vertex it was in, if it was in one.
    pub task: Option<String>,
}

/// So many jobs and failures are shown.
const JOBS: usize = 6;
const EXCEPTIONS: usize = 5;
/// Watermarks beyond these are "not yet" and "at the end".
const ANY_TIME: f64 = 9.0e18;

/// The answer. A job that cannot be reached is one, too.
pub async fn ask(rest: Option<&Rest>, clock_ms: i64) -> Pipeline {
    let Some(rest) = rest else {
        let why = Some("No job's REST address was given, so only the store is looked at.".to_owned());
        return Pipeline { clock_ms, why, ..Pipeline::default() };
    };
    let pipeline = Pipeline { clock_ms, rest: Some(rest.url().to_owned()), ..Pipeline::default() };
    match jobs(rest, clock_ms).await {
        Ok(jobs) if jobs.is_empty() => Pipeline { why: Some("No job runs there.".into()), ..pipeline },
        Ok(jobs) => {
            let running = jobs.iter().filter(|job| job.state == "RUNNING");
            let sources = running.flat_map(|job| &job.vertices).filter(|vertex| vertex.source);
            let rate = sources.map(|vertex| vertex.in_per_second).sum();
            Pipeline { readings_per_second: Some(rate), jobs, ..pipeline }
        }
        Err(e) => Pipeline { why: Some(e.to_string()), ..pipeline },
    }
}

async fn jobs(rest: &Rest, clock_ms: i64) -> Result<Vec<Job>> {
    let overview = rest.json("/jobs/overview").await?;
    let lines = overview["jobs"].as_array().ok_or_else(|| Error::Rest("There are no jobs in its overview.".into()))?;
    let metrics = Metrics(samples(&rest.text("/metrics").await?));
    let mut jobs = Vec::new();
    for line in lines.iter().take(JOBS) {
        let id = text(&line["jid"]);
        let details = rest.json(&format!("/jobs/{id}")).await?;
        let checkpoints = rest.json(&format!("/jobs/{id}/checkpoints")).await?;
        let exceptions = rest.json(&format!("/jobs/{id}/exceptions?maxExceptions={EXCEPTIONS}")).await?;
        jobs.push(Job {
            name: text(&line["name"]),
            state: text(&line["state"]),
            duration_ms: integer(&line["duration"]).unwrap_or(0),
            restarts: metrics.of_job(&id, "flink_jobmanager_job_numRestarts").map(|s| s.value as i64).sum(),
            vertices: vertices(&id, &details, &metrics, clock_ms),
            checkpoints: checkpoints_of(&checkpoints),
            books: books(&id, &metrics),
            dead_lettered: metrics.of_job(&id, "hurtig_task_dead_lettered").map(|s| s.value).sum(),
            exceptions: exceptions_of(&exceptions),
            id,
        });
    }
    Ok(jobs)
}

/// What `/metrics` says.
struct Metrics(Vec<Sample>);

impl Metrics {
    fn of_job<'a>(&'a self, job: &'a str, name: &'a str) -> impl Iterator<Item = &'a Sample> {
        self.0.iter().filter(move |sample| sample.name == name && sample.label("job_id") == Some(job))
    }

    fn of_task<'a>(&'a self, job: &'a str, task: &'a str, name: &'a str) -> impl Iterator<Item = f64> {
        self.of_job(job, name).filter(move |sample| sample.label("task_id") == Some(task)).map(|sample| sample.value)
    }
}

fn vertices(job: &str, details: &Value, metrics: &Metrics, clock_ms: i64) -> Vec<Vertex> {
    let nodes = details["plan"]["nodes"].as_array().into_iter().flatten();
    let has_inputs = |node: &&Value| node["inputs"].as_array().is_some_and(|inputs| !inputs.is_empty());
    let inner: BTreeSet<String> = nodes.filter(has_inputs).map(|node| text(&node["id"])).collect();
    let vertex = |vertex: &Value| {
        let id = text(&vertex["id"]);
        let source = !inner.contains(&id);
        let of = |name: &str| -> Vec<f64> {
            metrics.of_task(job, &id, &format!("flink_taskmanager_job_task_{name}")).collect()
        };
        let sum = |name: &str| of(name).iter().sum::<f64>();
        let share = |name: &str| of(name).into_iter().fold(0.0, f64::max) / 1_000.0;
        // A source has no input: what it says itself counts.
        let watermark = if source { "operator_currentOutputWatermark" } else { "currentInputWatermark" };
        let watermark = of(watermark).into_iter().reduce(f64::min);
        let watermark_ms = watermark.filter(|time| time.abs() < ANY_TIME).map(|time| time as i64);
        Vertex {
            name: text(&vertex["name"]),
            source,
            parallelism: integer(&vertex["parallelism"]).unwrap_or(1),
            in_per_second: sum("numRecordsInPerSecond"),
            out_per_second: sum("numRecordsOutPerSecond"),
            watermark_ms,
            lag_ms: watermark_ms.map(|time| clock_ms - time),
            ended: watermark.is_some_and(|time| time >= ANY_TIME),
            busy: share("busyTimeMsPerSecond"),
            backpressured: share("backPressuredTimeMsPerSecond"),
        }
    };
    details["vertices"].as_array().into_iter().flatten().map(vertex).collect()
}

fn checkpoints_of(answer: &Value) -> Checkpoints {
    let (counts, last, failed) = (&answer["counts"], &answer["latest"]["completed"], &answer["latest"]["failed"]);
    Checkpoints {
        completed: integer(&counts["completed"]).unwrap_or(0),
        failed: integer(&counts["failed"]).unwrap_or(0),
        in_progress: integer(&counts["in_progress"]).unwrap_or(0),
        last_id: integer(&last["id"]),
        last_ms: integer(&last["latest_ack_timestamp"]),
        last_duration_ms: integer(&last["end_to_end_duration"]),
        last_bytes: integer(&last["checkpointed_size"]),
        last_full_bytes: integer(&last["state_size"]),
        last_failure: failed["failure_message"].as_str().map(str::to_owned),
    }
}

fn books(job: &str, metrics: &Metrics) -> Vec<Books> {
    let mut all: BTreeMap<String, Books> = BTreeMap::new();
    let mut put = |count: &str, put: fn(&mut Books, f64)| {
        for sample in metrics.of_job(job, &format!("hurtig_sink_books_{count}")) {
            let uid = sample.label("operator_id").unwrap_or_default().to_owned();
            let name = sample.label("operator_name").unwrap_or_default();
            let books = all.entry(uid).or_insert_with(|| Books { name: name.to_owned(), ..Books::default() });
            put(books, sample.value);
        }
    };
    put("read", |books, n| books.read += n);
    put("written", |books, n| books.written += n);
    put("rejected", |books, n| books.rejected += n);
    put("dead_lettered", |books, n| books.dead_lettered += n);
    let mut all: Vec<Books> = all.into_values().collect();
    for books in &mut all {
        books.balanced = books.read == books.written + books.rejected + books.dead_lettered;
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

fn exceptions_of(answer: &Value) -> Vec<Exception> {
    let entries = answer["exceptionHistory"]["entries"].as_array().into_iter().flatten();
    let exception = |entry: &Value| Exception {
        at_ms: integer(&entry["timestamp"]).unwrap_or(0),
        what: text(&entry["exceptionName"]),
        task: entry["taskName"].as_str().map(str::to_owned),
    };
    entries.map(exception).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Flink writes -1 for none.
fn integer(value: &Value) -> Option<i64> {
    value.as_i64().filter(|n| *n >= 0)
}
