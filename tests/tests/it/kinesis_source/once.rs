//! Records that are on the stream more than once, and the job that lets each through once.

use std::{sync::Arc, time::Duration};

use hurtig_engine::{runner::JobConfig, time::ManualClock, watermark::WatermarkStrategy};
use hurtig_kinesis::{
    sink::{Deduplicate, dedup_key_of},
    source::{KinesisRecord, KinesisSource, RecordFn},
};
use hurtig_operators::{connectors::json_files::JsonFilesSink, stream::Environment};

use super::{
    stream::{STREAM, entry},
    world::{World, lite, stop, until_read},
};
use crate::support::{self, Watched, lines_below};

/// Meter, deduplication key, and a number that tells repetitions apart.
type Once = (String, String, u32);

fn once(record: &KinesisRecord<'_>) -> Result<Once, String> {
    let (meter, dedup) = dedup_key_of(record.partition_key);
    let number = std::str::from_utf8(record.data).map_err(|e| e.to_string())?;
    let number = number.parse().map_err(|_| "no number")?;
    Ok((meter.to_owned(), dedup.ok_or("no deduplication key")?.to_owned(), number))
}

/// Remembers a key for a minute by this clock.
fn submit<S>(world: &World<S>, config: JobConfig) -> Watched {
    let source = KinesisSource::with_metadata(STREAM, RecordFn(once as fn(&KinesisRecord<'_>) -> _));
    let source = source.aws(hurtig_tests::servers::aws_config(&world.endpoint));
    let source = source.initial_position(hurtig_kinesis::source::InitialPosition::TrimHorizon);
    let source = source.get_records_interval(Duration::from_millis(20));
    let env = Environment::new("once");
    let readings = env.from_source(source, WatermarkStrategy::no_watermarks(), "readings").uid("readings");
    let keyed = readings.key_by(|r: &Once| (r.0.clone(), r.1.clone()));
    let once = keyed.process(Deduplicate::new(Duration::from_secs(60))).uid("once");
    once.sink_to(JsonFilesSink::new(world.out.path())).uid("out");
    support::submit(env.graph().expect("a job"), config).expect("it starts")
}

#[test]
fn the_first_of_a_key_passes_and_no_other_until_it_is_forgotten() {
    let Some(world) = lite(2) else { return };
    let clock = Arc::new(ManualClock::new(1_000));
    let put = |records: &[(&str, u32, u32)]| {
        let entry = |(meter, key, n): &(&str, u32, u32)| {
            entry(&format!("{meter}\u{1f}{key}"), None, n.to_string().into_bytes())
        };
        world.stream.put_entries(&records.iter().map(entry).collect::<Vec<_>>());
    };
    let job = submit(&world, JobConfig { clock: clock.clone(), ..world.config() });
    put(&[("a", 1, 10), ("b", 1, 11), ("a", 1, 12), ("a", 2, 13), ("b", 1, 14)]);
    until_read(&job, 5);
    let savepoint = stop(job);

    // What it had seen is in the savepoint, and what it had counted. A key is remembered from its first record on.
    clock.set(60_000);
    let job = submit(&world, JobConfig { clock: clock.clone(), ..world.restored(savepoint) });
    put(&[("a", 1, 15), ("c", 1, 16), ("b", 1, 17)]);
    until_read(&job, 8);
    let savepoint = stop(job);
    clock.set(61_001);
    let job = submit(&world, JobConfig { clock, ..world.restored(savepoint) });
    put(&[("a", 1, 18), ("c", 1, 19)]);
    until_read(&job, 10);
    stop(job);

    let row = |line: &String| serde_json::from_str::<Once>(line).expect("a row").2;
    let mut passed: Vec<_> = lines_below(world.out.path()).iter().map(row).collect();
    passed.sort_unstable();
    assert_eq!(passed, [10, 11, 13, 16, 18]);
}
