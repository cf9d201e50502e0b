//! The file source as a whole: every way to cut a reading short reads the same.

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
};

use flate2::{Compression, write::GzEncoder};
use hurtig_engine::{
    source::{ReaderStatus, Source, SourceReader},
    time::{ManualClock, NO_TIMESTAMP},
};
use proptest::prelude::*;

use super::*;
use crate::connectors::testing::{Output, SourceHarness, enumerator_context};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

fn write(dir: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = dir.join(name);
    fs::create_dir_all(path.parent().expect("a parent")).expect("dir");
    fs::write(&path, bytes).expect("file");
    path
}

fn text(path: &Path) -> String {
    path.to_str().expect("UTF-8").to_owned()
}

/// What came of a reading: records and letters by file and position.
type Read<T> = BTreeMap<(String, u64), std::result::Result<T, (Vec<u8>, String)>>;

fn note<S: Source>(read: &mut Read<S::Item>, harness: &SourceHarness<S>, out: Output<S::Item>) {
    for r in out.records {
        let old = read.insert((harness.name(r.split).to_owned(), r.position), Ok(r.value));
        assert!(old.is_none(), "read twice");
    }
    for l in out.letters {
        let old = read.insert((harness.name(l.split).to_owned(), l.position), Err((l.raw, l.reason)));
        assert!(old.is_none(), "read twice");
    }
}

fn read_all<S: Source<Split = FileSplit>>(source: &S, splits: Vec<FileSplit>) -> Read<S::Item> {
    let mut harness = SourceHarness::with_splits(source, splits).expect("started");
    let out = harness.run().expect("read");
    assert_eq!(out.finished.len(), harness_splits(&harness), "every file is finished");
    let mut read = Read::new();
    note(&mut read, &harness, out);
    read
}

fn harness_splits<S: Source>(harness: &SourceHarness<S>) -> usize {
    (0..).take_while(|i| !harness.name(*i).is_empty()).count()
}

/// Reads in polls of these sizes, and goes on with a new reader after each that gave something.
fn read_in_pieces<S: Source<Split = FileSplit>>(
    source: &S,
    mut splits: Vec<FileSplit>,
    sizes: &[usize],
) -> Read<S::Item> {
    let mut read = Read::new();
    for size in sizes.iter().cycle() {
        let mut harness = SourceHarness::with_splits(source, splits).expect("started");
        let mut out = Output::with_capacity(*size);
        // An endless line takes several polls before anything comes of it.
        let mut status = ReaderStatus::MoreAvailable;
        while out.is_empty() && status == ReaderStatus::MoreAvailable {
            status = harness.reader.poll(*size, &mut out).expect("read");
        }
        assert!(out.len() <= *size, "more than asked for");
        splits = harness.snapshot().expect("snapshot");
        note(&mut read, &harness, out);
        if status != ReaderStatus::MoreAvailable && splits.is_empty() {
            break;
        }
    }
    read
}

#[derive(Clone)]
struct Text;

impl Deserializer<String> for Text {
    fn deserialize(&mut self, line: &[u8], meta: &LineMeta<'_>) -> Result<Option<String>, String> {
        let text = std::str::from_utf8(line).map_err(|e| e.to_string());
        assert!(!meta.is_utf8() || text.is_ok(), "said to be UTF-8 and is not");
        match text? {
            t if t.starts_with('#') => Ok(None),
            t => Ok(Some(t.to_owned())),
        }
    }
}

