//! What energy costs: tariffs, each with its rates by hour, weekday and month, and a charge for every day.
//!
//! ```toml
//! currency = "GBP"
//!
//! [[tariff]]
//! name = "Economy 7"
//! regions = ["uk"]            # without regions and meters: whoever is left
//! standing_charge = 0.53      # for every day on which a meter was read
//! price = 0.285               # a kWh that no rate takes
//!
//! [[tariff.rate]]
//! name = "night"
//! hours = "00:30-07:30"       # local time; may go over midnight
//! price = 0.125
//!
//! [[tariff.rate]]
//! name = "weekend"
//! weekdays = ["sat", "sun"]
//! months = [4, 5, 6, 7, 8, 9]
//! price = 0.2
//! ```
//!
//! The first tariff that takes a meter has it, the first rate that takes an hour has that.

use std::{collections::BTreeSet, path::Path};

use serde::Deserialize;

use crate::{
    error::{Error, Result},
    sql::text,
};

/// The tariffs of a fleet.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tariffs {
    /// What prices are in: `GBP`, `€` …
    #[serde(default = "dollars")]
    pub currency: String,
    /// The tariffs, in the order in which they are looked at.
    #[serde(rename = "tariff")]
    pub all: Vec<Tariff>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tariff {
    /// What it is called.
    pub name: String,
    /// The regions whose meters it takes.
    #[serde(default)]
    pub regions: Vec<String>,
    /// The meters that it takes.
    #[serde(default)]
    pub meters: Vec<String>,
    /// For every day on which a meter was read.
    #[serde(default)]
    pub standing_charge: f64,
    /// Of a kWh that no rate takes.
    pub price: f64,
    /// Prices of certain hours, weekdays and months.
    #[serde(default, rename = "rate")]
    pub rates: Vec<Rate>,
}

/// The price of certain hours, weekdays and months.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// What it is called.
    pub name: String,
    /// Of a kWh.
    pub price: f64,
    /// From when to when, in local time; all day long unless said.
    #[serde(default)]
    pub hours: Option<Hours>,
    /// On which days of the week; on all unless said.
    #[serde(default)]
    pub weekdays: Vec<Weekday>,
    /// In which months, from 1 to 12; in all unless said.
    #[serde(default)]
    pub months: Vec<u8>,
}

/// Minutes of a day, from the first to the one behind the last: `22:00-06:00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Hours {
    from: u16,
    to: u16,
}

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "they are the days of the week")]
pub enum Weekday {
    Mon = 1,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

/// The talk's price of a kWh: `SUM(kw) * 0.25 * 0.23`.
const FLAT: f64 = 0.23;
/// What costs when no rate does.
const OTHERWISE: &str = "otherwise";

fn dollars() -> String {
    "USD".into()
}

impl Default for Tariffs {
    fn default() -> Self {
        let flat = Tariff {
            name: "flat".into(),
            regions: Vec::new(),
            meters: Vec::new(),
            standing_charge: 0.0,
            price: FLAT,
            rates: Vec::new(),
        };
        Tariffs { currency: dollars(), all: vec![flat] }
    }
}

impl Tariffs {
    /// From a file: JSON if it is called so, TOML otherwise.
    ///
    /// # Errors
    /// A file that cannot be read, or that says something that cannot be: in one line.
    pub fn read(path: &Path) -> Result<Self> {
        let said = std::fs::read_to_string(path).map_err(|source| Error::File { path: path.to_owned(), source })?;
        let json = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
        Tariffs::parse(&said, json).map_err(|why| Error::Tariff { path: path.to_owned(), why })
    }

    /// From the file's text.
    ///
    /// # Errors
    /// What cannot be, in one line.
    pub fn parse(said: &str, json: bool) -> Result<Self, String> {
        let tariffs: Tariffs = match json {
            true => serde_json::from_str(said).map_err(|e| e.to_string())?,
            false => toml::from_str(said).map_err(|e| toml_words(said, &e))?,
        };
        tariffs.check()?;
        Ok(tariffs)
    }

    fn check(&self) -> Result<(), String> {
        if self.all.is_empty() {
            return Err("there is no [[tariff]] in it".into());
        }
        if self.currency.trim().is_empty() {
            return Err("the currency has no name".into());
        }
        if let Some(name) = twice(self.all.iter().map(|tariff| tariff.name.as_str())) {
            return Err(format!("there are two tariffs '{name}'"));
        }
        for (at, tariff) in self.all.iter().enumerate() {
            let of = format!("tariff '{}'", tariff.name);
            if tariff.name.trim().is_empty() {
                return Err(format!("tariff {} has no name", at + 1));
            }
            if tariff.is_for_all() && at + 1 < self.all.len() {
                return Err(format!(
                    "{of} takes every meter, so nobody is left for '{}': give it regions or meters, or put it last",
                    self.all[at + 1].name
                ));
            }
            if !tariff.standing_charge.is_finite() || tariff.standing_charge < 0.0 {
                return Err(format!("{of}: a standing charge is a number from 0 on"));
            }
            if let Some(name) = twice(tariff.rates.iter().map(|rate| rate.name.as_str())) {
                return Err(format!("{of} has two rates '{name}'"));
            }
            for rate in &tariff.rates {
                rate.check().map_err(|why| format!("{of}, rate '{}': {why}", rate.name))?;
            }
            if !tariff.price.is_finite() {
                return Err(format!("{of}: a price is a number"));
            }
        }
        Ok(())
    }

