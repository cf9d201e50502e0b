//! What both ways of fetching share: delivering records, and what follows an error.

use std::{sync::Arc, time::Duration};

use aws_sdk_kinesis::types::Record;
use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use hurtig_engine::{metrics::Gauge, task::pool::Waker, time::Clock};
use tokio::sync::OnceCell;

use super::{
    client::StreamClient,
    metrics::ReaderMetrics,
    missing::{Missing, judge},
    options::Options,
    queue::{End, Queue},
    split::{KinesisSplit, Position},
    unpack::StreamRecord,
};
use crate::{error::Result, kpl, service::Failure};

/// A consumer may subscribe to a shard once in so long: sooner is ResourceInUse.
const SUBSCRIPTION_IN_USE: Duration = Duration::from_secs(5);

/// What the fetchers of one reader share.
pub(super) struct Shared {
    pub options: Arc<Options>,
    pub metrics: ReaderMetrics,
    pub clock: Arc<dyn Clock>,
    pub waker: Waker,
    /// Seeds the jitter.
    pub seed: String,
    pub client: OnceCell<StreamClient>,
}

impl Shared {
    async fn client(&self) -> Result<StreamClient> {
        self.client.get_or_try_init(|| StreamClient::connect(&self.options)).await.cloned()
    }
}

/// Fetches one shard into its queue.
pub(super) struct Fetcher {
    pub shared: Arc<Shared>,
    pub client: StreamClient,
    pub split: KinesisSplit,
    pub queue: Arc<Queue>,
    /// Where the next request begins: behind what was fetched, not behind what was emitted.
    pub position: Position,
    behind: Gauge,
    seed: u64,
    waits: ExponentialBackoff,
    /// In a row.
    failures: u32,
}

/// Whether to go on after an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// Try again.
    Again,
    /// There is nothing more to read.
    Stop,
}

/// Fetches until the shard's end, and says so in the queue.
pub(super) async fn run(shared: Arc<Shared>, split: KinesisSplit, queue: Arc<Queue>, behind: Gauge) {
    let end = match fetch(shared.clone(), split, queue.clone(), behind).await {
        Ok(()) => End::Read,
        Err(e) => End::Failed(e),
    };
    queue.end(end, &shared.waker);
}

async fn fetch(shared: Arc<Shared>, split: KinesisSplit, queue: Arc<Queue>, behind: Gauge) -> Result<()> {
    let client = shared.client().await?;
    let seed = kpl::hash_key(&format!("{}/{}", shared.seed, split.shard.id), None) as u64;
    let (position, waits) = (split.position.clone(), backoff(seed));
    let fetcher = Fetcher { shared, client, split, queue, position, behind, seed, waits, failures: 0 };
    match fetcher.split.consumer_arn.clone() {
        Some(arn) => fetcher.subscribe(arn).await,
        None => fetcher.poll().await,
    }
}

/// Waits that grow from 0.2 s to 5 s, each with jitter of its own seed.
pub(super) fn backoff(seed: u64) -> ExponentialBackoff {
    ExponentialBuilder::new()
        .with_min_delay(Duration::from_millis(200))
        .with_max_delay(Duration::from_secs(5))
        .with_jitter()
        .with_jitter_seed(seed)
        .without_max_times()
        .build()
}

impl Fetcher {
    /// Queues what was fetched. Returns whether the bound of a bounded read was reached: at the
    /// first record that is newer, or when nothing came although we are at the shard's tip. That
    /// the service says it is at the tip does not count by itself: not every server knows.
    pub fn deliver(&mut self, records: Vec<Record>, millis_behind: Option<i64>) -> (bool, usize, usize) {
        let millis_behind = millis_behind.unwrap_or(0).max(0);
        self.behind.set(millis_behind);
        self.failures = 0;
        let mut records: Vec<StreamRecord> = records.into_iter().map(Into::into).collect();
        let (count, bytes) = (records.len(), records.iter().map(|r| r.data.len() + r.partition_key.len()).sum());
        let mut at_bound = false;
        if let Some(until) = self.split.until {
            at_bound = count == 0 && millis_behind == 0 && self.shared.clock.now_ms() > until;
            if let Some(newer) = records.iter().position(|r| r.arrival > until) {
                records.truncate(newer);
                at_bound = true;
            }
        }
        if let Some(last) = records.last() {
            self.position = Position::After(last.sequence_number.clone());
        }
        self.queue.push(records, &self.shared.waker);
        (at_bound, count, bytes)
    }

    /// Does what `failure` asks for: waits, gives up, or fails.
    pub async fn recover(&mut self, operation: &'static str, failure: Failure) -> Result<Then> {
        let (shard, stream) = (&self.split.shard.id, self.shared.options.stream_name());
        let words = match failure {
            Failure::Expired => {
                self.shared.metrics.expired.add(1);
                tracing::debug!(stream, shard, "the shard iterator has expired; a new one is taken");
                return Ok(Then::Again);
            }
            Failure::NotFound(words) => {
                let listed = self.client.list_shards().await;
                match judge(&words, shard, self.split.consumer_arn.as_deref(), &listed) {
                    Missing::Shard => {
                        tracing::warn!(stream, shard, "the shard is no longer there and counts as read: {words}");
                        return Ok(Then::Stop);
                    }
                    Missing::Stream => return Err(self.client.error("ListShards", Failure::NotFound(words))),
                    Missing::Else => return Err(self.client.error(operation, Failure::NotFound(words))),
                    Missing::Unclear => {
                        self.shared.metrics.retried.add(1);
                        words
                    }
                }
            }
            Failure::Refused(_) => return Err(self.client.error(operation, failure)),
            Failure::Throttled(words) => {
                self.shared.metrics.throttled.add(1);
                words
            }
            Failure::InUse(words) => {
                self.shared.metrics.retried.add(1);
                tokio::time::sleep(SUBSCRIPTION_IN_USE).await;
                words
            }
            Failure::Retry(words) => {
                self.shared.metrics.retried.add(1);
                words
            }
        };
        self.failures += 1;
        if self.failures == 1 {
            self.seed = self.seed.wrapping_add(1);
            self.waits = backoff(self.seed);
        }
        let wait = self.waits.next().unwrap_or(SUBSCRIPTION_IN_USE);
        if self.failures.is_power_of_two() && self.failures > 1 {
            tracing::warn!(stream, shard, failures = self.failures, "{operation} fails and is tried again: {words}");
        } else {
            tracing::debug!(stream, shard, "{operation} is tried again in {wait:?}: {words}");
        }
        tokio::time::sleep(wait).await;
        Ok(Then::Again)
    }
}
