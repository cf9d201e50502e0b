//! Any cutting of any file gives the records of the whole file.

use hurtig_ingest::{Format, RangeOptions};
use proptest::prelude::*;

use crate::drive::{Seen, all, read, runtime, sorted, source};

fn options(format: Format, range: u64) -> RangeOptions {
    RangeOptions { format, min_range: range, max_range: range, request: 7, max_open: 3, ..RangeOptions::default() }
}

/// Writes `bytes` into a directory of its own.
fn file(bytes: &[u8], name: &str) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().expect("dir");
    let path = dir.path().join(name);
    std::fs::write(&path, bytes).expect("written");
    let path = path.to_str().expect("utf8").to_owned();
    (dir, path)
}

/// What the `csv` crate reads: rows with their fields.
fn by_csv(bytes: &[u8], header: bool, quoting: bool) -> Vec<Vec<Vec<u8>>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(header).quoting(quoting).flexible(true).from_reader(bytes);
    reader.byte_records().map(|row| row.expect("a row").iter().map(<[u8]>::to_vec).collect()).collect()
}

fn fields(records: &[Seen]) -> Vec<Vec<Vec<u8>>> {
    records.iter().map(|(_, fields)| fields.clone()).collect()
}

/// A field as it may stand in a file: plain, or quoted with whatever inside.
fn field() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-zé漢0-9 .]{0,6}",
        1 => "[a-z]{1,2}\"[a-z\"]{0,3}",
        3 => "(\"\"|[a-zé漢,;\n\r ]){0,8}".prop_map(|inner| format!("\"{inner}\"")),
        1 => "[a-z,\n]{0,3}".prop_map(|inner| format!("\"{inner}\"tail")),
    ]
}

fn line_end() -> impl Strategy<Value = &'static str> {
    prop_oneof![3 => Just("\n"), 3 => Just("\r\n"), 1 => Just("\n\n"), 1 => Just("\r")]
}

/// A CSV file of three columns that a strict reader understands.
fn csv_file() -> impl Strategy<Value = Vec<u8>> {
    let row = (prop::collection::vec(field(), 3), line_end());
    (any::<bool>(), prop::collection::vec(row, 0..20), any::<bool>()).prop_map(|(mark, rows, cut_end)| {
        let mut text = if mark { "\u{feff}".to_owned() } else { String::new() };
        text += "one,\"two\n2\",three\r\n";
        for (fields, end) in &rows {
            text += &fields.join(",");
            text += end;
        }
        if cut_end {
            text.truncate(text.trim_end_matches(['\r', '\n']).len());
        }
        text.into_bytes()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// CSV as it should be: as an independent reader has it, at every size of ranges.
    #[test]
    fn csv_with_quotes(bytes in csv_file(), range in 1_u64..60) {
        let (_dir, path) = file(&bytes, "a.csv");
        let source = source(&path, options(Format::Auto, range));
        let (records, letters) = all(&source, source.splits(&runtime(), 1).expect("planned"));
        prop_assert_eq!(letters, Vec::<u64>::new());
        prop_assert_eq!(fields(&records), by_csv(&bytes, true, true));
    }

    /// Any bytes at all, also such as no CSV file should have: cut or whole, the same records and
    /// the same dead letters.
    #[test]
    fn any_bytes(text in "[a\",\n\ré{]{0,80}", range in 1_u64..40, max_record in 1_usize..30, kind in 0..3) {
        let (_dir, path) = file(text.as_bytes(), "a");
        let format = if kind == 0 { Format::Json } else { Format::Csv };
        let base = RangeOptions { quoting: kind == 1, header: false, max_record, ..options(format, u64::MAX) };
        let whole = source(&path, base.clone());
        let ranges = source(&path, RangeOptions { min_range: range, max_range: range, ..base });
        let whole = all(&whole, whole.splits(&runtime(), 1).expect("planned"));
        let cut = all(&ranges, ranges.splits(&runtime(), 1).expect("planned"));
        prop_assert_eq!(&cut, &whole);
        if kind == 2 && cut.1.is_empty() {
            prop_assert_eq!(fields(&cut.0), by_csv(text.as_bytes(), false, false));
        }
    }

    /// JSON lines: the non-blank lines of the file.
    #[test]
    fn json_lines(text in "([a-zé漢\" {}]{0,9}(\n|\r\n|\n\n)){0,12}[a-z]{0,5}", range in 1_u64..40) {
        let (_dir, path) = file(text.as_bytes(), "a.json");
        let source = source(&path, options(Format::Auto, range));
        let (records, letters) = all(&source, source.splits(&runtime(), 1).expect("planned"));
        let lines: Vec<_> = text.lines().filter(|l| !l.trim().is_empty()).map(|l| vec![l.as_bytes().to_vec()]).collect();
        prop_assert_eq!(fields(&records), lines);
        prop_assert_eq!(letters, Vec::<u64>::new());
    }

    /// Stopped anywhere and restored from the positions: nothing twice, nothing missing.
    #[test]
    fn restored_anywhere(
        bytes in csv_file(), range in 1_u64..60, stops in prop::collection::vec(1_usize..9, 1..4), kind in 0..3
    ) {
        let (bytes, name) = match kind {
            0 => (bytes, "a.csv"),
            1 => (gzip(&bytes), "a.csv.gz"),
            _ => (bytes, "a.json"),
        };
        let (_dir, path) = file(&bytes, name);
        let source = source(&path, options(Format::Auto, range));
        let mut splits = source.splits(&runtime(), 1).expect("planned");
        let whole = all(&source, splits.clone());
        let mut outputs = Vec::new();
        for stop in stops {
            let (mut harness, out) = read(&source, splits, stop);
            splits = harness.snapshot().expect("positions");
            outputs.push(out);
        }
        outputs.push(read(&source, splits, usize::MAX).1);
        prop_assert_eq!(sorted(&outputs), whole);
    }
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("packed");
    encoder.finish().expect("packed")
}
