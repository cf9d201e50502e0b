//! How fast the light connectors are on one thread, without an engine around them.
//!
//! ```text
//! connector_rates lines DIR|FILE   the file source, JSON lines of the benchmarks' readings
//! connector_rates parsers FILE     the same beside sonic-rs and serde_json on the lines alone
//! connector_rates csv DIR|FILE     the file source, CSV with the columns start and value
//! connector_rates generator        the fleet, typed and as lines
//! connector_rates json DIR         the JSON files sink, plain and gzip
//! ```

use std::time::Instant;

use compact_str::CompactString;
use hurtig_engine::{
    record::Record,
    source::{ReaderStatus, Source, SourceOutput, SourceReader},
    time::MIN_WATERMARK,
};
use hurtig_operators::connectors::{
    files::{CsvOptions, CsvRow, FileSource},
    generator::{GeneratorConfig, GeneratorSource},
    json_files::JsonFilesSink,
    part_files::{EventTimePartition, PartitionBy},
    testing::{SinkHarness, SourceHarness},
};
use serde::{Deserialize, Serialize};

type Failure = Box<dyn std::error::Error>;

/// A reading as the benchmarks' files have it.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Reading {
    meter_id: CompactString,
    ts: i64,
    kwh: f64,
    voltage: f64,
    region: CompactString,
}

/// Counts, and adds something up so that nothing can be left out; keeps watermarks.
struct Sum<F> {
    records: u64,
    letters: u64,
    sum: f64,
    watermarks: Vec<i64>,
    /// Event time and a number of a record.
    look: F,
}

impl<T, F: Fn(&T) -> (i64, f64)> SourceOutput<T> for Sum<F> {
    #[inline]
    fn emit(&mut self, split: u32, _position: u64, _arrival: i64, value: T) {
        let (time, number) = (self.look)(&value);
        self.records += 1;
        self.sum += number;
        let w = &mut self.watermarks[split as usize];
        *w = (*w).max(time);
    }

    fn dead_letter(&mut self, _: u32, _: u64, _: i64, _: &[u8], _: &str) {
        self.letters += 1;
    }

    fn is_full(&self) -> bool {
        false
    }

    fn split_watermark(&self, split: u32) -> i64 {
        self.watermarks[split as usize]
    }

    fn finish_split(&mut self, _: u32) {}
}

#[expect(clippy::disallowed_methods, reason = "a measurement")]
fn now() -> Instant {
    Instant::now()
}

fn report(what: &str, records: u64, start: Instant, rest: &str) {
    let seconds = start.elapsed().as_secs_f64();
    let rate = records as f64 / seconds / 1e6;
    println!(
        "{what}: {records} in {seconds:.3} s, {rate:.2} M/s, {:.0} ns each; {rest}",
        seconds * 1e9 / records as f64
    );
}

fn read<S: Source>(
    what: &str,
    source: &S,
    splits: Vec<S::Split>,
    look: impl Fn(&S::Item) -> (i64, f64),
) -> Result<(), Failure> {
    let mut sum = Sum { records: 0, letters: 0, sum: 0.0, watermarks: vec![MIN_WATERMARK; splits.len()], look };
    let mut harness = SourceHarness::with_splits(source, splits)?;
    let start = now();
    while harness.reader.poll(4096, &mut sum)? == ReaderStatus::MoreAvailable {}
    report(what, sum.records, start, &format!("{} letters, sum {:.3}", sum.letters, sum.sum));
    Ok(())
}

fn write(what: &str, sink: &JsonFilesSink<Reading>) -> Result<(), Failure> {
    let mut harness = SinkHarness::start(sink, what)?;
    let reading = Reading {
        meter_id: "m-0012345".into(),
        ts: 1_700_000_000_000,
        kwh: 1.234,
        voltage: 229.8,
        region: "r-07".into(),
    };
    let start = now();
    for i in 0..5_000_000_i64 {
        let ts = reading.ts + i / 10;
        harness.write(Record::at(Reading { ts, kwh: (i % 5000) as f64 / 1000.0, ..reading.clone() }, ts))?;
        if i % 2_000_000 == 1_999_999 {
            harness.checkpoint()?;
        }
    }
    harness.checkpoint()?;
    report(what, harness.books.written, start, "three checkpoints");
    Ok(())
}

/// What the parsers would take for the lines alone, in memory; in turns, as machines are noisy.
fn parsers(path: &str) -> Result<(), Failure> {
    let text = std::fs::read_to_string(path)?;
    for _ in 0..3 {
        let source = FileSource::new(path).json_lines::<Reading>();
        read("file source, reading included", &source, source.splits()?, |r| (r.ts, r.kwh))?;
        let start = now();
        let (mut records, mut sum) = (0, 0.0);
        for line in text.lines() {
            sum += sonic_rs::from_str::<Reading>(line)?.kwh;
            records += 1;
        }
        report("sonic-rs, parsing only", records, start, &format!("sum {sum:.3}"));
        let start = now();
        sum = 0.0;
        for line in text.lines() {
            sum += serde_json::from_str::<Reading>(line)?.kwh;
        }
        report("serde_json, parsing only", records, start, &format!("sum {sum:.3}"));
    }
    Ok(())
}

fn main() -> Result<(), Failure> {
    let mut args = std::env::args().skip(1);
    let (what, path) = (args.next().unwrap_or_default(), args.next());
    let path = || path.clone().ok_or("give a path");
    match what.as_str() {
        "lines" => {
            let source = FileSource::new(path()?).json_lines::<Reading>();
            read("JSON lines", &source, source.splits()?, |r| (r.ts, r.kwh + r.voltage + r.region.len() as f64))
        }
        "parsers" => parsers(&path()?),
        "csv" => {
            let options =
                CsvOptions { time: Some("start".into()), value: Some("value".into()), ..CsvOptions::default() };
            let source = FileSource::new(path()?)
                .csv(options, |row: &CsvRow<'_>| Ok((row.time()?, row.value()?.unwrap_or_default())));
            read("CSV", &source, source.splits()?, |r| *r)
        }
        "generator" => {
            let config = GeneratorConfig { count: Some(10_000_000), ..GeneratorConfig::default() };
            for (name, config) in [("plain", config.clone()), ("with faults", config.with_faults())] {
                let typed = GeneratorSource::readings(&config)?;
                read(&format!("readings, {name}"), &typed, typed.splits(), |r| (r.time, f64::from(r.wh.unwrap_or(0))))?;
                let raw = GeneratorSource::json_lines(&config)?;
                read(&format!("lines, {name}"), &raw, raw.splits(), |l| (0, l.as_bytes().len() as f64))?;
            }
            Ok(())
        }
        "json" => {
            let dir = path()?;
            let by_hour = PartitionBy::event_time(EventTimePartition::Hour);
            write("plain", &JsonFilesSink::new(format!("{dir}/plain")).partition_by(by_hour.clone()))?;
            write("gzip", &JsonFilesSink::new(format!("{dir}/gzip")).partition_by(by_hour).gzip())
        }
        _ => Err("usage: connector_rates lines|parsers|csv|generator|json [PATH]".into()),
    }
}
