//! Lateness: how long after its time a reading arrives, and how many are late, day by day.

use super::bins::Bins;
use crate::{
    error::Result,
    insight::{Drawn, Insight, Question, Statement},
    numbers::{count, counted, hours, number, percent},
    picture::{
        Picture,
        columns::{self, Column},
    },
    rows::Rows,
    settings::Settings,
    sql,
};

/// Arrival − time.
#[derive(Debug, Clone, Copy)]
pub struct Lateness;

/// Steps of the histogram: the column, what it says, and the seconds that it ends before.
const STEPS: [(&str, &str, f64); 8] = [
    ("early", "before its time", 0.0),
    ("minute", "under 1 min", 60.0),
    ("minutes_5", "1–5 min", 300.0),
    ("minutes_15", "5–15 min", 900.0),
    ("hour", "15–60 min", 3_600.0),
    ("hours_6", "1–6 h", 21_600.0),
    ("hours_24", "6–24 h", 86_400.0),
    ("longer", "1 day and more", f64::INFINITY),
];

impl Insight for Lateness {
    fn name(&self) -> &'static str {
        "lateness"
    }

    fn title(&self) -> &'static str {
        "Lateness by day"
    }

    fn about(&self, settings: &Settings) -> String {
        format!(
            "From a reading's own time to its arrival at the stream; of one that came more than once, to its first arrival. \
             Late is what takes longer than {}. Readings of which nobody knows when they arrived are counted and left out.",
            hours(settings.late_after.as_secs_f64() / 3_600.0)
        )
    }

    fn statements(&self, question: &Question<'_>) -> Vec<Statement> {
        let Question { period, settings } = *question;
        let mut least = f64::NEG_INFINITY;
        let steps: Vec<String> = (STEPS.iter())
            .map(|(name, _, most)| {
                let from = least.is_finite().then(|| format!("seconds >= {}", sql::number(least)));
                let to = most.is_finite().then(|| format!("seconds < {}", sql::number(*most)));
                least = *most;
                let when: Vec<String> = from.into_iter().chain(to).collect();
                format!("count(*) FILTER (WHERE {}) AS {name}", when.join(" AND "))
            })
            .collect();
        let sql = format!(
            "WITH once AS (
  SELECT meter_id, time, measure, min(arrived) AS arrived
  FROM readings
  WHERE {within}
  GROUP BY meter_id, time, measure),
delays AS (
  SELECT date_trunc('day', {local}) AS day, date_part('epoch', arrived) - date_part('epoch', time) AS seconds FROM once)
SELECT day, count(seconds) AS readings, count(*) - count(seconds) AS arrival_unknown,
  count(*) FILTER (WHERE seconds > {late}) AS late,
  approx_percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) AS p50,
  approx_percentile_cont(0.95) WITHIN GROUP (ORDER BY seconds) AS p95,
  approx_percentile_cont(0.99) WITHIN GROUP (ORDER BY seconds) AS p99,
  {steps}
