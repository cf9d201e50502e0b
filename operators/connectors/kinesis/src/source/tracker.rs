//! Which shards are known and how far they are: the enumerator's state, without a network.
//!
//! Every shard is read once, from its beginning, after all of its parents. A parent that is not
//! known counts as read: it left with the retention, before or after we had read it, or it
//! closed before the position at which the job started.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::split::{KinesisSplit, Position};
use crate::service::Shard;

/// A shard that was read to its end is forgotten when so many listings in a row lack it. More than
/// one, since listings are not consistent: a shard that came back would be read again.
const FORGET_AFTER: u8 = 3;

/// The shards of a stream: waiting, with a reader, or read to the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardTracker {
    /// Whether shards have been listed once: later ones are new.
    begun: bool,
    /// Where the shards of the first listing begin.
    start: Position,
    until: Option<i64>,
    waiting: BTreeMap<String, KinesisSplit>,
    assigned: BTreeMap<String, Shard>,
    /// How many listings in a row each has been missing from.
    finished: BTreeMap<String, u8>,
    /// Where a read ended that is no longer bounded: what is finished goes on after it.
    reopen: Option<i64>,
}

impl ShardTracker {
    /// Nothing is known yet. `until` bounds the read.
    pub fn new(start: Position, until: Option<i64>) -> Self {
        ShardTracker {
            begun: false,
            start,
            until,
            waiting: BTreeMap::new(),
            assigned: BTreeMap::new(),
            finished: BTreeMap::new(),
            reopen: None,
        }
    }

    /// Skips these shards: they were closed at the start, nothing in them is newer.
    pub fn skip<'a>(&mut self, closed: impl IntoIterator<Item = &'a Shard>) {
        self.finished.extend(closed.into_iter().map(|shard| (shard.id.clone(), 0)));
    }

    /// Bounds a read that was not bounded yet; with none, a bounded read goes on without a bound,
    /// also in the shards that were read as far as the bound.
    pub fn bound(&mut self, until: Option<i64>) {
        match (self.until, until) {
            (None, Some(_)) => self.until = until,
            (Some(old), None) => (self.until, self.reopen) = (None, Some(old)),
            (Some(_), Some(_)) | (None, None) => (),
        }
    }

    /// Whether it ends.
    pub fn is_bounded(&self) -> bool {
        self.until.is_some()
    }

    /// Takes in a complete listing.
    pub fn listed(&mut self, shards: &[Shard]) {
        if let Some(old) = self.reopen.take() {
            // All that arrived up to the bound was emitted, and nothing that is newer.
            for shard in shards.iter().filter(|s| self.finished.remove(&s.id).is_some()) {
                let position = Position::AtTimestamp(old + 1);
                let split = KinesisSplit { shard: shard.clone(), position, until: None, consumer_arn: None };
                self.waiting.insert(shard.id.clone(), split);
            }
        }
        for shard in shards {
            let known = self.waiting.contains_key(&shard.id)
                || self.assigned.contains_key(&shard.id)
                || self.finished.contains_key(&shard.id);
            if !known {
                let position = if self.begun { Position::TrimHorizon } else { self.start.clone() };
                let split = KinesisSplit { shard: shard.clone(), position, until: self.until, consumer_arn: None };
                self.waiting.insert(shard.id.clone(), split);
            }
        }
        let there: HashSet<&str> = shards.iter().map(|s| s.id.as_str()).collect();
        self.finished.retain(|id, missing| {
            *missing = if there.contains(id.as_str()) { 0 } else { *missing + 1 };
            *missing < FORGET_AFTER
        });
        self.begun = true;
    }

    /// Takes the splits whose parents were all read; they are with a reader from now on.
    pub fn take_ready(&mut self) -> Vec<KinesisSplit> {
        let ready: Vec<_> =
            self.waiting.values().filter(|s| self.parents_read(&s.shard)).map(|s| s.shard.id.clone()).collect();
        let mut taken: Vec<_> = ready.iter().filter_map(|id| self.waiting.remove(id)).collect();
        taken.iter_mut().for_each(|s| s.until = self.until);
        self.assigned.extend(taken.iter().map(|s| (s.shard.id.clone(), s.shard.clone())));
        taken
    }

    fn parents_read(&self, shard: &Shard) -> bool {
        shard.parents.iter().all(|p| !self.waiting.contains_key(p) && !self.assigned.contains_key(p))
    }

    /// A reader has read this shard to its end.
    pub fn finish(&mut self, id: &str) {
        if self.assigned.remove(id).is_some() {
            self.finished.insert(id.to_owned(), 0);
        }
    }

    /// After a restore: these were not read to the end, all others that were assigned were.
    pub fn give_back(&mut self, splits: Vec<KinesisSplit>) {
        let finished = std::mem::take(&mut self.assigned).into_keys();
        self.finished.extend(finished.map(|id| (id, 0)));
        for split in splits {
            self.finished.remove(&split.shard.id);
            self.waiting.insert(split.shard.id.clone(), split);
        }
    }

    /// Shards that wait for their parents, are with a reader, and were read to the end.
    pub fn counts(&self) -> (usize, usize, usize) {
        (self.waiting.len(), self.assigned.len(), self.finished.len())
    }

    /// Whether nothing is left to read of what is known.
    pub fn all_read(&self) -> bool {
        self.begun && self.waiting.is_empty() && self.assigned.is_empty()
    }

    /// Whether this shard was read to its end and is still remembered.
    pub fn is_finished(&self, id: &str) -> bool {
        self.finished.contains_key(id)
    }
}

/// Chooses readers. A shard without known parents goes to [`Shard::uniform_reader`], a child to the
/// reader of the parent that ended last: that parent holds the watermark until the child is there, so
/// event time has no gap. Once that reader has its fair share of the shards, the least loaded one gets
/// the child; its records may then be behind what that reader has emitted, which only watermark
/// alignment bounds.
#[derive(Debug, Default)]
pub struct Assigner {
    /// Who reads or has read which shard, in this run.
    readers: HashMap<String, usize>,
    /// In which order shards have ended.
    ends: HashMap<String, u64>,
    ended: u64,
}

impl Assigner {
    /// The reader for `shard`, when so many shards in all are with readers, itself and those that
    /// are assigned next included.
    pub fn assign(&mut self, shard: &Shard, readers: usize, open: usize) -> usize {
        let parents = shard.parents.iter().filter(|p| self.readers.get(*p).is_some_and(|&r| r < readers));
        let last = parents.max_by_key(|p| self.ends.get(*p)).and_then(|p| self.readers.get(p).copied());
        let reader = match last {
            None => shard.uniform_reader(readers),
            Some(parents) => {
                let mut loads = vec![0; readers];
                for (_, &r) in self.readers.iter().filter(|(id, r)| **r < readers && !self.ends.contains_key(*id)) {
                    loads[r] += 1;
                }
                if loads[parents] < open.div_ceil(readers) {
                    parents
                } else {
                    (0..readers).min_by_key(|&r| loads[r]).unwrap_or(parents)
                }
            }
        };
        self.readers.insert(shard.id.clone(), reader);
        reader
    }

    /// A reader has read this shard to its end.
    pub fn finish(&mut self, id: &str) {
        self.ended += 1;
        self.ends.insert(id.to_owned(), self.ended);
    }

    /// Forgets the shards that the tracker does not know any more.
    pub fn retain(&mut self, tracker: &ShardTracker) {
        let known = |id: &String| tracker.assigned.contains_key(id) || tracker.finished.contains_key(id);
        self.readers.retain(|id, _| known(id));
        self.ends.retain(|id, _| known(id));
    }
}
