//! The sink of line protocol against InfluxDB 1 and QuestDB: what was written comes back as it went in, what they refuse is
//! a dead letter with their reason, and nothing else is.

mod asking;
mod questdb;
mod reading;
mod sample;

use std::collections::BTreeMap;

use hurtig_engine::{
    record::Record,
    time::{Clock, SystemClock},
};
use hurtig_influx::{Api, InfluxSink, Point};
use hurtig_operators::connectors::testing::SinkHarness;
use hurtig_tests::servers::{InfluxDb, Server, left_out};

use self::{
    asking::Asking,
    reading::{Kind, Reading, Readings, readings, started, v1},
    sample::{Sample, Samples},
};

fn influxdb() -> Option<(InfluxDb, Asking)> {
    if left_out(&[Server::InfluxDb]) {
        return None;
    }
    let server = InfluxDb::start().expect("influxdb");
    let asking = Asking::new(server.endpoint());
    asking.ask("", "CREATE DATABASE meters");
    Some((server, asking))
}

#[test]
fn influxdb_1_gives_back_every_text_as_it_went_in() {
    let Some((server, asking)) = influxdb() else { return };
    for seed in 1..=8 {
        println!("seed {seed}");
        let database = format!("texts{seed}");
        asking.ask("", &format!("CREATE DATABASE {database}"));
        let sink = InfluxSink::v1(server.endpoint(), &database, Sample::point).gzip(seed % 2 == 0);
        let mut random = Samples::new(seed);
        let samples: Vec<_> = (0..4_000).map(|n| random.next(1_000 + n)).collect();
        let mut harness = SinkHarness::start(&sink, "1").expect("started");
        harness.write_all(samples.iter().cloned()).expect("written");
        harness.checkpoint().expect("a checkpoint");
        assert!(harness.books.balance(), "{:?}", harness.books);
        let mut came_back = asking.samples(&database);
        assert_eq!(came_back.len() as u64, harness.books.written);
        // What cannot be written was refused before it was sent, for what the alphabet has.
        for (_, _, raw, reason) in &harness.letters {
            assert!(["backslash", "comment", "no field"].iter().any(|known| reason.contains(known)), "{reason}");
            assert!(came_back.insert(serde_json::from_slice(raw).expect("a sample")), "refused and stored: {reason}");
        }
        assert!((100..2_000).contains(&harness.letters.len()), "{} are refused", harness.letters.len());
        assert_eq!(samples.iter().find(|sample| !came_back.contains(*sample)), None, "it has not come back");
        assert_eq!(came_back.len(), samples.len());
    }
}

#[test]
fn influxdb_1_keeps_types_and_nanoseconds() {
    let Some((server, asking)) = influxdb() else { return };
    let (min, max) = (-9_223_372_036_854_775_806, 9_223_372_036_854_775_806);
    let floats = [0.1, -0.0, 1e16, 1e-7, f64::MAX, f64::MIN_POSITIVE, 5e-324, 229.97];
    let times = [min, -1, 0, 1, 1_700_000_000_123_456_789, 1_700_000_000_123_456_790, max - 1, max];
    let texts = ["", "3.5", "true", "3i"];
    for (database, kind, values) in [
        ("floats", "float", floats.map(Kind::Float).to_vec()),
        ("integers", "integer", vec![Kind::Integer(i64::MIN), Kind::Integer(i64::MAX), Kind::Integer(0)]),
        ("flags", "boolean", vec![Kind::Flag(true), Kind::Flag(false)]),
        ("texts", "string", texts.map(|text| Kind::Text(text.into())).to_vec()),
    ] {
        asking.ask("", &format!("CREATE DATABASE {database}"));
        let mut harness = started(&readings(&server.endpoint(), v1(database)));
        let sent: BTreeMap<i64, Kind> = times.into_iter().zip(values).collect();
        let all = sent.iter().map(|(time, value)| Reading { meter: 1, value: value.clone(), time: *time });
        harness.write_all(all).expect("written");
        harness.checkpoint().expect("a checkpoint");
        assert_eq!(harness.books.written, sent.len() as u64, "{:?}", harness.letters);
        let stored = asking.stored(database);
        assert!(stored.keys().eq(sent.keys()), "{stored:?}");
        for ((_, stored), sent) in stored.values().zip(sent.values()) {
            let same = match sent {
                // It writes -0 as 0.
                Kind::Float(x) => stored.as_f64() == Some(*x),
                Kind::Integer(n) => stored.as_i64() == Some(*n),
                Kind::Text(text) => stored.as_str() == Some(text),
                Kind::Flag(flag) => stored.as_bool() == Some(*flag),
                Kind::Unsigned(_) => false,
            };
            assert!(same, "{sent:?} is stored as {stored}");
        }
        let keys = asking.ask(database, "SHOW FIELD KEYS");
        assert_eq!(keys["series"][0]["values"][0][1], kind, "{keys}");
    }
}

