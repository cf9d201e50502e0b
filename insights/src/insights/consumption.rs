//! Consumption and what it costs, month by month, by tariff and rate.

use std::collections::BTreeMap;

use jiff::civil::Date;

use crate::{
    error::Result,
    insight::{Drawn, Insight, Question, Statement},
    numbers::{money, month, number},
    picture::{
        Picture,
        columns::{self, Column},
        legend::{self, Mark},
    },
    rows::Rows,
    settings::Settings,
    sql,
};

/// Monthly energy and cost by tariff.
#[derive(Debug, Clone, Copy)]
pub struct Consumption;

/// Whose meters no tariff takes.
const NO_TARIFF: &str = "no tariff";
/// What is paid for days.
const STANDING: &str = "standing charge";
/// Colours for that many; the others share one.
const COLOURS: usize = 7;

impl Insight for Consumption {
    fn name(&self) -> &'static str {
        "consumption"
    }

    fn title(&self) -> &'static str {
        "Consumption and cost by month"
    }

    fn about(&self, settings: &Settings) -> String {
        format!(
            "Energy of the measure {} by local month, tariff and rate, and what it costs. A reading belongs to the hour of \
             its time. The standing charge is for every day on which a meter was read. {}.",
            settings.energy.measure(),
            settings.tariffs.words().join("; ")
        )
    }

    fn statements(&self, question: &Question<'_>) -> Vec<Statement> {
        let Question { period, settings } = *question;
        let tariffs = &settings.tariffs;
        let charges = tariffs.all.iter().flat_map(|tariff| vec![tariff.standing_charge; tariff.rates.len() + 1]);
        let rates: Vec<String> = (tariffs.rates().iter().zip(charges).enumerate())
            .map(|(place, ((tariff, rate, price), charge))| {
                let (price, charge) = (sql::number(*price), sql::number(charge));
                format!("({place}, {}, {}, {price}, {charge})", sql::text(tariff), sql::text(rate))
            })
            .collect();
        let standing = match tariffs.has_standing_charge() {
            true => format!(
                "
UNION ALL
SELECT month, tariff, {} AS rate, CAST(NULL AS DOUBLE) AS kwh, sum(charge) AS cost
FROM (SELECT DISTINCT r.month, r.day, r.meter_id, t.tariff, t.charge FROM rates t JOIN rated r ON r.place = t.place)
WHERE charge > 0
GROUP BY month, tariff",
                sql::text(STANDING)
            ),
            false => String::new(),
        };
        let sql = format!(
            "WITH {once},
local AS (
  SELECT meter_id, region, kwh, {local} AS at FROM once),
parts AS (
  SELECT *, date_part('hour', at) * 60 + date_part('minute', at) AS minute,
    date_part('isodow', at) AS weekday, date_part('month', at) AS month_number
  FROM local),
rated AS (
  SELECT meter_id, date_trunc('month', at) AS month, date_trunc('day', at) AS day, kwh,
    {place} AS place
  FROM parts),
rates AS (
  SELECT * FROM (VALUES {rates}) AS t (place, tariff, rate, price, charge)),
sums AS (
  SELECT month, place, sum(kwh) AS kwh FROM rated GROUP BY month, place)
SELECT s.month, coalesce(t.tariff, {no_tariff}) AS tariff, coalesce(t.rate, '') AS rate, s.kwh, s.kwh * t.price AS cost
FROM sums s LEFT JOIN rates t ON s.place = t.place{standing}
ORDER BY month, tariff, rate",
            once = sql::once(settings.energy, period),
            local = sql::local("time", period),
            place = tariffs.rate_sql(),
            rates = rates.join(", "),
            no_tariff = sql::text(NO_TARIFF),
        );
        vec![Statement { name: "months", sql }]
    }

    fn draw(&self, question: &Question<'_>, answers: &[Rows<'_>]) -> Result<Drawn> {
        let [rows] = answers else { return Ok(Drawn::Nothing(String::new())) };
        if rows.is_empty() {
            let measure = question.settings.energy.measure();
            return Ok(Drawn::Nothing(format!(
                "No meter has sent {measure} in {}: choose another period, or another measure of energy.",
                question.period.words()
            )));
        }
        let months = Months::of(rows, question)?;
        let currency = &question.settings.tariffs.currency;
        let mut picture = Picture::new(self.name(), self.title());
        let entries: Vec<_> =
            months.series.iter().enumerate().map(|(at, name)| (Mark::Area, class(at), name.clone())).collect();
        legend::add(&mut picture, &entries.iter().map(|(m, c, n)| (*m, c.as_str(), n.clone())).collect::<Vec<_>>());
        let kwh = months.columns(|part| part.0, |value| format!("{} kWh", number(value)));
        columns::add(&mut picture, "kWh a month", 190.0, &kwh, number);
        let cost = months.columns(|part| part.1, |value| money(value, currency));
        columns::add(&mut picture, &format!("{currency} a month"), 190.0, &cost, number);
        let notes = months.notes(currency);
        picture.describe(notes.join(" "));
        Ok(Drawn::Picture(picture, notes))
    }
}

