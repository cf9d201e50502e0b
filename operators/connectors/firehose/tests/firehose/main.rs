//! The raw zone from outside: configurations, and what of records is found on disk.

mod configurations;
mod deaggregation;
mod delivery;
mod errors;
mod partitions;
mod prefixes;
mod queries;

use std::{
    collections::BTreeMap,
    fs,
    io::Read,
    path::{Path, PathBuf},
};

use hurtig_firehose::{ErrorRecord, FirehoseConfig, FirehoseSink};
use hurtig_operators::connectors::testing::SinkHarness;

/// 2024-07-05 12:59:59.999 in UTC.
const NOON: i64 = 1_720_184_399_999;
const HOUR: i64 = 3_600_000;

type Harness = SinkHarness<Vec<u8>, FirehoseSink<Vec<u8>>>;

fn start(dir: &Path, config: &FirehoseConfig, attempt: &str) -> Harness {
    SinkHarness::start(&FirehoseSink::new(dir, config.clone()), attempt).expect("started")
}

/// All files below `dir`.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(dir) else { return found };
    for entry in entries {
        let path = entry.expect("an entry").path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().expect("a name").to_string_lossy().starts_with('.')
}

fn visible(dir: &Path) -> Vec<PathBuf> {
    files(dir).into_iter().filter(|p| !is_hidden(p)).collect()
}

fn pending(dir: &Path) -> Vec<PathBuf> {
    files(dir).into_iter().filter(|p| is_hidden(p)).collect()
}

/// What is in a file, plain or gzip.
fn bytes(path: &Path) -> Vec<u8> {
    let bytes = fs::read(path).expect("a file");
    if path.extension().is_none_or(|e| e != "gz") {
        return bytes;
    }
    let mut plain = Vec::new();
    flate2::read::MultiGzDecoder::new(bytes.as_slice()).read_to_end(&mut plain).expect("gzip");
    plain
}

/// The visible files' contents by directory, of several files one behind another.
fn content(dir: &Path) -> BTreeMap<String, String> {
    let mut content: BTreeMap<String, String> = BTreeMap::new();
    for path in visible(dir) {
        let below = path.parent().expect("a parent").strip_prefix(dir).expect("inside");
        let text = String::from_utf8(bytes(&path)).expect("text");
        content.entry(below.to_string_lossy().into_owned()).or_default().push_str(&text);
    }
    content
}

/// The error records in some lines.
fn error_records(lines: &str) -> Vec<ErrorRecord> {
    lines.lines().map(|line| serde_json::from_str(line).expect("an error record")).collect()
}

/// A configuration with one processor after another, and dynamic partitions if there is a query.
fn with_processors(prefix: &str, processors: &[(&str, &[(&str, &str)])]) -> FirehoseConfig {
    let processors: Vec<_> = processors
        .iter()
        .map(|(name, parameters)| {
            let parameters: Vec<_> = parameters
                .iter()
                .map(|(name, value)| serde_json::json!({"ParameterName": name, "ParameterValue": value}))
                .collect();
            serde_json::json!({"Type": name, "Parameters": parameters})
        })
        .collect();
    let json = serde_json::json!({
        "Prefix": prefix,
        "ErrorOutputPrefix": "errors/!{firehose:error-output-type}/",
        "DynamicPartitioningConfiguration": {"Enabled": prefix.contains("partitionKeyFromQuery")},
        "ProcessingConfiguration": {"Enabled": true, "Processors": processors},
    });
    FirehoseConfig::from_json(&json.to_string()).expect("a configuration")
}

/// A processor that makes partition keys.
fn query(program: &str) -> [(&'static str, &str); 2] {
    [("JsonParsingEngine", "JQ-1.6"), ("MetadataExtractionQuery", program)]
}

const NEWLINE: (&str, &[(&str, &str)]) = ("AppendDelimiterToRecord", &[("Delimiter", "\\n")]);
