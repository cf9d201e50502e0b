//! Where a key lies among the shards.

use md5::{Digest, Md5};

/// The 128-bit number that decides on the shard: the explicit hash key, else the MD5 of the
/// partition key. An explicit key that Kinesis would refuse ([`parse_hash_key`]) does not count.
pub fn hash_key(partition_key: &str, explicit_hash_key: Option<&str>) -> u128 {
    explicit_hash_key
        .and_then(parse_hash_key)
        .unwrap_or_else(|| u128::from_be_bytes(Md5::digest(partition_key.as_bytes()).into()))
}

/// Reads `0|([1-9]\d{0,38})`, which is how Kinesis writes a hash key, below 2^128.
pub fn parse_hash_key(decimal: &str) -> Option<u128> {
    let canonical = decimal == "0" || (decimal.as_bytes().first().is_some_and(|&b| (b'1'..=b'9').contains(&b)));
    canonical.then(|| decimal.parse().ok())?
}
