//! Records on their way into the store: in the order in which they came, one batch under way.
//!
//! The store takes a batch faster than it is made, so that there is nothing to win from several at a time, and two values of
//! one moment never overtake each other.

use hurtig_async_sink::{Batch, BatchQueue};
use hurtig_store::Record;

/// Records of a batch.
pub(super) const BATCH: usize = 4_096;

/// What is to be written.
#[derive(Debug, Default)]
pub(super) struct Batches {
    values: Vec<u64>,
    records: Vec<Record>,
    is_due: bool,
    is_under_way: bool,
    batches: u64,
}

/// What is taken at once.
#[derive(Debug)]
pub(super) struct RecordBatch {
    number: u64,
    values: Vec<u64>,
    /// What is written.
    pub records: Vec<Record>,
}

impl Batches {
    /// Takes a record, and says whether there is a full batch now.
    pub fn push(&mut self, value: u64, record: Record) -> bool {
        self.values.push(value);
        self.records.push(record);
        self.records.len() == BATCH
    }
}

impl BatchQueue for Batches {
    type Batch = RecordBatch;

    fn force(&mut self) {
        self.is_due = true;
    }

    fn next_batch(&mut self) -> Option<RecordBatch> {
        let is_due = self.is_due || self.records.len() >= BATCH;
        if self.is_under_way || self.records.is_empty() || !is_due {
            return None;
        }
        self.is_due = false;
        self.is_under_way = true;
        self.batches += 1;
        let (values, records) = (std::mem::take(&mut self.values), std::mem::take(&mut self.records));
        Some(RecordBatch { number: self.batches, values, records })
    }

    fn answered(&mut self, _: &RecordBatch) {
        self.is_under_way = false;
    }

    fn in_flight(&self) -> usize {
        usize::from(self.is_under_way)
    }
}

impl Batch for RecordBatch {
    fn number(&self) -> u64 {
        self.number
    }

    fn values(&self) -> impl Iterator<Item = u64> {
        self.values.iter().copied()
    }
}
