//! `hurtig report`: the insights' pictures as files.

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::{Args, ValueEnum};
use hurtig_engine::time::{Clock, SystemClock};
use hurtig_insights::{ALL, Answer, Asked, Insight, Insights, Period, find, report};
use jiff::Timestamp;
use serde_json::json;

use super::{
    Failure,
    insights::{InsightOptions, over},
    output::Output,
    units,
};
use crate::smart_meters::{Layout, Options};

pub const AFTER: &str = "\
Insights:
  consumption   energy and cost by month, tariff and rate
  load-curves   mean power of a meter by hour, kind of day and season
  outages       meters from which nothing came, rolled up the topology
  anomalies     readings far from what a meter usually says at that hour
  completeness  of the readings that should be there, how many are, by day
  lateness      how long after its time a reading arrived, by day

  hurtig report                                                  all of them, over hurtig-data, into report/
  hurtig report consumption --from 2013-01-01 --to 2013-12-31 --time-zone Europe/London --tariff economy7.toml
  hurtig report outages --topology grid.csv --missed 8 --format svg,csv --out outages

A tariff file (docs/insights.md has all of it):
  currency = \"GBP\"
  [[tariff]]
  name = \"Economy 7\"
  standing_charge = 0.53
  price = 0.285
  [[tariff.rate]]
  name = \"night\"
  hours = \"00:30-07:30\"
  price = 0.125

`hurtig view` shows the same pictures on a page.

Exit codes: 0 written, 1 failed, 2 wrong usage.";

/// The report's command line.
#[derive(Debug, Args)]
pub struct ReportCommand {
    /// Which insights; all unless told
    #[arg(value_name = "INSIGHT")]
    insights: Vec<String>,
    /// The first day, as 2024-01-31 [default: that of the first reading]
    #[arg(long, value_name = "DAY")]
    from: Option<String>,
    /// The last day, which belongs to it [default: that of the last reading]
    #[arg(long, value_name = "DAY")]
    to: Option<String>,
    /// The job's data directory
    #[arg(long, value_name = "DIR", default_value = "hurtig-data", env = "HURTIG_DATA_DIR", hide_env = true)]
    data_dir: PathBuf,
    /// The lake, if the job had it elsewhere
    #[arg(long, value_name = "DIR", env = "HURTIG_LAKE", hide_env = true)]
    lake: Option<PathBuf>,
    /// Where to write; made if it is not there
    #[arg(long, value_name = "DIR", default_value = "report")]
    out: PathBuf,
    /// What to write: a page with everything, pictures, rows
    #[arg(long, value_name = "FORMAT,…", value_delimiter = ',', default_value = "html,svg,csv")]
    format: Vec<Format>,
    /// Memory for sorting, grouping and joining
    #[arg(long, value_name = "SIZE", default_value = "512MiB", value_parser = units::parse_size)]
    memory: usize,
    /// Threads [default: one a core]
    #[arg(long, value_name = "N")]
    parallelism: Option<usize>,
    /// Print JSON lines
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    how: InsightOptions,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// index.html, which needs no other file
    Html,
    /// A picture each
    Svg,
    /// Its rows
    Csv,
}

/// An insight and what was answered.
type Answered = (&'static dyn Insight, Answer);

impl ReportCommand {
    /// Carries it out.
    pub fn run(&self) -> Result<(), Failure> {
        let usage = |e: hurtig_insights::Error| Failure::usage(e.to_string());
        let chosen: Vec<_> = match self.insights.as_slice() {
            [] => ALL.to_vec(),
            names => names.iter().map(|name| find(name)).collect::<Result<_, _>>().map_err(usage)?,
        };
        let asked = Asked::parse(self.from.as_deref(), self.to.as_deref(), Some(&self.how.time_zone)).map_err(usage)?;
        let settings = self.how.settings()?;
        let layout = Layout::of(&Options { lake: self.lake.clone(), ..Options::default() }, &self.data_dir);
        if !layout.readings.is_dir() {
            return Err(Failure::failed(format!(
                "there are no readings in {}: give the directory that the job ran with, as --data-dir, or its lake, as --lake",
                layout.readings.display()
            )));
        }
        let insights = over(layout, settings, |query| {
            query.memory = self.memory;
            query.partitions = self.parallelism.unwrap_or(query.partitions);
        })?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let output = Output::new(self.json);
        let (period, answers) = runtime.block_on(ask(&insights, &chosen, &asked, &output))?;
        let written = self.write(&insights, &period, &answers)?;
        let (words, files) = (period.words(), written.len());
        output.result(
            &format!("{words}: {files} files in {}\n  {}", self.out.display(), written.join("\n  ")),
            "written",
            json!({ "out": self.out, "from": period.first().to_string(), "to": period.last().to_string(), "files": written }),
        );
        Ok(())
    }

    fn write(&self, insights: &Insights, period: &Period, answers: &[Answered]) -> Result<Vec<String>, Failure> {
        fs::create_dir_all(&self.out).map_err(|e| named(&self.out, &e))?;
        let parts: Vec<_> =
            answers.iter().map(|(insight, answer)| report::Part { insight: *insight, answer }).collect();
        let wants = |format: Format| self.format.contains(&format);
        let mut files = Vec::new();
        for part in &parts {
            if wants(Format::Svg) {
                files.extend(report::svg(*part)?);
            }
            if wants(Format::Csv) {
                files.extend(report::csv(*part)?);
            }
        }
        let mut names: Vec<String> = files.iter().map(|(name, _)| name.clone()).collect();
        if wants(Format::Html) {
            let page = report::index(&parts, period, insights.settings(), &names)?;
            files.insert(0, ("index.html".into(), page));
            names.insert(0, "index.html".into());
        }
        for (name, text) in &files {
            let path = self.out.join(name);
            fs::write(&path, text).map_err(|e| named(&path, &e))?;
        }
        Ok(names)
    }
}

async fn ask(
    insights: &Insights,
    chosen: &[&'static dyn Insight],
    asked: &Asked,
    output: &Output,
) -> Result<(Period, Vec<Answered>), Failure> {
    let now = Timestamp::from_millisecond(SystemClock.now_ms())?;
    let period = insights.period(asked, now).await.map_err(|e| match e {
        e @ hurtig_insights::Error::Parameter(_) => Failure::usage(e.to_string()),
        e => e.into(),
    })?;
    let Some(period) = period else {
        return Err(Failure::failed("there are no readings yet: they come with the first checkpoint of a job"));
    };
    let mut answers = Vec::new();
    for (at, insight) in chosen.iter().enumerate() {
        let place = format!("{} of {}", at + 1, chosen.len());
        output.say(
            &format!("{}, {place} …", insight.name()),
            "asking",
            json!({ "insight": insight.name(), "place": at + 1, "of": chosen.len() }),
        );
        let answer = insights.answer(*insight, &period).await?;
        let notes = answer.notes.join(" ");
        output.say(
            &format!("  {notes}"),
            "answered",
            json!({ "insight": insight.name(), "picture": answer.picture.is_some(), "notes": answer.notes }),
        );
        answers.push((*insight, answer));
    }
    Ok((period, answers))
}

fn named(path: &Path, error: &std::io::Error) -> Failure {
    Failure::failed(format!("{}: {error}", path.display()))
}
