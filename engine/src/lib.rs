//! hurtig's engine: what runs a job graph in one process with Flink's guarantees.
//!
//! Read it in this order: [`graph`] (what a job is), [`operator`], [`source`] and [`sink`] (the
//! contracts a job is made of), [`task`] (what drives a chain), [`exchange`] (what is between
//! chains), [`checkpoint`] (what survives), [`runner`] (what starts, watches and restarts).
//! `docs/architecture.md` tells the same story with pictures and invariants.
//!
//! The engine knows no connector and no operator; `hurtig-operators` builds on it.

pub mod checkpoint;
pub mod dead_letter;
pub mod error;
pub mod exchange;
pub mod graph;
pub mod harness;
pub mod metrics;
pub mod operator;
pub mod record;
pub mod rest;
pub mod runner;
pub mod sink;
pub mod source;
pub mod task;
pub mod time;
pub mod watermark;
mod worker;

pub use error::{Error, Result};
pub use record::{Data, Origin, Record};
