//! What a run would have asked of AWS: requests and bytes per million readings, a message each.
//!
//! The same readings through the talk's services: in by Kinesis, on by Firehose to S3, written to
//! Timestream, asked by Athena. These are quantities and not prices: prices differ by region and
//! change, and each of these quantities is what one of them is multiplied with.
//!
//! Everything is computed from a run's books and from the files that it left: [`Traffic`].

use std::{
    collections::BTreeSet,
    fmt, fs,
    io::{self, BufRead},
    path::{Path, PathBuf},
};

use hurtig_engine::runner::SinkBooks;
use serde::Serialize;

use super::{
    Layout, TimestreamPayload,
    pipeline::uids,
    time_series::{Novelty, TimeSeriesRecord},
};

/// What went through a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// Messages that were understood.
    pub messages: u64,
    /// Their text with a line end each.
    pub message_bytes: u64,
    /// Rows that the time-series store took.
    pub records: u64,
    /// Their size as Timestream meters it.
    pub record_bytes: u64,
    /// Rows to a request.
    pub batch: u64,
    /// Raw files in the lake.
    pub raw_objects: u64,
    /// Parquet files in the lake.
    pub typed_objects: u64,
    /// Bytes of the Parquet files with readings.
    pub readings_bytes: u64,
    /// Bytes of all Parquet files in the lake.
    pub typed_bytes: u64,
    /// Months (or days, or hours) that the readings are partitioned by.
    pub partitions: u64,
}

/// A quantity that a service meters.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Quantity {
    /// The service.
    pub service: &'static str,
    /// What is counted.
    pub what: &'static str,
    /// How much of it.
    #[serde(flatten)]
    pub amount: Amount,
    /// Whether it is bytes.
    pub bytes: bool,
}

/// How much, and for what.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Amount {
    /// For a million readings.
    PerMillion(f64),
    /// For one query, however many readings there are.
    PerQuery(f64),
}

const KIB: u64 = 1 << 10;

/// A Kinesis PUT payload unit: 25 KB of one record, begun ones counted whole.
const PUT_UNIT: u64 = 25 * KIB;
/// Records in a PutRecords request.
const PUT_RECORDS: u64 = 500;
/// The most that is aggregated into one Kinesis record.
const AGGREGATE: u64 = 1000 * KIB;
/// Firehose meters every record in steps of 5 KB.
const FIREHOSE_STEP: u64 = 5 * KIB;
/// Timestream meters writes in KiB.
const WRITE_UNIT: u64 = KIB;
/// The least that Athena meters a query with.
const ATHENA_LEAST: u64 = 10 << 20;

/// The quantities of a run; none for a run without messages.
pub fn quantities(t: &Traffic) -> Vec<Quantity> {
    if t.messages == 0 {
        return Vec::new();
    }
    let million = |n: u64| Amount::PerMillion(n as f64 * 1e6 / t.messages as f64);
    let count = |service, what, n: u64| Quantity { service, what, amount: million(n), bytes: false };
    let bytes = |service, what, n: u64| Quantity { service, what, amount: million(n), bytes: true };

    let message = t.message_bytes.div_ceil(t.messages);
    let in_aggregate = (AGGREGATE / message.max(1)).max(1);
    let aggregates = t.messages.div_ceil(in_aggregate);
    let record = if t.records == 0 { 0 } else { t.record_bytes.div_ceil(t.records) };
    let batch = t.batch.max(1);
    let requests = t.records.div_ceil(batch);
    let month = t.readings_bytes / t.partitions.max(1);
    vec![
        bytes("Kinesis", "bytes in", t.message_bytes),
        count("Kinesis", "PUT payload units, a record a message", t.messages * message.div_ceil(PUT_UNIT)),
        count("Kinesis", "PUT payload units, aggregated", t.message_bytes.div_ceil(PUT_UNIT).max(aggregates)),
        count("Kinesis", "PutRecords requests, 500 records each", t.messages.div_ceil(PUT_RECORDS)),
        bytes("Firehose", "bytes metered, a record a message", t.messages * message.next_multiple_of(FIREHOSE_STEP)),
        bytes("Firehose", "bytes metered, aggregated", t.message_bytes.next_multiple_of(FIREHOSE_STEP)),
        count("Timestream", "WriteRecords requests", requests),
        count("Timestream", "1-KiB writes, a record each", t.records * record.div_ceil(WRITE_UNIT)),
        count("Timestream", "1-KiB writes, batched", requests * (batch * record).div_ceil(WRITE_UNIT)),
        bytes("Timestream", "bytes stored", t.record_bytes),
        count("S3", "PUT requests", t.raw_objects + t.typed_objects),
        bytes("S3", "raw bytes stored", t.message_bytes),
        bytes("S3", "Parquet bytes stored", t.typed_bytes),
        Quantity {
            service: "Athena",
            what: "bytes scanned by a query over one partition of the readings",
            amount: Amount::PerQuery(month.max(ATHENA_LEAST) as f64),
            bytes: true,
        },
    ]
}

