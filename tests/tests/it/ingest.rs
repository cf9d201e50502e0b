//! `hurtig ingest` as its users run it: killed with kill -9 again and again, each record is there once.

use std::collections::BTreeSet;

use aws_sdk_kinesis::{Client, types::ShardIteratorType};
use hurtig_kinesis::kpl;
use hurtig_tests::{
    program::{Said, command, run_well},
    servers::{Kinesalite, Server, aws_config, left_out},
};
use serde_json::Value;

use crate::{
    running::Running,
    support::{directory, lines_below},
};

/// Rows of the files, with two readings each.
const ROWS: usize = 10_000;

/// A CSV file with quoted line ends, one of JSON lines, one of gzip, and a bad line in each.
fn write_files(dir: &std::path::Path) {
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

fn arguments(files: &std::path::Path, data: &std::path::Path, to: &str, more: &[&str]) -> Vec<String> {
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
        hurtig
            .env("AWS_ENDPOINT_URL", server.endpoint())
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test");
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
