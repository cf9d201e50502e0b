//! What a server says to lines: that it has taken them, which of them it has not, or that it will not take any.
//!
//! InfluxDB 3 names every line that it refused and has stored the others; InfluxDB 1 and 2 quote the lines that they cannot
//! parse; QuestDB and InfluxDB Cloud name one. A wrong type, a time outside the retention and the like are told by
//! InfluxDB 1 and 2 without the line, and it has to be looked for ([`Failure::Invalid`]).

use std::{collections::HashMap, time::Duration};

use serde_json::Value;

/// Why lines are not, or not all, taken. Its words are one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// These lines, by their index, are refused.
    Lines {
        /// Index and reason.
        refused: Vec<(usize, String)>,
        /// Whether the others are stored; else they may be, and have to be sent again.
        rest_is_stored: bool,
    },
    /// Some line or other is refused.
    Invalid(String),
    /// Together they are too large.
    TooLarge(String),
    /// Too fast, or too much: wait, if it says so for so long.
    Busy {
        /// The server's.
        words: String,
        /// `Retry-After`
        retry_after: Option<Duration>,
    },
    /// The server or the connection: try again.
    Passing(String),
    /// It will not get better by waiting.
    Final {
        /// The HTTP status.
        status: u16,
        /// The server's words.
        words: String,
    },
}

impl Failure {
    /// What an answer means that is not a 2xx: its status, its `Retry-After`, its body, and the lines it is about.
    pub fn judge(status: u16, retry_after: Option<&str>, body: &[u8], lines: &[&[u8]]) -> Self {
        let json: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
        let words = words(&json, body);
        match status {
            400 | 422 => {
                if is_about_the_request(&words) {
                    return Failure::Final { status, words };
                }
                refused_lines(&json, &words, lines).unwrap_or(Failure::Invalid(words))
            }
            413 => Failure::TooLarge(words),
            429 | 503 => {
                let seconds = retry_after.and_then(|text| text.trim().parse().ok());
                Failure::Busy { words, retry_after: seconds.map(Duration::from_secs) }
            }
            // InfluxDB 1's, which no waiting makes.
            500 if words.contains("retention policy not found") => Failure::Final { status, words },
            408 | 500..=599 => Failure::Passing(format!("HTTP {status}: {words}")),
            _ => Failure::Final { status, words },
        }
    }

    /// Whether the same lines may be taken another time.
    pub fn is_passing(&self) -> bool {
        matches!(self, Failure::Busy { .. } | Failure::Passing(_))
    }

    /// Its words.
    pub fn words(&self) -> &str {
        match self {
            Failure::Lines { .. } => "some of the lines were refused",
            Failure::Invalid(words)
            | Failure::TooLarge(words)
            | Failure::Busy { words, .. }
            | Failure::Passing(words)
            | Failure::Final { words, .. } => words,
        }
    }
}

/// What a server says, in one line.
fn words(json: &Value, body: &[u8]) -> String {
    let said = ["message", "error"].iter().find_map(|key| json.get(key).and_then(Value::as_str));
    let said = said.map_or_else(|| String::from_utf8_lossy(body).trim().to_owned(), str::to_owned);
    let mut said = said.replace("\r\n", "; ").replace(['\r', '\n'], "; ");
    if said.is_empty() {
        said.push_str("no reason given");
    }
    said
}

/// A 400 that no change of the lines would help: a missing parameter, a name that cannot be a database's.
fn is_about_the_request(words: &str) -> bool {
    ["database is required", "bucket is required", "org is required", "db name", "database or rp name", "precision"]
        .iter()
        .any(|mark| words.contains(mark))
}

fn refused_lines(json: &Value, words: &str, lines: &[&[u8]]) -> Option<Failure> {
    let named = |line: &Value| {
        let at = index(line.get("line_number")?, lines.len())?;
        Some((at, line.get("error_message").and_then(Value::as_str).unwrap_or(words).to_owned()))
    };
    let (refused, rest_is_stored) = match json.get("data") {
        // InfluxDB 3, asked to accept partial writes.
        Some(Value::Array(data)) => (data.iter().map(named).collect::<Option<Vec<_>>>()?, true),
        // InfluxDB 3, which has stopped at the first.
        Some(data @ Value::Object(_)) => (vec![named(data)?], false),
        _ => match json.get("line").and_then(|line| index(line, lines.len())) {
            // QuestDB, InfluxDB Cloud.
            Some(at) => (vec![(at, words.to_owned())], false),
            None => match dropped(words) {
                // InfluxDB 1 and 2, when there is no good one among them. The reason is the first one's.
                Some(dropped) if dropped == lines.len() => {
                    ((0..lines.len()).map(|at| (at, words.to_owned())).collect(), false)
                }
                _ => (quoted(json, lines), false),
            },
        },
    };
    (!refused.is_empty()).then_some(Failure::Lines { refused, rest_is_stored })
}

/// A line's number, from 1, as its index.
fn index(number: &Value, lines: usize) -> Option<usize> {
    let at = usize::try_from(number.as_u64()?).ok()?.checked_sub(1)?;
    (at < lines).then_some(at)
}

/// `partial write: points beyond retention policy dropped=3`
fn dropped(words: &str) -> Option<usize> {
    words.contains("partial write").then_some(())?;
    let (_, count) = words.rsplit_once("dropped=")?;
    count.trim().parse().ok()
}

/// The lines that are quoted as `unable to parse 'LINE': reason`, one after another.
fn quoted(json: &Value, lines: &[&[u8]]) -> Vec<(usize, String)> {
    const MARK: &str = "unable to parse '";
    let said = ["message", "error"].iter().find_map(|key| json.get(key).and_then(Value::as_str)).unwrap_or_default();
    if !said.contains(MARK) {
        return Vec::new();
    }
    let mut at: HashMap<&[u8], Vec<usize>> = HashMap::new();
    lines.iter().enumerate().for_each(|(i, line)| at.entry(line).or_default().push(i));
    let mut refused = Vec::new();
    for chunk in said.split(MARK).skip(1) {
        // The line may hold what ends it.
        let ends = chunk.match_indices("': ");
        let Some((end, same)) =
            ends.filter_map(|(end, _)| Some((end, at.remove(chunk.get(..end)?.as_bytes())?))).next()
        else {
            continue;
        };
        let reason = chunk.get(end + 3..).unwrap_or_default();
        let reason = reason.lines().next().unwrap_or_default().trim_end();
        let reason = reason.split(" dropped=").next().unwrap_or(reason);
        refused.extend(same.into_iter().map(|at| (at, reason.to_owned())));
    }
    refused.sort_unstable();
    refused
}
