//! A share of the fleet.

use hurtig_engine::source::Split;
use serde::{Deserialize, Serialize};

/// One of the fleet's splits and how far it has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GeneratorSplit {
    /// The split's number.
    pub split: u32,
    /// The index of the event that comes next.
    pub next: u64,
}

impl Split for GeneratorSplit {
    fn id(&self) -> String {
        format!("fleet-{:02}", self.split)
    }
}
