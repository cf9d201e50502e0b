//! What has become of the epochs that a writer has handed over.
//!
//! Nobody tells a writer that its checkpoint is complete, or was given up: it is only asked for the next epoch. But
//! there is never more than one checkpoint under way, its commit included. So whatever was handed over before the last
//! time, and is not published, belongs to checkpoints that were given up: the engine keeps it for the next one, and it
//! counts as much as what is being gathered.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
};

use super::chunk::ChunkHeader;
use crate::client::lock;

/// Which epochs are published, by the writers' attempts. A sink's writers and its committer, which are in one process,
/// have the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Outcomes(Arc<Mutex<HashMap<String, Arc<AtomicU64>>>>);

impl Outcomes {
    /// The chunk's epoch is published.
    pub fn published(&self, header: &ChunkHeader) {
        if let Some(last) = lock(&self.0).get(&header.attempt) {
            last.fetch_max(header.epoch, SeqCst);
        }
    }

    /// Begins to follow the epochs of a writer.
    pub fn of(&self, attempt: &str) -> HandedOver {
        let published = Arc::new(AtomicU64::new(0));
        lock(&self.0).insert(attempt.to_owned(), published.clone());
        HandedOver { attempt: attempt.to_owned(), outcomes: self.clone(), published, epochs: Vec::new() }
    }
}

/// The epochs of one writer that may not be published yet.
#[derive(Debug)]
pub(super) struct HandedOver {
    attempt: String,
    outcomes: Outcomes,
    /// The last that is.
    published: Arc<AtomicU64>,
    /// Number and bytes.
    epochs: Vec<(u64, u64)>,
}

impl HandedOver {
    /// An epoch is handed over.
    pub fn add(&mut self, epoch: u64, bytes: u64) {
        let published = self.published.load(SeqCst);
        self.epochs.retain(|(epoch, _)| *epoch > published);
        self.epochs.push((epoch, bytes));
    }

    /// The bytes of those whose checkpoints were given up.
    pub fn given_up(&self) -> u64 {
        let Some((_, earlier)) = self.epochs.split_last() else { return 0 };
        if earlier.is_empty() {
            return 0;
        }
        let published = self.published.load(SeqCst);
        earlier.iter().filter(|(epoch, _)| *epoch > published).map(|(_, bytes)| bytes).sum()
    }
}

impl Drop for HandedOver {
    fn drop(&mut self) {
        lock(&self.outcomes.0).remove(&self.attempt);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_handed_over_before_the_last_time_was_given_up_or_is_published() {
        let outcomes = Outcomes::default();
        let header = |epoch| ChunkHeader { attempt: "a".into(), subtask: 0, epoch, part: 0, records: 0, raw_bytes: 0 };
        let mut writer = outcomes.of("a");
        writer.add(1, 10);
        assert_eq!(writer.given_up(), 0, "its checkpoint is under way");
        writer.add(2, 20);
        assert_eq!(writer.given_up(), 10);
        writer.add(3, 40);
        assert_eq!(writer.given_up(), 30);
        outcomes.published(&header(3));
        assert_eq!(writer.given_up(), 0, "they came with the third");
        writer.add(4, 80);
        assert_eq!((writer.given_up(), writer.epochs.len()), (0, 1));
        drop(writer);
        outcomes.published(&header(5));
        assert!(lock(&outcomes.0).is_empty(), "an attempt that is over is forgotten");
    }
}
