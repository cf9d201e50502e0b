//! Anomalies: readings far from what the meter usually says on such a day at such an hour.

use std::collections::BTreeMap;

use jiff::civil::{Date, date};

use super::bins::Bins;
use crate::{
    error::Result,
    insight::{Drawn, Insight, Question, Statement},
    numbers::{count, counted, number, percent},
    picture::{
        Picture,
        axes::{Frame, shortened},
        legend::{self, Mark},
        scale::Scale,
        svg::Element,
    },
    rows::Rows,
    settings::Settings,
    sql,
};

/// Seasonal residuals outside of a band.
#[derive(Debug, Clone, Copy)]
pub struct Anomalies;

/// A meter with fewer readings has no band.
const LEAST: u32 = 100;
/// Meters of the second picture.
const MOST_METERS: usize = 12;

impl Insight for Anomalies {
    fn name(&self) -> &'static str {
        "anomalies"
    }

    fn title(&self) -> &'static str {
        "Anomalies"
    }

    fn about(&self, settings: &Settings) -> String {
        format!(
            "What a meter usually says is its own median at that hour, on weekdays or at weekends. The band is where {} of \
             what it says beside that lies, so a reading in {} is outside of it in any case: what counts is how far \
             (distance: in widths of the band), and whether many are outside on one day. Meters with fewer than {LEAST} \
             readings of {} have no band.",
            percent(settings.band),
            number((1.0 / (1.0 - settings.band)).round()),
            settings.energy.measure()
        )
    }

    fn statements(&self, question: &Question<'_>) -> Vec<Statement> {
        let Question { period, settings } = *question;
        let tail = (1.0 - settings.band) / 2.0;
        // As it is meant, not as floating point has it: 0.01, and not 0.010000000000000009.
        let quantile = |share: f64| sql::number((share * 1e6).round() / 1e6);
        let anomalies = format!(
            "WITH {once},
local AS (
  SELECT *, {local} AS at FROM once),
hours AS (
  SELECT *, date_part('isodow', at) >= 6 AS weekend, date_part('hour', at) AS hour FROM local),
usual AS (
  SELECT meter_id, weekend, hour, median(kwh) AS usual FROM hours GROUP BY meter_id, weekend, hour),
residuals AS (
  SELECT h.region, h.meter_id, h.time, h.at, h.kwh, u.usual, h.kwh - u.usual AS residual
  FROM usual u JOIN hours h ON h.meter_id = u.meter_id AND h.weekend = u.weekend AND h.hour = u.hour),
bands AS (
  SELECT meter_id, percentile_cont({low}) WITHIN GROUP (ORDER BY residual) AS low,
    percentile_cont({high}) WITHIN GROUP (ORDER BY residual) AS high
  FROM residuals GROUP BY meter_id HAVING count(*) >= {LEAST}),
judged AS (
  SELECT r.*, r.residual > b.high AS above, r.residual < b.low AS below,
    greatest(r.residual - b.high, b.low - r.residual) / nullif(b.high - b.low, 0) AS distance
  FROM bands b JOIN residuals r ON r.meter_id = b.meter_id)",
            once = sql::once(settings.energy, period),
            local = sql::local("time", period),
            low = quantile(tail),
            high = quantile(1.0 - tail),
        );
        let days = format!(
            "{anomalies}
SELECT date_trunc('day', at) AS day, count(*) AS readings, count(*) FILTER (WHERE above) AS above,
  count(*) FILTER (WHERE below) AS below
FROM judged
GROUP BY day
ORDER BY day"
        );
        let furthest = format!(
            "{anomalies}
SELECT region, meter_id, time, kwh, usual, residual, distance
FROM judged
WHERE above OR below
ORDER BY distance DESC NULLS FIRST, abs(residual) DESC, meter_id, time
LIMIT {}",
            settings.list_rows
        );
        vec![Statement { name: "days", sql: days }, Statement { name: "furthest", sql: furthest }]
    }

    fn draw(&self, question: &Question<'_>, answers: &[Rows<'_>]) -> Result<Drawn> {
        let [days, furthest] = answers else { return Ok(Drawn::Nothing(String::new())) };
        if days.is_empty() {
            return Ok(Drawn::Nothing(format!(
                "No meter has sent {} at least {LEAST} times in {}, so nobody knows what is usual: choose a longer period.",
                question.settings.energy.measure(),
                question.period.words()
            )));
        }
        let mut picture = Picture::new(self.name(), self.title());
        let entries = [(Mark::Up, "s3", "above the band".to_owned()), (Mark::Down, "s0", "below the band".to_owned())];
        legend::add(&mut picture, &entries);
        let counted_days = Days::of(days)?;
        counted_days.add(&mut picture);
        let list = Furthest::of(furthest)?;
        list.add(&mut picture, (counted_days.first(), counted_days.last()));
        let mut notes = vec![counted_days.words()];
        notes.extend(list.words());
        picture.describe(notes.join(" "));
        Ok(Drawn::Picture(picture, notes))
    }
}

