//! What is run, and how large.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// Runs the smart-meter job on real streams, disturbs both, and checks every result.
#[derive(Debug, Clone, Parser)]
pub struct Settings {
    /// Which streams
    #[arg(value_enum, default_values = ["kinesis", "kinesalite", "kafka", "ingest", "autoscale"])]
    pub cases: Vec<Case>,

    /// About how many readings are sent
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    pub readings: u64,

    /// How large the file is that is ingested, in millions of bytes
    #[arg(long, value_name = "MB", default_value_t = 1_000)]
    pub file_megabytes: u64,

    /// What is drawn from it: which requests go wrong, when the job is killed
    #[arg(long, value_name = "N", default_value_t = 20_261_125)]
    pub seed: u64,

    /// Where the jobs write, kept afterwards [default: a temporary directory, kept if something went
    /// wrong]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// A kind of stream, and what is done to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Case {
    /// kinesis-local behind the proxy: split, merged, scaled, restarted; readings in KPL aggregates
    Kinesis,
    /// kinesalite behind the proxy: more records, split and merged, the server killed
    Kinesalite,
    /// A Kafka broker: partitions added, restarted, killed; the result on an exactly-once topic too
    Kafka,
    /// A large file into kinesalite behind the proxy while live traffic runs, ingestion killed
    Ingest,
    /// kinesis-local and kinesalite behind the proxy: the load climbs as in the talk, `hurtig stream autoscale` follows
    Autoscale,
}
