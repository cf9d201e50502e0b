//! From the shards there are to the shards that are wanted, as steps Kinesis can carry out.
//!
//! Pure: ranges in, steps out. A step speaks of ranges, not of shard ids, because the ids of
//! the shards it makes are given by the service.

use std::fmt;

use super::hash_range::{HashRange, covers_everything, even_ranges};
use crate::scaling::ScalingError;

/// One call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// `SplitShard`: the second child begins at `at`.
    Split {
        /// The shard that is split.
        shard: HashRange,
        /// `NewStartingHashKey`
        at: u128,
    },
    /// `MergeShards` of two shards that adjoin.
    Merge {
        /// The one with the lower hash keys.
        lower: HashRange,
        /// The one with the higher hash keys.
        upper: HashRange,
    },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Split { shard, at } => write!(f, "split {}..{} at {at}", shard.start, shard.end),
            Step::Merge { lower, upper } => {
                write!(f, "merge {}..{} with {}..{}", lower.start, lower.end, upper.start, upper.end)
            }
        }
    }
}

impl Step {
    /// Carries the step out on a list of ranges. An error if the service would refuse it.
    pub fn apply(&self, shards: &mut Vec<HashRange>) -> Result<(), ScalingError> {
        let find = |shards: &[HashRange], wanted: HashRange| {
            let found = shards.iter().position(|s| *s == wanted);
            found.ok_or_else(|| ScalingError::Illegal(format!("{self}: there is no such shard")))
        };
        match *self {
            Step::Split { shard, at } => {
                let i = find(shards, shard)?;
                let (lower, upper) = shard
                    .split_at(at)
                    .ok_or_else(|| ScalingError::Illegal(format!("{self}: a child would have no hash keys")))?;
                shards.splice(i..=i, [lower, upper]);
            }
            Step::Merge { lower, upper } => {
                if !lower.adjoins(upper) {
                    return Err(ScalingError::Illegal(format!("{self}: they do not adjoin")));
                }
                let j = find(shards, upper)?;
                shards.remove(j);
                let i = find(shards, lower)?;
                shards[i].end = upper.end;
            }
        }
        Ok(())
    }
}

/// The steps from `shards` (the open ones, in any order) to `count` shards of even ranges.
///
/// It goes through the hash keys from 0 upwards, splits where a wanted range ends and merges
/// what lies within one: from even ranges there is never more than one shard above the larger of
/// both counts, from uneven ones never more than both counts together.
pub fn plan(shards: &[HashRange], count: usize) -> Result<Vec<Step>, ScalingError> {
    if count == 0 {
        return Err(ScalingError::Illegal("a stream has at least one shard".into()));
    }
    if !covers_everything(shards) {
        return Err(ScalingError::Illegal(
            "the open shards do not cover all hash keys: is the stream being resharded?".into(),
        ));
    }
    let mut rest = shards.to_vec();
    rest.sort_unstable();
    rest.reverse();
    let mut steps = Vec::new();
    for wanted in even_ranges(count) {
        // All that is below `wanted` is done, so the first of the rest begins where it begins.
        let mut merged: Option<HashRange> = None;
        while merged.is_none_or(|m| m.end < wanted.end) {
            let Some(mut shard) = rest.pop() else { break };
            if let Some((lower, upper)) = wanted.end.checked_add(1).and_then(|at| shard.split_at(at)) {
                steps.push(Step::Split { shard, at: upper.start });
                rest.push(upper);
                shard = lower;
            }
            merged = Some(match merged {
                None => shard,
                Some(lower) => {
                    steps.push(Step::Merge { lower, upper: shard });
                    HashRange { start: lower.start, end: shard.end }
                }
            });
        }
    }
    Ok(steps)
}

/// The counts to ask `UpdateShardCount` for, one after the other: each at most twice and at least
/// half of the one before.
pub fn update_counts(from: usize, to: usize) -> Vec<usize> {
    let (mut at, to) = (from.max(1), to.max(1));
    let mut counts = Vec::new();
    while at != to {
        at = if to > at { to.min(at * 2) } else { to.max(at.div_ceil(2)) };
        counts.push(at);
    }
    counts
}
