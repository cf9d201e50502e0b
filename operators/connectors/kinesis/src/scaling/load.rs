//! What a shard can take, and what it is asked to take.

use std::{
    collections::HashMap,
    future::Future,
    sync::{Arc, Mutex, MutexGuard},
};

use hurtig_engine::time::Clock;

use super::{HashRange, ScalingError};

/// What one shard takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ShardLimits {
    /// Bytes per second, 1 MB for every shard of Kinesis.
    pub bytes_per_second: f64,
    /// Records per second, 1,000 for every shard of Kinesis.
    pub records_per_second: f64,
}

impl Default for ShardLimits {
    fn default() -> Self {
        ShardLimits { bytes_per_second: 1e6, records_per_second: 1e3 }
    }
}

impl ShardLimits {
    /// No limit: a local server that has none.
    pub const UNLIMITED: ShardLimits =
        ShardLimits { bytes_per_second: f64::INFINITY, records_per_second: f64::INFINITY };
}

/// The load of one open shard over the last interval.
#[derive(Debug, Clone, PartialEq)]
pub struct ShardLoad {
    /// `ShardId`
    pub id: Arc<str>,
    /// Its hash keys.
    pub range: HashRange,
    /// Bytes per second that it took.
    pub bytes_per_second: f64,
    /// Records per second that it took.
    pub records_per_second: f64,
    /// Records per second that it refused for its limits, where that is known.
    pub throttled_per_second: f64,
}

impl ShardLoad {
    /// What is asked of the shard as a share of its limits: above 1 when it throttles.
    pub fn utilisation(&self, limits: ShardLimits) -> f64 {
        let taken =
            (self.bytes_per_second / limits.bytes_per_second).max(self.records_per_second / limits.records_per_second);
        // What was refused is asked for as well, in records as large as those that were taken.
        let refused =
            if self.records_per_second > 0.0 { self.throttled_per_second / self.records_per_second } else { 0.0 };
        if self.records_per_second == 0.0 && self.throttled_per_second > 0.0 {
            return taken.max(1.0);
        }
        taken * (1.0 + refused)
    }
}

/// Who knows the load of a stream's shards.
pub trait LoadSource: Send {
    /// The load of every open shard since it was last asked for.
    fn load(&mut self) -> impl Future<Output = Result<Vec<ShardLoad>, ScalingError>> + Send;
}

/// What the sinks of this process wrote, per shard. Give one to a sink
/// ([`KinesisSink::load_meter`](crate::sink::KinesisSink::load_meter)), and read it as a [`MeteredLoad`]: it
/// is exact, and knows of throttling, where this process is the stream's only writer.
#[derive(Debug, Clone, Default)]
pub struct LoadMeter(Arc<Mutex<Counts>>);

#[derive(Debug, Default)]
struct Counts {
    /// The open shards, as the sink listed them last.
    open: Vec<(Arc<str>, HashRange)>,
    shards: HashMap<Arc<str>, Counted>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counted {
    bytes: u64,
    records: u64,
    throttled: u64,
}

impl LoadMeter {
    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// States which shards are open.
    pub fn set_open(&self, open: Vec<(Arc<str>, HashRange)>) {
        self.lock().open = open;
    }

    /// Adds what a shard took and refused.
    pub fn add(&self, id: &Arc<str>, bytes: u64, records: u64, throttled: u64) {
        let mut all = self.lock();
        let c = all.shards.entry(id.clone()).or_default();
        c.bytes += bytes;
        c.records += records;
        c.throttled += throttled;
    }

    /// The load per second since the last call, `seconds` ago, of the shards that are open.
    pub fn read(&self, seconds: f64) -> Vec<ShardLoad> {
        let seconds = seconds.max(1e-3);
        let mut counts = self.lock();
        let shards = std::mem::take(&mut counts.shards);
        let load = |(id, range): &(Arc<str>, HashRange)| {
            let c = shards.get(id).copied().unwrap_or_default();
            ShardLoad {
                id: id.clone(),
                range: *range,
                bytes_per_second: c.bytes as f64 / seconds,
                records_per_second: c.records as f64 / seconds,
                throttled_per_second: c.throttled as f64 / seconds,
            }
        };
        counts.open.iter().map(load).collect()
    }
}

/// A [`LoadMeter`] on a clock.
pub struct MeteredLoad {
    meter: LoadMeter,
    clock: Arc<dyn Clock>,
    read_at: i64,
}

impl MeteredLoad {
    /// From now on.
    pub fn new(meter: LoadMeter, clock: Arc<dyn Clock>) -> Self {
        let read_at = clock.now_ms();
        MeteredLoad { meter, clock, read_at }
    }
}

impl LoadSource for MeteredLoad {
    async fn load(&mut self) -> Result<Vec<ShardLoad>, ScalingError> {
        let now = self.clock.now_ms();
        let elapsed = now - std::mem::replace(&mut self.read_at, now);
        Ok(self.meter.read(elapsed as f64 / 1e3))
    }
}
