//! `hurtig checkpoints`: of a running job over its REST, of any other from its data directory.

use std::path::{Path, PathBuf};

use clap::Args;
use hurtig_engine::checkpoint::{CheckpointStorage, Manifest};
use serde_json::{Value, json};

use super::{
    Failure,
    client::Where,
    table::{self, Align},
    units,
};

/// Lists a job's checkpoints.
#[derive(Debug, Args)]
#[command(after_help = "\
A running job tells its checkpoints itself. Without one, those that are stored are listed: of the data
directory that is given, or of hurtig-data.

Examples:
  hurtig checkpoints smart-meters
  hurtig checkpoints smart-meters --data-dir demo          also when the job is over
  hurtig checkpoints --checkpoint-dir s3://bucket/prefix smart-meters --json")]
pub struct CheckpointsCommand {
    /// The job's name, its id or the beginning of its id
    job: String,

    #[command(flatten)]
    r#where: Where,

    /// Where the checkpoints are, if not in the data directory
    #[arg(long, value_name = "DIR")]
    checkpoint_dir: Option<String>,

    /// Print JSON lines instead of a table
    #[arg(long)]
    json: bool,
}

/// One line.
struct Line {
    id: u64,
    kind: String,
    status: String,
    triggered_at: i64,
    duration_ms: i64,
    full_bytes: u64,
    written_bytes: u64,
    path: String,
}

impl CheckpointsCommand {
    /// Carries it out.
    pub fn run(&self) -> Result<(), Failure> {
        let lines = match &self.checkpoint_dir {
            Some(location) => self.stored(location)?,
            None => match (self.r#where.job(&self.job), self.data_dir()) {
                (Ok(job), _) => of_running(&job.get("/checkpoints")?),
                (Err(_), Some(data_dir)) => self.stored(&checkpoints_in(&data_dir))?,
                (Err(not_running), None) => return Err(not_running),
            },
        };
        if self.json {
            for line in &lines {
                println!("{}", line.json());
            }
            return Ok(());
        }
        if lines.is_empty() {
            println!("{} has no checkpoint yet", self.job);
            return Ok(());
        }
        let columns = [
            ("ID", Align::Right),
            ("KIND", Align::Left),
            ("STATUS", Align::Left),
            ("TRIGGERED", Align::Left),
            ("TOOK", Align::Right),
            ("STATE", Align::Right),
            ("WRITTEN", Align::Right),
            ("PATH", Align::Left),
        ];
        let rows: Vec<Vec<String>> = lines.iter().map(Line::row).collect();
        table::write(&mut std::io::stdout().lock(), &columns, &rows)?;
        Ok(())
    }

    /// The data directory to look into, as `run` and `query` have it.
    fn data_dir(&self) -> Option<PathBuf> {
        if self.r#where.rest.is_some() {
            return None;
        }
        let default = || PathBuf::from(std::env::var_os("HURTIG_DATA_DIR").unwrap_or_else(|| "hurtig-data".into()));
        self.r#where.data_dir.clone().or_else(|| Some(default()).filter(|dir| dir.is_dir()))
    }

    /// From the manifests, newest first.
    fn stored(&self, location: &str) -> Result<Vec<Line>, Failure> {
        let storage = CheckpointStorage::open(location, &self.job)?;
        if !Path::new(&storage.location()).is_dir()
            && let Some(jobs) = jobs_with_checkpoints(Path::new(location))
        {
            let there = if jobs.is_empty() { "of no job".to_owned() } else { format!("of {}", jobs.join(", ")) };
            return Err(Failure::failed(format!(
                "no job '{}' runs or has checkpoints in {location}: there are checkpoints {there}",
                self.job
            )));
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let mut lines = Vec::new();
            for id in storage.list_manifests().await?.into_iter().rev() {
                let point = storage.read_manifest(id).await?;
                lines.push(of_manifest(&point.manifest, &storage.location()));
            }
            Ok(lines)
        })
    }
}

