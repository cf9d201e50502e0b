//! The job's options: its own, and those of the talk's job.

use std::{fs, path::PathBuf};

use hurtig_engine::{
    error::{Error, Result},
    time::mins,
};

use super::{
    span::Span,
    spec::{Format, PartitionBy, SinkSpec, SourceSpec, Typed},
    stream_options::{StartFrom, StreamOptions},
    window::{FuturePolicy, LatePolicy},
};
use crate::cli::{
    options::{Interval, RestPort},
    units::parse_size,
};

/// What `hurtig run smart-meters` can be told. Every option has a default that works.
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub struct Options {
    /// Where readings come from: generator, file:PATH (a file, a directory or a pattern), kinesis:STREAM or
    /// kafka:TOPIC
    #[arg(long, value_name = "SOURCE", help_heading = "Readings")]
    pub source: Option<SourceSpec>,

    /// Whether the generator is to come to an end: set by `--bounded`, which every job has.
    #[arg(skip)]
    pub bounded: bool,

    /// Where time series go: embedded (the store in the data directory), timestream:DATABASE/TABLE, influx:URL,
    /// kinesis:STREAM or kafka:TOPIC
    #[arg(long, value_name = "SINK", default_value_t, help_heading = "Sinks")]
    pub sink: SinkSpec,

    /// About how much memory the embedded store takes before it writes readings into files
    #[arg(long, value_name = "SIZE", default_value = "128MiB", value_parser = parse_size, help_heading = "Sinks")]
    pub store_memory: usize,

    /// Where the operational view over the embedded store answers on 127.0.0.1 (or at the next free port), or `off`
    #[arg(long, value_name = "PORT|off", default_value = "8082", help_heading = "Sinks")]
    pub view_port: RestPort,

    /// Where the embedded store answers clients of Timestream (an SDK, Grafana) on 127.0.0.1 (or at the next free port),
    /// or `off`
    #[arg(long, value_name = "PORT|off", default_value = "off", help_heading = "Sinks")]
    pub store_port: RestPort,

    /// The lake: JSON lines below raw/, tables below typed/ [default: lake in the data directory]
    #[arg(long, value_name = "DIR", help_heading = "Sinks")]
    pub lake: Option<PathBuf>,

    /// How the lake is cut up by event time
    #[arg(long, value_enum, default_value = "month", help_heading = "Sinks")]
    pub partition_by: PartitionBy,

    /// Cut the raw zone up as this configuration of Amazon Data Firehose says: prefixes, jq keys, buffers, compression
    /// [default: as --partition-by says]
    #[arg(long, value_name = "FILE", help_heading = "Sinks")]
    pub firehose: Option<PathBuf>,

    /// About how large the lake's files are to be: they are closed when they are, and compacted to it
    #[arg(long, value_name = "SIZE", default_value = "128MiB", value_parser = parse_size, help_heading = "Sinks")]
    pub lake_file_size: usize,

    /// What the lake's typed tables are
    #[arg(long, value_enum, default_value_t, help_heading = "Sinks")]
    pub typed: Typed,

    /// How often the tables' small files are made large ones while the job runs, repeats removed and what was replaced
    /// taken away; `off` leaves that to `hurtig lake compact`
    #[arg(long, value_name = "SPAN|off", default_value = "10m", help_heading = "Sinks")]
    pub compact_every: Interval,

    /// How long files that were replaced stay, for queries and readers of older versions
    #[arg(long, value_name = "SPAN", default_value_t = Span::days(7), help_heading = "Sinks")]
    pub vacuum_after: Span,

    /// Where messages go that cannot be used [default: dead-letters in the data directory]
    #[arg(long, value_name = "DIR", help_heading = "Sinks")]
    pub dead_letters: Option<PathBuf>,

    /// How streams are read and written
    #[command(flatten)]
    pub streams: StreamOptions,

    /// What the files hold
    #[arg(long, value_enum, default_value = "auto", help_heading = "Files")]
    pub format: Format,

    /// CSV: the column with the time of a reading
    #[arg(long, value_name = "COLUMN", default_value = "start", help_heading = "Files")]
    pub csv_time: String,

    /// CSV: the column with the value
    #[arg(long, value_name = "COLUMN", default_value = "value", help_heading = "Files")]
    pub csv_value: String,

    /// CSV: the column with the meter's id [default: the file's name is the id]
    #[arg(long, value_name = "COLUMN", help_heading = "Files")]
    pub csv_meter: Option<String>,

    /// CSV: the column with the region [default: two letters in front of the first '-' of the file's name]
    #[arg(long, value_name = "COLUMN", help_heading = "Files")]
    pub csv_region: Option<String>,

    /// CSV: the column with the unit [default: therm in files called il-gas-*, kWh in others]
    #[arg(long, value_name = "COLUMN", help_heading = "Files")]
    pub csv_unit: Option<String>,

    /// CSV: the column that says when a row arrived [default: not known]
    #[arg(long, value_name = "COLUMN", help_heading = "Files")]
    pub csv_arrival: Option<String>,

    /// JSON: the key that says when a message arrived; it is no dimension then [default: not known]
    #[arg(long, value_name = "KEY", help_heading = "Files")]
    pub json_arrival: Option<String>,

    /// CSV: what stands between columns
    #[arg(long, value_name = "CHAR", default_value_t = ',', help_heading = "Files")]
    pub csv_delimiter: char,

    /// CSV: how times are written, such as '%d/%m/%Y %H:%M' [default: the usual forms]
    #[arg(long, value_name = "FORMAT", help_heading = "Files")]
    pub time_format: Option<String>,

    /// CSV: the zone of times that do not say
    #[arg(long, value_name = "ZONE", default_value = "UTC", help_heading = "Files")]
    pub time_zone: String,

    /// Generator: how many meters
    #[arg(long, value_name = "N", default_value_t = 100_000, help_heading = "Generator")]
    pub meters: u32,

    /// Generator: how many readings of each meter [default: 24 with --bounded, endless without]
    #[arg(long, value_name = "N", help_heading = "Generator")]
    pub readings_per_meter: Option<u64>,

    /// Generator: how much event time to make readings for, such as 7d
    #[arg(long, value_name = "SPAN", help_heading = "Generator")]
    pub duration: Option<Span>,

    /// Generator: the time between two readings of a meter
    #[arg(long, value_name = "SPAN", default_value_t = Span::mins(15), help_heading = "Generator")]
    pub interval: Span,

    /// Generator: the same seed gives the same readings
    #[arg(long, value_name = "N", default_value_t = 42, help_heading = "Generator")]
    pub seed: u64,

    /// Generator: messages per second [default: as fast as they are taken]
    #[arg(long, value_name = "N", help_heading = "Generator")]
    pub rate: Option<u64>,

    /// Generator: share of messages that arrive late
    #[arg(long, value_name = "SHARE", default_value_t = 0.01, value_parser = share, help_heading = "Generator")]
    pub late_share: f64,

    /// Generator: how late they can be
    #[arg(long, value_name = "SPAN", default_value_t = Span::hours(6), help_heading = "Generator")]
    pub late_by: Span,

    /// Generator: share of messages that arrive twice
    #[arg(long, value_name = "SHARE", default_value_t = 0.01, value_parser = share, help_heading = "Generator")]
    pub duplicate_share: f64,

    /// Generator: share of messages without a value
    #[arg(long, value_name = "SHARE", default_value_t = 0.001, value_parser = share, help_heading = "Generator")]
    pub null_share: f64,

    /// Generator: share of messages that are no JSON
    #[arg(long, value_name = "SHARE", default_value_t = 0.001, value_parser = share, help_heading = "Generator")]
    pub corrupt_share: f64,

    /// Generator: share of messages dated in the future
    #[arg(long, value_name = "SHARE", default_value_t = 0.001, value_parser = share, help_heading = "Generator")]
    pub future_share: f64,

    /// How far out of order readings may be without being late
    #[arg(long, value_name = "SPAN", default_value_t = Span::secs(30), help_heading = "Time")]
    pub max_out_of_orderness: Span,

    /// How far ahead of its arrival a reading may be dated
    #[arg(long, value_name = "SPAN", default_value_t = Span::mins(15), help_heading = "Time")]
    pub future_threshold: Span,

    /// What to do with readings dated further ahead
    #[arg(long, value_enum, default_value = "clamp", help_heading = "Time")]
    pub future_policy: FuturePolicy,

    /// Retention of the time-series store's memory
    #[arg(long, value_name = "SPAN", default_value_t = Span::hours(6), help_heading = "Time")]
    pub memory_retention: Span,

    /// Retention of the time-series store's magnetic part
    #[arg(long, value_name = "SPAN", default_value_t = Span::days(73_000), help_heading = "Time")]
    pub magnetic_retention: Span,

    /// Whether readings older than the memory's retention can be written
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set, help_heading = "Time")]
    pub magnetic_writes: bool,

    /// What to do with readings older than the retention
    #[arg(long, value_enum, default_value = "keep", help_heading = "Time")]
    pub late_policy: LatePolicy,

    /// The Kinesis stream to read
    #[arg(long = "InputStreamName", value_name = "STREAM", help_heading = "The talk's options")]
    pub input_stream_name: Option<String>,

    /// The AWS region of stream and table
    #[arg(long = "Region", value_name = "REGION", help_heading = "The talk's options")]
    pub region: Option<String>,

    /// The Timestream database
    #[arg(long = "TimestreamDbName", value_name = "DB", default_value = "meters", help_heading = "The talk's options")]
    pub timestream_db_name: String,

    /// The Timestream table, also in the embedded store; InfluxDB's measurement is called so
    #[arg(
        long = "TimestreamTableName",
        value_name = "TABLE",
        default_value = "readings",
        help_heading = "The talk's options"
    )]
    pub timestream_table_name: String,

    /// How many records are written to Timestream in one request: 1 to 100
    #[arg(
        long = "TimestreamIngestBatchSize",
        value_name = "N",
        default_value_t = 75,
        help_heading = "The talk's options"
    )]
    pub timestream_ingest_batch_size: u32,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            source: None,
            bounded: false,
            sink: SinkSpec::Embedded,
            store_memory: 128 << 20,
            view_port: RestPort(Some(8082)),
            store_port: RestPort(None),
            lake: None,
            partition_by: PartitionBy::Month,
            firehose: None,
            lake_file_size: 128 << 20,
            typed: Typed::default(),
            compact_every: Interval(Some(mins(10))),
            vacuum_after: Span::days(7),
            dead_letters: None,
            streams: StreamOptions::default(),
            format: Format::Auto,
            csv_time: "start".into(),
            csv_value: "value".into(),
            csv_meter: None,
            csv_region: None,
            csv_unit: None,
            csv_arrival: None,
            json_arrival: None,
            csv_delimiter: ',',
            time_format: None,
            time_zone: "UTC".into(),
            meters: 100_000,
            readings_per_meter: None,
            duration: None,
            interval: Span::mins(15),
            seed: 42,
            rate: None,
            late_share: 0.01,
            late_by: Span::hours(6),
            duplicate_share: 0.01,
            null_share: 0.001,
            corrupt_share: 0.001,
            future_share: 0.001,
            max_out_of_orderness: Span::secs(30),
            future_threshold: Span::mins(15),
            future_policy: FuturePolicy::Clamp,
            memory_retention: Span::hours(6),
            magnetic_retention: Span::days(73_000),
            magnetic_writes: true,
            late_policy: LatePolicy::Keep,
            input_stream_name: None,
            region: None,
            timestream_db_name: "meters".into(),
            timestream_table_name: "readings".into(),
            timestream_ingest_batch_size: 75,
        }
    }
}

