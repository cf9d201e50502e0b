//! Java's `DateTimeFormatter` patterns, as far as partitions need them: numbers, month names, literals.
//!
//! A pattern must hold the year and everything down to its finest field, so that what it writes can be read back; the
//! finest field is the pattern's precision, and a time is cut to it by writing and reading.

use std::fmt::Write;

use jiff::civil::{Date, DateTime, Time};

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

/// A pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DateFormat {
    pattern: String,
    parts: Vec<Part>,
    finest: Field,
}

/// What a pattern's letters mean, from coarse to fine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Field {
    Year,
    Month,
    Day,
    Hour,
    Minute,
    Second,
    Fraction,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    /// `width` letters: so many digits at least.
    Number {
        field: Field,
        width: usize,
    },
    /// `DDD`
    DayOfYear {
        width: usize,
    },
    /// `yy`
    ShortYear,
    /// `MMM`, `MMMM`
    MonthName {
        short: bool,
    },
}

impl Part {
    fn field(&self) -> Option<Field> {
        match self {
            Part::Literal(_) => None,
            Part::Number { field, .. } => Some(*field),
            Part::DayOfYear { .. } => Some(Field::Day),
            Part::ShortYear => Some(Field::Year),
            Part::MonthName { .. } => Some(Field::Month),
        }
    }
}

impl DateFormat {
    /// Reads a pattern; the error says what is wrong with it.
    pub fn parse(pattern: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut chars = pattern.chars().peekable();
        let literal = |parts: &mut Vec<Part>, text: &str| match parts.last_mut() {
            Some(Part::Literal(last)) => last.push_str(text),
            _ => parts.push(Part::Literal(text.to_owned())),
        };
        while let Some(ch) = chars.next() {
            match ch {
                '\'' => {
                    let mut quoted = String::new();
                    loop {
                        match chars.next() {
                            Some('\'') if chars.peek() == Some(&'\'') => {
                                chars.next();
                                quoted.push('\'');
                            }
                            Some('\'') => break,
                            Some(inner) => quoted.push(inner),
                            None => return Err("a quote is not closed".into()),
                        }
                    }
                    literal(&mut parts, if quoted.is_empty() { "'" } else { &quoted });
                }
                'a'..='z' | 'A'..='Z' => {
                    let mut width = 1;
                    while chars.next_if_eq(&ch).is_some() {
                        width += 1;
                    }
                    parts.push(part(ch, width)?);
                }
                '[' | ']' | '{' | '}' | '#' => return Err(format!("'{ch}' is not supported")),
                other => literal(&mut parts, other.encode_utf8(&mut [0; 4])),
            }
        }
        let fields: Vec<Field> = parts.iter().filter_map(Part::field).collect();
        let finest = fields.iter().copied().max().ok_or("it holds no field of a date")?;
        let day_of_year = parts.iter().any(|part| matches!(part, Part::DayOfYear { .. }));
        for needed in [Field::Year, Field::Month, Field::Day, Field::Hour, Field::Minute, Field::Second] {
            let is_there = fields.contains(&needed) || (needed == Field::Month && day_of_year);
            if needed < finest && !is_there {
                return Err(format!("it has a {finest:?} and no {needed:?}, so its text is no time").to_lowercase());
            }
        }
        Ok(DateFormat { pattern: pattern.to_owned(), parts, finest })
    }

    /// The pattern.
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// Its finest field.
    pub fn precision(&self) -> Field {
        self.finest
    }

    /// Whether texts are ordered as their times are.
    pub fn is_sortable(&self) -> bool {
        let mut last = None;
        self.parts.iter().all(|part| match part {
            Part::Literal(_) => true,
            Part::Number { field, width } => {
                let fixed = match field {
                    Field::Year => *width == 4,
                    Field::Fraction => true,
                    _ => *width == 2,
                };
                let finer = last < Some(*field);
                last = Some(*field);
                fixed && finer
            }
            Part::DayOfYear { width } => {
                let finer = last == Some(Field::Year);
                last = Some(Field::Day);
                finer && *width == 3
            }
            Part::ShortYear | Part::MonthName { .. } => false,
        })
    }

    /// The text of a time.
    pub fn format(&self, time: DateTime) -> String {
        let mut out = String::new();
        for part in &self.parts {
            // Writing into a String cannot fail.
            let _ = match part {
                Part::Literal(text) => out.write_str(text),
                Part::Number { field: Field::Fraction, width } => {
                    let nanos = format!("{:09}", time.subsec_nanosecond());
                    out.write_str(nanos.get(..*width).unwrap_or(&nanos))
                }
                Part::Number { field, width } => write!(out, "{:0width$}", number(*field, time)),
                Part::DayOfYear { width } => write!(out, "{:0width$}", time.date().day_of_year()),
                Part::ShortYear => write!(out, "{:02}", time.year().rem_euclid(100)),
                Part::MonthName { short } => {
                    let name = MONTHS[usize::from(time.month().unsigned_abs()).saturating_sub(1) % 12];
                    out.write_str(if *short { &name[..3] } else { name })
                }
            };
        }
        out
    }

