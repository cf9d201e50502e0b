//! CPU seconds a million messages of each format, read and written on one thread, and messages a CPU second.
//!
//! `cargo run --release --workspace --all-features --example format_rates [-- NAME]`; a name leaves the others out, for
//! a profile.

use std::{
    hint::black_box,
    sync::LazyLock,
    time::{Duration, Instant},
};

use hurtig_formats::{AvroFormat, ProstFormat, ProtobufFormat, ProtobufSchema};
use hurtig_operators::schema::{CsvFormat, DeserializationSchema, JsonFormat, SchemaError, SerializationSchema};
use serde::{Deserialize, Serialize};

const MESSAGES: usize = 1_000_000;

#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
struct Reading {
    #[prost(string, tag = "1")]
    meter: String,
    #[prost(int64, tag = "2")]
    time: i64,
    #[prost(double, tag = "3")]
    kwh: f64,
    #[prost(string, tag = "4")]
    region: String,
    #[prost(bool, tag = "5")]
    estimated: bool,
}

const AVRO: &str = r#"{"type": "record", "name": "Reading", "fields": [
    {"name": "meter", "type": "string"}, {"name": "time", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    {"name": "kwh", "type": "double"}, {"name": "region", "type": "string"}, {"name": "estimated", "type": "boolean"}]}"#;
const PROTO: &str = r#"syntax = "proto3"; message Reading {
    string meter = 1; int64 time = 2; double kwh = 3; string region = 4; bool estimated = 5; }"#;

/// What this thread has had of a CPU; where the system does not tell (Linux does), the time that has passed.
#[allow(clippy::disallowed_methods, reason = "it measures")]
fn cpu_time() -> Duration {
    static BEGUN: LazyLock<Instant> = LazyLock::new(Instant::now);
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanos = told.as_deref().and_then(|t| t.split(' ').next()?.parse().ok());
    nanos.map_or_else(|| BEGUN.elapsed(), Duration::from_nanos)
}

/// Runs both ways, if it was asked for.
fn rate<F>(name: &str, mut format: F) -> Result<(), SchemaError>
where
    F: DeserializationSchema<Item = Reading> + SerializationSchema<Reading>,
{
    if std::env::args().nth(1).is_some_and(|only| only != name) {
        return Ok(());
    }
    let readings: Vec<_> = (0..1000_u32)
        .map(|i| Reading {
            meter: format!("meter-{i:06}"),
            time: 1_704_067_200_000 + i64::from(i) * 900_000,
            kwh: f64::from(i % 977) / 1000.0,
            region: "north".into(),
            estimated: i % 50 == 0,
        })
        .collect();
    let (mut messages, mut bytes) = (Vec::new(), 0);
    for reading in &readings {
        let mut message = Vec::new();
        format.serialize(reading, &mut message)?;
        bytes += message.len();
        messages.push(message);
    }
    let mut out = Vec::with_capacity(1000);
    let begun = cpu_time();
    for _ in 0..MESSAGES / 1000 {
        out.clear();
        for message in &messages {
            format.deserialize(message, &mut out)?;
        }
        black_box(&out);
    }
    let read = (cpu_time() - begun).as_secs_f64();
    if out != readings {
        return Err(format!("{name}: what was written is not what was read").into());
    }
    let mut message = Vec::new();
    let begun = cpu_time();
    for i in 0..MESSAGES {
        message.clear();
        format.serialize(&readings[i % 1000], &mut message)?;
        black_box(&message);
    }
    let written = (cpu_time() - begun).as_secs_f64();
    let (per_read, per_write) = (MESSAGES as f64 / read, MESSAGES as f64 / written);
    let size = bytes / 1000;
    println!("{name:<24} {size:>6} {per_read:>12.0} {read:>8.2} {per_write:>12.0} {written:>8.2}");
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("format                    bytes  read/CPU s  s/mill. write/CPU s  s/mill.");
    rate("json", JsonFormat::new())?;
    rate("csv", CsvFormat::new())?;
    rate("avro", AvroFormat::new(AVRO)?)?;
    rate("avro, single object", AvroFormat::new(AVRO)?.single_object()?)?;
    rate("protobuf, by description", ProtobufFormat::new(ProtobufSchema::parse(PROTO, "Reading")?))?;
    rate("protobuf, generated", ProstFormat::new())?;
    Ok(())
}
