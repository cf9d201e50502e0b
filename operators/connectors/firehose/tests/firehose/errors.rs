//! What cannot be delivered: where it is, what it looks like, how it counts.

use hurtig_engine::record::{Origin, Record};
use hurtig_firehose::{FirehoseConfig, METADATA_EXTRACTION_FAILED, PREFIX_EVALUATION_FAILED};
use hurtig_operators::connectors::testing::SinkHarness;

use crate::{NEWLINE, NOON, content, error_records, query, start, with_processors};

#[test]
fn an_error_record_has_exactly_these_keys() {
    let dir = tempfile::tempdir().expect("dir");
    let config = with_processors("k=!{partitionKeyFromQuery:k}/", &[("MetadataExtraction", &query("{k:.k}"))]);
    let sink = hurtig_firehose::FirehoseSink::of(dir.path(), config, |r: &(i64, Vec<u8>)| &r.1).arrival(|r| r.0);
    let mut harness = SinkHarness::start(&sink, "1").expect("started");
    harness.clock.set(NOON);
    harness.write(Record::new((NOON - 5, b"no\x00t JSON".to_vec()))).expect("written");
    harness.checkpoint().expect("committed");
    let line = &content(dir.path())["errors/processing-failed"];
    assert_eq!(
        line,
        "{\"attemptsMade\":1,\"arrivalTimestamp\":1720184399994,\
         \"errorCode\":\"DynamicPartitioning.MetadataExtractionFailed\",\
         \"errorMessage\":\"the record is not JSON: expected ident at line 1 column 2\",\
         \"attemptEndingTimestamp\":1720184399999,\"rawData\":\"bm8AdCBKU09O\"}\n"
    );
    let record = &error_records(line)[0];
    assert_eq!(record.raw().expect("base64"), b"no\x00t JSON");
    assert_eq!(record.error_code, METADATA_EXTRACTION_FAILED);
}

#[test]
fn every_record_counts_once() {
    let dir = tempfile::tempdir().expect("dir");
    let config = with_processors(
        "k=!{partitionKeyFromQuery:k}/",
        &[("RecordDeAggregation", &[("SubRecordType", "JSON")]), ("MetadataExtraction", &query("{k:.k}")), NEWLINE],
    );
    let mut harness = start(dir.path(), &config, "1");
    let long = format!("{{\"k\":\"{}\"}}", "x".repeat(300));
    let records = [
        "{\"k\":1}{\"k\":2}{\"k\":1}",           // three lines
        "{\"k\":1}{\"k\":null}{\"k\":2}{\"k\":", // two lines, an error record and what is broken
        "[]",                                    // an error record
        "{\"k\":\"a/../b\"}",                    // no directory
        &long,                                   // no directory either
        "{\"k\":3}",
    ];
    for record in records {
        harness.write(Record::new(record.as_bytes().to_vec())).expect("written");
    }
    harness.checkpoint().expect("committed");
    let content = content(dir.path());
    assert_eq!(content["k=1"], "{\"k\":1}\n{\"k\":1}\n{\"k\":1}\n");
    assert_eq!(content["k=2"], "{\"k\":2}\n{\"k\":2}\n");
    assert_eq!(content["k=3"], "{\"k\":3}\n");
    let errors = error_records(&content["errors/processing-failed"]);
    let raw: Vec<_> = errors.iter().map(|e| String::from_utf8(e.raw().expect("base64")).expect("text")).collect();
    assert_eq!(raw, ["{\"k\":null}", "{\"k\":", "[]", "{\"k\":\"a/../b\"}", &long]);
    assert_eq!(errors[3].error_code, PREFIX_EVALUATION_FAILED);
    assert!(errors[3].error_message.contains("'k=a/../b' cannot be a partition"), "{:?}", errors[3]);
    assert!(errors[4].error_message.contains("longer than 255 bytes"), "{:?}", errors[4]);
    assert_eq!(content.len(), 4);
    let books = harness.books;
    assert_eq!((books.read, books.written, books.rejected, books.dead_lettered), (6, 2, 4, 0));
}

#[test]
fn without_a_place_for_errors_either_it_is_a_dead_letter() {
    let dir = tempfile::tempdir().expect("dir");
    let config = with_processors("k=!{partitionKeyFromQuery:k}/", &[("MetadataExtraction", &query("{k:.k}"))]);
    // Arrivals before the year 0 have no hour.
    let errors = "errors/!{firehose:error-output-type}/!{timestamp:yyyy}/";
    let json = serde_json::json!({"Prefix": "a/!{timestamp:yyyy}", "ErrorOutputPrefix": errors});
    let timed = FirehoseConfig::from_json(&json.to_string()).expect("a configuration");
    for (config, lost) in [(config, false), (timed, true)] {
        let sink = hurtig_firehose::FirehoseSink::new(dir.path(), config).arrival(|_: &Vec<u8>| -70_000_000_000_000);
        let mut harness = SinkHarness::start(&sink, "1").expect("started");
        let record = Record { value: b"x".to_vec(), timestamp: 3, origin: Origin::new(1, 2) };
        harness.write(record).expect("written");
        harness.checkpoint().expect("committed");
        assert!(harness.books.balance());
        assert_eq!((harness.books.rejected, harness.books.dead_lettered), (u64::from(!lost), u64::from(lost)));
        if lost {
            let (origin, time, raw, reason) = &harness.letters[0];
            assert_eq!((*origin, *time, raw.as_slice()), (Origin::new(1, 2), 3, b"x".as_slice()));
            assert!(reason.contains("outside the years") && reason.contains("ErrorOutputPrefix"), "{reason}");
        }
        std::fs::remove_dir_all(dir.path().join("errors")).ok();
    }
}

#[test]
fn error_prefixes_of_their_own_accord() {
    for (json, expected) in [
        (r#"{"Prefix":"lines/"}"#, "lines/processing-failed/2024/07/05/12"),
        (r#"{"Prefix":"lines/","ErrorOutputPrefix":"bad-"}"#, "bad-processing-failed/2024/07/05/12"),
        (
            r#"{"Prefix":"lines/","ErrorOutputPrefix":"bad/!{timestamp:HH}/!{firehose:error-output-type}","CustomTimeZone":"Asia/Tokyo"}"#,
            "bad/21/processing-failed",
        ),
    ] {
        let mut value: serde_json::Value = serde_json::from_str(json).expect("JSON");
        value["ProcessingConfiguration"] = serde_json::json!({"Enabled": true, "Processors": [
            {"Type": "RecordDeAggregation", "Parameters": [{"ParameterName": "SubRecordType", "ParameterValue": "JSON"}]}]});
        let config = FirehoseConfig::from_json(&value.to_string()).expect("a configuration");
        let dir = tempfile::tempdir().expect("dir");
        let mut harness = start(dir.path(), &config, "1");
        harness.clock.set(NOON);
        harness.write(Record::new(b"[]".to_vec())).expect("written");
        harness.checkpoint().expect("committed");
        assert_eq!(content(dir.path()).into_keys().collect::<Vec<_>>(), [expected]);
    }
}
