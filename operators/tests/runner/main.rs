//! Whole jobs on the local runner: results, restarts, savepoints, rescaling, files.

mod committed;
mod files;
mod hybrid;
mod jobs;
mod lineage;
mod numbers;
mod restarts;
mod streams;
