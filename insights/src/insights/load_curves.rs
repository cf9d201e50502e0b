//! Load curves: what an average meter draws, hour by hour, by kind of day and season.

use std::collections::BTreeMap;

use crate::{
    error::Result,
    insight::{Drawn, Insight, Question, Statement},
    numbers::fixed,
    picture::{
        Picture,
        axes::Frame,
        legend::{self, Mark},
        lines::{self, Line},
        scale::Scale,
    },
    rows::Rows,
    settings::Settings,
    sql,
};

/// Average load by hour, kind of day and season.
#[derive(Debug, Clone, Copy)]
pub struct LoadCurves;

/// By months and not by name: on the other half of the earth it is summer then.
const SEASONS: [&str; 4] = ["Dec–Feb", "Mar–May", "Jun–Aug", "Sep–Nov"];
const DAYS: [(&str, &str); 3] = [("Mon–Fri", "l0"), ("Sat", "l1"), ("Sun", "l2")];

impl Insight for LoadCurves {
    fn name(&self) -> &'static str {
        "load-curves"
    }

    fn title(&self) -> &'static str {
        "Load curves by weekday and season"
    }

    fn about(&self, settings: &Settings) -> String {
        format!(
            "Mean power of a meter by local hour: the energy ({}) of all readings that have their time in it, divided by the \
             time that they stand for, which is each meter's usual interval. So half-hourly and hourly meters count alike, \
             and what is missing lowers nothing.",
            settings.energy.measure()
        )
    }

    fn statements(&self, question: &Question<'_>) -> Vec<Statement> {
        let Question { period, settings } = *question;
        let sql = format!(
            "WITH {once},
{steps},
loads AS (
  SELECT {local} AS at, o.kwh, u.seconds / 3600.0 AS hours
  FROM usual u JOIN once o ON o.meter_id = u.meter_id)
SELECT
  CASE WHEN date_part('month', at) IN (12, 1, 2) THEN '{}' WHEN date_part('month', at) <= 5 THEN '{}'
    WHEN date_part('month', at) <= 8 THEN '{}' ELSE '{}' END AS season,
  CASE date_part('isodow', at) WHEN 6 THEN '{}' WHEN 7 THEN '{}' ELSE '{}' END AS days,
  date_part('hour', at) AS hour,
  sum(kwh) / sum(hours) AS kw, sum(kwh) AS kwh, sum(hours) AS meter_hours
FROM loads
GROUP BY season, days, hour
ORDER BY season, days, hour",
            SEASONS[0],
            SEASONS[1],
            SEASONS[2],
            SEASONS[3],
            DAYS[1].0,
            DAYS[2].0,
            DAYS[0].0,
            once = sql::once(settings.energy, period),
            steps = sql::steps_and_usual("once", settings.interval_seconds()),
            local = sql::local("o.time", period),
        );
        vec![Statement { name: "hours", sql }]
    }

    fn draw(&self, question: &Question<'_>, answers: &[Rows<'_>]) -> Result<Drawn> {
        let [rows] = answers else { return Ok(Drawn::Nothing(String::new())) };
        if rows.is_empty() {
            return Ok(Drawn::Nothing(format!(
                "No meter has sent {} twice in {}, so nobody knows how long a reading stands for: choose another period, or \
                 say the interval.",
                question.settings.energy.measure(),
                question.period.words()
            )));
        }
        let (seasons, days) = (rows.texts("season")?, rows.texts("days")?);
        let (hours, kw) = (rows.counts("hour")?, rows.numbers("kw")?);
        let mut curves: BTreeMap<(&str, &str), [f64; 24]> = BTreeMap::new();
        for at in 0..rows.len() {
            let curve = curves.entry((&seasons[at], &days[at])).or_insert([f64::NAN; 24]);
            if let Some(hour) = usize::try_from(hours[at]).ok().and_then(|hour| curve.get_mut(hour)) {
                *hour = kw[at];
            }
        }
        let mut picture = Picture::new(self.name(), self.title());
        let entries: Vec<_> = DAYS.iter().map(|(name, class)| (Mark::Line, *class, (*name).to_owned())).collect();
        legend::add(&mut picture, &entries);
        let half = Picture::WIDTH / 2.0;
        for pair in SEASONS.chunks(2) {
            let row = Frame { right: half - 16.0, ..Frame::next(&picture, 190.0) };
            let mut elements = Vec::new();
            for (at, season) in pair.iter().enumerate() {
                let by = at as f64 * half;
                let frame = Frame { left: row.left + by, right: row.right + by, ..row };
                let scale = Scale::from_zero(kw.iter().copied(), (frame.bottom, frame.top), 5);
                let line = |(name, class): &(&'static str, &'static str)| {
                    let values = *curves.get(&(*season, *name))?;
                    Some(Line { class, name: format!("{season}, {name}"), values })
                };
                let lines: Vec<_> = DAYS.iter().filter_map(line).collect();
                let head = match lines.is_empty() {
                    true => format!("{season}: no readings"),
                    false => format!("{season}, kW"),
                };
                elements.extend(lines::draw(frame, &head, &lines, &scale, |v| fixed(v, 3)));
            }
            picture.add(row.whole_height(), elements);
        }
        let order = |extreme: fn(f64, f64) -> bool| {
            let known = (0..rows.len()).filter(|at| kw[*at].is_finite());
            known.reduce(|a, b| if extreme(kw[b], kw[a]) { b } else { a })
        };
        let words = |what: &str, at: usize| {
            let hour = hours[at];
            let (days, season) = (&days[at], &seasons[at]);
            format!("{what}: {} kW from {hour:02}:00 to {:02}:00, {days}, {season}.", fixed(kw[at], 3), hour + 1)
        };
        let most = order(|a, b| a > b).map(|at| words("Highest", at));
        let least = order(|a, b| a < b).map(|at| words("Lowest", at));
        let notes: Vec<String> = most.into_iter().chain(least).collect();
        picture.describe(notes.join(" "));
        Ok(Drawn::Picture(picture, notes))
    }
}
