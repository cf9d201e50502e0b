//! The Timestream sink against the store's own wire: what is written, refused and written again, and a server that dies.

use std::{net::TcpListener, path::Path, process::Command, sync::Arc};

use hurtig_engine::{
    record::Record,
    time::{Clock, SystemClock},
};
use hurtig_operators::connectors::{json_files::JsonFilesSink, testing::SinkHarness};
use hurtig_store::{Queries, Store, StoreOptions};
use hurtig_tests::{program::hurtig, servers::aws_config};
use hurtig_timestream::{TimestreamRecord, TimestreamSink};

use serde_json::json;

use crate::{
    running::Running,
    store_wire::Served,
    support::{directory, lines_below},
};

const MINUTE: i64 = 60_000;

/// Meter, time, kW.
type Reading = (String, i64, f64);

fn payload(reading: &Reading) -> TimestreamRecord {
    TimestreamRecord::single("kw", reading.2, reading.1).dimension("meter", &reading.0).dimension("region", "EAST")
}

/// A minute's readings of a hundred meters for so many minutes before `now`.
fn readings(now: i64, minutes: i64) -> Vec<Reading> {
    let of_minute = |m: i64| (0..100).map(move |n| (format!("m-{n}"), now - m * MINUTE, (n + m) as f64));
    (0..minutes).flat_map(of_minute).collect()
}

/// The values of the one row that a query over a store gives.
fn row(dir: &Path, sql: &str) -> Vec<String> {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let store = Store::open_read_only(StoreOptions::new(dir, Arc::new(SystemClock))).await.expect("a store");
        let queries = Queries::new(&store, Default::default()).expect("queries");
        let batches = queries.execute(sql).await.expect("a query").collect().await.expect("rows");
        let row = json!(hurtig_timestream_sql::datum::rows(&batches[0]).expect("a row")[0]);
        let values = row["Data"].as_array().expect("values").iter();
        values.map(|value| value["ScalarValue"].as_str().expect("a value").to_owned()).collect()
    })
}

/// How many rows the table has, and the sum of their values.
fn written(dir: &Path) -> Vec<String> {
    row(dir, "SELECT count(*), sum(measure_value::double) FROM meters.readings")
}

fn all_of(readings: &[Reading]) -> Vec<String> {
    vec![readings.len().to_string(), format!("{:.1}", readings.iter().map(|reading| reading.2).sum::<f64>())]
}

#[test]
fn each_reading_is_there_once_and_what_is_refused_is_a_dead_letter_with_its_reason() {
    let dir = directory();
    let served = Served::start(dir.path(), &[]);
    let sink = TimestreamSink::new("meters", "readings", payload).aws(aws_config(&served.url)).create_if_missing(6, 30);
    let now = SystemClock.now_ms();
    let all = readings(now, 30);

    let mut first = SinkHarness::start(&sink, "1").expect("a writer");
    first.advance(now).expect("it is now");
    for reading in &all {
        first.write(Record::at(reading.clone(), reading.1)).expect("written");
    }
    let bad: [(Reading, &str); 3] = [
        (("m-old".into(), now - 31 * 24 * 60 * MINUTE, 1.0), "older"),
        (("m-fast".into(), now + 20 * MINUTE, 1.0), "ahead of now"),
        (("m-nan".into(), now, f64::NAN), "NaN"),
    ];
    for (reading, _) in &bad {
        first.write(Record::at(reading.clone(), reading.1)).expect("a dead letter");
    }
    first.checkpoint().expect("acknowledged");
    assert!(first.books.balance(), "{:?}", first.books);
    assert_eq!((first.books.written, first.letters.len()), (all.len() as u64, bad.len()), "{:?}", first.letters);
    for (_, words) in bad {
        assert!(first.letters.iter().any(|(.., reason)| reason.contains(words)), "{words}: {:?}", first.letters);
    }

    // After a restore some come again, and one with another value: the server says what is wrong with it alone.
    let mut second = SinkHarness::start(&sink, "2").expect("a writer");
    second.advance(now).expect("it is now");
    for reading in &all[..1_000] {
        second.write(Record::at(reading.clone(), reading.1)).expect("written");
    }
    let (meter, time, kw) = all[1_500].clone();
    second.write(Record::at((meter, time, kw + 1.0), time)).expect("written");
    second.checkpoint().expect("acknowledged");
    assert!(second.books.balance(), "{:?}", second.books);
    let reasons: Vec<&str> = second.letters.iter().map(|(.., reason)| reason.as_str()).collect();
    assert!(matches!(reasons[..], [one] if one.contains("A record already exists")), "{reasons:?}");

    // A correction has a higher version.
    let (meter, time, kw) = all[0].clone();
    let corrected = TimestreamSink::new("meters", "readings", payload).aws(aws_config(&served.url)).version(2);
    let mut third = SinkHarness::start(&corrected, "3").expect("a writer");
    third.advance(now).expect("it is now");
    third.write(Record::at((meter, time, kw + 0.5), time)).expect("written");
    third.checkpoint().expect("acknowledged");
    assert_eq!((third.books.written, third.letters.len()), (1, 0), "{:?}", third.letters);
    drop((first, second, third, served));

    let mut expected = all;
    expected[0].2 += 0.5;
    assert_eq!(written(dir.path()), all_of(&expected));
}

