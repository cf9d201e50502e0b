//! The Kinesis source against real servers.

mod fan_out;
mod jobs;
mod once;
mod reader;
mod stream;
mod world;
