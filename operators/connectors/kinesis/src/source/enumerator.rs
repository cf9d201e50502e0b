//! Gives the shards to the readers: parents first, each shard once.

use std::sync::Arc;

use hurtig_engine::{
    error::{Result, from_bytes, to_bytes},
    source::{Assignments, EnumeratorContext, SplitEnumerator},
};
use serde::{Deserialize, Serialize};

use super::{
    client::StreamClient,
    consumer::{self, Consumer},
    discovery::Discovery,
    metrics::EnumeratorMetrics,
    options::{InitialPosition, Options},
    split::{KinesisSplit, Position},
    tracker::{Assigner, ShardTracker},
};
use crate::{
    kpl,
    service::{Failure, Shard},
};

const STATE: &str = "the Kinesis source's enumerator";

/// What a checkpoint holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct State {
    tracker: ShardTracker,
    /// The consumer that this job registered.
    registered: Option<String>,
}

/// Finds shards and assigns them. What it decides is in [`ShardTracker`], which is also its state.
pub struct KinesisEnumerator {
    tracker: ShardTracker,
    assigner: Assigner,
    options: Arc<Options>,
    discovery: Discovery,
    /// What was listed at the start, until the restored splits are back.
    first: Option<Vec<Shard>>,
    /// The listing that shows the children of the shard that ended last, and the last one seen.
    needed: u64,
    seen: u64,
    consumer: Option<String>,
    /// The consumer that this job registered: it is deregistered at the end.
    registered: Option<String>,
    /// Whether all was read.
    over: bool,
    metrics: EnumeratorMetrics,
}

impl Drop for KinesisEnumerator {
    fn drop(&mut self) {
        let Some(arn) = self.consumer.take().filter(|c| self.registered.as_ref() == Some(c) && self.over) else {
            return;
        };
        let options = self.options.clone();
        // The job's runtime has ended by now, and the client's connections with it.
        let done = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.map(|runtime| runtime.block_on(consumer::deregister(&options, &arn)))
        });
        if !matches!(done.join(), Ok(Ok(()))) {
            tracing::warn!("the consumer of enhanced fan-out could not be deregistered: no runtime");
        }
    }
}

impl KinesisEnumerator {
    /// Reaches the stream: what is wrong with it is said here. Waits for the network.
    pub(super) fn open(options: Arc<Options>, ctx: EnumeratorContext, restored: Option<Vec<u8>>) -> Result<Self> {
        let restored = restored.map(|bytes| from_bytes::<State>(STATE, &bytes)).transpose()?;
        let (client, shards, consumer) = ctx.runtime.block_on(reach(&options))?;
        // Taken after the listing: what was closed in it has nothing newer.
        let now = ctx.clock.now_ms();
        let bound = options.bounded.then_some(now);
        let mut registered = consumer.as_ref().filter(|c| c.is_new).map(|c| c.arn.clone());
        let (tracker, first) = match restored {
            Some(State { mut tracker, registered: before }) => {
                registered = registered.or(before);
                tracker.bound(bound);
                (tracker, Some(shards))
            }
            None => (first_tracker(options.initial, now, bound, &shards), None),
        };
        let metrics = EnumeratorMetrics::new(&ctx.metrics, options.stream_name());
        let seed = kpl::hash_key(&format!("{}/{}", ctx.job, ctx.uid), None) as u64;
        let discovery = Discovery::start(
            client,
            options.discovery_interval,
            seed,
            ctx.waker,
            metrics.retried.clone(),
            &ctx.runtime,
        );
        Ok(KinesisEnumerator {
            tracker,
            assigner: Assigner::default(),
            options,
            discovery,
            first,
            needed: 0,
            seen: 0,
            consumer: consumer.map(|c| c.arn),
            registered,
            over: false,
            metrics,
        })
    }

    fn publish(&self) {
        let (waiting, assigned, finished) = self.tracker.counts();
        let set = |gauge: &hurtig_engine::metrics::Gauge, n| gauge.set(i64::try_from(n).unwrap_or(i64::MAX));
        set(&self.metrics.waiting, waiting);
        set(&self.metrics.assigned, assigned);
        set(&self.metrics.finished, finished);
    }
}

type Reached = (StreamClient, Vec<Shard>, Option<Consumer>);

async fn reach(options: &Options) -> crate::error::Result<Reached> {
    let client = StreamClient::connect(options).await?;
    let shards = client.list_shards().await.map_err(|failure: Failure| client.error("ListShards", failure))?;
    let consumer = consumer::ensure(&client, &options.reader).await?;
    Ok((client, shards, consumer))
}

fn first_tracker(initial: InitialPosition, now: i64, bound: Option<i64>, shards: &[Shard]) -> ShardTracker {
    let start = match initial {
        InitialPosition::TrimHorizon => Position::TrimHorizon,
        InitialPosition::AtTimestamp(ms) => Position::AtTimestamp(ms),
        InitialPosition::Latest => Position::AtTimestamp(now),
    };
    let mut tracker = ShardTracker::new(start, bound);
    if initial == InitialPosition::Latest {
        tracker.skip(shards.iter().filter(|s| s.closed));
    }
    tracker.listed(shards);
    tracker
}

impl SplitEnumerator<KinesisSplit> for KinesisEnumerator {
    fn add_splits_back(&mut self, splits: Vec<KinesisSplit>) {
        self.tracker.give_back(splits);
    }

    fn poll(&mut self, ctx: &mut Assignments<KinesisSplit>) -> Result<()> {
        if let Some(first) = self.first.take() {
            self.tracker.listed(&first);
        }
        if let Some(listing) = self.discovery.take()? {
            self.tracker.listed(&listing.shards);
            self.assigner.retain(&self.tracker);
            self.seen = listing.pass;
        }
        let ready = self.tracker.take_ready();
        let (_, open, _) = self.tracker.counts();
        for mut split in ready {
            let reader = self.assigner.assign(&split.shard, ctx.readers(), open);
            split.consumer_arn = self.consumer.clone();
            ctx.assign(reader, split);
        }
        // The children of a shard that has just ended may not be known yet: they hold time back.
        let looking = self.seen < self.needed;
        ctx.unassigned(usize::from(looking));
        if self.tracker.is_bounded() && self.tracker.all_read() && !looking {
            ctx.no_more_splits();
            self.over = true;
        }
        self.publish();
        Ok(())
    }

    fn split_finished(&mut self, id: &str) {
        self.tracker.finish(id);
        self.assigner.finish(id);
        self.needed = self.discovery.look_now();
    }

    fn snapshot(&self) -> Result<Vec<u8>> {
        to_bytes(STATE, &State { tracker: self.tracker.clone(), registered: self.registered.clone() })
    }
}
