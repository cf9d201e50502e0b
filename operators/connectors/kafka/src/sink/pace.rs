//! Keeps an epoch within its bound by slowing down before it is reached.
//!
//! An epoch's records wait in memory and in the checkpoint until they are published, so there has to be an end to
//! them. Stopping at the bound would not do: the barrier that ends the epoch stands behind records, and would never
//! come. So half of the bound is free; from then on what is left is given out ever more slowly (what is used
//! approaches the bound as 1/t), and a trickle never ends. What checkpoints that were given up have left behind is
//! taken off the bound beforehand.

/// How much an epoch may hold, and when.
#[derive(Debug, Clone)]
pub struct EpochPace {
    limit: u64,
    began: Option<i64>,
    half_at: Option<i64>,
}

/// An epoch that is full at once counts as having taken so long, in milliseconds.
const SHORTEST: i64 = 100;

impl EpochPace {
    /// For epochs of about `limit` bytes.
    pub fn new(limit: u64) -> Self {
        EpochPace { limit: limit.max(2), began: None, half_at: None }
    }

    /// An epoch begins with the next record.
    pub fn restart(&mut self) {
        (self.began, self.half_at) = (None, None);
    }

    /// Whether more may come at `now`, milliseconds on any clock, when `used` bytes are there, and `given_up` of
    /// earlier epochs besides.
    pub fn allows(&mut self, used: u64, given_up: u64, now: i64) -> bool {
        let began = *self.began.get_or_insert(now);
        let free = (self.limit / 2).saturating_sub(given_up);
        if used < free {
            return true;
        }
        let half_at = *self.half_at.get_or_insert(now);
        let rest = self.limit.saturating_sub(given_up).saturating_sub(free);
        used < free + self.allowed(rest, half_at - began, now - began)
    }

    /// What comes to the free part after `elapsed`, when that came in `half` milliseconds: of the `rest`, and as a
    /// trickle.
    fn allowed(&self, rest: u64, half: i64, elapsed: i64) -> u64 {
        let half = half.max(SHORTEST) as u64;
        let elapsed = (elapsed.max(0) as u64).max(half);
        let trickle = self.limit.div_ceil(1000).saturating_mul(elapsed - half) / 1000;
        (u128::from(rest) * u128::from(elapsed - half) / u128::from(elapsed)) as u64 + trickle
    }
}
