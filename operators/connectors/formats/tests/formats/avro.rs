//! Avro: fastavro's bytes, evolution, what is broken, round trips.

use std::collections::BTreeMap;

use hurtig_formats::AvroFormat;
use proptest::prelude::*;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    one, read,
    vectors::{V1, V2, all, bytes, hex},
    write,
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Old {
    meter: String,
    time: i64,
    wh: i32,
    quality: OldQuality,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum OldQuality {
    Good,
    Bad,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Quality {
    Unknown,
    Good,
    Estimated,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Position {
    lat: f64,
    lon: f64,
}

/// In another order than the schema's, on purpose.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct New {
    time: i64,
    meter_id: String,
    quality: Quality,
    wh: f64,
    price: Option<String>,
    total: String,
    tags: Vec<String>,
    registers: BTreeMap<String, i64>,
    position: Option<Position>,
    raw: Vec<u8>,
    hash: [u8; 16],
    next: Option<Box<New>>,
}

fn old() -> Old {
    Old { meter: "m-7".into(), time: 1_704_164_645_678, wh: 1500, quality: OldQuality::Good }
}

fn new() -> New {
    let next = New {
        meter_id: "m-9".into(),
        time: 1_704_067_200_000,
        wh: 0.0,
        price: None,
        total: "0.000".into(),
        quality: Quality::Good,
        tags: vec![],
        registers: BTreeMap::new(),
        position: None,
        raw: vec![],
        hash: [0; 16],
        next: None,
    };
    New {
        meter_id: "m-8".into(),
        time: -1,
        wh: -0.25,
        price: Some("-0.05".into()),
        total: "12345678901234567890.123".into(),
        quality: Quality::Estimated,
        tags: vec!["a".into(), "".into(), "ü€😀".into()],
        registers: BTreeMap::from([("T1".into(), 1), ("T2".into(), -2)]),
        position: Some(Position { lat: 51.5, lon: -0.125 }),
        raw: vec![0, 255],
        hash: *b"0123456789abcdef",
        next: Some(Box::new(next)),
    }
}

fn avro<T>(schema: &str) -> AvroFormat<T> {
    AvroFormat::new(schema).unwrap()
}

#[test]
fn reads_and_writes_what_fastavro_writes() {
    assert_eq!(one(&avro::<Old>(V1), &bytes("avro_v1")), old());
    assert_eq!(write(&avro(V1), &old()).unwrap(), bytes("avro_v1"));
    assert_eq!(one(&avro::<New>(V2), &bytes("avro_v2")), new());
    assert_eq!(one(&avro::<New>(V2), &bytes("avro_v2_blocks")), new());
    assert_eq!(write(&avro(V2), &new()).unwrap(), bytes("avro_v2"));
    let object = avro::<Old>(V1).single_object().unwrap();
    assert_eq!(one(&object, &bytes("avro_single_object")), old());
    assert_eq!(write(&object, &old()).unwrap(), bytes("avro_single_object"));
}

#[test]
fn decimals_are_exact_as_text_and_numbers_where_that_is_asked_for() {
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Text {
        d: String,
    }
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Double {
        d: f64,
    }
    let schema = |scale: u32| {
        format!(
            r#"{{"type": "record", "name": "D", "fields": [{{"name": "d", "type":
            {{"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": {scale}}}}}]}}"#
        )
    };
    let decimals = all()["avro_decimals"].as_object().unwrap().clone();
    assert!(decimals.len() > 5);
    for (text, message) in decimals {
        let message = hex(message.as_str().unwrap());
        let found = one(&avro::<Text>(&schema(2)), &message).d;
        let two = if text == "0" { "0.00" } else { &text };
        assert_eq!(found, two);
        // fastavro writes a byte more than is needed for -1.28; Java's BigInteger does not.
        let message = if text == "-1.28" { vec![2, 0x80] } else { message };
        assert_eq!(one(&avro::<Text>(&schema(2)), &message).d, two);
        assert_eq!(write(&avro(&schema(2)), &Text { d: text.clone() }).unwrap(), message, "{text}");
        let number: f64 = text.parse().unwrap();
        assert_eq!(one(&avro::<Double>(&schema(2)), &message), Double { d: number });
        assert_eq!(write(&avro(&schema(2)), &Double { d: number }).unwrap(), message, "{text}");
    }
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Whole {
        d: i64,
    }
    let whole = avro::<Whole>(&schema(0));
    assert_eq!(one(&whole, &write(&whole, &Whole { d: -300 }).unwrap()), Whole { d: -300 });
    let reason = write(&avro(&schema(1)), &Text { d: "0.05".into() }).unwrap_err();
    assert!(reason.contains("field 'd'") && reason.contains("decimal"), "{reason}");
}

