//! Kinesis Data Streams: hurtig's source, sink, KPL aggregation and scaling.

pub mod error;
pub mod kpl;
pub mod scaling;
pub mod sink;
pub mod source;
