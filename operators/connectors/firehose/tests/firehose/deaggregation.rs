//! Records put together and taken apart again.

use base64::{Engine, prelude::BASE64_STANDARD};
use hurtig_engine::record::Record;
use hurtig_firehose::{DE_AGGREGATION_FAILED, FirehoseConfig};
use proptest::prelude::*;

use crate::{NEWLINE, content, error_records, start, with_processors};

fn json() -> FirehoseConfig {
    with_processors("", &[("RecordDeAggregation", &[("SubRecordType", "JSON")]), NEWLINE])
}

fn delimited(delimiter: &[u8]) -> FirehoseConfig {
    let delimiter = BASE64_STANDARD.encode(delimiter);
    with_processors(
        "",
        &[("RecordDeAggregation", &[("SubRecordType", "DELIMITED"), ("Delimiter", &delimiter)]), NEWLINE],
    )
}

/// The lines that come out of a record, and what is left of it.
fn taken_apart(config: &FirehoseConfig, record: &[u8]) -> (Vec<String>, Vec<(Vec<u8>, String)>) {
    let dir = tempfile::tempdir().expect("dir");
    let mut harness = start(dir.path(), config, "1");
    harness.write(Record::new(record.to_vec())).expect("written");
    harness.checkpoint().expect("committed");
    let (mut lines, mut errors) = (Vec::new(), Vec::new());
    for (path, text) in content(dir.path()) {
        if path.starts_with("errors/processing-failed") {
            for error in error_records(&text) {
                assert_eq!(error.error_code, DE_AGGREGATION_FAILED);
                errors.push((error.raw().expect("base64"), error.error_message));
            }
        } else {
            lines.extend(text.lines().map(str::to_owned));
        }
    }
    let books = harness.books;
    assert_eq!((books.read, books.written, books.rejected), (1, u64::from(errors.is_empty()), errors.len() as u64));
    (lines, errors)
}

#[test]
fn json_behind_json() {
    for (record, lines) in [
        (r#"{"a":1}{"a":2}"#, vec![r#"{"a":1}"#, r#"{"a":2}"#]),
        ("{\"a\":1}\n{\"a\":2}\n", vec![r#"{"a":1}"#, r#"{"a":2}"#]),
        (" {\"a\": {\"b\": \"}{\"} } \r\n\t{}", vec![r#"{"a": {"b": "}{"} }"#, "{}"]),
    ] {
        assert_eq!(taken_apart(&json(), record.as_bytes()), (lines.iter().map(|l| (*l).to_owned()).collect(), vec![]));
    }
    let many = "{\"n\":1}".repeat(2_000);
    assert_eq!(taken_apart(&json(), many.as_bytes()).0.len(), 2_000, "all of them, where Firehose stops after 500");
}

#[test]
fn what_is_broken_is_kept_from_there_on() {
    for (record, good, rest, words) in [
        ("{\"a\":1}{\"a\":", 1, "{\"a\":", "not JSON: EOF"),
        ("{\"a\":1} {bad} {\"a\":2}", 1, "{bad} {\"a\":2}", "not JSON: key must be a string"),
        ("[{\"a\":1},{\"a\":2}]", 0, "[{\"a\":1},{\"a\":2}]", "arrays and bare values are not taken apart"),
        ("{\"a\":1} 5", 1, "5", "a JSON object was expected"),
        ("{\"a\":1}{\n\"a\":2}", 1, "{\n\"a\":2}", "must be in one line"),
        (" \n", 0, " \n", "there is no record in it"),
        ("", 0, "", "there is no record in it"),
    ] {
        let (lines, errors) = taken_apart(&json(), record.as_bytes());
        assert_eq!(lines.len(), good, "{record}");
        assert_eq!(errors[0].0, rest.as_bytes(), "{record}");
        assert!(errors.len() == 1 && errors[0].1.contains(words), "{record}: {errors:?}");
    }
}

#[test]
fn with_a_delimiter() {
    for (record, lines) in [
        ("a####b", vec!["a", "b"]),
        ("a####b####", vec!["a", "b"]),
        ("########a########", vec!["a"]),
        ("a###b", vec!["a###b"]),
    ] {
        let expected = lines.iter().map(|l| (*l).to_owned()).collect();
        assert_eq!(taken_apart(&delimited(b"####"), record.as_bytes()), (expected, vec![]), "{record}");
    }
    assert_eq!(taken_apart(&delimited(b"####"), b"####").1.len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn joined_json_comes_back(
        objects in prop::collection::vec(prop::collection::btree_map("[a-z\"\\\\{}é]{0,5}", "[ -~\\n\\\\\"{}\u{1f600}]{0,10}", 0..4), 1..20),
        between in "[ \n\r\t]{0,3}",
    ) {
        let records: Vec<String> = objects.iter().map(|o| serde_json::to_string(o).expect("JSON")).collect();
        let (lines, errors) = taken_apart(&json(), records.join(&between).as_bytes());
        prop_assert_eq!((lines, errors), (records, vec![]));
    }

    #[test]
    fn joined_pieces_come_back(
        records in prop::collection::vec("[a-z;]{1,8}", 1..20),
        delimiter in prop::sample::select(vec!["|", "\n", "::", "\u{1e}|"]),
    ) {
        let (lines, errors) = taken_apart(&delimited(delimiter.as_bytes()), records.join(delimiter).as_bytes());
        prop_assert_eq!((lines, errors), (records, vec![]));
    }
}
