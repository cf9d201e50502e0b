//! The short form of what `make soak` does on real streams.

use hurtig_tests::{
    servers::{Server, left_out},
    streams::{
        run,
        settings::{Case, Settings},
    },
};

/// Where a file is ingested, its size.
const FILE_MEGABYTES: u64 = 10;

fn holds(case: Case, servers: &[Server], readings: u64) {
    if left_out(servers) {
        return;
    }
    let settings =
        Settings { cases: vec![case], readings, file_megabytes: FILE_MEGABYTES, seed: 20_261_125, dir: None };
    run(&settings, |line| println!("{line}")).unwrap_or_else(|e| panic!("{e:#}"));
}

#[test]
fn every_reading_arrives_once_while_kinesis_is_resharded_and_restarted() {
    holds(Case::Kinesis, &[Server::Kinesis], 100_000);
}

#[test]
fn every_reading_arrives_once_while_kinesalite_is_killed() {
    holds(Case::Kinesalite, &[Server::Kinesis], 30_000);
}

#[test]
fn every_reading_arrives_once_while_kafka_grows_and_is_killed() {
    holds(Case::Kafka, &[Server::Kafka], 40_000);
}

#[test]
fn every_record_of_a_file_arrives_once_beside_live_traffic_while_ingestion_is_killed() {
    holds(Case::Ingest, &[Server::Kinesis], 0);
}

#[test]
fn autoscale_gives_a_stream_the_shards_of_a_climbing_load_and_no_throttled_record_is_lost() {
    holds(Case::Autoscale, &[Server::Kinesis], 0);
}
