//! The lane against the general parser: the same answer, or none.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::*;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Kind {
    Gas,
    Power,
    Other(i32),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Unit(i16);

/// One of everything.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Thing {
    s: String,
    i: i64,
    u: u8,
    f: f64,
    small: f32,
    b: bool,
    o: Option<i32>,
    #[serde(default)]
    missing: Option<u32>,
    v: Vec<f64>,
    m: BTreeMap<String, i32>,
    t: (i32, String),
    k: Kind,
    n: Unit,
    c: char,
    nothing: (),
}

/// The lane must read it as the general parser does, or leave it to that.
fn same<T: DeserializeOwned + PartialEq + std::fmt::Debug>(line: &str) -> bool {
    let general = sonic_rs::from_str::<T>(line).ok();
    match from_line::<T>(line) {
        Some(value) => {
            assert_eq!(Some(&value), general.as_ref(), "{line}");
            true
        }
        None => false,
    }
}

#[test]
fn the_usual_line_stays_in_the_lane() {
    #[derive(Debug, PartialEq, Deserialize)]
    struct Reading {
        meter_id: String,
        ts: i64,
        kwh: Option<f64>,
    }
    for line in [
        r#"{"meter_id":"m-0012345","ts":1700000000000,"kwh":1.234}"#,
        r#" { "meter_id" : "mäß", "kwh" : null , "ts" : -5 , "more" : [ 1, {"x":[]}, {}, true, "y", 0.5 ] } "#,
        r#"{"ts":0,"kwh":0.028999999999999998,"meter_id":""}"#,
        r#"{"ts":999999999999999999,"kwh":-0.5,"meter_id":"a control character beyond eight bytes"}"#,
    ] {
        assert!(same::<Reading>(line), "{line}");
    }
}

#[test]
fn whatever_is_odd_takes_the_detour_or_comes_to_the_same() {
    for line in [
        "",
        " ",
        "1",
        "-1",
        "-0",
        "-0.0",
        "01",
        "1.",
        ".5",
        "-",
        "+1",
        "1e3",
        "1.5e3",
        "1.5E",
        "0.1.2",
        "1_0",
        "0x1",
        "18446744073709551615",
        "18446744073709551616",
        "9223372036854775808",
        "-9223372036854775808",
        "NaN",
        "123456789012345.678",
        "0.1234567890123456789",
        "1234567890.12345678901234567890",
        "100000000000000000000.5",
        "\"a\"",
        "\"a\\n\"",
        "\"a\\u00e4\"",
        "\"a\tb\"",
        "\"a",
        "\"a\" \"b\"",
        "\"a\"x",
        "[1,2]",
        "[1,2,]",
        "[,]",
        "[1 2]",
        "[]",
        "[ ]",
        "{}",
        "{,}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{\"a\":1 \"b\":2}",
        "{\"a\":1,,\"b\":2}",
        "{a:1}",
        "{\"a\":1}}",
        "{\"a\":1",
        "null",
        "nul",
        "nulll",
        "true",
        "false",
        "tru",
        "[1]]",
        "\u{feff}1",
        "[\u{a0}1]",
        "{\"a\":1,\"a\":2}",
        "\"\u{7f}\"",
        "\"日本\"",
    ] {
        same::<serde_json::Value>(line);
        same::<f64>(line);
        same::<f32>(line);
        same::<i64>(line);
        same::<u8>(line);
        same::<u64>(line);
        same::<String>(line);
        same::<bool>(line);
        same::<Option<i32>>(line);
        same::<Vec<f64>>(line);
        same::<BTreeMap<String, i64>>(line);
        same::<()>(line);
        same::<char>(line);
        same::<Kind>(line);
        same::<(i32, i32)>(line);
    }
    let deep = format!("{}{}", "[".repeat(500), "]".repeat(500));
    assert!(from_line::<serde_json::Value>(&deep).is_none());
}

fn any_thing() -> impl Strategy<Value = Thing> {
    let text = "[a-zäß \"\\\\\n/]{0,12}";
    let one = (text, any::<i64>(), any::<u8>(), any::<f64>(), -1e6_f32..1e6, any::<bool>(), any::<Option<i32>>());
    let two = (
        proptest::collection::vec(-1e9..1e9_f64, 0..4),
        proptest::collection::btree_map("[a-z]{1,3}", any::<i32>(), 0..4),
        (any::<i32>(), text),
        prop_oneof![Just(Kind::Gas), Just(Kind::Power), any::<i32>().prop_map(Kind::Other)],
        any::<i16>(),
        any::<char>(),
    );
    (one, two).prop_map(|((s, i, u, f, small, b, o), (v, m, t, k, n, c))| Thing {
        s,
        i,
        u,
        f,
        small,
        b,
        o,
        missing: None,
        v,
        m,
        t,
        k,
        n: Unit(n),
        c,
        nothing: (),
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_value_comes_to_the_same(thing in any_thing(), pretty in any::<bool>()) {
        let json = if pretty { serde_json::to_string_pretty(&thing) } else { serde_json::to_string(&thing) };
        let json = json.expect("JSON");
        same::<Thing>(&json);
        same::<serde_json::Value>(&json);
    }

    /// A line with a byte changed, lost or doubled.
    #[test]
    fn any_damage_comes_to_the_same(thing in any_thing(), at in any::<prop::sample::Index>(), how in 0..3, by in any::<u8>()) {
        let mut bytes = serde_json::to_vec(&thing).expect("JSON");
        let at = at.index(bytes.len());
        match how {
            0 => bytes[at] = by % 128,
            1 => drop(bytes.remove(at)),
            _ => bytes.insert(at, b"{}[],:\"0.-e \\tn"[by as usize % 15]),
        }
        if let Ok(line) = String::from_utf8(bytes) {
            same::<Thing>(&line);
            same::<serde_json::Value>(&line);
        }
    }

    #[test]
    fn any_number_comes_to_the_same(text in "-?[0-9]{1,21}(\\.[0-9]{1,20})?") {
        same::<f64>(&text);
        same::<i64>(&text);
        same::<u64>(&text);
    }
}
