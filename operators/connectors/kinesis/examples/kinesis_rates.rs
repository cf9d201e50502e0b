//! How fast readings go into a stream and come out of it, and what of it is our own work:
//! `kinesis_rates ENDPOINT [READINGS] [plain|aggregated] [polling|efo]`.
//!
//! Prints readings/s, which is the local server's rate, and CPU seconds per million readings of this process alone, which
//! is ours. The stream `hurtig-rates` is created with 4 shards if it is not there; what is in it is read too.

use std::{
    sync::Arc,
    thread::sleep,
    time::{Duration, Instant},
};

use aws_sdk_kinesis::{Client, error::ProvideErrorMetadata};
use hurtig_aws::AwsConfig;
use hurtig_engine::{
    record::Record,
    sink::{SinkContext, SinkWriter},
    source::{Assignments, Source, SourceOutput, SourceReader},
    time::{Clock, MIN_WATERMARK, SystemClock},
};
use hurtig_kinesis::{
    scaling::ShardLimits,
    sink::KinesisSink,
    source::{EfoConsumer, InitialPosition, KinesisSource, ReaderType},
};
use hurtig_operators::{
    connectors::testing::{SinkHarness, SourceHarness, enumerator_context},
    schema::RawFormat,
};

const STREAM: &str = "hurtig-rates";
const SHARDS: i32 = 4;
const USAGE: &str = "usage: kinesis_rates ENDPOINT [READINGS] [plain|aggregated] [polling|efo]";

type Failed = Box<dyn std::error::Error>;

fn main() -> Result<(), Failed> {
    let mut args = std::env::args().skip(1);
    let endpoint = args.next().ok_or(USAGE)?;
    let readings = args.next().map_or(Ok(200_000), |n| n.parse::<u64>())?;
    let aggregated = match args.next().as_deref() {
        None | Some("plain") => false,
        Some("aggregated") => true,
        Some(other) => return Err(format!("'{other}' is neither plain nor aggregated; {USAGE}").into()),
    };
    let reader = match args.next().as_deref() {
        None | Some("polling") => ReaderType::Polling,
        Some("efo") => ReaderType::Efo(EfoConsumer::Name("hurtig-rates".into())),
        Some(other) => return Err(format!("'{other}' is neither polling nor efo; {USAGE}").into()),
    };
    let aws = AwsConfig::new().region("us-east-1").endpoint_url(endpoint).credentials("local", "local");
    create(&aws)?;
    if readings > 0 {
        produce(&aws, readings, aggregated)?;
    }
    consume(&aws, reader)
}

fn create(aws: &AwsConfig) -> Result<(), Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let client = Client::new(&aws.load().await?);
        match client.create_stream().stream_name(STREAM).shard_count(SHARDS).send().await {
            Err(e) if e.code() != Some("ResourceInUseException") => return Err(hurtig_aws::describe(&e).into()),
            _ => (),
        }
        loop {
            let summary = client.describe_stream_summary().stream_name(STREAM).send().await?;
            if summary.stream_description_summary().is_some_and(|s| s.stream_status().as_str() == "ACTIVE") {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
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

fn produce(aws: &AwsConfig, readings: u64, aggregated: bool) -> Result<(), Failed> {
    let sink = KinesisSink::new(STREAM, RawFormat, |v: &Vec<u8>| String::from_utf8_lossy(&v[10..22]).into_owned())
        .aws(aws.clone())
        .shard_limits(ShardLimits::UNLIMITED);
    let sink = if aggregated { sink.aggregate() } else { sink };
    let mut harness = SinkHarness::start(&sink, "rates")?;
    let stopwatch = Stopwatch::start();
    for n in 0..readings {
        let mut ctx = SinkContext::new(&mut harness.books, &mut harness.letters, MIN_WATERMARK, 0);
        // The harness's own waiting would be seen in the figure.
        while !harness.writer.ready(&mut ctx)? {
            sleep(Duration::from_millis(5));
        }
        harness.writer.write(Record::new(reading(n)), &mut ctx)?;
    }
    let mut ctx = SinkContext::new(&mut harness.books, &mut harness.letters, MIN_WATERMARK, 0);
    while !harness.writer.flush(&mut ctx)? {
        sleep(Duration::from_millis(5));
    }
    stopwatch.stop(if aggregated { "written, aggregated" } else { "written, plain" }, readings);
    Ok(())
}

/// Counts.
#[derive(Default)]
struct Counter {
    readings: u64,
    bytes: u64,
    finished: usize,
}

impl SourceOutput<Vec<u8>> for Counter {
    fn emit(&mut self, _: u32, _: u64, _: i64, value: Vec<u8>) {
        self.readings += 1;
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

fn consume(aws: &AwsConfig, reader: ReaderType) -> Result<(), Failed> {
    let how = if reader == ReaderType::Polling { "read, polling" } else { "read, enhanced fan-out" };
    let source = KinesisSource::new(STREAM, RawFormat)
        .aws(aws.clone())
        .initial_position(InitialPosition::TrimHorizon)
        .reader_type(reader)
        // A local server has no limits.
        .get_records_interval(Duration::from_millis(1))
        .shard_bytes_per_second(1 << 40)
        .bounded_at_now();
    let mut enumerator = source.enumerator(enumerator_context(1, Arc::new(SystemClock)), None)?;
    let mut assignments = Assignments::new(1);
    enumerator.poll(&mut assignments)?;
    let splits: Vec<_> = assignments.into_parts().0.into_iter().map(|(_, split)| split).collect();
    let shards = splits.len();
    let mut harness = SourceHarness::with_splits(&source, splits)?;
    // What is there was there before: an empty read is the end.
    harness.clock.advance(SystemClock.now_ms() + 60_000);
    let stopwatch = Stopwatch::start();
    let mut counter = Counter::default();
    while counter.finished < shards {
        let before = counter.readings;
        harness.reader.poll(2048, &mut counter)?;
        if counter.readings == before {
            sleep(Duration::from_millis(5));
        }
    }
    stopwatch.stop(how, counter.readings);
    println!("{} MB in {shards} shards", counter.bytes >> 20);
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

    fn stop(self, what: &str, readings: u64) {
        let (seconds, cpu) = (self.began.elapsed().as_secs_f64(), cpu_seconds() - self.cpu);
        let n = readings as f64;
        println!(
            "{what}: {readings} readings in {seconds:.1} s, {:.0} readings/s, {:.2} CPU s per million, peak {} MB",
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
