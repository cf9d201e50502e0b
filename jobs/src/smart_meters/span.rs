//! A length of time as people write it: `30s`, `15m`, `6h`, `15d`.

use std::{fmt, str::FromStr, time::Duration};

/// A duration that is read and shown as a number with a unit.
///
/// ```
/// use hurtig::smart_meters::Span;
///
/// let span: Span = "15m".parse()?;
/// assert_eq!(span.millis(), 900_000);
/// assert_eq!(span.to_string(), "15m");
/// # Ok::<(), String>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(Duration);

/// Units from the largest, in milliseconds.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

impl Span {
    /// `n` seconds.
    pub const fn secs(n: u64) -> Self {
        Span(Duration::from_secs(n))
    }

    /// `n` minutes.
    pub const fn mins(n: u64) -> Self {
        Span::secs(n * 60)
    }

    /// `n` hours.
    pub const fn hours(n: u64) -> Self {
        Span::mins(n * 60)
    }

    /// `n` days.
    pub const fn days(n: u64) -> Self {
        Span::hours(n * 24)
    }

    /// In milliseconds.
    pub fn millis(self) -> i64 {
        hurtig_engine::time::millis(self.0)
    }

    /// As the standard library has it.
    pub const fn duration(self) -> Duration {
        self.0
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        let whole = UNITS.iter().find(|(_, length)| ms >= *length && ms % length == 0);
        match whole {
            Some((unit, length)) => write!(f, "{}{unit}", ms / length),
            None => f.write_str("0s"),
        }
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("'{text}' is no length of time: give a number and a unit, such as 500ms, 30s, 15m, 6h or 15d");
        let text = text.trim();
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let (_, length) = UNITS.iter().find(|(name, _)| *name == unit.trim()).ok_or_else(wrong)?;
        number.checked_mul(*length).map(|ms| Span(Duration::from_millis(ms))).ok_or_else(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn read_and_shown_alike() {
        for (text, ms) in
            [("500ms", 500), ("30s", 30_000), ("15m", 900_000), ("6h", 21_600_000), ("73000d", 6_307_200_000_000)]
        {
            let span: Span = text.parse().expect(text);
            assert_eq!((span.millis(), span.to_string()), (ms, text.to_owned()));
        }
        assert_eq!("90 s".parse::<Span>().map(|s| s.to_string()), Ok("90s".into()));
        assert_eq!("120s".parse::<Span>().map(|s| s.to_string()), Ok("2m".into()));
    }

    #[test]
    fn what_is_no_length_says_so() {
        for text in ["", "15", "m", "-1m", "1w", "1.5h", "99999999999999999999d", "18446744073709551615d"] {
            assert!(text.parse::<Span>().is_err_and(|e| e.contains("no length of time")), "{text}");
        }
    }
}
