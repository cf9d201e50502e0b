//! Durations, sizes, counts and times, as people write and read them.

use std::time::Duration;

/// `10s`, `500ms`, `1m30s`, `2 hours`.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let hint = || format!("'{text}' is no duration: write 500ms, 10s, 5m or 1h30m");
    let signed: jiff::SignedDuration = text.trim().parse().map_err(|_| hint())?;
    Duration::try_from(signed).map_err(|_| hint())
}

/// `64MiB`, `512k`, `1g`, `1048576`: 1 K is 1024.
pub fn parse_size(text: &str) -> Result<usize, String> {
    let hint = || format!("'{text}' is no size: write 64MiB, 512KiB, 1GiB or a number of bytes");
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: usize = text[..digits].parse().map_err(|_| hint())?;
    let shift = match text[digits..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        _ => return Err(hint()),
    };
    number.checked_mul(1 << shift).ok_or_else(hint)
}

/// `1.2 MiB`
pub fn size(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < 1024.0 {
            return if unit == "B" { format!("{bytes} B") } else { format!("{value:.1} {unit}") };
        }
        value /= 1024.0;
    }
    format!("{value:.1} TiB")
}

/// `45 ms`, `3.2 s`, `4 min`, `2.5 h`, `12 d`
pub fn span(ms: i64) -> String {
    let s = ms as f64 / 1000.0;
    match ms.abs() {
        0..1_000 => format!("{ms} ms"),
        1_000..120_000 => format!("{s:.1} s"),
        120_000..7_200_000 => format!("{:.0} min", s / 60.0),
        7_200_000..172_800_000 => format!("{:.1} h", s / 3600.0),
        _ => format!("{:.0} d", s / 86_400.0),
    }
}

/// `1,234,567`
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `2013-02-01T00:00:05Z`; what no calendar holds is `–`.
pub fn time(ms: i64) -> String {
    // Seconds are enough for people; JSON has the milliseconds.
    match jiff::Timestamp::from_second(ms.div_euclid(1000)) {
        Ok(t) if ms != i64::MIN && ms != i64::MAX => t.to_string(),
        _ => "–".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        assert_eq!(parse_duration("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("1h30m"), Ok(Duration::from_secs(5400)));
        for wrong in ["", "10", "ten", "-5s"] {
            assert!(parse_duration(wrong).is_err_and(|e| e.contains("10s")), "{wrong}");
        }
    }

    #[test]
    fn sizes_are_read_and_written() {
        assert_eq!(parse_size("64MiB"), Ok(64 << 20));
        assert_eq!(parse_size("512 k"), Ok(512 << 10));
        assert_eq!(parse_size("7"), Ok(7));
        for wrong in ["", "MiB", "64XB", "-1k", "99999999999999999999g"] {
            assert!(parse_size(wrong).is_err(), "{wrong}");
        }
        assert_eq!([size(0), size(1023), size(1536), size(3 << 30)], ["0 B", "1023 B", "1.5 KiB", "3.0 GiB"]);
    }

    #[test]
    fn numbers_and_times_are_written_for_people() {
        assert_eq!([count(0), count(999), count(1_000), count(1_234_567)], ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([span(45), span(3_200), span(240_000), span(86_400_000 * 12)], ["45 ms", "3.2 s", "4 min", "12 d"]);
        assert_eq!(
            [time(0), time(1_359_676_805_999), time(i64::MIN)],
            ["1970-01-01T00:00:00Z", "2013-02-01T00:00:05Z", "–"]
        );
    }
}
