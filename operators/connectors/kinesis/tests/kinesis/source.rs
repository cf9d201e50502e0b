//! The source without a network: shards, buffers, pace, de-aggregation.

#[path = "source/pace.rs"]
mod pace;
#[path = "source/queue.rs"]
mod queue;
#[path = "source/tracker.rs"]
mod tracker;
#[path = "source/unpack.rs"]
mod unpack;

use hurtig_kinesis::source::{
    Failure, Shard,
    missing::{Missing, judge},
};

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
    let refused = |what: &str| Failure::Refused(format!("words{what}"));
    assert_eq!(of(Some("AccessDeniedException"), Some(400)), refused(": allow it to these credentials"));
    assert_eq!(of(Some("ValidationException"), Some(400)), refused(": check the options and the stream's own limits"));
    assert_eq!(of(Some("UnknownOperationException"), Some(400)), refused(""));
    // The next request is signed with newer ones.
    assert_eq!(of(Some("ExpiredTokenException"), Some(400)), Failure::Retry(words()));
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

/// Only a shard that is gone while its stream is there counts as read.
#[test]
fn not_found_is_the_shard_the_stream_or_the_consumer() {
    let listed = || Ok(["shardId-000000000001", "shardId-000000000003"].map(|id| shard(id, &[], (0, 9))).to_vec());
    let arn = "arn:aws:kinesis:us-east-1:1:stream/consumers/consumer/readings:5";
    let no_consumer = format!("ResourceNotFoundException: Consumer {arn} not found.");
    // The words of kinesalite, also for a stream that was deleted.
    let no_shard = "Shard shardId-000000000000 in stream consumers under account 1 does not exist";
    let of = |words: &str, id, arn, listed| judge(words, id, arn, &listed);
    assert_eq!(of(no_shard, "shardId-000000000000", None, listed()), Missing::Shard);
    assert_eq!(of(no_shard, "shardId-000000000000", Some(arn), listed()), Missing::Shard);
    assert_eq!(of(&no_consumer, "shardId-000000000000", Some(arn), listed()), Missing::Else);
    assert_eq!(of(no_shard, "shardId-000000000000", None, Err(Failure::NotFound(String::new()))), Missing::Stream);
    assert_eq!(of(no_shard, "shardId-000000000000", None, Err(Failure::Retry(String::new()))), Missing::Unclear);
    assert_eq!(of(no_shard, "shardId-000000000001", None, listed()), Missing::Unclear);
    assert_eq!(of("not found", "shardId-000000000001", Some(arn), listed()), Missing::Else);
    assert_eq!(of(no_shard, "shardId-000000000000", None, Ok(Vec::new())), Missing::Unclear);
    // A stream of the same name that is younger.
    assert_eq!(of(no_shard, "shardId-000000000007", None, listed()), Missing::Else);
}
