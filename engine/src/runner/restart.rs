//! Restart strategies: what happens after a task has failed.

use std::time::Duration;

use crate::time::{hours, millis, mins, secs};

/// When a failed job is started again (Flink's strategies).
#[derive(Debug, Clone, PartialEq)]
pub enum RestartStrategy {
    /// Wait longer after each failure; begin anew when it has run well for a while.
    ExponentialDelay {
        /// The first wait.
        initial: Duration,
        /// The longest wait.
        max: Duration,
        /// By how much a wait is longer than the last.
        multiplier: f64,
        /// Running this long without failure forgets the failures.
        reset_after: Duration,
        /// Give up after this many failures in a row; `None`: never.
        attempts: Option<u32>,
    },
    /// Always the same wait.
    FixedDelay {
        /// The wait.
        delay: Duration,
        /// Give up after this many.
        attempts: u32,
    },
    /// As long as failures are rare enough.
    FailureRate {
        /// So many failures …
        failures: u32,
        /// … in this time end the job.
        per: Duration,
        /// The wait.
        delay: Duration,
    },
    /// Fail at once.
    None,
}

impl Default for RestartStrategy {
    fn default() -> Self {
        RestartStrategy::ExponentialDelay {
            initial: secs(1),
            max: mins(1),
            multiplier: 1.5,
            reset_after: hours(1),
            attempts: Some(10),
        }
    }
}

/// The strategy with its memory.
#[derive(Debug)]
pub(crate) struct Restarts {
    strategy: RestartStrategy,
    failures: Vec<i64>,
    in_a_row: u32,
}

impl Restarts {
    pub fn new(strategy: RestartStrategy) -> Self {
        Restarts { strategy, failures: Vec::new(), in_a_row: 0 }
    }

    /// After a failure at `now` of an attempt that began at `began`: how long to wait, or `None`
    /// to give up.
    pub fn next_delay(&mut self, began: i64, now: i64) -> Option<Duration> {
        match &self.strategy {
            RestartStrategy::None => None,
            RestartStrategy::FixedDelay { delay, attempts } => {
                self.in_a_row += 1;
                (self.in_a_row <= *attempts).then_some(*delay)
            }
            RestartStrategy::FailureRate { failures, per, delay } => {
                self.failures.push(now);
                self.failures.retain(|t| now - *t < millis(*per));
                (self.failures.len() <= *failures as usize).then_some(*delay)
            }
            RestartStrategy::ExponentialDelay { initial, max, multiplier, reset_after, attempts } => {
                if now - began >= millis(*reset_after) {
                    self.in_a_row = 0;
                }
                self.in_a_row += 1;
                if attempts.is_some_and(|most| self.in_a_row > most) {
                    return None;
                }
                let factor = multiplier.powi(self.in_a_row as i32 - 1);
                Some(initial.mul_f64(factor.clamp(1.0, 1e6)).min(*max))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponential_delay_grows_is_capped_resets_and_gives_up() {
        let mut r = Restarts::new(RestartStrategy::ExponentialDelay {
            initial: secs(1),
            max: secs(3),
            multiplier: 2.0,
            reset_after: secs(60),
            attempts: Some(4),
        });
        let delays: Vec<_> = (0..5).map(|i| r.next_delay(i, i + 1)).collect();
        assert_eq!(delays, [Some(secs(1)), Some(secs(2)), Some(secs(3)), Some(secs(3)), None]);
        assert_eq!(r.next_delay(0, 60_000), Some(secs(1)), "it had run well for a minute");
    }

    #[test]
    fn failure_rate_counts_only_recent_failures() {
        let mut r = Restarts::new(RestartStrategy::FailureRate { failures: 2, per: secs(10), delay: secs(1) });
        assert!(r.next_delay(0, 0).is_some());
        assert!(r.next_delay(0, 9_000).is_some());
        assert!(r.next_delay(0, 11_000).is_some(), "the first is forgotten");
        assert!(r.next_delay(0, 12_000).is_none());
    }

    #[test]
    fn fixed_delay_and_none_give_up() {
        let mut r = Restarts::new(RestartStrategy::FixedDelay { delay: secs(1), attempts: 1 });
        assert_eq!((r.next_delay(0, 1), r.next_delay(0, 2)), (Some(secs(1)), None));
        assert_eq!(Restarts::new(RestartStrategy::None).next_delay(0, 1), None);
    }
}
