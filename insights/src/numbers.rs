//! Numbers, money and times as people read them.

use jiff::civil::Date;

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Three digits or so that matter, thousands apart.
pub fn number(value: f64) -> String {
    let size = value.abs();
    let decimals = match size {
        _ if size == 0.0 || size >= 1_000.0 => 0,
        _ if size >= 100.0 => 1,
        _ if size >= 1.0 => 2,
        _ => 3,
    };
    fixed(value, decimals)
}

/// So many decimals at most, thousands apart.
pub fn fixed(value: f64, decimals: usize) -> String {
    if !value.is_finite() {
        return "–".into();
    }
    let text = format!("{:.decimals$}", value.abs());
    let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
    let part = part.trim_end_matches('0');
    let sign = if value < 0.0 && text.bytes().any(|b| (b'1'..=b'9').contains(&b)) { "−" } else { "" };
    let point = if part.is_empty() { "" } else { "." };
    format!("{sign}{}{point}{part}", thousands(whole))
}

/// A count.
pub fn count(n: u64) -> String {
    thousands(&n.to_string())
}

/// A count and what is counted.
pub fn counted(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(n), if n == 1 { one } else { many })
}

/// A share in percent. Nearly all is not all.
pub fn percent(share: f64) -> String {
    let value = share * 100.0;
    let text = match value {
        v if v > 99.9 && v < 100.0 => "99.9".into(),
        v if v > 0.0 && v < 0.1 => "under 0.1".into(),
        v => fixed(v, 1),
    };
    format!("{text} %")
}

/// Money: two decimals, always.
pub fn money(amount: f64, currency: &str) -> String {
    let text = format!("{:.2}", amount.abs());
    let (whole, cents) = text.split_once('.').unwrap_or((&text, "00"));
    let sign = if amount < 0.0 && text != "0.00" { "−" } else { "" };
    format!("{sign}{}.{cents} {currency}", thousands(whole))
}

/// How long.
pub fn hours(hours: f64) -> String {
    match hours {
        h if !h.is_finite() => "–".into(),
        h if h < 1.0 => format!("{} min", fixed(h * 60.0, 0)),
        h if h < 48.0 => format!("{} h", fixed(h, 1)),
        h if h < 24.0 * 700.0 => format!("{} days", fixed(h / 24.0, 1)),
        h => format!("{} years", fixed(h / 24.0 / 365.25, 1)),
    }
}

/// A month's short name.
pub fn month_name(month: i8) -> &'static str {
    let at = usize::try_from(month.clamp(1, 12) - 1).unwrap_or(0);
    MONTHS[at]
}

/// `Feb 2013`.
pub fn month(date: Date) -> String {
    format!("{} {}", month_name(date.month()), date.year())
}

fn thousands(digits: &str) -> String {
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
