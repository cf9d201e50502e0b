//! Whole-job tests: small jobs made with the library, and the binary as its users run it.
//!
//! One binary, because linking it takes longer than running it.

mod bench;
mod catalog;
mod chaos;
mod cli;
mod golden;
mod grafana;
mod influx_sink;
mod ingest;
mod kafka;
mod kinesis_proxy;
mod kinesis_sink;
mod kinesis_source;
mod kwh_per_month;
mod lake;
mod refused;
mod registry;
mod running;
mod s3;
mod servers;
mod state_size;
mod store_kills;
mod store_s3;
mod store_wire;
mod streams;
mod support;
mod timestream_sink;
mod unavailable;
mod view;