#[test]
fn an_old_writer_is_read_by_a_new_reader_and_the_other_way_round() {
    let newer = avro::<New>(V2).writer_schema(V1).unwrap();
    let found = one(&newer, &bytes("avro_v1"));
    let wanted = New {
        meter_id: "m-7".into(),
        time: old().time,
        wh: 1500.0,
        price: None,
        total: "0.007".into(),
        quality: Quality::Good,
        tags: vec!["new".into()],
        registers: BTreeMap::from([("T0".into(), 1)]),
        position: None,
        raw: vec![255],
        hash: *b"0123456789abcdef",
        next: None,
    };
    assert_eq!(found, wanted);
    // BAD is not in the new schema, whose enum has a default.
    let bad = write(&avro(V1), &Old { quality: OldQuality::Bad, ..old() }).unwrap();
    assert_eq!(one(&newer, &bad).quality, Quality::Unknown);

    // A double does not become an int, and meter_id no meter: the message says so.
    let older = avro::<Old>(V1).writer_schema(V2).unwrap();
    let reason = read(&older, &bytes("avro_v2")).unwrap_err();
    assert!(reason.contains("field 'wh': the writer has double, and the reader int"), "{reason}");
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Few {
        quality: Quality,
        wh: f64,
    }
    let few = r#"{"type": "record", "name": "grid.Reading", "fields": [{"name": "wh", "type": ["null", "double"]},
        {"name": "quality", "type": {"type": "enum", "name": "Quality", "symbols": ["UNKNOWN", "GOOD", "ESTIMATED"]}}]}"#;
    let few = avro::<Few>(few).writer_schema(V2).unwrap();
    assert_eq!(one(&few, &bytes("avro_v2")), Few { quality: Quality::Estimated, wh: -0.25 });
    let missing = r#"{"type": "record", "name": "grid.Reading", "fields": [{"name": "unit", "type": "string"}]}"#;
    let missing = avro::<serde_json::Value>(missing).writer_schema(V1).unwrap();
    let reason = read(&missing, &bytes("avro_v1")).unwrap_err();
    assert!(reason.contains("the writer has no field 'unit', and the reader no default"), "{reason}");
}

#[test]
fn single_objects_of_several_writers() {
    let both = avro::<New>(V2).single_object().unwrap().writer_schema(V1).unwrap();
    assert_eq!(one(&both, &bytes("avro_single_object")).meter_id, "m-7");
    assert_eq!(one(&both, &write(&both, &new()).unwrap()), new());
    let one_only = avro::<New>(V2).single_object().unwrap();
    let reason = read(&one_only, &bytes("avro_single_object")).unwrap_err();
    assert!(reason.starts_with("no schema with the fingerprint "), "{reason}");
    assert!(read(&one_only, b"\xc3\x01\x00").unwrap_err().contains("C3 01"));
}

