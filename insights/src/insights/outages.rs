//! Outages: meters from which nothing comes for some intervals, rolled up the grid's topology.

mod grid;
mod map;

use crate::{
    error::Result,
    insight::{Drawn, Insight, Question, Statement},
    numbers::{count, counted, hours, percent},
    picture::{
        Picture,
        legend::{self, Mark},
    },
    rows::Rows,
    settings::Settings,
    sql,
};

use self::grid::{Grid, Node};

/// Missed intervals, by meter and by what is above it.
#[derive(Debug, Clone, Copy)]
pub struct Outages;

/// Steps from well to worst: the share of time out that a step ends with, and its words.
const STEPS: [(f64, &str); 5] = [
    (0.0, "never out"),
    (0.001, "out for 0.1 % of the time at most"),
    (0.01, "1 % at most"),
    (0.05, "5 % at most"),
    (f64::INFINITY, "more"),
];

fn step(share: f64) -> usize {
    STEPS.iter().position(|(most, _)| share <= *most).unwrap_or(STEPS.len() - 1)
}

impl Insight for Outages {
    fn name(&self) -> &'static str {
        "outages"
    }

    fn title(&self) -> &'static str {
        "Outages by the topology"
    }

    fn about(&self, settings: &Settings) -> String {
        let below = match settings.topology.levels() {
            [] => "by region; a topology file (--topology) says what is below that".to_owned(),
            levels => format!("by region, {}", levels.join(", ")),
        };
        format!(
            "A meter is out when {} readings in a row are missing, by its usual interval; the time that it is out is what \
             is beyond one interval. Shown {below}. A silent meter has not come back by the newest reading of the period; \
             that time is not counted, because nobody knows whether it is to come back.",
            settings.missed
        )
    }

    fn statements(&self, question: &Question<'_>) -> Vec<Statement> {
        let Question { period, settings } = *question;
        let seen = sql::seen(period);
        let steps = sql::steps_and_usual("seen", settings.interval_seconds());
        // Between k and k + 1, so that a clock that is a little off decides nothing.
        let longer = format!("{} * seconds", sql::number(f64::from(settings.missed) + 0.5));
        let meters = format!(
            "WITH {seen},
{steps},
newest AS (
  SELECT date_part('epoch', max(time)) AS newest FROM seen),
gaps AS (
  SELECT s.region, s.meter_id, s.time, s.gap, u.seconds, n.newest
  FROM newest n CROSS JOIN usual u JOIN steps s ON s.meter_id = u.meter_id)
SELECT max(region) AS region, meter_id,
  count(*) FILTER (WHERE gap > {longer}) AS outages,
  coalesce(sum(gap - seconds) FILTER (WHERE gap > {longer}), 0) / 3600 AS out_hours,
  coalesce(max(gap - seconds) FILTER (WHERE gap > {longer}), 0) / 3600 AS longest_hours,
  (date_part('epoch', max(time)) - date_part('epoch', min(time))) / 3600 AS seen_hours,
  max(time) AS last_seen,
  max(newest) - date_part('epoch', max(time)) > {} * max(seconds) AS silent
FROM gaps
GROUP BY meter_id
ORDER BY region, meter_id",
            sql::number(f64::from(settings.missed) + 0.5)
        );
        let longest = format!(
            "WITH {seen},
{steps}
SELECT s.region, s.meter_id, s.time AS last_before, s.next AS first_after, (s.gap - u.seconds) / 3600 AS out_hours
FROM usual u JOIN steps s ON s.meter_id = u.meter_id
WHERE s.gap > {longer}
ORDER BY out_hours DESC, s.meter_id, s.time
LIMIT {}",
            settings.list_rows
        );
        vec![Statement { name: "meters", sql: meters }, Statement { name: "longest", sql: longest }]
    }

    fn draw(&self, question: &Question<'_>, answers: &[Rows<'_>]) -> Result<Drawn> {
        let [meters, longest] = answers else { return Ok(Drawn::Nothing(String::new())) };
        if meters.is_empty() {
            return Ok(Drawn::Nothing(format!(
                "No meter has spoken twice in {}, so nobody knows how often it should: choose another period, or say the \
                 interval.",
                question.period.words()
            )));
        }
        let all = nodes(meters, question)?;
        let mut picture = Picture::new(self.name(), self.title());
        let mut entries: Vec<(Mark, String, String)> = (STEPS.iter().enumerate())
            .map(|(at, (_, words))| (Mark::Area, format!("h{at}"), (*words).to_owned()))
            .collect();
        entries.push((Mark::Ring, "ring".into(), "silent: has not come back".into()));
        legend::add(&mut picture, &entries.iter().map(|(m, c, w)| (*m, c.as_str(), w.clone())).collect::<Vec<_>>());
        map::add(&mut picture, &all);
        let grid = Grid::new(question.settings.topology.levels(), &all);
        grid.add(&mut picture);

        let total = all.iter().fold(Node::default(), |sum, meter| sum.and(meter));
        let mut notes = vec![format!(
            "{} of {}, {} in all: {} of the time. {} silent at the end.",
            counted(total.outages, "outage", "outages"),
            counted(total.meters, "meter", "meters"),
            hours(total.out_hours),
            percent(total.share()),
            count(total.silent)
        )];
        let (ids, out) = (longest.texts("meter_id")?, longest.numbers("out_hours")?);
        let before = longest.times("last_before")?;
        if let (Some(id), Some(out), Some(Some(before))) = (ids.first(), out.first(), before.first()) {
            let at = before.to_string();
            notes.push(format!(
                "The longest: {id} for {}, after {}.",
                hours(*out),
                at.trim_end_matches("Z").replace('T', " ")
            ));
        }
        notes.extend(grid.dropped());
        picture.describe(notes.join(" "));
        Ok(Drawn::Picture(picture, notes))
    }
}

/// A meter each, at its place in the topology.
fn nodes(meters: &Rows<'_>, question: &Question<'_>) -> Result<Vec<Node>> {
    let topology = &question.settings.topology;
    let (regions, ids) = (meters.texts("region")?, meters.texts("meter_id")?);
    let (outages, silent) = (meters.counts("outages")?, meters.truths("silent")?);
    let (out_hours, seen_hours) = (meters.numbers("out_hours")?, meters.numbers("seen_hours")?);
    let node = |at: usize| {
        let place = topology.place(&ids[at]);
        let named = |name: &str| if name.is_empty() { "(unknown)".to_owned() } else { name.to_owned() };
        let below = (0..topology.levels().len())
            .map(|level| named(place.and_then(|place| place.path.get(level)).map_or("", String::as_str)));
        let path = std::iter::once(named(&regions[at])).chain(below).chain([named(&ids[at])]).collect();
        Node {
            path,
            position: place.and_then(|place| place.position),
            meters: 1,
            outages: outages[at],
            out_hours: out_hours[at],
            seen_hours: seen_hours[at],
            silent: u64::from(silent[at]),
        }
    };
    let mut all: Vec<Node> = (0..ids.len()).map(node).collect();
    all.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(all)
}