/// kWh and cost of a series in a month.
type Part = (f64, f64);

/// All months from the first to the last, those without readings too.
struct Months {
    series: Vec<String>,
    all: BTreeMap<Date, Vec<Part>>,
}

fn class(at: usize) -> String {
    if at < COLOURS { format!("s{at}") } else { "rest".into() }
}

impl Months {
    fn of(rows: &Rows<'_>, question: &Question<'_>) -> Result<Self> {
        let tariffs = &question.settings.tariffs;
        let (days, names, rates) = (rows.days("month")?, rows.texts("tariff")?, rows.texts("rate")?);
        let (kwh, cost) = (rows.numbers("kwh")?, rows.numbers("cost")?);
        // In the order of the file, not of the alphabet.
        let mut keys: Vec<(String, String)> = Vec::new();
        for tariff in &tariffs.all {
            let own = tariffs.rates().into_iter().filter(|(name, ..)| *name == tariff.name);
            keys.extend(own.map(|(name, rate, _)| (name.to_owned(), rate.to_owned())));
            keys.push((tariff.name.clone(), STANDING.to_owned()));
        }
        keys.push((NO_TARIFF.to_owned(), String::new()));
        keys.retain(|key| names.iter().zip(&rates).any(|(name, rate)| *name == key.0 && *rate == key.1));
        let mut all = BTreeMap::new();
        let (Some(first), Some(last)) = (days.iter().min(), days.iter().max()) else {
            return Ok(Months { series: Vec::new(), all });
        };
        let mut month = *first;
        while month <= *last {
            all.insert(month, vec![(0.0, 0.0); keys.len()]);
            month = month.last_of_month().saturating_add(jiff::ToSpan::days(1));
        }
        for (at, day) in days.iter().enumerate() {
            let series = keys.iter().position(|key| names[at] == key.0 && rates[at] == key.1);
            if let Some(part) = series.and_then(|series| all.get_mut(day)?.get_mut(series)) {
                let known = |value: f64| if value.is_finite() { value } else { 0.0 };
                part.0 += known(kwh[at]);
                part.1 += known(cost[at]);
            }
        }
        let one = tariffs.all.len() == 1;
        let named = |(tariff, rate): (String, String)| match (one, rate.is_empty()) {
            (_, true) => tariff,
            (true, false) => rate,
            (false, false) => format!("{tariff}: {rate}"),
        };
        Ok(Months { series: keys.into_iter().map(named).collect(), all })
    }

    fn columns(&self, value: impl Fn(&Part) -> f64, words: impl Fn(f64) -> String) -> Vec<Column> {
        let years = self.all.len() > 24;
        let label = |day: Date| match day.month() {
            1 => day.year().to_string(),
            _ if years => String::new(),
            month => crate::numbers::month_name(month).to_owned(),
        };
        let column = |(day, parts): (&Date, &Vec<Part>)| {
            let values = || parts.iter().map(&value);
            let each = self.series.iter().zip(values()).filter(|(_, v)| *v != 0.0);
            let each: Vec<_> = each.map(|(name, v)| format!("{name} {}", words(v))).collect();
            let tip = format!("{}: {} ({})", month(*day), words(values().sum()), each.join(", "));
            Column { label: label(*day), parts: values().enumerate().map(|(at, v)| (class(at), v)).collect(), tip }
        };
        self.all.iter().map(column).collect()
    }

    fn notes(&self, currency: &str) -> Vec<String> {
        let sum = |parts: &[Part]| parts.iter().fold((0.0, 0.0), |sum, part| (sum.0 + part.0, sum.1 + part.1));
        let all = self.all.values().map(|parts| sum(parts)).fold((0.0, 0.0), |a, b| (a.0 + b.0, a.1 + b.1));
        let most = self.all.iter().max_by(|a, b| sum(a.1).0.total_cmp(&sum(b.1).0));
        let mut notes = vec![format!("{} kWh, {} in all.", number(all.0), money(all.1, currency))];
        if let Some((day, parts)) = most {
            let (kwh, cost) = sum(parts);
            notes.push(format!("Most in {}: {} kWh, {}.", month(*day), number(kwh), money(cost, currency)));
        }
        notes
    }
}
