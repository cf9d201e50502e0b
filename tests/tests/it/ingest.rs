//! `hurtig ingest` as its users run it: killed with kill -9 again and again, each record is there once.

use std::{collections::BTreeSet, path::Path};

use aws_sdk_kinesis::{Client, types::ShardIteratorType};
use hurtig_kinesis::kpl;
use hurtig_tests::{
    kinesis_proxy::{Faults, KinesisProxy, Limits},
    program::{Said, command, run, run_well},
    servers::{CREDENTIALS, Kafka, Kinesalite, KinesisLocal, REGION, Server, aws_config, left_out},
};
use serde_json::Value;

use crate::{
    kafka::{alone, topics},
    running::Running,
    support::{directory, lines_below},
};

/// Rows of the files, with two readings each.
const ROWS: usize = 10_000;

/// A CSV file with quoted line ends, one of JSON lines, one of gzip, and a bad line in each.
fn write_files(dir: &Path) {
    std::fs::create_dir(dir).expect("dir");
    let row = |n: usize| format!("m-{},2023-01-02 01:15:00,{n},0.{n},\"a\n,b\"\r\n", n % 500);
    let csv = |from: usize| -> String {
        let rows = (from..from + ROWS).map(row);
        let all = std::iter::once("device_id,time,kw,vltg,measure_name\r\n".to_owned());
        all.chain(rows).chain(["only one field\n".to_owned()]).collect()
    };
    std::fs::write(dir.join("a.csv"), csv(0)).expect("written");
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packed, csv(ROWS).as_bytes()).expect("packed");
    std::fs::write(dir.join("b.csv.gz"), packed.finish().expect("packed")).expect("written");
    let json: String = (0..ROWS).map(|n| format!("{{\"meter_id\":\"j-{}\",\"kwh\":{n}}}\n", n % 500)).collect();
    std::fs::write(dir.join("c.json"), json + "nonsense\n").expect("written");
}

/// Readings in the files: two a row of two files, one a line of the third.
const READINGS: usize = 5 * ROWS;

fn arguments(files: &Path, data: &Path, to: &str, more: &[&str]) -> Vec<String> {
    let line = ["ingest", &files.display().to_string(), "--to", to, "--data-dir", &data.display().to_string()]
        .map(str::to_owned);
    let usual = "--json --rest-port off --checkpoint-interval 100ms --from latest --parallelism 2";
    line.into_iter().chain(usual.split(' ').map(str::to_owned)).chain(more.iter().map(|s| (*s).to_owned())).collect()
}

/// The summary is as it must be: all ranges read, and books that balance.
fn finished(said: &Said) -> Value {
    let summary = said.event("finished").expect("a summary");
    let ingest = &summary["ingest"];
    assert_eq!((&ingest["files_found"], &ingest["files_finished"]), (&3.into(), &3.into()), "{summary}");
    assert_eq!(ingest["ranges_found"], ingest["ranges_finished"], "{summary}");
    assert_eq!(summary["dead_lettered"], 3, "a bad line in each file: {summary}");
    for sink in summary["books"].as_array().expect("books") {
        let of = |name: &str| sink[name].as_u64().or_else(|| sink["books"][name].as_u64()).expect("a number");
        assert_eq!(of("read"), of("written") + of("rejected") + of("dead_lettered"), "{sink}");
    }
    summary
}

fn id_of(message: &[u8]) -> String {
    let message: Value = serde_json::from_slice(message).expect("JSON");
    message["record_id"].as_str().expect("an id").to_owned()
}

#[test]
fn files_go_into_files_exactly_once_over_kill_9() {
    let dir = directory();
    let (files, data, out) = (dir.path().join("in"), dir.path().join("data"), dir.path().join("out"));
    write_files(&files);
    let to = format!("files:{}", out.display());
    for _ in 0..3 {
        let line =
            arguments(&files, &data, &to, &["--rate", "4MB/s", "--min-range", "100KiB", "--max-range", "200KiB"]);
        let mut run = Running::start(&mut command(line).expect("hurtig"));
        run.until_said("\"checkpoint\":{");
        drop(run); // kills it
    }
    let said = run_well(arguments(&files, &data, &to, &[])).expect("it ends");
    finished(&said);
    let ids: Vec<_> = lines_below(&out).iter().map(|line| id_of(line.as_bytes())).collect();
    assert_eq!(ids.len(), READINGS);
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), READINGS, "each has an id of its own");
}