/// What InfluxDB refuses of a batch it says in a header too, whatever that holds.
#[test]
fn what_influxdb_1_cannot_read_goes_to_the_dead_letters() {
    let Some((server, asking)) = influxdb() else { return };
    let point = |(n, text): &(i64, String)| {
        let point = Point::new("readings").tag("meter", "m1").field("v", *n as f64).field("s", text.as_str());
        match n {
            3 | 7 => point.field("u", 5_u64).at_ns(*n),
            5 => point.at_ns(i64::MAX),
            _ => point.at_ns(*n),
        }
    };
    let sink = InfluxSink::v1(server.endpoint(), "meters", point);
    let mut harness = SinkHarness::start(&sink, "1").expect("started");
    let text = |n| if n == 3 { "a\u{1}\u{7f}\nb ': c".to_owned() } else { format!("{n}") };
    harness.write_all((0..10).map(|n| (n, text(n)))).expect("written");
    harness.checkpoint().expect("a checkpoint");
    assert!(harness.books.balance(), "{:?}", harness.books);
    let refused: Vec<(i64, String)> =
        harness.letters.iter().map(|letter| serde_json::from_slice(&letter.2).expect("a value")).collect();
    assert_eq!(refused.iter().map(|(n, _)| *n).collect::<Vec<_>>(), [3, 5, 7], "{:?}", harness.letters);
    for (letter, reason) in harness.letters.iter().zip(["invalid number", "time outside range", "invalid number"]) {
        assert!(letter.3.contains(reason), "{letter:?}");
    }
    assert!(asking.stored("meters").keys().copied().eq([0, 1, 2, 4, 6, 8, 9]));
}

#[test]
fn a_point_that_is_written_again_is_the_same_point() {
    let Some((server, asking)) = influxdb() else { return };
    let sink = readings(&server.endpoint(), v1("meters")).max_batch_size(50);
    let all = |value: f64| (0..1_000).map(move |n| Reading::new(n % 10, value, n as i64));
    for attempt in ["1", "2"] {
        let mut harness = SinkHarness::start(&sink, attempt).expect("started");
        // Of several in one stream the last counts, in whichever request each goes.
        for value in [1.0, 2.0, 3.0] {
            harness.write_all(all(value)).expect("written");
        }
        harness.checkpoint().expect("a checkpoint");
        assert_eq!((harness.books.read, harness.books.written), (3_000, 3_000));
        let stored = asking.stored("meters");
        assert_eq!(stored.len(), 1_000);
        assert!(stored.values().all(|(_, value)| value.as_f64() == Some(3.0)));
    }
}

#[test]
fn of_a_type_conflict_only_the_wrong_lines_are_refused() {
    let Some((server, asking)) = influxdb() else { return };
    let mut harness = started(&readings(&server.endpoint(), v1("meters")).max_batch_size(1_000));
    harness.write(Record::new(Reading::new(0, 1.0, 0))).expect("written");
    harness.checkpoint().expect("a checkpoint");
    let wrong = [1, 2, 77, 400, 401, 999, 1_000, 2_345, 2_999];
    let kinds = [Kind::Text("1".into()), Kind::Flag(true), Kind::Integer(1)];
    for n in 1..3_000 {
        let value = if wrong.contains(&n) { kinds[n as usize % 3].clone() } else { Kind::Float(n as f64) };
        harness.write(Record::new(Reading { meter: n, value, time: n as i64 })).expect("written");
    }
    harness.checkpoint().expect("a checkpoint");
    assert!(harness.books.balance(), "{:?}", harness.books);
    assert_eq!(harness.books.dead_lettered, wrong.len() as u64);
    let refused = |raw: &[u8]| serde_json::from_slice::<Reading>(raw).expect("a reading").meter;
    let mut letters: Vec<_> = harness.letters.iter().map(|letter| refused(&letter.2)).collect();
    letters.sort_unstable();
    assert_eq!(letters, wrong);
    assert!(harness.letters.iter().all(|letter| letter.3.contains("field type conflict")), "{:?}", harness.letters);
    let stored = asking.stored("meters");
    assert_eq!(stored.len(), 3_000 - wrong.len());
    assert!(stored.iter().all(|(time, (_, value))| *time == 0 || value.as_f64() == Some(*time as f64)));
}

