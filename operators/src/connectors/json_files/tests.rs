//! The sink as a whole: nothing lost, nothing twice, nothing visible too early.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Read,
    path::{Path, PathBuf},
    time::Duration,
};

use hurtig_engine::{
    record::{Origin, Record},
    sink::{Sink, SinkWriter},
};
use serde::Serialize;

use super::*;
use crate::connectors::{
    part_files::{EventTimePartition, PartOptions, PartitionBy, PendingFile},
    testing::SinkHarness,
};

#[derive(Debug, Clone, Serialize)]
struct Event {
    n: u64,
    ts: i64,
}

const DAY: i64 = 86_400_000;

fn event(n: u64, ts: i64) -> Record<Event> {
    Record::at(Event { n, ts }, ts)
}

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

/// The numbers in all visible files, by partition.
fn content(dir: &Path) -> BTreeMap<String, Vec<u64>> {
    let mut content: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for path in visible(dir) {
        let bytes = fs::read(&path).expect("file");
        let mut text = String::new();
        if path.extension().is_some_and(|e| e == "gz") {
            flate2::read::MultiGzDecoder::new(bytes.as_slice()).read_to_string(&mut text).expect("gzip");
        } else {
            text = String::from_utf8(bytes).expect("text");
        }
        let partition = path.parent().expect("a parent").strip_prefix(dir).expect("inside");
        let numbers = content.entry(partition.to_string_lossy().into_owned()).or_default();
        for line in text.lines() {
            let json: serde_json::Value = serde_json::from_str(line).expect("JSON");
            numbers.push(json["n"].as_u64().expect("a number"));
        }
    }
    content.values_mut().for_each(|n| n.sort_unstable());
    content
}

fn all(dir: &Path) -> Vec<u64> {
    let mut all: Vec<_> = content(dir).into_values().flatten().collect();
    all.sort_unstable();
    all
}

fn by_day(dir: &Path) -> JsonFilesSink<Event> {
    JsonFilesSink::new(dir).partition_by(PartitionBy::event_time(EventTimePartition::Day))
}

#[test]
fn nothing_is_visible_before_its_checkpoint() {
    let dir = tempfile::tempdir().expect("dir");
    let root = dir.path().join("new/lake");
    let mut harness = SinkHarness::start(&by_day(&root), "1").expect("started");
    for n in 0..1000 {
        harness.write(event(n, n as i64 % 3 * DAY)).expect("written");
    }
    let committables = harness.flush().expect("flushed");
    assert_eq!((visible(&root).len(), pending(&root).len(), committables.len()), (0, 3, 3));
    assert_eq!((harness.books.read, harness.books.written), (1000, 1000));
    // A second checkpoint before the first is complete has files of its own.
    harness.write(event(1000, 0)).expect("written");
    let more = harness.flush().expect("flushed");
    harness.commit(&committables).expect("committed");
    let days = content(&root);
    assert_eq!(
        days.keys().collect::<Vec<_>>(),
        ["year=1970/month=01/day=01", "year=1970/month=01/day=02", "year=1970/month=01/day=03"]
    );
    assert_eq!(days["year=1970/month=01/day=02"], (0..1000).filter(|n| n % 3 == 1).collect::<Vec<_>>());
    harness.commit(&more).expect("committed");
    assert_eq!(all(&root), (0..=1000).collect::<Vec<_>>());
    assert!(pending(&root).is_empty());
    assert!(visible(&root).iter().all(|p| {
        let name = p.file_name().expect("a name").to_string_lossy().into_owned();
        name.starts_with("part-sink.") && name.contains("-0-1-") && name.ends_with(".jsonl")
    }));
    // Nothing written, nothing to commit.
    assert!(harness.flush().expect("flushed").is_empty());
}

#[test]
fn committing_again_changes_nothing_and_a_lost_file_is_said() {
    let dir = tempfile::tempdir().expect("dir");
    let mut harness = SinkHarness::start(&by_day(dir.path()), "1").expect("started");
    for n in 0..30 {
        harness.write(event(n, n as i64 * DAY)).expect("written");
    }
    let committables = harness.flush().expect("flushed");
    // A crash in the middle: some are renamed, then all of them come again.
    harness.commit(&committables[..11]).expect("committed");
    for _ in 0..2 {
        let mut again = SinkHarness::start(&by_day(dir.path()), "2").expect("started");
        again.commit(&committables).expect("committed");
        again.committer.as_mut().expect("a committer").remove_orphans().expect("removed");
        assert_eq!(all(dir.path()), (0..30).collect::<Vec<_>>());
    }
    let one = &committables[..1];
    let file = PendingFile::from_bytes(&committables[0]).expect("a pending file");
    let path = file.final_path(dir.path());
    let bytes = fs::read(&path).expect("file");
    fs::write(&path, &bytes[1..]).expect("file");
    let e = harness.commit(one).expect_err("changed").to_string();
    assert!(e.contains("it was changed"), "{e}");
    fs::remove_file(&path).expect("removed");
    let e = harness.commit(one).expect_err("gone").to_string();
    assert!(e.contains("neither") && e.contains("restore from another checkpoint") && !e.contains('\n'), "{e}");
    fs::write(file.pending_path(dir.path()), &bytes).expect("file");
    fs::write(&path, b"somebody else's").expect("file");
    let e = harness.commit(one).expect_err("both").to_string();
    assert!(e.contains("both"), "{e}");
    assert_eq!(fs::read(&path).expect("file"), b"somebody else's", "never overwritten");
}

