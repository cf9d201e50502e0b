//! The crate's tests without a server; those against real servers are in hurtig-tests.

#[path = "kinesis/kpl.rs"]
mod kpl;
#[path = "kinesis/scaling.rs"]
mod scaling;
#[path = "kinesis/sink.rs"]
mod sink;
#[path = "kinesis/source.rs"]
mod source;
