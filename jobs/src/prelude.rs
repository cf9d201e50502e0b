//! What a job usually needs, in one line: `use hurtig::prelude::*;`.

pub use hurtig_engine::runner::{CheckpointSettings, JobConfig, JobHandle, JobResult, JobState, JobStatus, Restore};
pub use hurtig_operators::prelude::*;

pub use crate::job_config;
