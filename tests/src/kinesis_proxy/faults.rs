//! What goes wrong, how often.

use std::{ops::RangeInclusive, time::Duration};

/// What goes wrong. Shares are between 0 and 1; without any of it the proxy only passes on.
#[derive(Debug, Clone, PartialEq)]
pub struct Faults {
    /// What a shard takes and gives; `None`: whatever the server does.
    pub limits: Option<Limits>,
    /// Share of the records of a PutRecords that fail with `InternalFailure`.
    pub internal_failures: f64,
    /// Share of the records of a PutRecords that fail with `ProvisionedThroughputExceededException`,
    /// whatever the limits say; of single PutRecord calls too.
    pub throttled_records: f64,
    /// Share of the calls of GetRecords that are throttled, whatever the limits say.
    pub throttled_reads: f64,
    /// Share of the calls of GetRecords whose iterator has expired.
    pub expired_iterators: f64,
    /// For how long an iterator is good.
    pub iterator_lifetime: Duration,
    /// Share of all calls that end with status 500 and have not reached the server.
    pub server_errors: f64,
    /// Share of all calls whose connection is cut before the server has seen them.
    pub cut_before: f64,
    /// Share of all calls whose connection is cut when the server has done what was asked: half of
    /// them before the answer, half of them in its middle. Streams of SubscribeToShard are cut
    /// after an event.
    pub cut_after: f64,
    /// By how much each call is delayed.
    pub latency: RangeInclusive<Duration>,
}

impl Default for Faults {
    fn default() -> Self {
        Faults {
            limits: None,
            internal_failures: 0.0,
            throttled_records: 0.0,
            throttled_reads: 0.0,
            expired_iterators: 0.0,
            iterator_lifetime: Duration::from_secs(300),
            server_errors: 0.0,
            cut_before: 0.0,
            cut_after: 0.0,
            latency: Duration::ZERO..=Duration::ZERO,
        }
    }
}

impl Faults {
    /// AWS on a good day: nothing but its limits.
    pub fn throttled() -> Self {
        Faults { limits: Some(Limits::default()), ..Faults::default() }
    }

    /// AWS on a bad day: its limits, and a little of everything.
    pub fn bad_day() -> Self {
        Faults {
            internal_failures: 0.01,
            throttled_records: 0.01,
            throttled_reads: 0.02,
            expired_iterators: 0.01,
            server_errors: 0.005,
            cut_before: 0.005,
            cut_after: 0.005,
            latency: Duration::ZERO..=Duration::from_millis(10),
            ..Faults::throttled()
        }
    }
}

/// What one shard takes and gives in a second. The default is what AWS says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Bytes written, keys included.
    pub bytes_in: f64,
    /// Records written.
    pub records_in: f64,
    /// Calls of GetRecords, and as many of GetShardIterator.
    pub reads: f64,
    /// Bytes read by GetRecords: who has read more at once waits until it is made up for.
    pub bytes_out: f64,
    /// What one GetRecords gives at most; AWS's own 10 MiB.
    pub bytes_per_read: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            bytes_in: 1_048_576.0,
            records_in: 1_000.0,
            reads: 5.0,
            bytes_out: 2_000_000.0,
            bytes_per_read: 10 << 20,
        }
    }
}