/// A share between 0 and 1.
fn share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("give a share between 0 and 1, such as 0.01".into()),
    }
}

impl Options {
    /// Where readings come from, after all. Something that this binary cannot read is one clear line.
    pub fn reads(&self) -> Result<SourceSpec> {
        let spec = match (&self.source, &self.input_stream_name) {
            (Some(spec), _) => spec.clone(),
            (None, Some(stream)) => SourceSpec::Kinesis(stream.clone()),
            (None, None) => SourceSpec::Generator,
        };
        match &spec {
            SourceSpec::Kinesis(_) => built(cfg!(feature = "kinesis"), &format!("--source {spec}"), "kinesis")?,
            SourceSpec::Kafka(_) => built(cfg!(feature = "kafka"), &format!("--source {spec}"), "kafka")?,
            SourceSpec::Generator | SourceSpec::File(_) => {}
        }
        if matches!(spec, SourceSpec::Kinesis(_)) && self.streams.start_from == StartFrom::Committed {
            return Err(config(
                "--start-from committed: a Kinesis stream has no groups; give earliest, latest or a time",
            ));
        }
        Ok(spec)
    }

    /// How many readings of each meter the generator makes; `None`: it never ends.
    pub fn generated_per_meter(&self) -> Result<Option<u64>> {
        if self.interval.millis() == 0 {
            return Err(config("--interval 0s: meters need some time between two readings, such as 15m"));
        }
        if let (Some(_), Some(_)) = (self.readings_per_meter, self.duration) {
            return Err(config("--readings-per-meter and --duration both say when to end: give one of them"));
        }
        let by_duration = self.duration.map(|d| (d.millis() / self.interval.millis()).max(1).unsigned_abs());
        Ok(self.readings_per_meter.or(by_duration).or(self.bounded.then_some(24)))
    }

