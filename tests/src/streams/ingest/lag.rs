//! How long records took from whoever sent them to whoever read them.

use std::fmt;

/// When records were sent, and how much later they were read: both in milliseconds.
#[derive(Debug, Default)]
pub struct Lags(Vec<(i64, i64)>);

impl Lags {
    /// One more.
    pub fn add(&mut self, sent: i64, read: i64) {
        self.0.push((sent, read - sent));
    }

    /// Of the records that were sent within this time.
    pub fn between(&self, from: i64, until: i64) -> Lag {
        let mut lags: Vec<_> = self.0.iter().filter(|(sent, _)| (from..until).contains(sent)).map(|l| l.1).collect();
        lags.sort_unstable();
        let at = |share: f64| lags.get((lags.len() as f64 * share) as usize).copied().unwrap_or_default();
        Lag { half: at(0.5), most: at(0.99), all: lags.last().copied().unwrap_or_default(), records: lags.len() }
    }
}

/// Within which time half of the records were read, 99 of 100, all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lag {
    /// Half of them.
    pub half: i64,
    /// 99 of 100.
    pub most: i64,
    /// All.
    pub all: i64,
    /// How many there are.
    pub records: usize,
}

impl fmt::Display for Lag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p50 {} ms, p99 {} ms, max {} ms of {}", self.half, self.most, self.all, self.records)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_within_a_time_counts() {
        let mut lags = Lags::default();
        (0..200).for_each(|n| lags.add(n, n + n % 100));
        lags.add(1_000, 9_000);
        assert_eq!(lags.between(0, 200), Lag { half: 50, most: 99, all: 99, records: 200 });
        assert_eq!(lags.between(500, 2_000), Lag { half: 8_000, most: 8_000, all: 8_000, records: 1 });
    }
}
