//! Partition keys by jq: the same without jq, and what a record may do to them.

use hurtig_firehose::{METADATA_EXTRACTION_FAILED, Query};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn ask(program: &str, keys: &[&str], record: &[u8]) -> Result<Vec<String>, String> {
    let keys: Vec<String> = keys.iter().map(|k| (*k).to_owned()).collect();
    let mut query = Query::new(program, &keys).expect(program);
    let mut values = Vec::new();
    let found = query.keys(record, &mut values).map(|()| values.clone());
    let by_jq = query.always_by_jq().keys(record, &mut values).map(|()| values.clone());
    assert_eq!(found.as_ref().ok(), by_jq.as_ref().ok(), "{program} of {}", String::from_utf8_lossy(record));
    found.map_err(|problem| {
        assert_eq!(problem.code, METADATA_EXTRACTION_FAILED);
        assert!(!problem.message.contains('\n'), "{}", problem.message);
        problem.message
    })
}

#[test]
fn programs_and_their_keys() {
    let record = r#"{"t":"2023-01-02 01:15","n":7,"f":1.50,"big":123456789012345678901234567890,"e":1e3,"z":-0,"b":true,
        "u":"Zürich","esc":"a\u0062\"c","in":{"a":{"b":"deep"}},"epoch":1720184399}"#;
    for (program, expected) in [
        ("{k:.t[:4]}", "2023"),
        ("{k:.t[5:7]}", "01"),
        ("{ k : .t [ 11 : 13 ] }", "01"),
        ("{k:.t[11:]}", "01:15"),
        ("{k:.t[-5:]}", "01:15"),
        ("{k:.t[11:99]}", "01:15"),
        ("{k:.u[1:2]}", "ü"),
        ("{k:.esc}", "ab\"c"),
        ("{k:.in.a.b}", "deep"),
        ("{k:.n}", "7"),
        ("{k:.f}", "1.50"),
        ("{k:.e}", "1e3"),
        ("{k:.z}", "0"),
        ("{k:.big}", "123456789012345678901234567890"),
        ("{k:.b}", "true"),
        ("{k:(.n + 1)}", "8"),
        ("{\"k\":.t[:4]}", "2023"),
        ("{k:.epoch|strftime(\"%Y-%m-%d-%H\")}", "2024-07-05-12"),
        ("{k:(.t | split(\" \") | .[0])}", "2023-01-02"),
        ("{k:(.missing // \"none\")}", "none"),
        ("{k:.t|ascii_upcase|test(\"01:15$\")|tostring}", "true"),
        ("{k:.t[:4], other:.u}", "2023"),
        (". as $r | {k:$r.n}", "7"),
    ] {
        assert_eq!(ask(program, &["k"], record.as_bytes()), Ok(vec![expected.to_owned()]), "{program}");
    }
    let both = ask("{year:.t[:4],month:.t[5:7]}", &["month", "year"], record.as_bytes());
    assert_eq!(both, Ok(vec!["01".into(), "2023".into()]), "in the prefix's order");
    let twice = ask("{k:.n}", &["k"], br#"{"n":1,"n":2}"#);
    assert_eq!(twice, Ok(vec!["2".into()]), "the last one counts");
    let again = ask("{k:.a.b}", &["k"], br#"{"a":{"b":1},"a":{"c":1}}"#);
    assert!(again.is_err(), "{again:?}");
}

#[test]
fn records_without_keys_say_why() {
    for (program, record, words) in [
        ("{k:.k}", "", "not JSON"),
        ("{k:.k}", "plain text", "not JSON"),
        ("{k:.k}", r#"{"k":1} {"k":2}"#, "not JSON"),
        ("{k:.k}", r#"{"k":"a""#, "not JSON"),
        ("{k:.k|.}", "{\"k\":NaN}", "not JSON"),
        ("{k:.k|.}", "{\"k\":1} # a comment", "not JSON"),
        ("{k:.k}", "{}", "'k' is missing, null or empty"),
        ("{k:.k}", r#"{"k":null}"#, "missing, null or empty"),
        ("{k:.k}", r#"{"k":""}"#, "missing, null or empty"),
        ("{k:.k[5:7]}", r#"{"k":"abc"}"#, "missing, null or empty"),
        ("{k:.k|.}", r#"{"k":[1]}"#, "neither text nor a number"),
        ("{k:.k|.}", r#"{"k":{}}"#, "neither text nor a number"),
        ("{k:.k}", r#"{"k":"a\nb"}"#, "control character"),
        ("{k:.k[]}", r#"{"k":[]}"#, "gives nothing"),
        ("{k:.k[]}", r#"{"k":[1,2]}"#, "more than one result"),
        (".k", r#"{"k":"a"}"#, "not an object of keys"),
        ("{k:error(\"no\")}", "{}", "the query fails: \"no\""),
        ("{k:(.k|tonumber)}", r#"{"k":"a"}"#, "the query fails"),
        ("{k:.k.a|.}", r#"{"k":"a"}"#, "the query fails: cannot index"),
    ] {
        let e = ask(program, &["k"], record.as_bytes()).expect_err(program);
        assert!(e.contains(words), "{program} of {record}: {e}");
    }
    // Also of what is not UTF-8.
    assert!(ask("{k:.k}", &["k"], b"{\"k\":\"\xff\"}").is_err());
}

/// Values that may be keys, and others.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-1e6..1e6).prop_map(Value::from),
        "[ -~äß€\u{1f600}\\\\\"\\n]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[abc]", inner, 0..4).prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}

fn path() -> impl Strategy<Value = String> {
    let fields =
        prop::collection::vec("[abc]", 1..4).prop_map(|f| f.iter().map(|f| format!(".{f}")).collect::<String>());
    let piece = prop_oneof![
        Just(String::new()),
        (0..6_usize).prop_map(|n| format!("[:{n}]")),
        (0..6_usize).prop_map(|n| format!("[{n}:]")),
        (0..6_usize, 0..6_usize).prop_map(|(a, b)| format!("[{a}:{b}]")),
    ];
    (fields, piece).prop_map(|(fields, piece)| fields + &piece)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// The short way and jq find the same keys, or none.
    #[test]
    fn the_short_way_is_as_long_as_jqs(
        object in prop::collection::btree_map("[abc]", value(), 0..4),
        paths in prop::collection::vec(path(), 1..4),
    ) {
        let record = Value::Object(object.into_iter().collect::<Map<_, _>>()).to_string();
        let names: Vec<String> = (0..paths.len()).map(|i| format!("k{i}")).collect();
        let entries: Vec<String> = names.iter().zip(&paths).map(|(name, path)| format!("{name}:{path}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        // `ask` compares.
        let _ = ask(&format!("{{{}}}", entries.join(",")), &names, record.as_bytes());
    }
}

/// What a record costs, by either way. Run with
/// `cargo test --release --workspace --all-features --test firehose -- --ignored --nocapture what_a_record_costs`.
#[test]
#[ignore = "a measurement"]
#[allow(clippy::disallowed_methods, reason = "it measures")]
fn what_a_record_costs() {
    let record = json!({
        "meter_id": "6fa459ea-ee8a-3ca4-894e-db77e160355e", "reading_type": "kw", "reading_value": "1.2",
        "reading_date_time": "2023-01-02 01:15:00.000", "reading_source": "B",
    });
    let record = record.to_string().into_bytes();
    let program = "{year:.reading_date_time[:4],month:.reading_date_time[5:7],day:.reading_date_time[8:10],\
                   hour:.reading_date_time[11:13]}";
    let keys = ["year", "month", "day", "hour"].map(str::to_owned);
    let mut values = Vec::new();
    for (name, mut query) in [
        ("the short way", Query::new(program, &keys).expect("it")),
        ("jq", Query::new(program, &keys).expect("it").always_by_jq()),
    ] {
        let started = std::time::Instant::now();
        for _ in 0..1_000_000 {
            query.keys(std::hint::black_box(&record), &mut values).expect("keys");
        }
        println!("{name}: {} ns a record of {} bytes", started.elapsed().as_nanos() / 1_000_000, record.len());
    }
}