/// What the lines of `bytes` should come to, said as simply as can be.
fn lines_of(bytes: &[u8], max: usize) -> Vec<(u64, std::result::Result<String, Vec<u8>>)> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").map_or((0, bytes), |b| (3, b));
    let mut at = bytes.0 as u64;
    let mut lines = Vec::new();
    for whole in bytes.1.split_inclusive(|b| *b == b'\n') {
        let line = whole.strip_suffix(b"\n").unwrap_or(whole);
        let too_long = whole.len() > max || (whole.len() == max && !whole.ends_with(b"\n"));
        let line = if too_long { line } else { line.strip_suffix(b"\r").unwrap_or(line) };
        if too_long {
            lines.push((at, Err(line[..line.len().min(max)].to_vec())));
        } else if !line.trim_ascii().is_empty() && !line.starts_with(b"#") {
            lines.push((at, String::from_utf8(line.to_vec()).map_err(|e| e.into_bytes())));
        } else if line.starts_with(b"#") && std::str::from_utf8(line).is_err() {
            lines.push((at, Err(line.to_vec())));
        }
        at += whole.len() as u64;
    }
    lines
}

fn any_line() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => "[a-zäß,\"{}:0-9]{1,40}".prop_map(String::into_bytes),
        1 => Just(Vec::new()),
        1 => Just(b"   ".to_vec()),
        1 => Just(b"# a comment".to_vec()),
        1 => Just(vec![b'x', 0xff, b'y']),
        1 => (60..200_usize).prop_map(|n| vec![b'l'; n]),
    ]
}

