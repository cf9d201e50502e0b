//! A server with a stream, and jobs that read it.

use std::{path::Path, time::Duration};

use hurtig_engine::{
    runner::{JobConfig, Restore},
    source::SourceReader,
    watermark::WatermarkStrategy,
};
use hurtig_kinesis::source::{InitialPosition, KinesisRecord, KinesisSource, KinesisSplit, Position, RecordFn};
use hurtig_operators::{
    connectors::{
        json_files::JsonFilesSink,
        testing::{Output, SourceHarness},
    },
    stream::Environment,
};
use hurtig_state::BackendKind;
use hurtig_tests::servers::{Kinesalite, KinesisLocal, Ministack, Server, aws_config, left_out};
use tempfile::TempDir;

use super::stream::{Reading, STREAM, Stream};
use crate::support::{self, Watched, config, directory, lines_below};

/// A server with a stream, and where jobs keep their state and write.
pub struct World<S> {
    pub server: S,
    pub endpoint: String,
    pub stream: Stream,
    pub dir: TempDir,
    pub out: TempDir,
}

/// kinesis-local with a stream of so many shards; none where it is left out.
pub fn local(shards: i32) -> Option<World<KinesisLocal>> {
    (!left_out(&[Server::Kinesis])).then(|| {
        let server = KinesisLocal::start().expect("kinesis-local");
        let endpoint = server.endpoint();
        World::new(server, endpoint, shards)
    })
}

/// kinesalite, likewise.
pub fn lite(shards: i32) -> Option<World<Kinesalite>> {
    (!left_out(&[Server::Kinesis])).then(|| {
        let server = Kinesalite::start().expect("kinesalite");
        let endpoint = server.endpoint();
        World::new(server, endpoint, shards)
    })
}

/// ministack, likewise, whose subscriptions of enhanced fan-out last so many seconds.
pub fn ministack(shards: i32, subscription_seconds: u32) -> Option<World<Ministack>> {
    (!left_out(&[Server::Ministack])).then(|| {
        let server = Ministack::start_with_subscriptions_of(subscription_seconds).expect("ministack");
        let endpoint = server.endpoint();
        World::new(server, endpoint, shards)
    })
}

impl<S> World<S> {
    fn new(server: S, endpoint: String, shards: i32) -> Self {
        let stream = Stream::create(&endpoint, shards);
        World { server, endpoint, stream, dir: directory(), out: directory() }
    }

    /// A source from the beginning of the stream on.
    pub fn source(&self) -> ReadingSource {
        source(&self.endpoint)
    }

    /// A job's settings.
    pub fn config(&self) -> JobConfig {
        config(self.dir.path(), BackendKind::Heap)
    }

    /// The settings of a job that goes on from a savepoint.
    pub fn restored(&self, savepoint: String) -> JobConfig {
        JobConfig { restore: Restore::Path(savepoint), ..self.config() }
    }

    /// Starts a job.
    pub fn submit(&self, source: ReadingSource, parallelism: usize) -> Watched {
        submit(source, parallelism, self.out.path(), self.config())
    }

    /// Starts a job from a savepoint.
    pub fn restore(&self, savepoint: String, source: ReadingSource, parallelism: usize) -> Watched {
        submit(source, parallelism, self.out.path(), self.restored(savepoint))
    }

    /// What the jobs have written is what was put, each once and each meter's in order.
    pub fn is_whole(&self) {
        same(&written(self.out.path()), &self.stream.expected());
    }
}

/// Takes a savepoint and waits for the end.
pub fn stop(job: Watched) -> String {
    let savepoint = job.stop(None, false).expect("a savepoint");
    job.wait().expect("it has stopped");
    savepoint
}

/// A reading of its text.
pub fn reading(record: &KinesisRecord<'_>) -> Result<Reading, String> {
    let text = std::str::from_utf8(record.data).map_err(|e| e.to_string())?;
    let (meter, n) = text.split_once(' ').ok_or("no space")?;
    Ok(Reading { meter: meter.into(), n: n.parse().map_err(|_| "no number")?, in_order: true })
}

pub type ReadingSource = KinesisSource<RecordFn<fn(&KinesisRecord<'_>) -> Result<Reading, String>>>;

pub fn source(endpoint: &str) -> ReadingSource {
    let source = KinesisSource::with_metadata(STREAM, RecordFn(reading as fn(&KinesisRecord<'_>) -> _));
    let source = source.aws(aws_config(endpoint)).initial_position(InitialPosition::TrimHorizon);
    // A local server knows no limits.
    source.discovery_interval(Duration::from_millis(200)).get_records_interval(Duration::from_millis(20))
}

/// Reads, sees to each meter's order in keyed state, and writes files.
pub fn submit<F>(source: KinesisSource<RecordFn<F>>, parallelism: usize, out: &Path, config: JobConfig) -> Watched
where
    F: Fn(&KinesisRecord<'_>) -> Result<Reading, String> + Clone + Send + Sync + 'static,
{
    let env = Environment::new("kinesis");
    env.set_parallelism(parallelism);
    let readings = env.from_source(source, WatermarkStrategy::no_watermarks(), "readings").uid("readings");
    let after = |before: Reading, now: Reading| Reading { in_order: before.in_order && now.n == before.n + 1, ..now };
    let readings = readings.key_by(|r: &Reading| r.meter.clone()).reduce(after).uid("order");
    readings.sink_to(JsonFilesSink::new(out)).uid("out");
    support::submit(env.graph().expect("a job"), config).expect("it starts")
}

fn read(job: &Watched) -> u64 {
    use std::sync::atomic::Ordering::Relaxed;
    let source = job.metrics_of("readings").expect("a source");
    source.iter().map(|m| m.records_in.load(Relaxed)).sum()
}

pub fn until_read(job: &Watched, readings: u64) {
    while read(job) < readings {
        let ended = job.wait_timeout(Duration::from_millis(5)).expect("the job runs");
        assert!(ended.is_none(), "the job has ended before it has read {readings}");
    }
}

fn written(out: &Path) -> Vec<Reading> {
    let mut all: Vec<Reading> =
        lines_below(out).iter().map(|line| serde_json::from_str(line).expect("a reading")).collect();
    all.sort();
    all
}

/// Both lists are long: only what differs is shown.
pub fn same(written: &[Reading], expected: &[Reading]) {
    let wrong = written.iter().zip(expected).find(|(a, b)| a != b);
    assert_eq!(wrong, None, "{} written, {} put", written.len(), expected.len());
    assert_eq!(written.len(), expected.len());
}

/// A reader of the first shard alone, as if it had been found under the name of `id`.
pub fn first_shard(stream: &Stream, id: Option<&str>) -> KinesisSplit {
    let mut shard: hurtig_kinesis::source::Shard = (&stream.open_shards()[0]).into();
    shard.id = id.unwrap_or(&shard.id).to_owned();
    KinesisSplit { shard, position: Position::TrimHorizon, until: None, consumer_arn: None }
}

/// Polls until something is emitted or the shard ends, or says what went wrong.
pub fn poll_once(
    harness: &mut SourceHarness<ReadingSource>,
    out: &mut Output<Reading>,
) -> hurtig_engine::error::Result<()> {
    let before = out.len();
    for _ in 0..60_000 {
        harness.reader.poll(7, out)?;
        if out.len() > before || !out.finished.is_empty() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("nothing came");
}
