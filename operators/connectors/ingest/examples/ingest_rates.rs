//! How fast files are read in ranges, on this machine: MB/s and CPU seconds per GB, with one range
//! and with many, and what the look for legal cuts costs.
//!
//! ```text
//! cargo run --release --example ingest_rates -- [MEGABYTES [s3://BUCKET/PREFIX]]
//! ```

use std::{fmt::Write as _, path::Path, time::Duration};

use hurtig_engine::{
    runner::{CheckpointSettings, JobConfig},
    watermark::WatermarkStrategy,
};
use hurtig_ingest::{FileRecord, FromFn, Messages, RangeOptions, RangeSource, RowForm};
use hurtig_operators::{connectors::discard::DiscardingSink, stream::Environment};

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome {
    let mut args = std::env::args().skip(1);
    let megabytes: usize = args.next().map_or(Ok(256), |a| a.parse())?;
    let dir = std::env::temp_dir().join(format!("hurtig-ingest-rates-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    let result = match args.next() {
        Some(s3) => rates(&s3, &dir),
        None => {
            let quoted = dir.join("quoted.csv");
            let plain = dir.join("plain.csv");
            let json = dir.join("lines.json");
            write(&quoted, megabytes, "meter_id,time,kw,note\n", |n| {
                format!("m-{},2023-01-02 01:15:00,{}.{},\"a, \"\"b\"\"\"\n", n % 50_000, n % 7, n % 997)
            })?;
            write(&plain, megabytes, "meter_id,time,kw\n", |n| {
                format!("m-{},2023-01-02 01:15:00,{}.{}\n", n % 50_000, n % 7, n % 997)
            })?;
            write(&json, megabytes, "", |n| {
                format!(
                    "{{\"meter_id\":\"m-{}\",\"time\":\"2023-01-02 01:15:00\",\"kwh\":{}.{}}}\n",
                    n % 50_000,
                    n % 7,
                    n % 997
                )
            })?;
            [&quoted, &plain, &json].iter().try_for_each(|file| {
                println!("{}", file.file_name().unwrap_or_default().to_string_lossy());
                rates(&file.display().to_string(), &dir)
            })
        }
    };
    std::fs::remove_dir_all(&dir)?;
    result
}

fn write(path: &Path, megabytes: usize, header: &str, row: impl Fn(usize) -> String) -> Outcome {
    let mut text = header.to_owned();
    let mut n = 0;
    while text.len() < megabytes * 1_000_000 {
        write!(text, "{}", row(n))?;
        n += 1;
    }
    Ok(std::fs::write(path, text)?)
}

fn rates(location: &str, dir: &Path) -> Outcome {
    let cores = std::thread::available_parallelism()?.get();
    let options = |range: u64| RangeOptions { min_range: range, max_range: range, ..RangeOptions::default() };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let offsets = || {
        FromFn::new(|record: &FileRecord<'_>, out: &mut Vec<u64>| {
            out.push(record.offset());
            Ok(())
        })
    };
    let cut = Measured::of(|| {
        let ranges = RangeSource::new(location).options(options(16 << 20)).schema(offsets());
        Ok(ranges.splits(runtime.handle(), cores)?.iter().map(hurtig_ingest::RangeSplit::bytes).sum())
    })?;
    println!("  {:34} {cut}", "cuts found");
    for (name, range, workers) in [
        ("one range", u64::MAX, 1),
        ("ranges of 16 MiB, one worker", 16 << 20, 1),
        ("ranges of 16 MiB, all cores", 16 << 20, cores),
    ] {
        for messages in [false, true] {
            let measured = Measured::of(|| {
                let ranges = RangeSource::new(location).options(options(range));
                let env = Environment::new("rates");
                env.set_parallelism(workers);
                let progress = if messages {
                    let source = ranges.schema(Messages { rows: RowForm::Row, ..Messages::default() });
                    let progress = source.progress();
                    env.from_source(source, WatermarkStrategy::no_watermarks(), "files").sink_to(DiscardingSink);
                    progress
                } else {
                    let source = ranges.schema(offsets());
                    let progress = source.progress();
                    env.from_source(source, WatermarkStrategy::no_watermarks(), "files").sink_to(DiscardingSink);
                    progress
                };
                let checkpoints =
                    CheckpointSettings { interval: Some(Duration::from_secs(5)), ..CheckpointSettings::default() };
                env.execute(JobConfig { checkpoints, ..JobConfig::new(dir.join("job")) })?;
                Ok(progress.figures().bytes_found)
            })?;
            println!("  {:34} {measured}", format!("{name}{}", if messages { ", messages" } else { "" }));
        }
    }
    Ok(())
}

struct Measured {
    bytes: u64,
    seconds: f64,
    cpu: f64,
}

impl Measured {
    #[allow(clippy::disallowed_methods, reason = "it measures")]
    fn of(work: impl FnOnce() -> Outcome<u64>) -> Outcome<Self> {
        let (began, cpu) = (std::time::Instant::now(), cpu_seconds()?);
        let bytes = work()?;
        Ok(Measured { bytes, seconds: began.elapsed().as_secs_f64(), cpu: cpu_seconds()? - cpu })
    }
}

impl std::fmt::Display for Measured {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let megabytes = self.bytes as f64 / 1e6;
        write!(f, "{:7.0} MB/s  {:6.2} CPU s/GB", megabytes / self.seconds, self.cpu / megabytes * 1e3)
    }
}

/// What this process has computed, in seconds (Linux counts in hundredths).
fn cpu_seconds() -> Outcome<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks: f64 = fields.split_whitespace().skip(11).take(2).filter_map(|t| t.parse::<f64>().ok()).sum();
    Ok(ticks / 100.0)
}