#[test]
fn what_the_table_does_not_take_for_its_age_goes_where_it_was_told_to() {
    let dir = directory();
    let (store, lake) = (dir.path().join("store"), dir.path().join("lake"));
    let served = Served::start(&store, &["--table", "meters/readings", "--memory-hours", "1"]);
    let sink = TimestreamSink::new("meters", "readings", payload).aws(aws_config(&served.url));
    let sink = sink.too_old_to(JsonFilesSink::new(&lake));
    let now = SystemClock.now_ms();
    let all = readings(now, 90);
    let mut harness = SinkHarness::start(&sink, "1").expect("a writer");
    harness.advance(now).expect("it is now");
    for reading in &all {
        harness.write(Record::at(reading.clone(), reading.1)).expect("written");
    }
    harness.checkpoint().expect("acknowledged");
    assert!(harness.books.balance(), "{:?}", harness.books);
    assert_eq!((harness.books.written, harness.letters.len()), (all.len() as u64, 0), "{:?}", harness.letters);
    drop((harness, served));

    let lines = lines_below(&lake).len();
    let rows: usize = written(&store)[0].parse().expect("a count");
    assert_eq!(lines + rows, all.len());
    // Readings of 60 minutes ago and of more; what was just young enough may be older when it comes there.
    assert!(lines >= 2_900 && rows > 0, "{lines} aside, {rows} in the table");
}

#[test]
fn a_server_that_is_killed_costs_no_reading_and_holds_the_job_back_meanwhile() {
    let dir = directory();
    let listen = {
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        free.local_addr().expect("its address").to_string()
    };
    let arguments = ["--table", "meters/readings", "--magnetic-writes"];
    let mut served = Some(Served::start_at(dir.path(), &listen, &arguments));
    let url = served.as_ref().expect("it runs").url.clone();
    let sink = TimestreamSink::new("meters", "readings", payload).aws(aws_config(&url)).max_buffered_requests(1_000);
    let now = SystemClock.now_ms();
    let all = readings(now, 100);
    let mut harness = SinkHarness::start(&sink, "1").expect("a writer");
    harness.advance(now).expect("it is now");
    for (n, reading) in all.iter().enumerate() {
        if n % 3_000 == 1_500 {
            // Dropping it is SIGKILL, wherever it is.
            served = None;
        }
        let record = || Record::at(reading.clone(), reading.1);
        if served.is_some() {
            harness.write(record()).expect("written");
            continue;
        }
        // So much is kept in memory, and no more is taken.
        if !harness.write_if_ready(record).expect("an outage ends no job") {
            served = Some(Served::start_at(dir.path(), &listen, &arguments));
            harness.write(record()).expect("written");
        }
    }
    served.get_or_insert_with(|| Served::start_at(dir.path(), &listen, &arguments));
    harness.checkpoint().expect("acknowledged");
    assert!(harness.books.balance(), "{:?}", harness.books);
    assert_eq!((harness.books.written, harness.letters.len()), (all.len() as u64, 0), "{:?}", harness.letters);
    drop((harness, served));
    assert_eq!(written(dir.path()), all_of(&all));
}

#[test]
fn a_table_that_is_not_there_is_said_in_one_line() {
    let dir = directory();
    let served = Served::start(dir.path(), &[]);
    let sink = TimestreamSink::new("meters", "readings", payload).aws(aws_config(&served.url));
    let mut harness = SinkHarness::start(&sink, "1").expect("a writer");
    let now = SystemClock.now_ms();
    harness.advance(now).expect("it is now");
    let written = harness.write(Record::at(("m-1".to_owned(), now, 1.0), now)).and_then(|()| harness.checkpoint());
    let line = written.expect_err("there is no table").to_string();
    assert!(line.contains("meters") && line.contains("create_if_missing") && !line.contains('\n'), "{line}");
}

/// The same fleet into Timestream's API and into the store of the job's own process: the same rows, the same books.
#[test]
fn the_job_writes_the_same_into_timestream_as_into_its_own_store() {
    let dir = directory();
    let (store, data) = (dir.path().join("store"), |name: &str| dir.path().join(name));
    let served = Served::start(&store, &[]);
    let run = |sink: &str, name: &str| {
        let mut command = Command::new(hurtig().expect("the binary"));
        command.args([
            "run",
            "smart-meters",
            "--meters",
            "200",
            "--bounded",
            "--rest-port",
            "off",
            "--view-port",
            "off",
        ]);
        command.args(["--sink", sink, "--data-dir"]).arg(data(name)).env("AWS_REGION", "us-east-1");
        command.env("AWS_ACCESS_KEY_ID", "any").env("AWS_SECRET_ACCESS_KEY", "any");
        command.env("AWS_ENDPOINT_URL_TIMESTREAM_WRITE", &served.url);
        let said = Running::start(&mut command).end();
        assert_eq!(said.code, Some(0), "{said:?}");
        let books = said.out.lines().find(|line| line.starts_with("books TimestreamSink")).expect("its books");
        books.to_owned()
    };
    let books = run("timestream:meters/readings", "there");
    assert!(books.contains("read=9"), "{books}");
    assert_eq!(books, run("embedded", "here"));
    drop(served);
    let sql = "SELECT count(*), sum(measure_value::double), count(DISTINCT meter_id), min(time), max(time) \
               FROM meters.readings";
    let (there, here) = (row(&store, sql), row(&data("here").join("store"), sql));
    assert!(books.contains(&format!("written={} ", there[0])), "{books}: {there:?}");
    // Sums of doubles depend on their order.
    let sum = |row: &[String]| row[1].parse::<f64>().expect("a sum");
    assert!((sum(&there) - sum(&here)).abs() < 1e-6 * sum(&here), "{there:?} {here:?}");
    assert_eq!((&there[0], &there[2..]), (&here[0], &here[2..]));
}