#[test]
fn what_is_too_old_for_the_retention_policy_is_refused() {
    let Some((server, asking)) = influxdb() else { return };
    asking.ask("", "CREATE DATABASE hours WITH DURATION 2h SHARD DURATION 1h");
    let now = SystemClock.now_ms() * 1_000_000;
    let (old, new) = (|n: i64| now - 24 * 3_600_000_000_000 - n, |n: i64| now - n);
    for batch in [vec![true; 20], (0..100).map(|n| n % 9 == 4).collect(), vec![false; 20]] {
        let mut harness = started(&readings(&server.endpoint(), v1("hours")));
        let time = |(n, is_old): (usize, &bool)| if *is_old { old(n as i64) } else { new(n as i64) };
        let times: Vec<_> = batch.iter().enumerate().map(time).collect();
        harness.write_all(times.iter().map(|time| Reading::new(1, 1.0, *time))).expect("written");
        harness.checkpoint().expect("a checkpoint");
        assert!(harness.books.balance(), "{:?}", harness.books);
        assert_eq!(harness.books.dead_lettered as usize, batch.iter().filter(|is_old| **is_old).count());
        assert!(
            harness.letters.iter().all(|l| l.3.contains("points beyond retention policy")),
            "{:?}",
            harness.letters
        );
    }
    let stored = asking.stored("hours");
    // The second and the third batch have 20 times in common, of which the second's are stored but for the old ones.
    assert_eq!(stored.len(), (0..100).filter(|n| *n < 20 || n % 9 != 4).count());
}

fn fails_with(sink: &Readings, words: &[&str]) {
    let mut harness = started(sink);
    harness.write_all((0..10).map(|n| Reading::new(1, 1.0, n))).expect("written");
    let said = harness.flush().expect_err("it cannot be written").to_string();
    assert!(!said.contains('\n'), "{said}");
    for word in words {
        assert!(said.contains(word), "'{word}' is not in: {said}");
    }
}

#[test]
fn what_is_not_there_is_said_in_one_line() {
    let Some((server, _)) = influxdb() else { return };
    let url = server.endpoint();
    fails_with(&readings(&url, v1("nowhere")), &["404", "database not found", "nowhere", "create the database"]);
    let nowhere = Api::V1 { database: "meters".into(), retention_policy: Some("month".into()) };
    fails_with(&readings(&url, nowhere), &["retention policy not found: month"]);
}

#[test]
fn who_may_not_write_is_told() {
    if left_out(&[Server::InfluxDb]) {
        return;
    }
    let server = InfluxDb::start_with_users().expect("influxdb");
    let mut asking = Asking::new(server.endpoint());
    asking.ask("", "CREATE USER admin WITH PASSWORD 'of all' WITH ALL PRIVILEGES");
    asking.credentials = Some(("admin", "of all"));
    asking.ask("", "CREATE DATABASE meters");
    for (user, right) in [("writer", "WRITE"), ("reader", "READ")] {
        asking.ask("", &format!("CREATE USER {user} WITH PASSWORD 'of {user}'"));
        asking.ask("", &format!("GRANT {right} ON meters TO {user}"));
    }
    let sink = readings(&server.endpoint(), v1("meters"));
    fails_with(&sink, &["401"]);
    fails_with(&sink.clone().basic_auth("writer", "guessed"), &["401", "authorization failed", "check the"]);
    fails_with(&sink.clone().basic_auth("reader", "of reader"), &["403", "not authorized", "may write"]);
    let mut harness = started(&sink.basic_auth("writer", "of writer"));
    harness.write(Record::new(Reading::new(1, 1.0, 1))).expect("written");
    harness.checkpoint().expect("a checkpoint");
    assert_eq!((harness.books.written, asking.stored("meters").len()), (1, 1));
}

#[test]
fn a_server_that_is_killed_in_mid_stream_loses_nothing() {
    let Some((mut server, asking)) = influxdb() else { return };
    let sink = readings(&server.endpoint(), v1("meters")).max_batch_size(100).max_in_flight_requests(2);
    let mut harness = started(&sink);
    for n in 0..20_000 {
        harness.write(Record::new(Reading::new(n % 50, n as f64, n as i64))).expect("written");
        match n {
            // Some are under way when it dies, and more come while it is away than fit a request.
            5_000 | 12_000 => server.kill9(),
            8_000 | 15_000 => server.start_again().expect("again"),
            2_000 | 10_000 => harness.checkpoint().expect("a checkpoint"),
            _ => {}
        }
    }
    harness.checkpoint().expect("a checkpoint");
    assert!(harness.letters.is_empty(), "{:?}", harness.letters.first());
    assert_eq!((harness.books.read, harness.books.written), (20_000, 20_000));
    let stored = Asking::new(asking.endpoint).stored("meters");
    assert_eq!(stored.len(), 20_000);
    assert!(stored.iter().all(|(time, (_, value))| value.as_f64() == Some(*time as f64)));
}
