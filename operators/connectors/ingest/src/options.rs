//! How files are understood and cut.

use std::time::Duration;

/// What files are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// By the name (`.csv`, `.tsv`; `.json`, `.jsonl`, `.ndjson`; each also with `.gz`), else by the
    /// first character: `{` or `[` is JSON.
    #[default]
    Auto,
    /// CSV.
    Csv,
    /// JSON lines.
    Json,
}

/// How files are understood and cut. A file keeps what it was planned with over restarts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RangeOptions {
    /// What they are made of.
    pub format: Format,
    /// What stands between CSV fields.
    pub delimiter: u8,
    /// Whether quotes in CSV hide delimiters and line ends. A file of more than one range is then
    /// read once beforehand to find cuts outside of quotes. Without quoting a quote is a character
    /// like any other, and any cut is legal.
    pub quoting: bool,
    /// Whether the first row of a CSV file names the columns.
    pub header: bool,
    /// The columns' names where it does not.
    pub columns: Vec<String>,
    /// The smallest range, in bytes.
    pub min_range: u64,
    /// The largest range, in bytes. By default what one shard takes in five minutes.
    pub max_range: u64,
    /// A longer record is a dead letter, of which only the beginning is kept.
    pub max_record: usize,
    /// How much is asked for in one request, in bytes.
    pub request: u64,
    /// How many requests of a range are answered before they are needed.
    pub read_ahead: usize,
    /// How many ranges a reader has open at once.
    pub max_open: usize,
    /// In unbounded mode, how often it is looked for new files.
    pub discovery_interval: Duration,
    /// What the pauses before a repetition differ by.
    pub seed: u64,
}

impl Default for RangeOptions {
    fn default() -> Self {
        RangeOptions {
            format: Format::Auto,
            delimiter: b',',
            quoting: true,
            header: true,
            columns: Vec::new(),
            min_range: 1 << 20,
            max_range: 5 * 60 * 1_000_000,
            max_record: 1 << 20,
            request: 2 << 20,
            read_ahead: 2,
            max_open: 2,
            discovery_interval: Duration::from_secs(10),
            seed: 0,
        }
    }
}