/// Readings, and those outside.
#[derive(Clone, Copy, Default)]
struct Outside {
    readings: u64,
    above: u64,
    below: u64,
}

impl Outside {
    fn and(self, other: &Outside) -> Self {
        Outside {
            readings: self.readings + other.readings,
            above: self.above + other.above,
            below: self.below + other.below,
        }
    }

    /// In percent.
    fn of_readings(&self, n: u64) -> f64 {
        n as f64 / self.readings.max(1) as f64 * 100.0
    }

    fn share(&self) -> f64 {
        self.of_readings(self.above + self.below) / 100.0
    }
}

/// What is outside, by day.
struct Days(BTreeMap<Date, Outside>);

impl Days {
    fn of(rows: &Rows<'_>) -> Result<Self> {
        let (days, readings) = (rows.days("day")?, rows.counts("readings")?);
        let (above, below) = (rows.counts("above")?, rows.counts("below")?);
        let outside = |at: usize| Outside { readings: readings[at], above: above[at], below: below[at] };
        Ok(Days((0..days.len()).map(|at| (days[at], outside(at))).collect()))
    }

    fn first(&self) -> Date {
        self.0.keys().next().copied().unwrap_or_default()
    }

    fn last(&self) -> Date {
        self.0.keys().next_back().copied().unwrap_or_default()
    }

    /// Columns up and down from a line.
    fn add(&self, picture: &mut Picture) {
        let bins = Bins::new(self.first(), self.last());
        let mut by_bin = vec![Outside::default(); bins.len()];
        for (day, outside) in &self.0 {
            let bin = &mut by_bin[bins.at(*day)];
            *bin = bin.and(outside);
        }
        let frame = Frame::next(picture, 180.0);
        let most = |side: fn(&Outside) -> u64| {
            let shares = by_bin.iter().map(|bin| bin.of_readings(side(bin)));
            shares.fold(1.0, f64::max) * 1.06
        };
        let scale = Scale::new((-most(|bin| bin.below), most(|bin| bin.above)), (frame.bottom, frame.top), 6);
        let mut elements = vec![frame.head(&format!("Outside of the band, % of the readings by {}", bins.unit()))];
        elements.extend(frame.values(&scale, |v| number(v.abs())));
        let step = frame.width() / bins.len() as f64;
        let gap = if step > 6.0 { step * 0.22 } else { step * 0.08 };
        let wide = (step - gap).min(64.0);
        let x = |bin: usize| frame.left + bin as f64 * step + gap / 2.0;
        let zero = scale.at(0.0);
        for (at, bin) in by_bin.iter().enumerate().filter(|(_, bin)| bin.readings > 0) {
            let (up, down) = (scale.at(bin.of_readings(bin.above)), scale.at(-bin.of_readings(bin.below)));
            let words = format!(
                "{}: {} above and {} below, of {}",
                bins.words(at),
                count(bin.above),
                count(bin.below),
                counted(bin.readings, "reading", "readings")
            );
            let parts = vec![
                Element::rect(x(at), up, wide, zero - up, "s3"),
                Element::rect(x(at), zero, wide, down - zero, "s0"),
            ];
            elements.push(Element::group(parts).tip(words));
        }
        let labels = (0..bins.len()).filter_map(|at| Some((x(at) + wide / 2.0, bins.label(at)?)));
        elements.extend(frame.labels(labels));
        picture.add(frame.whole_height(), elements);
    }

