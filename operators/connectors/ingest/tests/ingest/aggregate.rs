//! Messages of files, and messages of one key packed together.

use std::collections::BTreeMap;

use hurtig_engine::harness::{HarnessSettings, OneInputHarness};
use hurtig_ingest::{AggregateByKey, Message, Messages, RangeOptions, RangeSource, RecordId, RowForm};

use crate::drive::{read, runtime};

fn message(key: &str, offset: u64) -> Message {
    let data = format!("{{\"meter_id\":\"{key}\",\"n\":{offset}}}").into_bytes();
    Message { key: key.into(), id: RecordId { file: 1, offset }, part: 0, messages: 1, data }
}

/// What was packed together, by key, in order.
fn unpacked(packed: &[Message]) -> BTreeMap<String, Vec<u64>> {
    let mut all = BTreeMap::<String, Vec<u64>>::new();
    for p in packed {
        let values = serde_json::Deserializer::from_slice(&p.data).into_iter::<serde_json::Value>();
        let values: Vec<_> = values.map(|v| v.expect("JSON")).collect();
        assert_eq!(values.len(), p.messages as usize);
        assert_eq!(values[0]["n"], p.id.offset, "its id is the first one's");
        for v in values {
            assert_eq!(v["meter_id"], p.key.as_str());
            all.entry(p.key.to_string()).or_default().push(v["n"].as_u64().expect("a number"));
        }
    }
    all
}

#[test]
fn every_message_comes_out_once_in_its_keys_order_within_the_limits_across_a_restore() {
    let dir = tempfile::tempdir().expect("dir");
    let options = AggregateByKey { max_bytes: 300, max_messages: 7, max_wait_ms: 1_000, max_buffered: 2_000 };
    let settings = || HarnessSettings::new(dir.path());
    let mut harness = OneInputHarness::with(options.clone(), settings()).expect("started");
    let mut out = Vec::new();
    let mut expected = BTreeMap::<String, Vec<u64>>::new();
    let key = |n: u64| format!("m-{}", (n * n + n / 3) % 23);
    for n in 0..2_000 {
        harness.push(message(&key(n), n)).expect("taken");
        expected.entry(key(n)).or_default().push(n);
        if n % 50 == 0 {
            harness.processing_time(n as i64 * 7).expect("time");
        }
        if n % 333 == 0 {
            out.extend(harness.take_values());
            let snapshot = [harness.snapshot().expect("a snapshot")];
            harness = OneInputHarness::restore(options.clone(), settings(), &snapshot).expect("restored");
        }
    }
    harness.end_of_input().expect("ended");
    out.extend(harness.take_values());
    assert_eq!(unpacked(&out), expected);
    assert!(out.iter().all(|p| p.data.len() <= 300 && p.messages <= 7));
    assert!(out.len() < 1_000, "{} records: they are packed", out.len());
}

#[test]
fn what_waits_goes_when_its_time_has_come() {
    let options = AggregateByKey { max_wait_ms: 100, ..AggregateByKey::default() };
    let mut harness = OneInputHarness::new(options).expect("started");
    harness.processing_time(1_000).expect("time");
    harness.push(message("a", 1)).expect("taken");
    harness.processing_time(1_060).expect("time");
    harness.push(message("b", 2)).expect("taken");
    harness.push(message("a", 3)).expect("taken");
    assert_eq!(harness.take_values(), []);
    harness.processing_time(1_100).expect("time");
    assert_eq!(unpacked(&harness.take_values()), BTreeMap::from([("a".into(), vec![1, 3])]));
    harness.processing_time(1_160).expect("time");
    assert_eq!(unpacked(&harness.take_values()), BTreeMap::from([("b".into(), vec![2])]));
}

fn messages_of(name: &str, text: &str, schema: Messages) -> (Vec<String>, Vec<String>, Vec<Message>) {
    let dir = tempfile::tempdir().expect("dir");
    std::fs::write(dir.path().join(name), text).expect("written");
    let location = dir.path().to_str().expect("utf8");
    let source = RangeSource::new(location).options(RangeOptions::default()).schema(schema);
    let (_, out) = read(&source, source.splits(&runtime(), 1).expect("planned"), usize::MAX);
    let values = out.values();
    let data = values.iter().map(|m| {
        let mut v: serde_json::Value = serde_json::from_slice(&m.data).expect("JSON");
        let id = v.as_object_mut().and_then(|o| o.remove("record_id")).expect("an id");
        assert_eq!(id, m.record_id());
        v.to_string()
    });
    (data.collect(), out.letters.iter().map(|l| l.reason.clone()).collect(), values)
}

#[test]
fn a_row_becomes_one_message_for_each_measure_as_in_the_talk() {
    let text = "time,arrival_time,device_id,measure_name,load,crrnt,pf,kva,kw,vltg\n\
        2023-01-02 01:15:00.000,2023-01-02 01:15:03.000,m-1,readings,7,1.5,,Null,1.20,0.22\n\
        2023-01-02 01:15:00.000,,m-2,readings,,,,,,\n\
        2023-01-02 01:15:00.000,,,readings,1,,,,,\n";
    let (data, letters, messages) = messages_of("a.csv", text, Messages::default());
    let reading = |kind: &str, value: &str| {
        serde_json::json!({"meter_id": "m-1", "reading_type": kind, "reading_value": value,
            "reading_date_time": "2023-01-02 01:15:00.000", "reading_source": "B"})
        .to_string()
    };
    assert_eq!(data, [reading("load", "7"), reading("crrnt", "1.5"), reading("kw", "1.20"), reading("vltg", "0.22")]);
    assert_eq!(letters[0], "there is no reading in the row");
    assert!(letters[1].starts_with("no column says the meter"), "{letters:?}");
    let mut ids: Vec<_> = messages.iter().map(Message::record_id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 4, "each has an id of its own");
}

#[test]
fn a_row_can_be_one_message_and_json_stays_as_it_is() {
    let rows = Messages { rows: RowForm::Row, ..Messages::default() };
    let text =
        "LCLid,DateTime,kWh,note\nMAC1,2013-01-01 00:00:00,0.250,\"say \"\"hi\"\"\"\nMAC1,2013-01-01 00:30:00,Null,\n";
    let (data, letters, _) = messages_of("a.csv", text, rows);
    assert_eq!(letters, Vec::<String>::new());
    assert_eq!(
        data[0],
        r#"{"DateTime":"2013-01-01 00:00:00","kWh":0.250,"meter_id":"MAC1","note":"say \"hi\""}"#
            .replace("0.250", "0.25")
    );
    assert_eq!(data[1], r#"{"DateTime":"2013-01-01 00:30:00","kWh":null,"meter_id":"MAC1","note":null}"#);

    let text = "{\"meter_id\":\"a\",\"kwh\":1}\n{\"kwh\":2}\nnonsense\n\n{ \"meter_id\" : \"b\" }";
    let (data, letters, messages) = messages_of("a.json", text, Messages::default());
    assert_eq!(data, [r#"{"kwh":1,"meter_id":"a"}"#, r#"{"meter_id":"b"}"#]);
    assert_eq!(letters.len(), 2);
    assert_eq!(messages.iter().map(|m| m.key.as_str()).collect::<Vec<_>>(), ["a", "b"]);
}
