//! The source without a network: shards, buffers, pace, de-aggregation.

#[path = "source/pace.rs"]
mod pace;
#[path = "source/queue.rs"]
mod queue;
#[path = "source/tracker.rs"]
mod tracker;
#[path = "source/unpack.rs"]
mod unpack;

use hurtig_kinesis::source::{Failure, Shard};

fn shard(id: &str, parents: &[&str], hash_keys: (u128, u128)) -> Shard {
    Shard { id: id.into(), parents: parents.iter().map(|p| (*p).into()).collect(), hash_keys, closed: false }
}

#[test]
fn shards_are_spread_by_the_middle_of_their_range() {
    let quarter = u128::MAX / 4;
    let reader = |n: u128, readers| shard("s", &[], (n * quarter, (n + 1) * quarter - 1)).uniform_reader(readers);
    assert_eq!([0, 1, 2, 3].map(|n| reader(n, 4)), [0, 1, 2, 3]);
    assert_eq!([0, 1, 2, 3].map(|n| reader(n, 2)), [0, 0, 1, 1]);
    assert_eq!(shard("s", &[], (0, u128::MAX)).uniform_reader(3), 1);
    assert_eq!(shard("s", &[], (u128::MAX, u128::MAX)).uniform_reader(3), 2);
}

#[test]
fn errors_mean_what_they_ask_for() {
    let of = |code: Option<&str>, status| Failure::classify(code, status, "words".into());
    let words = || "words".to_owned();
    assert_eq!(of(Some("ProvisionedThroughputExceededException"), Some(400)), Failure::Throttled(words()));
    assert_eq!(of(Some("ExpiredIteratorException"), Some(400)), Failure::Expired);
    assert_eq!(of(Some("ResourceNotFoundException"), Some(400)), Failure::NotFound(words()));
    assert_eq!(of(Some("AccessDeniedException"), Some(400)), Failure::Refused(words()));
    assert_eq!(of(Some("ValidationException"), Some(400)), Failure::Refused(words()));
    assert_eq!(of(Some("InternalFailure"), Some(500)), Failure::Retry(words()));
    assert_eq!(of(Some("NeverHeardOf"), Some(503)), Failure::Retry(words()));
    // No answer, an answer cut short, a proxy's page.
    assert_eq!(of(None, None), Failure::Retry(words()));
    assert_eq!(of(None, Some(200)), Failure::Retry(words()));
    assert_eq!(of(None, Some(502)), Failure::Retry(words()));
    let early = "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis";
    let early = Failure::classify(Some("InvalidArgumentException"), Some(400), early.into());
    assert!(matches!(early, Failure::Retry(_)));
}
