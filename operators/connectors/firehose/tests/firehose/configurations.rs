//! What is accepted, what is ignored, and what is refused in which words.

use hurtig_engine::{record::Record, sink::SinkWriter};
use hurtig_firehose::FirehoseConfig;
use serde_json::{Value, json};

use crate::{content, error_records, start};

/// The configuration of the talk's template, as CloudFormation takes it in JSON.
const TALK: &str = include_str!("talk.json");

fn reading(time: &str, value: &str) -> String {
    format!(
        "{{\"meter_id\":\"m-1\",\"reading_type\":\"kw\",\"reading_value\":\"{value}\",\"reading_date_time\":\"{time}\",\
         \"reading_source\":\"B\"}}"
    )
}

#[test]
fn the_talks_own() {
    let dir = tempfile::tempdir().expect("dir");
    let config = FirehoseConfig::from_json(TALK).expect("a configuration");
    let mut harness = start(dir.path(), &config, "1");
    // As the talk's aggregator puts them together: without anything between them.
    let readings = ["2023-01-02 01:15:00.000", "2023-01-02 02:00:00.000", "2023-01-02 01:30:00.000"];
    let aggregate: String = readings.iter().map(|time| reading(time, "1.2")).collect();
    harness.clock.set(crate::NOON);
    harness.write(Record::new(aggregate.into_bytes())).expect("written");
    harness.write(Record::new(b"{\"meter_id\":\"m-2\"}".to_vec())).expect("written");
    harness.checkpoint().expect("committed");

    let content = content(dir.path());
    let hour = |h: &str| format!("readings/json/year=2023/month=01/day=02/hour={h}");
    let errors = "errors/readings/json/year=2024/month=07/day=05/hour=12/processing-failed";
    assert_eq!(content.keys().collect::<Vec<_>>(), [errors, &hour("01"), &hour("02")]);
    assert_eq!(content[&hour("01")], format!("{}\n{}\n", reading(readings[0], "1.2"), reading(readings[2], "1.2")));
    assert_eq!(content[&hour("02")], reading(readings[1], "1.2") + "\n");
    assert_eq!(error_records(&content[errors])[0].raw().expect("base64"), b"{\"meter_id\":\"m-2\"}");
    let books = harness.books;
    assert_eq!((books.read, books.written, books.rejected, books.dead_lettered), (2, 1, 1, 0));
    // A minute after its first record a file is closed.
    harness.write(Record::new(reading(readings[0], "1").into_bytes())).expect("written");
    assert_eq!(harness.writer.next_wakeup(), Some(crate::NOON + 60_000));
}

#[test]
fn bare_in_a_call_or_in_a_resource() {
    let resource: Value = serde_json::from_str(TALK).expect("JSON");
    let call = resource["Properties"].clone();
    let bare = call["ExtendedS3DestinationConfiguration"].clone();
    let all: Vec<_> =
        [resource, call, bare].iter().map(|v| FirehoseConfig::from_json(&v.to_string()).expect("accepted")).collect();
    assert!(all[0] == all[1] && all[1] == all[2]);
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), TALK).expect("written");
    assert_eq!(FirehoseConfig::from_file(file.path()).expect("accepted"), all[0]);
    let e = FirehoseConfig::from_file("/nowhere/firehose.json").expect_err("no file").to_string();
    assert!(e.contains("/nowhere/firehose.json"), "{e}");
    // Nothing is needed.
    FirehoseConfig::from_json("{}").expect("accepted");
}

/// A configuration with what dynamic partitions need, changed by `change`.
fn changed(change: impl FnOnce(&mut Value)) -> String {
    let mut value = json!({
        "Prefix": "a=!{partitionKeyFromQuery:a}/",
        "ErrorOutputPrefix": "errors/!{firehose:error-output-type}/",
        "DynamicPartitioningConfiguration": {"Enabled": true},
        "ProcessingConfiguration": {"Enabled": true, "Processors": [
            {"Type": "MetadataExtraction", "Parameters": [
                {"ParameterName": "JsonParsingEngine", "ParameterValue": "JQ-1.6"},
                {"ParameterName": "MetadataExtractionQuery", "ParameterValue": "{a:.a}"}]}]},
    });
    FirehoseConfig::from_json(&value.to_string()).expect("accepted as it is");
    change(&mut value);
    value.to_string()
}

