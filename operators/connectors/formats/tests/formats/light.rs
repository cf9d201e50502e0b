//! JSON, CSV, bytes and text.

use std::collections::BTreeMap;

use hurtig_operators::schema::{
    CsvFormat, DeserializationSchema, JsonFormat, RawFormat, SerializationSchema, TextFormat,
};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::{one, read, write};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Reading {
    meter: String,
    time: i64,
    kwh: Option<f64>,
    good: bool,
}

fn reading(meter: &str, kwh: Option<f64>) -> Reading {
    Reading { meter: meter.into(), time: -5, kwh, good: true }
}

#[test]
fn json_values_follow_one_another_as_aggregators_put_them() {
    let json = JsonFormat::<Reading>::new();
    let (a, b) = (reading("a\"\\\u{1F600}", Some(1e-7)), reading("b", None));
    let (x, y) = (write(&json, &a).unwrap(), write(&json, &b).unwrap());
    for between in ["", "\n", "\r\n", " \n\t "] {
        let message = [&x[..], between.as_bytes(), &y, between.as_bytes(), &x, between.as_bytes()].concat();
        assert_eq!(read(&json, &message).unwrap(), [a.clone(), b.clone(), a.clone()], "{between:?}");
    }
    assert_eq!(write(&json.line_ends(), &b).unwrap().last(), Some(&b'\n'));
}