    /// The greatest age at which the time-series store takes a reading.
    pub fn retention(&self) -> Span {
        if self.magnetic_writes { self.magnetic_retention.max(self.memory_retention) } else { self.memory_retention }
    }

    /// Whether the directories that the options name can be written. The data directory is the
    /// runner's to check.
    pub fn check_places(&self) -> Result<()> {
        for (option, dir) in [("--lake", &self.lake), ("--dead-letters", &self.dead_letters)] {
            let Some(dir) = dir else { continue };
            let probe = dir.join(format!(".probe-{}", std::process::id()));
            let probed =
                fs::create_dir_all(dir).and_then(|()| fs::write(&probe, b"")).and_then(|()| fs::remove_file(&probe));
            probed.map_err(|e| {
                config(format!("{option} {}: {e}; give a directory that this user may write", dir.display()))
            })?;
        }
        Ok(())
    }

    /// What no single option can say about itself.
    pub fn check(&self) -> Result<()> {
        self.reads()?;
        self.generated_per_meter()?;
        let sink = format!("--sink {}", self.sink);
        match &self.sink {
            SinkSpec::Timestream { .. } => built(cfg!(feature = "timestream"), &sink, "timestream")?,
            SinkSpec::Influx(_) => built(cfg!(feature = "influx"), &sink, "influx")?,
            SinkSpec::Kinesis(_) => built(cfg!(feature = "kinesis"), &sink, "kinesis")?,
            SinkSpec::Kafka(_) => built(cfg!(feature = "kafka"), &sink, "kafka")?,
            SinkSpec::Embedded => built(cfg!(feature = "store"), &sink, "store")?,
        }
        if self.firehose.is_some() {
            built(cfg!(feature = "firehose"), "--firehose", "firehose")?;
        }
        if self.typed == Typed::Delta {
            built(cfg!(feature = "delta"), "--typed delta", "delta")?;
        }
        if self.lake.as_ref().is_some_and(|l| l.to_string_lossy().contains("://")) {
            return Err(config("--lake: only a local directory for now"));
        }
        if !(1..=100).contains(&self.timestream_ingest_batch_size) {
            let given = self.timestream_ingest_batch_size;
            return Err(config(format!(
                "TimestreamIngestBatchSize {given}: Timestream takes 1 to 100 records at once"
            )));
        }
        for (option, name) in
            [("TimestreamDbName", &self.timestream_db_name), ("TimestreamTableName", &self.timestream_table_name)]
        {
            let is_name = |b: u8| b.is_ascii_alphanumeric() || b"_-.".contains(&b);
            if !(3..=256).contains(&name.len()) || !name.bytes().all(is_name) {
                return Err(config(format!("{option} '{name}': a name has 3 to 256 letters, digits and _ - .")));
            }
        }
        let shares = [self.late_share, self.duplicate_share, self.null_share, self.corrupt_share, self.future_share];
        if shares.iter().any(|s| !(0.0..=1.0).contains(s)) || shares.iter().sum::<f64>() > 1.0 {
            return Err(config(
                "the generator's shares (late, duplicate, null, corrupt, future) lie between 0 and 1, also all together",
            ));
        }
        Ok(())
    }
}

