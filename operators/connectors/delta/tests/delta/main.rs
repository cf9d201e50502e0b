//! The typed zone as a whole: what goes in is in the table once, whatever is killed, compacted or asked in between.

mod compaction;
mod once;
mod reading;
mod schema;
mod support;
mod vacuum;
