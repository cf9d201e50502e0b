//! A fleet of hosts whose readings are known, in the shape of AWS's sample: dimensions region, az, hostname; measures
//! cpu_utilization and memory_utilization in `measure_value::double`.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, Float64Array, RecordBatch, StringArray, TimestampNanosecondArray},
    datatypes::{DataType, Field, Schema, TimeUnit},
};
use hurtig_timestream_sql::catalog::{AttributeType, Measure};

use crate::fixture::{Memory, NOW_NS, SECOND, Table};

#[derive(Debug, Clone)]
pub struct Reading {
    pub region: &'static str,
    pub az: &'static str,
    pub hostname: &'static str,
    pub measure: &'static str,
    pub time: i64,
    pub value: f64,
}

/// The host that the sample's queries ask for.
pub const HOST: &str = "host-24Gju";

const HOSTS: [(&str, &str, &str); 4] = [
    ("us-east-1", "us-east-1a", HOST),
    ("us-east-1", "us-east-1b", "host-9pQx2"),
    ("eu-west-1", "eu-west-1a", "host-Hovjv"),
    ("eu-west-1", "eu-west-1c", "host-zz81k"),
];

/// Three hours of readings, up to now: a reading every 10 s, but with holes, and at times that are no whole seconds.
/// Two of the three hours are what the queries see.
pub fn readings() -> Vec<Reading> {
    let mut out = Vec::new();
    // A small generator of known numbers: the values only have to differ.
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed % 10_000) as f64 / 100.0
    };
    for (n, (region, az, hostname)) in HOSTS.into_iter().enumerate() {
        for i in 0..1080 {
            let value = next();
            // Holes of a minute and more, at other places for every host.
            if (i + n * 13) % 60 < 7 {
                continue;
            }
            let time = NOW_NS - i as i64 * 10 * SECOND - (n as i64 + 1) * 123_000_000;
            // One host works much harder than the others.
            let value = if n == 2 { 60.0 + value * 0.4 } else { value * 0.7 };
            let reading = Reading { region, az, hostname, measure: "cpu_utilization", time, value };
            out.push(Reading { measure: "memory_utilization", value: 100.0 - value, ..reading.clone() });
            out.push(reading);
        }
    }
    out
}

pub fn batch(readings: &[Reading]) -> RecordBatch {
    let text = |of: fn(&Reading) -> &str| Arc::new(StringArray::from_iter_values(readings.iter().map(of))) as ArrayRef;
    let schema = Schema::new(vec![
        Field::new("region", DataType::Utf8, true),
        Field::new("az", DataType::Utf8, true),
        Field::new("hostname", DataType::Utf8, true),
        Field::new("measure_name", DataType::Utf8, false),
        Field::new("time", DataType::Timestamp(TimeUnit::Nanosecond, None), false),
        Field::new("measure_value::double", DataType::Float64, true),
    ]);
    RecordBatch::try_new(
        Arc::new(schema),
        vec![
            text(|r| r.region),
            text(|r| r.az),
            text(|r| r.hostname),
            text(|r| r.measure),
            Arc::new(TimestampNanosecondArray::from_iter_values(readings.iter().map(|r| r.time))),
            Arc::new(Float64Array::from_iter_values(readings.iter().map(|r| r.value))),
        ],
    )
    .expect("columns of one length")
}

pub fn table() -> Table {
    let readings = readings();
    let dimensions = ["region", "az", "hostname"].map(|d| (d.to_owned(), "varchar".to_owned()));
    let measure =
        |name: &str| Measure { name: name.to_owned(), data_type: "double".to_owned(), dimensions: dimensions.to_vec() };
    Table::new(readings.chunks(readings.len() / 3 + 1).map(batch).collect()).described(
        &[
            ("region", "varchar", AttributeType::Dimension),
            ("az", "varchar", AttributeType::Dimension),
            ("hostname", "varchar", AttributeType::Dimension),
            ("measure_value::double", "double", AttributeType::MeasureValue),
            ("measure_name", "varchar", AttributeType::MeasureName),
            ("time", "timestamp", AttributeType::Timestamp),
        ],
        vec![measure("cpu_utilization"), measure("memory_utilization")],
    )
}

pub fn memory() -> Memory {
    Memory::default().with("sampleDB", "DevOps", table())
}
