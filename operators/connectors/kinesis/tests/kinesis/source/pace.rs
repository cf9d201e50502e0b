//! How often and how much is read.

use std::time::Duration;

use hurtig_kinesis::source::pace::{Pace, PaceLimits};

const MIB: usize = 1 << 20;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

#[test]
fn reads_keep_to_five_calls_and_two_megabytes_a_second() {
    let mut pace = Pace::new(PaceLimits::default(), MIB);
    assert_eq!(pace.read(100, 10_000), ms(200));
    assert_eq!(pace.read(100, 1_000_000), ms(500));
    // What Kinesis itself would throttle for after 10 MiB.
    assert_eq!(pace.read(10_000, 10 * MIB).as_millis(), 5242);
}

#[test]
fn an_idle_shard_is_read_less_often_but_every_second() {
    let mut pace = Pace::new(PaceLimits::default(), MIB);
    let waits: Vec<_> = (0..6).map(|_| pace.read(0, 0)).collect();
    assert_eq!(waits, [ms(250), ms(500), ms(1000), ms(1000), ms(1000), ms(1000)]);
    pace.read(1, 100);
    assert_eq!(pace.read(0, 0), ms(250));
    for _ in 0..200 {
        assert!(pace.read(0, 0) <= ms(1000));
    }
}

#[test]
fn the_limit_follows_the_size_of_the_records() {
    let mut pace = Pace::new(PaceLimits::default(), MIB);
    pace.read(1, 100);
    assert_eq!(pace.limit(), 1024);
    for _ in 0..20 {
        pace.read(1000, 100 * 1000);
    }
    assert_eq!(pace.limit(), 10_000);
    for _ in 0..20 {
        pace.read(1, 500_000);
    }
    assert_eq!(pace.limit(), 2);
    pace.set_target(MIB / 8);
    assert_eq!(pace.limit(), 1);
}

/// A hundred shards of the largest records at once: one fetch of one record each, not of ten MiB.
#[test]
fn the_first_call_is_small_and_the_second_is_not() {
    let mut pace = Pace::new(PaceLimits::default(), MIB);
    pace.set_target(MIB / 8);
    assert_eq!(pace.limit(), 1);
    pace.read(0, 0);
    assert_eq!(pace.limit(), 1, "nothing was seen yet");
    pace.read(1, MIB);
    assert_eq!(pace.limit(), 1);
    let mut pace = Pace::new(PaceLimits::default(), MIB);
    assert_eq!(pace.read(1, 900), ms(200));
    assert_eq!(pace.limit(), 1024);
}

#[test]
fn a_shard_that_others_poll_too_is_polled_less_and_recovers() {
    let mut pace = Pace::new(PaceLimits::default(), MIB);
    pace.throttled();
    pace.throttled();
    assert_eq!(pace.read(1, 100), ms(720));
    for _ in 0..10 {
        pace.throttled();
    }
    assert_eq!(pace.read(1, 100), ms(1800));
    let calls = (0..100).position(|_| pace.read(1, 100) == ms(200));
    assert!(calls.is_some_and(|n| n < 30), "{calls:?}");
}