#[test]
fn orphans_of_this_sink_go_and_nobody_elses() {
    let dir = tempfile::tempdir().expect("dir");
    let sink = by_day(dir.path());
    let mut ours = SinkHarness::start(&sink, "1").expect("started");
    let mut theirs = SinkHarness::start_subtask(&sink, "other-sink", 0, "1").expect("started");
    for n in 0..5 {
        ours.write(event(n, n as i64 * DAY)).expect("written");
        theirs.write(event(n + 100, n as i64 * DAY)).expect("written");
    }
    ours.flush().expect("flushed");
    let kept = theirs.flush().expect("flushed");
    let mut restarted = SinkHarness::start(&sink, "2").expect("started");
    restarted.committer.as_mut().expect("a committer").remove_orphans().expect("removed");
    assert_eq!(pending(dir.path()).len(), 5);
    theirs.commit(&kept).expect("committed");
    assert_eq!(all(dir.path()), (100..105).collect::<Vec<_>>());
    // A directory that is not there has no orphans.
    let nowhere = by_day(&dir.path().join("nowhere"));
    let ctx = crate::connectors::testing::committer_context("u");
    nowhere.committer(ctx).expect("made").expect("a committer").remove_orphans().expect("nothing");
}

#[test]
fn few_files_are_open_and_every_partition_has_one() {
    let dir = tempfile::tempdir().expect("dir");
    for gzip in [false, true] {
        let root = dir.path().join(gzip.to_string());
        let bounds =
            PartOptions { max_open_files: 4, max_in_flight: 2, max_buffered_bytes: 2_000, ..Default::default() };
        let mut sink = by_day(&root).options(bounds);
        if gzip {
            sink = sink.gzip();
        }
        let mut harness = SinkHarness::start(&sink, "1").expect("started");
        // Two days are always in use, the others come and go.
        for n in 0..2_000_u64 {
            let day = if n % 2 == 0 { n % 4 / 2 } else { 2 + n / 2 % 50 };
            harness.write(event(n, day as i64 * DAY)).expect("written");
            assert!(harness.writer.open_handles() <= 4);
            assert!(harness.writer.buffered_bytes() < 2_000 + 50);
        }
        assert_eq!(harness.writer.open_files(), 52);
        let committables = harness.flush().expect("flushed");
        harness.commit(&committables).expect("committed");
        assert_eq!(all(&root), (0..2_000).collect::<Vec<_>>());
        assert_eq!(content(&root).len(), 52);
        let files = committables.iter().map(|c| PendingFile::from_bytes(c).expect("a pending file"));
        let rows: Vec<u64> = files.map(|f| f.rows).collect();
        assert_eq!((rows.len(), rows.iter().sum()), (52, 2_000_u64), "parked files are gone on with");
        assert_eq!(harness.writer.open_handles(), 0);
        assert!(harness.books.balance());
    }
}

#[test]
fn files_roll_by_size_and_by_time() {
    let dir = tempfile::tempdir().expect("dir");
    for gzip in [false, true] {
        let root = dir.path().join(gzip.to_string());
        let mut sink = JsonFilesSink::<Event>::new(&root).roll_at_bytes(10_000).roll_every(Duration::from_secs(60));
        if gzip {
            sink = sink.gzip();
        }
        let mut harness = SinkHarness::start(&sink, "1").expect("started");
        // Compressed bytes come out of the encoder in blocks.
        let (count, largest) = if gzip { (100_000, 60_000) } else { (10_000, 25_000) };
        for n in 0..count {
            harness.write(event(n, 0)).expect("written");
        }
        harness.checkpoint().expect("committed");
        let sizes: Vec<_> = visible(&root).iter().map(|p| fs::metadata(p).expect("a file").len()).collect();
        assert!(sizes.len() > 3, "{sizes:?}");
        assert!(sizes.iter().all(|s| *s < largest), "{sizes:?}");
        assert_eq!(all(&root), (0..count).collect::<Vec<_>>());

        let before = visible(&root).len();
        harness.write(event(count, 0)).expect("written");
        assert_eq!(harness.writer.next_wakeup(), Some(60_000));
        harness.advance(59_999).expect("time");
        assert_eq!(harness.writer.open_files(), 1);
        harness.advance(1).expect("time");
        assert_eq!((harness.writer.open_files(), harness.writer.next_wakeup()), (0, None));
        harness.write(event(count + 1, 0)).expect("written");
        harness.checkpoint().expect("committed");
        assert_eq!(visible(&root).len(), before + 2);
        assert_eq!(all(&root).len() as u64, count + 2);
    }
}

