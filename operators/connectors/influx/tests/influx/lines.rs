//! Lines, and what the parser of InfluxDB 3 reads in them.

use std::collections::{BTreeMap, HashMap};

use hurtig_influx::{Escaping, FieldValue, Point, line::encode};
use influxdb_line_protocol::{FieldValue as Parsed, ParsedLine, parse_lines};
use proptest::{collection, prelude::*};

fn line(point: &Point, escaping: Escaping) -> Result<String, String> {
    let mut out = Vec::new();
    encode(point, escaping, &mut out).map(|_| String::from_utf8(out).expect("UTF-8"))
}

#[test]
fn a_line_is_escaped_as_its_server_reads_it() {
    let point = Point::new("a b,c").tag("t=1", r"C:\x y").tag("a", "").field("f 1", r#"say "hi" \"#).at_ns(-5);
    assert_eq!(line(&point, Escaping::V1).expect("a line"), r#"a\ b\,c,t\=1=C:\x\ y f\ 1="say \"hi\" \\" -5"#);
    assert_eq!(line(&point, Escaping::V3).expect("a line"), r#"a\ b\,c,t\=1=C:\\x\ y f\ 1="say \"hi\" \\" -5"#);
    let good = || Point::new("m").tag("b", "2").tag("a", "1").field("i", -3_i64).field("u", 3_u64).at_ms(1);
    assert_eq!(line(&good(), Escaping::V1).expect("a line"), "m,a=1,b=2 i=-3i,u=3u 1000000");
    for (point, words) in [
        (good().field("x", f64::NAN), "finite"),
        (good().field("time", 1.0), "time"),
        (good().field("i", 1.0), "twice"),
        (good().field("a", 1.0), "a tag and a field"),
        (good().tag("t", "a\nb"), "line break"),
        (good().tag("t", "a\\"), "backslash"),
        (Point::new("m").at_ms(1), "no field"),
        (Point::new("#m").field("x", 1.0).at_ms(1), "comment"),
        (Point::new("m").field("x", 1.0), "no time"),
    ] {
        let said = line(&point, Escaping::V3).expect_err(words);
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn what_influxdb_1_cannot_be_told_is_refused() {
    let point = || Point::new("m").tag("t", "1").field("f", 1.0).at_ns(1);
    for (point, can) in [
        (Point { measurement: r#"a\"b"#.into(), ..point() }, false),
        (Point { measurement: r"a\=b".into(), ..point() }, false),
        (Point { measurement: r"a\\ b".into(), ..point() }, false),
        (Point { measurement: r"a\b c=,".into(), ..point() }, true),
        (point().tag("x", r"a\ b"), false),
        (point().tag(r"a\ b", "x"), false),
        (point().tag("x", r"a\\ b\,\="), true),
        (point().field(r"a\,b", 1.0), false),
        (point().field(r"a\=b", 1.0), false),
        (point().field(r"a\\\ b", 1.0), false),
        (point().field(r"a\\,b", 1.0), true),
    ] {
        assert_eq!(line(&point, Escaping::V1).is_ok(), can, "{point:?}");
        line(&point, Escaping::V3).expect("InfluxDB 3 can be told everything");
    }
    let quoted = line(&Point::new("m").field(r#"a\"b"c"#, 1.0).at_ns(1), Escaping::V1);
    assert_eq!(quoted.expect("a line"), r#"m a\\"b"c=1.0 1"#);
}

#[test]
fn questdb_takes_line_breaks_in_strings_behind_a_backslash() {
    let point = Point::new("m").tag("t", r"a\b").field("s", "a\nb").at_ns(1);
    assert_eq!(line(&point, Escaping::QuestDb).expect("a line"), "m,t=a\\\\b s=\"a\\\nb\" 1");
    assert_eq!(line(&point, Escaping::V3).expect("a line"), "m,t=a\\\\b s=\"a\nb\" 1");
}

/// A name: no end that is a backslash, no control characters.
fn name() -> impl Strategy<Value = String> {
    let chars = prop::sample::select(vec!['a', 'b', '\\', '\\', ',', '=', ' ', '"', '\'', '#', '/', 'é', '😀']);
    let text = collection::vec(chars, 1..7).prop_map(|chars| chars.into_iter().collect::<String>());
    text.prop_filter("no name", |text| !text.ends_with('\\') && !text.starts_with('#'))
}

fn value() -> impl Strategy<Value = FieldValue> {
    prop_oneof![
        any::<f64>().prop_filter("finite", |x| x.is_finite()).prop_map(FieldValue::Float),
        any::<i64>().prop_map(FieldValue::Integer),
        any::<u64>().prop_map(FieldValue::UInteger),
        any::<bool>().prop_map(FieldValue::Boolean),
        "[a\\\\\", =\n\r\té😀#]{0,8}".prop_map(FieldValue::String),
    ]
}

fn point() -> impl Strategy<Value = Point> {
    let tags = collection::btree_map(name(), name(), 0..4);
    let fields = collection::btree_map(name(), value(), 1..5);
    (name(), tags, fields, any::<i64>()).prop_filter_map("a tag is a field", |(measurement, tags, fields, time)| {
        let apart = fields.keys().all(|field| !tags.contains_key(field));
        apart.then(|| Point {
            measurement,
            tags: tags.into_iter().collect(),
            fields: fields.into_iter().collect(),
            time_ns: Some(time),
        })
    })
}

fn same(parsed: &ParsedLine<'_>, point: &Point) -> bool {
    let none = Default::default();
    let tags = parsed.series.tag_set.as_ref().unwrap_or(&none);
    let tags: BTreeMap<&str, &str> = tags.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let sent: BTreeMap<&str, &str> = point.tags.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let fields: HashMap<&str, &FieldValue> = point.fields.iter().map(|(name, value)| (name.as_str(), value)).collect();
    parsed.series.measurement.as_str() == point.measurement
        && tags == sent
        && parsed.timestamp == point.time_ns
        && parsed.field_set.len() == fields.len()
        && parsed.field_set.iter().all(|(name, value)| match (value, fields.get(name.as_str())) {
            (Parsed::F64(x), Some(FieldValue::Float(y))) => x.to_bits() == y.to_bits(),
            (Parsed::I64(x), Some(FieldValue::Integer(y))) => x == y,
            (Parsed::U64(x), Some(FieldValue::UInteger(y))) => x == y,
            (Parsed::Boolean(x), Some(FieldValue::Boolean(y))) => x == y,
            (Parsed::String(x), Some(FieldValue::String(y))) => x.as_str() == y,
            _ => false,
        })
}

proptest! {
    #[test]
    fn influxdb_3_reads_what_was_meant(points in collection::vec(point(), 1..20)) {
        let mut body = Vec::new();
        for point in &points {
            encode(point, Escaping::V3, &mut body).map_err(TestCaseError::fail)?;
            body.push(b'\n');
        }
        let body = String::from_utf8(body).expect("UTF-8");
        let parsed: Vec<_> = parse_lines(&body).collect();
        prop_assert_eq!(parsed.len(), points.len(), "{}", body);
        for (parsed, point) in parsed.iter().zip(&points) {
            let parsed = parsed.as_ref().map_err(|e| TestCaseError::fail(format!("{e}: {body}")))?;
            prop_assert!(same(parsed, point), "{:?} is read as {:?}", point, parsed);
        }
    }
}