/// The same with a processor more, or with another one.
fn processor(kind: &str, parameters: &[(&str, &str)]) -> String {
    changed(|v| {
        let parameters: Vec<_> =
            parameters.iter().map(|(n, value)| json!({"ParameterName": n, "ParameterValue": value})).collect();
        let processor = json!({"Type": kind, "Parameters": parameters});
        let all = v["ProcessingConfiguration"]["Processors"].as_array_mut().expect("processors");
        if kind == "MetadataExtraction" {
            all[0] = processor;
        } else {
            all.push(processor);
        }
    })
}

#[test]
fn what_cannot_be_is_one_line_that_says_what_to_do() {
    let set = |key: &'static str, value: Value| changed(move |v| v[key] = value);
    let hints =
        |size: Value, interval: Value| set("BufferingHints", json!({"SizeInMBs": size, "IntervalInSeconds": interval}));
    let without = |key: &'static str| changed(move |v| drop(v.as_object_mut().expect("an object").remove(key)));
    let query =
        |q: &str| processor("MetadataExtraction", &[("JsonParsingEngine", "JQ-1.6"), ("MetadataExtractionQuery", q)]);
    let long = "x".repeat(5121);
    for (json, words) in [
        ("{".to_owned(), "not JSON"),
        ("[]".to_owned(), "not a JSON object"),
        (r#"{"RedshiftDestinationConfiguration":{}}"#.to_owned(), "must be an ExtendedS3DestinationConfiguration"),
        (r#"{"S3DestinationConfiguration":{}}"#.to_owned(), "S3DestinationConfiguration is not written here"),
        (set("Prefixx", json!("a")), "unknown field `Prefixx`, expected one of `Prefix`"),
        (set("Hurtig", json!({"Timestamps": "Event"})), "unknown field `Timestamps`"),
        (
            set("Hurtig", json!({"Timestamp": "Ingestion"})),
            "unknown variant `Ingestion`, expected `Arrival` or `Event`",
        ),
        (set("Hurtig", json!({"MaxOpenFiles": 0})), "at least 1"),
        (set("Hurtig", json!({"TargetFileSizeInMBs": 0})), "1 to 1048576"),
        (hints(json!(0), json!(60)), "SizeInMBs is 0; 1 to 128"),
        (hints(json!(129), json!(60)), "larger files: Hurtig.TargetFileSizeInMBs"),
        (hints(json!(63), json!(60)), "with dynamic partitions 64 to 128"),
        (hints(json!(64), json!(901)), "IntervalInSeconds is 901; 0 to 900"),
        (hints(json!(64), json!(0)), "must not be 0 with dynamic partitions"),
        (hints(json!("many"), json!(0)), "a whole number"),
        (hints(json!(-1), json!(0)), "a whole number"),
        (set("CompressionFormat", json!("Snappy")), "Snappy is not written here"),
        (set("CompressionFormat", json!("LZ4")), "GZIP or UNCOMPRESSED, not 'LZ4'"),
        (set("CustomTimeZone", json!("Europe/Atlantis")), "write an IANA name"),
        (set("FileExtension", json!("json")), "must begin with a dot"),
        (set("FileExtension", json!(".JSON")), "small letters"),
        (set("S3BackupMode", json!("Enabled")), "a second sink"),
        (set("S3BackupMode", json!("on")), "Disabled or Enabled, not 'on'"),
        (set("DataFormatConversionConfiguration", json!({"Enabled": true})), "write Parquet with the lake's own sink"),
        (set("DataFormatConversionConfiguration", json!({})), "write Parquet"),
        (without("ErrorOutputPrefix"), "there must be an ErrorOutputPrefix"),
        (without("DynamicPartitioningConfiguration"), "needs DynamicPartitioningConfiguration with \"Enabled\": true"),
        (without("ProcessingConfiguration"), "needs a MetadataExtraction processor"),
        (set("Prefix", json!("year=!{timestamp:yyyy}/")), "there must be a !{partitionKeyFromQuery:…} in Prefix"),
        (set("DynamicPartitioningConfiguration", json!({})), "has no Enabled"),
        (set("DynamicPartitioningConfiguration", json!({"Enabled": "yes"})), "true or false"),
        (changed(|v| drop(v["ProcessingConfiguration"].as_object_mut().expect("it").remove("Enabled"))), "no Enabled"),
        (
            processor("Lambda", &[("LambdaArn", "arn:aws:lambda:…")]),
            "a Lambda processor cannot run here: do in the job",
        ),
        (processor("Decompression", &[("CompressionFormat", "GZIP")]), "decompress in the job"),
        (processor("Magic", &[]), "the processor 'Magic' is not known"),
        (processor("RecordDeAggregation", &[]), "needs the parameter SubRecordType"),
        (processor("RecordDeAggregation", &[("SubRecordType", "XML")]), "JSON or DELIMITED, not 'XML'"),
        (processor("RecordDeAggregation", &[("SubRecordType", "DELIMITED")]), "needs the parameter Delimiter"),
        (
            processor("RecordDeAggregation", &[("SubRecordType", "DELIMITED"), ("Delimiter", "####")]),
            "'####' is not base64",
        ),
        (processor("RecordDeAggregation", &[("SubRecordType", "JSON"), ("Delimiter", "IyMjIw==")]), "has no Delimiter"),
        (processor("AppendDelimiterToRecord", &[("Delimiters", "\\n")]), "has no parameter 'Delimiters'"),
        (processor("AppendDelimiterToRecord", &[("Delimiter", "a"), ("Delimiter", "b")]), "is there twice"),
        (processor("AppendDelimiterToRecord", &[("Delimiter", &long)]), "has 5121 characters"),
        (
            processor("MetadataExtraction", &[("JsonParsingEngine", "JQ-1.5"), ("MetadataExtractionQuery", "{a:.a}")]),
            "JQ-1.6, not 'JQ-1.5'",
        ),
        (
            processor("MetadataExtraction", &[("JsonParsingEngine", "JQ-1.6")]),
            "needs the parameter MetadataExtractionQuery",
        ),
        (query("{a:.a"), "jq expects"),
        (query("{a:.a}}"), "jq expects"),
        (query("{a:foo(.a)}"), "there is no filter 'foo'"),
        (query("{a:$x}"), "there is no variable"),
        (query("{a:now}"), "there is no filter 'now' here, where a record's place depends on the record alone"),
        (query("{b:.a}"), "it makes no key 'a', which Prefix asks for"),
    ] {
        let e = match FirehoseConfig::from_json(&json) {
            Ok(_) => panic!("accepted: {json}"),
            Err(e) => e.to_string(),
        };
        assert!(e.contains(words) && e.contains("Firehose configuration"), "{json}\n{e}\n{words}");
        assert!(!e.contains('\n') && e.chars().count() < 600, "{e}");
    }
}

#[test]
fn what_means_nothing_here_changes_nothing() {
    let plain = FirehoseConfig::from_json(&changed(|_| {})).expect("accepted");
    let more = changed(|v| {
        for (key, value) in [
            ("RoleARN", json!("arn:aws:iam::1:role/firehose")),
            ("BucketARN", json!("arn:aws:s3:::lake")),
            ("EncryptionConfiguration", json!({"KMSEncryptionConfig": {"AWSKMSKeyARN": "arn:…"}})),
            ("CloudWatchLoggingOptions", json!({"Enabled": true})),
            ("S3BackupMode", json!("Disabled")),
            ("DataFormatConversionConfiguration", json!({"Enabled": false, "SchemaConfiguration": {}})),
            ("CompressionFormat", json!("UNCOMPRESSED")),
            ("FileExtension", json!("")),
            ("BufferingHints", json!({"SizeInMBs": "128", "IntervalInSeconds": 300})),
            ("CustomTimeZone", json!("UTC")),
        ] {
            v[key] = value;
        }
    });
    assert_eq!(FirehoseConfig::from_json(&more).expect("accepted"), plain);
}
