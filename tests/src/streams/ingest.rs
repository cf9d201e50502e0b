//! A large file into a stream that others need now: live traffic first.
//!
//! kinesalite behind the proxy, which gives every shard AWS's limits. A [`live`] producer sends at a
//! steady rate, a live reader reads the whole stream as it comes and says how late a record is: for a
//! while alone, then while the real `hurtig ingest` feeds a [`file`] into the same shards. It is killed
//! with SIGKILL ten times, while it starts and while it sends ([`lives`]), and goes on from its
//! checkpoint. In the end every record of the file must be in the stream, byte for byte and once after
//! its `record_id` ([`seen`]); every bad line is a dead letter; every live record has come. Memory is
//! asserted, what depends on time is printed.

mod file;
mod lag;
mod live;
mod lives;
mod seen;

use std::{
    path::Path,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, bail, ensure};
use aws_sdk_kinesis::Client;
use serde_json::Value;

use self::{
    file::File,
    live::{Live, Sent},
    lives::Job,
    seen::Seen,
};
use super::settings::Settings;
use crate::{
    kinesis_proxy::{Faults, KinesisProxy, Limits},
    program,
    servers::{CREDENTIALS, Kinesalite, REGION, aws_config},
};

const STREAM: &str = "readings";
/// From here on a file is large.
const LARGE: u64 = 200_000_000;
/// How many shards a small file goes to, and what live traffic takes of their limits: so much that a
/// short life of ingestion, which begins slowly, comes to give way.
const SMALL_RUN: (u32, f64) = (4, 0.85);
/// The same for a large file: with the 70 % that ingestion may take it is too much.
const LARGE_RUN: (u32, f64) = (8, 0.5);
/// How often ingestion is killed.
const KILLS: u64 = 10;
/// No life of it may use so much memory.
const MEMORY: u64 = 200_000_000;
/// Nothing takes longer than so many tries a tenth of a second apart.
const TRIES: u32 = 600;

/// Ingests a file of so many megabytes, and checks what the stream has then.
pub fn run(settings: &Settings, dir: &Path, say: &mut impl FnMut(&str)) -> Result<()> {
    let path = dir.join("readings.csv");
    let file = File::write(&path, settings.file_megabytes * 1_000_000)?;
    say(&format!("a file of {} bytes: {} records, {} bad lines", file.bytes, file.rows, file.bad));

    let server = Kinesalite::start()?;
    let proxy = KinesisProxy::start(&server.endpoint(), settings.seed, disturbed())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let client = Client::new(&runtime.block_on(aws_config(&proxy.endpoint()).attempts(1).load())?);
    let (shards, live_share) = if file.bytes < LARGE { SMALL_RUN } else { LARGE_RUN };
    runtime.block_on(create(&client, shards))?;
    let seen = Seen::new(&file);
    let capacity = Limits::default().bytes_in * f64::from(shards);
    let live = runtime.block_on(Live::start(&client, STREAM, &seen, live_share * capacity))?;
    // Long enough to compare with, short beside what follows.
    std::thread::sleep(Duration::from_millis((file.bytes / 50_000).clamp(2_000, 20_000)));

    let (alone, from, start) = (live.sent(), now_ms(), clock());
    let lives = job(dir, &path, &proxy).run(settings.seed, KILLS, file.rows, &seen, say)?;
    let (took, until) = (start.elapsed().as_secs_f64(), now_ms());
    let beside = live.sent();
    let sent = live.finish(&runtime)?;

    let found = seen.lock();
    found.is_all(&file, sent.records)?;
    books_balance(&lives.summary, &file)?;
    dead_letters(&dir.join("data"), &file)?;

    say(&format!(
        "{} records, each once after its id, {} came again; {} dead letters; {} live records; {KILLS} kills",
        file.rows, found.again, file.bad, sent.records
    ));
    let mb = |bytes: f64| bytes / 1e6;
    say(&format!(
        "{:.0} MB of messages in {took:.0} s: {:.1} MB/s beside {:.1} MB/s of live traffic, of {:.1} MB/s that the \
         shards take; gave way {} times, {} of its entries refused",
        mb(found.bytes as f64),
        mb(found.bytes as f64 / took),
        mb(capacity * live_share),
        mb(capacity),
        lives.gave_way,
        lives.throttled,
    ));
    let lags = |from, until| found.lags.between(from, until);
    say(&format!("live, until read, before: {}; {}", lags(i64::MIN, from), throttled(Sent::default(), alone)));
    say(&format!("live, until read, during: {}; {}", lags(from, until), throttled(alone, beside)));
    let quarter = (until - from) / 4;
    for (n, name) in (0_i64..).zip(["first", "second", "third", "last"]) {
        let from = from + n * quarter;
        say(&format!("  in its {name} quarter: {}", lags(from, from + quarter)));
    }
    say(&format!("the most memory of a life: {:.0} MB; the proxy: {:?}", mb(lives.memory as f64), proxy.counters()));
    ensure!(lives.memory < MEMORY, "ingestion had {} bytes of memory, it may have {MEMORY}", lives.memory);
    was_disturbed(&proxy)
}

