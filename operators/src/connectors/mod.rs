//! What comes with hurtig to read from and write to, without heavy dependencies.
//!
//! Sources: [`files`] (JSON lines, CSV), [`generator`] (a fleet of meters), [`hybrid`] (one source
//! after the other). Sinks:
//! [`json_files`] (exactly once, partitioned by event time), [`print`], [`discard`],
//! [`collect`], and [`dead_letters`] for what a job could not use. [`part_files`] is what every
//! sink that writes files is made of; [`testing`] drives a connector without an engine.

pub mod collect;
pub mod dead_letters;
pub mod discard;
pub mod files;
pub mod generator;
pub mod hybrid;
pub mod json_files;
pub mod part_files;
pub mod print;
pub mod testing;