fn any_file() -> impl Strategy<Value = Vec<u8>> {
    let line = (any_line(), prop_oneof![4 => Just("\n"), 1 => Just("\r\n")]);
    (proptest::collection::vec(line, 0..40), any::<bool>(), proptest::bool::weighted(0.2)).prop_map(
        |(lines, cut, mark)| {
            let mut bytes = if mark { b"\xef\xbb\xbf".to_vec() } else { Vec::new() };
            for (line, end) in lines {
                bytes.extend_from_slice(&line);
                bytes.extend_from_slice(end.as_bytes());
            }
            if cut && bytes.ends_with(b"\n") {
                bytes.pop();
            }
            bytes
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the file, the slices and the moments of restart: the records, letters and
    /// positions are those of the naive reading.
    #[test]
    fn lines_however_they_are_cut(
        files in proptest::collection::vec(any_file(), 1..4),
        sizes in proptest::collection::vec(1..20_usize, 1..6),
        max in prop_oneof![Just(100_usize), Just(1 << 20)],
    ) {
        let dir = tempfile::tempdir().expect("dir");
        let mut expected = BTreeMap::new();
        for (i, bytes) in files.iter().enumerate() {
            write(dir.path(), &format!("plain-{i}"), bytes);
            for (position, line) in lines_of(bytes, max) {
                expected.insert((format!("plain-{i}"), position), line);
            }
        }
        let source = FileSource::new(text(dir.path())).max_record_bytes(max).max_open_files(2).lines(Text);
        let splits = source.splits().expect("files");
        let plain = |read: Read<String>| -> BTreeMap<_, _> {
            read.into_iter().map(|(at, r)| (at, r.map_err(|(raw, _)| raw))).collect()
        };
        prop_assert_eq!(&plain(read_all(&source, splits.clone())), &expected);
        prop_assert_eq!(&plain(read_in_pieces(&source, splits, &sizes)), &expected);
    }

    /// The same, compressed, in one gzip member or several: positions count lines.
    #[test]
    fn gzip_however_it_is_cut(
        bytes in any_file(),
        sizes in proptest::collection::vec(1..20_usize, 1..6),
        member in 1..200_usize,
        max in prop_oneof![Just(100_usize), Just(1 << 20)],
    ) {
        let dir = tempfile::tempdir().expect("dir");
        let members: Vec<u8> = bytes.chunks(member).flat_map(gzip).collect();
        write(dir.path(), "a.gz", &if bytes.is_empty() { gzip(b"") } else { members });
        let source = FileSource::new(text(dir.path())).max_record_bytes(max).lines(Text);
        let splits = source.splits().expect("files");
        let whole = read_all(&source, splits.clone());
        let found: Vec<_> = whole.values().cloned().map(|r| r.map_err(|(raw, _)| raw)).collect();
        let expected: Vec<_> = lines_of(&bytes, max).into_iter().map(|(_, l)| l).collect();
        prop_assert_eq!(found, expected);
        prop_assert_eq!(read_in_pieces(&source, splits, &sizes), whole);
    }

    /// CSV: quoted fields with delimiters, quotes and line breaks in them.
    #[test]
    fn csv_however_it_is_cut(
        rows in proptest::collection::vec(proptest::collection::vec("[a-c ,\"\n\r]{0,6}", 3), 0..30),
        sizes in proptest::collection::vec(1..9_usize, 1..6),
        crlf in any::<bool>(),
        compressed in any::<bool>(),
        cut in any::<bool>(),
    ) {
        let end = if crlf { "\r\n" } else { "\n" };
        let quoted = |f: &String| format!("\"{}\"", f.replace('"', "\"\""));
        let mut file = format!("a,b ,c{end}");
        for row in &rows {
            file += &row.iter().map(quoted).collect::<Vec<_>>().join(",");
            file += end;
        }
        if cut {
            file.truncate(file.trim_end_matches(['\r', '\n']).len());
        }
        let dir = tempfile::tempdir().expect("dir");
        write(dir.path(), "x.csv", &if compressed { gzip(file.as_bytes()) } else { file.into_bytes() });
        let source = FileSource::new(text(dir.path())).csv(CsvOptions::default(), |row: &CsvRow<'_>| {
            Ok(vec![row.text("a")?.to_owned(), row.text("b")?.to_owned(), row.text("c")?.to_owned()])
        });
        let splits = source.splits().expect("files");
        let whole = read_all(&source, splits.clone());
        let found: Vec<_> = whole.values().cloned().map(|r| r.expect("a row")).collect();
        prop_assert_eq!(found, rows);
        prop_assert_eq!(read_in_pieces(&source, splits, &sizes), whole);
    }
}

#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
struct Row {
    meter: String,
    time: i64,
    value: f64,
}

/// The seven real meters, against the table in their README.
#[test]
fn the_real_meters() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/meters");
    let options = CsvOptions { time: Some("start".into()), value: Some("value".into()), ..CsvOptions::default() };
    let source = FileSource::new(text(&dir)).csv(options, |row: &CsvRow<'_>| {
        let value = row.value()?.ok_or("no value")?;
        Ok(Row { meter: row.meter()?.to_owned(), time: row.time()?, value })
    });
    let mut harness = SourceHarness::with_splits(&source, source.splits().expect("files")).expect("started");
    let mut out = Output::with_event_time(|r: &Row| r.time);
    harness.run_into(1000, &mut out).expect("read");
    assert!(out.letters.is_empty(), "{:?}", out.letters.first());

    let mut found: BTreeMap<String, (u64, i64, i64, f64)> = BTreeMap::new();
    for r in &out.records {
        let (n, first, last, sum) = found.entry(r.value.meter.clone()).or_insert((0, i64::MAX, i64::MIN, 0.0));
        *n += 1;
        *first = (*first).min(r.value.time);
        *last = (*last).max(r.value.time);
        *sum += r.value.value;
    }
    let times = TimeParser::new(None, "UTC").expect("zone");
    let readme = fs::read_to_string(dir.join("README.md")).expect("README");
    let mut lines = 0;
    for line in readme.lines().filter(|l| l.starts_with("| il-") || l.starts_with("| uk-")) {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let [_, meter, _, readings, first, last, sum, _] = cells[..] else { panic!("{line}") };
        let expected = (
            readings.replace(',', "").parse().expect("a number"),
            times.parse(first).expect("a time"),
            times.parse(last).expect("a time"),
        );
        let (n, f, l, total) = found[meter];
        assert_eq!((n, f, l), expected, "{meter}");
        assert_eq!(format!("{total:.6}"), sum, "{meter}");
        lines += 1;
    }
    assert_eq!((lines, out.records.len()), (7, 163_271));

    // After each file's first slice they move forward together: nothing is read more than a
    // slice (1000 readings, with a gap of some weeks in it) ahead of a file that is behind.
    let mut reached: BTreeMap<u32, i64> = BTreeMap::new();
    let ends: BTreeMap<u32, usize> = out.records.iter().enumerate().map(|(i, r)| (r.split, i)).collect();
    for (i, r) in out.records.iter().enumerate() {
        let w = reached.entry(r.split).or_insert(i64::MIN);
        *w = (*w).max(r.value.time);
        let open = reached.iter().filter(|(s, _)| ends[s] > i);
        let behind = open.map(|(_, t)| *t).min().unwrap_or(i64::MAX);
        assert!(i < 7_000 || behind == i64::MAX || r.value.time - behind < 3_000 * 3_600_000, "at {i}");
    }
}