    /// Every rate there is: its tariff's name, its own, and its price. Their places are what [`Tariffs::rate_sql`] gives.
    pub fn rates(&self) -> Vec<(&str, &str, f64)> {
        self.all.iter().flat_map(Tariff::all_rates).collect()
    }

    /// SQL that gives the place of a reading's rate among [`Tariffs::rates`]; NULL where no tariff takes the meter.
    pub fn rate_sql(&self) -> String {
        let mut cases = Vec::new();
        let mut place = 0;
        for tariff in &self.all {
            let whose = tariff.whose_sql();
            for when in tariff.rates.iter().map(Rate::when_sql).chain([None]) {
                let conditions: Vec<String> = [whose.clone(), when].into_iter().flatten().collect();
                let condition = if conditions.is_empty() { "TRUE".into() } else { conditions.join(" AND ") };
                cases.push(format!("WHEN {condition} THEN {place}"));
                place += 1;
            }
        }
        format!("CASE {} END", cases.join("\n      "))
    }

    /// Whether anything is to be paid for a day.
    pub fn has_standing_charge(&self) -> bool {
        self.all.iter().any(|tariff| tariff.standing_charge > 0.0)
    }

    /// In words: every tariff with its prices.
    pub fn words(&self) -> Vec<String> {
        self.all.iter().map(|tariff| tariff.words(&self.currency)).collect()
    }
}

impl Tariff {
    fn is_for_all(&self) -> bool {
        self.regions.is_empty() && self.meters.is_empty()
    }

    fn all_rates(&self) -> impl Iterator<Item = (&str, &str, f64)> {
        let otherwise = if self.rates.is_empty() { "all hours" } else { OTHERWISE };
        let own = self.rates.iter().map(|rate| (self.name.as_str(), rate.name.as_str(), rate.price));
        own.chain([(self.name.as_str(), otherwise, self.price)])
    }

    fn whose_sql(&self) -> Option<String> {
        let list = |values: &[String]| values.iter().map(|value| text(value)).collect::<Vec<_>>().join(", ");
        let of =
            |column: &str, values: &[String]| (!values.is_empty()).then(|| format!("{column} IN ({})", list(values)));
        let conditions: Vec<_> =
            [of("region", &self.regions), of("meter_id", &self.meters)].into_iter().flatten().collect();
        match conditions.len() {
            0 => None,
            1 => conditions.into_iter().next(),
            _ => Some(format!("({})", conditions.join(" OR "))),
        }
    }

    fn words(&self, currency: &str) -> String {
        let rates: Vec<_> = self.all_rates().map(|(_, rate, price)| format!("{rate} {price}")).collect();
        let charge = match self.standing_charge {
            charge if charge > 0.0 => format!(", and {charge} a day"),
            _ => String::new(),
        };
        format!("{}: {} {currency} a kWh{charge}", self.name, rates.join(", "))
    }
}

impl Rate {
    fn check(&self) -> Result<(), String> {
        if self.name.trim().is_empty() {
            return Err("it has no name".into());
        }
        if !self.price.is_finite() {
            return Err("a price is a number".into());
        }
        if let Some(month) = self.months.iter().find(|month| !(1..=12).contains(*month)) {
            return Err(format!("{month} is no month: they are 1 to 12"));
        }
        if self.hours.is_none() && self.weekdays.is_empty() && self.months.is_empty() {
            return Err(
                "it takes every hour: give it hours, weekdays or months, or say its price as the tariff's".into()
            );
        }
        Ok(())
    }

    /// In terms of `minute` (of the day), `weekday` (1 to 7) and `month_number`.
    fn when_sql(&self) -> Option<String> {
        let hours = self.hours.map(Hours::sql);
        let list = |column: &str, values: Vec<u8>| {
            let values: Vec<_> = values.iter().map(u8::to_string).collect();
            (!values.is_empty()).then(|| format!("{column} IN ({})", values.join(", ")))
        };
        let weekdays = list("weekday", self.weekdays.iter().map(|day| *day as u8).collect());
        let months = list("month_number", self.months.clone());
        let conditions: Vec<_> = [hours, weekdays, months].into_iter().flatten().collect();
        (!conditions.is_empty()).then(|| conditions.join(" AND "))
    }
}

impl Hours {
    fn sql(self) -> String {
        let Hours { from, to } = self;
        match from < to {
            true => format!("minute >= {from} AND minute < {to}"),
            false => format!("(minute >= {from} OR minute < {to})"),
        }
    }
}

impl TryFrom<String> for Hours {
    type Error = String;

    fn try_from(said: String) -> Result<Self, String> {
        let minute = |text: &str| {
            let (hour, minute) = text.trim().split_once(':')?;
            let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
            (hour < 24 && minute < 60 || (hour, minute) == (24, 0)).then_some(hour * 60 + minute)
        };
        let both = said.split_once('-').and_then(|(from, to)| Some((minute(from)?, minute(to)?)));
        match both {
            Some((from, to)) if from < 1_440 && from != to => Ok(Hours { from, to }),
            _ => Err(format!("'{said}' are no hours: write them as 22:00-06:00")),
        }
    }
}

/// A name that is there twice.
fn twice<'a>(mut names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let mut there = BTreeSet::new();
    names.find(|name| !there.insert(*name))
}

/// The library's words in one line, with the place.
fn toml_words(said: &str, error: &toml::de::Error) -> String {
    let message = error.message().lines().map(str::trim).collect::<Vec<_>>().join(" ");
    match error.span() {
        Some(span) => {
            let line = said.get(..span.start).map_or(1, |before| before.matches('\n').count() + 1);
            format!("line {line}: {message}")
        }
        None => message,
    }
}
