//! What "resource not found" means to a reader: the shard, the stream or the consumer.
//!
//! The words do not tell them apart: servers say "shard … does not exist" of a stream that was
//! deleted, and a stream may be called anything. So the shards are listed. Only a shard that left
//! with the retention counts as read, since the next checkpoint makes that final.

use crate::service::{Failure, Shard};

/// What is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Missing {
    /// The shard has left with the retention: it is read to its end.
    Shard,
    /// The stream.
    Stream,
    /// The consumer, or a shard that this stream never had (it was deleted and created again).
    Else,
    /// It cannot be told, or it is listed after all: ask again.
    Unclear,
}

/// Judges by the error's words, the consumer that reads the shard, and a listing.
pub fn judge(words: &str, shard_id: &str, consumer_arn: Option<&str>, listed: &Result<Vec<Shard>, Failure>) -> Missing {
    if consumer_arn.is_some_and(|arn| words.contains(arn)) {
        return Missing::Else;
    }
    match listed {
        Err(Failure::NotFound(_)) => Missing::Stream,
        // A stream has an open shard at any time but while it is created.
        Err(_) => Missing::Unclear,
        Ok(shards) if shards.is_empty() => Missing::Unclear,
        Ok(shards) if shards.iter().any(|s| s.id == shard_id) => match consumer_arn {
            Some(_) => Missing::Else,
            None => Missing::Unclear,
        },
        // Ids grow: the retention takes no shard that is newer than all others.
        Ok(shards) if shards.iter().all(|s| s.id.as_str() < shard_id) => Missing::Else,
        Ok(_) => Missing::Shard,
    }
}