/// The shards' limits, and a network in which now and then an answer is lost or a record fails.
fn disturbed() -> Faults {
    Faults {
        internal_failures: 0.001,
        server_errors: 0.002,
        cut_after: 0.002,
        latency: Duration::ZERO..=Duration::from_millis(10),
        ..Faults::throttled()
    }
}

/// A run in which nothing was throttled shows nothing.
fn was_disturbed(proxy: &KinesisProxy) -> Result<()> {
    let counters = proxy.counters();
    if counters.throttled_records == 0 || counters.internal_failures + counters.server_errors + counters.cut_after == 0
    {
        bail!("nothing was throttled, or nothing failed: {counters:?}");
    }
    Ok(())
}

async fn create(client: &Client, shards: u32) -> Result<()> {
    client.create_stream().stream_name(STREAM).shard_count(shards as i32).send().await?;
    for _ in 0..TRIES {
        let summary = client.describe_stream_summary().stream_name(STREAM).send().await?;
        if summary.stream_description_summary().is_some_and(|s| s.stream_status().as_str() == "ACTIVE") {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    bail!("the stream does not become active")
}

fn job<'a>(dir: &'a Path, file: &Path, proxy: &KinesisProxy) -> Job<'a> {
    let usual = format!(
        "--to kinesis:{STREAM} --rows row --parallelism 2 --checkpoint-interval 500ms --from latest --rest-port off \
         --json --data-dir"
    );
    let mut options = vec!["ingest".to_owned(), file.display().to_string()];
    options.extend(usual.split(' ').map(str::to_owned));
    options.push(dir.join("data").display().to_string());
    Job {
        dir,
        options,
        environment: vec![
            ("AWS_ENDPOINT_URL", proxy.endpoint()),
            ("AWS_REGION", REGION.into()),
            ("AWS_ACCESS_KEY_ID", CREDENTIALS.into()),
            ("AWS_SECRET_ACCESS_KEY", CREDENTIALS.into()),
        ],
    }
}

/// Over all lives: what was read of the file was written, or is a dead letter.
fn books_balance(summary: &Value, file: &File) -> Result<()> {
    let books = summary["books"].as_array().context("it has not said its books")?;
    let of = |sink: &Value, name: &str| sink[name].as_u64().with_context(|| format!("{name}: {sink}"));
    let (mut read, mut written) = (0, 0);
    for sink in books {
        let balanced = of(sink, "written")? + of(sink, "rejected")? + of(sink, "dead_lettered")?;
        ensure!(of(sink, "read")? == balanced, "the books do not balance: {sink}");
        read += of(sink, "read")?;
        written += of(sink, "written")?;
    }
    let lines = file.rows + file.bad;
    ensure!(read == lines && written == lines, "{lines} lines, and the books are {books:?}");
    ensure!(summary["dead_lettered"] == file.bad, "{} bad lines: {summary}", file.bad);
    Ok(())
}

fn dead_letters(data_dir: &Path, file: &File) -> Result<()> {
    let letters = program::query(data_dir, "SELECT count(*) FROM dead_letters")?;
    ensure!(letters == [file.bad.to_string()], "{} bad lines, and dead letters: {letters:?}", file.bad);
    Ok(())
}

fn throttled(before: Sent, after: Sent) -> String {
    let (records, throttled) = (after.records - before.records, after.throttled - before.throttled);
    format!("throttled {throttled} times for {records} sent, {:.2} %", 100.0 * throttled as f64 / records.max(1) as f64)
}

#[allow(clippy::disallowed_methods, reason = "a driver: other processes live by the wall clock")]
fn clock() -> Instant {
    Instant::now()
}

/// Since 1970.
#[allow(clippy::disallowed_methods, reason = "what is late is late by the wall clock")]
fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis() as i64)
}
