//! Single files: small ones, empty ones, broken ones, such as change.

use hurtig_engine::source::SourceReader;
use hurtig_ingest::{Format, RangeOptions, range_size};
use hurtig_operators::connectors::testing::{Output, SourceHarness};

use crate::{
    cuts::gzip,
    drive::{all, read, runtime, source},
};

fn options(range: u64) -> RangeOptions {
    RangeOptions { min_range: range, max_range: range, request: 64, ..RangeOptions::default() }
}

fn texts(records: &[crate::drive::Seen]) -> Vec<String> {
    records.iter().map(|(_, f)| f.iter().map(|f| String::from_utf8_lossy(f)).collect::<Vec<_>>().join("|")).collect()
}

fn dir_with(files: &[(&str, &[u8])]) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().expect("dir");
    for (name, bytes) in files {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("dirs");
        std::fs::write(path, bytes).expect("written");
    }
    let path = dir.path().to_str().expect("utf8").to_owned();
    (dir, path)
}

#[test]
fn a_range_is_never_empty_and_never_more_than_five_minutes_of_a_shard() {
    let options = RangeOptions::default();
    assert_eq!(range_size(0, 150, &options), 1 << 20);
    assert_eq!(range_size(100, 150, &options), 1 << 20, "a file smaller than the number of workers");
    assert_eq!(range_size(1 << 30, 4, &options), 1 << 28);
    assert_eq!(range_size(1 << 40, 4, &options), 300_000_000);
    let none = RangeOptions { min_range: 0, max_range: 0, ..options };
    assert_eq!(range_size(10, 150, &none), 1);
}

#[test]
fn empty_files_headers_alone_and_files_smaller_than_the_workers() {
    let (_dir, path) = dir_with(&[
        ("empty.csv", b""),
        ("header.csv", b"a,b\n"),
        ("mark.csv", b"\xef\xbb\xbfa,b"),
        ("blank.json", b"\n\n"),
        ("one.json", b"1"),
        ("three.csv", b"a,b\n1,2\n3,4"),
        (".hidden.csv", b"a,b\n9,9\n"),
        ("_SUCCESS", b"x"),
        ("next.csv.pending", b"a,b\n8,8\n"),
    ]);
    let source = source(&path, RangeOptions { min_range: 1, ..RangeOptions::default() });
    let splits = source.splits(&runtime(), 150).expect("planned");
    assert!(splits.iter().all(|s| s.start < s.end));
    let (mut records, letters) = all(&source, splits);
    records.sort_by_key(|r| texts(std::slice::from_ref(r)));
    assert_eq!((texts(&records), letters), (["1", "1|2", "3|4"].map(str::to_owned).into(), vec![]));
}

#[test]
fn bad_lines_are_letters_with_their_place_and_the_others_go_on() {
    let text = "a,b\n1,2\nonly one\n\"never closed,4\n5,6\n7,\u{fffd}8\n";
    let bytes = text
        .replace('\u{fffd}', "\u{1}")
        .into_bytes()
        .iter()
        .map(|b| if *b == 1 { 0xff } else { *b })
        .collect::<Vec<_>>();
    for range in [1, 5, 1000] {
        let (_dir, path) = dir_with(&[("a.csv", &bytes)]);
        let source = source(&path, options(range));
        let (_, out) = read(&source, source.splits(&runtime(), 1).expect("planned"), usize::MAX);
        let (records, letters) = crate::drive::sorted(std::slice::from_ref(&out));
        assert_eq!(texts(&records), ["1|2", "5|6"], "ranges of {range}");
        assert_eq!(letters, [8, 17, 37], "ranges of {range}");
        let mut reasons: Vec<_> = out.letters.iter().map(|l| (l.position, l.reason.as_str())).collect();
        reasons.sort_unstable();
        assert_eq!(reasons[0].1, "the row has 1 fields, not 2");
        assert!(reasons[1].1.contains("not closed"), "{reasons:?}");
        assert_eq!(reasons[2].1, "the row is not UTF-8");
    }
}

