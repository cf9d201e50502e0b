//! The jobs that Flink was measured on, and what is measured on them.
//!
//! [`jobs`] builds them, [`run`] runs one and watches it, [`measure`] reads the process's figures,
//! [`windows`] reads back what was written, [`verdict`] compares with the right [`answers`] and with
//! what [`peers`] do, [`report`] says what came out. `bin bench` is the command line.

pub mod answers;
pub mod jobs;
pub mod machine;
pub mod measure;
pub mod peers;
pub mod report;
pub mod run;
pub mod settings;
pub mod tally;
pub mod verdict;
pub mod windows;