#[test]
fn files_advance_together_and_few_are_open() {
    let dir = tempfile::tempdir().expect("dir");
    for file in 0..10 {
        // File f has every tenth time from f on.
        let lines: String = (0..5_000).map(|i| format!("{}\n", i * 10 + file)).collect();
        let bytes = if file % 3 == 0 { gzip(lines.as_bytes()) } else { lines.into_bytes() };
        write(dir.path(), &format!("f{file}.json"), &bytes);
    }
    let source = FileSource::new(text(dir.path())).max_open_files(3).json_lines::<i64>();
    let mut harness = SourceHarness::with_splits(&source, source.splits().expect("files")).expect("started");
    let mut out = Output::with_event_time(|t: &i64| *t);
    while harness.reader.poll(700, &mut out).expect("read") == ReaderStatus::MoreAvailable {
        assert!(harness.reader.open_files() <= 3);
    }
    let mut values = out.values();
    let mut highest = i64::MIN;
    for (i, v) in values.iter().enumerate() {
        highest = highest.max(*v);
        assert!(highest - v <= 20_010, "record {i}: {v} after {highest}");
    }
    values.sort_unstable();
    assert_eq!(values, (0..50_000).collect::<Vec<i64>>());
    assert_eq!(out.finished.len(), 10);
}

/// Without watermarks files take turns, rather than one starving the others.
#[test]
fn without_watermarks_files_take_turns() {
    let dir = tempfile::tempdir().expect("dir");
    for name in ["a.json", "b.json"] {
        write(dir.path(), name, "1\n".repeat(5_000).as_bytes());
    }
    let source = FileSource::new(text(dir.path())).json_lines::<i64>();
    let mut harness = SourceHarness::with_splits(&source, source.splits().expect("files")).expect("started");
    let mut out = Output::with_capacity(2_000);
    harness.run_into(10_000, &mut out).expect("read");
    assert_eq!(out.records.iter().filter(|r| r.split == 0).count(), 1_000);
}

#[test]
fn json_that_cannot_be_read_is_a_letter_with_its_bytes_and_place() {
    #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
    struct Kwh {
        meter: String,
        kwh: f64,
    }
    let dir = tempfile::tempdir().expect("dir");
    let lines: &[&[u8]] = &[
        b"{\"meter\":\"a\\u00e4\",\"kwh\":1e2,\"more\":[1,{\"x\":null}]}\r\n",
        b"{\"meter\":\"b\",\"kwh\":1.2.3}\n",
        b"{\"meter\":\"c\xff\",\"kwh\":1}\n",
        b"\n",
        b"{\"meter\":\"d\",\"kwh\":3}",
    ];
    let file = write(dir.path(), "x.json", &lines.concat());
    let source = FileSource::new(text(&file)).json_lines::<Kwh>().arrival(|k| k.kwh as i64 * 1000);
    let mut harness = SourceHarness::with_splits(&source, source.splits().expect("files")).expect("started");
    let out = harness.run().expect("read");
    let kept = |m: &str, kwh| Kwh { meter: m.into(), kwh };
    assert_eq!(out.values(), [kept("aä", 100.0), kept("d", 3.0)]);
    assert_eq!(out.records.iter().map(|r| r.arrival).collect::<Vec<_>>(), [100_000, 3_000]);
    let at = |i: usize| lines[..i].iter().map(|l| l.len() as u64).sum::<u64>();
    let letters: Vec<_> = out.letters.iter().map(|l| (l.position, l.raw.as_slice())).collect();
    assert_eq!(letters, [(at(1), lines[1].trim_ascii_end()), (at(2), lines[2].trim_ascii_end())]);
    assert!(out.letters.iter().all(|l| l.reason.starts_with("not the expected JSON: ") && !l.reason.contains('\n')));
    assert_eq!(out.letters[0].arrival, NO_TIMESTAMP);
}

