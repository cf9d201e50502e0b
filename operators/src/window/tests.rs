//! The window operator, record by record.

use std::{collections::BTreeMap, marker::PhantomData};

use hurtig_engine::{Origin, Record, harness::OneInputHarness, operator::Then, task::OutputTag, time::mins};
use hurtig_state::AggregateFunction;

use super::*;
use crate::{
    flat_map::FlatMap,
    subtasks::{BACKENDS, Subtasks},
};

/// Meter and Wh.
type Reading = (u32, i64);
/// Meter, beginning of the window, sum.
type Total = (u32, i64, i64);

#[derive(Clone)]
struct Sum;

impl AggregateFunction for Sum {
    type In = Reading;
    type Acc = i64;
    type Out = i64;

    fn create_accumulator(&self) -> i64 {
        0
    }

    fn add(&self, accumulator: &mut i64, reading: Reading) {
        *accumulator += reading.1;
    }

    fn get_result(&self, accumulator: &i64) -> i64 {
        *accumulator
    }

    fn merge(&self, accumulator: &mut i64, other: i64) {
        *accumulator += other;
    }
}

type Factory = WindowAggregate<u32, Reading, fn(&Reading) -> u32, Sum, fn(&u32, TimeWindow, i64) -> Total>;

fn minutes(lateness: i64, late: Option<&OutputTag<Reading>>) -> Factory {
    WindowAggregate {
        key: meter,
        assigner: TumblingEventTimeWindows::of(mins(1)),
        lateness,
        late: late.cloned(),
        aggregate: Sum,
        result: |meter, window, sum| (*meter, window.start, sum),
        _key: PhantomData,
    }
}

fn meter(reading: &Reading) -> u32 {
    reading.0
}

const MIN: i64 = 60_000;

#[test]
fn a_window_fires_once_when_the_watermark_has_passed_its_last_millisecond() {
    let mut harness = OneInputHarness::new(minutes(0, None)).expect("started").output_capacity(1);
    for (reading, time) in [((1, 5), 0), ((2, 7), MIN - 1), ((1, 3), MIN - 1), ((1, 100), MIN)] {
        harness.push_at(reading, time).expect("taken");
    }
    harness.watermark(MIN - 2).expect("event time");
    assert!(harness.take().is_empty());
    harness.watermark(MIN - 1).expect("event time");
    let mut fired = harness.take();
    fired.sort_by_key(|r| r.value);
    assert_eq!(fired, [Record::at((1, 0, 8), MIN - 1), Record::at((2, 0, 7), MIN - 1)]);
    harness.watermark(MIN).expect("event time");
    assert!(harness.take().is_empty());
    harness.end_of_input().expect("ended");
    assert_eq!(harness.take_values(), [(1, MIN, 100)]);
}

#[test]
fn a_record_that_is_late_but_allowed_fires_its_window_again() {
    let mut harness = OneInputHarness::new(minutes(2 * MIN, None)).expect("started");
    harness.push_at((1, 5), 10).expect("taken");
    harness.watermark(MIN - 1).expect("event time");
    assert_eq!(harness.take_values(), [(1, 0, 5)]);
    harness.watermark(3 * MIN - 2).expect("event time");
    harness.push_at((1, 1), 20).expect("taken");
    harness.push_at((2, 9), 30).expect("taken");
    assert_eq!(harness.take(), [Record::at((1, 0, 6), MIN - 1), Record::at((2, 0, 9), MIN - 1)]);
    harness.watermark(3 * MIN - 1).expect("event time");
    assert!(harness.take().is_empty(), "its end is no new result");
    harness.push_record(Record { value: (1, 4), timestamp: 20, origin: Origin::new(0, 8) }).expect("taken");
    assert!(harness.take().is_empty());
    let letters = harness.take_dead_letters();
    assert_eq!(letters.len(), 1);
    assert_eq!((letters[0].time, letters[0].position, letters[0].raw.as_slice()), (Some(20), Some(8), &b"[1,4]"[..]));
    assert!(letters[0].reason.starts_with("late: "), "{}", letters[0].reason);
}

