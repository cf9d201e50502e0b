//! Talks to running jobs over their REST: finds them, asks, waits for operations.

use std::{io::ErrorKind, path::PathBuf, time::Duration};

use clap::Args;
use serde_json::{Value, json};
use ureq::Agent;

use super::{
    Failure,
    registry::{self, Entry, Found},
};

/// Where to look for jobs.
#[derive(Debug, Clone, Args)]
pub struct Where {
    /// Only the job of this data directory
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,

    /// Only the jobs that this address answers for
    #[arg(long, value_name = "URL", conflicts_with = "data_dir")]
    pub rest: Option<String>,
}

/// One job and where it answers.
#[derive(Debug, Clone)]
pub struct RunningJob {
    /// The job's id.
    pub id: String,
    /// The job's name.
    pub name: String,
    /// The address, without a slash at the end.
    pub url: String,
    /// Its line in `/jobs/overview`.
    pub overview: Value,
    /// Its data directory, if it is known.
    pub data_dir: Option<PathBuf>,
    /// Its process, if it is known.
    pub pid: Option<u32>,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Jobs {
    /// The jobs that answer.
    pub answering: Vec<RunningJob>,
    /// Those that seem to run but do not answer: too busy, or just beginning or ending.
    pub silent: Vec<Entry>,
}

/// A job that does not answer within this time is silent.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Between two questions whether an operation is over.
const POLL: Duration = Duration::from_millis(100);

impl Where {
    /// All jobs that run.
    pub fn jobs(&self) -> Result<Jobs, Failure> {
        if let Some(url) = &self.rest {
            let url = url.trim_end_matches('/');
            let url = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
            return Ok(Jobs { answering: overview(&url)?, silent: Vec::new() });
        }
        let found = match &self.data_dir {
            Some(data_dir) => registry::of_data_dir(data_dir).into_iter().collect(),
            None => registry::of_user(),
        };
        let mut jobs = Jobs::default();
        for found in found {
            match presence(&found) {
                Presence::Answers(job) => jobs.answering.push(job),
                Presence::Silent => jobs.silent.push(found.entry),
                Presence::Gone => registry::forget(&found),
            }
        }
        jobs.answering.sort_by(|a, b| a.name.cmp(&b.name).then_with(|| a.id.cmp(&b.id)));
        jobs.answering.dedup_by(|a, b| a.id == b.id);
        jobs.silent.dedup_by(|a, b| a.id == b.id);
        Ok(jobs)
    }

    /// The one job that `job` names: by its id, the beginning of its id, or its name.
    pub fn job(&self, job: &str) -> Result<RunningJob, Failure> {
        let Jobs { answering: jobs, silent } = self.jobs()?;
        if let Some(busy) = silent.iter().find(|e| e.name == job || e.id.starts_with(job)) {
            return Err(Failure::failed(format!(
                "'{job}' (process {}) does not answer at {}: it is busy, just beginning or just ending; try again",
                busy.pid, busy.url
            )));
        }
        let named: Vec<&RunningJob> = jobs.iter().filter(|j| j.name == job || j.id.starts_with(job)).collect();
        match named.as_slice() {
            [one] => Ok((*one).clone()),
            [] => {
                let running: Vec<_> = jobs.iter().map(|j| j.name.as_str()).collect();
                let there = match running.as_slice() {
                    [] => "no job is running".to_owned(),
                    names => format!("running: {}", names.join(", ")),
                };
                Err(Failure::failed(format!("no running job is called '{job}' ({there}); see `hurtig jobs`")))
            }
            several => {
                let ids: Vec<_> = several.iter().map(|j| j.id.as_str()).collect();
                Err(Failure::failed(format!("'{job}' is several jobs: give one of the ids {}", ids.join(", "))))
            }
        }
    }
}

impl RunningJob {
    /// GET below `/jobs/:jid`
    pub fn get(&self, path: &str) -> Result<Value, Failure> {
        get(&format!("{}/jobs/{}{path}", self.url, self.id))
    }

    /// POST below `/jobs/:jid`, and the result of the operation that begins with it.
    pub fn operation(&self, post: &str, body: &Value, poll: &str) -> Result<Value, Failure> {
        let answer = agent().post(format!("{}/jobs/{}{post}", self.url, self.id)).send_json(body);
        let trigger = self.answered(answer)?;
        let trigger = trigger["request-id"].as_str().unwrap_or_default().to_owned();
        loop {
            std::thread::sleep(POLL);
            let status = self.get(&format!("{poll}/{trigger}"))?;
            if status["status"]["id"] == json!("COMPLETED") {
                let operation = status["operation"].clone();
                if let Some(cause) = operation.get("failure-cause") {
                    // A real Flink says it like this.
                    let words = cause["stack-trace"].as_str().unwrap_or_default().lines().next().unwrap_or_default();
                    return Err(Failure::failed(words));
                }
                return Ok(operation);
            }
        }
    }

