//! When and how a process dies.

use std::{collections::VecDeque, fmt, time::Duration};

use rand::{Rng, SeedableRng, rngs::SmallRng, seq::SliceRandom};

/// The places in the code where it can be told to die, and at which of the first so many visits.
const FAILPOINTS: [(&str, u64); 7] = [
    ("state-flush", 6),
    ("checkpoint-upload", 12),
    ("checkpoint-manifest", 3),
    ("checkpoint-manifest-written", 3),
    ("sink-flush", 10),
    ("sink-commit", 3),
    ("checkpoint-restore", 4),
];

/// One death.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kill {
    /// SIGKILL, when so many new checkpoints are complete and a little more time has passed.
    AfterCheckpoints(u64, Duration),
    /// At the n-th visit of a failpoint.
    At(&'static str, u64),
}

impl fmt::Display for Kill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kill::AfterCheckpoints(n, more) => write!(f, "SIGKILL {} ms after {n} checkpoints", more.as_millis()),
            Kill::At(name, n) => write!(f, "{name}:{n}"),
        }
    }
}

/// Draws deaths and parallelisms.
#[derive(Debug)]
pub struct Fate {
    random: SmallRng,
    /// Failpoints that have their turn: all of them come before one comes again.
    failpoints: VecDeque<(&'static str, u64)>,
    interval: Duration,
}

impl Fate {
    /// The fate that `seed` holds, for checkpoints every `interval`.
    pub fn new(seed: u64, interval: Duration) -> Self {
        Fate { random: SmallRng::seed_from_u64(seed), failpoints: VecDeque::new(), interval }
    }

    /// The next death: every other one at a failpoint.
    pub fn kill(&mut self, round: u64) -> Kill {
        if round % 2 == 1 {
            return self.failpoint();
        }
        let within = |random: &mut SmallRng, most: Duration| {
            Duration::from_millis(random.random_range(0..=most.as_millis() as u64))
        };
        match self.random.random_range(0..4) {
            // In the middle of the start, or of the restore.
            0 => Kill::AfterCheckpoints(0, within(&mut self.random, 3 * self.interval)),
            n => Kill::AfterCheckpoints(n, within(&mut self.random, self.interval)),
        }
    }

    fn failpoint(&mut self) -> Kill {
        if self.failpoints.is_empty() {
            let mut all = FAILPOINTS;
            all.shuffle(&mut self.random);
            self.failpoints = all.into();
        }
        let (name, most) = self.failpoints.pop_front().unwrap_or(FAILPOINTS[0]);
        Kill::At(name, self.random.random_range(1..=most))
    }

    /// A failpoint that was not come by has its turn again, at the first visit.
    pub fn again(&mut self, name: &'static str) {
        self.failpoints.push_back((name, 1));
    }

    /// How many workers the next life has.
    pub fn parallelism(&mut self) -> usize {
        [1, 2, 4][self.random.random_range(0..3)]
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

    #[test]
    fn the_same_seed_is_the_same_fate_and_no_failpoint_is_left_out() {
        let draw = |seed| {
            let mut fate = Fate::new(seed, Duration::from_millis(200));
            (0..28).map(|round| (fate.kill(round), fate.parallelism())).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        let points = |lives: &[(Kill, usize)]| {
            let name = |(kill, _): &(Kill, usize)| match kill {
                Kill::At(name, _) => Some(*name),
                Kill::AfterCheckpoints(..) => None,
            };
            lives.iter().filter_map(name).collect::<HashSet<_>>()
        };
        let lives = draw(7);
        assert_eq!(points(&lives[..14]), failpoints().collect());
        assert_eq!(points(&lives[14..]), failpoints().collect());
    }
}
