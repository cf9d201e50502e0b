//! How many shards a load needs: at once when it grows, slowly when it shrinks.
//!
//! Pure: it is told the time and the load of every shard, and says what to do.

use std::collections::VecDeque;

use super::{HashRange, ShardLimits, ShardLoad};

/// What is wanted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Policy {
    /// The share of their limits at which shards are to work, 0 to 1.
    pub target: f64,
    /// Never fewer shards.
    pub min: usize,
    /// Never more shards.
    pub max: usize,
    /// What a shard takes.
    pub limits: ShardLimits,
    /// A shard above this share of its limits is hot, if the stream as a whole has room.
    pub hot: f64,
    /// Fewer shards only when fewer have been enough for so long, and so long after the last change.
    pub cool_down_ms: i64,
    /// Another step is decided on only so long after the last.
    pub settle_ms: i64,
}

impl Default for Policy {
    /// 70 %, 1 to 200 shards, hot above 90 %, down after 15 minutes, half a minute between steps.
    fn default() -> Self {
        Policy {
            target: 0.7,
            min: 1,
            max: 200,
            limits: ShardLimits::default(),
            hot: 0.9,
            cool_down_ms: 15 * 60_000,
            settle_ms: 30_000,
        }
    }
}

/// What is to be done now.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Nothing.
    Hold,
    /// So many shards of even ranges.
    ScaleTo(usize),
    /// Only this shard: the others have room.
    Split {
        /// The hot shard.
        shard: HashRange,
        /// Where its second child begins.
        at: u128,
    },
    /// Nothing but to say it: a hot shard that splitting does not help, as good as all of its load has one partition key.
    OneKey {
        /// The hot shard.
        shard: HashRange,
    },
}

/// Decides for one stream.
#[derive(Debug, Clone)]
pub struct Autoscaler {
    policy: Policy,
    /// When, and how many shards would have been enough.
    needed: VecDeque<(i64, usize)>,
    started_at: Option<i64>,
    changed_at: Option<i64>,
    /// The shards that were split for their heat.
    split: Vec<HashRange>,
    /// The last range that was found to be hot for one key, and when.
    one_key: Option<(HashRange, i64)>,
}

/// A hot range that was cut in half so often is one key's.
const FUTILE_SPLITS: usize = 3;

impl Autoscaler {
    /// `None` for a policy that makes no sense: a target outside 0..1, or `min` above `max`.
    pub fn new(policy: Policy) -> Option<Self> {
        let sound = policy.target > 0.0 && policy.target <= 1.0 && policy.min >= 1 && policy.min <= policy.max;
        sound.then(|| Autoscaler {
            policy,
            needed: VecDeque::new(),
            started_at: None,
            changed_at: None,
            split: Vec::new(),
            one_key: None,
        })
    }

    /// How many shards this load needs, at the target.
    pub fn needed(&self, load: &[ShardLoad]) -> usize {
        let p = &self.policy;
        let whole: f64 = load.iter().map(|s| s.utilisation(p.limits)).sum();
        // Rounding must not ask for one shard more.
        let shards = (whole / p.target - 1e-9).ceil().max(1.0);
        (shards as usize).clamp(p.min, p.max)
    }

    /// What to do at `now` about the load of all open shards.
    pub fn decide(&mut self, now: i64, load: &[ShardLoad]) -> Decision {
        if load.is_empty() {
            return Decision::Hold;
        }
        let p = self.policy;
        let (shards, needed) = (load.len(), self.needed(load));
        let started_at = *self.started_at.get_or_insert(now);
        self.needed.push_back((now, needed));
        while self.needed.front().is_some_and(|(at, _)| *at <= now - p.cool_down_ms) {
            self.needed.pop_front();
        }
        if self.changed_at.is_some_and(|at| now < at + p.settle_ms) {
            return Decision::Hold;
        }
        if needed > shards {
            return self.scale(now, needed);
        }
        if shards < p.min || shards > p.max {
            return self.scale(now, shards.clamp(p.min, p.max));
        }
        let hot = self.cool_hottest(now, load);
        if let Some(split @ Decision::Split { .. }) = hot {
            return split;
        }
        // The most that was needed within the cool-down: a dip is no reason to give shards away.
        let most = self.needed.iter().map(|(_, n)| *n).max().unwrap_or(needed);
        let quiet = now - self.changed_at.unwrap_or(started_at).max(started_at) >= p.cool_down_ms;
        if quiet && most < shards {
            // By half at most, which is one UpdateShardCount.
            return self.scale(now, most.max(shards.div_ceil(2)));
        }
        // One key is no reason to keep shards that it does not use.
        hot.unwrap_or(Decision::Hold)
    }

    fn scale(&mut self, now: i64, shards: usize) -> Decision {
        self.changed_at = Some(now);
        self.split.clear();
        Decision::ScaleTo(shards)
    }

    fn cool_hottest(&mut self, now: i64, load: &[ShardLoad]) -> Option<Decision> {
        let p = self.policy;
        let hottest = load.iter().max_by(|a, b| a.utilisation(p.limits).total_cmp(&b.utilisation(p.limits)))?;
        if hottest.utilisation(p.limits) < p.hot {
            return None;
        }
        let inside = |outer: &HashRange| outer.start <= hottest.range.start && hottest.range.end <= outer.end;
        // Not again and again: fewer shards put that key into a larger one.
        let known = self.one_key.is_some_and(|(r, at)| r.overlaps(hottest.range) && now - at < p.cool_down_ms);
        let futile = known || self.split.iter().filter(|r| inside(r)).count() >= FUTILE_SPLITS;
        let Some(at) = hottest.range.middle().filter(|_| !futile) else {
            let range = self.one_key.filter(|_| known).map_or(hottest.range, |(range, _)| range);
            self.one_key = Some((range, now));
            return Some(Decision::OneKey { shard: hottest.range });
        };
        if load.len() >= p.max {
            return None;
        }
        self.changed_at = Some(now);
        self.split.push(hottest.range);
        Some(Decision::Split { shard: hottest.range, at })
    }
}
