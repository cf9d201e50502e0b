//! State many times its memory budget: insert, update, checkpoint, kill, restore, read back.
//!
//! [`source`] makes the keys, [`job`] keeps a count for each, [`run`] goes through the phases and
//! checks that not one count is wrong afterwards. `bin state_size` is the command line.

pub mod job;
pub mod run;
pub mod source;
