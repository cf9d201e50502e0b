//! Names, texts and times as Timestream's SQL writes them.

/// A name of a database, a table or a column.
pub fn name(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text.
pub fn text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A time, of milliseconds since the epoch.
pub fn time(ms: i64) -> String {
    format!("from_milliseconds({ms})")
}