    /// PATCH `?mode=cancel`
    pub fn cancel(&self) -> Result<(), Failure> {
        let answer = agent().patch(format!("{}/jobs/{}?mode=cancel", self.url, self.id)).send_json(json!({}));
        self.answered(answer).map(|_| ())
    }

    /// Waits until the job is over or its process is gone, and says how it ended if that is known.
    pub fn wait_for_end(&self) -> Option<String> {
        loop {
            let state = self.get("/status").ok()?["status"].as_str()?.to_owned();
            if matches!(state.as_str(), "FINISHED" | "CANCELED" | "FAILED") {
                return Some(state);
            }
            std::thread::sleep(POLL);
        }
    }

    fn answered(&self, answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<Value, Failure> {
        read(&self.url, answer)
    }
}

enum Presence {
    Answers(RunningJob),
    Silent,
    Gone,
}

/// Whether the job of one file runs. It is gone only if nothing answers at its address, or another
/// job does, and its data directory is free: whoever just takes long must not become unfindable.
fn presence(found: &Found) -> Presence {
    let answer = agent().get(format!("{}/jobs/overview", found.entry.url)).call();
    let refused = matches!(&answer, Err(ureq::Error::Io(e)) if e.kind() == ErrorKind::ConnectionRefused);
    let jobs = read(&found.entry.url, answer).map(|answer| jobs_of(&answer, &found.entry.url, Some(&found.entry)));
    let taken_over = match jobs {
        Ok(jobs) => match jobs.into_iter().find(|job| job.id == found.entry.id) {
            Some(job) => return Presence::Answers(job),
            None => true,
        },
        Err(_) => false,
    };
    if (refused || taken_over) && registry::is_over(&found.entry) { Presence::Gone } else { Presence::Silent }
}

fn overview(url: &str) -> Result<Vec<RunningJob>, Failure> {
    Ok(jobs_of(&get(&format!("{url}/jobs/overview"))?, url, None))
}

fn jobs_of(answer: &Value, url: &str, entry: Option<&Entry>) -> Vec<RunningJob> {
    let text = |line: &Value, key: &str| line[key].as_str().unwrap_or_default().to_owned();
    let job = |line: &Value| RunningJob {
        id: text(line, "jid"),
        name: text(line, "name"),
        url: url.to_owned(),
        overview: line.clone(),
        data_dir: entry.map(|e| e.data_dir.clone()),
        pid: entry.map(|e| e.pid),
    };
    answer["jobs"].as_array().into_iter().flatten().map(job).collect()
}

fn get(url: &str) -> Result<Value, Failure> {
    read(url, agent().get(url).call())
}

fn read(url: &str, answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<Value, Failure> {
    let mut answer = answer.map_err(|e| Failure::failed(format!("{url} does not answer: {e}")))?;
    let status = answer.status();
    let body: Value = answer
        .body_mut()
        .read_json()
        .map_err(|e| Failure::failed(format!("{url} does not answer like Flink's REST API: {e}")))?;
    if status.is_success() {
        return Ok(body);
    }
    let errors = body["errors"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let words: Vec<&str> = errors.filter_map(|e| e.lines().next()).collect();
    Err(Failure::failed(if words.is_empty() { format!("{url}: status {status}") } else { words.join("; ") }))
}

/// Without the environment's proxies: jobs are near.
fn agent() -> Agent {
    Agent::config_builder().timeout_global(Some(TIMEOUT)).http_status_as_error(false).proxy(None).build().into()
}

#[cfg(test)]
mod tests {
    use std::{fs::File, net::TcpListener, path::Path};

    use super::*;

    fn found(dir: &Path, url: String) -> Found {
        let (id, name, data_dir) = ("a".into(), "meters".into(), dir.to_owned());
        Found { entry: Entry { id, name, pid: std::process::id(), url, data_dir }, file: dir.join("rest.json") }
    }

    #[test]
    fn a_job_is_gone_when_nobody_answers_and_nobody_holds_its_data() {
        let dir = tempfile::tempdir().expect("a directory");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        drop(listener);
        let found = found(dir.path(), url);
        let lock = File::create(dir.path().join("lock")).expect("a file");
        lock.lock().expect("a lock");
        assert!(matches!(presence(&found), Presence::Silent), "somebody works there");
        lock.unlock().expect("unlocked");
        assert!(matches!(presence(&found), Presence::Gone));
    }

    #[test]
    fn a_job_that_hangs_up_is_silent() {
        let dir = tempfile::tempdir().expect("a directory");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let busy = std::thread::spawn(move || drop(listener.accept()));
        assert!(matches!(presence(&found(dir.path(), url)), Presence::Silent));
        busy.join().expect("it was asked");
    }
}
