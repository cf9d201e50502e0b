//! Kinesis Data Streams: hurtig's source, sink, KPL aggregation and scaling.

pub mod error;
pub mod kpl;
pub mod scaling;
mod service;
pub mod sink;
pub mod source;
