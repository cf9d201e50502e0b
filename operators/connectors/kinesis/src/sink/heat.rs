//! Which shard gets too much, and of which keys.

use std::{collections::HashSet, sync::Arc};

use foldhash::HashMap;

use super::{
    lanes::{LaneShard, ShardTotals},
    member::Member,
};
use crate::scaling::ShardLimits;

/// A shard that throttles while it gets more than its share.
#[derive(Debug, Clone, PartialEq)]
pub struct HotShard {
    /// `ShardId`
    pub id: Arc<str>,
    /// How often as much as the average of the other shards; 1,000 at most.
    pub times_others: f64,
    /// Its heaviest partition keys, each with its share of the shard's bytes, 0 to 1.
    pub keys: Vec<(Arc<str>, f64)>,
}

/// Hot: more than this many times the average load of the others. A stream's only shard is never hot:
/// there is too little of the stream.
const FACTOR: f64 = 2.0;
/// One record in so many is looked at.
const SAMPLE: u64 = 16;
/// Keys that are counted per shard, and those that are named.
const KEYS: usize = 32;
const NAMED: usize = 3;

/// Counts between two looks.
#[derive(Debug, Default)]
pub struct Heat {
    shards: HashMap<Arc<str>, HeavyKeys>,
    before: HashMap<Arc<str>, ShardTotals>,
    said: HashSet<Arc<str>>,
    seen: u64,
}

/// The space-saving sketch: what is heavy stays, what is light comes and goes.
#[derive(Debug, Default)]
struct HeavyKeys {
    bytes: HashMap<Arc<str>, u64>,
    total: u64,
}

impl HeavyKeys {
    fn add(&mut self, key: &Arc<str>, bytes: u64) {
        self.total += bytes;
        if let Some(seen) = self.bytes.get_mut(key) {
            *seen += bytes;
            return;
        }
        let mut inherited = 0;
        if self.bytes.len() == KEYS
            && let Some((lightest, count)) = self.bytes.iter().min_by(|a, b| a.1.cmp(b.1).then_with(|| a.0.cmp(b.0)))
        {
            let lightest = lightest.clone();
            inherited = *count;
            self.bytes.remove(&lightest);
        }
        self.bytes.insert(key.clone(), inherited + bytes);
    }

    fn heaviest(&self) -> Vec<(Arc<str>, f64)> {
        let mut keys: Vec<_> = self.bytes.iter().collect();
        keys.sort_unstable_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
        let total = self.total.max(1) as f64;
        keys.into_iter().take(NAMED).map(|(k, n)| (k.clone(), *n as f64 / total)).collect()
    }
}

impl Heat {
    /// A record goes to a shard.
    pub fn see(&mut self, shard: &Arc<str>, member: &Member) {
        self.seen += 1;
        if self.seen.is_multiple_of(SAMPLE) {
            self.shards.entry(shard.clone()).or_default().add(&member.partition_key, member.size() as u64);
        }
    }

    /// The shards that became hot since the last call; one that stays hot is said once.
    pub fn close_window(&mut self, shards: &[LaneShard], limits: ShardLimits) -> Vec<HotShard> {
        let heavy = std::mem::take(&mut self.shards);
        let before = std::mem::take(&mut self.before);
        self.before = shards.iter().map(|s| (s.id.clone(), s.totals)).collect();
        let load = |s: &LaneShard| {
            let b = before.get(&s.id).copied().unwrap_or_default();
            // A shard that is listed again begins anew.
            let bytes = s.totals.bytes.saturating_sub(b.bytes) as f64 / limits.bytes_per_second.min(1e12);
            let records = s.totals.records.saturating_sub(b.records) as f64 / limits.records_per_second.min(1e12);
            (bytes.max(records), s.totals.throttled.saturating_sub(b.throttled))
        };
        let loads: Vec<_> = shards.iter().map(load).collect();
        let (all, others) = (loads.iter().map(|(load, _)| load).sum::<f64>(), loads.len().saturating_sub(1));
        self.said.retain(|id| shards.iter().any(|s| s.id == *id));
        let mut hot = Vec::new();
        for (shard, (load, throttled)) in shards.iter().zip(loads) {
            let average = (all - load) / others.max(1) as f64;
            if throttled == 0 || others == 0 || load <= FACTOR * average {
                self.said.remove(&shard.id);
            } else if self.said.insert(shard.id.clone()) {
                let keys = heavy.get(&shard.id).map(HeavyKeys::heaviest).unwrap_or_default();
                hot.push(HotShard { id: shard.id.clone(), times_others: load / average.max(load / 1e3), keys });
            }
        }
        hot
    }

    /// How many are hot.
    pub fn hot(&self) -> usize {
        self.said.len()
    }
}
