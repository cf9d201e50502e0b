//! Prefixes with expressions: `year=!{timestamp:yyyy}/site=!{partitionKeyFromQuery:site}/`.
//!
//! A prefix is parsed once, when the configuration is read, and evaluated once per file.
//! Source: <https://docs.aws.amazon.com/firehose/latest/dev/s3-prefixes.html>.

mod pattern;

use hurtig_operators::connectors::part_files::check_path;
use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

pub(crate) use self::pattern::Pattern;
use crate::error::{Error, Result};

/// The longest evaluated prefix, in characters.
pub(crate) const MAX_EVALUATED: usize = 512;
/// The longest prefix as it is configured (`ExtendedS3DestinationConfiguration.Prefix`).
const MAX_CONFIGURED: usize = 1024;

/// A parsed prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Prefix {
    pieces: Vec<Piece>,
    keys: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Time(Pattern),
    /// An index into the keys.
    Key(usize),
    Random,
    ErrorType,
}

/// Which of the two prefixes: they may not hold the same expressions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    /// `Prefix`
    Data,
    /// `ErrorOutputPrefix`
    Errors,
}

impl Field {
    fn name(self) -> &'static str {
        match self {
            Field::Data => "Prefix",
            Field::Errors => "ErrorOutputPrefix",
        }
    }
}

/// What a prefix is evaluated with.
pub(crate) struct Values<'a> {
    /// One for each of the prefix's keys.
    pub keys: &'a [&'a str],
    /// What the times come from.
    pub time: Time<'a>,
    /// Gives a random string, another each time.
    pub random: &'a mut dyn FnMut() -> String,
    /// What went wrong, in an error prefix.
    pub error_type: &'a str,
}

/// The times in a prefix.
pub(crate) enum Time<'a> {
    /// All of them are of this local time.
    Local(DateTime),
    /// Each is written already.
    Written(&'a [&'a str]),
}

impl Prefix {
    /// Parses a prefix, with the rules for `field`.
    pub fn parse(field: Field, text: &str) -> Result<Self> {
        let fail = |reason: String| Error::Prefix { field: field.name(), prefix: text.to_owned(), reason };
        if text.chars().count() > MAX_CONFIGURED {
            return Err(fail(format!("it is longer than {MAX_CONFIGURED} characters")));
        }
        let mut prefix = Prefix { pieces: Vec::new(), keys: Vec::new() };
        let mut rest = text;
        while let Some(start) = rest.find("!{") {
            prefix.text(&rest[..start]);
            let inside = &rest[start + 2..];
            let end = inside.find('}').ok_or_else(|| fail("an expression is opened by !{ and not closed".into()))?;
            prefix.expression(field, &inside[..end]).map_err(fail)?;
            rest = &inside[end + 1..];
        }
        prefix.text(rest);
        prefix.complete(field).map_err(fail)?;
        prefix.check().map_err(fail)?;
        Ok(prefix)
    }

    fn text(&mut self, text: &str) {
        if !text.is_empty() {
            self.pieces.push(Piece::Text(text.to_owned()));
        }
    }

    fn expression(&mut self, field: Field, inside: &str) -> Result<(), String> {
        let Some((namespace, value)) = inside.split_once(':') else {
            return Err(format!("!{{{inside}}} is not an expression: write !{{namespace:value}}"));
        };
        let piece = match (namespace, value) {
            ("timestamp", pattern) => Piece::Time(Pattern::parse(pattern)?),
            ("partitionKeyFromQuery", _) if field == Field::Errors => {
                return Err("partition keys cannot be used here, for a record may have failed for want of them".into());
            }
            ("partitionKeyFromQuery", "") => return Err("!{partitionKeyFromQuery:…} needs the name of a key".into()),
            ("partitionKeyFromQuery", key) => Piece::Key(self.key(key)),
            ("partitionKeyFromLambda", key) => {
                return Err(format!(
                    "there is no Lambda here: have the key '{key}' made by a MetadataExtraction processor and write \
                     !{{partitionKeyFromQuery:{key}}}"
                ));
            }
            ("firehose", "random-string") => Piece::Random,
            ("firehose", "error-output-type") if field == Field::Errors => Piece::ErrorType,
            ("firehose", "error-output-type") => {
                return Err("!{firehose:error-output-type} belongs into ErrorOutputPrefix".into());
            }
            ("firehose", other) => {
                return Err(format!("!{{firehose:{other}}} is not known: random-string and error-output-type are"));
            }
            (other, _) => {
                return Err(format!(
                    "the namespace '{other}' is not known: timestamp, partitionKeyFromQuery and firehose are"
                ));
            }
        };
        self.pieces.push(piece);
        Ok(())
    }

