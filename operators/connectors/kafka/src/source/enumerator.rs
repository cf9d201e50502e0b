//! Finds partitions and gives them to the readers.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use hurtig_engine::{
    error::{Result, from_bytes, to_bytes},
    source::{Assignments, EnumeratorContext, SplitEnumerator},
};
use serde::{Deserialize, Serialize};
use tokio::task::AbortHandle;

use super::{
    discovery::Discovery,
    offsets::{OffsetsInitializer, TopicPartition, watermarks},
    split::{KafkaSplit, split_owner},
};
use crate::client::lock;

/// What an enumerator is made with.
pub(super) struct Plan {
    pub starting: OffsetsInitializer,
    /// It ends where the partitions end when the job first starts.
    pub bounded: bool,
    /// How often to look for new partitions.
    pub interval: Option<Duration>,
}

/// What is in the checkpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    /// Every partition that was ever found: what is here, and with no reader, was read to its end.
    known: BTreeSet<TopicPartition>,
    /// Found, and not given to a reader yet.
    unassigned: Vec<KafkaSplit>,
}

/// Lists partitions at the start, and new ones from time to time.
pub(super) struct KafkaEnumerator {
    state: State,
    bounded: bool,
    found: Arc<Mutex<Vec<KafkaSplit>>>,
    looking: Option<AbortHandle>,
}

impl KafkaEnumerator {
    /// Asks the broker what there is: this may take as long as it takes.
    pub fn start(
        discovery: Discovery,
        plan: &Plan,
        ctx: &EnumeratorContext,
        restored: Option<Vec<u8>>,
    ) -> Result<KafkaEnumerator> {
        let partitions = discovery.partitions()?;
        let mut state = match restored {
            Some(bytes) => from_bytes::<State>("the Kafka enumerator", &bytes)?,
            None => State { known: partitions.clone(), unassigned: first_splits(&discovery, plan, &partitions)? },
        };
        if !plan.bounded {
            let new: Vec<_> = partitions.difference(&state.known).cloned().collect();
            state.known.extend(new.iter().cloned());
            state.unassigned.extend(discovery.earliest_of(new)?);
        }
        let found = Arc::new(Mutex::new(Vec::new()));
        let looking = plan.interval.filter(|_| !plan.bounded).map(|interval| {
            let (known, found, waker) = (state.known.clone(), found.clone(), ctx.waker.clone());
            let look = look(Arc::new(discovery), interval, known, found, move || waker.wake());
            ctx.runtime.spawn(look).abort_handle()
        });
        Ok(KafkaEnumerator { state, bounded: plan.bounded, found, looking })
    }
}

fn first_splits(discovery: &Discovery, plan: &Plan, partitions: &BTreeSet<TopicPartition>) -> Result<Vec<KafkaSplit>> {
    let partitions: Vec<_> = partitions.iter().cloned().collect();
    let starting = discovery.patiently(|client| plan.starting.resolve(client, &partitions))?;
    let mut splits = Vec::new();
    for (at, offset) in starting {
        let stopping = match plan.bounded {
            true => Some(discovery.patiently(|client| watermarks(client, &at))?.1),
            false => None,
        };
        // What is empty has no end that a reader could come to.
        if stopping.is_none_or(|s| offset < s) {
            splits.push(KafkaSplit { topic: at.0, partition: at.1, offset, stopping });
        }
    }
    Ok(splits)
}

/// Looks for new partitions until it is aborted.
async fn look(
    discovery: Arc<Discovery>,
    interval: Duration,
    mut known: BTreeSet<TopicPartition>,
    found: Arc<Mutex<Vec<KafkaSplit>>>,
    wake: impl Fn(),
) {
    loop {
        tokio::time::sleep(interval).await;
        let (asking, have) = (discovery.clone(), known.clone());
        let asked = tokio::task::spawn_blocking(move || {
            let new = asking.partitions()?.difference(&have).cloned().collect::<Vec<_>>();
            asking.earliest_of(new)
        });
        match asked.await {
            Ok(Ok(new)) if new.is_empty() => {}
            Ok(Ok(new)) => {
                known.extend(new.iter().map(|s| (s.topic.clone(), s.partition)));
                lock(&found).extend(new);
                wake();
            }
            // The readers say what is wrong with the broker; here it is asked again next time.
            Ok(Err(e)) => tracing::warn!("new partitions cannot be looked for: {e}"),
            Err(_) => return,
        }
    }
}

impl SplitEnumerator<KafkaSplit> for KafkaEnumerator {
    fn add_splits_back(&mut self, splits: Vec<KafkaSplit>) {
        self.state.unassigned.extend(splits);
    }

    fn poll(&mut self, ctx: &mut Assignments<KafkaSplit>) -> Result<()> {
        for split in lock(&self.found).drain(..) {
            self.state.known.insert((split.topic.clone(), split.partition));
            self.state.unassigned.push(split);
        }
        for split in self.state.unassigned.drain(..) {
            ctx.assign(split_owner(&split.topic, split.partition, ctx.readers()), split);
        }
        if self.bounded {
            ctx.no_more_splits();
        }
        Ok(())
    }

    fn snapshot(&self) -> Result<Vec<u8>> {
        to_bytes("the Kafka enumerator", &self.state)
    }
}

impl Drop for KafkaEnumerator {
    fn drop(&mut self) {
        if let Some(looking) = &self.looking {
            looking.abort();
        }
    }
}
