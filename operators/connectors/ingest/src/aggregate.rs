//! Packs the messages of one key together: fewer, larger records for a stream that counts records.
//!
//! As the talk's `SimpleJsonRecordAggregator` does: JSON objects one behind the other, without
//! anything between them. What is waiting is in the checkpoint.

use std::collections::{HashMap, VecDeque};

use compact_str::CompactString;
use hurtig_engine::{
    Origin, Record, Result,
    error::{from_bytes, to_bytes},
    operator::{Operator, OperatorFactory, Output, Progress},
    task::{RuntimeContext, SnapshotContext},
};
use serde::{Deserialize, Serialize};

use crate::message::Message;

/// The operator's options (and its factory).
///
/// ```
/// use hurtig_ingest::AggregateByKey;
///
/// let aggregate = AggregateByKey { max_messages: 100, ..AggregateByKey::default() };
/// # let _ = aggregate;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AggregateByKey {
    /// The largest record, in bytes. A message that is larger goes alone.
    pub max_bytes: usize,
    /// The most messages in a record: Firehose takes 500.
    pub max_messages: u32,
    /// How long the first message of a record waits for others, in milliseconds.
    pub max_wait_ms: i64,
    /// How much may wait on each subtask, in bytes: then the oldest goes.
    pub max_buffered: usize,
}

impl Default for AggregateByKey {
    fn default() -> Self {
        AggregateByKey { max_bytes: 25 << 10, max_messages: 500, max_wait_ms: 1_000, max_buffered: 2 << 20 }
    }
}

/// Packs the messages of one subtask.
pub struct AggregateOperator {
    options: AggregateByKey,
    waiting: HashMap<CompactString, Waiting>,
    /// Keys in the order in which they began to wait, with the number of the wait: a key that went
    /// out in between has another.
    order: VecDeque<(CompactString, u64)>,
    number: u64,
    buffered: usize,
    /// The output was full when something was due: it is looked again then. What is due must not
    /// keep a barrier waiting, a paced sink may take seconds for it.
    again_at: Option<i64>,
}

/// How soon is looked again, in milliseconds.
const AGAIN_MS: i64 = 20;

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Waiting {
    message: Message,
    timestamp: i64,
    since: i64,
    number: u64,
    #[serde(skip, default = "no_origin")]
    origin: Origin,
}

fn no_origin() -> Origin {
    Origin::NONE
}

impl Waiting {
    fn into_record(self) -> Record<Message> {
        Record { value: self.message, timestamp: self.timestamp, origin: self.origin }
    }
}

impl OperatorFactory<Message> for AggregateByKey {
    type Out = Message;
    type Operator = AggregateOperator;

    fn create(&self, ctx: &mut RuntimeContext<'_>) -> Result<AggregateOperator> {
        let mut operator = AggregateOperator {
            options: self.clone(),
            waiting: HashMap::new(),
            order: VecDeque::new(),
            number: 0,
            buffered: 0,
            again_at: None,
        };
        for bytes in ctx.restored().state {
            let waiting: Waiting = from_bytes("an aggregate", &bytes)?;
            operator.add(waiting);
        }
        Ok(operator)
    }
}

impl AggregateOperator {
    /// Puts messages behind those of their key.
    fn add(&mut self, new: Waiting) {
        self.buffered += new.message.data.len();
        match self.waiting.get_mut(&new.message.key) {
            Some(w) => {
                w.message.data.extend_from_slice(&new.message.data);
                w.message.messages += new.message.messages;
                w.timestamp = w.timestamp.max(new.timestamp);
            }
            None => {
                self.number += 1;
                let key = new.message.key.clone();
                self.order.push_back((key.clone(), self.number));
                self.waiting.insert(key, Waiting { number: self.number, ..new });
            }
        }
    }

    fn emit<O: Output<Message>>(&mut self, key: &CompactString, out: &mut O) {
        if let Some(waiting) = self.waiting.remove(key) {
            self.buffered -= waiting.message.data.len();
            out.collect(waiting.into_record());
        }
    }

    /// Emits the one that has waited longest. `false`: there is none, or `until` says not yet.
    fn emit_oldest<O: Output<Message>>(&mut self, until: i64, out: &mut O) -> bool {
        while let Some((key, number)) = self.order.front() {
            match self.waiting.get(key) {
                Some(w) if w.number == *number && w.since > until => return false,
                Some(w) if w.number == *number => {
                    let Some((key, _)) = self.order.pop_front() else { return false };
                    self.emit(&key, out);
                    return true;
                }
                _ => {
                    self.order.pop_front();
                }
            }
        }
        false
    }
}

impl Operator<Message> for AggregateOperator {
    type Out = Message;

    fn process<O: Output<Message>>(&mut self, record: Record<Message>, out: &mut O) -> Result<()> {
        let Record { value, timestamp, origin } = record;
        if let Some(w) = self.waiting.get(&value.key)
            && (w.message.data.len() + value.data.len() > self.options.max_bytes
                || w.message.messages + value.messages > self.options.max_messages)
        {
            let key = value.key.clone();
            self.emit(&key, out);
        }
        let since = out.ctx().current_processing_time();
        self.add(Waiting { message: value, timestamp, since, number: 0, origin });
        while self.buffered > self.options.max_buffered && self.emit_oldest(i64::MAX, out) {}
        Ok(())
    }

    fn processing_time<O: Output<Message>>(&mut self, now: i64, out: &mut O) -> Result<Progress> {
        self.again_at = None;
        while !out.is_full() {
            if !self.emit_oldest(now - self.options.max_wait_ms, out) {
                return Ok(Progress::Done);
            }
        }
        self.again_at = Some(now + AGAIN_MS);
        Ok(Progress::Done)
    }

    fn next_processing_time(&mut self) -> Result<Option<i64>> {
        if self.again_at.is_some() {
            return Ok(self.again_at);
        }
        while let Some((key, number)) = self.order.front() {
            match self.waiting.get(key) {
                Some(w) if w.number == *number => return Ok(Some(w.since + self.options.max_wait_ms)),
                _ => {
                    self.order.pop_front();
                }
            }
        }
        Ok(None)
    }

    fn end_of_input<O: Output<Message>>(&mut self, out: &mut O) -> Result<Progress> {
        while self.emit_oldest(i64::MAX, out) {
            if out.is_full() {
                return Ok(Progress::More);
            }
        }
        Ok(Progress::Done)
    }

    fn snapshot(&mut self, snapshot: &mut SnapshotContext<'_>) -> Result<()> {
        let mut waiting: Vec<_> = self.waiting.values().collect();
        waiting.sort_by_key(|w| w.number);
        snapshot.put_state(waiting.into_iter().map(|w| to_bytes("an aggregate", w)).collect::<Result<_>>()?);
        Ok(())
    }
}