impl Traffic {
    /// What a run left: rows from its sinks' books, objects and bytes from its files below
    /// `layout`. `batch` rows go to a request.
    pub fn of(books: &[SinkBooks], layout: &Layout, batch: u32) -> io::Result<Self> {
        let written = |uid: &str| books.iter().find(|b| b.uid == uid).map_or(0, |b| b.books.written);
        let (messages, records) = (written(uids::RAW), written(uids::TIME_SERIES));
        let raw = Files::below(&layout.raw)?;
        let readings = Files::below(&layout.readings)?;
        let (minutes, hours) = (Files::below(&layout.aggregates_1m)?, Files::below(&layout.aggregates_1h)?);
        let sample = Sample::of(&raw)?;
        Ok(Traffic {
            messages,
            message_bytes: mean(sample.message_bytes, sample.messages) * messages,
            records,
            record_bytes: mean(sample.record_bytes, sample.records) * records,
            batch: batch.into(),
            raw_objects: raw.count(),
            typed_objects: readings.count() + minutes.count() + hours.count(),
            readings_bytes: readings.bytes,
            typed_bytes: readings.bytes + minutes.bytes + hours.bytes,
            partitions: readings.directories.len() as u64,
        })
    }
}

fn mean(sum: u64, count: u64) -> u64 {
    sum.div_ceil(count.max(1))
}

/// The files below a directory.
#[derive(Debug, Default)]
struct Files {
    paths: Vec<PathBuf>,
    /// Those that hold files.
    directories: BTreeSet<PathBuf>,
    bytes: u64,
}

impl Files {
    fn below(dir: &Path) -> io::Result<Self> {
        let mut files = Files::default();
        match files.walk(dir) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            done => done?,
        }
        files.paths.sort();
        Ok(files)
    }

    fn walk(&mut self, dir: &Path) -> io::Result<()> {
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            // What starts with a dot or an underscore is not, or not yet, part of the lake.
            if entry.file_name().to_string_lossy().starts_with(['.', '_']) {
                continue;
            }
            let metadata = entry.metadata()?;
            if metadata.is_dir() {
                self.walk(&entry.path())?;
            } else {
                self.bytes += metadata.len();
                self.directories.insert(dir.to_owned());
                self.paths.push(entry.path());
            }
        }
        Ok(())
    }

    fn count(&self) -> u64 {
        self.paths.len() as u64
    }
}

/// The sizes of some messages and of the rows that they become.
#[derive(Debug, Default)]
struct Sample {
    messages: u64,
    message_bytes: u64,
    records: u64,
    record_bytes: u64,
}

impl Sample {
    /// Messages of a fleet are much alike: a few from every file tell the mean.
    fn of(raw: &Files) -> io::Result<Self> {
        const FILES: usize = 64;
        const LINES: usize = 64;
        let mut sample = Sample::default();
        let step = raw.paths.len().div_ceil(FILES).max(1);
        for path in raw.paths.iter().step_by(step) {
            for line in io::BufReader::new(fs::File::open(path)?).split(b'\n').take(LINES) {
                sample.add(&line?);
            }
        }
        Ok(sample)
    }

