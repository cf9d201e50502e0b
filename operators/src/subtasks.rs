//! The subtasks of one keyed operator, each in a harness of its own: for the tests of restores
//! at another parallelism.

use std::path::Path;

use hurtig_engine::{
    Data, Record,
    harness::{HarnessSettings, HarnessSnapshot, OneInputHarness},
    operator::OperatorFactory,
};
use hurtig_state::{BackendKind, Key, key_group, operator_index};

/// Both backends: results never depend on which it is.
pub const BACKENDS: [BackendKind; 2] = [BackendKind::Heap, BackendKind::RocksDb];

/// Harnesses, and the key by which records are dealt out to them.
pub struct Subtasks<In: Data, F: OperatorFactory<In>, K> {
    harnesses: Vec<OneInputHarness<In, F>>,
    key: fn(&In) -> K,
}

impl<In: Data, F: OperatorFactory<In>, K: Key> Subtasks<In, F, K> {
    /// Starts so many with what `snapshots` hold, in a `dir` that nobody has used yet.
    pub fn start(
        factory: &F,
        key: fn(&In) -> K,
        parallelism: usize,
        backend: BackendKind,
        dir: &Path,
        snapshots: &[HarnessSnapshot],
    ) -> Self {
        let harness = |subtask| {
            let settings = HarnessSettings { subtask, parallelism, backend, ..HarnessSettings::new(dir) };
            let harness = OneInputHarness::restore(factory.clone(), settings, snapshots).expect("started");
            harness.output_capacity(2)
        };
        Subtasks { harnesses: (0..parallelism).map(harness).collect(), key }
    }

    /// Gives a record to the owner of its key.
    pub fn push_at(&mut self, value: In, timestamp: i64) {
        let group = key_group((self.key)(&value).java_hash(), 128);
        let owner = operator_index(128, self.harnesses.len() as u16, group);
        self.harnesses[usize::from(owner)].push_at(value, timestamp).expect("taken");
    }

    pub fn watermark(&mut self, watermark: i64) {
        self.harnesses.iter_mut().for_each(|h| h.watermark(watermark).expect("event time"));
    }

    pub fn processing_time(&mut self, now: i64) {
        self.harnesses.iter_mut().for_each(|h| h.processing_time(now).expect("processing time"));
    }

    /// What has come out of all of them, sorted.
    pub fn take(&mut self) -> Vec<(i64, F::Out)>
    where
        F::Out: Ord,
    {
        let records = self.harnesses.iter_mut().flat_map(OneInputHarness::take);
        let mut all: Vec<_> = records.map(|Record { value, timestamp, .. }| (timestamp, value)).collect();
        all.sort();
        all
    }

    pub fn snapshot(&mut self) -> Vec<HarnessSnapshot> {
        self.harnesses.iter_mut().map(|h| h.snapshot().expect("a snapshot")).collect()
    }
}