/// How the binary reaches a server.
fn aws(endpoint: &str) -> [(&'static str, &str); 4] {
    [
        ("AWS_ENDPOINT_URL", endpoint),
        ("AWS_REGION", REGION),
        ("AWS_ACCESS_KEY_ID", CREDENTIALS),
        ("AWS_SECRET_ACCESS_KEY", CREDENTIALS),
    ]
}

async fn client(endpoint: &str) -> Client {
    Client::new(&aws_config(endpoint).load().await.expect("a configuration"))
}

async fn create(client: &Client) {
    client.create_stream().stream_name("readings").shard_count(2).send().await.expect("a stream");
    loop {
        let stream = client.describe_stream_summary().stream_name("readings").send().await.expect("a description");
        if stream.stream_description_summary().expect("a summary").stream_status().as_str() == "ACTIVE" {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

/// The ids of everything in the stream, taken out of the KPL's aggregates.
async fn ids_in(client: &Client) -> Vec<String> {
    let shards = client.list_shards().stream_name("readings").send().await.expect("shards");
    let mut ids = Vec::new();
    for shard in shards.shards() {
        let start = client.get_shard_iterator().stream_name("readings").shard_id(shard.shard_id());
        let start = start.shard_iterator_type(ShardIteratorType::TrimHorizon).send().await.expect("an iterator");
        let mut next = start.shard_iterator;
        let mut empty = 0;
        while let Some(iterator) = next.filter(|_| empty < 3) {
            let got = client.get_records().shard_iterator(iterator).send().await.expect("records");
            empty = if got.records().is_empty() { empty + 1 } else { 0 };
            for record in got.records() {
                match kpl::decode(record.data().as_ref()) {
                    Some(aggregate) => ids.extend(aggregate.records.iter().map(|member| id_of(&member.data))),
                    None => ids.push(id_of(record.data().as_ref())),
                }
            }
            next = got.next_shard_iterator;
        }
    }
    ids
}

#[test]
fn files_go_into_a_stream_and_each_record_is_there_once_after_its_id() {
    if left_out(&[Server::Kinesis]) {
        return;
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let server = Kinesalite::start().expect("kinesalite");
    let client = runtime.block_on(client(&server.endpoint()));
    runtime.block_on(create(&client));
    let dir = directory();
    let (files, data) = (dir.path().join("in"), dir.path().join("data"));
    write_files(&files);
    let hurtig = || {
        let line = arguments(&files, &data, "kinesis:readings", &["--min-range", "100KiB", "--rate", "100%"]);
        let mut hurtig = command(line).expect("hurtig");
        hurtig.envs(aws(&server.endpoint()));
        hurtig
    };
    for _ in 0..3 {
        let mut run = Running::start(&mut hurtig());
        run.until_said("\"checkpoint\":{");
        drop(run); // kills it
    }
    let said = Running::start(&mut hurtig()).end();
    assert_eq!(said.code, Some(0), "{}\n{}", said.out, said.err);
    let summary = finished(&said);
    assert!(summary["pace"]["bytes_per_second"].as_f64().is_some_and(|rate| rate > 0.0), "{summary}");
    let ids = runtime.block_on(ids_in(&client));
    let once: BTreeSet<_> = ids.iter().collect();
    assert_eq!(once.len(), READINGS, "of {} in the stream", ids.len());
}

#[test]
fn files_go_into_a_topic_and_in_transactions_exactly_once_over_kill_9() {
    if left_out(&[Server::Kafka]) {
        return;
    }
    let _alone = alone();
    let kafka = Kafka::start().expect("Kafka");
    let dir = directory();
    let files = dir.path().join("in");
    write_files(&files);
    for topic in ["at-least-once", "exactly-once"] {
        kafka.create_topic(topic, 3).expect("a topic");
        let data = dir.path().join(topic);
        let mut more = vec!["--bootstrap-servers", kafka.bootstrap(), "--min-range", "100KiB", "--rate", "3MB/s"];
        if topic == "exactly-once" {
            more.push("--exactly-once");
        }
        let line = arguments(&files, &data, &format!("kafka:{topic}"), &more);
        for _ in 0..3 {
            let mut run = Running::start(&mut command(&line).expect("hurtig"));
            run.until_said("\"checkpoint\":{");
            drop(run); // kills it
        }
        finished(&run_well(&line).expect("it ends"));
        let ids: Vec<_> = topics::committed(&kafka, topic).iter().map(|m| id_of(m.as_bytes())).collect();
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), READINGS, "of {} in the topic", ids.len());
        assert!(topic == "at-least-once" || ids.len() == READINGS, "{} in transactions", ids.len());
    }
}

/// Where a job's REST is, as its data directory says.
fn rest_of(data: &Path) -> Option<String> {
    let entry: Value = serde_json::from_slice(&std::fs::read(data.join("rest.json")).ok()?).ok()?;
    entry["url"].as_str().map(str::to_owned)
}

#[test]
fn ingestion_gives_way_when_live_readers_fall_behind() {
    if left_out(&[Server::Kinesis]) {
        return;
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let server = KinesisLocal::start().expect("kinesis-local");
    // Only the reader is held up: nothing is throttled that is written.
    let slow = Limits { bytes_out: 10_000.0, bytes_per_read: 20_000, ..Limits::default() };
    let faults = Faults { limits: Some(slow), ..Faults::default() };
    let proxy = KinesisProxy::start(&server.endpoint(), 7, faults).expect("the proxy");
    runtime.block_on(async { create(&client(&server.endpoint()).await).await });
    let dir = directory();
    let (files, live, data) = (dir.path().join("in"), dir.path().join("live"), dir.path().join("data"));
    write_files(&files);

    let reader = format!(
        "run smart-meters --source kinesis:readings --start-from earliest --json --data-dir {}",
        live.display()
    );
    let mut reader = command(reader.split(' ')).expect("hurtig");
    let mut reader = Running::start(reader.envs(aws(&proxy.endpoint())));
    reader.until("its address", || rest_of(&live).is_some());
    let address = rest_of(&live).expect("an address");

    let more = ["--aggregate", "kpl", "--live", &address, "--max-live-lag", "1s", "--min-range", "100KiB"];
    let line = arguments(&files, &data, "kinesis:readings", &more);
    let mut hurtig = command(&line).expect("hurtig");
    let mut ingestion = Running::start(hurtig.envs(aws(&server.endpoint())));
    loop {
        let said: Value = serde_json::from_str(&ingestion.until_said("\"pace\"")).expect("JSON");
        assert_eq!(said["pace"]["throttled"], 0, "{said}");
        if said["pace"]["decreases"].as_u64().is_some_and(|n| n > 0) {
            assert!(said["pace"]["live_lag_ms"].as_i64().is_some_and(|lag| lag > 0), "{said}");
            assert_eq!(said["event"], "progress", "it gives way while it runs");
            break;
        }
    }
    // The reader catches up, and nothing holds ingestion back.
    proxy.update(|faults| faults.limits = None);
    let said = ingestion.end();
    assert_eq!(said.code, Some(0), "{}\n{}", said.out, said.err);
    finished(&said);
}

#[test]
fn a_row_for_the_lake_is_refused_in_one_line() {
    let dir = directory();
    let (files, data, out) = (dir.path().join("in"), dir.path().join("data"), dir.path().join("out"));
    write_files(&files);
    let said = run(arguments(&files, &data, &format!("lake:{}", out.display()), &["--rows", "row"])).expect("it ends");
    assert_ne!(said.code, Some(0), "{}", said.out);
    assert!(said.err.contains("--rows row: the lake's table has a row for each reading"), "{}", said.err);
}