#[test]
fn memory_is_bounded_and_the_writer_pushes_back() {
    let dir = tempfile::tempdir().expect("dir");
    let options = PartOptions { max_buffered_bytes: 50_000, max_in_flight: 1, ..PartOptions::default() };
    let sink = by_day(dir.path()).options(options);
    let mut harness = SinkHarness::start(&sink, "1").expect("started");
    let mut most = 0;
    for n in 0..50_000 {
        harness.write(event(n, n as i64 % 40 * DAY)).expect("written");
        let bytes = harness.writer.buffered_bytes();
        assert!(bytes < 50_000 + 50, "{bytes} bytes wait");
        most = most.max(bytes);
    }
    assert!(most > 50_000, "the bound was never reached: {most}");
    harness.checkpoint().expect("committed");
    assert_eq!(harness.writer.buffered_bytes(), 0);
    assert_eq!(all(dir.path()), (0..50_000).collect::<Vec<_>>());
    assert_eq!(visible(dir.path()).len(), 40);
}

#[test]
fn records_that_cannot_be_written_are_letters() {
    #[derive(Clone)]
    struct Odd(u64);
    impl Serialize for Odd {
        fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
            use serde::ser::{Error, SerializeMap};
            let mut map = s.serialize_map(None)?;
            map.serialize_entry("n", &self.0)?;
            if self.0 % 2 == 1 {
                return Err(S::Error::custom("odd"));
            }
            map.end()
        }
    }
    let dir = tempfile::tempdir().expect("dir");
    let sink = JsonFilesSink::<Odd>::new(dir.path()).partition_by(PartitionBy::custom(|o: &Odd| match o.0 {
        6 => "../up".into(),
        8 => format!("n={}", "8".repeat(300)),
        n => format!("n={}", n % 4),
    }));
    let mut harness = SinkHarness::start(&sink, "1").expect("started");
    for n in 0..9 {
        harness.write(Record { value: Odd(n), timestamp: 5, origin: Origin::new(1, n) }).expect("written");
    }
    harness.checkpoint().expect("committed");
    assert_eq!(all(dir.path()), [0, 2, 4]);
    assert_eq!(content(dir.path()).keys().collect::<Vec<_>>(), ["n=0", "n=2"], "no file without a record");
    let letters: BTreeSet<_> = harness.letters.iter().map(|(o, t, raw, _)| (o.position(), *t, raw.clone())).collect();
    assert_eq!(letters.len(), 6);
    assert!(letters.contains(&(3, 5, b"{\"n\":3".to_vec())) && letters.contains(&(6, 5, b"{\"n\":6}".to_vec())));
    assert!(harness.books.balance() && harness.books.dead_lettered == 6);

    // Without a timestamp there is no partition in time.
    let sink = JsonFilesSink::<u64>::new(dir.path()).partition_by(PartitionBy::event_time(EventTimePartition::Hour));
    let mut harness = SinkHarness::start(&sink, "2").expect("started");
    harness.write_all([7]).expect("written");
    harness.checkpoint().expect("committed");
    assert!(harness.letters[0].3.contains("no timestamp"), "{}", harness.letters[0].3);
    assert_eq!(harness.letters[0].2, b"7");
}

#[test]
fn a_directory_that_cannot_be_written_is_one_clear_line() {
    let dir = tempfile::tempdir().expect("dir");
    let file = dir.path().join("a-file");
    fs::write(&file, "x").expect("file");
    let e = SinkHarness::start(&by_day(&file), "1").err().expect("an error").to_string();
    assert!(e.contains("the sink") && e.contains("a-file") && e.contains("what is committed is safe"), "{e}");
    assert!(!e.contains('\n'));

    // It goes away while the job runs: the flush fails, and what was committed stays.
    let root = dir.path().join("lake");
    let mut harness = SinkHarness::start(&by_day(&root), "1").expect("started");
    harness.write(event(1, 0)).expect("written");
    harness.checkpoint().expect("committed");
    fs::write(root.join("year=1971"), "in the way").expect("file");
    harness.write(event(2, 366 * DAY)).expect("written");
    let e = harness.flush().expect_err("not a directory").to_string();
    assert!(e.contains("lake") && e.contains("cannot be written"), "{e}");
    fs::remove_file(root.join("year=1971")).expect("removed");
    assert_eq!(all(&root), [1]);
}

/// A device that is full. Not everywhere, but wherever `/dev/full` is.
#[test]
fn a_full_disk_is_one_clear_line() {
    use crate::connectors::part_files::PartFormat;
    let Ok(full) = fs::OpenOptions::new().write(true).open("/dev/full") else { return };
    let format = JsonFormat::<u64>::new(false);
    let mut chunk = PartFormat::<u64>::chunk(&format);
    format.gather(&mut chunk, Record::new(1)).expect("gathered");
    let mut file = PartFormat::<u64>::create(&format, full).expect("created");
    let e = PartFormat::<u64>::append(&format, &mut file, &mut chunk).expect_err("full");
    assert!(e.to_string().contains("No space left"), "{e}");
}