#[test]
fn a_damaged_gzip_file_ends_in_one_letter_and_never_in_a_loop() {
    let dir = tempfile::tempdir().expect("dir");
    let lines: String = (0..50_000).map(|i| format!("{}\n", i * 7919 % 100_003)).collect();
    let whole = gzip(lines.as_bytes());
    let mut flipped = whole.clone();
    let middle = flipped.len() / 2;
    flipped[middle..middle + 40].iter_mut().for_each(|b| *b ^= 0x5a);
    for (name, bytes) in [
        ("cut", whole[..whole.len() / 2].to_vec()),
        ("without-end", whole[..whole.len() - 3].to_vec()),
        ("flipped", flipped),
        ("garbage-behind", [whole.as_slice(), b"garbage behind"].concat()),
        ("header-only", whole[..5].to_vec()),
    ] {
        let file = write(dir.path(), name, &bytes);
        let source = FileSource::new(text(&file)).json_lines::<i64>();
        let splits = source.splits().expect("files");
        let read = read_all(&source, splits.clone());
        let letters: Vec<_> = read.values().filter_map(|r| r.as_ref().err()).collect();
        // Flipped bits may show as bad lines first.
        let (_, reason) = letters.last().expect("a letter");
        assert!(reason.contains("damaged or cut off behind record"), "{name}: {reason}");
        assert!(name == "flipped" || letters.len() == 1, "{name}: {} letters", letters.len());
        let good: Vec<_> = read.values().filter_map(|r| r.as_ref().ok()).copied().collect();
        if name != "flipped" {
            assert!(good.iter().enumerate().all(|(i, v)| *v == i as i64 * 7919 % 100_003), "{name}");
        }
        assert_eq!(good.len() == 50_000, matches!(name, "without-end" | "garbage-behind"), "{name}: {}", good.len());
        assert_eq!(read_in_pieces(&source, splits, &[9_999]), read, "{name}");
    }
}

/// A restore in the middle of a large gzip file does not keep the worker for all of it.
#[test]
fn a_gzip_file_is_read_again_in_slices() {
    let dir = tempfile::tempdir().expect("dir");
    let lines: String = (0..400_000).map(|i| format!("{i}\n")).collect();
    let path = write(dir.path(), "x.json", &gzip(lines.as_bytes()));
    let source = FileSource::new(text(&path)).json_lines::<u64>();
    let split = FileSplit { path: "x.json".into(), position: 399_000 };
    let mut harness = SourceHarness::with_splits(&source, vec![split.clone()]).expect("started");
    let mut out = Output::default();
    let mut polls = 0;
    while out.is_empty() {
        assert_eq!(
            harness.snapshot().expect("snapshot"),
            std::slice::from_ref(&split),
            "it is still where the checkpoint was"
        );
        assert_eq!(harness.reader.poll(100, &mut out).expect("read"), ReaderStatus::MoreAvailable);
        polls += 1;
    }
    // Each poll is worth one block.
    assert!(polls > lines.len() / (64 << 10), "{polls} polls");
    harness.run_into(1000, &mut out).expect("read");
    assert_eq!(out.values(), (399_000..400_000).collect::<Vec<u64>>());
    assert_eq!(out.finished, [0]);
}

