//! The period that is asked for: whole days in a time zone.

use jiff::{
    Timestamp, ToSpan, Zoned,
    civil::{Date, Time},
    tz::TimeZone,
};

use crate::error::{Error, Result};

/// No picture is of more days: a clock that says 9999 makes none of 8,000 years.
const MOST_DAYS: i32 = 40 * 366;

/// What somebody asks for; whatever is not said is as the readings have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The first day.
    pub from: Option<Date>,
    /// The last day, which belongs to it.
    pub to: Option<Date>,
    /// The zone that the days, hours and months are of: a name as `Europe/London`.
    pub zone: String,
}

impl Default for Asked {
    fn default() -> Self {
        Asked { from: None, to: None, zone: "UTC".into() }
    }
}

impl Asked {
    /// From texts, as an address or a command line has them; empty ones say nothing.
    ///
    /// # Errors
    /// [`Error::Parameter`]: what is no day.
    pub fn parse(from: Option<&str>, to: Option<&str>, zone: Option<&str>) -> Result<Self> {
        let said = |text: Option<&str>| text.map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
        let day = |text: Option<&str>, name: &str| {
            let wrong = |text: &str| Error::Parameter(format!("{name} {text}: that is no day; write it as 2024-01-31"));
            said(text).map(|text| text.parse::<Date>().map_err(|_| wrong(&text))).transpose()
        };
        let zone = said(zone).unwrap_or_else(|| Self::default().zone);
        Ok(Asked { from: day(from, "from")?, to: day(to, "to")?, zone })
    }
}

/// From when to when, both known.
#[derive(Debug, Clone)]
pub struct Period {
    first: Date,
    last: Date,
    zone: TimeZone,
    zone_name: String,
    start: Timestamp,
    end: Timestamp,
}

impl Period {
    /// What was asked for, of readings that begin and end at these times.
    ///
    /// # Errors
    /// [`Error::Parameter`]: a zone that nobody knows; a period that ends before it begins, or that is too long.
    pub fn new(asked: &Asked, readings: (Timestamp, Timestamp)) -> Result<Self> {
        let zone = zone(&asked.zone)?;
        let day = |at: Timestamp| at.to_zoned(zone.clone()).date();
        let first = asked.from.unwrap_or_else(|| day(readings.0));
        // One that begins behind the last reading is empty, and not backwards.
        let last = asked.to.unwrap_or_else(|| day(readings.1).max(first));
        if last < first {
            return Err(Error::Parameter(format!("the period ends ({last}) before it begins ({first})")));
        }
        let days = (last - first).get_days();
        if days >= MOST_DAYS {
            return Err(Error::Parameter(format!(
                "from {first} to {last} is too long for one picture: choose 40 years at most"
            )));
        }
        let start = midnight(first, &zone)?.timestamp();
        let end = midnight(next(last)?, &zone)?.timestamp();
        Ok(Period { first, last, zone, zone_name: asked.zone.clone(), start, end })
    }

    /// Its first day.
    pub fn first(&self) -> Date {
        self.first
    }

    /// Its last day.
    pub fn last(&self) -> Date {
        self.last
    }

    /// Its first moment.
    pub fn start(&self) -> Timestamp {
        self.start
    }

    /// The first moment behind it.
    pub fn end(&self) -> Timestamp {
        self.end
    }

    /// The zone's name.
    pub fn zone_name(&self) -> &str {
        &self.zone_name
    }

    /// The days in UTC that its first and last readings are of: partitions are cut by those.
    pub fn partitions(&self) -> (Date, Date) {
        let utc = |at: Timestamp| at.to_zoned(TimeZone::UTC).date();
        (utc(self.start), utc(self.end - 1.microseconds()))
    }

    /// Its days that do not have 24 hours, because clocks were changed, with how many seconds they have.
    pub fn odd_days(&self) -> Vec<(Date, i64)> {
        let mut odd = Vec::new();
        // A change is seen from the moment before.
        let changes =
            self.zone.following(self.start - 1.microseconds()).take_while(|change| change.timestamp() < self.end);
        for change in changes {
            let day = change.timestamp().to_zoned(self.zone.clone()).date();
            let length = |day: Date| {
                let (begin, end) = (midnight(day, &self.zone)?, midnight(next(day)?, &self.zone)?);
                Ok::<i64, Error>(end.timestamp().as_second() - begin.timestamp().as_second())
            };
            match length(day) {
                Ok(seconds) if seconds != 86_400 && odd.last().is_none_or(|(last, _)| *last != day) => {
                    odd.push((day, seconds));
                }
                _ => {}
            }
        }
        odd
    }

    /// In words.
    pub fn words(&self) -> String {
        match self.first == self.last {
            true => format!("{} ({})", self.first, self.zone_name),
            false => format!("{} to {} ({})", self.first, self.last, self.zone_name),
        }
    }
}

fn zone(name: &str) -> Result<TimeZone> {
    // A fixed offset or a rule of POSIX's would be a zone here, but none in SQL.
    TimeZone::get(name).map_err(|_| {
        Error::Parameter(format!(
            "'{name}' is no time zone: write a name such as UTC, Europe/London or America/Chicago"
        ))
    })
}

fn midnight(day: Date, zone: &TimeZone) -> Result<Zoned> {
    day.to_datetime(Time::midnight()).to_zoned(zone.clone()).map_err(|e| Error::Parameter(e.to_string()))
}

fn next(day: Date) -> Result<Date> {
    day.tomorrow().map_err(|e| Error::Parameter(e.to_string()))
}