#[test]
fn late_records_go_where_they_are_sent() {
    let tag = OutputTag::new("late");
    let mut harness = OneInputHarness::new(minutes(0, Some(&tag))).expect("started");
    harness.keep_side(&tag);
    harness.watermark(MIN - 1).expect("event time");
    let late = Record { value: (1, 4), timestamp: MIN - 1, origin: Origin::new(0, 8) };
    harness.push_record(late.clone()).expect("taken");
    harness.push_at((1, 5), MIN).expect("taken");
    assert_eq!(harness.take_side(&tag), [late]);
    harness.end_of_input().expect("ended");
    assert_eq!(harness.take_values(), [(1, MIN, 5)]);
    assert!(harness.take_dead_letters().is_empty());
}

#[test]
fn a_record_without_a_time_is_a_letter_and_not_the_end_of_the_job() {
    let mut harness = OneInputHarness::new(minutes(0, None)).expect("started");
    harness.push((1, 4)).expect("taken");
    harness.push_at((1, 5), i64::MIN + 1).expect("taken");
    harness.push_at((1, 6), i64::MAX - 1).expect("taken");
    let letters = harness.take_dead_letters();
    assert_eq!((letters.len(), letters[0].raw.as_slice()), (1, &b"[1,4]"[..]));
    assert!(letters[0].reason.contains("no timestamp"), "{}", letters[0].reason);
    harness.end_of_input().expect("ended");
    assert_eq!(harness.take_values().iter().map(|t| t.2).collect::<Vec<_>>(), [5, 6]);
}

/// Many keys, many windows, small outputs, and three parallelisms one after the other.
#[test]
fn a_restore_at_another_parallelism_neither_loses_nor_repeats_a_result() {
    for backend in BACKENDS {
        let dir = tempfile::tempdir().expect("dir");
        let mut expected = BTreeMap::<(i64, u32), i64>::new();
        let mut found = Vec::new();
        let mut snapshots = Vec::new();
        for (stage, parallelism) in [2, 3, 1].into_iter().enumerate() {
            let place = dir.path().join(stage.to_string());
            let mut subtasks = Subtasks::start(&minutes(0, None), meter, parallelism, backend, &place, &snapshots);
            let begin = stage as i64 * 10 * MIN;
            for n in 0..2_000_i64 {
                let (key, time) = ((n % 61) as u32, begin + n * 700 % (15 * MIN));
                subtasks.push_at((key, n), time);
                *expected.entry((time / MIN * MIN, key)).or_default() += n;
            }
            subtasks.watermark(begin + 10 * MIN - 1);
            found.extend(subtasks.take());
            snapshots = subtasks.snapshot();
            subtasks.watermark(begin + 10 * MIN - 1);
            assert!(subtasks.take().is_empty());
            if parallelism == 1 {
                subtasks.watermark(i64::MAX);
                found.extend(subtasks.take());
            }
        }
        found.sort();
        let expected = expected.into_iter().map(|((start, key), sum)| (start + MIN - 1, (key, start, sum)));
        assert_eq!(found, expected.collect::<Vec<_>>(), "{backend:?}");
    }
}

/// Behind a window there may be anything: all of a pane goes through it, in slices.
#[test]
fn a_chain_behind_a_window_is_driven_in_slices_too() {
    let chain = Then::new(minutes(0, None), FlatMap::new(|(meter, ..): Total| [meter, meter + 10_000]));
    let mut harness = OneInputHarness::new(chain).expect("started").output_capacity(1);
    for n in 0..3_000_u32 {
        harness.push_at((n, 1), 5).expect("taken");
    }
    harness.end_of_input().expect("ended");
    let mut all = harness.take_values();
    all.sort_unstable();
    assert_eq!(all, (0..3_000).chain(10_000..13_000).collect::<Vec<u32>>());
}
