//! When and how a process dies: drawn from seed, campaign and life, and from nothing else.

use std::{fmt, time::Duration};

use rand::{Rng, SeedableRng, rngs::SmallRng, seq::SliceRandom};

use crate::mix::mix;

/// The places in the code where it can be told to die, and at which of the first so many visits.
const FAILPOINTS: [(&str, u64); 8] = [
    ("state-flush", 6),
    ("checkpoint-upload", 8),
    ("checkpoint-manifest", 2),
    ("checkpoint-manifest-written", 2),
    ("sink-flush", 10),
    ("sink-commit", 3),
    ("delta-commit", 4),
    (RESTORE, 3),
];

/// The one that is come by before a life's first new checkpoint.
const RESTORE: &str = "checkpoint-restore";
/// The one that needs two files of one sink in one checkpoint: there is none between others
/// where one worker writes one file.
const COMMIT: &str = "sink-commit";

/// One death.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kill {
    /// SIGKILL, when so many new checkpoints are complete and a little more time has passed.
    AfterCheckpoints(u64, Duration),
    /// At the n-th visit of a failpoint, by SIGKILL to itself.
    At(&'static str, u64),
}

impl Kill {
    /// Whether it may come before the life has completed a checkpoint.
    pub fn is_early(&self) -> bool {
        matches!(self, Kill::AfterCheckpoints(0, _) | Kill::At(RESTORE, _))
    }
}

impl fmt::Display for Kill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kill::AfterCheckpoints(n, more) => write!(f, "SIGKILL {} ms after {n} checkpoints", more.as_millis()),
            Kill::At(name, n) => write!(f, "{name}:{n}"),
        }
    }
}

/// What is to become of one life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fate {
    /// How it dies, unless the job comes to its end before.
    pub kill: Kill,
    /// How many workers it has.
    pub parallelism: usize,
}

impl Fate {
    /// The fate of the life number `life` (from 0) of campaign number `campaign`, with checkpoints
    /// every `interval`. Every other life dies at a failpoint, each of them in its turn.
    pub fn of(seed: u64, campaign: u64, life: u64, interval: Duration) -> Self {
        let mut random = SmallRng::seed_from_u64(mix(mix(mix(seed) ^ campaign) ^ life));
        let parallelism = [1, 2, 4][random.random_range(0..3)];
        if life.is_multiple_of(2) {
            return Fate { kill: at_random(&mut random, life == 0, interval), parallelism };
        }
        let mut turns = FAILPOINTS;
        turns.shuffle(&mut SmallRng::seed_from_u64(mix(mix(seed) ^ campaign)));
        let (name, most) = turns[(life / 2) as usize % turns.len()];
        let least = if name == COMMIT { 2 } else { 1 };
        Fate { kill: Kill::At(name, random.random_range(1..=most)), parallelism: parallelism.max(least) }
    }
}

fn at_random(random: &mut SmallRng, first: bool, interval: Duration) -> Kill {
    let mut within = |most: Duration| {
        (random.random_range(0..4), Duration::from_millis(random.random_range(0..=most.as_millis() as u64)))
    };
    match within(interval) {
        // In the middle of the start, or of the restore: the first life has nothing to restore.
        (0, _) if !first => Kill::AfterCheckpoints(0, within(3 * interval).1),
        (n, more) => Kill::AfterCheckpoints(n.max(1), more),
    }
}

/// The names of all failpoints.
pub fn failpoints() -> impl Iterator<Item = &'static str> {
    FAILPOINTS.iter().map(|(name, _)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    const INTERVAL: Duration = Duration::from_millis(200);

    #[test]
    fn a_life_s_fate_is_its_own() {
        let fates = |seed, campaign| (0..28).map(|life| Fate::of(seed, campaign, life, INTERVAL)).collect::<Vec<_>>();
        assert_eq!(fates(7, 1), fates(7, 1));
        assert_ne!(fates(7, 1), fates(8, 1));
        assert_ne!(fates(7, 1), fates(7, 2));
        assert_eq!(fates(7, 2)[20], Fate::of(7, 2, 20, INTERVAL), "whatever was before");
    }

    #[test]
    fn no_failpoint_is_left_out_and_the_first_life_gets_on() {
        for seed in 0..50 {
            let fates: Vec<_> = (0..16).map(|life| Fate::of(seed, 3, life, INTERVAL)).collect();
            let points = fates.iter().filter_map(|fate| match fate.kill {
                Kill::At(name, _) => Some(name),
                Kill::AfterCheckpoints(..) => None,
            });
            assert_eq!(points.collect::<HashSet<_>>(), failpoints().collect());
            assert!(!fates[0].kill.is_early(), "{seed}");
            let commits = fates.iter().filter(|fate| matches!(fate.kill, Kill::At(COMMIT, _)));
            commits.for_each(|fate| assert!(fate.parallelism > 1, "{seed}"));
        }
    }
}
