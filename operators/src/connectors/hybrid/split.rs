//! A split of either source.

use hurtig_engine::source::Split;
use serde::{Deserialize, Serialize};

use super::SwitchContext;

/// A split of the first source or of the next one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum HybridSplit<A, B> {
    /// The first source's.
    First {
        /// The split.
        split: A,
        /// The greatest position that was read from it.
        newest: Option<i64>,
    },
    /// Stands in a checkpoint for all splits of the first source that a reader had read to their ends.
    /// Nobody reads it.
    Read {
        /// The greatest position that was read from them.
        newest: i64,
    },
    /// The next source's, and what that source is made of.
    Next {
        /// The split.
        split: B,
        /// Where the first source ended.
        switch: SwitchContext,
    },
}

impl<A: Split, B: Split> Split for HybridSplit<A, B> {
    fn id(&self) -> String {
        match self {
            HybridSplit::First { split, .. } => first_id(&split.id()),
            HybridSplit::Read { .. } => first_id(""),
            HybridSplit::Next { split, .. } => format!("{NEXT}{}", split.id()),
        }
    }
}

/// What precedes the ids of the first source's splits, and of the next one's: the two may have the same.
const FIRST: &str = "0:";
const NEXT: &str = "1:";

fn first_id(id: &str) -> String {
    format!("{FIRST}{id}")
}

/// Whose split has this id: `Ok` the first source's, `Err` the next one's, with its own id.
pub(super) fn own_id(id: &str) -> Result<&str, &str> {
    match id.strip_prefix(NEXT) {
        Some(own) => Err(own),
        None => Ok(id.strip_prefix(FIRST).unwrap_or(id)),
    }
}
