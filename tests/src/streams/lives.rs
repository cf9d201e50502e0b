//! The job, killed until everything was sent, and then let come to its end.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result, bail};
use rand::{Rng, SeedableRng, rngs::SmallRng};

use super::world::Shared;
use crate::chaos::{
    kill::Kill,
    life::{Ended, live, newest_checkpoint},
};

/// A failpoint between a complete checkpoint and the commit of what it holds.
const BEFORE_COMMIT: &str = "checkpoint-manifest-written";
/// How soon a job that did not start is started again.
const RESTART: Duration = Duration::from_millis(500);
/// So many checkpoints come in no life.
const NEVER: u64 = 1 << 40;

/// How the job is started.
pub struct Job<'a> {
    /// Where it writes, and what its processes say is kept.
    pub dir: &'a Path,
    /// `run smart-meters` and its options, without those that differ from life to life.
    pub options: Vec<String>,
    /// Where its servers are.
    pub environment: Vec<(&'static str, String)>,
}

impl Job<'_> {
    /// Kills and restores it until the world has sent everything, then reads what is left to its end.
    /// `say` is told of each life.
    pub fn run(&self, seed: u64, shared: &Shared, say: &mut impl FnMut(&str)) -> Result<u64> {
        let mut random = SmallRng::seed_from_u64(seed);
        let mut gone = false;
        for number in 0_u64.. {
            let parallelism = [2, 1, 4][number as usize % 3];
            let last = shared.all_sent();
            let kill = if last {
                Kill::AfterCheckpoints(NEVER, Duration::ZERO)
            } else if number % 2 == 1 {
                Kill::At(BEFORE_COMMIT, random.random_range(1..=2))
            } else {
                Kill::AfterCheckpoints(random.random_range(1..=3), Duration::from_millis(random.random_range(0..500)))
            };
            let mut options = self.options.clone();
            options.extend(["--parallelism".to_owned(), parallelism.to_string()]);
            if last {
                options.push("--bounded".into());
            }
            let (dir, data) = (self.dir, self.dir.join("data"));
            let (outages, before) = (shared.outages(), newest_checkpoint(&data)?);
            let life = live(dir, &format!("life-{number:03}"), &options, &self.environment, &data, &kill);
            for note in shared.notes() {
                say(&note);
            }
            let life = match life {
                // While nobody answers a job does not start, and says so: whoever watches over it
                // starts it again. One that runs has to bear it.
                Err(e) if outages != shared.outages() || outages.1 => {
                    if newest_checkpoint(&data)? > before {
                        return Err(e.context("it ran, and did not outlive that its server was gone"));
                    }
                    if !std::mem::replace(&mut gone, true) {
                        say(&format!(
                            "life {number}: its server is gone when it starts; it is started again and again"
                        ));
                    }
                    std::thread::sleep(RESTART);
                    continue;
                }
                life => life?,
            };
            gone = false;
            let (before, after) = life.checkpoints;
            let how = if last { "to the end".to_owned() } else { kill.to_string() };
            say(&format!("life {number}: parallelism {parallelism}, {how}; checkpoints {before} to {after}"));
            match life.ended {
                Ended::Finished if last => return Ok(shared.kills()),
                Ended::Finished => bail!("life {number} has come to an end, and its stream has none"),
                Ended::Killed | Ended::MissedFailpoint => shared.killed(),
            }
        }
        bail!("there are no more numbers")
    }
}

/// Where a case keeps everything: gone afterwards, unless it has failed.
pub fn in_directory<T>(dir: Option<&Path>, name: &str, run: impl FnOnce(&Path) -> Result<T>) -> Result<T> {
    if let Some(dir) = dir {
        let dir = std::path::absolute(dir.join(name))?;
        std::fs::create_dir_all(&dir).with_context(|| dir.display().to_string())?;
        return run(&dir);
    }
    let temporary = tempfile::Builder::new().prefix("hurtig-streams-").tempdir()?;
    run(temporary.path()).map_err(|e| {
        let kept = temporary.keep();
        e.context(format!("{name}; everything is left in {}", kept.display()))
    })
}

/// Runs the world and the job beside it: what goes wrong in one ends the other.
pub fn beside<T>(
    shared: &Shared,
    world: impl FnOnce() -> Result<()> + Send,
    job: impl FnOnce() -> Result<T>,
) -> Result<T> {
    std::thread::scope(|scope| {
        let world = scope.spawn(|| {
            let done = world();
            shared.set_all_sent();
            done
        });
        let done = job();
        if done.is_err() {
            shared.give_up();
        }
        let world = world.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        match (done, world) {
            // The world's error is the cause if it has not just given up.
            (Err(job), Err(_)) => Err(job),
            (Err(job), Ok(())) => Err(job),
            (Ok(_), Err(world)) => Err(world),
            (Ok(done), Ok(())) => Ok(done),
        }
    })
}
