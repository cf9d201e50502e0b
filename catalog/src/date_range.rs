//! A date projection's values: from a bound in steps to the other one; a bound may be `NOW` and so much from there.
//!
//! Values have numbers (`0` is the first), so that a filter's bounds narrow what is enumerated before it is.

use jiff::{Span, Unit, civil::DateTime};

use crate::date_format::{DateFormat, Field};

/// `2024-01-01,NOW` in steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DateRange {
    pub format: DateFormat,
    pub low: DateBound,
    pub high: DateBound,
    pub interval: i64,
    pub unit: DateUnit,
}

/// An end of a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DateBound {
    At(DateTime),
    Now { amount: i64, unit: DateUnit },
}

/// A unit of steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DateUnit {
    Years,
    Months,
    Weeks,
    Days,
    Hours,
    Minutes,
    Seconds,
    Millis,
}

impl DateUnit {
    const ALL: [(&str, DateUnit); 8] = [
        ("YEAR", DateUnit::Years),
        ("MONTH", DateUnit::Months),
        ("WEEK", DateUnit::Weeks),
        ("DAY", DateUnit::Days),
        ("HOUR", DateUnit::Hours),
        ("MINUTE", DateUnit::Minutes),
        ("SECOND", DateUnit::Seconds),
        ("MILLI", DateUnit::Millis),
    ];

    /// `DAYS` or `DAY`, in any case.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim().to_ascii_uppercase();
        let singular = text.strip_suffix('S').unwrap_or(&text);
        Self::ALL.iter().find(|(name, _)| *name == singular).map(|(_, unit)| *unit)
    }

    /// What a step is when the table does not say: only where the format's precision is a day or more.
    pub fn of_precision(field: Field) -> Option<Self> {
        match field {
            Field::Year => Some(DateUnit::Years),
            Field::Month => Some(DateUnit::Months),
            Field::Day => Some(DateUnit::Days),
            _ => None,
        }
    }

    fn span(self, amount: i64) -> Option<Span> {
        let span = Span::new();
        match self {
            DateUnit::Years => span.try_years(amount),
            DateUnit::Months => span.try_months(amount),
            DateUnit::Weeks => span.try_weeks(amount),
            DateUnit::Days => span.try_days(amount),
            DateUnit::Hours => span.try_hours(amount),
            DateUnit::Minutes => span.try_minutes(amount),
            DateUnit::Seconds => span.try_seconds(amount),
            DateUnit::Millis => span.try_milliseconds(amount),
        }
        .ok()
    }

    /// Whole units from one time to another, rounded down or up: the caller checks.
    fn between(self, from: DateTime, to: DateTime) -> Option<i64> {
        let months = || {
            let months = |time: DateTime| i64::from(time.year()) * 12 + i64::from(time.month());
            months(to) - months(from)
        };
        let millis = match self {
            DateUnit::Years => return Some(months().div_euclid(12)),
            DateUnit::Months => return Some(months()),
            DateUnit::Weeks => 7 * 86_400_000,
            DateUnit::Days => 86_400_000,
            DateUnit::Hours => 3_600_000,
            DateUnit::Minutes => 60_000,
            DateUnit::Seconds => 1_000,
            DateUnit::Millis => 1,
        };
        let span = from.until((Unit::Millisecond, to)).ok()?;
        Some(span.get_milliseconds().div_euclid(millis))
    }
}

impl DateBound {
    /// Reads a bound; the error says what is wrong.
    pub fn parse(text: &str, format: &DateFormat) -> Result<Self, String> {
        if let Some(rest) = text.trim().strip_prefix("NOW") {
            return now_and(rest).ok_or_else(|| {
                format!("'{text}' is not NOW, NOW+n UNIT or NOW-n UNIT with YEARS, MONTHS, WEEKS, DAYS, HOURS, MINUTES or SECONDS")
            });
        }
        format.read(text).map(DateBound::At).ok_or_else(|| {
            format!("'{text}' is neither a date of the format '{}' nor NOW, NOW+n UNIT or NOW-n UNIT", format.pattern())
        })
    }

    fn at(self, now: DateTime) -> Option<DateTime> {
        match self {
            DateBound::At(time) => Some(time),
            DateBound::Now { amount, unit } => now.checked_add(unit.span(amount)?).ok(),
        }
    }
}

fn now_and(rest: &str) -> Option<DateBound> {
    let rest = rest.trim();
    if rest.is_empty() {
        return Some(DateBound::Now { amount: 0, unit: DateUnit::Days });
    }
    let (sign, rest) = match rest.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, rest.strip_prefix('+')?),
    };
    let rest = rest.trim_start();
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (amount, unit) = rest.split_at(digits);
    let unit = DateUnit::parse(unit).filter(|unit| *unit != DateUnit::Millis)?;
    Some(DateBound::Now { amount: sign * amount.parse::<i64>().ok()?, unit })
}

/// The values of a range at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Steps {
    first: DateTime,
    interval: i64,
    unit: DateUnit,
    /// How many there are.
    pub count: u64,
}

impl DateRange {
    /// The values when it is `now`, in UTC. A range whose ends have crossed has none.
    pub fn steps(&self, now: DateTime) -> Steps {
        let none = Steps { first: now, interval: self.interval, unit: self.unit, count: 0 };
        let end = |bound: DateBound| bound.at(now).and_then(|time| self.format.cut(time));
        let (Some(first), Some(last)) = (end(self.low), end(self.high)) else { return none };
        let mut steps = Steps { first, ..none };
        if first <= last {
            // Month ends make steps unequal, so the number is found from just below.
            let mut count = steps.near(last).unwrap_or(0);
            while steps.time(count).is_some_and(|time| time <= last) {
                count += 1;
            }
            steps.count = count;
        }
        steps
    }
}

impl Steps {
    /// The value of a number.
    pub fn time(&self, number: u64) -> Option<DateTime> {
        let amount = i64::try_from(number).ok()?.checked_mul(self.interval)?;
        self.first.checked_add(self.unit.span(amount)?).ok()
    }

    /// A number whose value, and those of all before it, are not after `time`; it may be one or two too low.
    pub fn near(&self, time: DateTime) -> Option<u64> {
        let units = self.unit.between(self.first, time)?;
        Some(u64::try_from(units / self.interval - 1).unwrap_or(0))
    }
}
