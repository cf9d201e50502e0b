//! One job from its first record to its last, killed on the way.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::{
    kill::{Fate, Kill, failpoints},
    life::{Ended, live},
    settings::Settings,
    written::{Written, books},
};
use crate::program::{self, Said};

/// What all campaigns came to.
#[derive(Debug, Default)]
pub struct Figures {
    /// Kills that did kill.
    pub kills: u64,
    /// How often each failpoint was where it died.
    pub at: BTreeMap<&'static str, u64>,
    /// Jobs that came to their end.
    pub campaigns: u64,
    /// Lives in which a checkpoint was completed, or the job.
    pub lives_with_progress: u64,
    /// Completed checkpoints.
    pub checkpoints: u64,
    /// What an undisturbed run has written.
    pub rows: Vec<(&'static str, usize)>,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows: Vec<_> = self.rows.iter().map(|(name, n)| format!("{name} {n}")).collect();
        let at: Vec<_> = self.at.iter().map(|(name, n)| format!("{name} {n}")).collect();
        writeln!(
            f,
            "{} kills in {} campaigns, {} checkpoints completed",
            self.kills, self.campaigns, self.checkpoints
        )?;
        writeln!(f, "at failpoints: {}", at.join(", "))?;
        write!(f, "identical each time: {}; books equal; no pending file left", rows.join(", "))
    }
}

/// Kills as often as `settings` say, in as many campaigns as that takes. `say` is told what happens.
pub fn run(settings: &Settings, mut say: impl FnMut(&str)) -> Result<Figures> {
    let place = Place::new(settings.dir.clone())?;
    let figures = campaigns(settings, &place.dir, &mut say);
    if figures.is_err() {
        say(&format!("seed {}; everything is left in {}", settings.seed, place.keep().display()));
    }
    figures
}

fn campaigns(settings: &Settings, dir: &Path, say: &mut impl FnMut(&str)) -> Result<Figures> {
    let undisturbed = Undisturbed::run(settings, dir)?;
    let mut figures = Figures { rows: undisturbed.written.rows().collect(), ..Figures::default() };
    let rows: Vec<_> = figures.rows.iter().map(|(name, n)| format!("{name} {n}")).collect();
    say(&format!("undisturbed: {}", rows.join(", ")));
    let mut fate = Fate::new(settings.seed, Duration::from_millis(settings.interval_ms));
    let mut rounds = Rounds { left: settings.rounds, number: 0 };
    while rounds.left > 0 {
        let name = format!("campaign-{}", figures.campaigns + 1);
        let dir = dir.join(name);
        std::fs::create_dir_all(&dir)?;
        let said = campaign(settings, &dir, &mut fate, &mut rounds, &mut figures, say)?;
        undisturbed.compare(&dir.join("data"), &said)?;
        figures.campaigns += 1;
        say(&format!("campaign {}: identical after {} kills", figures.campaigns, figures.kills));
        std::fs::remove_dir_all(&dir).with_context(|| dir.display().to_string())?;
    }
    Ok(figures)
}

/// How many kills there are to come.
struct Rounds {
    left: u64,
    number: u64,
}

/// One job, killed until it has come to its end, or until no round is left.
fn campaign(
    settings: &Settings,
    dir: &Path,
    fate: &mut Fate,
    rounds: &mut Rounds,
    figures: &mut Figures,
    say: &mut impl FnMut(&str),
) -> Result<Said> {
    let data = dir.join("data");
    for life in 0.. {
        let kill = (rounds.left > 0).then(|| fate.kill(rounds.number));
        let parallelism = fate.parallelism();
        let mut options = settings.job();
        options.extend(running(settings, parallelism));
        let name = format!("life-{life:03}");
        let lived = live(dir, &name, &options, &data, kill.as_ref())?;
        let (before, after) = lived.checkpoints;
        figures.checkpoints += after.saturating_sub(before);
        figures.lives_with_progress += u64::from(after > before || lived.ended == Ended::Finished);
        if lived.ended == Ended::Finished {
            if let Some(Kill::At(point, _)) = kill {
                fate.again(point);
            }
            let out = std::fs::read_to_string(dir.join(format!("{name}.out")))?;
            return Ok(Said { code: Some(0), out, err: String::new() });
        }
        rounds.left -= 1;
        rounds.number += 1;
        figures.kills += 1;
        if let Some(kill) = &kill {
            match (kill, lived.ended) {
                (Kill::At(point, _), Ended::MissedFailpoint) => fate.again(point),
                (Kill::At(point, _), _) => *figures.at.entry(point).or_default() += 1,
                _ => {}
            }
            let missed = if lived.ended == Ended::MissedFailpoint { ", not come by" } else { "" };
            say(&format!(
                "{:4} parallelism {parallelism}, {kill}{missed}: checkpoints {before} to {after}",
                figures.kills
            ));
        }
    }
    bail!("a job without end")
}

/// Options that have no part in what is written.
fn running(settings: &Settings, parallelism: usize) -> Vec<String> {
    let interval = format!("{}ms", settings.interval_ms);
    let options = [
        ("--parallelism", parallelism.to_string()),
        ("--checkpoint-interval", interval),
        ("--rate", settings.rate.to_string()),
    ];
    options.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect()
}

/// A run that nobody disturbs.
struct Undisturbed {
    written: Written,
    books: BTreeMap<String, Value>,
}

impl Undisturbed {
    fn run(settings: &Settings, dir: &Path) -> Result<Self> {
        let data = dir.join("undisturbed");
        let mut options = settings.job();
        options.extend(["--parallelism", "2", "--rest-port", "off", "--json", "--data-dir"].map(str::to_owned));
        options.push(data.display().to_string());
        let said = program::run_well(&options)?;
        let finished = said.event("finished").context("the run has no summary")?;
        Ok(Undisturbed { written: Written::below(&data)?, books: books(&finished)? })
    }

    fn compare(&self, data: &Path, said: &Said) -> Result<()> {
        let finished = said.event("finished").context("the last life has no summary")?;
        if let Some(difference) = Written::below(data)?.difference(&self.written) {
            bail!("what was written differs from an undisturbed run:\n{difference}");
        }
        let books = books(&finished)?;
        if books != self.books {
            bail!("the books differ: {books:?}\nexpected: {:?}", self.books);
        }
        Ok(())
    }
}

/// Whether every failpoint was where the job died at least once.
pub fn all_failpoints_hit(figures: &Figures) -> bool {
    failpoints().all(|name| figures.at.contains_key(name))
}

/// Where everything lies: gone afterwards, unless it is wanted.
struct Place {
    dir: PathBuf,
    temporary: Option<tempfile::TempDir>,
}

impl Place {
    fn new(dir: Option<PathBuf>) -> Result<Self> {
        match dir {
            Some(dir) => {
                std::fs::create_dir_all(&dir).with_context(|| dir.display().to_string())?;
                Ok(Place { dir: std::path::absolute(dir)?, temporary: None })
            }
            None => {
                let temporary = tempfile::Builder::new().prefix("hurtig-chaos-").tempdir()?;
                Ok(Place { dir: temporary.path().to_owned(), temporary: Some(temporary) })
            }
        }
    }

    fn keep(self) -> PathBuf {
        self.temporary.map(tempfile::TempDir::keep).unwrap_or(self.dir)
    }
}
