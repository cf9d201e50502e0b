//! Two sinks that write as fast as the load wants, or as the shards take.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail};
use hurtig_engine::record::Record;
use hurtig_kinesis::{
    scaling::{LoadCurve, ShardLimits},
    sink::KinesisSink,
};
use hurtig_operators::{
    connectors::testing::SinkHarness,
    schema::{SchemaError, SerializationSchema},
};

use super::{RECORD, now, stream::NAME};
use crate::servers::aws_config;

const WRITERS: u64 = 2;
const METERS: u64 = 10_000;
const TICK: Duration = Duration::from_millis(20);

/// Both, each in a thread.
pub struct Writers {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<Result<u64>>>,
}

/// How many records each writer has written. One may be ahead of the other: it was throttled less.
pub struct Written {
    each: Vec<u64>,
}

impl Written {
    /// All of them.
    pub fn count(&self) -> u64 {
        self.each.iter().sum()
    }

    /// Whether this number was given to a record.
    pub fn has(&self, n: u64) -> bool {
        self.each.get((n % WRITERS) as usize).is_some_and(|&written| n / WRITERS < written)
    }
}

struct Shared {
    load: LoadCurve,
    begun: Instant,
    stop: AtomicBool,
    /// Records that the load has wanted, and that were acknowledged.
    wanted: AtomicU64,
    written: AtomicU64,
    failed: Mutex<Option<String>>,
}

impl Writers {
    /// Begins at once.
    pub fn start(endpoint: &str, load: LoadCurve, scale: f64) -> Result<Self> {
        let shared = Arc::new(Shared {
            load,
            begun: now(),
            stop: AtomicBool::new(false),
            wanted: AtomicU64::new(0),
            written: AtomicU64::new(0),
            failed: Mutex::new(None),
        });
        let limits = ShardLimits::default();
        let limits = ShardLimits {
            bytes_per_second: limits.bytes_per_second / scale,
            records_per_second: limits.records_per_second / scale,
        };
        let sink = KinesisSink::new(NAME, Padded, |n: &u64| meter(*n))
            .aws(aws_config(endpoint))
            .shard_limits(limits)
            .explicit_hash_key(|n: &u64| spread(*n))
            .with_dedup_key(|n: &u64| n.to_string());
        let start = |writer: u64| {
            let (shared, sink) = (shared.clone(), sink.clone());
            std::thread::spawn(move || {
                write(writer, &sink, &shared).inspect_err(|e| {
                    *shared.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(format!("{e:#}"));
                })
            })
        };
        let threads = (0..WRITERS).map(start).collect();
        Ok(Writers { shared, threads })
    }

    /// Bytes a second that are wanted now.
    pub fn load(&self) -> f64 {
        self.shared.load.at(self.shared.now_ms())
    }

    /// Records that were wanted and are not acknowledged.
    pub fn waiting(&self) -> u64 {
        let written = self.shared.written.load(SeqCst);
        self.shared.wanted.load(SeqCst).saturating_sub(written)
    }

    /// Why one has failed.
    pub fn failed(&self) -> Option<String> {
        self.shared.failed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends them; gives what they have written.
    pub fn stop(mut self) -> Result<Written> {
        self.shared.stop.store(true, SeqCst);
        let mut each = Vec::new();
        for thread in self.threads.drain(..) {
            each.push(thread.join().map_err(|_| anyhow!("a writer has panicked"))??);
        }
        Ok(Written { each })
    }
}

impl Drop for Writers {
    fn drop(&mut self) {
        self.shared.stop.store(true, SeqCst);
    }
}

impl Shared {
    fn now_ms(&self) -> i64 {
        i64::try_from(self.begun.elapsed().as_millis()).unwrap_or(i64::MAX)
    }
}

fn write(writer: u64, sink: &KinesisSink<u64, Padded>, shared: &Shared) -> Result<u64> {
    let mut harness = SinkHarness::start_subtask(sink, "readings", writer as usize, "1")?;
    let (mut records, mut wanted, mut before, mut acknowledged) = (0_u64, 0.0, shared.now_ms(), 0);
    while !shared.stop.load(SeqCst) {
        let now = shared.now_ms();
        wanted += shared.load.at(now) * (now - before) as f64 / 1e3 / RECORD as f64 / WRITERS as f64;
        before = now;
        while records < wanted as u64 && !shared.stop.load(SeqCst) {
            // Every other number is the other writer's.
            harness.write(Record::new(records * WRITERS + writer))?;
            records += 1;
            shared.wanted.fetch_add(1, SeqCst);
        }
        harness.advance(i64::try_from(TICK.as_millis())?)?;
        shared.written.fetch_add(harness.books.written - acknowledged, SeqCst);
        acknowledged = harness.books.written;
        std::thread::sleep(TICK);
    }
    harness.checkpoint().context("the last checkpoint")?;
    if !harness.books.balance() || harness.books.written != records {
        bail!("{records} records, and the sink's books say {:?}", harness.books);
    }
    Ok(records)
}

/// The meter of a record.
pub fn meter(n: u64) -> String {
    format!("meter-{:05}", n % METERS)
}

/// Hash keys by the golden ratio: however few meters send, every part of the shards gets its share of them.
fn spread(n: u64) -> u128 {
    u128::from(n % METERS).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835)
}

/// A number, padded: so that a record with its keys has the size it is to have.
#[derive(Debug, Clone)]
struct Padded;

impl SerializationSchema<u64> for Padded {
    fn serialize(&mut self, n: &u64, out: &mut Vec<u8>) -> Result<(), SchemaError> {
        let digits = n.to_string();
        // The separator is a byte.
        let keys = meter(*n).len() + 1 + digits.len();
        out.extend_from_slice(digits.as_bytes());
        out.resize(RECORD - keys, b' ');
        Ok(())
    }
}
