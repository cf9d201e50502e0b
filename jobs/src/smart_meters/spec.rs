//! Where readings come from and where they go, as words on a command line.

use std::{fmt, str::FromStr};

use super::influx_url::InfluxUrl;

/// Where readings come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceSpec {
    /// A fleet of meters that does not exist.
    Generator,
    /// A file, a directory or a pattern.
    File(String),
    /// A Kinesis stream.
    Kinesis(String),
    /// A Kafka topic.
    Kafka(String),
}

/// Where time series go.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum SinkSpec {
    /// The store in the data directory.
    #[default]
    Embedded,
    /// A Timestream database and table.
    Timestream {
        /// The database.
        database: String,
        /// The table.
        table: String,
    },
    /// A server that takes InfluxDB's line protocol.
    Influx(InfluxUrl),
    /// A Kinesis stream.
    Kinesis(String),
    /// A Kafka topic.
    Kafka(String),
}

/// How the lake is cut up by event time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum PartitionBy {
    /// `year=/month=`
    #[default]
    Month,
    /// `year=/month=/day=`
    Day,
    /// `year=/month=/day=/hour=`
    Hour,
}

/// What the lake's typed tables are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Typed {
    /// Delta Lake tables: readers see whole checkpoints, files are compacted, repeats removed
    Delta,
    /// Parquet files in directories, for readers that know nothing else
    Parquet,
}

impl Default for Typed {
    /// Delta Lake, where it was built in.
    fn default() -> Self {
        if cfg!(feature = "delta") { Typed::Delta } else { Typed::Parquet }
    }
}

/// What files hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// What their names say.
    #[default]
    Auto,
    /// A message a line.
    Json,
    /// A reading a row.
    Csv,
}

impl SourceSpec {
    /// What the readings' `source` column says, and the source's uid ends in.
    pub fn kind(&self) -> &'static str {
        match self {
            SourceSpec::Generator => "generator",
            SourceSpec::File(_) => "file",
            SourceSpec::Kinesis(_) => "kinesis",
            SourceSpec::Kafka(_) => "kafka",
        }
    }
}

impl FromStr for SourceSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, rest) = text.split_once(':').unwrap_or((text, ""));
        match (kind, rest.is_empty()) {
            ("generator", true) => Ok(SourceSpec::Generator),
            ("file", false) => Ok(SourceSpec::File(rest.into())),
            ("kinesis", false) => Ok(SourceSpec::Kinesis(rest.into())),
            ("kafka", false) => Ok(SourceSpec::Kafka(rest.into())),
            _ => Err(format!("'{text}' is no source: give generator, file:PATH, kinesis:STREAM or kafka:TOPIC")),
        }
    }
}

impl FromStr for SinkSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "embedded" {
            return Ok(SinkSpec::Embedded);
        }
        match text.split_once(':') {
            Some(("kinesis", stream)) if !stream.is_empty() => return Ok(SinkSpec::Kinesis(stream.into())),
            Some(("kafka", topic)) if !topic.is_empty() => return Ok(SinkSpec::Kafka(topic.into())),
            Some(("influx", url)) => return url.parse().map(SinkSpec::Influx),
            _ => {}
        }
        match text.strip_prefix("timestream:").and_then(|rest| rest.split_once('/')) {
            Some((database, table)) if !database.is_empty() && !table.is_empty() => {
                Ok(SinkSpec::Timestream { database: database.into(), table: table.into() })
            }
            _ => Err(format!(
                "'{text}' is no sink: give embedded, timestream:DATABASE/TABLE, influx:URL, kinesis:STREAM or kafka:TOPIC"
            )),
        }
    }
}

impl fmt::Display for SourceSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SourceSpec::Generator => f.write_str("generator"),
            SourceSpec::File(at) | SourceSpec::Kinesis(at) | SourceSpec::Kafka(at) => write!(f, "{}:{at}", self.kind()),
        }
    }
}

impl fmt::Display for SinkSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SinkSpec::Embedded => f.write_str("embedded"),
            SinkSpec::Kinesis(stream) => write!(f, "kinesis:{stream}"),
            SinkSpec::Kafka(topic) => write!(f, "kafka:{topic}"),
            SinkSpec::Influx(url) => write!(f, "influx:{url}"),
            SinkSpec::Timestream { database, table } => write!(f, "timestream:{database}/{table}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_and_sinks_are_read_as_they_are_shown() {
        for text in ["generator", "file:tests/data/meters", "file:a:b", "kinesis:meters", "kafka:meters"] {
            assert_eq!(text.parse::<SourceSpec>().map(|s| s.to_string()), Ok(text.to_owned()));
        }
        for text in
            ["embedded", "timestream:meters/readings", "influx:http://h:8086?db=meters", "kinesis:out", "kafka:out"]
        {
            assert_eq!(text.parse::<SinkSpec>().map(|s| s.to_string()), Ok(text.to_owned()));
        }
        for text in ["", "files:x", "file:", "generator:x"] {
            assert!(text.parse::<SourceSpec>().is_err(), "{text}");
        }
        assert!("timestream:meters".parse::<SinkSpec>().is_err());
    }
}
