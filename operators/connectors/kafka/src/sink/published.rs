//! Which epochs are published: the token that travels in the same transaction as the records.

use hurtig_engine::error::{Error, Result};
use serde::{Deserialize, Serialize};

use super::chunk::ChunkHeader;

/// How many attempts are remembered. Of an older one nothing is left to commit: what began later would be published
/// twice just the same by a job that goes so far back.
const ATTEMPTS: usize = 64;

/// The epochs that are published, by attempt and subtask.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// The oldest first.
    attempts: Vec<Attempt>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Attempt {
    id: String,
    /// The last epoch of each subtask; 0: none.
    epochs: Vec<u64>,
}

impl Published {
    /// Whether the chunk's epoch is published. A writer's epochs are published in their order.
    pub fn contains(&self, header: &ChunkHeader) -> bool {
        let id = attempt(header);
        let found = self.attempts.iter().find(|a| a.id == id);
        found.and_then(|a| a.epochs.get(header.subtask as usize)).is_some_and(|last| *last >= header.epoch)
    }

    /// Notes the chunk's epoch.
    pub fn add(&mut self, header: &ChunkHeader) {
        let id = attempt(header);
        let i = self.attempts.iter().position(|a| a.id == id).unwrap_or_else(|| {
            self.attempts.push(Attempt { id: id.to_owned(), epochs: Vec::new() });
            if self.attempts.len() > ATTEMPTS {
                self.attempts.remove(0);
            }
            self.attempts.len() - 1
        });
        let epochs = &mut self.attempts[i].epochs;
        let subtask = header.subtask as usize;
        if epochs.len() <= subtask {
            epochs.resize(subtask + 1, 0);
        }
        epochs[subtask] = epochs[subtask].max(header.epoch);
    }

    /// As it stands in the topic.
    pub fn to_json(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self).map_err(|e| Error::codec("a commit token", e))
    }

    /// Back from the topic.
    pub fn from_json(json: &[u8]) -> Result<Self> {
        serde_json::from_slice(json).map_err(|e| Error::codec("a commit token", e))
    }
}

/// What all subtasks of an attempt have in common.
fn attempt(header: &ChunkHeader) -> &str {
    let suffix = format!("s{}", header.subtask);
    header.attempt.strip_suffix(&suffix).unwrap_or(&header.attempt)
}
