//! When a scheduled query is run: `rate(5 minutes)` from its creation on, or `cron(…)` of AWS's six fields, in UTC.

use croner::{
    Cron,
    parser::{CronParser, Seconds, Year},
};
use jiff::{Timestamp, civil::DateTime, tz::Offset};

use crate::wire::fault::Fault;

const MINUTE: i64 = 60_000;
/// The longest rate: a hundred years of days.
const LONGEST: i64 = 36_500 * 24 * 60 * MINUTE;

/// A schedule. Times are in milliseconds since 1970.
#[derive(Debug, Clone)]
pub enum Schedule {
    /// Every so often, counted from a time.
    Rate { from: i64, period: i64 },
    /// Whenever a pattern fits.
    Cron(Box<Cron>),
}

impl Schedule {
    /// Of an expression; rates are counted from `created`.
    pub fn parse(expression: &str, created: i64) -> Result<Self, Fault> {
        let within = |name: &str| expression.trim().strip_prefix(name)?.trim().strip_prefix('(')?.strip_suffix(')');
        let schedule = match (within("rate"), within("cron")) {
            (Some(rate), _) => rate_of(rate).map(|period| Schedule::Rate { from: created, period }),
            (_, Some(fields)) => cron_of(fields).map(|cron| Schedule::Cron(Box::new(cron))),
            _ => {
                Err("it is written rate(value unit) or cron(minutes hours day-of-month month day-of-week year)".into())
            }
        };
        let schedule = schedule.and_then(|schedule| match schedule.next(created) {
            Some(_) => Ok(schedule),
            None => Err("there is no such time any more".into()),
        });
        schedule.map_err(|why| Fault::validation(format!("Invalid schedule expression '{expression}': {why}.")))
    }

    /// The first time behind `after`.
    pub fn next(&self, after: i64) -> Option<i64> {
        match self {
            Schedule::Rate { from, period } => {
                let periods = after.saturating_sub(*from).div_euclid(*period).max(0) + 1;
                from.checked_add(periods.checked_mul(*period)?)
            }
            Schedule::Cron(cron) => milliseconds(cron.find_next_occurrence(&civil(after)?, false).ok()?),
        }
    }

    /// The last time at or before `now`.
    pub fn latest(&self, now: i64) -> Option<i64> {
        match self {
            Schedule::Rate { from, period } => {
                let periods = now.saturating_sub(*from).div_euclid(*period);
                (periods > 0).then(|| from + periods * period)
            }
            Schedule::Cron(cron) => milliseconds(cron.find_previous_occurrence(&civil(now)?, true).ok()?),
        }
    }
}

fn rate_of(text: &str) -> Result<i64, String> {
    let wrong = || format!("'{text}' is no rate: write a whole number and minutes, hours or days");
    let (value, unit) = text.trim().split_once(char::is_whitespace).ok_or_else(wrong)?;
    let value: i64 = value.parse().map_err(|_| wrong())?;
    let unit = match unit.trim() {
        "minute" | "minutes" => MINUTE,
        "hour" | "hours" => 60 * MINUTE,
        "day" | "days" => 24 * 60 * MINUTE,
        _ => return Err(wrong()),
    };
    value.checked_mul(unit).filter(|period| (1..=LONGEST).contains(period)).ok_or_else(wrong)
}

fn cron_of(text: &str) -> Result<Cron, String> {
    let fields: Vec<&str> = text.split_whitespace().collect();
    let [_, _, day_of_month, _, day_of_week, _] = fields[..] else {
        return Err(format!("cron has six fields, and these are {}", fields.len()));
    };
    if (day_of_month == "?") == (day_of_week == "?") {
        return Err("exactly one of day-of-month and day-of-week must be '?'".into());
    }
    // 8 would be one more than Saturday.
    if day_of_week.contains(['8', '9', '0']) {
        return Err(format!("'{day_of_week}' is no day of the week: they are 1-7 or SUN-SAT"));
    }
    let parser = CronParser::builder()
        .seconds(Seconds::Required)
        .year(Year::Required)
        .alternative_weekdays(true)
        .sloppy_ranges(true)
        .build();
    parser.parse(&format!("0 {}", fields.join(" "))).map_err(|e| e.to_string())
}

fn civil(milliseconds: i64) -> Option<DateTime> {
    Some(Offset::UTC.to_datetime(Timestamp::from_second(milliseconds.div_euclid(1_000)).ok()?))
}

fn milliseconds(civil: DateTime) -> Option<i64> {
    Some(Offset::UTC.to_timestamp(civil).ok()?.as_millisecond())
}
