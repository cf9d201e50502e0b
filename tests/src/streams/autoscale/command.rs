//! `hurtig stream autoscale` as its users run it, and what it says.

use std::{
    io::{BufRead, BufReader},
    os::unix::process::ExitStatusExt,
    process::{Child, Stdio},
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::{
    program,
    servers::{CREDENTIALS, REGION},
};

/// The command while it runs. It does not outlive this.
pub struct Command {
    child: Child,
    events: Arc<Mutex<Vec<Value>>>,
}

impl Command {
    /// Starts it for the stream `readings` of this endpoint.
    pub fn start(endpoint: &str, options: &str) -> Result<Self> {
        let line = format!("stream autoscale {} --json {options}", super::stream::NAME);
        let mut command = program::command(line.split_whitespace())?;
        command.env("AWS_ENDPOINT_URL", endpoint).env("AWS_REGION", REGION);
        command.env("AWS_ACCESS_KEY_ID", CREDENTIALS).env("AWS_SECRET_ACCESS_KEY", CREDENTIALS);
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let lines = BufReader::new(child.stdout.take().context("its output")?).lines();
        let events = Arc::new(Mutex::new(Vec::new()));
        let seen = events.clone();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let event = serde_json::from_str(&line).unwrap_or(Value::String(line));
                seen.lock().unwrap_or_else(PoisonError::into_inner).push(event);
            }
        });
        Ok(Command { child, events })
    }

    fn with<T>(&self, look: impl FnOnce(&[Value]) -> T) -> T {
        look(&self.events.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How often it has said `event`.
    pub fn count(&self, event: &str) -> usize {
        self.with(|events| events.iter().filter(|e| e["event"] == event).count())
    }

    /// The last time that it has said `event`.
    pub fn last(&self, event: &str) -> Option<Value> {
        self.with(|events| events.iter().rev().find(|e| e["event"] == event).cloned())
    }

    /// All that it has said.
    pub fn said(&self) -> String {
        self.with(|events| events.iter().map(|e| format!("{e}\n")).collect())
    }

    /// It must not end by itself.
    pub fn is_running(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("the command has ended with {status}; it said:\n{}", self.said()),
        }
    }

    /// Ctrl-C, and waits for its end.
    pub fn interrupt(&mut self) -> Result<()> {
        self.is_running()?;
        let pid = i32::try_from(self.child.id())?;
        // SAFETY: a signal to a child that nobody has waited for: its number is still its own.
        unsafe { libc::kill(pid, libc::SIGINT) };
        let status = self.child.wait()?;
        if status.signal() != Some(libc::SIGINT) && !matches!(status.code(), Some(0 | 130)) {
            bail!("interrupted, the command has ended with {status}; it said:\n{}", self.said());
        }
        Ok(())
    }
}

impl Drop for Command {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
