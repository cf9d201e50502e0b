//! What the job can read: a generated fleet, files of messages, files of CSV rows. All of them
//! are sources of [`Message`]s.

use std::path::Path;

use hurtig_engine::{
    error::{Error, Result},
    source::Source,
    time::NO_TIMESTAMP,
};
use hurtig_operators::connectors::{
    files::{Deserializer, FileSource, LineMeta, TimeParser},
    generator::{GeneratorConfig, GeneratorSource, JsonLine},
};

use super::{
    Message, Messages, Options,
    csv_row::{csv_options, message_of},
    glance,
    options::config,
    spec::Format,
};

/// The fleet that `options` describe.
pub fn fleet(options: &Options) -> Result<GeneratorConfig> {
    let count = options.generated_per_meter()?.map(|n| n.saturating_mul(options.meters.into()));
    Ok(GeneratorConfig {
        seed: options.seed,
        meters: options.meters,
        interval: options.interval.duration(),
        count,
        rate: options.rate,
        share_late: options.late_share,
        late_by: options.late_by.duration(),
        share_duplicate: options.duplicate_share,
        share_null: options.null_share,
        share_corrupt: options.corrupt_share,
        share_future: options.future_share,
        ..GeneratorConfig::default()
    })
}

/// The messages of a fleet, the broken ones too.
pub fn generator(options: &Options) -> Result<impl Source<Item = Message> + use<>> {
    let source = GeneratorSource::json_lines(&fleet(options)?)?;
    Ok(Messages::new(source, |line: JsonLine| line.0))
}

/// Files with a message a line.
pub fn json_files(path: &str, options: &Options) -> Result<impl Source<Item = Message> + use<>> {
    let times = TimeParser::new(None, &options.time_zone).map_err(config)?;
    let mut files = FileSource::new(path).lines(WholeLine);
    if let Some(key) = options.json_arrival.clone() {
        files = files.arrival(move |line: &Vec<u8>| glance::arrival(line, &key, &times).unwrap_or(NO_TIMESTAMP));
    }
    Ok(Messages::new(files, |line: Vec<u8>| line))
}

/// Files with a reading a row.
pub fn csv_files(path: &str, options: &Options) -> impl Source<Item = Message> + use<> {
    let value = options.csv_value.clone();
    let files = FileSource::new(path).csv(csv_options(options), move |row| message_of(row, &value));
    Messages::new(files, |line: Vec<u8>| line)
}

/// Takes a line as it is: what it holds is the job's business.
#[derive(Debug, Clone, Copy)]
struct WholeLine;

impl Deserializer<Vec<u8>> for WholeLine {
    fn deserialize(&mut self, line: &[u8], _meta: &LineMeta<'_>) -> std::result::Result<Option<Vec<u8>>, String> {
        Ok(Some(line.to_vec()))
    }

    fn suffixes(&self) -> &'static [&'static str] {
        &JSON
    }
}

const JSON: [&str; 3] = [".json", ".jsonl", ".ndjson"];
const CSV: [&str; 2] = [".csv", ".tsv"];

/// How the files are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A message a line.
    Json,
    /// A reading a row.
    Csv,
}

/// What the files behind `path` hold, if `format` does not say.
pub fn file_kind(path: &str, format: Format) -> Result<FileKind> {
    match format {
        Format::Json => return Ok(FileKind::Json),
        Format::Csv => return Ok(FileKind::Csv),
        Format::Auto => {}
    }
    let mut seen = Seen::default();
    if Path::new(path).is_dir() {
        seen.directory(Path::new(path), 0)?
    } else {
        seen.name(path)
    }
    match (seen.json, seen.csv) {
        (_, false) => Ok(FileKind::Json),
        (false, true) => Ok(FileKind::Csv),
        (true, true) => {
            Err(config(format!("'{path}' holds JSON lines and CSV: read them one after the other, with --format")))
        }
    }
}

/// Which kinds of files there are.
#[derive(Default)]
struct Seen {
    json: bool,
    csv: bool,
}

impl Seen {
    fn name(&mut self, name: &str) {
        let name = name.to_ascii_lowercase();
        let name = name.strip_suffix(".gz").unwrap_or(&name);
        self.json |= JSON.iter().any(|end| name.ends_with(end));
        self.csv |= CSV.iter().any(|end| name.ends_with(end));
    }

    fn directory(&mut self, dir: &Path, depth: usize) -> Result<()> {
        const DEEPEST: usize = 64;
        for entry in std::fs::read_dir(dir).map_err(|e| Error::io(dir, e))? {
            let entry = entry.map_err(|e| Error::io(dir, e))?;
            let (name, path) = (entry.file_name(), entry.path());
            let name = name.to_string_lossy();
            if name.starts_with(['.', '_']) {
                continue;
            }
            if !path.is_dir() {
                self.name(&name);
            } else if depth < DEEPEST {
                self.directory(&path, depth + 1)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn names_say_what_files_hold() {
        let kind = |path: &str| file_kind(path, Format::Auto).expect(path);
        assert_eq!(kind("a/b.csv.gz"), FileKind::Csv);
        assert_eq!(kind("a/*.TSV"), FileKind::Csv);
        assert_eq!(kind("a/b.jsonl"), FileKind::Json);
        assert_eq!(kind("a/b"), FileKind::Json, "the source will say what is wrong with it");
        assert_eq!(file_kind("a/b.txt", Format::Csv).expect("stated"), FileKind::Csv);
    }

    #[test]
    fn a_directory_of_both_is_for_the_user_to_decide() {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().to_str().expect("utf8");
        fs::create_dir(dir.path().join("sub")).expect("sub");
        fs::write(dir.path().join("sub/a.csv"), "").expect("file");
        fs::write(dir.path().join(".b.json"), "").expect("file");
        assert_eq!(file_kind(path, Format::Auto).expect("kind"), FileKind::Csv);
        fs::write(dir.path().join("b.json"), "").expect("file");
        let e = file_kind(path, Format::Auto).expect_err("both").to_string();
        assert!(e.contains("--format") && !e.contains('\n'), "{e}");
        assert_eq!(file_kind(path, Format::Json).expect("stated"), FileKind::Json);
    }
}
