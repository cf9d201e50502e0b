//! Reads the shards of one subtask, together in event time.

use std::sync::Arc;

use hurtig_engine::{
    checkpoint::CheckpointId,
    error::{Error, Result},
    metrics::Gauge,
    source::{ReaderContext, ReaderStatus, SourceOutput, SourceReader},
};
use tokio::{runtime::Handle, sync::OnceCell, task::AbortHandle};

use super::{
    fetch::{self, Shared},
    metrics::ReaderMetrics,
    options::Options,
    queue::{Budget, End, Queue},
    record::{KinesisDeserializationSchema, KinesisRecord},
    split::KinesisSplit,
    unpack::{Next, Unpacking},
};

/// How many records are read from one shard before another may come.
const SLICE: usize = 100;

/// How long to wait before a paused shard is looked at again, in milliseconds.
const PAUSED: i64 = 20;

/// Emits what the fetchers have queued: always of the shard with the lowest watermark that has
/// something and is not paused.
pub struct KinesisReader<D: KinesisDeserializationSchema> {
    schema: D,
    values: Vec<D::Item>,
    shared: Arc<Shared>,
    runtime: Handle,
    budget: Arc<Budget>,
    shards: Vec<ShardReader>,
}

/// One shard: what is queued, and where emitting stands.
struct ShardReader {
    number: u32,
    /// Its position is behind the last stream record that was emitted whole.
    split: KinesisSplit,
    current: Option<Unpacking>,
    queue: Arc<Queue>,
    behind: Gauge,
    fetcher: AbortHandle,
    /// Whether it was said that members are dropped.
    warned: bool,
}

impl Drop for ShardReader {
    fn drop(&mut self) {
        self.fetcher.abort();
    }
}

impl<D: KinesisDeserializationSchema> KinesisReader<D> {
    pub(super) fn new(options: Arc<Options>, schema: D, ctx: ReaderContext) -> Self {
        let metrics = ReaderMetrics::new(&ctx.metrics, options.stream_name());
        let budget = Budget::new(options.buffer_bytes);
        let seed = format!("{}/{}/{}/{}", ctx.job, ctx.uid, ctx.subtask, ctx.attempt);
        let (clock, waker) = (ctx.clock, ctx.waker);
        let shared = Shared { options, metrics, clock, waker, seed, client: OnceCell::new() };
        let shared = Arc::new(shared);
        KinesisReader { schema, values: Vec::new(), shared, runtime: ctx.runtime, budget, shards: Vec::new() }
    }

    /// The shard to read now, and whether one was passed over because it is paused.
    fn next_shard<O: SourceOutput<D::Item>>(&mut self, out: &mut O) -> (Option<usize>, bool) {
        let mut paused = false;
        let mut lowest: Option<(i64, usize)> = None;
        for (i, shard) in self.shards.iter().enumerate() {
            if shard.current.is_none() && !shard.queue.is_ready() {
                continue;
            }
            if out.is_paused(shard.number) {
                paused = true;
                continue;
            }
            let watermark = out.split_watermark(shard.number);
            if lowest.is_none_or(|(least, _)| watermark < least) {
                lowest = Some((watermark, i));
            }
        }
        (lowest.map(|(_, i)| i), paused)
    }

    fn publish(&self) {
        let pending: usize = self.shards.iter().map(|s| s.queue.pending()).sum();
        let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        self.shared.metrics.pending.set(number(pending));
        self.shared.metrics.pending_bytes.set(number(self.budget.used()));
        self.shared.metrics.shards.set(number(self.shards.len()));
    }
}

impl<D: KinesisDeserializationSchema> SourceReader for KinesisReader<D> {
    type Item = D::Item;
    type Split = KinesisSplit;

    fn add_split(&mut self, number: u32, split: KinesisSplit) -> Result<()> {
        let queue = Queue::new(self.budget.clone());
        let behind = self.shared.metrics.millis_behind_latest(&split.shard.id);
        let run = fetch::run(self.shared.clone(), split.clone(), queue.clone(), behind.clone());
        let fetcher = self.runtime.spawn(run).abort_handle();
        self.shards.push(ShardReader { number, split, current: None, queue, behind, fetcher, warned: false });
        self.publish();
        Ok(())
    }

