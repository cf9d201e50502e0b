//! One job from its first record to its last, killed on the way.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::{
    figures::Figures,
    kill::{Fate, Kill},
    life::{Ended, Life, live},
    settings::{Readings, Settings, Setup},
    visible::Visible,
    written::{Written, books},
};
use crate::program::{self, Said};

/// A job that has not come to its end after so many lives never will.
const MOST_LIVES: u64 = 1_000;

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
    let mut undisturbed = BTreeMap::new();
    let mut figures = Figures::default();
    // A failpoint that is never come by must not be looked for for ever.
    let most = 4 + settings.rounds;
    let numbers = settings.campaign.map_or(1..=most, |only| only..=only);
    for campaign in numbers {
        let setup = Setup::of(campaign);
        if let Entry::Vacant(new) = undisturbed.entry(setup.readings) {
            let expected = new.insert(Undisturbed::run(settings, setup.readings, dir)?);
            let rows: Vec<_> = expected.written.rows().map(|(name, n)| format!("{name} {n}")).collect();
            say(&format!("undisturbed, {}: {}", setup.readings, rows.join(", ")));
            figures.rows.push(format!("{}: {}", setup.readings, rows.join(", ")));
        }
        let dir = dir.join(format!("campaign-{campaign}"));
        std::fs::create_dir_all(&dir)?;
        say(&format!("campaign {campaign}: {setup}"));
        Campaign { settings, number: campaign, setup, dir: &dir }
            .run(&undisturbed[&setup.readings], &mut figures, say)
            .with_context(|| {
                format!("campaign {campaign} ({setup}): again with --seed {} --campaign {campaign}", settings.seed)
            })?;
        figures.campaigns += 1;
        say(&format!("campaign {campaign}: identical; {} kills until now", figures.kills()));
        std::fs::remove_dir_all(&dir).with_context(|| dir.display().to_string())?;
        let enough = figures.kills() >= settings.rounds && 2 * figures.random >= settings.rounds;
        let all = figures.all_failpoints_hit() && figures.campaigns >= Setup::ALL.len() as u64;
        if settings.campaign.is_some() || (enough && all) {
            return Ok(figures);
        }
    }
    bail!("not every failpoint was come by in {} campaigns:\n{figures}", figures.campaigns)
}

/// One job, killed until it has come to its end.
struct Campaign<'a> {
    settings: &'a Settings,
    number: u64,
    setup: Setup,
    dir: &'a Path,
}

impl Campaign<'_> {
    fn run(&self, expected: &Undisturbed, figures: &mut Figures, say: &mut impl FnMut(&str)) -> Result<()> {
        let data = self.dir.join("data");
        let mut seen = Visible::default();
        for number in 0..MOST_LIVES {
            let fate = Fate::of(self.settings.seed, self.number, number, self.settings.interval(self.setup.readings));
            let life = self.live(number, &fate, &data)?;
            let visible = Visible::below(&data)?;
            visible.holds(&seen).with_context(|| format!("after life {number}, {}", fate.kill))?;
            seen = visible;
            count(figures, &fate, &life);
            let (before, after) = life.checkpoints;
            let ended = match life.ended {
                Ended::Killed => "",
                Ended::MissedFailpoint => ", not come by",
                Ended::Finished => ", but it finished before",
            };
            say(&format!(
                "{:4} campaign {} life {number}: parallelism {}, {}{ended}; checkpoints {before} to {after}, {} files",
                figures.kills(),
                self.number,
                fate.parallelism,
                fate.kill,
                seen.count(),
            ));
            if life.ended == Ended::Finished {
                figures.files += seen.count();
                let out = std::fs::read_to_string(self.dir.join(format!("{}.out", name(number))))?;
                return expected.compare(&data, &Said { code: Some(0), out, err: String::new() });
            }
        }
        bail!("the job has not come to its end in {MOST_LIVES} lives")
    }

    fn live(&self, number: u64, fate: &Fate, data: &Path) -> Result<Life> {
        let mut options = self.settings.job(self.setup.readings);
        options.extend(self.settings.running(self.setup, fate.parallelism));
        let life = live(self.dir, &name(number), &options, &[], data, &fate.kill)?;
        let (before, after) = life.checkpoints;
        if after <= before && life.ended != Ended::Finished && !fate.kill.is_early() {
            bail!("life {number} ({}) has completed no checkpoint after {before}", fate.kill);
        }
        Ok(life)
    }
}

fn name(life: u64) -> String {
    format!("life-{life:03}")
}

fn count(figures: &mut Figures, fate: &Fate, life: &Life) {
    let (before, after) = life.checkpoints;
    figures.lives += 1;
    figures.checkpoints += after.saturating_sub(before);
    figures.with_progress += u64::from(after > before);
    match (life.ended, &fate.kill) {
        (Ended::Killed, Kill::AfterCheckpoints(..)) => figures.random += 1,
        (Ended::Killed, Kill::At(point, _)) => *figures.at.entry(point).or_default() += 1,
        (Ended::MissedFailpoint, _) => figures.missed += 1,
        (Ended::Finished, _) => {}
    }
}

/// A run that nobody disturbs.
struct Undisturbed {
    written: Written,
    books: BTreeMap<String, Value>,
}

impl Undisturbed {
    fn run(settings: &Settings, readings: Readings, dir: &Path) -> Result<Self> {
        let data = dir.join(format!("undisturbed-{readings:?}"));
        let mut options = settings.job(readings);
        options.extend(["--parallelism", "2", "--rest-port", "off", "--json", "--data-dir"].map(str::to_owned));
        options.push(data.display().to_string());
        let said = program::run_well(&options)?;
        let finished = said.event("finished").context("the run has no summary")?;
        let (written, books) = (Written::below(&data)?, books(&finished)?);
        written.agrees_with(&books).context("the undisturbed run")?;
        Ok(Undisturbed { written, books })
    }

    fn compare(&self, data: &Path, said: &Said) -> Result<()> {
        let finished = said.event("finished").context("the last life has no summary")?;
        let written = Written::below(data)?;
        if let Some(difference) = written.difference(&self.written) {
            bail!("what was written differs from an undisturbed run:\n{difference}");
        }
        let books = books(&finished)?;
        written.agrees_with(&books)?;
        if books != self.books {
            bail!("the books differ: {books:?}\nexpected: {:?}", self.books);
        }
        Ok(())
    }
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
