//! The patterns of Java's `DateTimeFormatter`, as far as they make sense in a path.
//!
//! Source: <https://docs.oracle.com/javase/8/docs/api/java/time/format/DateTimeFormatter.html>.

use std::fmt::Write;

use jiff::civil::{DateTime, Weekday};

/// A pattern such as `yyyy/MM/dd`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern {
    items: Vec<Item>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Item {
    Text(String),
    /// A letter, and how often it stands there.
    Field(char, usize),
}

/// Letters, and how often each may stand in a row.
const LETTERS: &[(&str, usize)] = &[("yu", 9), ("ML", 5), ("E", 5), ("D", 3), ("dHhKkms", 2), ("S", 9), ("a", 1)];

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

impl Pattern {
    /// Reads a pattern, or says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("a time needs a pattern, such as yyyy/MM/dd".into());
        }
        let mut items = Vec::new();
        let mut rest = text.chars().peekable();
        while let Some(c) = rest.next() {
            if c == '\'' {
                push(&mut items, &quoted(&mut rest)?);
            } else if c.is_ascii_alphabetic() {
                let mut count = 1;
                while rest.next_if_eq(&c).is_some() {
                    count += 1;
                }
                check(c, count)?;
                items.push(Item::Field(c, count));
            } else if matches!(c, '[' | ']' | '{' | '}' | '#') {
                return Err(format!("'{c}' is reserved in a time's pattern: put it in single quotes"));
            } else {
                push(&mut items, c.encode_utf8(&mut [0; 4]));
            }
        }
        Ok(Pattern { items })
    }

    /// For how many milliseconds of local time, counted from a full hour, the text stays the same.
    pub fn granule(&self) -> i64 {
        let fields = self.items.iter().filter_map(|i| match i {
            Item::Field(letter, _) => Some(*letter),
            Item::Text(_) => None,
        });
        let granules = fields.map(|letter| match letter {
            'S' => 1,
            's' => 1_000,
            'm' => 60_000,
            _ => 3_600_000,
        });
        granules.min().unwrap_or(3_600_000)
    }

    /// Appends a local time.
    pub fn write(&self, t: DateTime, out: &mut String) {
        for item in &self.items {
            match item {
                Item::Text(text) => out.push_str(text),
                Item::Field(letter, count) => field(*letter, *count, t, out),
            }
        }
    }
}

fn push(items: &mut Vec<Item>, text: &str) {
    if let Some(Item::Text(before)) = items.last_mut() {
        before.push_str(text);
    } else {
        items.push(Item::Text(text.to_owned()));
    }
}

/// What stands in single quotes; two of them are one.
fn quoted(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<String, String> {
    if rest.next_if_eq(&'\'').is_some() {
        return Ok("'".into());
    }
    let mut text = String::new();
    while let Some(c) = rest.next() {
        if c != '\'' {
            text.push(c);
        } else if rest.next_if_eq(&'\'').is_some() {
            text.push('\'');
        } else {
            return Ok(text);
        }
    }
    Err("a single quote is opened in a time's pattern and not closed".into())
}

fn check(letter: char, count: usize) -> Result<(), String> {
    if let Some((_, most)) = LETTERS.iter().find(|(letters, _)| letters.contains(letter)) {
        if count <= *most {
            return Ok(());
        }
        return Err(format!("'{letter}' may stand at most {most} times in a row in a time's pattern"));
    }
    Err(match letter {
        'Y' => "'Y' is the year of the week, which around New Year is another one: write y".into(),
        'e' | 'c' | 'w' | 'W' => {
            format!("'{letter}' counts weeks, and weeks begin on another day in every country: write D, d or E")
        }
        _ => format!("'{letter}' is not a letter of a time's pattern here: y u M L d D E H h K k m s S a are"),
    })
}

fn field(letter: char, count: usize, t: DateTime, out: &mut String) {
    let twelve = match t.hour() % 12 {
        0 => 12,
        h => h,
    };
    let name = |name: &'static str| match count {
        3 => &name[..3],
        4 => name,
        _ => &name[..1],
    };
    match letter {
        'y' | 'u' if count == 2 => number(t.year().rem_euclid(100).into(), 2, out),
        'y' | 'u' => number(t.year().into(), count, out),
        'M' | 'L' if count < 3 => number(t.month().into(), count, out),
        'M' | 'L' => out.push_str(name(MONTHS[(t.month() as usize + 11) % 12])),
        'd' => number(t.day().into(), count, out),
        'D' => number(t.day_of_year().into(), count, out),
        'E' => out.push_str(if count < 3 { &weekday(t.weekday())[..3] } else { name(weekday(t.weekday())) }),
        'H' => number(t.hour().into(), count, out),
        'k' => number(if t.hour() == 0 { 24 } else { t.hour().into() }, count, out),
        'h' => number(twelve.into(), count, out),
        'K' => number((t.hour() % 12).into(), count, out),
        'm' => number(t.minute().into(), count, out),
        's' => number(t.second().into(), count, out),
        'S' => number(t.subsec_nanosecond() / 10_i32.pow(9 - count.min(9) as u32), count, out),
        _ => out.push_str(if t.hour() < 12 { "AM" } else { "PM" }),
    }
}

fn number(n: i32, width: usize, out: &mut String) {
    // Writing to a string does not fail.
    let _ = write!(out, "{n:0width$}");
}

fn weekday(day: Weekday) -> &'static str {
    match day {
        Weekday::Monday => "Monday",
        Weekday::Tuesday => "Tuesday",
        Weekday::Wednesday => "Wednesday",
        Weekday::Thursday => "Thursday",
        Weekday::Friday => "Friday",
        Weekday::Saturday => "Saturday",
        Weekday::Sunday => "Sunday",
    }
}