#[test]
fn json_reasons_say_which_value_and_where() {
    let json = JsonFormat::<Reading>::new();
    let good = r#"{"meter":"a","time":1,"kwh":1.5,"good":true}"#;
    for (message, reason) in [
        ("", "the message is empty: it should be JSON"),
        (" \n", "the message is empty: it should be JSON"),
        ("{\"meter\":\"a\",\"time\":1,\"good\":tru", "not the expected JSON: EOF while parsing a value (at byte 32)"),
        (r#"{"time":1,"kwh":null,"good":true}"#, "not the expected JSON: missing field `meter` (at byte 32)"),
        ("[1]x", "not the expected JSON: invalid type: integer `1`, expected a string (at byte 1)"),
    ] {
        let found = read(&json, message.as_bytes()).unwrap_err();
        assert_eq!(found, reason, "{message}");
    }
    let second = format!("{good}\n{{\"meter\":7}}");
    let found = read(&json, second.as_bytes()).unwrap_err();
    let wanted =
        "value 2 of the message is not the expected JSON: invalid type: integer `7`, expected a string (at byte 54)";
    assert_eq!(found, wanted);
    assert_eq!(read(&json, b"{\"\xff").unwrap_err(), "the message is not UTF-8 from byte 2 on");
    // What is not closed by itself is read by its delimiters.
    assert_eq!(read(&JsonFormat::<i64>::new(), b"12 34\n-5").unwrap(), [12, 34, -5]);
    assert!(read(&JsonFormat::<i64>::new(), b"12x").is_err());
    let map = BTreeMap::from([((1, 2), 3)]);
    assert!(write(&JsonFormat::new(), &map).unwrap_err().contains("key must be a string"));
}

#[test]
fn csv_rows_by_order_by_name_and_by_header() {
    let (a, b) = (reading("a;\"x\"\n,", Some(1.5)), reading("b", None));
    let plain = CsvFormat::<Reading>::new();
    assert_eq!(write(&plain, &b).unwrap(), b"b,-5,,true");
    let header = CsvFormat::<Reading>::new().delimiter(b';').unwrap().header();
    assert_eq!(write(&header, &b).unwrap(), b"meter;time;kwh;good\nb;-5;;true");
    let named = CsvFormat::<Reading>::new().columns(["meter", "time", "kwh", "good"]);
    assert_eq!(write(&named, &b).unwrap(), b"b,-5,,true");
    for format in [plain.clone(), header.clone(), named] {
        for value in [&a, &b] {
            assert_eq!(one(&format, &write(&format, value).unwrap()), *value);
        }
    }
    let rows = "\r\nmeter;x;good; kwh ;time\r\nm-1;?;true;1;2\r\n\r\nm-2;?;false;;3\r\n";
    let found = read(&header, rows.as_bytes()).unwrap();
    assert_eq!(
        found.iter().map(|r| (r.meter.as_str(), r.time, r.kwh)).collect::<Vec<_>>(),
        [("m-1", 2, Some(1.0)), ("m-2", 3, None)]
    );
    // A header without rows is a message without records, and no error.
    assert_eq!(read(&header, b"meter;time;kwh;good\n").unwrap(), []);
    let other = CsvFormat::<Reading>::new().columns(["time", "meter", "kwh", "good"]);
    let reason = write(&other, &a).unwrap_err();
    assert_eq!(
        reason,
        "the record's fields are meter, time, kwh, good, and the columns time, meter, kwh, good: name them alike"
    );
    assert_eq!(read(&other, b"7,m,,true\n8,n,1,false").unwrap().len(), 2);
    assert!(CsvFormat::<Reading>::new().delimiter(b'"').is_err());
}

#[test]
fn csv_reasons_say_line_and_column() {
    let plain = CsvFormat::<Reading>::new();
    let named = CsvFormat::<Reading>::new().columns(["meter", "time", "kwh", "good"]);
    for (format, message, reason) in [
        (&plain, "", "the message is empty: it should be CSV"),
        (
            &plain,
            "a,1,2,true\nb,x,2,true",
            "line 2, column 2: 'x' is not what is expected there: invalid digit found in string",
        ),
        (&named, "a,\n\"b\nc\",1,2,true\n", "line 1: the row has 2 fields, not 4"),
        (&named, "\"a\n\",1,2,true\n\"b,1,2,true\nc,1,2,true", "line 3: a quote is not closed"),
        (
            &named,
            "a,1,2,maybe",
            "line 1, column 'good': 'maybe' is not what is expected there: provided string was not `true` or `false`",
        ),
    ] {
        assert_eq!(read(format, message.as_bytes()).unwrap_err(), reason, "{message:?}");
    }
}

#[test]
fn bytes_and_text_stay_as_they_are() {
    for message in [&b""[..], b"\x00\xff", "ü".as_bytes()] {
        assert_eq!(one(&RawFormat, message), message);
        assert_eq!(write(&RawFormat, &message.to_vec()).unwrap(), message);
    }
    assert_eq!(one(&TextFormat, "ü".as_bytes()), "ü");
    assert_eq!(write(&TextFormat, &"ü".to_owned()).unwrap(), "ü".as_bytes());
    assert_eq!(read(&TextFormat, b"a\xff").unwrap_err(), "the message is not UTF-8 from byte 1 on");
}

/// Text with what formats trip over.
fn awkward() -> impl Strategy<Value = String> {
    prop_oneof![any::<String>(), "[a\"',;\r\n\\\\ü€ ]{0,12}"]
}

fn readings() -> impl Strategy<Value = Reading> {
    let kwh = proptest::option::of(any::<f64>().prop_filter("JSON has no infinity", |v| v.is_finite()));
    (awkward(), any::<i64>(), kwh, any::<bool>()).prop_map(|(meter, time, kwh, good)| Reading {
        meter,
        time,
        kwh,
        good,
    })
}

fn there_and_back<F>(format: &F, value: &Reading)
where
    F: DeserializationSchema<Item = Reading> + SerializationSchema<Reading>,
{
    assert_eq!(one(format, &write(format, value).unwrap()), *value);
}

proptest! {
    #[test]
    fn what_is_written_is_read(reading in readings()) {
        there_and_back(&JsonFormat::new(), &reading);
        there_and_back(&CsvFormat::new(), &reading);
        there_and_back(&CsvFormat::new().header().delimiter(b'\t').unwrap(), &reading);
    }

    #[test]
    fn many_in_a_message_are_read_as_each(readings in prop::collection::vec(readings(), 1..5), gap in "[ \n\r\t]{0,3}") {
        let json = JsonFormat::new();
        let messages: Vec<_> = readings.iter().map(|r| write(&json, r).unwrap()).collect();
        prop_assert_eq!(&read(&json, &messages.join(gap.as_bytes())).unwrap(), &readings);
        let csv = CsvFormat::new();
        let rows: Vec<_> = readings.iter().map(|r| write(&csv, r).unwrap()).collect();
        prop_assert_eq!(&read(&csv, &rows.join(&b"\r\n"[..])).unwrap(), &readings);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&JsonFormat::<Reading>::new(), &bytes);
        let _ = read(&JsonFormat::<serde_json::Value>::new(), &bytes);
        let _ = read(&CsvFormat::<Reading>::new(), &bytes);
        let _ = read(&CsvFormat::<Reading>::new().header(), &bytes);
        let _ = read(&TextFormat, &bytes);
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[\\[\\]{}\":,0-9a-e.\\\\ \n\r-]{0,80}") {
        let _ = read(&JsonFormat::<Reading>::new(), text.as_bytes());
        let _ = read(&CsvFormat::<Reading>::new().header(), text.as_bytes());
        // Value by value it is what the general parser says.
        let all = serde_json::Deserializer::from_str(&text).into_iter::<serde_json::Value>().collect::<Result<Vec<_>, _>>();
        let blank = text.trim_matches([' ', '\n', '\r', '\t']).is_empty();
        let found = read(&JsonFormat::<serde_json::Value>::new(), text.as_bytes()).ok();
        prop_assert_eq!(found.map(|v| v.len()), all.ok().filter(|_| !blank).map(|v| v.len()));
    }
}
