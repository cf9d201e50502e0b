//! Times as files write them, to milliseconds since the epoch.

use jiff::{Timestamp, civil::DateTime, fmt::strtime, tz::TimeZone};

/// Reads times in one of the usual forms, or in a stated one.
///
/// ```
/// use hurtig_operators::connectors::files::TimeParser;
///
/// let times = TimeParser::new(None, "UTC").expect("UTC is a zone");
/// assert_eq!(times.parse("2012-01-03 00:00:00"), Ok(1_325_548_800_000));
/// assert_eq!(times.parse("2020-04-01 01:00:00+00:00"), Ok(1_585_702_800_000));
/// assert_eq!(times.parse("2015-11-22T00:00:00-06:00"), Ok(1_448_172_000_000));
/// assert_eq!(times.parse("2012-10-12 00:30:00.0000000"), Ok(1_350_001_800_000));
/// assert_eq!(times.parse("1700000000000"), Ok(1_700_000_000_000));
/// ```
#[derive(Debug, Clone)]
pub struct TimeParser {
    form: Form,
    zone: TimeZone,
}

#[derive(Debug, Clone)]
enum Form {
    /// ISO 8601 with `T` or a blank, with or without a fraction and an offset; or only digits:
    /// milliseconds since the epoch.
    Usual,
    EpochSeconds,
    Strptime(String),
}

impl TimeParser {
    /// `format`: `None` for the usual forms, `epoch_s` for seconds since the epoch, or a
    /// pattern like `%d/%m/%Y %H:%M`. `zone` (an IANA name such as `Europe/London`) holds for
    /// times that do not say where they are; a time that a clock change repeats is taken as
    /// the first, one that it skips is moved on by the gap.
    pub fn new(format: Option<&str>, zone: &str) -> Result<Self, String> {
        let form = match format {
            None | Some("epoch_ms") => Form::Usual,
            Some("epoch_s") => Form::EpochSeconds,
            Some(pattern) if pattern.contains('%') => Form::Strptime(pattern.to_owned()),
            Some(other) => {
                return Err(format!(
                    "'{other}' is no time format; give epoch_ms, epoch_s or a pattern such as '%d/%m/%Y %H:%M'"
                ));
            }
        };
        let zone = if zone.eq_ignore_ascii_case("utc") { Ok(TimeZone::UTC) } else { TimeZone::get(zone) };
        let zone = zone.map_err(|e| format!("{e}; give an IANA time zone such as 'Europe/London'"))?;
        Ok(TimeParser { form, zone })
    }

    /// Milliseconds since the epoch.
    pub fn parse(&self, text: &str) -> Result<i64, String> {
        let text = text.trim();
        match &self.form {
            Form::Usual if is_number(text) => text.parse().map_err(|_| not_a_time(text)),
            Form::Usual => self.usual(text).ok_or_else(|| not_a_time(text)),
            Form::EpochSeconds => seconds(text).ok_or_else(|| not_a_time(text)),
            Form::Strptime(pattern) => self.by_pattern(pattern, text),
        }
    }

    fn usual(&self, text: &str) -> Option<i64> {
        // Behind the date, a sign or a Z can only be an offset.
        if text.bytes().skip(10).any(|b| matches!(b, b'+' | b'-' | b'Z' | b'z')) {
            text.parse::<Timestamp>().ok().map(|t| t.as_millisecond())
        } else {
            self.local(text.parse::<DateTime>().ok()?)
        }
    }

    fn local(&self, time: DateTime) -> Option<i64> {
        let zoned = self.zone.to_ambiguous_timestamp(time).compatible().ok()?;
        Some(zoned.as_millisecond())
    }

    fn by_pattern(&self, pattern: &str, text: &str) -> Result<i64, String> {
        let wrong = |e: jiff::Error| format!("'{text}' is no time of the form '{pattern}': {e}");
        let parts = strtime::parse(pattern, text).map_err(wrong)?;
        if parts.offset().is_some() || parts.iana_time_zone().is_some() {
            return Ok(parts.to_timestamp().map_err(wrong)?.as_millisecond());
        }
        // A pattern without a time of day means the start of the day.
        let time = match parts.to_datetime() {
            Ok(time) => time,
            Err(_) => parts.to_date().map_err(wrong)?.to_datetime(jiff::civil::Time::midnight()),
        };
        self.local(time).ok_or_else(|| not_a_time(text))
    }
}

fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
}

/// Seconds, perhaps with a fraction, exactly.
fn seconds(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let mut thousandths = 0;
    for i in 0..3 {
        thousandths = thousandths * 10 + fraction.as_bytes().get(i).map_or(0, |b| i64::from(b - b'0'));
    }
    let ms = whole.parse::<i64>().ok()?.checked_mul(1000)?;
    ms.checked_add(if whole.starts_with('-') { -thousandths } else { thousandths })
}

#[cold]
fn not_a_time(text: &str) -> String {
    format!("'{text}' is not a time; set the time format")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zone_for_times_without_one() {
        let london = TimeParser::new(None, "Europe/London").expect("zone");
        // Summer time is an hour ahead of UTC.
        assert_eq!(london.parse("2013-07-01 00:00:00"), Ok(1_372_633_200_000));
        assert_eq!(london.parse("2013-01-01 00:00:00"), Ok(1_356_998_400_000));
        assert_eq!(london.parse("2013-07-01T00:00:00Z"), Ok(1_372_636_800_000), "its own zone goes first");
        // 01:30 happens twice on 27 October 2013 and not at all on 31 March.
        assert_eq!(london.parse("2013-10-27 01:30:00"), Ok(1_382_833_800_000));
        assert_eq!(london.parse("2013-03-31 01:30:00"), Ok(1_364_693_400_000));
    }

    #[test]
    fn stated_forms() {
        let p = |f: &str, t: &str| TimeParser::new(Some(f), "UTC").expect("format").parse(t);
        assert_eq!(p("%d/%m/%Y %H:%M", "03/01/2012 00:30"), Ok(1_325_550_600_000));
        assert_eq!(p("%d/%m/%Y", "03/01/2012"), Ok(1_325_548_800_000));
        assert_eq!(p("%Y%m%d %H%M%S %z", "20120103 003000 +0100"), Ok(1_325_547_000_000));
        assert_eq!(p("epoch_s", "1325548800"), Ok(1_325_548_800_000));
        assert_eq!(p("epoch_s", "1325548800.25"), Ok(1_325_548_800_250));
        assert_eq!(p("epoch_s", "-1.5"), Ok(-1_500));
    }

    #[test]
    fn what_is_no_time_says_so() {
        let usual = TimeParser::new(None, "UTC").expect("zone");
        for text in ["", "yesterday", "2012-13-01 00:00:00", "Null", "99999999999999999999", "2012-01-03 00:00:00+"] {
            assert!(usual.parse(text).is_err_and(|e| e.contains("is not a time")), "{text}");
        }
        assert!(TimeParser::new(Some("iso"), "UTC").is_err());
        assert!(TimeParser::new(None, "Mars/Olympus").is_err());
    }
}
