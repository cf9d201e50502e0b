//! Kinesis Data Streams: hurtig's source, sink, KPL aggregation and scaling.

pub mod kpl;
