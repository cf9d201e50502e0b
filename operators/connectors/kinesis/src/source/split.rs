//! A shard and how far it was read.

use hurtig_engine::source::Split;
use serde::{Deserialize, Serialize};

use crate::service::Shard;

/// Where reading goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Position {
    /// At the oldest record that is still there.
    TrimHorizon,
    /// At the first record that arrived at this time or later (milliseconds since the epoch).
    AtTimestamp(i64),
    /// After this sequence number: all of that record was emitted.
    After(String),
    /// In the middle of an aggregate: its members below `sub_sequence_number` were emitted. It is
    /// read again AT its sequence number.
    Within {
        /// The aggregate's.
        sequence_number: String,
        /// The first member that was not emitted.
        sub_sequence_number: u64,
    },
}

/// A shard, and how far it was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KinesisSplit {
    /// The shard.
    pub shard: Shard,
    /// Where reading goes on.
    pub position: Position,
    /// A bounded read ends here (milliseconds since the epoch).
    pub until: Option<i64>,
    /// The consumer of enhanced fan-out; without one the shard is polled.
    pub consumer_arn: Option<String>,
}

impl Split for KinesisSplit {
    fn id(&self) -> String {
        self.shard.id.clone()
    }
}
