//! Reading a shard by GetRecords.

use std::time::Duration;

use aws_sdk_kinesis::types::ShardIteratorType;
use aws_smithy_types::DateTime;
use tokio::time::{Instant, sleep};

use super::{
    fetch::{Fetcher, Then},
    pace::Pace,
    split::Position,
};
use crate::{error::Result, service::Failure};

/// An iterator is good for five minutes: one that waited longer than this for room is not tried.
const ITERATOR_AGE: Duration = Duration::from_secs(280);

impl Position {
    /// What the service calls it: the type, the sequence number, the time.
    pub(super) fn to_request(&self) -> (ShardIteratorType, Option<String>, Option<DateTime>) {
        match self {
            Position::TrimHorizon => (ShardIteratorType::TrimHorizon, None, None),
            Position::AtTimestamp(ms) => (ShardIteratorType::AtTimestamp, None, Some(DateTime::from_millis(*ms))),
            Position::After(n) => (ShardIteratorType::AfterSequenceNumber, Some(n.clone()), None),
            Position::Within { sequence_number, .. } => {
                (ShardIteratorType::AtSequenceNumber, Some(sequence_number.clone()), None)
            }
        }
    }
}

impl Fetcher {
    /// Reads to the end.
    pub async fn poll(mut self) -> Result<()> {
        let mut pace = Pace::new(self.shared.options.pace, self.queue.budget().target());
        let mut iterator: Option<(String, Instant)> = None;
        let mut refused = false;
        loop {
            self.queue.room().await;
            pace.set_target(self.queue.budget().target());
            let fresh = iterator.take().filter(|(_, since)| since.elapsed() < ITERATOR_AGE);
            let (current, since) = match fresh {
                Some(iterator) => iterator,
                None => match self.shard_iterator().await {
                    Ok(Some(new)) => (new, Instant::now()),
                    Ok(None) => return Ok(()),
                    Err(failure) => match self.recover("GetShardIterator", failure).await? {
                        Then::Again => continue,
                        Then::Stop => return Ok(()),
                    },
                },
            };
            let request = self.client.data.get_records().set_stream_arn(self.client.arn());
            let request = request.shard_iterator(&current).limit(pace.limit());
            match request.send().await {
                Ok(read) => {
                    refused = false;
                    let (at_bound, records, bytes) = self.deliver(read.records, read.millis_behind_latest);
                    let Some(next) = read.next_shard_iterator.filter(|_| !at_bound) else { return Ok(()) };
                    iterator = Some((next, Instant::now()));
                    sleep(pace.read(records, bytes)).await;
                }
                Err(e) => {
                    let failure = Failure::of(&e);
                    // Anything else may be the iterator's fault, whatever the server calls it.
                    if matches!(failure, Failure::Throttled(_)) {
                        pace.throttled();
                        iterator = Some((current, since));
                    }
                    // A server that was started again may not know the iterators it gave.
                    if matches!(failure, Failure::Refused(_)) && !std::mem::replace(&mut refused, true) {
                        self.shared.metrics.retried.add(1);
                        continue;
                    }
                    if self.recover("GetRecords", failure).await? == Then::Stop {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// A new iterator at the position; none, when the shard ends there.
    async fn shard_iterator(&self) -> Result<Option<String>, Failure> {
        let (kind, sequence_number, timestamp) = self.position.to_request();
        let request = self.client.data.get_shard_iterator().shard_id(&self.split.shard.id);
        let request = request.set_stream_name(self.client.name()).set_stream_arn(self.client.arn());
        let request = request.shard_iterator_type(kind).set_timestamp(timestamp);
        let sent = request.set_starting_sequence_number(sequence_number).send().await;
        sent.map(|out| out.shard_iterator).map_err(|e| Failure::of(&e))
    }
}
