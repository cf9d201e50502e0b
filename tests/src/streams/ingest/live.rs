//! The traffic that ingestion must leave room for: whoever sends it, and whoever reads the stream.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use anyhow::{Context, Result, bail};
use aws_sdk_kinesis::{
    Client,
    primitives::Blob,
    types::{PutRecordsRequestEntry, PutRecordsResultEntry, ShardIteratorType},
};
use tokio::{
    runtime::Runtime,
    task::{JoinHandle, JoinSet},
    time::{MissedTickBehavior, interval, sleep},
};

use super::{
    now_ms,
    seen::{Seen, live_record},
};

/// How large a live record is: what a concentrator sends for its meters.
const SIZE: usize = 4_000;
/// Who sends them.
const KEYS: u64 = 500;
/// How often records are sent.
const EVERY: Duration = Duration::from_millis(50);
/// How long a refused record waits, the first time and at most.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// What a record is refused with whose shard is at its limits.
const THROTTLED: &str = "ProvisionedThroughputExceededException";
/// A record is tried so often, and a shard read so often in vain.
const TRIES: u32 = 200;
/// Kinesis allows five reads a second.
const READ_EVERY: Duration = Duration::from_millis(210);
/// A shard that gives nothing so often has nothing more.
const EMPTY: u32 = 3;

/// How much was sent so far.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sent {
    /// Records.
    pub records: u64,
    /// How often one of them was refused because its shard was at its limits.
    pub throttled: u64,
}

#[derive(Default)]
struct Counts {
    records: AtomicU64,
    throttled: AtomicU64,
    stop_sending: AtomicBool,
    stop_reading: AtomicBool,
}

/// Live traffic while it runs.
pub struct Live {
    counts: Arc<Counts>,
    sender: JoinHandle<Result<()>>,
    readers: JoinSet<Result<()>>,
}

impl Live {
    /// Sends so many bytes a second, and reads all that is in the stream.
    pub async fn start(client: &Client, stream: &'static str, seen: &Seen, bytes_per_second: f64) -> Result<Self> {
        let counts = Arc::new(Counts::default());
        let mut readers = JoinSet::new();
        let shards = client.list_shards().stream_name(stream).send().await?;
        for shard in shards.shards() {
            let iterator = client.get_shard_iterator().stream_name(stream).shard_id(shard.shard_id());
            let iterator = iterator.shard_iterator_type(ShardIteratorType::TrimHorizon).send().await?;
            let iterator = iterator.shard_iterator.context("an iterator")?;
            readers.spawn(read(client.clone(), iterator, seen.clone(), counts.clone()));
        }
        let sender = tokio::spawn(send(client.clone(), stream, counts.clone(), bytes_per_second));
        Ok(Live { counts, sender, readers })
    }

    /// How much was sent so far.
    pub fn sent(&self) -> Sent {
        Sent { records: self.counts.records.load(SeqCst), throttled: self.counts.throttled.load(SeqCst) }
    }

    /// Sends no more, and reads what is left.
    pub fn finish(mut self, runtime: &Runtime) -> Result<Sent> {
        self.counts.stop_sending.store(true, SeqCst);
        runtime.block_on(async {
            (&mut self.sender).await??;
            self.counts.stop_reading.store(true, SeqCst);
            while let Some(read) = self.readers.join_next().await {
                read??;
            }
            Ok(self.sent())
        })
    }
}

async fn send(client: Client, stream: &'static str, counts: Arc<Counts>, bytes_per_second: f64) -> Result<()> {
    let (mut ticks, mut due, mut puts) = (interval(EVERY), 0.0, JoinSet::new());
    // Who is late makes up for it: the rate is steady.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    while !counts.stop_sending.load(SeqCst) {
        ticks.tick().await;
        due += bytes_per_second * EVERY.as_secs_f64() / SIZE as f64;
        let (first, now) = (counts.records.load(SeqCst), now_ms());
        let records: Vec<_> = (first..first + due as u64).map(|number| record(number, now)).collect::<Result<_>>()?;
        counts.records.fetch_add(records.len() as u64, SeqCst);
        due = due.fract();
        puts.spawn(put(client.clone(), stream, records, counts.clone()));
        while let Some(done) = puts.try_join_next() {
            done??;
        }
    }
    while let Some(done) = puts.join_next().await {
        done??;
    }
    Ok(())
}

fn record(number: u64, now: i64) -> Result<PutRecordsRequestEntry> {
    let data = Blob::new(live_record(number, now, SIZE));
    Ok(PutRecordsRequestEntry::builder().partition_key(format!("live-{}", number % KEYS)).data(data).build()?)
}

/// Sends them until the stream has all of them.
async fn put(
    client: Client,
    stream: &str,
    mut records: Vec<PutRecordsRequestEntry>,
    counts: Arc<Counts>,
) -> Result<()> {
    let mut wait = BACKOFF.0;
    for _ in 0..TRIES {
        if records.is_empty() {
            return Ok(());
        }
        // An answer that does not come is no answer: all of it again.
        if let Ok(answer) = client.put_records().stream_name(stream).set_records(Some(records.clone())).send().await {
            let codes = answer.records().iter().map(PutRecordsResultEntry::error_code);
            let refused = records.into_iter().zip(codes).filter_map(|(record, code)| Some((record, code?)));
            let (again, codes): (Vec<_>, Vec<_>) = refused.unzip();
            counts.throttled.fetch_add(codes.iter().filter(|code| **code == THROTTLED).count() as u64, SeqCst);
            records = again;
        }
        if !records.is_empty() {
            sleep(wait).await;
            wait = (wait * 2).min(BACKOFF.1);
        }
    }
    bail!("{} live records were refused {TRIES} times", records.len())
}

/// Reads a shard until there is nothing left when nothing more comes.
async fn read(client: Client, mut iterator: String, seen: Seen, counts: Arc<Counts>) -> Result<()> {
    let (mut empty, mut failed) = (0, 0);
    let mut ticks = interval(READ_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while empty < EMPTY {
        ticks.tick().await;
        let stopping = counts.stop_reading.load(SeqCst);
        match client.get_records().shard_iterator(&iterator).send().await {
            Ok(answer) => {
                let now = now_ms();
                answer.records().iter().for_each(|record| seen.record(record.data().as_ref(), now));
                empty = if stopping && answer.records().is_empty() { empty + 1 } else { 0 };
                iterator = answer.next_shard_iterator.context("the shard was closed")?;
                failed = 0;
            }
            // It is throttled, or its connection was cut.
            Err(e) if failed >= TRIES => return Err(e).context("the live reader"),
            Err(_) => failed += 1,
        }
    }
    Ok(())
}
