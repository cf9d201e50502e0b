//! Everything that a job wrote, to be compared with what another run wrote.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::program;

/// Tables, asked for with SQL: rows in any order.
const TABLES: [(&str, &str); 5] = [
    ("readings", "SELECT meter_id, time, measure, value, unit, region, source FROM readings"),
    (
        "aggregates_1m",
        "SELECT meter_id, region, window_start, window_end, sum, count, min, max, avg, measure FROM aggregates_1m",
    ),
    (
        "aggregates_1h",
        "SELECT meter_id, region, window_start, window_end, sum, count, min, max, avg, measure FROM aggregates_1h",
    ),
    ("timeseries", "SELECT meter_id, region, measure_name, measure_value, time FROM timeseries"),
    ("dead_letters", "SELECT time, split, position, operator, reason, raw FROM dead_letters"),
];

/// Directories of JSON lines.
const LINES: [&str; 2] = ["lake/raw", "outside-window"];

/// The sinks' uids, and where their rows are.
const SINKS: [(&str, &str); 7] = [
    ("raw-lake", "lake/raw"),
    ("readings-lake", "readings"),
    ("timeseries", "timeseries"),
    ("outside-window", "outside-window"),
    ("aggregates-1m", "aggregates_1m"),
    ("aggregates-1h", "aggregates_1h"),
    ("dead-letters", "dead_letters"),
];

/// The rows of everything, each sorted.
#[derive(Debug, PartialEq, Eq)]
pub struct Written(BTreeMap<&'static str, Vec<String>>);

impl Written {
    /// What is below `data_dir`. A file that is still pending is an error.
    pub fn below(data_dir: &Path) -> Result<Self> {
        let mut all = BTreeMap::new();
        for (name, sql) in TABLES {
            all.insert(name, program::query(data_dir, sql).with_context(|| name.to_owned())?);
        }
        for name in LINES {
            let mut lines = Vec::new();
            for file in files(&data_dir.join(name))? {
                let text = std::fs::read(&file).with_context(|| file.display().to_string())?;
                lines.extend(String::from_utf8_lossy(&text).lines().map(str::to_owned));
            }
            all.insert(name, lines);
        }
        let pending = files(data_dir)?.into_iter().find(|f| f.extension().is_some_and(|e| e == "pending"));
        if let Some(pending) = pending {
            bail!("a pending file is left: {}", pending.display());
        }
        all.values_mut().for_each(|rows| rows.sort_unstable());
        Ok(Written(all))
    }

    /// How many rows there are.
    pub fn rows(&self) -> impl Iterator<Item = (&'static str, usize)> {
        self.0.iter().map(|(name, rows)| (*name, rows.len()))
    }

    /// Every sink has written as many rows as its books say, and no sink has no books.
    pub fn agrees_with(&self, books: &BTreeMap<String, Value>) -> Result<()> {
        let uids: BTreeSet<_> = books.keys().map(String::as_str).collect();
        if uids != SINKS.iter().map(|(uid, _)| *uid).collect() {
            bail!("the sinks with books are {uids:?}");
        }
        for (uid, table) in SINKS {
            let (rows, written) = (self.0.get(table).map_or(0, Vec::len), &books[uid]["written"]);
            if written.as_u64() != Some(rows as u64) {
                bail!("{uid} has written {written} records by its books, and {rows} are there");
            }
        }
        Ok(())
    }

    /// What is in only one of the two, if anything.
    pub fn difference(&self, expected: &Written) -> Option<String> {
        let mut said = Vec::new();
        for (name, rows) in &self.0 {
            let expected = expected.0.get(name).map(Vec::as_slice).unwrap_or_default();
            let (more, missing) = (only_in_first(rows, expected), only_in_first(expected, rows));
            if more.is_empty() && missing.is_empty() {
                continue;
            }
            said.push(format!("{name}: {} rows, expected {}", rows.len(), expected.len()));
            for (sign, rows) in [("+", more), ("-", missing)] {
                said.push(format!("  {sign} {} rows", rows.len()));
                said.extend(rows.iter().take(5).map(|row| format!("  {sign} {row}")));
            }
        }
        (!said.is_empty()).then(|| said.join("\n"))
    }
}

/// Both are sorted; a row that is there twice counts twice.
fn only_in_first<'a>(first: &'a [String], second: &[String]) -> Vec<&'a String> {
    let mut second = second.iter().peekable();
    let mut only = Vec::new();
    for row in first {
        while second.next_if(|s| *s < row).is_some() {}
        if second.next_if(|s| *s == row).is_none() {
            only.push(row);
        }
    }
    only
}

/// All files below `dir`, hidden ones too, but for checkpoints and working state.
pub fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        let entries = match std::fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
            Err(e) => return Err(e).with_context(|| dir.display().to_string()),
        };
        for entry in entries {
            let path = entry?.path();
            if !path.is_dir() {
                files.push(path);
            } else if !path.ends_with("checkpoints") && !path.ends_with("work") {
                open.push(path);
            }
        }
    }
    Ok(files)
}

/// The sinks' books, as the summary of a run has them, by uid.
pub fn books(finished: &Value) -> Result<BTreeMap<String, Value>> {
    let books = finished["books"].as_array().context("the summary has no books")?;
    let uid = |b: &Value| b["uid"].as_str().unwrap_or_default().to_owned();
    let books: BTreeMap<_, _> = books.iter().map(|b| (uid(b), b.clone())).collect();
    for book in books.values() {
        let n = |field: &str| book[field].as_u64().unwrap_or_default();
        if n("read") != n("written") + n("rejected") + n("dead_lettered") {
            bail!("books that do not balance: {book}");
        }
    }
    if books.is_empty() {
        bail!("the summary has no books");
    }
    Ok(books)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(rows: &[&str]) -> Vec<String> {
        rows.iter().map(|r| (*r).to_owned()).collect()
    }

    #[test]
    fn a_row_too_many_is_seen_also_if_it_is_a_repeat() {
        let written = |r: &[&str]| Written(BTreeMap::from([("readings", rows(r))]));
        assert_eq!(written(&["a", "b", "b"]).difference(&written(&["a", "b", "b"])), None);
        let said = written(&["a", "b", "b"]).difference(&written(&["a", "b", "c"])).expect("a difference");
        assert_eq!(said, "readings: 3 rows, expected 3\n  + 1 rows\n  + b\n  - 1 rows\n  - c");
    }

    #[test]
    fn rows_are_as_many_as_the_books_say() {
        let written = Written(SINKS.iter().map(|(_, table)| (*table, rows(&["a", "b"]))).collect());
        let book = |n: u64| serde_json::json!({ "written": n });
        let mut books: BTreeMap<_, _> = SINKS.iter().map(|(uid, _)| ((*uid).to_owned(), book(2))).collect();
        written.agrees_with(&books).expect("two each");
        books.insert("timeseries".into(), book(3));
        assert!(written.agrees_with(&books).expect_err("one is missing").to_string().contains("timeseries"));
        books.remove("timeseries");
        assert!(written.agrees_with(&books).is_err(), "a sink without books");
    }

    #[test]
    fn books_must_balance() {
        let book = |read: u64| serde_json::json!({ "books": [{ "uid": "a", "read": read, "written": 2, "rejected": 0, "dead_lettered": 1 }] });
        assert_eq!(books(&book(3)).expect("books").len(), 1);
        assert!(books(&book(4)).is_err());
        assert!(books(&serde_json::json!({})).is_err());
    }
}