    fn words(&self) -> String {
        let sum = self.0.values().fold(Outside::default(), |sum, day| sum.and(day));
        // By their number: all of the one reading of a day are no news.
        let worst = self.0.iter().max_by_key(|(_, outside)| outside.above + outside.below);
        let most = worst.map(|(day, outside)| {
            format!(" Most on {day}: {} of {}.", count(outside.above + outside.below), count(outside.readings))
        });
        format!(
            "{} of {} are outside of their meter's band: {}.{}",
            count(sum.above + sum.below),
            counted(sum.readings, "reading", "readings"),
            percent(sum.share()),
            most.unwrap_or_default()
        )
    }
}

/// The list: meter, day and minute, above or below, and how far.
struct Furthest(Vec<Anomaly>);

struct Anomaly {
    meter: String,
    day: f64,
    words: String,
    above: bool,
    distance: f64,
}

impl Furthest {
    fn of(rows: &Rows<'_>) -> Result<Self> {
        let (meters, times) = (rows.texts("meter_id")?, rows.times("time")?);
        let (kwh, usual) = (rows.numbers("kwh")?, rows.numbers("usual")?);
        let (residual, distance) = (rows.numbers("residual")?, rows.numbers("distance")?);
        let anomaly = |at: usize| {
            let time = times[at]?;
            let when = time.to_string().trim_end_matches('Z').replace('T', " ");
            // A band without width: nothing is further outside.
            let far = if distance[at].is_finite() { distance[at] } else { f64::INFINITY };
            let words = format!(
                "{}, {when} UTC: {} kWh instead of {} ({} widths of the band away)",
                meters[at],
                number(kwh[at]),
                number(usual[at]),
                if far.is_finite() { number(far) } else { "any number of".into() }
            );
            let day = time.as_second() as f64 / 86_400.0;
            Some(Anomaly { meter: meters[at].clone(), day, words, above: residual[at] > 0.0, distance: far })
        };
        Ok(Furthest((0..rows.len()).filter_map(anomaly).collect()))
    }

    /// A row a meter, a triangle an anomaly.
    fn add(&self, picture: &mut Picture, (first, last): (Date, Date)) {
        let mut meters: Vec<&str> = Vec::new();
        for anomaly in &self.0 {
            if !meters.contains(&anomaly.meter.as_str()) && meters.len() < MOST_METERS {
                meters.push(&anomaly.meter);
            }
        }
        if meters.is_empty() {
            return;
        }
        const ROW: f64 = 26.0;
        let frame = Frame::next(picture, meters.len() as f64 * ROW);
        let frame = Frame { left: 250.0, ..frame };
        let unix = |day: Date| f64::from((day - date(1970, 1, 1)).get_days());
        let x = Scale::new((unix(first), unix(last) + 1.0), (frame.left, frame.right), 8);
        let head = format!("The {} furthest outside, by meter", count(self.0.len() as u64));
        let mut elements = vec![Element::text(16.0, frame.top - 14.0, head, "ink head")];
        for (row, meter) in meters.iter().enumerate() {
            let y = frame.top + (row as f64 + 0.5) * ROW;
            elements.push(Element::line((frame.left, y), (frame.right, y), "grid"));
            elements.push(Element::text(frame.left - 8.0, y + 4.0, shortened(meter, frame.left - 24.0), "soft end"));
        }
        for anomaly in &self.0 {
            let Some(row) = meters.iter().position(|meter| *meter == anomaly.meter) else { continue };
            let y = frame.top + (row as f64 + 0.5) * ROW;
            let size = 4.0 + anomaly.distance.clamp(0.0, 4.0);
            let class = if anomaly.above { "s3" } else { "s0" };
            elements.push(Element::triangle(x.at(anomaly.day), y, size, anomaly.above, class).tip(&anomaly.words));
        }
        let ends = [first, last];
        elements
            .extend(frame.labels(
                ends.map(|day| (x.at(unix(day) + 0.5).clamp(frame.left, frame.right - 40.0), day.to_string())),
            ));
        picture.add(frame.whole_height(), elements);
    }

    fn words(&self) -> Option<String> {
        self.0.first().map(|anomaly| format!("Furthest outside: {}.", anomaly.words))
    }
}
