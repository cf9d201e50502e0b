//! Many partitions: one file each, few of them open, little memory.

use std::{fs, path::Path};

use hurtig_engine::{record::Record, sink::SinkWriter};
use hurtig_firehose::{FirehoseConfig, FirehoseSink};
use hurtig_operators::connectors::testing::SinkHarness;

use crate::{Harness, NEWLINE, bytes, query, visible, with_processors};

const PARTITIONS: u64 = 2_000;

fn by_meter(max_open_files: usize) -> FirehoseConfig {
    with_processors("meter=!{partitionKeyFromQuery:m}/", &[("MetadataExtraction", &query("{m:.m}")), NEWLINE])
        .max_open_files(max_open_files)
}

fn reading(meter: u64, n: u64) -> Vec<u8> {
    format!("{{\"m\":{meter},\"n\":{n},\"padding\":\"{}\"}}", "x".repeat(40)).into_bytes()
}

/// How many files below `dir` this process has open.
fn open_below(dir: &Path) -> usize {
    let fds = fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    fds.filter_map(|fd| fs::read_link(fd.path()).ok()).filter(|to| to.starts_with(dir)).count()
}

/// A directory in memory where there is one: 8,000 files are made durable.
fn in_memory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("dir")
}

/// Writes every meter's reading number `n`, for all `n`, and looks at what is open meanwhile.
fn write(harness: &mut Harness, dir: &Path, rounds: std::ops::Range<u64>, max_open: usize) {
    for n in rounds {
        for meter in 0..PARTITIONS {
            // Not in the same order each time.
            let meter = (meter * 1_201 + n * 7) % PARTITIONS;
            harness.write(Record::new(reading(meter, n))).expect("written");
            assert!(harness.writer.open_files() <= max_open);
        }
        // Four chunks may be with the pool.
        assert!(open_below(dir) <= max_open + 4, "{} files are open", open_below(dir));
    }
}

#[test]
fn one_file_for_each_of_2000_partitions() {
    for gzip in [false, true] {
        let dir = in_memory();
        let mut config = by_meter(16);
        if gzip {
            config = config.gzip();
        }
        let sink = FirehoseSink::new(dir.path(), config).max_buffered_bytes(1 << 20);
        let mut harness: Harness = SinkHarness::start(&sink, "1").expect("started");
        for checkpoint in 0..2 {
            let rounds = checkpoint * 40..(checkpoint + 1) * 40;
            write(&mut harness, dir.path(), rounds.clone(), 16);
            assert_eq!(harness.writer.partitions() as u64, PARTITIONS);
            assert!(harness.writer.buffered_bytes() <= (1 << 20) + 4_096);
            let committables = harness.flush().expect("flushed");
            assert_eq!(committables.len() as u64, PARTITIONS, "exactly one file a partition and checkpoint");
            assert_eq!((open_below(dir.path()), harness.writer.open_files()), (0, 0));
            harness.commit(&committables).expect("committed");
        }
        let files = visible(dir.path());
        assert_eq!(files.len() as u64, 2 * PARTITIONS);
        for meter in 0..PARTITIONS {
            let of = dir.path().join(format!("meter={meter}"));
            // In a file they are in order.
            let mut files: Vec<_> = visible(&of).iter().map(|f| bytes(f)).collect();
            files.sort_by_key(|bytes| !bytes.starts_with(&reading(meter, 0)));
            let expected: Vec<u8> = (0..80).flat_map(|n| [reading(meter, n), b"\n".to_vec()].concat()).collect();
            assert!(files.concat() == expected, "meter {meter}");
        }
        assert_eq!((harness.books.read, harness.books.written), (80 * PARTITIONS, 80 * PARTITIONS));
    }
}

#[test]
fn a_parked_file_is_closed_by_size_and_goes_on_after_a_restart_in_another() {
    let dir = tempfile::tempdir().expect("dir");
    let config = by_meter(1).target_file_bytes(10_000);
    let sink = FirehoseSink::new(dir.path(), config).max_buffered_bytes(8_000);
    for attempt in ["1", "2"] {
        let mut harness: Harness = SinkHarness::start(&sink, attempt).expect("started");
        // The first attempt's were no checkpoint's.
        harness.committer.as_mut().expect("a committer").remove_orphans().expect("removed");
        for n in 0..2_000 {
            harness.write(Record::new(reading(n % 7, n))).expect("written");
        }
        if attempt == "1" {
            // It dies with files parked.
            harness.flush().expect("flushed");
            drop(harness);
            continue;
        }
        let committables = harness.flush().expect("flushed");
        harness.commit(&committables).expect("committed");
        assert!(committables.len() > 7, "{}", committables.len());
        assert!(SinkWriter::next_wakeup(&harness.writer).is_none());
    }
    let files = visible(dir.path());
    let lines: usize = files.iter().map(|f| bytes(f).iter().filter(|b| **b == b'\n').count()).sum();
    assert_eq!(lines, 2_000);
    assert!(files.iter().all(|f| fs::metadata(f).expect("a file").len() < 20_000));
}

/// What a record costs in the whole sink. Run with
/// `cargo test --release --workspace --all-features --test firehose -- --ignored --nocapture what_the_sink_costs`.
#[test]
#[ignore = "a measurement"]
#[allow(clippy::disallowed_methods, reason = "it measures")]
fn what_the_sink_costs() {
    let config = FirehoseConfig::from_json(include_str!("talk.json")).expect("the talk's");
    for (name, partitions, each, open) in [
        ("24 partitions in runs", 24, 1_000_000 / 24, 64),
        ("24 partitions interleaved", 24, 1, 64),
        ("2,000 partitions interleaved, 16 files open", 2_000, 1, 16),
    ] {
        let dir = tempfile::tempdir().expect("dir");
        let sink = FirehoseSink::new(dir.path(), config.clone().max_open_files(open));
        let mut harness: Harness = SinkHarness::start(&sink, "1").expect("started");
        let records: Vec<Vec<u8>> = (0..1_000_000_u64)
            .map(|n| {
                let hour = n / each % partitions;
                let time = format!("20{:02}-{:02}-02 {:02}:15:00.000", hour / 288, hour / 24 % 12 + 1, hour % 24);
                let reading = serde_json::json!({
                    "meter_id": "6fa459ea-ee8a-3ca4-894e-db77e160355e", "reading_type": "kw",
                    "reading_value": "1.2", "reading_date_time": time, "reading_source": "B",
                });
                reading.to_string().into_bytes()
            })
            .collect();
        let started = std::time::Instant::now();
        for record in records {
            harness.write(Record::new(record)).expect("written");
        }
        let written = started.elapsed();
        let committables = harness.flush().expect("flushed");
        harness.commit(&committables).expect("committed");
        println!(
            "{name}: {} ns a record, and {} ms for the checkpoint of {} files",
            written.as_nanos() / 1_000_000,
            (started.elapsed() - written).as_millis(),
            committables.len()
        );
    }
}
