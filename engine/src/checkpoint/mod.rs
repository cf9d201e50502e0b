//! Checkpoints: a consistent cut through the running job, stored so that a restore goes on as if
//! nothing had happened.
//!
//! ```text
//! Coordinator ─ Trigger ─▶ sources ─ barrier ─▶ tasks ─ SubtaskSnapshot ─▶ CheckpointWriter
//!      ▲                                                                         │ upload
//!      └──────────────────────────────── Acked ◀─────────────────────────────────┘
//! Coordinator ─ WriteManifest ─▶ CheckpointWriter ─ ManifestWritten ─▶ Coordinator ─ Commit ─▶ sinks
//! ```
//!
//! - [`coordinator`]: when to take one and what became of it; a pure state machine.
//! - [`snapshot`]: what a barrier collects from the tasks.
//! - [`manifest`]: the one file that makes a checkpoint exist.
//! - [`storage`]: uploads, manifests, savepoints, restore points; a directory or S3.
//! - [`retention`]: what may be deleted.
//! - [`statistics`]: what REST says about it all.
//!
//! Invariants:
//! - Everything a manifest names is durable before the manifest is; a commit comes after it.
//! - An object is written once, under a name that is never used again, and shared by counting.
//! - No clock and no randomness in here: times and tokens are passed in.

pub mod coordinator;
pub mod error;
pub mod manifest;
pub mod retention;
pub mod snapshot;
pub mod statistics;
pub mod storage;

pub use coordinator::{Action, Answer, Coordinator, CoordinatorConfig, CoordinatorStart, Event};
pub use error::CheckpointError;
pub use manifest::{FilesAt, Manifest, OperatorView, Totals};
pub use retention::Retention;
pub use snapshot::{
    Barrier, CheckpointId, CheckpointKind, LocalFile, LocalKeyedState, OperatorSnapshot, StoredFile, StoredKeyedState,
    SubtaskSnapshot,
};
pub use statistics::{AckMetrics, CheckpointRecord, CheckpointStatus, RestoredCheckpoint, Statistics, SubtaskKey};
pub use storage::{CheckpointStorage, CheckpointWriter, RestorePoint, UploadedSubtask};
