//! Enhanced fan-out. kinesis-local ends every subscription at once; ministack pushes as Kinesis does, with the children
//! of a shard that has ended, and refuses a consumer that subscribes to a shard twice.

use std::time::Duration;

use hurtig_engine::source::SourceReader;
use hurtig_kinesis::source::{EfoConsumer, KinesisSplit, ReaderType};
use hurtig_operators::connectors::testing::{Output, SourceHarness};
use hurtig_tests::kinesis_proxy::{Faults, KinesisProxy, Limits};

use super::{
    stream::{Reading, Stream},
    world::{ReadingSource, first_shard, local, ministack, poll_once, same, source, stop, until_read},
};
use crate::support::{checkpoint, until_running};

/// What Kinesis has, and so has ministack.
const FIVE_MINUTES: u32 = 300;

fn by_name() -> ReaderType {
    ReaderType::Efo(EfoConsumer::Name("readings".into()))
}

/// Registers a consumer; gives its ARN.
fn register(stream: &Stream) -> String {
    let register = stream.client.register_stream_consumer().stream_arn(stream.arn()).consumer_name("readings");
    let registered = stream.runtime.block_on(register.send()).expect("somebody's consumer");
    registered.consumer().expect("a consumer").consumer_arn().to_owned()
}

/// Waits until the consumer that a job has registered is gone: what is left after the job is the server's own delay.
fn until_deregistered(stream: &Stream) {
    for _ in 0..6000 {
        let consumers = stream.client.list_stream_consumers().stream_arn(stream.arn());
        let consumers = stream.runtime.block_on(consumers.send()).expect("consumers");
        // One that is being deleted is still named.
        if consumers.consumers().iter().all(|c| c.consumer_status().as_str() == "DELETING") {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("the consumer was not deregistered");
}

#[test]
fn a_stream_that_was_split_is_read_and_the_consumer_given_back() {
    let Some(mut world) = local(1) else { return };
    world.stream.put(20, 5);
    world.stream.split(0);
    world.stream.put(20, 5);
    let source = world.source().reader_type(by_name()).bounded_at_now();
    world.submit(source, 2).wait().expect("it has come to its end");
    world.is_whole();
    until_deregistered(&world.stream);
}

#[test]
fn a_consumer_that_was_there_before_is_left_there() {
    let Some(mut world) = local(1) else { return };
    world.stream.put(20, 5);
    let arn = register(&world.stream);
    let source = world.source().reader_type(by_name()).bounded_at_now();
    world.submit(source, 1).wait().expect("it has come to its end");
    world.is_whole();
    let consumer = world.stream.client.describe_stream_consumer().consumer_arn(arn);
    let consumer = world.stream.runtime.block_on(consumer.send()).expect("still there");
    let status = consumer.consumer_description().expect("a description").consumer_status();
    assert_eq!(status.as_str(), "ACTIVE");
}

#[test]
fn a_shard_ends_with_its_children_and_a_restore_subscribes_behind_what_was_read() {
    let Some(mut world) = ministack(2, FIVE_MINUTES) else { return };
    let source = world.source().reader_type(by_name());
    let job = world.submit(source.clone(), 1);
    until_running(&job);
    // All is read before a shard is closed: ministack throws away what is in it then.
    let put_and_read = |stream: &mut Stream| {
        stream.put(20, 5);
        until_read(&job, stream.readings());
    };
    put_and_read(&mut world.stream);
    world.stream.split(0);
    put_and_read(&mut world.stream);
    checkpoint(&job);
    world.stream.split(2);
    put_and_read(&mut world.stream);
    world.stream.merge(0);
    put_and_read(&mut world.stream);
    let savepoint = stop(job);
    world.stream.put(20, 5);
    world.restore(savepoint, source.bounded_at_now(), 2).wait().expect("it has come to its end");
    world.is_whole();
    // That the job has registered it was in the savepoint.
    until_deregistered(&world.stream);
}

/// A reader of the first shard as this consumer.
fn subscribed(source: &ReadingSource, stream: &Stream, arn: &str) -> SourceHarness<ReadingSource> {
    let split = KinesisSplit { consumer_arn: Some(arn.to_owned()), ..first_shard(stream, None) };
    SourceHarness::with_splits(source, vec![split]).expect("a reader")
}

/// Reads until all is there.
fn read_all(harness: &mut SourceHarness<ReadingSource>, out: &mut Output<Reading>, stream: &Stream) {
    while (out.len() as u64) < stream.readings() {
        poll_once(harness, out).expect("read");
    }
}

fn is_whole(out: &Output<Reading>, stream: &Stream) {
    let mut read = out.values();
    read.sort();
    same(&read, &stream.expected());
}

#[test]
fn a_subscription_that_has_come_to_its_time_is_renewed() {
    let Some(mut world) = ministack(1, 1) else { return };
    let arn = register(&world.stream);
    let proxy = KinesisProxy::start(&world.endpoint, 7, Faults::default()).expect("a proxy");
    let mut harness = subscribed(&source(&proxy.endpoint()), &world.stream, &arn);
    let mut out = Output::default();
    // Nothing but subscribing is asked of the server.
    for renewals in 1..5 {
        world.stream.put(5, 4);
        read_all(&mut harness, &mut out, &world.stream);
        while proxy.counters().calls <= renewals {
            harness.reader.poll(7, &mut out).expect("nothing is wrong with an end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    is_whole(&out, &world.stream);
}

#[test]
fn a_subscription_that_is_cut_is_taken_up_again_when_it_may_be() {
    let Some(mut world) = ministack(1, FIVE_MINUTES) else { return };
    let arn = register(&world.stream);
    // With its limits, it refuses a subscription within five seconds of the last.
    let faults = Faults { limits: Some(Limits::default()), cut_after: 1.0, ..Faults::default() };
    let proxy = KinesisProxy::start(&world.endpoint, 7, faults).expect("a proxy");
    let mut harness = subscribed(&source(&proxy.endpoint()), &world.stream, &arn);
    let mut out = Output::default();
    while proxy.counters().subscribed_too_soon == 0 {
        harness.reader.poll(7, &mut out).expect("a cut is no failure");
        std::thread::sleep(Duration::from_millis(5));
    }
    proxy.update(|faults| faults.cut_after = 0.0);
    world.stream.put(5, 4);
    read_all(&mut harness, &mut out, &world.stream);
    is_whole(&out, &world.stream);
}

#[test]
fn two_readers_of_one_consumer_take_the_shard_from_one_another_and_both_read_all() {
    let Some(mut world) = ministack(1, FIVE_MINUTES) else { return };
    let arn = register(&world.stream);
    let source = world.source();
    let (mut one, mut ones) = (subscribed(&source, &world.stream, &arn), Output::default());
    world.stream.put(5, 4);
    read_all(&mut one, &mut ones, &world.stream);
    // Refused with ResourceInUse for five seconds; then the first is told the same in the middle of its stream.
    let (mut other, mut others) = (subscribed(&source, &world.stream, &arn), Output::default());
    read_all(&mut other, &mut others, &world.stream);
    world.stream.put(5, 4);
    read_all(&mut one, &mut ones, &world.stream);
    read_all(&mut other, &mut others, &world.stream);
    is_whole(&ones, &world.stream);
    is_whole(&others, &world.stream);
}
