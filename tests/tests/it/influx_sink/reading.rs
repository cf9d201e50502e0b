//! Points of one field, and the sink that writes them.

use std::time::Duration;

use hurtig_influx::{Api, InfluxSink, Point};
use hurtig_operators::connectors::testing::SinkHarness;
use serde::{Deserialize, Serialize};

/// One field `v` of a meter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    pub meter: u64,
    pub value: Kind,
    pub time: i64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Kind {
    Float(f64),
    Integer(i64),
    Unsigned(u64),
    Text(String),
    Flag(bool),
}

impl Reading {
    pub fn new(meter: u64, value: f64, time: i64) -> Self {
        Reading { meter, value: Kind::Float(value), time }
    }

    pub fn point(&self) -> Point {
        let point = Point::new("readings").tag("meter", format!("m{}", self.meter)).at_ns(self.time);
        match &self.value {
            Kind::Float(x) => point.field("v", *x),
            Kind::Integer(n) => point.field("v", *n),
            Kind::Unsigned(n) => point.field("v", *n),
            Kind::Text(text) => point.field("v", text.as_str()),
            Kind::Flag(flag) => point.field("v", *flag),
        }
    }
}

pub type Readings = InfluxSink<Reading, fn(&Reading) -> Point>;

pub fn readings(url: &str, api: Api) -> Readings {
    let sink = InfluxSink::new(url, api, Reading::point as fn(&Reading) -> Point);
    sink.backoff(Duration::from_millis(10), Duration::from_millis(200))
}

pub fn v1(database: &str) -> Api {
    Api::V1 { database: database.into(), retention_policy: None }
}

pub fn started(sink: &Readings) -> SinkHarness<Reading, Readings> {
    SinkHarness::start(sink, "1").expect("started")
}
