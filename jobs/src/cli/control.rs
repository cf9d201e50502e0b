//! `hurtig savepoint`, `stop` and `cancel`: what can be asked of a running job.

use clap::Args;
use serde_json::{Value, json};

use super::{Failure, client::Where};

/// Takes a savepoint.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hurtig savepoint smart-meters                below `savepoints` in the job's data directory
  hurtig savepoint smart-meters /backup        below /backup
  hurtig run smart-meters --from PATH          goes on from it, at any parallelism")]
pub struct SavepointCommand {
    /// The job's name, its id or the beginning of its id
    job: String,

    /// Below which directory [default: `savepoints` in the job's data directory]
    #[arg(value_name = "DIR")]
    directory: Option<String>,

    #[command(flatten)]
    r#where: Where,

    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

/// Ends a job with a savepoint.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hurtig stop smart-meters                     a savepoint, and the end
  hurtig stop smart-meters --drain             all windows fire first: for a job that will not go on
  hurtig stop 2fcad1 /backup                   by the beginning of the id, with the savepoint below /backup")]
pub struct StopCommand {
    /// The job's name, its id or the beginning of its id
    job: String,

    /// Below which directory the savepoint goes [default: `savepoints` in the job's data directory]
    #[arg(value_name = "DIR")]
    directory: Option<String>,

    /// Take event time to its end first, so that every window and timer fires
    #[arg(long)]
    drain: bool,

    #[command(flatten)]
    r#where: Where,

    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

/// Ends a job at once.
#[derive(Debug, Args)]
#[command(after_help = "\
What was committed stays. The same `hurtig run` with `--from latest` goes on from the last checkpoint.

Examples:
  hurtig cancel smart-meters
  hurtig cancel smart-meters --data-dir demo   the one of this data directory, where several run")]
pub struct CancelCommand {
    /// The job's name, its id or the beginning of its id
    job: String,

    #[command(flatten)]
    r#where: Where,

    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

impl SavepointCommand {
    /// Carries it out.
    pub fn run(&self) -> Result<(), Failure> {
        let job = self.r#where.job(&self.job)?;
        let body = json!({ "target-directory": directory(self.directory.as_deref()), "cancel-job": false });
        let operation = job.operation("/savepoints", &body, "/savepoints")?;
        let path = location(&operation);
        say(self.json, &format!("savepoint {path}"), &json!({ "job": job.id, "savepoint": path }));
        Ok(())
    }
}

impl StopCommand {
    /// Carries it out.
    pub fn run(&self) -> Result<(), Failure> {
        let job = self.r#where.job(&self.job)?;
        let body = json!({ "targetDirectory": directory(self.directory.as_deref()), "drain": self.drain });
        let operation = job.operation("/stop", &body, "/savepoints")?;
        let path = location(&operation);
        say(self.json, &format!("stopped with savepoint {path}"), &json!({ "job": job.id, "savepoint": path }));
        Ok(())
    }
}

impl CancelCommand {
    /// Carries it out.
    pub fn run(&self) -> Result<(), Failure> {
        let job = self.r#where.job(&self.job)?;
        job.cancel()?;
        let state = job.wait_for_end();
        let state = state.as_deref().unwrap_or("CANCELED");
        say(self.json, &format!("{} is {state}", job.name), &json!({ "job": job.id, "state": state }));
        Ok(())
    }
}

/// The job may have another working directory.
fn directory(directory: Option<&str>) -> Option<String> {
    let directory = directory?;
    if directory.contains("://") {
        return Some(directory.to_owned());
    }
    let absolute = std::path::absolute(directory).ok()?;
    Some(absolute.display().to_string())
}

fn location(operation: &Value) -> String {
    operation["location"].as_str().unwrap_or("–").to_owned()
}

fn say(as_json: bool, text: &str, fields: &Value) {
    if as_json { println!("{fields}") } else { println!("{text}") }
}
