//! Completeness: of the readings that should be there, how many are, day by day.

use std::collections::BTreeMap;

use crate::{
    error::Result,
    insight::{Drawn, Insight, Question, Statement},
    numbers::{count, counted, percent},
    picture::{
        Picture, calendar,
        legend::{self, Mark},
    },
    rows::Rows,
    settings::Settings,
    sql,
};

/// Readings there of those expected, by day.
#[derive(Debug, Clone, Copy)]
pub struct Completeness;

/// Steps from whole to bad: the least share, and the class.
const STEPS: [(f64, &str, &str); 5] = [
    (1.0, "h0", "all"),
    (0.99, "h1", "99 % and more"),
    (0.95, "h2", "95 % and more"),
    (0.80, "h3", "80 % and more"),
    (0.0, "h4", "less"),
];

fn step(share: f64) -> &'static str {
    STEPS.iter().find(|(least, ..)| share >= *least).map_or("h4", |(_, class, _)| class)
}

impl Insight for Completeness {
    fn name(&self) -> &'static str {
        "completeness"
    }

    fn title(&self) -> &'static str {
        "Completeness by day"
    }

    fn about(&self, settings: &Settings) -> String {
        let interval = match settings.interval {
            Some(interval) => format!("every {} seconds", interval.as_secs()),
            None => "at its usual interval, which is the median of the times between its readings".into(),
        };
        format!(
            "A meter is expected to speak {interval}, from its first reading of the period to its last. A day has as many \
             hours as its clocks say. What a meter sends beyond that does not make up for what another one does not send."
        )
    }

    fn statements(&self, question: &Question<'_>) -> Vec<Statement> {
        let Question { period, settings } = *question;
        let odd: Vec<String> = (period.odd_days().iter())
            .map(|(day, seconds)| format!("WHEN d.day = {} THEN {seconds}", sql::day(*day)))
            .collect();
        // Only a whole day is as long as its clocks say; of a part nobody knows on which side of the change it is.
        let length = match odd.is_empty() {
            true => "86400".to_owned(),
            false => format!("CASE {} ELSE 86400 END", odd.join(" ")),
        };
        let sql = format!(
            "WITH {seen},
{steps},
local AS (
  SELECT s.meter_id, {local} AS at, u.seconds
  FROM usual u JOIN seen s ON s.meter_id = u.meter_id),
meters AS (
  SELECT meter_id, max(seconds) AS seconds, date_trunc('day', min(at)) AS first_day, date_trunc('day', max(at)) AS last_day,
    date_part('epoch', min(at)) AS first, date_part('epoch', max(at)) AS last
  FROM local GROUP BY meter_id),
days AS (
  SELECT value AS day FROM generate_series({first}, {last}, INTERVAL '1 day')),
spans AS (
  SELECT m.meter_id, d.day, m.seconds, {length} AS length,
    least(date_part('epoch', d.day) + 86400, m.last + m.seconds) - greatest(date_part('epoch', d.day), m.first) AS span
  FROM meters m JOIN days d ON d.day >= m.first_day AND d.day <= m.last_day),
expected AS (
  SELECT meter_id, day, greatest(round(CASE WHEN span >= 86400 THEN length ELSE span END / seconds), 1) AS n FROM spans),
there AS (
  SELECT meter_id, date_trunc('day', at) AS day, count(*) AS n FROM local GROUP BY meter_id, day)
SELECT e.day, count(*) AS meters, CAST(sum(e.n) AS BIGINT) AS expected,
  CAST(sum(least(coalesce(t.n, 0), e.n)) AS BIGINT) AS there,
  sum(least(coalesce(t.n, 0), e.n)) / sum(e.n) AS share
FROM expected e LEFT JOIN there t ON e.meter_id = t.meter_id AND e.day = t.day
GROUP BY e.day
ORDER BY e.day",
            seen = sql::seen(period),
            steps = sql::steps_and_usual("seen", settings.interval_seconds()),
            local = sql::local("s.time", period),
            first = sql::day(period.first()),
            last = sql::day(period.last()),
        );
        vec![Statement { name: "days", sql }]
    }

    fn draw(&self, question: &Question<'_>, answers: &[Rows<'_>]) -> Result<Drawn> {
        let [rows] = answers else { return Ok(Drawn::Nothing(String::new())) };
        if rows.is_empty() {
            return Ok(Drawn::Nothing(format!(
                "No meter has spoken twice in {}, so nobody knows how often it should: choose another period, or say the \
                 interval.",
                question.period.words()
            )));
        }
        let (days, meters) = (rows.days("day")?, rows.counts("meters")?);
        let (expected, there) = (rows.counts("expected")?, rows.counts("there")?);
        let share = |at: usize| there[at] as f64 / expected[at].max(1) as f64;
        let words = |at: usize| {
            let of = format!("{} of {}", count(there[at]), counted(expected[at], "reading", "readings"));
            format!("{}: {} ({of}, {})", days[at], percent(share(at)), counted(meters[at], "meter", "meters"))
        };
        let squares: BTreeMap<_, _> = (0..days.len()).map(|at| (days[at], (step(share(at)), words(at)))).collect();
        let mut picture = Picture::new(self.name(), self.title());
        legend::add(&mut picture, &STEPS.map(|(_, class, words)| (Mark::Area, class, words.to_owned())));
        calendar::add(&mut picture, &squares);
        let (all, got) = (expected.iter().sum::<u64>(), there.iter().sum::<u64>());
        let whole = (0..days.len()).filter(|at| there[*at] >= expected[*at]).count() as u64;
        let mut notes = vec![format!(
            "{} of the readings are there: {} of {}. {} of {} are whole.",
            percent(got as f64 / all.max(1) as f64),
            count(got),
            count(all),
            count(whole),
            counted(days.len() as u64, "day", "days")
        )];
        let worst = (0..days.len()).min_by(|a, b| share(*a).total_cmp(&share(*b)));
        notes.extend(worst.filter(|at| share(*at) < 1.0).map(|at| format!("Worst: {}.", words(at))));
        picture.describe(notes.join(" "));
        Ok(Drawn::Picture(picture, notes))
    }
}