#[test]
fn a_line_that_is_too_long_is_one_letter_wherever_it_is_cut() {
    let long = "x".repeat(1000);
    let text = format!("{{\"a\":1}}\n{long}\n{{\"a\":2}}\n{long}");
    for range in [1, 100, 1000, 10_000] {
        let (_dir, path) = dir_with(&[("a.json", text.as_bytes())]);
        let source = source(&path, RangeOptions { max_record: 99, ..options(range) });
        let (_, out) = read(&source, source.splits(&runtime(), 1).expect("planned"), usize::MAX);
        let (records, letters) = crate::drive::sorted(std::slice::from_ref(&out));
        assert_eq!(texts(&records), ["{\"a\":1}", "{\"a\":2}"], "ranges of {range}");
        assert_eq!(letters, [8, 1017], "ranges of {range}");
        assert!(out.letters[0].reason.contains("1000 bytes long"), "{}", out.letters[0].reason);
    }
}

#[test]
fn gzip_is_one_range_and_a_broken_stream_ends_in_a_letter() {
    let text: String = (0..20_000).map(|n| format!("{{\"n\":{n}}}\n")).collect();
    let packed = gzip(text.as_bytes());
    let two_members = [gzip(b"{\"n\":1}\n{\"n\""), gzip(b":2}\n")].concat();
    let (_dir, path) =
        dir_with(&[("whole", &packed), ("two.json.gz", &two_members), ("cut.gz", &packed[..packed.len() / 2])]);
    let source = source(&path, options(100));
    let splits = source.splits(&runtime(), 4).expect("planned");
    assert_eq!(splits.iter().map(|s| s.file.path.as_str()).collect::<Vec<_>>(), ["cut.gz", "two.json.gz", "whole"]);
    let mut splits = splits.into_iter();
    let (cut, two, whole) = (splits.next().expect("1"), splits.next().expect("2"), splits.next().expect("3"));

    let lines: Vec<_> = text.lines().map(str::to_owned).collect();
    assert_eq!(texts(&all(&source, vec![whole]).0), lines);
    assert_eq!(texts(&all(&source, vec![two]).0), ["{\"n\":1}", "{\"n\":2}"]);
    let (_, out) = read(&source, vec![cut], usize::MAX);
    let (records, letters) = crate::drive::sorted(std::slice::from_ref(&out));
    assert!(records.len() > 100 && lines.starts_with(&texts(&records)), "{}", records.len());
    assert_eq!(letters.len(), 1);
    assert!(out.letters[0].reason.contains("damaged or cut off"), "{}", out.letters[0].reason);
}

#[test]
fn a_file_that_cannot_be_understood_is_a_letter_and_no_end_of_the_job() {
    let (_dir, path) = dir_with(&[("a.csv", b"\"a,b\n1,2\n"), ("b.csv", b"a,b\n1,2\n")]);
    let source = source(&path, options(1000));
    let (_, out) = read(&source, source.splits(&runtime(), 1).expect("planned"), usize::MAX);
    assert_eq!(texts(&out.values()), ["1|2"]);
    assert_eq!(out.letters.len(), 1);
    assert!(
        out.letters[0].reason.contains("'a.csv' cannot be read: its header has a quote"),
        "{}",
        out.letters[0].reason
    );
}

#[test]
fn a_file_that_changes_while_it_is_read_is_an_error_in_one_line() {
    let text: String = (0..2000).map(|n| format!("{{\"n\":{n}}}\n")).collect();
    let (dir, path) = dir_with(&[("a.json", text.as_bytes())]);
    let source = source(&path, options(u64::MAX));
    let splits = source.splits(&runtime(), 1).expect("planned");
    std::fs::write(dir.path().join("a.json"), "{\"n\":\"another\"}\n").expect("written");
    let mut harness = SourceHarness::with_splits(&source, splits).expect("a reader");
    let mut out = Output::default();
    let error = loop {
        match harness.reader.poll(10, &mut out) {
            Ok(_) => std::thread::yield_now(),
            Err(e) => break e.to_string(),
        }
    };
    assert!(error.contains("no longer the file whose reading began") && !error.contains('\n'), "{error}");
    assert!(out.is_empty());
}

#[test]
fn what_is_not_there_is_one_clear_line() {
    let (_dir, path) = dir_with(&[("a.json", b"1\n")]);
    for (location, word) in
        [(format!("{path}/missing"), "does not exist"), (format!("{path}/[*"), "not a valid pattern")]
    {
        let e = source(&location, options(1)).splits(&runtime(), 1).expect_err("an error").to_string();
        assert!(e.contains(word) && !e.contains('\n'), "{e}");
    }
    let some = source(&format!("{path}/*.json"), RangeOptions { format: Format::Json, ..options(1) });
    assert_eq!(some.splits(&runtime(), 1).expect("planned").len(), 2);
}