/// The jobs of a local directory; `None` if it cannot be listed, as one on S3.
fn jobs_with_checkpoints(location: &Path) -> Option<Vec<String>> {
    let listing = std::fs::read_dir(location).ok()?;
    let folders = listing.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.join("generations").is_dir());
    let mut jobs: Vec<String> = folders.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect();
    jobs.sort();
    Some(jobs)
}

fn checkpoints_in(data_dir: &Path) -> String {
    let directory: PathBuf = data_dir.join("checkpoints");
    directory.display().to_string()
}

fn of_manifest(manifest: &Manifest, location: &str) -> Line {
    Line {
        id: manifest.id,
        kind: if manifest.kind.is_savepoint() { "SAVEPOINT" } else { "CHECKPOINT" }.to_owned(),
        status: if manifest.finished { "COMPLETED (last)" } else { "COMPLETED" }.to_owned(),
        triggered_at: manifest.created_at,
        duration_ms: manifest.totals.duration_ms,
        full_bytes: manifest.totals.full_bytes,
        written_bytes: manifest.totals.uploaded_bytes,
        path: format!("{location}/manifests/{:020}", manifest.id),
    }
}

/// Out of Flink's `/jobs/:jid/checkpoints`, so that a real Flink can be asked as well.
fn of_running(answer: &Value) -> Vec<Line> {
    let line = |c: &Value| Line {
        id: c["id"].as_u64().unwrap_or(0),
        kind: c["checkpoint_type"].as_str().unwrap_or_default().to_owned(),
        status: match c["failure_message"].as_str() {
            Some(reason) => format!("FAILED: {reason}"),
            None => c["status"].as_str().unwrap_or_default().to_owned(),
        },
        triggered_at: c["trigger_timestamp"].as_i64().unwrap_or(0),
        duration_ms: c["end_to_end_duration"].as_i64().unwrap_or(0),
        full_bytes: c["state_size"].as_u64().unwrap_or(0),
        written_bytes: c["checkpointed_size"].as_u64().unwrap_or(0),
        path: match c["discarded"].as_bool() {
            Some(true) => "(subsumed)".to_owned(),
            _ => c["external_path"].as_str().unwrap_or_default().to_owned(),
        },
    };
    answer["history"].as_array().into_iter().flatten().map(line).collect()
}

impl Line {
    fn row(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.kind.clone(),
            self.status.clone(),
            units::time(self.triggered_at),
            units::span(self.duration_ms),
            units::size(self.full_bytes),
            units::size(self.written_bytes),
            self.path.clone(),
        ]
    }

    fn json(&self) -> Value {
        json!({
            "id": self.id,
            "kind": self.kind,
            "status": self.status,
            "triggered_at": self.triggered_at,
            "duration_ms": self.duration_ms,
            "state_bytes": self.full_bytes,
            "written_bytes": self.written_bytes,
            "path": self.path,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_running_jobs_answer_becomes_lines() {
        let answer = json!({"history": [
            {"id": 9, "status": "FAILED", "checkpoint_type": "CHECKPOINT", "failure_message": "timed out"},
            {"id": 8, "status": "COMPLETED", "checkpoint_type": "SAVEPOINT", "external_path": "/s", "discarded": false,
             "trigger_timestamp": 1_000, "end_to_end_duration": 45, "state_size": 2048, "checkpointed_size": 1024},
            {"id": 7, "status": "COMPLETED", "external_path": "/c/7", "discarded": true},
        ]});
        let rows: Vec<_> = of_running(&answer).iter().map(Line::row).collect();
        assert_eq!(rows[0][2], "FAILED: timed out");
        let savepoint = ["8", "SAVEPOINT", "COMPLETED", "1970-01-01T00:00:01Z", "45 ms", "2.0 KiB", "1.0 KiB", "/s"];
        assert_eq!(rows[1], savepoint);
        assert_eq!(rows[2][7], "(subsumed)");
    }
}
