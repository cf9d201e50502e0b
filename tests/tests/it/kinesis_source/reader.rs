//! One reader of one shard, without a job.

use std::time::Duration;

use hurtig_kinesis::source::Position;
use hurtig_operators::connectors::testing::{Output, SourceHarness};
use hurtig_tests::kinesis_proxy::{Faults, KinesisProxy};

use super::{
    stream::STREAM,
    world::{first_shard, lite, poll_once, same, source},
};

#[test]
fn every_stop_within_an_aggregate_goes_on_with_the_rest_of_it() {
    let Some(mut world) = lite(1) else { return };
    let stream = &mut world.stream;
    stream.put(3, 20);
    stream.put(3, 20);
    let source = source(&world.endpoint);
    let (mut split, mut within, mut read) = (first_shard(stream, None), 0, Vec::new());
    while (read.len() as u64) < stream.readings() {
        let mut harness = SourceHarness::with_splits(&source, vec![split]).expect("a reader");
        let mut out = Output::default();
        poll_once(&mut harness, &mut out).expect("read");
        read.extend(out.values());
        split = harness.snapshot().expect("positions").remove(0);
        within += usize::from(matches!(split.position, Position::Within { .. }));
    }
    assert!(within >= 10, "{within} stops were within an aggregate");
    read.sort();
    same(&read, &stream.expected());
}

#[test]
fn a_shard_that_is_gone_is_read_to_its_end_and_a_stream_that_is_gone_is_not() {
    let Some(mut world) = lite(1) else { return };
    let stream = &mut world.stream;
    stream.put(3, 20);
    let source = source(&world.endpoint);
    // The server never heard of it, as of one that the retention has taken.
    let gone = first_shard(stream, Some("a-shard-of-old"));
    let mut harness = SourceHarness::with_splits(&source, vec![gone]).expect("a reader");
    let mut out = Output::default();
    poll_once(&mut harness, &mut out).expect("read");
    assert_eq!((out.finished, out.records.len()), (vec![0], 0));

    let mut harness = SourceHarness::with_splits(&source, vec![first_shard(stream, None)]).expect("a reader");
    let mut out = Output::default();
    poll_once(&mut harness, &mut out).expect("read");
    stream.runtime.block_on(stream.client.delete_stream().stream_name(STREAM).send()).expect("deleted");
    let failed = loop {
        out.records.clear();
        match poll_once(&mut harness, &mut out) {
            Ok(()) => assert!(out.finished.is_empty(), "a stream that was deleted is no shard's end"),
            Err(e) => break e.to_string(),
        }
    };
    assert!(failed.contains("stream 'meters' does not exist in region us-east-1"), "{failed}");
    assert!(!failed.contains('\n'), "{failed}");
}

#[test]
fn an_iterator_that_has_expired_is_taken_anew_behind_what_was_fetched() {
    let Some(mut world) = lite(1) else { return };
    let stream = &mut world.stream;
    (0..5).for_each(|_| stream.put(40, 2));
    let faults = Faults { expired_iterators: 0.3, ..Faults::default() };
    let proxy = KinesisProxy::start(&world.endpoint, 7, faults).expect("a proxy");
    let source = source(&proxy.endpoint()).max_record_count(7).get_records_interval(Duration::from_millis(1));
    let mut harness = SourceHarness::with_splits(&source, vec![first_shard(stream, None)]).expect("a reader");
    let mut out = Output::default();
    while (out.len() as u64) < stream.readings() {
        poll_once(&mut harness, &mut out).expect("read");
    }
    assert!(proxy.counters().expired_iterators > 0, "{:?}", proxy.counters());
    let mut read = out.values();
    read.sort();
    same(&read, &stream.expected());
}
