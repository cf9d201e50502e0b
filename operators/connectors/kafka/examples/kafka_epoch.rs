//! What a large epoch costs: `kafka_epoch SERVERS [MB]`.
//!
//! A job writes so much that does not compress into one epoch of an exactly-once sink, with one writer, and its last
//! checkpoint publishes all of it. Prints how long that took, how large its manifest is, and the peak of the process's
//! memory. The topic `hurtig-rates` has to be there.

use std::path::Path;

use hurtig_engine::{
    runner::{CheckpointSettings, JobConfig, LocalRunner, RestartStrategy},
    watermark::WatermarkStrategy,
};
use hurtig_kafka::{DeliveryGuarantee, KafkaSink, TopicSerializer};
use hurtig_operators::{
    connectors::generator::{FleetEvent, GeneratorConfig, GeneratorSource},
    schema::RawFormat,
    stream::Environment,
};

/// A record's bytes.
const RECORD: usize = 1000;

type Failed = Box<dyn std::error::Error>;

fn main() -> Result<(), Failed> {
    let mut args = std::env::args().skip(1);
    let servers = args.next().ok_or("usage: kafka_epoch SERVERS [MB]")?;
    let megabytes = args.next().map_or(Ok(64), |n| n.parse::<u64>())?;
    let records = (megabytes << 20) / RECORD as u64;
    let dir = tempfile::tempdir()?;

    let fleet = GeneratorConfig { count: Some(records), splits: 1, ..GeneratorConfig::default() };
    let source = GeneratorSource::map(&fleet, incompressible)?;
    let sink = KafkaSink::builder()
        .bootstrap_servers(servers)
        .delivery_guarantee(DeliveryGuarantee::ExactlyOnce)
        // Twice of it is free.
        .max_epoch_bytes(megabytes << 22)
        .record_serializer(TopicSerializer::new("hurtig-rates", RawFormat))
        .build()?;
    let env = Environment::new("epoch");
    env.set_parallelism(1);
    env.from_source(source, WatermarkStrategy::no_watermarks(), "in").sink_to(sink).uid("out");

    let config = JobConfig {
        checkpoints: CheckpointSettings { interval: None, ..CheckpointSettings::default() },
        restart: RestartStrategy::None,
        ..JobConfig::new(dir.path().join("data"))
    };
    let result = LocalRunner::submit(env.graph()?, config)?.wait()?;
    let checkpoint = result.status.checkpoints.latest_completed.ok_or("no checkpoint")?;
    let acknowledged = checkpoint.latest_ack_at().unwrap_or_default();
    let ended = checkpoint.ended_at.unwrap_or_default();
    println!(
        "{megabytes} MB in {records} records: acknowledged {} ms after the trigger, manifest and commit {} ms more; \
         the manifest has {:.1} MB, peak {} MB",
        acknowledged - checkpoint.triggered_at,
        ended - acknowledged,
        largest(dir.path()) as f64 / f64::from(1 << 20),
        peak_mb()
    );
    Ok(())
}

/// As good as random, and the same every time.
fn incompressible(event: &FleetEvent) -> Vec<u8> {
    let mut state = event.reading.time as u64 ^ u64::from(event.reading.meter) << 40;
    let mut word = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed ^ (mixed >> 27)).to_le_bytes()
    };
    (0..RECORD / 8).flat_map(|_| word()).collect()
}

/// The largest file's size.
fn largest(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let size = |e: std::fs::DirEntry| match e.metadata() {
        Ok(m) if m.is_dir() => largest(&e.path()),
        Ok(m) => m.len(),
        Err(_) => 0,
    };
    entries.map(size).max().unwrap_or(0)
}

fn peak_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|l| l.starts_with("VmHWM")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kb| kb.parse::<u64>().ok()).unwrap_or(0) >> 10
}
