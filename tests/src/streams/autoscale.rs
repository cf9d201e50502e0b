//! The talk's case, live: traffic climbs from 4.5 to 18 MB/s, and `hurtig stream autoscale` brings a stream of 10
//! shards to what that needs, 40 at most, while the writers are throttled and the service is away for a while.
//!
//! No local server takes 18 MB/s, so bytes and records a second, of the load and of a shard alike, are divided by a
//! `scale`; what is said is multiplied by it again. Two writers share the stream, each of which takes a shard's whole
//! limit for its own, as two subtasks of a sink do: so shards are throttled as soon as they are full. In the end every
//! record is on the stream, once after its deduplication key.

mod command;
mod stream;
mod writers;

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use hurtig_kinesis::scaling::LoadCurve;

use self::{command::Command, stream::Stream, writers::Writers};
use super::settings::Settings;
use crate::{
    kinesis_proxy::{Faults, KinesisProxy, Limits},
    servers::{Kinesalite, KinesisLocal},
};

/// At half of what the shards take: as an on-demand stream, which has shards for twice its peak.
const TARGET: f64 = 0.5;
const FIRST: usize = 10;
const MOST: usize = 40;
/// MB/s before and after the climb.
const LOAD: (f64, f64) = (4.5, 18.0);
/// Bytes of a record with its keys; so a shard's limits of bytes and of records are one.
const RECORD: usize = 1_000;
/// For nothing is waited longer than this.
const PATIENCE: Duration = Duration::from_secs(300);

/// How large it is.
struct Size {
    scale: f64,
    /// Seconds before the climb, of the climb, and after the shards are there.
    seconds: (u32, u32, u32),
    /// `--interval` and `--settle`
    pace: (&'static str, &'static str),
}

const SHORT: Size = Size { scale: 100.0, seconds: (4, 5, 4), pace: ("2s", "8s") };
const LONG: Size = Size { scale: 20.0, seconds: (20, 30, 60), pace: ("5s", "30s") };
/// From so many readings on it is the long one.
const LONG_FROM: u64 = 500_000;

/// kinesis-local writes all it has each time; here it need not be killed.
const WRITE_EVERY: Duration = Duration::from_secs(3_600);

/// Runs it on kinesis-local, which has `UpdateShardCount`, and which the long one would be too much for; that one runs
/// on kinesalite, shard by shard.
pub fn run(settings: &Settings, say: &mut impl FnMut(&str)) -> Result<()> {
    let is_long = settings.readings >= LONG_FROM;
    {
        let server = KinesisLocal::start_writing_every(WRITE_EVERY)?;
        say("kinesis-local, by UpdateShardCount");
        climb(&server.endpoint(), settings.seed, &SHORT, say)?;
    }
    if is_long {
        let server = Kinesalite::start()?;
        say("kinesalite, by splits and merges");
        climb(&server.endpoint(), settings.seed, &LONG, say)?;
    }
    Ok(())
}

fn climb(endpoint: &str, seed: u64, size: &Size, say: &mut impl FnMut(&str)) -> Result<()> {
    say(&format!(
        "all loads and all limits of shards are divided by {0:.0}, and multiplied by {0:.0} in what is said here",
        size.scale
    ));
    let stream = Stream::create(endpoint, FIRST)?;
    let limits = Limits::default();
    let limits = Limits {
        bytes_in: limits.bytes_in / size.scale,
        records_in: limits.records_in / size.scale,
        bytes_out: limits.bytes_out / size.scale,
        ..limits
    };
    let proxy = KinesisProxy::start(endpoint, seed, Faults { limits: Some(limits), ..Faults::default() })?;
    let mut command = Command::start(&proxy.endpoint(), &options(size))?;
    let (before, during, after) = size.seconds;
    let ms = |seconds: u32| i64::from(seconds) * 1_000;
    let load = |mb: f64| mb * 1e6 / size.scale;
    let points = vec![(0, load(LOAD.0)), (ms(before), load(LOAD.0)), (ms(before + during), load(LOAD.1))];
    let writers = Writers::start(&proxy.endpoint(), LoadCurve::new(points, RECORD as f64)?, size.scale)?;
    // What the steady load needs; a stream that has to catch up may get more.
    let expected = (LOAD.1 / TARGET) as usize;

    let watch = Watch { proxy: &proxy, writers: &writers, stream: &stream, size, begun: now() };
    watch.until(&mut command, say, "more shards", |w, _| Ok(w.stream.shards()? > FIRST))?;
    away(&watch, &mut command, say)?;
    watch.until(&mut command, say, &format!("{expected} shards"), |w, _| Ok(w.stream.shards()? >= expected))?;
    watch.until(&mut command, say, "an end of the backlog", |w, _| Ok(w.writers.waiting() < RECORD as u64))?;
    let caught_up = proxy.counters().throttled_records;
    let still = now();
    watch.until(&mut command, say, "the rest", |_, _| Ok(still.elapsed() >= Duration::from_secs(after.into())))?;
    let (shards, throttled) = (stream.shards()?, proxy.counters().throttled_records);
    command.interrupt()?;
    let written = writers.stop()?;
    if throttled == 0 {
        bail!("nothing was throttled: it was no test");
    }
    let read = stream.read(&written)?;
    say(&format!(
        "{FIRST} → {shards} shards; {} records written and on the stream, each once after its key ({} came twice); \
         {throttled} times a record was throttled, {} of them after the backlog was gone",
        written.count(),
        read.twice,
        throttled - caught_up
    ));
    Ok(())
}

