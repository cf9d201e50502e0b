//! What a snapshot says of itself: enough to check that it fits the job, and to restore it.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::KeyGroupRange;
use crate::backend::BackendKind;

/// A backend's state at a barrier: the files in the snapshot's directory and what they mean.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct StateSnapshot {
    /// The backend that wrote it. Either backend can read it.
    pub kind: BackendKind,
    /// The operator's uid.
    pub uid: String,
    /// The key groups it holds.
    pub key_groups: KeyGroupRange,
    /// The max parallelism, which decides every key's group.
    pub max_parallelism: u16,
    /// Names the database: an immutable file is the same file as another snapshot's exactly if
    /// both name and database are the same. Empty for the heap.
    pub database: String,
    /// The files, by name.
    pub files: Vec<SnapshotFile>,
    /// Every state, registered by the job or carried along.
    pub states: Vec<StateMeta>,
    /// Where the heap's entries are; empty for RocksDB.
    pub sections: Vec<HeapSection>,
    /// The event-time and the processing-time timers.
    pub timers: [TimerMeta; 2],
}

/// A file of a snapshot.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct SnapshotFile {
    /// Relative to the snapshot's directory.
    pub name: String,
    /// Bytes.
    pub len: u64,
    /// Whether it never changes (an SST): then snapshots share it.
    pub immutable: bool,
}

/// The kinds of state.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StateKind {
    /// [`ValueState`](crate::ValueState).
    Value,
    /// [`ListState`](crate::ListState).
    List,
    /// [`MapState`](crate::MapState).
    Map,
    /// [`ReducingState`](crate::ReducingState).
    Reducing,
    /// [`AggregatingState`](crate::AggregatingState).
    Aggregating,
    /// [`PaneState`](crate::PaneState).
    Pane,
}

impl fmt::Display for StateKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Value => "value",
            Self::List => "list",
            Self::Map => "map",
            Self::Reducing => "reducing",
            Self::Aggregating => "aggregating",
            Self::Pane => "pane",
        })
    }
}

/// What is recorded of a state.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct StateMeta {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: StateKind,
    /// The key's Rust type.
    pub key_type: String,
    /// The value's Rust type (for a map both, as a tuple).
    pub value_type: String,
    /// The descriptor's version.
    pub version: u32,
    /// Whether values carry the time of their last touch.
    pub ttl: bool,
    /// For panes: which are live.
    pub panes: Option<PaneMeta>,
}

impl fmt::Display for StateMeta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} state of `{}` by key `{}`, version {}", self.kind, self.value_type, self.key_type, self.version)
    }
}

/// Which panes of a pane state are live.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
pub struct PaneMeta {
    /// Stored panes that start before this are garbage.
    pub horizon: Option<i64>,
    /// The live panes' starts, ascending.
    pub live: Vec<i64>,
}

/// What is recorded of the timers of one time domain.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimerMeta {
    /// Whether there may be any.
    pub any: bool,
    /// Stored timers before this are garbage.
    pub horizon: Option<i64>,
}

/// Entries of one state and key group in the heap's file.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct HeapSection {
    /// The state's column family name.
    pub table: String,
    /// The key group.
    pub key_group: u16,
    /// Where it begins in the file.
    pub offset: u64,
    /// How long it is.
    pub len: u64,
}

/// A part of what a backend restores from: a snapshot with its files in a local directory.
///
/// Files may be hard-linked from there; they are never changed.
#[derive(Clone, Debug)]
pub struct RestoredState {
    /// The directory that holds the snapshot's files.
    pub dir: PathBuf,
    /// The snapshot.
    pub snapshot: StateSnapshot,
}
