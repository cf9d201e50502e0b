//! One process: from its start to its death, or to the job's end.

use std::{
    fs::File,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use super::kill::Kill;
use crate::program;

/// A life without a new checkpoint, without its death and without its end for so long has failed.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often is looked whether it is time.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// A failpoint that is not come by in so many checkpoints is given up on.
const ENOUGH_CHECKPOINTS: u64 = 6;

/// How a life ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// As it was meant to, by SIGKILL.
    Killed,
    /// By SIGKILL, because it did not come by its failpoint.
    MissedFailpoint,
    /// The job had come to its end before.
    Finished,
}

/// What a life came to.
#[derive(Debug)]
pub struct Life {
    /// How it ended.
    pub ended: Ended,
    /// The newest checkpoint before it and after it.
    pub checkpoints: (u64, u64),
}

/// Starts the job in `data_dir` from its latest checkpoint, and kills it. `name` is what its
/// output is kept under, in `dir`; `environment` is what it has beside this process's own.
pub fn live(
    dir: &Path,
    name: &str,
    options: &[String],
    environment: &[(&str, String)],
    data_dir: &Path,
    kill: &Kill,
) -> Result<Life> {
    let mut command = program::command(options)?;
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    let out = dir.join(format!("{name}.out"));
    let err = dir.join(format!("{name}.err"));
    command.args(["--from", "latest", "--rest-port", "off", "--json", "--data-dir"]).arg(data_dir);
    command.current_dir(dir).stdout(File::create(&out)?).stderr(File::create(&err)?);
    if let Kill::At(point, n) = kill {
        command.env("HURTIG_KILL_AT", format!("{point}:{n}"));
    }
    let before = newest_checkpoint(data_dir)?;
    let mut process = Process::start(&mut command)?;
    let ended = process.until(kill, data_dir, before).and_then(|ended| must_not_restart(&out).map(|()| ended));
    let after = newest_checkpoint(data_dir)?;
    match ended {
        Ok(ended) => Ok(Life { ended, checkpoints: (before, after) }),
        Err(e) => bail!("{name} ({kill}): {e:#}\n{}\n{}", tail(&out), tail(&err)),
    }
}

/// A job that is killed has nothing to recover from by itself: a failure would be one of ours.
fn must_not_restart(out: &Path) -> Result<()> {
    let said = std::fs::read_to_string(out).with_context(|| out.display().to_string())?;
    let events = said.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let restarted = |e: &serde_json::Value| e["event"] == "restarting" || e["restarts"].as_u64().is_some_and(|n| n > 0);
    match events.into_iter().find(restarted) {
        Some(event) => bail!("it has failed and restarted: {event}"),
        None => Ok(()),
    }
}

fn tail(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    format!("{}:\n{}", path.display(), lines[lines.len().saturating_sub(15)..].join("\n"))
}

/// A child that is never left behind.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    fn start(command: &mut Command) -> Result<Self> {
        Ok(Process(command.spawn().context("hurtig cannot be started")?))
    }

    #[allow(clippy::disallowed_methods, reason = "a driver: other processes live by the wall clock")]
    fn until(&mut self, kill: &Kill, data_dir: &Path, before: u64) -> Result<Ended> {
        let start = Instant::now();
        let (mut newest, mut news) = (before, start);
        loop {
            if let Some(status) = self.0.try_wait()? {
                return judge(status, kill);
            }
            let now = Instant::now();
            let latest = newest_checkpoint(data_dir)?;
            if latest > newest {
                (newest, news) = (latest, now);
            }
            match kill {
                Kill::AfterCheckpoints(n, more) if newest >= before + n && now - news >= *more => {
                    return self.kill(Ended::Killed);
                }
                Kill::At(..) if newest >= before + ENOUGH_CHECKPOINTS => return self.kill(Ended::MissedFailpoint),
                _ if now - news > PATIENCE => {
                    bail!("no progress: checkpoint {newest} was the last for {} s", PATIENCE.as_secs());
                }
                _ => std::thread::sleep(LOOK_EVERY),
            }
        }
    }

    /// Ends it, which counts as `ended` unless it was just at its own end.
    fn kill(&mut self, ended: Ended) -> Result<Ended> {
        self.0.kill()?;
        let status = self.0.wait()?;
        match (status.code(), status.signal()) {
            (Some(0), _) => Ok(Ended::Finished),
            (_, Some(libc::SIGKILL)) => Ok(ended),
            _ => bail!("before it was killed it ended with {status}"),
        }
    }
}

/// What it means that it has ended by itself.
fn judge(status: ExitStatus, kill: &Kill) -> Result<Ended> {
    match (status.code(), status.signal(), kill) {
        (Some(0), ..) => Ok(Ended::Finished),
        (_, Some(libc::SIGKILL), Kill::At(..)) => Ok(Ended::Killed),
        _ => bail!("it ended with {status}"),
    }
}

/// The number of the newest completed checkpoint, 0 if there is none.
pub fn newest_checkpoint(data_dir: &Path) -> Result<u64> {
    let mut newest = 0;
    // <data dir>/checkpoints/<job>/manifests/<number>
    for job in list(&data_dir.join("checkpoints"))? {
        for manifest in list(&job.join("manifests"))? {
            let number = manifest.file_name().and_then(|n| n.to_str()).and_then(|n| n.parse().ok());
            newest = newest.max(number.unwrap_or(0));
        }
    }
    Ok(newest)
}

/// What is in a directory; nothing in one that is not there.
fn list(dir: &Path) -> Result<Vec<PathBuf>> {
    match std::fs::read_dir(dir) {
        Ok(entries) => entries.map(|e| Ok(e?.path())).collect(),
        Err(e) if matches!(e.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
            Ok(Vec::new())
        }
        Err(e) => Err(e).with_context(|| dir.display().to_string()),
    }
}