fn options(size: &Size) -> String {
    let (interval, settle) = size.pace;
    let (bytes, records) = (1e6 / size.scale, 1e3 / size.scale);
    format!(
        "--target {TARGET} --min {FIRST} --max {MOST} --interval {interval} --settle {settle} --shard-bytes {bytes:.0} \
         --shard-records {records:.0}"
    )
}

/// The service is not to be reached for a while: the command says so, and goes on when it is there again.
fn away(watch: &Watch<'_>, command: &mut Command, say: &mut impl FnMut(&str)) -> Result<()> {
    let failed = command.count("failed");
    watch.proxy.update(|faults| faults.cut_before = 1.0);
    let done = watch.until(command, say, "the command to notice", |_, c| Ok(c.count("failed") >= failed + 2));
    watch.proxy.update(|faults| faults.cut_before = 0.0);
    done?;
    let said = command.last("failed").unwrap_or_default();
    let reason = said["reason"].as_str().unwrap_or_default();
    if !reason.starts_with("stream readings: ") || reason.contains('\n') || !said["again_in_seconds"].is_u64() {
        bail!("it did not say in one line what failed: {said}");
    }
    say(&format!("the service was away, and the command said: {reason}"));
    let loads = command.count("load");
    watch.until(command, say, "the command to go on", |_, c| Ok(c.count("load") > loads))
}

/// What is looked at while it runs.
struct Watch<'a> {
    proxy: &'a KinesisProxy,
    writers: &'a Writers,
    stream: &'a Stream,
    size: &'a Size,
    begun: Instant,
}

impl Watch<'_> {
    /// Waits, and says every five seconds how it stands.
    fn until(
        &self,
        command: &mut Command,
        say: &mut impl FnMut(&str),
        what: &str,
        mut done: impl FnMut(&Self, &mut Command) -> Result<bool>,
    ) -> Result<()> {
        const EVERY: Duration = Duration::from_secs(5);
        let start = now();
        let (mut said, mut before) = (now(), self.proxy.counters());
        loop {
            command.is_running()?;
            if let Some(failed) = self.writers.failed() {
                bail!("a writer has failed: {failed}");
            }
            if done(self, command)? {
                return Ok(());
            }
            if start.elapsed() > PATIENCE {
                bail!("waited {} s for {what}; the command said:\n{}", PATIENCE.as_secs(), command.said());
            }
            if said.elapsed() >= EVERY {
                let (seconds, counters) = (said.elapsed().as_secs_f64(), self.proxy.counters());
                let taken = (counters.bytes_in - before.bytes_in) as f64 / seconds * self.size.scale / 1e6;
                let throttled = counters.throttled_records - before.throttled_records;
                say(&format!(
                    "{:4.0} s: {} shards; {:.1} MB/s wanted, {taken:.1} MB/s taken, {throttled} times throttled, \
                     {:.0} MB wait",
                    self.begun.elapsed().as_secs_f64(),
                    self.stream.shards()?,
                    self.writers.load() * self.size.scale / 1e6,
                    self.writers.waiting() as f64 * self.size.scale * RECORD as f64 / 1e6,
                ));
                (said, before) = (now(), counters);
            }
            // The server is slow: it is asked for its shards no more often than the command asks it.
            std::thread::sleep(Duration::from_secs(1));
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "a driver: other processes live by the wall clock")]
fn now() -> Instant {
    Instant::now()
}
