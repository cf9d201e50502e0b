//! The jobs that Flink was measured on, and what is measured on them.
//!
//! [`jobs`] builds them, [`run`] runs one and watches it, [`measure`] reads the process's figures,
//! [`report`] says what came out. `bin bench` is the command line.

pub mod jobs;
pub mod measure;
pub mod report;
pub mod run;
pub mod settings;
pub mod tally;
