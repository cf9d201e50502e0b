//! Protobuf: Google's bytes, evolution, what is broken, round trips.

use std::{collections::BTreeMap, path::Path};

use hurtig_formats::{ProstFormat, ProtobufFormat, ProtobufSchema};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::{
    one, read,
    vectors::{PROTO, bytes},
    write,
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Reading {
    meter: String,
    /// A `Timestamp` in milliseconds.
    time: Option<i64>,
    wh: f64,
    quality: Quality,
    tags: Vec<String>,
    registers: BTreeMap<String, i64>,
    position: Option<Position>,
    raw: Vec<u8>,
    count: i64,
    total: u64,
    took: Option<i64>,
    kwh: Option<f64>,
    numbers: Vec<i32>,
    small: i32,
    flag: bool,
    phase: Option<u8>,
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

fn reading() -> Reading {
    Reading {
        meter: "m-7".into(),
        time: Some(1_704_164_645_678),
        wh: -0.25,
        quality: Quality::Estimated,
        tags: vec!["a".into(), "".into(), "ü€😀".into()],
        registers: BTreeMap::from([("T1".into(), 1)]),
        position: Some(Position { lat: 51.5, lon: -0.125 }),
        raw: vec![0, 255],
        count: -3,
        total: 1 << 63,
        took: Some(-1_500),
        kwh: Some(1.5),
        numbers: vec![1, -1, i32::MAX],
        small: -5,
        flag: true,
        phase: Some(0),
    }
}

fn schema(name: &str) -> ProtobufSchema {
    ProtobufSchema::parse(PROTO, name).unwrap()
}

fn protobuf<T>() -> ProtobufFormat<T> {
    ProtobufFormat::new(schema("grid.Reading"))
}

#[test]
fn reads_and_writes_what_google_writes() {
    assert_eq!(one(&protobuf::<Reading>(), &bytes("protobuf_reading")), reading());
    assert_eq!(write(&protobuf(), &reading()).unwrap(), bytes("protobuf_reading"));
    let set = ProtobufSchema::from_descriptor_set(&bytes("protobuf_descriptor_set"), "grid.Reading").unwrap();
    assert_eq!(one(&ProtobufFormat::<Reading>::new(set), &bytes("protobuf_reading")), reading());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/grid.proto");
    let file = ProtobufSchema::from_file(&path, &[], "grid.Reading").unwrap();
    assert_eq!(one(&ProtobufFormat::<Reading>::new(file), &bytes("protobuf_reading")), reading());
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Inner {
        name: String,
    }
    let inner = ProtobufFormat::<Inner>::new(schema("grid.Outer.Inner"));
    assert_eq!(one(&inner, &bytes("protobuf_inner")), Inner { name: "in".into() });
}

#[test]
fn what_is_not_there_is_its_default_or_none() {
    let empty = one(&protobuf::<Reading>(), b"");
    let wanted = Reading {
        meter: String::new(),
        time: None,
        wh: 0.0,
        quality: Quality::Unknown,
        tags: vec![],
        registers: BTreeMap::new(),
        position: None,
        raw: vec![],
        count: 0,
        total: 0,
        took: None,
        kwh: None,
        numbers: vec![],
        small: 0,
        flag: false,
        phase: None,
    };
    assert_eq!(empty, wanted);
    assert_eq!(write(&protobuf(), &wanted).unwrap(), b"");
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Plain {
        phase: i32,
        quality: i32,
    }
    assert_eq!(one(&protobuf::<Plain>(), b""), Plain { phase: 0, quality: 0 });
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Needs {
        position: Position,
    }
    assert!(read(&protobuf::<Needs>(), b"").unwrap_err().contains("missing field `position`"));
}

#[test]
fn fields_that_are_new_or_gone_are_no_matter() {
    let older = r#"syntax = "proto3"; package grid; message Reading { string meter_id = 1; double wh = 3; }"#;
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Older {
        meter_id: String,
        wh: f64,
    }
    let older = ProtobufFormat::<Older>::new(ProtobufSchema::parse(older, "grid.Reading").unwrap());
    let found = one(&older, &bytes("protobuf_reading"));
    assert_eq!(found, Older { meter_id: "m-7".into(), wh: -0.25 });
    assert_eq!(one(&protobuf::<Reading>(), &write(&older, &found).unwrap()).meter, "m-7");
}

#[test]
fn what_is_broken_is_said_with_its_place() {
    let reason = |message: &[u8]| read(&protobuf::<Reading>(), message).unwrap_err();
    let whole = bytes("protobuf_reading");
    let cuts = (0..whole.len()).filter(|end| read(&protobuf::<Reading>(), &whole[..*end]).is_err()).count();
    assert!(cuts > 100, "a message that is cut inside a field is refused: {cuts} of {}", whole.len());
    assert!(reason(b"\x0a\x05a").starts_with("not a message grid.Reading: "), "{}", reason(b"\x0a\x05a"));
    assert!(reason(b"\x0a\x01\xff").contains("UTF-8"), "{}", reason(b"\x0a\x01\xff"));
    assert!(reason(b"\x0d\x00\x00\x00\x00").contains("wire type"), "{}", reason(b"\x0d\x00\x00\x00\x00"));
    // An enum's number that the schema does not know.
    assert_eq!(reason(b"\x20\x07"), "the message grid.Reading: field 'quality': the enum has no value 7");
    #[derive(Clone, Debug, Serialize, Deserialize)]
    struct Wrong {
        tags: Vec<i32>,
    }
    let reason = read(&protobuf::<Wrong>(), &bytes("protobuf_reading")).unwrap_err();
    assert_eq!(reason, "the message grid.Reading: field 'tags[0]': invalid type: string \"a\", expected i32");
}

#[test]
fn what_does_not_fit_the_schema_is_not_written() {
    #[derive(Clone, Serialize, Deserialize)]
    struct Extra {
        meter: String,
        unit: String,
    }
    let extra = Extra { meter: "m".into(), unit: "kWh".into() };
    let reason = write(&protobuf(), &extra).unwrap_err();
    assert_eq!(reason, "the record cannot be written as grid.Reading: the message grid.Reading has no field 'unit'");
    let reason = write(&protobuf(), &BTreeMap::from([("small", 1_i64 << 40)])).unwrap_err();
    assert!(reason.contains("field 'small'") || reason.contains("range"), "{reason}");
    let reason = write(&protobuf(), &BTreeMap::from([("quality", "MEDIUM")])).unwrap_err();
    assert!(reason.contains("the enum grid.Quality has no value 'MEDIUM'"), "{reason}");
}

#[test]
fn a_schema_that_cannot_be_used_says_so_in_one_line() {
    for (proto, name, wanted) in [
        ("syntax = \"proto3\"; message A { strng a = 1; }", "A", "strng"),
        ("syntax = \"proto3\"; message A {", "A", "expected"),
        ("syntax = \"proto3\"; import \"nowhere.proto\"; message A {}", "A", "nowhere.proto"),
        ("syntax = \"proto3\"; message A {} message B {}", "C", "its messages are A, B"),
    ] {
        let reason = ProtobufSchema::parse(proto, name).err().unwrap().to_string();
        assert!(reason.contains(wanted) && !reason.contains('\n'), "{reason}");
    }
    assert!(ProtobufSchema::from_descriptor_set(b"\xff", "A").is_err());
    assert!(ProtobufSchema::from_file("/nowhere/a.proto", &[], "A").is_err());
}

/// What prost generates for a part of `grid.Reading`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
struct Typed {
    #[prost(string, tag = "1")]
    meter: String,
    #[prost(double, tag = "3")]
    wh: f64,
    #[prost(sint64, tag = "9")]
    count: i64,
}

#[test]
fn generated_types_read_and_write_the_same_bytes() {
    let typed = ProstFormat::<Typed>::new();
    let found = one(&typed, &bytes("protobuf_reading"));
    assert_eq!(found, Typed { meter: "m-7".into(), wh: -0.25, count: -3 });
    assert_eq!(one(&protobuf::<Reading>(), &write(&typed, &found).unwrap()).count, -3);
    assert!(read(&typed, b"\x0a\x05a").is_err());
}

fn readings() -> impl Strategy<Value = Reading> {
    let quality = prop_oneof![Just(Quality::Unknown), Just(Quality::Good), Just(Quality::Estimated)];
    let position = proptest::option::of((any::<f64>(), any::<f64>()).prop_map(|(lat, lon)| Position { lat, lon }));
    let millis = || proptest::option::of(-9_000_000_000_000_i64..9_000_000_000_000);
    let first = (any::<String>(), millis(), any::<f64>(), quality, prop::collection::vec(any::<String>(), 0..4));
    let second = (prop::collection::btree_map(any::<String>(), any::<i64>(), 0..4), position, any::<Vec<u8>>());
    let third = (any::<i64>(), any::<u64>(), millis(), proptest::option::of(any::<f64>()));
    let fourth = (any::<Vec<i32>>(), any::<i32>(), any::<bool>(), proptest::option::of(any::<u8>()));
    (first, second, third, fourth).prop_map(|(a, b, c, d)| Reading {
        meter: a.0,
        time: a.1,
        wh: a.2,
        quality: a.3,
        tags: a.4,
        registers: b.0,
        position: b.1,
        raw: b.2,
        count: c.0,
        total: c.1,
        took: c.2,
        kwh: c.3,
        numbers: d.0,
        small: d.1,
        flag: d.2,
        phase: d.3,
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read(value in readings()) {
        let format = protobuf::<Reading>();
        prop_assert_eq!(one(&format, &write(&format, &value).unwrap()), value);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&protobuf::<Reading>(), &bytes);
        let _ = read(&protobuf::<serde_json::Value>(), &bytes);
        let _ = read(&ProstFormat::<Typed>::new(), &bytes);
    }

    #[test]
    fn a_message_with_bytes_changed_is_read_or_refused(at in 0_usize..200, with in any::<u8>(), cut in 0_usize..300) {
        let mut message = bytes("protobuf_reading");
        let at = at % message.len();
        message[at] = with;
        message.truncate(cut);
        let _ = read(&protobuf::<Reading>(), &message);
    }
}