    fn add(&mut self, line: &[u8]) {
        let Ok(payload) = TimestreamPayload::from_json(line) else { return };
        self.messages += 1;
        self.message_bytes += line.len() as u64 + 1;
        for measure in &payload.measures {
            self.records += 1;
            self.record_bytes += TimeSeriesRecord::new(&payload, measure, Novelty::New).bytes() as u64;
        }
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Quantity { service, what, amount: Amount::PerMillion(n) | Amount::PerQuery(n), bytes } = self;
        if *bytes {
            write!(f, "{service:<10} {what}: {:.1} MB", n / 1e6)
        } else {
            write!(f, "{service:<10} {what}: {n:.0}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hurtig_engine::sink::Books;

    fn traffic() -> Traffic {
        Traffic {
            messages: 2_000_000,
            message_bytes: 2_000_000 * 160,
            records: 4_000_000,
            record_bytes: 4_000_000 * 60,
            batch: 100,
            raw_objects: 6,
            typed_objects: 14,
            readings_bytes: 40 << 20,
            typed_bytes: 60 << 20,
            partitions: 2,
        }
    }

    fn of(service: &str, what: &str, t: &Traffic) -> f64 {
        let all = quantities(t);
        let found = all.iter().find(|q| q.service == service && q.what.starts_with(what));
        match found.unwrap_or_else(|| panic!("no {service} {what} in {all:?}")).amount {
            Amount::PerMillion(n) | Amount::PerQuery(n) => n,
        }
    }

    #[test]
    fn a_million_messages_through_every_service() {
        let t = traffic();
        for (service, what, per_million) in [
            ("Kinesis", "bytes in", 160e6),
            ("Kinesis", "PUT payload units, a record", 1e6),
            // 320 MB in units of 25 KB, for two million
            ("Kinesis", "PUT payload units, aggregated", 6_250.0),
            ("Kinesis", "PutRecords", 2_000.0),
            ("Firehose", "bytes metered, a record", 5120e6),
            ("Timestream", "WriteRecords", 20_000.0),
            ("Timestream", "1-KiB writes, a record", 2e6),
            // 100 rows of 60 bytes are 6 KiB
            ("Timestream", "1-KiB writes, batched", 120_000.0),
            ("Timestream", "bytes stored", 120e6),
            ("S3", "PUT", 10.0),
            ("S3", "Parquet", (30 << 20) as f64),
            ("Athena", "bytes scanned", (20 << 20) as f64),
        ] {
            assert_eq!(of(service, what, &t), per_million, "{service} {what}");
        }
    }

    #[test]
    fn small_things_are_metered_as_larger_ones() {
        let t = Traffic {
            messages: 1,
            message_bytes: 30_000,
            records: 1,
            record_bytes: 1_025,
            readings_bytes: 5,
            ..traffic()
        };
        assert_eq!(of("Kinesis", "PUT payload units, a record", &t), 2e6);
        assert_eq!(of("Timestream", "1-KiB writes, a record", &t), 2e6);
        assert_eq!(of("Firehose", "bytes metered, a record", &t), 30_720e6);
        assert_eq!(of("Athena", "bytes scanned", &t), (10 << 20) as f64, "no query is metered with less");
    }

    #[test]
    fn scripts_get_figures_and_not_text() {
        let all = quantities(&traffic());
        let json = |service: &str| {
            let found = all.iter().find(|q| q.service == service);
            serde_json::to_value(found).expect("JSON")
        };
        let kinesis =
            serde_json::json!({"service": "Kinesis", "what": "bytes in", "per_million": 160e6, "bytes": true});
        assert_eq!(json("Kinesis"), kinesis);
        assert_eq!(json("Athena")["per_query"], (20 << 20) as f64);
        assert!(json("Athena").get("per_million").is_none());
    }

    #[test]
    fn nothing_costs_nothing() {
        assert!(quantities(&Traffic::default()).is_empty());
    }

    #[test]
    fn a_run_is_measured_by_its_books_and_files() {
        let dir = tempfile::tempdir().expect("dir");
        let layout = Layout::new(dir.path());
        let put = |dir: &Path, month: &str, name: &str, text: &str| {
            let dir = dir.join("year=2024").join(month);
            fs::create_dir_all(&dir).expect("dirs");
            fs::write(dir.join(name), text).expect("file");
        };
        let line = "{\"meter_id\":\"m\",\"time\":1,\"kwh_measure\":1,\"v_measure\":2}\n";
        put(&layout.raw, "month=01", "a.json", &line.repeat(3));
        put(&layout.raw, "month=02", "b.json", line);
        put(&layout.raw, "month=02", ".b.json.pending", "not there yet");
        put(&layout.readings, "month=01", "a.parquet", "12345");
        put(&layout.readings, "month=02", "a.parquet", "123");
        put(&layout.aggregates_1h, "month=02", "a.parquet", "12");
        let book = |uid: &str, written| SinkBooks {
            uid: uid.into(),
            name: uid.into(),
            books: Books { read: written + 1, written, rejected: 1, dead_lettered: 0 },
        };
        let books = [book(uids::RAW, 4), book(uids::TIME_SERIES, 8)];
        let t = Traffic::of(&books, &layout, 75).expect("measured");
        // `meter_id` and `m`, the measure's name, sixteen bytes: 36 and 34, so 35 in the mean.
        let expected = Traffic {
            messages: 4,
            message_bytes: 4 * line.len() as u64,
            records: 8,
            record_bytes: 8 * 35,
            batch: 75,
            raw_objects: 2,
            typed_objects: 3,
            readings_bytes: 8,
            typed_bytes: 10,
            partitions: 2,
        };
        assert_eq!(t, expected);
    }
}
