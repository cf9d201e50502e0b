//! The real `hurtig ingest`, killed again and again, and then let come to its end.

use std::{
    fmt,
    fs::File,
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{Child, Command},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use rand::{Rng, SeedableRng, rngs::SmallRng};
use serde_json::Value;

use super::{clock, seen::Seen};
use crate::program::{self, Said};

/// One that gets nothing into the stream for so long has failed.
const PATIENCE: Duration = Duration::from_secs(180);
/// It is killed while it feeds this part of its file: then it shows what it comes to when it is left alone.
const WITHIN: f64 = 0.4;
/// How often is looked whether it is time.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// How it is started.
pub struct Job<'a> {
    /// Where what it says is kept.
    pub dir: &'a Path,
    /// Its command line.
    pub options: Vec<String>,
    /// Where its servers are.
    pub environment: Vec<(&'static str, String)>,
}

/// What its lives came to.
pub struct Lives {
    /// The most memory that one has had, in bytes.
    pub memory: u64,
    /// How often it gave way to live traffic, so far as it has come to say so.
    pub gave_way: u64,
    /// How many of its entries were refused, so far as it has come to say so.
    pub throttled: u64,
    /// What the last one said at its end.
    pub summary: Value,
}

/// When a life ends.
#[derive(Debug, Clone, Copy)]
enum Kill {
    /// So long after so many records are in the stream.
    AfterRecords(u64, Duration),
    /// So long after its start, whatever it is at.
    After(Duration),
    /// When it has come to its end.
    Never,
}

impl fmt::Display for Kill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kill::AfterRecords(n, more) => write!(f, "SIGKILL {} ms after {n} records", more.as_millis()),
            Kill::After(time) => write!(f, "SIGKILL {} ms after its start", time.as_millis()),
            Kill::Never => write!(f, "to the end"),
        }
    }
}

impl Job<'_> {
    /// Kills it so often, at moments drawn from `seed` while it feeds so many `rows`; then it goes on
    /// to its end.
    pub fn run(&self, seed: u64, kills: u64, rows: u64, seen: &Seen, say: &mut impl FnMut(&str)) -> Result<Lives> {
        let mut random = SmallRng::seed_from_u64(seed);
        let mut lives = Lives { memory: 0, gave_way: 0, throttled: 0, summary: Value::Null };
        for number in 0..=kills {
            let kill = if number == kills {
                Kill::Never
            } else if number % 3 == 2 {
                Kill::After(Duration::from_millis(random.random_range(0..1_500)))
            } else {
                let at = rows as f64 * WITHIN * (number as f64 + random.random_range(0.3..1.0)) / kills as f64;
                Kill::AfterRecords(at as u64, Duration::from_millis(random.random_range(0..500)))
            };
            let before = seen.rows()?;
            let (memory, said) = self.live(number, kill, seen)?;
            lives.memory = lives.memory.max(memory);
            if let Some(progress) = said.events().filter(|event| event.get("pace").is_some()).last() {
                lives.gave_way += progress["pace"]["decreases"].as_u64().unwrap_or_default();
                lives.throttled += progress["pace"]["throttled"].as_u64().unwrap_or_default();
            }
            say(&format!(
                "life {number}: {kill}; records {before} to {}, {} MB of memory",
                seen.rows()?,
                memory / 1_000_000
            ));
            if number == kills {
                lives.summary = said.event("finished").context("it has not said what it has done")?;
            }
        }
        Ok(lives)
    }

    /// One life: the most memory it had, and what it said.
    fn live(&self, number: u64, kill: Kill, seen: &Seen) -> Result<(u64, Said)> {
        let [out, err] = ["out", "err"].map(|which| self.dir.join(format!("life-{number:03}.{which}")));
        let mut command = program::command(&self.options)?;
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdout(File::create(&out)?).stderr(File::create(&err)?);
        let mut process = Process::start(&mut command)?;
        let ended = process.until(kill, seen);
        let text = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
        let said = Said { code: None, out: text(&out), err: text(&err) };
        match ended {
            Ok(()) => Ok((process.memory, said)),
            Err(e) => {
                let (lines, errors): (Vec<_>, Vec<_>) = (said.out.lines().collect(), said.err.lines().collect());
                let tail = |lines: &[&str]| lines[lines.len().saturating_sub(15)..].join("\n");
                bail!("life {number} ({kill}): {e:#}\n{}\n{}", tail(&lines), tail(&errors))
            }
        }
    }
}

/// A child that is never left behind.
struct Process {
    child: Child,
    memory: u64,
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    fn start(command: &mut Command) -> Result<Self> {
        Ok(Process { child: command.spawn().context("hurtig cannot be started")?, memory: 0 })
    }

    fn until(&mut self, kill: Kill, seen: &Seen) -> Result<()> {
        let start = clock();
        let (mut rows, mut news, mut reached) = (seen.rows()?, start, None::<Instant>);
        loop {
            self.look_at_memory()?;
            if let Some(status) = self.child.try_wait()? {
                return match kill {
                    Kill::Never if status.success() => Ok(()),
                    // What has seen the records was slow: that life came to its end before anybody knew.
                    Kill::AfterRecords(..) if status.success() => Ok(()),
                    _ => bail!("it ended with {status}"),
                };
            }
            let (now, found) = (clock(), seen.rows()?);
            if found > rows {
                (rows, news) = (found, now);
            }
            if matches!(kill, Kill::AfterRecords(n, _) if found >= n) {
                reached.get_or_insert(now);
            }
            let is_time = match kill {
                Kill::AfterRecords(_, more) => reached.is_some_and(|at| now - at >= more),
                Kill::After(time) => now - start >= time,
                Kill::Never => false,
            };
            if is_time {
                self.child.kill()?;
                let status = self.child.wait()?;
                return match status.signal() {
                    Some(libc::SIGKILL) => Ok(()),
                    _ => bail!("before it was killed it ended with {status}"),
                };
            }
            if now - news > PATIENCE {
                bail!("no record has come for {} s, {rows} are there", PATIENCE.as_secs());
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// The most it has had resident at any time; one that has ended says nothing any more.
    fn look_at_memory(&mut self) -> Result<()> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        if let Some(most) = most {
            let kib: u64 = most.trim().trim_end_matches("kB").trim().parse().context("VmHWM")?;
            self.memory = self.memory.max(kib * 1024);
        }
        Ok(())
    }
}