    fn key(&mut self, key: &str) -> usize {
        self.keys.iter().position(|k| k == key).unwrap_or_else(|| {
            self.keys.push(key.to_owned());
            self.keys.len() - 1
        })
    }

    /// Adds what Firehose adds to a prefix without expressions, and asks for what it asks for in
    /// one that has some.
    fn complete(&mut self, field: Field) -> Result<(), String> {
        let plain = !self.has_expressions();
        match field {
            Field::Data if plain => self.pieces.push(Piece::Time(Pattern::parse("yyyy/MM/dd/HH/")?)),
            Field::Errors if plain => {
                self.pieces.extend([
                    Piece::ErrorType,
                    Piece::Text("/".into()),
                    Piece::Time(Pattern::parse("yyyy/MM/dd/HH/")?),
                ]);
            }
            Field::Errors if !self.pieces.contains(&Piece::ErrorType) => {
                return Err("an error prefix with expressions must hold !{firehose:error-output-type}".into());
            }
            _ => {}
        }
        Ok(())
    }

    /// Evaluates it as an example, so that what can never be a directory is said at once.
    fn check(&self) -> Result<(), String> {
        let keys = vec!["k"; self.keys.len()];
        let time = Time::Local(DateTime::constant(2024, 7, 5, 13, 0, 0, 0));
        let values = Values { keys: &keys, time, random: &mut || "r".repeat(11), error_type: "processing-failed" };
        self.evaluate(values).map(drop)
    }

    /// Whether there is anything to evaluate.
    pub fn has_expressions(&self) -> bool {
        self.pieces.iter().any(|p| !matches!(p, Piece::Text(_)))
    }

    /// The keys it needs, in the order of their first use.
    pub fn keys(&self) -> &[String] {
        &self.keys
    }

    /// The patterns of its times.
    pub fn times(&self) -> impl Iterator<Item = &Pattern> {
        self.pieces.iter().filter_map(|p| match p {
            Piece::Time(pattern) => Some(pattern),
            _ => None,
        })
    }

    /// The directory, without a slash at its end.
    pub fn evaluate(&self, values: Values<'_>) -> Result<String, String> {
        let mut path = String::with_capacity(128);
        let mut time = 0;
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => path.push_str(text),
                Piece::Key(key) => path.push_str(values.keys.get(*key).copied().unwrap_or_default()),
                Piece::Random => path.push_str(&(values.random)()),
                Piece::ErrorType => path.push_str(values.error_type),
                Piece::Time(pattern) => match &values.time {
                    Time::Local(t) => pattern.write(*t, &mut path),
                    Time::Written(texts) => {
                        path.push_str(texts.get(time).copied().unwrap_or_default());
                        time += 1;
                    }
                },
            }
        }
        let length = path.chars().count();
        if length > MAX_EVALUATED {
            return Err(format!("evaluated, it has {length} characters; {MAX_EVALUATED} is the most"));
        }
        // A prefix is a directory here, also one that does not end in a slash.
        path.truncate(path.trim_end_matches('/').len());
        check_path(&path)?;
        Ok(path)
    }
}

/// The local time in `zone` at `ms` since the epoch.
pub(crate) fn local(ms: i64, zone: &TimeZone) -> Result<DateTime, String> {
    let wrong = || format!("the time {ms} is outside the years 0 to 9999");
    let t = zone.to_datetime(Timestamp::from_millisecond(ms).map_err(|_| wrong())?);
    if t.year() < 0 { Err(wrong()) } else { Ok(t) }
}
