//! What `hurtig ingest` understands.

use std::{
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    time::Duration,
};

use clap::{Args, ValueEnum};
use hurtig_ingest::{Format, Observation, Pacer, PacerOptions, Pacing, RangeOptions, Rate, RowForm};

use crate::cli::{Failure, units};

/// The options of `hurtig ingest` itself.
#[derive(Debug, Args)]
pub struct IngestOptions {
    /// A file, a directory, s3://BUCKET/PREFIX, or a pattern of them such as 'in/2024-*/*.csv'
    pub source: String,

    /// Where to: kinesis:STREAM, kafka:TOPIC, lake:DIR (Parquet) or files:DIR (JSON lines)
    #[arg(long, value_name = "TARGET")]
    pub to: Target,

    /// What the files are made of
    #[arg(long, value_enum, default_value = "auto")]
    pub format: FormatOption,

    /// The field or column that says whose a record is: the partition key
    #[arg(long, value_name = "NAME", default_value = "meter_id")]
    pub key: String,

    /// CSV: the column with the time [default: time, reading_date_time or DateTime]
    #[arg(long, value_name = "COLUMN")]
    pub time: Option<String>,

    /// CSV: one message for each reading in a row, or one for the row
    #[arg(long, value_enum, default_value = "readings")]
    pub rows: Rows,

    /// CSV: what stands between fields
    #[arg(long, value_name = "CHARACTER", default_value_t = ',')]
    pub delimiter: char,

    /// CSV: the columns' names, with commas, where files have no header
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    pub columns: Vec<String>,

    /// CSV: a quote is a character like any other; saves the look for cuts outside of quotes
    #[arg(long)]
    pub no_quotes: bool,

    /// How fast at most: a share of what the stream's shards take, such as 70%, or 5MB/s, or off
    /// [default: 70% for Kinesis, off for all others]
    #[arg(long, value_name = "SHARE|MB/s|off")]
    pub rate: Option<RateOption>,

    /// Give way when this job's readers fall behind: the REST address of a job that reads the stream
    #[arg(long, value_name = "URL")]
    pub live: Option<String>,

    /// How far live readers may be behind before ingestion gives way
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = units::parse_duration)]
    pub max_live_lag: Duration,

    /// Kinesis: pack messages together, in the KPL's format or as JSON behind JSON by key
    #[arg(long, value_enum, default_value = "kpl")]
    pub aggregate: Aggregate,

    /// Kafka: the brokers
    #[arg(long, value_name = "HOST:PORT,…", default_value = "localhost:9092")]
    pub bootstrap_servers: String,

    /// Kafka: a setting of librdkafka, such as security.protocol=SASL_SSL; may be given several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = property)]
    pub kafka_property: Vec<(String, String)>,

    /// Kafka: write each message exactly once, in transactions
    #[arg(long)]
    pub exactly_once: bool,

    /// Go on when all is in: take new files as they come
    #[arg(long)]
    pub watch: bool,

    /// Go on with the objects that S3's events in this SQS queue name
    #[arg(long, value_name = "QUEUE_URL", conflicts_with = "watch")]
    pub events: Option<String>,

    /// How often it is looked for new files
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = units::parse_duration)]
    pub discovery_interval: Duration,

    /// The smallest range a file is cut into
    #[arg(long, value_name = "SIZE", default_value = "1MiB", value_parser = units::parse_size)]
    pub min_range: usize,

    /// The largest [default: what a shard takes in five minutes]
    #[arg(long, value_name = "SIZE", value_parser = units::parse_size)]
    pub max_range: Option<usize>,
}

/// Where messages go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    Kinesis(String),
    Kafka(String),
    Lake(String),
    Files(String),
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let hint = || format!("'{text}' is no target: give kinesis:STREAM, kafka:TOPIC, lake:DIR or files:DIR");
        let (kind, name) = text.split_once(':').ok_or_else(hint)?;
        if name.is_empty() {
            return Err(hint());
        }
        if name.starts_with("s3://") {
            return Err(format!("'{text}': the lake's sink writes to directories only"));
        }
        match kind {
            "kinesis" => Ok(Target::Kinesis(name.to_owned())),
            "kafka" => Ok(Target::Kafka(name.to_owned())),
            "lake" => Ok(Target::Lake(name.to_owned())),
            "files" => Ok(Target::Files(name.to_owned())),
            _ => Err(hint()),
        }
    }
}

/// How fast.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RateOption {
    /// A share of the shards' limits.
    Share(f64),
    /// Bytes a second.
    Bytes(f64),
    /// As fast as it goes.
    Off,
}

impl FromStr for RateOption {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let hint = || format!("'{text}' is no rate: write 70%, 5MB/s, 500KB/s or off");
        if matches!(text, "off" | "none") {
            return Ok(RateOption::Off);
        }
        let positive = |number: &str| number.trim().parse().ok().filter(|n: &f64| *n > 0.0 && n.is_finite());
        if let Some(percent) = text.strip_suffix('%') {
            let share = positive(percent).filter(|p| *p <= 100.0).ok_or_else(hint)?;
            return Ok(RateOption::Share(share / 100.0));
        }
        let upper = text.to_ascii_uppercase();
        let amount = upper.strip_suffix("/S").ok_or_else(hint)?;
        for (unit, bytes) in [("KB", 1e3), ("MB", 1e6), ("GB", 1e9), ("B", 1.0)] {
            if let Some(number) = amount.strip_suffix(unit) {
                return positive(number).map(|n| RateOption::Bytes(n * bytes)).ok_or_else(hint);
            }
        }
        Err(hint())
    }
}

/// [`Format`] as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FormatOption {
    /// By the name, else by the first character
    Auto,
    /// CSV with a header
    Csv,
    /// JSON lines
    Json,
}