    /// The time of a text; `None` when it is not of this pattern.
    pub fn read(&self, text: &str) -> Option<DateTime> {
        let mut rest = text;
        let (mut year, mut month, mut day, mut day_of_year) = (None, 1, 1, None);
        let mut time = [0_i64; 4];
        for (at, part) in self.parts.iter().enumerate() {
            match part {
                Part::Literal(text) => rest = rest.strip_prefix(text.as_str())?,
                Part::MonthName { short } => {
                    let mut names = (1..).zip(MONTHS.map(|name| if *short { &name[..3] } else { name }));
                    let (number, tail) = names.find_map(|(number, name)| Some((number, rest.strip_prefix(name)?)))?;
                    (month, rest) = (number, tail);
                }
                Part::Number { .. } | Part::DayOfYear { .. } | Part::ShortYear => {
                    // Where another number follows at once, this one is as wide as its letters.
                    let adjacent = matches!(self.parts.get(at + 1), Some(next) if next.field().is_some());
                    let width = match part {
                        Part::Number { width, .. } | Part::DayOfYear { width } => *width,
                        _ => 2,
                    };
                    let exact = adjacent || width > 1;
                    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
                    let taken = if exact { width } else { digits.min(9) };
                    if taken == 0 || digits < taken {
                        return None;
                    }
                    let (text, tail) = rest.split_at(taken);
                    rest = tail;
                    let value: i64 = text.parse().ok()?;
                    match part {
                        Part::ShortYear => year = Some(2000 + value),
                        Part::DayOfYear { .. } => day_of_year = Some(value),
                        Part::Number { field, width } => match field {
                            Field::Year => year = Some(value),
                            Field::Month => month = value,
                            Field::Day => day = value,
                            Field::Hour => time[0] = value,
                            Field::Minute => time[1] = value,
                            Field::Second => time[2] = value,
                            Field::Fraction => {
                                time[3] = value * 10_i64.pow(9_u32.saturating_sub(u32::try_from(*width).ok()?))
                            }
                        },
                        _ => {}
                    }
                }
            }
        }
        if !rest.is_empty() {
            return None;
        }
        let year = i16::try_from(year?).ok()?;
        let date = match day_of_year {
            Some(day) => Date::new(year, 1, 1).ok()?.with().day_of_year(i16::try_from(day).ok()?).build().ok()?,
            None => Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()?,
        };
        let [hour, minute, second, nanos] = time;
        let narrow = |value: i64| i8::try_from(value).ok();
        let time = Time::new(narrow(hour)?, narrow(minute)?, narrow(second)?, i32::try_from(nanos).ok()?).ok()?;
        Some(date.to_datetime(time))
    }

    /// A time without what the pattern does not hold.
    pub fn cut(&self, time: DateTime) -> Option<DateTime> {
        self.read(&self.format(time))
    }
}

fn part(letter: char, width: usize) -> Result<Part, String> {
    let field = match letter {
        'y' | 'u' if width == 2 => return Ok(Part::ShortYear),
        'y' | 'u' => Field::Year,
        'M' | 'L' if width == 3 || width == 4 => return Ok(Part::MonthName { short: width == 3 }),
        'M' | 'L' => Field::Month,
        'd' => Field::Day,
        'D' => return Ok(Part::DayOfYear { width }),
        'H' => Field::Hour,
        'm' => Field::Minute,
        's' => Field::Second,
        'S' => Field::Fraction,
        'Y' => return Err("'Y' is the year of the week: write 'y'".into()),
        'h' | 'K' | 'k' | 'a' => return Err(format!("'{letter}' is not supported: write hours with 'H'")),
        'T' | 'Z' => return Err(format!("a {letter} of the text is written in quotes, as '{letter}'")),
        other => return Err(format!("the letter '{other}' is not supported (y M d D H m s S are)")),
    };
    let widest = match field {
        Field::Year => 4,
        Field::Fraction => 9,
        _ => 2,
    };
    if width > widest {
        return Err(format!("'{}' is too long", letter.to_string().repeat(width)));
    }
    Ok(Part::Number { field, width })
}

fn number(field: Field, time: DateTime) -> i64 {
    match field {
        Field::Year => i64::from(time.year()),
        Field::Month => i64::from(time.month()),
        Field::Day => i64::from(time.day()),
        Field::Hour => i64::from(time.hour()),
        Field::Minute => i64::from(time.minute()),
        Field::Second => i64::from(time.second()),
        Field::Fraction => i64::from(time.subsec_nanosecond()),
    }
}