FROM delays
GROUP BY day
ORDER BY day",
            within = sql::within(period),
            local = sql::local("time", period),
            late = sql::number(settings.late_after.as_secs_f64()),
            steps = steps.join(",\n  "),
        );
        vec![Statement { name: "days", sql }]
    }

    fn draw(&self, question: &Question<'_>, answers: &[Rows<'_>]) -> Result<Drawn> {
        let [rows] = answers else { return Ok(Drawn::Nothing(String::new())) };
        if rows.is_empty() {
            let period = question.period.words();
            return Ok(Drawn::Nothing(format!("There are no readings in {period}: choose another period.")));
        }
        let days = rows.days("day")?;
        let (readings, unknown) = (rows.counts("readings")?, rows.counts("arrival_unknown")?);
        let late = rows.counts("late")?;
        let (known, unknown) = (readings.iter().sum::<u64>(), unknown.iter().sum::<u64>());
        if known == 0 {
            return Ok(Drawn::Nothing(format!(
                "Nobody knows when the {} of {} arrived: their source does not say. Streams do, and so do files with a \
                 column or key for it (--csv-arrival, --json-arrival).",
                counted(unknown, "reading", "readings"),
                question.period.words()
            )));
        }
        let mut picture = Picture::new(self.name(), self.title());
        let bins = Bins::new(days.first().copied().unwrap_or_default(), days.last().copied().unwrap_or_default());
        // A day without readings is a hole.
        let mut by_bin = vec![Late::default(); bins.len()];
        for (at, day) in days.iter().enumerate() {
            let bin = &mut by_bin[bins.at(*day)];
            *bin = Late { readings: bin.readings + readings[at], late: bin.late + late[at] };
        }
        let least = too_few(&by_bin);
        let column = |(at, bin): (usize, &Late)| Column {
            label: bins.label(at).unwrap_or_default(),
            parts: if bin.readings > least { vec![("s3".into(), bin.share() * 100.0)] } else { Vec::new() },
            tip: format!("{}: {}", bins.words(at), bin.words()),
        };
        let columns: Vec<Column> = by_bin.iter().enumerate().map(column).collect();
        let after = hours(question.settings.late_after.as_secs_f64() / 3_600.0);
        let head = format!("Late by more than {after}, % by {}", bins.unit());
        columns::add(&mut picture, &head, 170.0, &columns, number);
        let mut steps = Vec::new();
        for (name, words, _) in STEPS {
            let n = rows.counts(name)?.iter().sum::<u64>();
            let share = n as f64 / known as f64;
            let tip = format!("{words}: {}, {}", counted(n, "reading", "readings"), percent(share));
            steps.push(Column { label: words.into(), parts: vec![("s0".into(), share * 100.0)], tip });
        }
        columns::add(&mut picture, "From its time to its arrival, % of the readings", 170.0, &steps, number);
        let all_late = late.iter().sum::<u64>();
        let mut notes = vec![format!(
            "{} of {} came more than {after} after their time: {}.",
            count(all_late),
            counted(known, "reading", "readings"),
            percent(all_late as f64 / known as f64)
        )];
        let some = by_bin.iter().enumerate().filter(|(_, bin)| bin.late > 0 && bin.readings > least);
        let worst = some.max_by(|a, b| a.1.share().total_cmp(&b.1.share()));
        notes.extend(worst.map(|(at, bin)| format!("The largest share, {}: {}.", bins.words(at), bin.words())));
        let few: Vec<_> = by_bin.iter().enumerate().filter(|(_, bin)| (1..=least).contains(&bin.readings)).collect();
        if let Some((at, bin)) = few.first() {
            let others = if few.len() > 1 {
                format!(" and {}", counted(few.len() as u64 - 1, "other", "others"))
            } else {
                String::new()
            };
            let (day, has) = (bins.words(*at), counted(bin.readings, "reading", "readings"));
            notes.push(format!("Left out above, because they have next to no readings: {day} ({has}){others}."));
        }
        if unknown > 0 {
            notes.push(format!("Of {} nobody knows when they came.", counted(unknown, "reading", "readings")));
        }
        picture.describe(notes.join(" "));
        Ok(Drawn::Picture(picture, notes))
    }
}

/// So many readings are too few for a share: a hundredth of what is usual. A day of which only late readings are there
/// would hide all others.
fn too_few(bins: &[Late]) -> u64 {
    let mut readings: Vec<u64> = bins.iter().map(|bin| bin.readings).filter(|n| *n > 0).collect();
    readings.sort_unstable();
    readings.get(readings.len() / 2).map_or(0, |usual| usual / 100)
}

/// Readings and late ones.
#[derive(Clone, Copy, Default)]
struct Late {
    readings: u64,
    late: u64,
}

impl Late {
    fn share(&self) -> f64 {
        self.late as f64 / self.readings.max(1) as f64
    }

    fn words(&self) -> String {
        format!("{} of {} ({})", count(self.late), count(self.readings), percent(self.share()))
    }
}
