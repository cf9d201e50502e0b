//! Whole jobs: a stream that is split and merged while the job runs, stops and goes on elsewhere.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use hurtig_engine::{
    time::{Clock, SystemClock},
    watermark::WatermarkStrategy,
};
use hurtig_kinesis::source::{InitialPosition, KinesisRecord, KinesisSource, RecordFn};
use hurtig_operators::{connectors::json_files::JsonFilesSink, stream::Environment};
use hurtig_tests::servers::aws_config;

use super::{
    stream::STREAM,
    world::{lite, local, reading, stop, submit, until_read},
};
use crate::support::{self, checkpoint, directory, until_running};

#[test]
fn a_stream_is_split_and_merged_while_the_job_runs_stops_and_goes_on_at_another_parallelism() {
    let Some(mut world) = local(2) else { return };
    world.stream.put(40, 10);

    // One reader: a merged shard's parents are read by the same one, so that order can be asked for.
    let job = world.submit(world.source(), 1);
    until_running(&job);
    until_read(&job, world.stream.readings());
    checkpoint(&job);
    world.stream.split(0);
    world.stream.put(40, 10);
    world.stream.split(2);
    world.stream.put(40, 10);
    checkpoint(&job);
    world.stream.merge(1);
    world.stream.put(40, 10);
    until_read(&job, world.stream.readings());
    world.stream.merge(0);
    // Some of this is read before the stop and some after, also within aggregates.
    world.stream.put(40, 10);
    let savepoint = stop(job);

    // A reshard that nobody sees happen.
    world.stream.split(0);
    world.stream.put(40, 10);
    world.stream.split(0);
    world.stream.put(40, 10);

    world.restore(savepoint, world.source().bounded_at_now(), 3).wait().expect("it has come to its end");
    world.is_whole();
}

#[test]
fn kill_9_of_the_server_costs_the_job_nothing() {
    let Some(mut world) = lite(2) else { return };
    let source = world.source().shard_bytes_per_second(20_000_000).buffer_bytes(256 << 10);
    let job = world.submit(source.clone(), 2);
    until_running(&job);
    let mut split_at = 0;
    for round in 0..10 {
        world.stream.put(40, 500);
        if round == 3 {
            world.stream.split(1);
            split_at = SystemClock.now_ms();
        }
        if round % 4 == 2 {
            until_read(&job, world.stream.readings() / 2);
            world.server.kill9();
            world.server.start_again().expect("again");
        }
    }
    until_read(&job, world.stream.readings());
    let savepoint = stop(job);
    world.stream.put(40, 100);
    // kinesalite dates what comes to a child of a split a second ahead: "now" is to be behind that.
    while SystemClock.now_ms() <= split_at + 1_000 {
        std::thread::sleep(OLDER);
    }
    world.restore(savepoint, source.bounded_at_now(), 1).wait().expect("it has come to its end");
    world.is_whole();
}

/// What was put so far must be older than the start, by the millisecond.
const OLDER: Duration = Duration::from_millis(50);

#[test]
fn latest_is_the_first_start_also_when_nothing_was_read_before_the_stop() {
    let Some(mut world) = local(2) else { return };
    world.stream.put(10, 5);
    world.stream.put.clear();
    std::thread::sleep(OLDER);
    let source = world.source().initial_position(InitialPosition::Latest);
    let job = world.submit(source.clone(), 1);
    until_running(&job);
    let savepoint = stop(job);
    world.stream.put(10, 5);
    world.stream.split(0);
    world.stream.put(10, 5);
    world.restore(savepoint, source.bounded_at_now(), 2).wait().expect("it has come to its end");
    world.is_whole();
}

#[test]
fn latest_is_the_first_start_also_when_the_job_fails_before_its_first_checkpoint() {
    // kinesalite dates what comes to a child of a split a second ahead.
    let Some(mut world) = local(2) else { return };
    world.stream.put(10, 5);
    world.stream.put.clear();
    std::thread::sleep(OLDER);
    let (fails, failed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (when, told) = (fails.clone(), failed.clone());
    let or_fail = move |record: &KinesisRecord<'_>| {
        if when.swap(false, SeqCst) {
            told.store(true, SeqCst);
            panic!("the test's own failure");
        }
        reading(record)
    };
    let source = KinesisSource::with_metadata(STREAM, RecordFn(or_fail)).aws(aws_config(&world.endpoint));
    let source = source.get_records_interval(Duration::from_millis(20)).discovery_interval(Duration::from_millis(200));
    let source = source.initial_position(InitialPosition::Latest);
    let job = submit(source.clone(), 1, world.out.path(), world.config());
    until_running(&job);
    world.stream.put(10, 5);
    until_read(&job, world.stream.readings());
    // Closed since the first start, so not passed over by the second.
    world.stream.split(0);
    fails.store(true, SeqCst);
    world.stream.put(10, 5);
    while !failed.load(SeqCst) || job.status().restarts == 0 {
        assert!(job.wait_timeout(Duration::from_millis(5)).expect("it restarts").is_none());
    }
    assert!(job.status().restored_from.is_none(), "it had a checkpoint");
    let savepoint = stop(job);
    let rest = submit(source.bounded_at_now(), 1, world.out.path(), world.restored(savepoint));
    rest.wait().expect("it has come to its end");
    world.is_whole();
}

#[test]
fn a_stream_that_is_not_there_is_said_before_anything_runs() {
    let Some(world) = lite(1) else { return };
    let dir = directory();
    let env = Environment::new("kinesis");
    let source = KinesisSource::with_metadata("nowhere", RecordFn(reading)).aws(aws_config(&world.endpoint));
    let readings = env.from_source(source, WatermarkStrategy::no_watermarks(), "readings");
    readings.uid("readings").sink_to(JsonFilesSink::new(dir.path().join("out"))).uid("out");
    let job = support::submit(env.graph().expect("a job"), world.config());
    let Err(e) = job else { panic!("a job without its stream") };
    let words = e.to_string();
    assert!(words.contains("stream 'nowhere' does not exist in region us-east-1"), "{words}");
    assert!(!words.contains('\n'), "{words}");
}
