//! `hurtig jobs`: what runs.

use clap::Args;
use serde_json::{Value, json};

use super::{
    Failure,
    client::{Jobs, RunningJob, Where},
    table::{self, Align},
    units,
};

/// Lists running jobs.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hurtig jobs                                  all running jobs of this user
  hurtig jobs --json                           for scripts, one object a line
  hurtig jobs --rest http://127.0.0.1:8081     the jobs of one address (a Flink cluster's too)")]
pub struct JobsCommand {
    #[command(flatten)]
    r#where: Where,

    /// Print JSON lines instead of a table
    #[arg(long)]
    json: bool,
}

impl JobsCommand {
    /// Carries it out.
    pub fn run(&self) -> Result<(), Failure> {
        let Jobs { answering: jobs, silent } = self.r#where.jobs()?;
        for job in &silent {
            eprintln!("{} (process {}) does not answer at {}", job.name, job.pid, job.url);
        }
        if self.json {
            for job in &jobs {
                println!("{}", line(job));
            }
            return Ok(());
        }
        if jobs.is_empty() && !silent.is_empty() {
            return Ok(());
        }
        if jobs.is_empty() {
            println!("no job is running; start one with `hurtig run smart-meters`");
            return Ok(());
        }
        let columns = [
            ("ID", Align::Left),
            ("NAME", Align::Left),
            ("STATE", Align::Left),
            ("SINCE", Align::Left),
            ("FOR", Align::Right),
            ("TASKS", Align::Right),
            ("PID", Align::Right),
            ("REST", Align::Left),
        ];
        let rows: Vec<Vec<String>> = jobs.iter().map(row).collect();
        table::write(&mut std::io::stdout().lock(), &columns, &rows)?;
        Ok(())
    }
}

fn row(job: &RunningJob) -> Vec<String> {
    let ms = |key: &str| job.overview[key].as_i64().unwrap_or(0);
    vec![
        job.id.clone(),
        job.name.clone(),
        job.overview["state"].as_str().unwrap_or_default().to_owned(),
        units::time(ms("start-time")),
        units::span(ms("duration")),
        job.overview["tasks"]["total"].to_string(),
        job.pid.map_or_else(|| "–".to_owned(), |pid| pid.to_string()),
        job.url.clone(),
    ]
}

fn line(job: &RunningJob) -> Value {
    json!({
        "id": job.id,
        "name": job.name,
        "state": job.overview["state"],
        "start_time": job.overview["start-time"],
        "duration_ms": job.overview["duration"],
        "pid": job.pid,
        "rest": job.url,
        "data_dir": job.data_dir,
    })
}