    fn poll<O: SourceOutput<D::Item>>(&mut self, max: usize, out: &mut O) -> Result<ReaderStatus> {
        let mut left = max;
        while left > 0 && !out.is_full() {
            let i = match self.next_shard(out) {
                (Some(i), _) => i,
                (None, paused) => {
                    self.publish();
                    let until = paused.then(|| self.shared.clock.now_ms() + PAUSED);
                    return Ok(ReaderStatus::NothingAvailable { until });
                }
            };
            let shard = &mut self.shards[i];
            let emitted = shard.read(&self.shared, &mut self.schema, &mut self.values, SLICE.min(left), out)?;
            left -= emitted.min(left);
            if shard.current.is_some() {
                continue;
            }
            match shard.queue.take_end() {
                None => (),
                Some(End::Failed(e)) => return Err(e.into()),
                Some(End::Read) => {
                    let shard = self.shards.remove(i);
                    self.shared.metrics.remove(&shard.behind);
                    out.finish_split(shard.number);
                }
            }
        }
        self.publish();
        Ok(ReaderStatus::MoreAvailable)
    }

    fn snapshot(&mut self, _checkpoint: CheckpointId) -> Result<Vec<(u32, KinesisSplit)>> {
        Ok(self.shards.iter().map(|s| (s.number, s.split_now())).collect())
    }
}

impl ShardReader {
    fn split_now(&self) -> KinesisSplit {
        let mut split = self.split.clone();
        if let Some(current) = &self.current {
            split.position = current.position(&self.split.position);
        }
        split
    }

    /// Emits up to `max` user records, as many as are there and fit.
    fn read<D: KinesisDeserializationSchema, O: SourceOutput<D::Item>>(
        &mut self,
        shared: &Shared,
        schema: &mut D,
        values: &mut Vec<D::Item>,
        max: usize,
        out: &mut O,
    ) -> Result<usize> {
        let mut emitted = 0;
        while emitted < max && !out.is_full() {
            let mut current = match self.current.take() {
                Some(current) => current,
                None => match self.queue.pop() {
                    Some(record) => Unpacking::new(record, &self.split.position),
                    None => break,
                },
            };
            self.emit(&current, shared, schema, values, out)?;
            current.advance();
            emitted += 1;
            if current.is_done() {
                self.split.position = current.position(&self.split.position);
            } else {
                self.current = Some(current);
            }
        }
        Ok(emitted)
    }

    /// Emits the next user record of `current`.
    fn emit<D: KinesisDeserializationSchema, O: SourceOutput<D::Item>>(
        &mut self,
        current: &Unpacking,
        shared: &Shared,
        schema: &mut D,
        values: &mut Vec<D::Item>,
        out: &mut O,
    ) -> Result<()> {
        let stream_record = current.record();
        let (shard_id, arrival) = (&self.split.shard.id, stream_record.arrival);
        let position = u64::try_from(arrival).unwrap_or(0);
        let mut letter = |data: &[u8], sub: u64, reason: &str| {
            let sequence = &stream_record.sequence_number;
            let reason = format!("{reason} ({shard_id}, sequence number {sequence}, sub-sequence number {sub})");
            out.dead_letter(self.number, position, arrival, data, &reason);
        };
        match current.peek(&self.split.shard, shared.options.out_of_range) {
            None => (),
            Some(Next::Broken { data, sub_sequence_number }) => {
                letter(
                    data,
                    sub_sequence_number,
                    "a member of a KPL aggregate whose key is not in the aggregate's table",
                );
            }
            Some(Next::OutOfRange) => {
                shared.metrics.out_of_range.add(1);
                if !std::mem::replace(&mut self.warned, true) {
                    tracing::warn!(
                        stream = shared.options.stream_name(),
                        shard = shard_id,
                        "members of a KPL aggregate lie outside the shard's hash range and are dropped, as KCL does \
                         (numOutOfRangeMembers counts them); for producers that do not send them again set OutOfRange::Emit"
                    );
                }
            }
            Some(Next::Record { data, partition_key, explicit_hash_key, sub_sequence_number }) => {
                let record = KinesisRecord {
                    data,
                    partition_key,
                    explicit_hash_key,
                    sequence_number: &stream_record.sequence_number,
                    sub_sequence_number,
                    shard_id,
                    stream: shared.options.stream_name(),
                    approximate_arrival_timestamp: arrival,
                    aggregated: current.is_aggregate(),
                };
                values.clear();
                match schema.deserialize(&record, values) {
                    Ok(()) => values.drain(..).for_each(|value| out.emit(self.number, position, arrival, value)),
                    Err(e) => {
                        let unavailable = |reason| Error::source(shared.options.stream_name(), reason);
                        letter(data, sub_sequence_number, &e.refused_or(unavailable)?);
                    }
                }
            }
        }
        Ok(())
    }
}
