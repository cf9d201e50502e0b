//! QuestDB, by both interfaces of InfluxDB's that it speaks.

use hurtig_engine::record::Record;
use hurtig_influx::{Api, Escaping, InfluxSink, Point};
use hurtig_operators::connectors::testing::SinkHarness;
use hurtig_tests::servers::{QuestDb, Server, left_out};
use rand::{SeedableRng, rngs::SmallRng};

use super::{
    asking::Asking,
    reading::{Kind, Reading, readings, started, v1},
    sample::{NAMES, STRINGS, text},
};

fn questdb() -> Option<(QuestDb, Asking)> {
    if left_out(&[Server::QuestDb]) {
        return None;
    }
    let server = QuestDb::start().expect("questdb");
    let asking = Asking::new(server.endpoint());
    Some((server, asking))
}

fn questdb_apis() -> [Api; 2] {
    [v1("any"), Api::V2 { org: "any".into(), bucket: "any".into() }]
}

#[test]
fn questdb_gives_back_every_text_as_it_went_in() {
    let Some((server, asking)) = questdb() else { return };
    for (seed, api) in (1..).zip(questdb_apis()) {
        let table = format!("texts{seed}");
        let point = {
            let table = table.clone();
            move |(tag, text, time): &(String, String, i64)| {
                Point::new(&table).tag("t", tag).field("s", text.as_str()).at_ns(*time * 1_000)
            }
        };
        let sink = InfluxSink::new(server.endpoint(), api, point).escaping(Escaping::QuestDb).gzip(seed == 1);
        let mut rng = SmallRng::seed_from_u64(seed);
        let sent: Vec<_> =
            (0..2_000).map(|n| (format!("{}.", text(&mut rng, NAMES, 1)), text(&mut rng, STRINGS, 0), n)).collect();
        let mut harness = SinkHarness::start(&sink, "1").expect("started");
        harness.write_all(sent.iter().cloned()).expect("written");
        harness.checkpoint().expect("a checkpoint");
        assert_eq!(harness.books.written, 2_000, "{:?}", harness.letters.first());
        let stored = asking.sql(&format!("select t, s, cast(timestamp as long) from {table} order by timestamp"));
        let stored = stored.iter().map(|row| {
            let text = |at: usize| row[at].as_str().unwrap_or_default().to_owned();
            (text(0), text(1), row[2].as_i64().expect("a time"))
        });
        let differing = stored.zip(&sent).find(|(stored, sent)| stored != *sent);
        assert_eq!(differing, None);
    }
}

/// It takes a request as a whole or not at all, and names the first wrong line: what is sent again must not be twice.
#[test]
fn of_questdb_s_cast_errors_only_the_wrong_lines_are_refused() {
    let Some((server, asking)) = questdb() else { return };
    let mut meter = 0;
    for api in questdb_apis() {
        let mut harness = started(&readings(&server.endpoint(), api).escaping(Escaping::QuestDb).max_batch_size(200));
        harness.write(Record::new(Reading::new(meter, 1.0, 1_000))).expect("written");
        harness.checkpoint().expect("a checkpoint");
        let wrong = |n: u64| [3, 4, 250, 999].contains(&n);
        for n in 0..1_000 {
            meter += 1;
            let value = if wrong(n) { Kind::Text("high".into()) } else { Kind::Float(n as f64) };
            let time = n as i64 * 1_000;
            harness.write(Record::new(Reading { meter, value, time })).expect("written");
        }
        harness.checkpoint().expect("a checkpoint");
        assert!(harness.books.balance(), "{:?}", harness.books);
        assert_eq!((harness.books.written, harness.books.dead_lettered), (997, 4));
        assert!(harness.letters.iter().all(|letter| letter.3.contains("cast error")), "{:?}", harness.letters);
        meter += 1;
    }
    assert_eq!(asking.sql("select count(), count_distinct(meter) from readings"), [serde_json::json!([1_994, 1_994])]);
}

#[test]
fn questdb_deduplicates_where_the_table_says_so() {
    let Some((server, asking)) = questdb() else { return };
    let table = "create table readings (meter symbol, v double, timestamp timestamp) timestamp(timestamp) \
                 partition by day wal dedup upsert keys(timestamp, meter)";
    asking.get("/exec", &[("query", table)], false);
    for attempt in ["1", "2"] {
        let sink = readings(&server.endpoint(), v1("any")).escaping(Escaping::QuestDb);
        let mut harness = SinkHarness::start(&sink, attempt).expect("started");
        harness.write_all((0..500).map(|n| Reading::new(n, 1.0, 1_000_000))).expect("written");
        harness.checkpoint().expect("a checkpoint");
    }
    assert_eq!(asking.sql("select count() from readings"), [serde_json::json!([500])]);
}