#[test]
fn what_is_cut_off_is_never_taken_for_nothing() {
    // apache-avro reads a union or a string that is cut off as null.
    fn cut<T: DeserializeOwned + Serialize + Clone + Send + 'static>(message: &[u8], schema: &str) {
        for end in 0..message.len() {
            let reason = read(&avro::<T>(schema), &message[..end]).err().unwrap();
            assert!(reason.contains("the message ends inside") || reason.contains("bytes, and"), "{end}: {reason}");
        }
        let reason = read(&avro::<T>(schema), &[message, b"\x00"].concat()).err().unwrap();
        assert!(reason.contains("1 bytes are left over"), "{reason}");
    }
    cut::<Old>(&bytes("avro_v1"), V1);
    cut::<New>(&bytes("avro_v2"), V2);
    assert_eq!(
        read(&avro::<Old>(V1), &bytes("avro_v1")[..3]).unwrap_err(),
        "byte 1: field 'meter': a string says that it has 3 bytes, and 2 are left"
    );
}

#[test]
fn what_is_broken_is_said_with_its_place() {
    let v1 = |message: &str| read(&avro::<Old>(V1), &hex(message)).unwrap_err();
    assert_eq!(v1("02ff00000000"), "byte 2: field 'meter': a string is not UTF-8");
    assert_eq!(v1("0261000008"), "byte 5: field 'quality': the symbol of an enum is 4, and there are 2");
    assert_eq!(v1("02610080808080808080808080"), "byte 13: field 'wh': an int has more than 64 bits");
    assert_eq!(v1("026100feffffff1f00"), "byte 8: field 'wh': 4294967295 is no int: it has more than 32 bits");
    let deep = r#"{"type": "record", "name": "L", "fields": [{"name": "n", "type": ["null", "L"]}]}"#;
    let message = vec![2; 100_000];
    assert!(read(&avro::<serde_json::Value>(deep), &message).unwrap_err().contains("nested more than 64 deep"));
    // Items without bytes, as many as the message likes.
    let nothing = r#"{"type": "array", "items": "null"}"#;
    let reason = read(&avro::<Vec<()>>(nothing), &hex("feffffffffffffffff0100")).unwrap_err();
    assert!(reason.contains("items are more than a message of 11 bytes holds"), "{reason}");
    let nested =
        r#"{"type": "array", "items": {"type": "record", "name": "P", "fields": [{"name": "x", "type": "int"}]}}"#;
    #[derive(Clone, Debug, Serialize, Deserialize)]
    struct P {
        x: String,
    }
    let reason = read(&avro::<Vec<P>>(nested), &hex("040202")).unwrap_err();
    assert_eq!(reason, "byte 2: field '[0].x': invalid type: integer `1`, expected a string");
}