/// [`RowForm`] as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Rows {
    /// {"meter_id","reading_type","reading_value","reading_date_time","reading_source"}
    Readings,
    /// The row's columns as fields
    Row,
}

/// How messages are packed together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Aggregate {
    /// In the KPL's format
    Kpl,
    /// JSON behind JSON, by key, as Firehose takes it apart
    Json,
    /// Each message is a record
    None,
}

impl From<Rows> for RowForm {
    fn from(rows: Rows) -> Self {
        match rows {
            Rows::Readings => RowForm::Readings,
            Rows::Row => RowForm::Row,
        }
    }
}

impl IngestOptions {
    /// Whether it goes on when all is in.
    pub fn is_watching(&self) -> bool {
        self.watch || self.events.is_some()
    }

    /// How files are understood and cut.
    pub fn range_options(&self) -> Result<RangeOptions, Failure> {
        let delimiter = u8::try_from(self.delimiter)
            .map_err(|_| Failure::usage(format!("--delimiter: '{}' is no ASCII character", self.delimiter)))?;
        let defaults = RangeOptions::default();
        Ok(RangeOptions {
            format: match self.format {
                FormatOption::Auto => Format::Auto,
                FormatOption::Csv => Format::Csv,
                FormatOption::Json => Format::Json,
            },
            delimiter,
            quoting: !self.no_quotes,
            header: self.columns.is_empty(),
            columns: self.columns.clone(),
            min_range: self.min_range as u64,
            max_range: self.max_range.map_or(defaults.max_range, |n| n as u64),
            discovery_interval: self.discovery_interval,
            seed: crate::config::seed(),
            ..defaults
        })
    }

    /// What holds ingestion back; `None`: nothing but the target itself.
    pub fn pacing(&self) -> Result<Option<Pacing>, Failure> {
        let kinesis = matches!(self.to, Target::Kinesis(_));
        let rate = self.rate.unwrap_or(if kinesis { RateOption::Share(0.7) } else { RateOption::Off });
        let max_lag_ms = i64::try_from(self.max_live_lag.as_millis()).unwrap_or(i64::MAX);
        let options = PacerOptions { max_lag_ms, ..PacerOptions::default() };
        let options = match rate {
            RateOption::Off if self.live.is_some() => {
                return Err(Failure::usage("--live says when to give way, and --rate what of: give a rate"));
            }
            RateOption::Off => return Ok(None),
            RateOption::Share(_) if !kinesis => {
                return Err(Failure::usage("--rate: a share is one of a Kinesis stream's shards: give MB/s"));
            }
            RateOption::Share(share) => PacerOptions { share, ..options },
            RateOption::Bytes(bytes) => PacerOptions { capacity: Rate::bytes(bytes), share: 1.0, ..options },
        };
        let lag = self.live.as_deref().map(watch_lag);
        let observer = move |_now| Observation {
            live_lag_ms: lag.as_ref().map(|lag| lag.load(Relaxed)).filter(|lag| *lag >= 0),
            ..Observation::default()
        };
        Ok(Some(Pacing::new(Pacer::new(options), observer)))
    }
}

/// Asks a job's REST again and again how far its readers are behind: milliseconds, or -1 before it has ever said.
fn watch_lag(url: &str) -> Arc<AtomicI64> {
    let lag = Arc::new(AtomicI64::new(-1));
    let (url, weak) = (format!("{}/metrics", url.trim_end_matches('/')), Arc::downgrade(&lag));
    std::thread::spawn(move || {
        let agent: ureq::Agent =
            ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(2))).build().into();
        let mut silent = false;
        while let Some(lag) = weak.upgrade() {
            let answer = agent.get(&url).call().and_then(|mut a| a.body_mut().read_to_string());
            if answer.is_err() && !silent {
                tracing::warn!("{url} does not say how far live readers are behind; it is asked again");
            }
            silent = answer.is_err();
            // A job that does not say, or reads nothing just now, is as far behind as it was: it may be restarting.
            if let Some(behind) = answer.ok().and_then(|text| most_behind(&text)) {
                lag.store(behind, Relaxed);
            }
            drop(lag);
            std::thread::sleep(Duration::from_millis(500));
        }
    });
    lag
}

/// The largest `millisBehindLatest` (Kinesis) in Prometheus's text.
fn most_behind(text: &str) -> Option<i64> {
    let lines = text.lines().filter(|l| !l.starts_with('#') && l.contains("millisBehindLatest"));
    lines.filter_map(|l| l.rsplit(' ').next()?.parse::<f64>().ok()).map(|ms| ms as i64).max()
}

fn property(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or_else(|| format!("'{text}' is no setting: write KEY=VALUE"))?;
    Ok((key.trim().to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_and_rates_are_understood() {
        assert_eq!("kinesis:s".parse(), Ok(Target::Kinesis("s".into())));
        assert_eq!("lake:/a/b:c".parse(), Ok(Target::Lake("/a/b:c".into())));
        for bad in ["s", "kinesis:", "sqs:q", "lake:s3://b/p"] {
            assert!(bad.parse::<Target>().is_err(), "{bad}");
        }
        assert_eq!("70%".parse(), Ok(RateOption::Share(0.7)));
        assert_eq!("1.5MB/s".parse(), Ok(RateOption::Bytes(1_500_000.0)));
        assert_eq!("off".parse(), Ok(RateOption::Off));
        for bad in ["70", "0%", "101%", "5MB", "-1MB/s", "x/s"] {
            assert!(bad.parse::<RateOption>().is_err(), "{bad}");
        }
        let text =
            "# HELP x\nflink_x_millisBehindLatest{shardId=\"0\"} 12\nflink_x_millisBehindLatest{shardId=\"1\"} 7\n";
        assert_eq!(most_behind(text), Some(12));
    }
}