#[test]
fn an_endless_line_is_a_letter_and_is_not_held_in_memory() {
    let dir = tempfile::tempdir().expect("dir");
    let mut bytes = b"1\n".to_vec();
    bytes.extend(std::iter::repeat_n(b'9', 3_000_000));
    bytes.extend_from_slice(b"\n2\n");
    for compressed in [false, true] {
        let file = write(dir.path(), "x", &if compressed { gzip(&bytes) } else { bytes.clone() });
        let source = FileSource::new(text(&file)).max_record_bytes(100_000).json_lines::<i64>();
        let splits = source.splits().expect("files");
        let read = read_all(&source, splits.clone());
        let found: Vec<_> = read.values().collect();
        let [Ok(1), Err((raw, reason)), Ok(2)] = found[..] else { panic!("{found:?}") };
        assert_eq!(raw.len(), 64 << 10);
        assert!(reason.contains("3000001 bytes long, more than the 100000 allowed"), "{reason}");
        assert_eq!(read_in_pieces(&source, splits, &[1]), read);
    }
}

#[test]
fn a_quote_that_is_not_closed_costs_one_line() {
    let dir = tempfile::tempdir().expect("dir");
    let file = "a,b\n1,2\n\"3,4\n5,6\n7,8\n";
    let long = format!("a,b\n1,2\n\"3,4\n{}", "5,6\n".repeat(100));
    for (bytes, max, rows) in [(file, 1 << 20, 3), (long.as_str(), 100, 101)] {
        for compressed in [false, true] {
            let bytes = if compressed { gzip(bytes.as_bytes()) } else { bytes.as_bytes().to_vec() };
            let path = write(dir.path(), "x.csv", &bytes);
            let source = FileSource::new(text(&path))
                .max_record_bytes(max)
                .csv(CsvOptions::default(), |row: &CsvRow<'_>| Ok((row.f64("a")?, row.f64("b")?)));
            let splits = source.splits().expect("files");
            let read = read_all(&source, splits.clone());
            let letters: Vec<_> = read.values().filter_map(|r| r.as_ref().err()).collect();
            assert_eq!(letters.len(), 1);
            assert_eq!(letters[0].0, b"\"3,4");
            assert!(letters[0].1.contains("quote"), "{}", letters[0].1);
            assert_eq!(read.len(), rows + 1);
            assert_eq!(read_in_pieces(&source, splits, &[1]), read);
        }
    }
}

#[test]
fn csv_rows_that_do_not_fit_and_columns_by_option() {
    let dir = tempfile::tempdir().expect("dir");
    let file = write(
        dir.path(),
        "london.csv",
        b"\xef\xbb\xbfLCLid;DateTime;KWH/hh (per half hour) ;got\n\
          MAC1;2012-10-12 00:30:00.0000000;0.5;2012-10-12 01:00:00\n\
          MAC1;2012-10-12 01:00:00.0000000;Null;2012-10-12 01:30:00\n\
          MAC1;2012-10-12  \n\
          MAC1;soon;1;2012-10-12 01:30:00\n\
          MAC1;2012-10-12 01:30:00.0000000;x;2012-10-12 01:30:00\n\
          MAC1;2012-10-12 01:30:00.0000000;1;never\n\
          MAC\xff;2012-10-12 01:30:00.0000000;1;2012-10-12 01:30:00\n",
    );
    let options = CsvOptions {
        delimiter: ';',
        time: Some("DateTime".into()),
        value: Some("KWH/hh (per half hour)".into()),
        meter: Meter::Column("LCLid".into()),
        time_zone: "Europe/London".into(),
        ..CsvOptions::default()
    }
    .arrival_column("got");
    let source = FileSource::new(text(&file)).csv(options.clone(), |row: &CsvRow<'_>| {
        Ok((row.meter()?.to_owned(), row.time()?, row.value()?, row.file_stem().to_owned()))
    });
    let mut harness = SourceHarness::with_splits(&source, source.splits().expect("files")).expect("started");
    let out = harness.run().expect("read");
    let t = 1_349_998_200_000; // 00:30 in London's summer
    let half_hour = 30 * 60 * 1000;
    assert_eq!(
        out.values(),
        [("MAC1".into(), t, Some(0.5), "london".into()), ("MAC1".into(), t + half_hour, None, "london".to_owned())]
    );
    assert_eq!(out.records[1].arrival, t + 2 * half_hour);
    let reasons: Vec<_> = out.letters.iter().map(|l| l.reason.as_str()).collect();
    let words =
        ["2 fields, not 4", "'soon' is not a time", "'x' is not a number", "column 'got': 'never'", "not UTF-8"];
    assert_eq!(reasons.len(), words.len());
    for (reason, word) in reasons.iter().zip(words) {
        assert!(reason.contains(word), "{reason}");
    }
    assert_eq!(out.letters[0].raw, b"MAC1;2012-10-12  ", "raw means raw");

    for (options, word) in [
        (
            CsvOptions { value: Some("kwh".into()), ..options.clone() },
            "there is no column 'kwh'; the columns are LCLid,",
        ),
        (CsvOptions { time_zone: "London".into(), ..options.clone() }, "IANA time zone"),
        (CsvOptions { delimiter: '"', ..options.clone() }, "delimiter"),
        (CsvOptions { header: false, ..options.clone() }, "name the columns"),
        (CsvOptions { time_format: Some("iso".into()), ..options.clone() }, "no time format"),
    ] {
        let source = FileSource::new(text(&file)).csv(options, |_: &CsvRow<'_>| Ok(0_u8));
        let e = source
            .enumerator(enumerator_context(1, Arc::new(ManualClock::new(0))), None)
            .err()
            .expect("an error")
            .to_string();
        assert!(e.contains(word) && !e.contains('\n'), "{e}");
    }
    let no_header = CsvOptions {
        header: false,
        columns: ["id", "when", "kwh", "got"].map(String::from).into(),
        value: Some("kwh".into()),
        delimiter: ';',
        ..CsvOptions::default()
    };
    let source = FileSource::new(text(&file)).csv(no_header, |row: &CsvRow<'_>| row.value());
    let read = read_all(&source, source.splits().expect("files"));
    assert_eq!(read.values().filter(|r| r.is_ok()).count(), 4);
}

#[test]
fn what_changed_since_the_checkpoint_is_said() {
    let dir = tempfile::tempdir().expect("dir");
    let plain = write(dir.path(), "a.json", b"1\n2\n");
    write(dir.path(), "b.json", &gzip(b"1\n2\n"));
    let source = FileSource::new(text(dir.path())).json_lines::<i64>();
    for (path, position, word) in [
        ("a.json", 5, "it is 4 bytes long, the checkpoint was at 5"),
        ("b.json", 3, "it has 2 records, the checkpoint was at 3"),
        ("c.json", 0, "cannot be read"),
    ] {
        let split = FileSplit { path: path.into(), position };
        let mut harness = SourceHarness::with_splits(&source, vec![split]).expect("started");
        let e = harness.run().err().expect("an error").to_string();
        assert!(e.contains(word), "{e}");
    }
    // What was finished is not read again, and what is at its end gives nothing more.
    let at_end =
        vec![FileSplit { path: "a.json".into(), position: 4 }, FileSplit { path: "b.json".into(), position: 2 }];
    assert!(read_all(&source, at_end).is_empty());
    // A file alone has its own name as its id, wherever it is.
    assert_eq!(FileSource::new(text(&plain)).json_lines::<i64>().splits().expect("files"), [FileSplit::new("a.json")]);
    write(dir.path(), "empty.json", b"");
    let read = read_all(&source, source.splits().expect("files"));
    assert_eq!(read.len(), 4);
}
