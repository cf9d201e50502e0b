//! Epochs: what is written between two barriers is kept, and published when the checkpoint is complete.

use hurtig_engine::{
    error::{Error, Result},
    metrics::Gauge,
    sink::{SinkContext, WriterContext},
};

use super::{
    chunk::{ChunkHeader, encode, pack},
    delivery::Mark,
    handed_over::{HandedOver, Outcomes},
    limits::Limits,
    pace::EpochPace,
    serializer::ProducerRecord,
};

/// So many bytes of records are compressed at a time: about a millisecond's work.
const CHUNK_BYTES: usize = 256 << 10;

/// An epoch that is so many times over its bound in spite of all slowing down ends the job.
const FAR_OVER: u64 = 4;

/// How long a full epoch waits before it looks again, in milliseconds.
const WAIT: i64 = 10;

/// Gathers the records of one subtask.
pub(super) struct EpochWriter {
    name: String,
    attempt: String,
    subtask: u32,
    limits: Limits,
    epoch: u64,
    chunks: Vec<Vec<u8>>,
    /// Compressed bytes in `chunks`.
    bytes: u64,
    handed_over: HandedOver,
    raw: Vec<u8>,
    records: u32,
    limit: u64,
    pace: EpochPace,
    full_until: Option<i64>,
    epoch_bytes: Gauge,
    slowed: bool,
}

impl EpochWriter {
    pub fn new(limit: u64, limits: Limits, outcomes: &Outcomes, ctx: &WriterContext) -> Self {
        EpochWriter {
            name: ctx.name.clone(),
            attempt: ctx.attempt.clone(),
            subtask: u32::try_from(ctx.subtask).unwrap_or(u32::MAX),
            limits,
            epoch: 1,
            chunks: Vec::new(),
            bytes: 0,
            handed_over: outcomes.of(&ctx.attempt),
            raw: Vec::new(),
            records: 0,
            limit,
            pace: EpochPace::new(limit),
            full_until: None,
            epoch_bytes: ctx.metrics.gauge("epochBytes", &[]),
            slowed: false,
        }
    }

    pub fn write(&mut self, record: &ProducerRecord, mark: Mark, ctx: &mut SinkContext<'_>) -> Result<()> {
        // A replay has to give the same: the time of sending would be another.
        let time = record.timestamp.or(Some(mark.1).filter(|t| *t > 0));
        if let Some(reason) = self.limits.refuse(record, time, ctx.now()) {
            ctx.dead_letter(mark.0, mark.1, record.raw().to_vec(), reason);
            return Ok(());
        }
        let headers = record.headers().iter().map(|(n, v)| (n.as_str(), v.as_deref()));
        encode(&mut self.raw, record.topic(), (record.partition, time), (record.key(), record.value()), headers);
        self.records += 1;
        ctx.written(1);
        if self.raw.len() >= CHUNK_BYTES {
            self.pack()?;
        }
        Ok(())
    }

    fn pack(&mut self) -> Result<()> {
        if self.records == 0 {
            return Ok(());
        }
        let header = ChunkHeader {
            attempt: self.attempt.clone(),
            subtask: self.subtask,
            epoch: self.epoch,
            part: u32::try_from(self.chunks.len()).unwrap_or(u32::MAX),
            records: std::mem::take(&mut self.records),
            raw_bytes: u32::try_from(self.raw.len()).map_err(|_| self.too_much())?,
        };
        let chunk = pack(&header, &self.raw)?;
        self.raw.clear();
        self.bytes += chunk.len() as u64;
        self.chunks.push(chunk);
        let waiting = self.waiting();
        self.epoch_bytes.set(i64::try_from(waiting).unwrap_or(i64::MAX));
        if waiting > self.limit.saturating_mul(FAR_OVER) {
            return Err(self.too_much());
        }
        Ok(())
    }

    /// Bytes that wait for a checkpoint: this epoch's, and those of checkpoints that were given up.
    fn waiting(&self) -> u64 {
        self.bytes + self.handed_over.given_up()
    }

    #[cold]
    fn too_much(&self) -> Error {
        let reason = format!(
            "{} bytes wait for a checkpoint, max_epoch_bytes is {}: take checkpoints more often, find out why they \
             fail if they do, raise max_epoch_bytes, or use a higher parallelism",
            self.waiting(),
            self.limit
        );
        Error::sink(&self.name, reason)
    }

    pub fn ready(&mut self, ctx: &SinkContext<'_>) -> bool {
        let now = ctx.now();
        if self.pace.allows(self.bytes, self.handed_over.given_up(), now) {
            self.full_until = None;
            return true;
        }
        if !std::mem::replace(&mut self.slowed, true) {
            tracing::warn!(
                "{}: {} bytes of at most {} wait for a checkpoint: slowing down until it comes",
                self.name,
                self.waiting(),
                self.limit
            );
        }
        self.full_until = Some(now + WAIT);
        false
    }

    pub fn next_wakeup(&self) -> Option<i64> {
        self.full_until
    }

    /// The epoch is over: its chunks.
    pub fn end(&mut self) -> Result<Vec<Vec<u8>>> {
        self.pack()?;
        self.handed_over.add(self.epoch, self.bytes);
        self.epoch += 1;
        self.bytes = 0;
        self.slowed = false;
        self.full_until = None;
        self.pace.restart();
        Ok(std::mem::take(&mut self.chunks))
    }
}
