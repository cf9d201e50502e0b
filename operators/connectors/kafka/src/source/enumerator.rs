//! Finds partitions and gives them to the readers.

use std::{
    collections::{BTreeMap, BTreeSet},
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
    discovery::{Discovery, Topics},
    offsets::{OffsetsInitializer, TopicPartition, watermarks},
    split::{KafkaSplit, split_owner},
};
use crate::client::lock;

/// What an enumerator is made with.
pub(super) struct Plan {
    pub starting: OffsetsInitializer,
    /// It ends where the partitions end when the job first starts so: also a job that has been without an end.
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
    /// Where the partitions end, once the job has an end.
    ends: Option<BTreeMap<TopicPartition, i64>>,
}

/// Lists partitions at the start, and new ones from time to time.
pub(super) struct KafkaEnumerator {
    state: State,
    /// Ends that the job had before it was restored without one.
    lost: BTreeMap<TopicPartition, i64>,
    found: Arc<Mutex<Vec<KafkaSplit>>>,
    /// The job may have been restored with other topics than it had.
    topics: Topics,
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
            None => {
                let unassigned = first_splits(&discovery, plan, &partitions)?;
                State { known: partitions.clone(), unassigned, ends: None }
            }
        };
        // What is taken up again later begins at its beginning, as what was never there.
        state.known.retain(|(topic, _)| discovery.topics.have(topic));
        if let Some(ends) = &mut state.ends {
            ends.retain(|(topic, _), _| discovery.topics.have(topic));
        }
        // A job that has an end already leaves out what came after it had one.
        if !plan.bounded || state.ends.is_none() {
            let new: Vec<_> = partitions.difference(&state.known).cloned().collect();
            state.known.extend(new.iter().cloned());
            state.unassigned.extend(discovery.earliest_of(new)?);
        }
        let (ends, lost) = match (plan.bounded, state.ends.take()) {
            (false, ends) => (None, ends.unwrap_or_default()),
            (true, Some(ends)) => (Some(ends), BTreeMap::new()),
            (true, None) => (Some(ends_of(&discovery, &state.known)?), BTreeMap::new()),
        };
        state.ends = ends;
        let found = Arc::new(Mutex::new(Vec::new()));
        let topics = discovery.topics.clone();
        let looking = plan.interval.filter(|_| !plan.bounded).map(|interval| {
            let (known, found, waker) = (state.known.clone(), found.clone(), ctx.waker.clone());
            let look = look(Arc::new(discovery), interval, known, found, move || waker.wake());
            ctx.runtime.spawn(look).abort_handle()
        });
        let mut enumerator = KafkaEnumerator { state, lost, found, topics, looking };
        enumerator.drop_others();
        Ok(enumerator)
    }
}

fn first_splits(discovery: &Discovery, plan: &Plan, partitions: &BTreeSet<TopicPartition>) -> Result<Vec<KafkaSplit>> {
    let partitions: Vec<_> = partitions.iter().cloned().collect();
    let starting = discovery.patiently(|client| plan.starting.resolve(client, &partitions))?;
    let split =
        |(at, offset): (TopicPartition, i64)| KafkaSplit { topic: at.0, partition: at.1, offset, stopping: None };
    Ok(starting.into_iter().map(split).collect())
}

fn ends_of(discovery: &Discovery, partitions: &BTreeSet<TopicPartition>) -> Result<BTreeMap<TopicPartition, i64>> {
    let end = |at: &TopicPartition| Ok((at.clone(), discovery.patiently(|client| watermarks(client, at))?.1));
    partitions.iter().map(end).collect()
}

/// The split with the end that it has now; `None`: it is at its end.
fn with_end(mut split: KafkaSplit, ends: Option<&BTreeMap<TopicPartition, i64>>) -> Option<KafkaSplit> {
    split.stopping = match ends {
        None => None,
        Some(ends) => match ends.get(&(split.topic.clone(), split.partition)) {
            Some(end) => Some(*end),
            // It was not there when the job got its end.
            None => return None,
        },
    };
    // What is empty has no end that a reader could come to.
    split.stopping.is_none_or(|end| split.offset < end).then_some(split)
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
        let (answer, asked) = tokio::sync::oneshot::channel();
        // A thread of its own: the runtime waits for its own ones when it is shut down.
        std::thread::spawn(move || {
            let ask = || asking.earliest_of(asking.partitions()?.difference(&have).cloned().collect());
            let _ = answer.send(ask());
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

impl KafkaEnumerator {
    /// Takes out the splits whose topic the job does not read any more.
    fn drop_others(&mut self) {
        let topics = &self.topics;
        self.state.unassigned.retain(|split| {
            let read = topics.have(&split.topic);
            if !read {
                let KafkaSplit { topic, partition, offset, .. } = split;
                tracing::warn!(
                    "{topic}-{partition} is not read any more, from offset {offset} on: its topic has been taken out of \
                     the job"
                );
            }
            read
        });
    }
}

impl SplitEnumerator<KafkaSplit> for KafkaEnumerator {
    fn add_splits_back(&mut self, splits: Vec<KafkaSplit>) {
        self.state.unassigned.extend(splits);
        self.drop_others();
        // What was read to an end that is none any more goes on there.
        let open = |at: &TopicPartition, s: &KafkaSplit| s.topic == at.0 && s.partition == at.1;
        for (at, offset) in std::mem::take(&mut self.lost) {
            if !self.state.unassigned.iter().any(|s| open(&at, s)) {
                self.state.unassigned.push(KafkaSplit { topic: at.0, partition: at.1, offset, stopping: None });
            }
        }
    }

    fn poll(&mut self, ctx: &mut Assignments<KafkaSplit>) -> Result<()> {
        for split in lock(&self.found).drain(..) {
            self.state.known.insert((split.topic.clone(), split.partition));
            self.state.unassigned.push(split);
        }
        for split in self.state.unassigned.drain(..) {
            let Some(split) = with_end(split, self.state.ends.as_ref()) else { continue };
            ctx.assign(split_owner(&split.topic, split.partition, ctx.readers()), split);
        }
        if self.state.ends.is_some() {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_may_get_an_end_and_lose_it_again() {
        let split = |partition, stopping| KafkaSplit { topic: "t".into(), partition, offset: 5, stopping };
        let ends = BTreeMap::from([(("t".to_owned(), 0), 9), (("t".to_owned(), 1), 5)]);
        assert_eq!(with_end(split(0, None), Some(&ends)), Some(split(0, Some(9))));
        assert_eq!(with_end(split(1, None), Some(&ends)), None, "at its end");
        assert_eq!(with_end(split(2, None), Some(&ends)), None, "found later");
        assert_eq!(with_end(split(0, Some(9)), None), Some(split(0, None)));
        let known = ends.keys().cloned().collect();
        let state = State { known, unassigned: Vec::new(), ends: None };
        let mut enumerator = KafkaEnumerator {
            state,
            lost: ends,
            found: Arc::default(),
            topics: Topics::Named(vec!["t".into()]),
            looking: None,
        };
        let taken_out = KafkaSplit { topic: "u".into(), ..split(0, None) };
        enumerator.add_splits_back(vec![split(0, Some(9)), taken_out]);
        let read = KafkaSplit { partition: 1, ..split(1, None) };
        assert_eq!(enumerator.state.unassigned, [split(0, Some(9)), read], "the one that was at its end goes on there");
    }
}