/// Whether the connector is in this binary.
fn built(there: bool, what: &str, feature: &str) -> Result<()> {
    if there {
        return Ok(());
    }
    Err(config(format!("{what}: this binary was built without it; build with --features {feature}")))
}

pub(super) fn config(reason: impl Into<String>) -> Error {
    Error::Config(reason.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line<T: std::fmt::Debug>(result: Result<T>) -> String {
        let text = result.expect_err("an error").to_string();
        assert!(!text.contains('\n'), "one line: {text}");
        text
    }

    #[test]
    fn what_cannot_be_done_yet_is_one_clear_line() {
        let with = |change: fn(&mut Options)| {
            let mut options = Options::default();
            change(&mut options);
            line(options.check())
        };
        let committed = |o: &mut Options| {
            o.input_stream_name = Some("meters".into());
            o.streams.start_from = StartFrom::Committed;
        };
        assert!(with(committed).contains("no groups"));
        assert!(with(|o| o.timestream_ingest_batch_size = 0).contains("1 to 100"));
        assert!(with(|o| o.timestream_table_name = "../x".into()).contains("a name has"));
        assert!(with(|o| o.late_share = 1.5).contains("shares"));
        assert!(with(|o| o.interval = Span::secs(0)).contains("--interval"));
        assert!(Options::default().check().is_ok());
    }

    #[test]
    fn a_stream_name_does_not_hinder_another_source() {
        let options = Options {
            input_stream_name: Some("meters".into()),
            source: Some(SourceSpec::Generator),
            ..Options::default()
        };
        assert_eq!(options.reads().expect("a source"), SourceSpec::Generator);
    }

    #[test]
    fn when_the_generator_ends() {
        let per_meter = |change: fn(&mut Options)| {
            let mut options = Options::default();
            change(&mut options);
            options.generated_per_meter().expect("a number")
        };
        assert_eq!(per_meter(|_| ()), None);
        assert_eq!(per_meter(|o| o.bounded = true), Some(24));
        assert_eq!(per_meter(|o| o.readings_per_meter = Some(7)), Some(7));
        assert_eq!(per_meter(|o| o.duration = Some(Span::days(1))), Some(96));
    }

    #[test]
    fn the_retention_depends_on_magnetic_writes() {
        let mut options = Options { magnetic_retention: Span::days(15), ..Options::default() };
        assert_eq!(options.retention(), Span::days(15));
        options.magnetic_writes = false;
        assert_eq!(options.retention(), Span::hours(6));
    }

    #[test]
    fn the_command_line_has_the_same_defaults() {
        use clap::{Args, FromArgMatches};
        let parse = |args: &[&str]| {
            let matches =
                Options::augment_args(clap::Command::new("x").no_binary_name(true)).try_get_matches_from(args);
            Options::from_arg_matches(&matches.expect("arguments")).expect("options")
        };
        assert_eq!(parse(&[]), Options::default());
        let options = parse(&[
            "--InputStreamName",
            "s",
            "--Region",
            "eu-west-1",
            "--TimestreamDbName",
            "database",
            "--TimestreamTableName",
            "table",
            "--TimestreamIngestBatchSize",
            "50",
            "--late-policy",
            "drop",
            "--meters",
            "10",
        ]);
        assert_eq!((options.input_stream_name.as_deref(), options.region.as_deref()), (Some("s"), Some("eu-west-1")));
        assert_eq!((&*options.timestream_db_name, &*options.timestream_table_name), ("database", "table"));
        assert_eq!(
            (options.timestream_ingest_batch_size, options.late_policy, options.meters),
            (50, LatePolicy::Drop, 10)
        );
    }
}
