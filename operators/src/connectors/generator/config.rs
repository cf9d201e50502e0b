//! What a fleet is like.

use std::time::Duration;

use hurtig_engine::error::{Error, Result};

/// The settings of a fleet. The same settings always make the same readings.
#[derive(Debug, Clone, PartialEq)]
pub struct GeneratorConfig {
    /// Where all chance comes from.
    pub seed: u64,
    /// How many meters there are.
    pub meters: u32,
    /// How often each of them sends. The fleet is spread evenly over the interval.
    pub interval: Duration,
    /// The event time of the first reading, in milliseconds since the epoch.
    pub start: i64,
    /// How many readings there are.
    pub count: Option<u64>,
    /// How much event time is covered. Neither this nor `count`: the fleet never stops. Both:
    /// whichever comes first.
    pub duration: Option<Duration>,
    /// Readings per second of the injected clock, over all splits. `None`: as fast as can be.
    pub rate: Option<u64>,
    /// How many regions the meters live in.
    pub regions: u16,
    /// The share of readings that arrive late, by a minute up to [`late_by`](Self::late_by).
    pub share_late: f64,
    /// How late a reading can be.
    pub late_by: Duration,
    /// The share that repeats one of the readings just before, byte for byte.
    pub share_duplicate: f64,
    /// The share without a value.
    pub share_null: f64,
    /// The share that is no valid JSON.
    pub share_corrupt: f64,
    /// The share whose time is more than 15 minutes ahead of its arrival.
    pub share_future: f64,
    /// How many splits there are: fixed, whatever the parallelism. A meter is always in the
    /// same one.
    pub splits: u32,
}

impl Default for GeneratorConfig {
    /// 100,000 meters every 15 minutes from 2024-01-01, without end and without faults.
    fn default() -> Self {
        GeneratorConfig {
            seed: 42,
            meters: 100_000,
            interval: Duration::from_secs(15 * 60),
            start: 1_704_067_200_000,
            count: None,
            duration: None,
            rate: None,
            regions: 100,
            share_late: 0.0,
            late_by: Duration::from_secs(6 * 3600),
            share_duplicate: 0.0,
            share_null: 0.0,
            share_corrupt: 0.0,
            share_future: 0.0,
            splits: 16,
        }
    }
}

impl GeneratorConfig {
    /// With the faults of a real fleet: 1 % late, 1 % repeated, 0.1 % each empty, corrupt and
    /// from the future.
    #[must_use]
    pub fn with_faults(self) -> Self {
        GeneratorConfig {
            share_late: 0.01,
            share_duplicate: 0.01,
            share_null: 0.001,
            share_corrupt: 0.001,
            share_future: 0.001,
            ..self
        }
    }

    /// Says what cannot be.
    pub(super) fn check(&self) -> Result<()> {
        let wrong = |what: String| Err(Error::Config(format!("generator: {what}")));
        if self.meters == 0 || self.splits == 0 || self.regions == 0 {
            return wrong("meters, splits and regions must each be at least 1".into());
        }
        let interval = self.interval.as_millis();
        if interval == 0 || interval > 366 * 86_400_000 {
            return wrong(format!("the interval {:?} must be between 1 ms and a year", self.interval));
        }
        if self.rate == Some(0) {
            return wrong("a rate of 0 would never send; leave it out for no limit".into());
        }
        if self.late_by < Duration::from_secs(60) && self.share_late > 0.0 {
            return wrong(format!("late_by is {:?}, give at least a minute", self.late_by));
        }
        let shares = self.shares();
        if shares.iter().any(|s| !(0.0..=1.0).contains(s)) || shares.iter().sum::<f64>() > 1.0 {
            return wrong(format!("the shares {shares:?} must each be from 0 to 1, and at most 1 together"));
        }
        // Times must stay within the years that calendars know (until 9999, with room to spare).
        if !(-62_000_000_000_000..=250_000_000_000_000).contains(&self.start) {
            return wrong(format!("start {} is not a time in milliseconds since the epoch", self.start));
        }
        Ok(())
    }

    /// Every setting that decides what a reading of a given index is, by name: the checkpoint keeps
    /// them. How many readings there are and how fast they come may change from run to run.
    pub(super) fn identity(&self) -> Vec<(String, String)> {
        let GeneratorConfig {
            seed,
            meters,
            interval,
            start,
            count: _,
            duration: _,
            rate: _,
            regions,
            share_late,
            late_by,
            share_duplicate,
            share_null,
            share_corrupt,
            share_future,
            splits,
        } = self;
        let identity = [
            ("splits", splits.to_string()),
            ("seed", seed.to_string()),
            ("meters", meters.to_string()),
            ("interval", format!("{interval:?}")),
            ("start", start.to_string()),
            ("regions", regions.to_string()),
            ("share_late", share_late.to_string()),
            ("late_by", format!("{late_by:?}")),
            ("share_duplicate", share_duplicate.to_string()),
            ("share_null", share_null.to_string()),
            ("share_corrupt", share_corrupt.to_string()),
            ("share_future", share_future.to_string()),
        ];
        identity.map(|(name, value)| (name.to_owned(), value)).into()
    }

    /// Late, duplicate, null, corrupt, future.
    pub(super) fn shares(&self) -> [f64; 5] {
        [self.share_late, self.share_duplicate, self.share_null, self.share_corrupt, self.share_future]
    }
}
