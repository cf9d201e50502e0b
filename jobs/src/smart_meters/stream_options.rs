//! How streams are read and written: what `--source` and `--sink` leave open.

use std::{fmt, str::FromStr};

use super::span::Span;

/// Options for Kinesis and Kafka. Region, endpoint and credentials of AWS are where every AWS tool has
/// them (`AWS_REGION`, `AWS_ENDPOINT_URL`, `AWS_PROFILE`, …).
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub struct StreamOptions {
    /// Where a first start begins to read a stream: earliest, latest, committed (Kafka: where the group
    /// was), or a time
    #[arg(long, value_name = "WHERE", default_value_t, help_heading = "Streams")]
    pub start_from: StartFrom,

    /// How long a shard or partition may be silent before event time goes on without it
    #[arg(long, value_name = "SPAN", default_value_t = Span::mins(1), help_heading = "Streams")]
    pub idle_after: Span,

    /// Kinesis: read by enhanced fan-out, by a consumer of this name or ARN (registered if it is not there)
    #[arg(long, value_name = "CONSUMER", help_heading = "Streams")]
    pub fan_out: Option<String>,

    /// Kinesis: write many readings as one record, in the KPL's format
    #[arg(long, help_heading = "Streams")]
    pub aggregate: bool,

    /// Kafka: the brokers
    #[arg(long, value_name = "HOST:PORT,…", default_value = "localhost:9092", help_heading = "Streams")]
    pub bootstrap_servers: String,

    /// Kafka: the consumer group that offsets are committed to, for whoever watches it
    #[arg(long, value_name = "GROUP", default_value = "hurtig-smart-meters", help_heading = "Streams")]
    pub group_id: String,

    /// Kafka: what a sink promises: none, at-least-once or exactly-once
    #[arg(long, value_enum, default_value = "exactly-once", help_heading = "Streams")]
    pub delivery_guarantee: Guarantee,

    /// Kafka: a setting of librdkafka, such as security.protocol=SASL_SSL; may be given several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = property, help_heading = "Streams")]
    pub kafka_property: Vec<(String, String)>,
}

impl Default for StreamOptions {
    fn default() -> Self {
        StreamOptions {
            start_from: StartFrom::Earliest,
            idle_after: Span::mins(1),
            fan_out: None,
            aggregate: false,
            bootstrap_servers: "localhost:9092".into(),
            group_id: "hurtig-smart-meters".into(),
            delivery_guarantee: Guarantee::ExactlyOnce,
            kafka_property: Vec::new(),
        }
    }
}

/// Where a first start begins; afterwards the checkpoint says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StartFrom {
    /// With the oldest there is (Kinesis: TRIM_HORIZON).
    #[default]
    Earliest,
    /// With what comes after the job's first start.
    Latest,
    /// Kafka: where the consumer group was, and with the oldest where it was not.
    Committed,
    /// With the first of this time, in milliseconds since the epoch, or later.
    Time(i64),
}

impl FromStr for StartFrom {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "earliest" | "trim-horizon" | "TRIM_HORIZON" => return Ok(StartFrom::Earliest),
            "latest" | "LATEST" => return Ok(StartFrom::Latest),
            "committed" => return Ok(StartFrom::Committed),
            _ => {}
        }
        match text.parse::<jiff::Timestamp>() {
            Ok(time) => Ok(StartFrom::Time(time.as_millisecond())),
            Err(_) => Err(format!(
                "'{text}' is no place in a stream: give earliest, latest, committed or a time such as 2026-01-31T12:00:00Z"
            )),
        }
    }
}

impl fmt::Display for StartFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartFrom::Earliest => f.write_str("earliest"),
            StartFrom::Latest => f.write_str("latest"),
            StartFrom::Committed => f.write_str("committed"),
            StartFrom::Time(ms) => match jiff::Timestamp::from_millisecond(*ms) {
                Ok(time) => time.fmt(f),
                Err(_) => write!(f, "{ms} ms"),
            },
        }
    }
}

/// What a Kafka sink promises (Flink's `DeliveryGuarantee`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Guarantee {
    /// Nothing: what a crash has caught is lost.
    None,
    /// Each record, some more than once after a crash.
    AtLeastOnce,
    /// Each record once, for who reads what is committed.
    #[default]
    ExactlyOnce,
}

fn property(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!("'{text}' is no KEY=VALUE")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_in_a_stream_are_read_as_they_are_shown() {
        for text in ["earliest", "latest", "committed", "2026-01-31T12:00:00Z"] {
            assert_eq!(text.parse::<StartFrom>().map(|s| s.to_string()), Ok(text.to_owned()));
        }
        assert!("yesterday".parse::<StartFrom>().is_err_and(|e| e.contains("2026-01-31T12:00:00Z")));
        assert_eq!(property("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert!(property("=x").is_err() && property("x").is_err());
    }
}