#[test]
fn what_does_not_fit_the_schema_is_not_written() {
    #[derive(Clone, Serialize, Deserialize)]
    struct More {
        meter: String,
        extra: i32,
    }
    let reason = write(&avro(V1), &More { meter: "m".into(), extra: 1 }).unwrap_err();
    assert_eq!(reason, "the record cannot be written as Avro: the schema has no field 'extra'");
    #[derive(Clone, Serialize, Deserialize)]
    struct Less {
        meter: String,
    }
    let reason = write(&avro(V1), &Less { meter: "m".into() }).unwrap_err();
    assert_eq!(
        reason,
        "the record cannot be written as Avro: the record has no field 'time', and the schema no default"
    );
    let reason = write(&avro(r#""int""#), &(1_i64 << 40)).unwrap_err();
    assert!(reason.contains("whole number of this size"), "{reason}");
    // What has a default is written by it.
    #[derive(Clone, Serialize, Deserialize)]
    struct Needed {
        quality: String,
        wh: f64,
        time: i64,
        meter_id: String,
    }
    let needed = Needed { quality: "GOOD".into(), wh: 1.0, time: 2, meter_id: "m".into() };
    let found = one(&avro::<New>(V2), &write(&avro(V2), &needed).unwrap());
    assert_eq!((found.tags, found.total), (vec!["new".to_owned()], "0.007".to_owned()));
}

#[test]
fn unions_of_records_are_enums() {
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    enum Event {
        On { at: i64 },
        Off { at: i64, why: String },
    }
    let schema = r#"[{"type": "record", "name": "Off", "fields": [{"name": "at", "type": "long"}, {"name": "why", "type": "string"}]},
        {"type": "record", "name": "On", "fields": [{"name": "at", "type": "long"}]}]"#;
    for event in [Event::On { at: 1 }, Event::Off { at: 2, why: "x".into() }] {
        assert_eq!(one(&avro::<Event>(schema), &write(&avro(schema), &event).unwrap()), event);
    }
}

#[test]
fn a_schema_that_cannot_be_used_says_so_in_one_line() {
    for (schema, wanted) in [
        ("{", "it is no JSON"),
        (r#"{"type": "recrd"}"#, "recrd"),
        (r#"{"type": "record", "name": "R", "fields": [{"name": "a", "type": "Nowhere"}]}"#, "Nowhere"),
        (
            r#"{"type": "record", "name": "R", "fields": [{"name": "a", "type": "int", "default": "xyz"}]}"#,
            "\"xyz\" is no default for int",
        ),
    ] {
        let reason = AvroFormat::<i32>::new(schema).err().unwrap().to_string();
        assert!(reason.contains(wanted) && !reason.contains('\n'), "{reason}");
    }
    let reason = AvroFormat::<i32>::from_file("/nowhere/x.avsc").err().unwrap().to_string();
    assert!(reason.starts_with("/nowhere/x.avsc: "), "{reason}");
}

fn news() -> impl Strategy<Value = New> {
    let quality = prop_oneof![Just(Quality::Unknown), Just(Quality::Good), Just(Quality::Estimated)];
    let price = proptest::option::of((-999_999_999_999_i64..=999_999_999_999).prop_map(|n| {
        let sign = if n < 0 { "-" } else { "" };
        format!("{sign}{}.{:02}", n.abs() / 100, n.abs() % 100)
    }));
    let position = proptest::option::of((any::<f64>(), any::<f64>()).prop_map(|(lat, lon)| Position { lat, lon }));
    let registers = prop::collection::btree_map(any::<String>(), any::<i64>(), 0..4);
    let first = (any::<i64>(), any::<String>(), quality, any::<f64>(), price);
    let second =
        (prop::collection::vec(any::<String>(), 0..4), registers, position, any::<Vec<u8>>(), any::<[u8; 16]>());
    let leaf =
        (first, second).prop_map(|((time, meter_id, quality, wh, price), (tags, registers, position, raw, hash))| {
            New {
                time,
                meter_id,
                quality,
                wh,
                price,
                total: format!("{time}.125"),
                tags,
                registers,
                position,
                raw,
                hash,
                next: None,
            }
        });
    leaf.prop_recursive(5, 5, 1, |inner| {
        let outer = new();
        inner.prop_map(move |next| New { next: Some(Box::new(next)), ..outer.clone() })
    })
}

/// Nothing of a type may be read otherwise than the schema says.
fn never_panics<T: DeserializeOwned + Serialize + Clone + Send + 'static>(schema: &str, bytes: &[u8]) {
    let _ = read(&avro::<T>(schema), bytes);
    let _ = read(&avro::<T>(schema).single_object().unwrap(), bytes);
    let _ = read(&avro::<T>(schema).single_object().unwrap(), &[&bytes_of_header()[..], bytes].concat());
}

fn bytes_of_header() -> Vec<u8> {
    bytes("avro_single_object")[..10].to_vec()
}

proptest! {
    #[test]
    fn what_is_written_is_read(value in news()) {
        let format = avro::<New>(V2);
        prop_assert_eq!(one(&format, &write(&format, &value).unwrap()), value);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        never_panics::<Old>(V1, &bytes);
        never_panics::<New>(V2, &bytes);
        never_panics::<serde_json::Value>(V2, &bytes);
    }

    #[test]
    fn a_message_with_bytes_changed_is_read_or_refused(at in 0_usize..100, with in any::<u8>(), cut in 0_usize..200) {
        let mut message = bytes("avro_v2");
        let at = at % message.len();
        message[at] = with;
        message.truncate(cut);
        never_panics::<New>(V2, &message);
        let _ = read(&avro::<Old>(V1).writer_schema(V2).unwrap(), &message);
    }
}
