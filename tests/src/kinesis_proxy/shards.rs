//! What the proxy knows of the streams: which shard a key belongs to, which one an iterator reads.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use md5::{Digest, Md5};
use serde::Deserialize;

/// For how long it is believed which shards are open: others may reshard without asking the proxy.
const BELIEVED: Duration = Duration::from_millis(500);

/// A shard of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ShardName {
    /// The stream.
    pub stream: Arc<str>,
    /// `shardId-000000000000`
    pub shard: Arc<str>,
}

/// The shards of a stream that take records.
#[derive(Debug)]
pub struct OpenShards {
    asked: Instant,
    ranges: Vec<(u128, u128, Arc<str>)>,
}

impl OpenShards {
    /// What ListShards has answered at a time.
    pub fn new(pages: Vec<ListShards>, asked: Instant) -> Self {
        let shards = pages.into_iter().flat_map(|page| page.shards);
        let open = shards.filter(|shard| shard.sequence_numbers.end.is_none());
        let ranges = open.filter_map(|shard| {
            let hash_keys = shard.hash_keys;
            Some((hash_keys.start.parse().ok()?, hash_keys.end.parse().ok()?, shard.id.into()))
        });
        OpenShards { asked, ranges: ranges.collect() }
    }

    /// Whether it is to be asked again.
    pub fn is_old(&self, now: Instant) -> bool {
        now - self.asked > BELIEVED
    }

    /// The shard that a hash key belongs to.
    pub fn of(&self, hash_key: u128) -> Option<&Arc<str>> {
        let mut ranges = self.ranges.iter();
        ranges.find(|(start, end, _)| (*start..=*end).contains(&hash_key)).map(|(_, _, shard)| shard)
    }
}

/// The hash key of a record.
pub fn hash_key(partition_key: &str, explicit: Option<&str>) -> u128 {
    let given = explicit.and_then(|key| key.parse().ok());
    given.unwrap_or_else(|| u128::from_be_bytes(Md5::digest(partition_key).into()))
}

/// A stream's name, of itself or of its ARN.
pub fn stream_name(name: Option<&str>, arn: Option<&str>) -> Option<Arc<str>> {
    let of_arn = || arn.and_then(|arn| arn.split("stream/").nth(1)).and_then(|rest| rest.split('/').next());
    name.or_else(of_arn).map(Arc::from)
}

/// The iterators that were given out, and when.
#[derive(Debug, Default)]
pub struct Iterators {
    given: HashMap<String, (ShardName, Instant)>,
    cleared: usize,
}

impl Iterators {
    /// One was given out.
    pub fn add(&mut self, iterator: String, shard: ShardName, now: Instant) {
        self.given.insert(iterator, (shard, now));
        // Those that nobody can use any more, now and then.
        if self.given.len() > 2 * self.cleared + 10_000 {
            self.given.retain(|_, (_, given)| now - *given < Duration::from_secs(600));
            self.cleared = self.given.len();
        }
    }

    /// The shard that it reads, and when it was given out.
    pub fn get(&self, iterator: &str) -> Option<(ShardName, Instant)> {
        self.given.get(iterator).cloned()
    }
}

/// An answer of ListShards.
#[derive(Debug, Deserialize)]
pub struct ListShards {
    #[serde(rename = "Shards")]
    shards: Vec<Shard>,
    /// More are to be asked for.
    #[serde(rename = "NextToken")]
    pub next: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Shard {
    #[serde(rename = "ShardId")]
    id: String,
    #[serde(rename = "HashKeyRange")]
    hash_keys: HashKeys,
    #[serde(rename = "SequenceNumberRange")]
    sequence_numbers: SequenceNumbers,
}

#[derive(Debug, Deserialize)]
struct HashKeys {
    #[serde(rename = "StartingHashKey")]
    start: String,
    #[serde(rename = "EndingHashKey")]
    end: String,
}

#[derive(Debug, Deserialize)]
struct SequenceNumbers {
    #[serde(rename = "EndingSequenceNumber")]
    end: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_keys() {
        let arn = "arn:aws:kinesis:us-east-1:000000000000:stream/readings";
        assert_eq!(stream_name(None, Some(arn)).as_deref(), Some("readings"));
        let consumer = format!("{arn}/consumer/fan-out:1");
        assert_eq!(stream_name(None, Some(&consumer)).as_deref(), Some("readings"));
        assert_eq!(stream_name(Some("a"), None).as_deref(), Some("a"));
        assert_eq!(hash_key("", None), 0xd41d_8cd9_8f00_b204_e980_0998_ecf8_427e);
        assert_eq!(hash_key("x", Some("17")), 17);
    }
}
