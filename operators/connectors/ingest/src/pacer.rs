//! How fast files may go into a stream that others need now: live traffic first.
//!
//! A token bucket in bytes and records, filled at a *level*: a part of the stream's capacity. The
//! level never exceeds the share that is set (70 %) less what live traffic is known to take. It
//! climbs slowly, and is halved when the stream throttles or live readers fall behind (additive
//! increase, multiplicative decrease, as TCP does). Pure: time comes from the caller.

/// A rate, or a capacity.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Rate {
    /// Bytes a second.
    pub bytes: f64,
    /// Records a second.
    pub records: f64,
}

impl Rate {
    /// What so many Kinesis shards take: 1 MB and 1,000 records a second each.
    pub fn shards(n: usize) -> Rate {
        Rate { bytes: n as f64 * 1_000_000.0, records: n as f64 * 1_000.0 }
    }

    /// So many bytes, and any number of records.
    pub fn bytes(bytes: f64) -> Rate {
        Rate { bytes, records: f64::INFINITY }
    }

    /// The larger part of `capacity` that this is.
    fn part_of(&self, capacity: &Rate) -> f64 {
        let part = |rate: f64, of: f64| if of.is_finite() && of > 0.0 { rate / of } else { 0.0 };
        part(self.bytes, capacity.bytes).max(part(self.records, capacity.records))
    }
}

/// How a [`Pacer`] behaves.
#[derive(Debug, Clone, PartialEq)]
pub struct PacerOptions {
    /// What the stream takes, until an observation says otherwise.
    pub capacity: Rate,
    /// The largest part of the capacity, together with the live traffic that is known of.
    pub share: f64,
    /// The smallest: ingestion never stops altogether.
    pub floor: f64,
    /// By how much of the capacity the level climbs in a second.
    pub increase: f64,
    /// What the level is multiplied by when the stream is too full.
    pub decrease: f64,
    /// After a decrease, none for this long: its effect is to be seen first. In milliseconds.
    pub pause_ms: i64,
    /// Live readers may be this far behind, in milliseconds.
    pub max_lag_ms: i64,
    /// How much may be saved up, in milliseconds of the present rate.
    pub burst_ms: i64,
}

impl Default for PacerOptions {
    fn default() -> Self {
        PacerOptions {
            capacity: Rate::shards(1),
            share: 0.7,
            floor: 0.01,
            increase: 0.05,
            decrease: 0.5,
            pause_ms: 1_000,
            max_lag_ms: 5_000,
            burst_ms: 200,
        }
    }
}

/// What is known about the stream now. What is not known stays `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Observation {
    /// Records that the stream refused since the last observation.
    pub throttled: u64,
    /// What the stream takes (it was resharded).
    pub capacity: Option<Rate>,
    /// What others write.
    pub live: Option<Rate>,
    /// How far live readers are behind, in milliseconds (`millisBehindLatest`).
    pub live_lag_ms: Option<i64>,
}

/// A pacer's figures.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct PacerFigures {
    /// What may be written now.
    pub bytes_per_second: f64,
    /// The part of the capacity that this is.
    pub level: f64,
    /// Records that the stream refused so far.
    pub throttled: u64,
    /// How often it gave way.
    pub decreases: u64,
    /// How far live readers are behind, where that is known.
    pub live_lag_ms: Option<i64>,
}

/// Says when the next record may be written.
#[derive(Debug, Clone)]
pub struct Pacer {
    options: PacerOptions,
    capacity: Rate,
    level: f64,
    live: f64,
    lag: Option<i64>,
    bytes: f64,
    records: f64,
    filled_at: Option<i64>,
    observed_at: Option<i64>,
    decreased_at: Option<i64>,
    throttled: u64,
    decreases: u64,
}

impl Pacer {
    /// Begins at a fifth of its share: what is live shows first.
    pub fn new(options: PacerOptions) -> Self {
        let level = (options.share * 0.2).max(options.floor);
        Pacer {
            capacity: options.capacity,
            level,
            live: 0.0,
            lag: None,
            bytes: 0.0,
            records: 0.0,
            filled_at: None,
            observed_at: None,
            decreased_at: None,
            throttled: 0,
            decreases: 0,
            options,
        }
    }

    /// Takes in what is known at `now` (milliseconds).
    pub fn observe(&mut self, now: i64, seen: &Observation) {
        self.fill(now);
        let elapsed = self.observed_at.map_or(0, |at| (now - at).clamp(0, 1_000)) as f64 / 1_000.0;
        self.observed_at = Some(now);
        if let Some(capacity) = seen.capacity.filter(|c| c.bytes > 0.0) {
            self.capacity = capacity;
        }
        if let Some(live) = seen.live {
            self.live = live.part_of(&self.capacity);
        }
        let before = std::mem::replace(&mut self.lag, seen.live_lag_ms);
        self.throttled += seen.throttled;
        // Readers that catch up are left to it.
        let behind =
            seen.live_lag_ms.is_some_and(|lag| lag > self.options.max_lag_ms && before.is_none_or(|b| lag >= b));
        if seen.throttled > 0 || behind {
            if self.decreased_at.is_none_or(|at| now - at >= self.options.pause_ms) {
                self.level *= self.options.decrease;
                self.decreased_at = Some(now);
                self.decreases += 1;
            }
        } else {
            self.level += self.options.increase * elapsed;
        }
        let most = (self.options.share - self.live).max(self.options.floor);
        self.level = self.level.clamp(self.options.floor.min(most), most);
    }

    /// Whether a record may be written at `now`.
    pub fn is_ready(&mut self, now: i64) -> bool {
        self.fill(now);
        self.bytes > 0.0 && self.records > 0.0
    }

    /// A record of `bytes` bytes is written. It may be more than there is: that is made up for.
    pub fn take(&mut self, bytes: usize) {
        self.bytes -= bytes as f64;
        self.records -= 1.0;
    }

    /// How long until [`is_ready`](Self::is_ready), in milliseconds, at the present rate.
    pub fn wait_ms(&self) -> i64 {
        let wait =
            |debt: f64, rate: f64| if debt > 0.0 || !rate.is_finite() { 0.0 } else { (-debt + 1.0) * 1_000.0 / rate };
        let rate = self.rate();
        wait(self.bytes, rate.bytes).max(wait(self.records, rate.records)).clamp(1.0, 1_000.0).ceil() as i64
    }

    /// What may be written in a second.
    pub fn rate(&self) -> Rate {
        Rate { bytes: self.capacity.bytes * self.level, records: self.capacity.records * self.level }
    }

    /// The figures now.
    pub fn figures(&self) -> PacerFigures {
        PacerFigures {
            bytes_per_second: self.rate().bytes,
            level: self.level,
            throttled: self.throttled,
            decreases: self.decreases,
            live_lag_ms: self.lag,
        }
    }

    fn fill(&mut self, now: i64) {
        let rate = self.rate();
        let burst = self.options.burst_ms as f64 / 1_000.0;
        let elapsed = match self.filled_at {
            Some(at) => (now - at).max(0) as f64 / 1_000.0,
            None => burst,
        };
        self.filled_at = Some(self.filled_at.map_or(now, |at| at.max(now)));
        self.bytes = (self.bytes + rate.bytes * elapsed).min((rate.bytes * burst).max(1.0));
        self.records = (self.records + rate.records * elapsed).min((rate.records * burst).max(1.0));
    }
}
