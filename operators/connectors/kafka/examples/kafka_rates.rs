//! How fast records go into a topic and come out of it: `kafka_rates SERVERS [RECORDS] [none|at-least-once|exactly-once]`.
//!
//! Prints records/s and CPU seconds per million records of this process (the broker's are not in it), and the peak of
//! its memory. The topic `hurtig-rates` has to be there (any number of partitions); what is in it is read too.

use std::{
    sync::Arc,
    thread::sleep,
    time::{Duration, Instant},
};

use hurtig_engine::{
    record::Record,
    source::{Assignments, Source, SourceOutput, SourceReader},
    time::{MIN_WATERMARK, SystemClock},
};
use hurtig_kafka::{DeliveryGuarantee, KafkaSink, KafkaSource, TopicSerializer};
use hurtig_operators::{
    connectors::testing::{SinkHarness, SourceHarness, enumerator_context},
    schema::RawFormat,
};

const TOPIC: &str = "hurtig-rates";
/// As often as a checkpoint would come at this rate.
const EPOCH: u64 = 1_000_000;

type Failed = Box<dyn std::error::Error>;

fn main() -> Result<(), Failed> {
    let mut args = std::env::args().skip(1);
    let servers = args.next().ok_or("usage: kafka_rates SERVERS [RECORDS] [none|at-least-once|exactly-once]")?;
    let records = args.next().map_or(Ok(2_000_000), |n| n.parse::<u64>())?;
    let guarantee = match args.next().as_deref() {
        None | Some("at-least-once") => DeliveryGuarantee::AtLeastOnce,
        Some("none") => DeliveryGuarantee::None,
        Some("exactly-once") => DeliveryGuarantee::ExactlyOnce,
        Some(other) => return Err(format!("'{other}' is no guarantee").into()),
    };
    produce(&servers, records, guarantee)?;
    consume(&servers)
}

/// A reading of about 110 bytes.
fn reading(n: u64) -> Vec<u8> {
    let (meter, value) = (n % 10_000, n * 7919 % 100_000);
    format!(
        "{{\"meter\":\"meter-{meter:06}\",\"region\":\"region-{:02}\",\"time\":{},\"unit\":\"kWh\",\"value\":{}.{:02}}}",
        meter % 16,
        1_700_000_000_000 + n,
        value / 100,
        value % 100
    )
    .into_bytes()
}

fn produce(servers: &str, records: u64, guarantee: DeliveryGuarantee) -> Result<(), Failed> {
    let serializer = TopicSerializer::new(TOPIC, RawFormat);
    let sink = KafkaSink::builder()
        .bootstrap_servers(servers)
        .delivery_guarantee(guarantee)
        .record_serializer(serializer.key(|v: &Vec<u8>, key| key.extend(&v[10..22])))
        .build()?;
    // What an attempt of this name has published would not be published again.
    let mut harness = SinkHarness::start(&sink, &format!("rates{}s0", std::process::id()))?;
    let stopwatch = Stopwatch::start();
    let mut kept = 0;
    for n in 0..records {
        harness.write(Record::new(reading(n)))?;
        if (n + 1) % EPOCH == 0 || n + 1 == records {
            let committables = harness.flush()?;
            kept += committables.iter().map(Vec::len).sum::<usize>();
            harness.commit(&committables)?;
        }
    }
    stopwatch.stop(&format!("written, {guarantee:?}"), records);
    if kept > 0 {
        println!("in checkpoints: {:.1} bytes a record, {} MB an epoch of {EPOCH}", kept as f64 / records as f64, {
            (kept as u64 / records.div_ceil(EPOCH).max(1)) >> 20
        });
    }
    Ok(())
}

/// Counts.
#[derive(Default)]
struct Counter {
    records: u64,
    bytes: u64,
    finished: usize,
}

impl SourceOutput<Vec<u8>> for Counter {
    fn emit(&mut self, _: u32, _: u64, _: i64, value: Vec<u8>) {
        self.records += 1;
        self.bytes += value.len() as u64;
    }
    fn dead_letter(&mut self, _: u32, _: u64, _: i64, _: &[u8], _: &str) {}
    fn is_full(&self) -> bool {
        false
    }
    fn split_watermark(&self, _: u32) -> i64 {
        MIN_WATERMARK
    }
    fn finish_split(&mut self, _: u32) {
        self.finished += 1;
    }
}

fn consume(servers: &str) -> Result<(), Failed> {
    let source = KafkaSource::builder().bootstrap_servers(servers).topics([TOPIC]).bounded();
    let source = source.value_only(RawFormat).build()?;
    let mut enumerator = source.enumerator(enumerator_context(1, Arc::new(SystemClock)), None)?;
    let mut assignments = Assignments::new(1);
    enumerator.poll(&mut assignments)?;
    let splits: Vec<_> = assignments.into_parts().0.into_iter().map(|(_, split)| split).collect();
    let partitions = splits.len();
    let mut harness = SourceHarness::with_splits(&source, splits)?;
    let stopwatch = Stopwatch::start();
    let mut counter = Counter::default();
    while counter.finished < partitions {
        let before = counter.records;
        harness.reader.poll(2048, &mut counter)?;
        if counter.records == before {
            sleep(Duration::from_micros(200));
        }
    }
    stopwatch.stop("read", counter.records);
    println!("{} MB in {} partitions", counter.bytes >> 20, partitions);
    Ok(())
}

struct Stopwatch {
    began: Instant,
    cpu: f64,
}

impl Stopwatch {
    #[allow(clippy::disallowed_methods, reason = "a measurement")]
    fn start() -> Self {
        Stopwatch { began: Instant::now(), cpu: cpu_seconds() }
    }

    fn stop(self, what: &str, records: u64) {
        let (seconds, cpu) = (self.began.elapsed().as_secs_f64(), cpu_seconds() - self.cpu);
        let n = records as f64;
        println!(
            "{what}: {records} records in {seconds:.1} s, {:.0} records/s, {:.2} CPU s per million, peak {} MB",
            n / seconds,
            cpu / n * 1e6,
            peak_mb()
        );
    }
}

/// User and system time of this process so far, of all its threads.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<_> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |i: usize| fields.get(i).and_then(|f| f.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

fn peak_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|l| l.starts_with("VmHWM")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kb| kb.parse::<u64>().ok()).unwrap_or(0) >> 10
}
