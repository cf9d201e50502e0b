//! Firehose's own configuration, and what hurtig adds to it.
//!
//! What `aws firehose create-delivery-stream --cli-input-json` and CloudFormation take is taken
//! here: an `ExtendedS3DestinationConfiguration`, or an object that holds one. What means nothing
//! on a disk (roles, keys, logs) is ignored; what would change the data and is not done here is
//! refused, as is whatever Firehose refuses.
//!
//! Source: <https://docs.aws.amazon.com/firehose/latest/APIReference/API_ExtendedS3DestinationConfiguration.html>,
//! limits: <https://docs.aws.amazon.com/firehose/latest/dev/limits.html>.

mod processing;
mod raw;

use std::{fs, path::Path, time::Duration};

use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_json::Value;

use self::{
    processing::Processing,
    raw::{BufferingHints, Destination, Hurtig},
};
use crate::{
    error::{Error, Result},
    prefix::{Field, Prefix},
    query::Query,
};

/// What `!{timestamp:…}` in `Prefix` is the time of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub enum Timestamps {
    /// The arrival of a file's first record, as in Firehose.
    #[default]
    Arrival,
    /// Each record's event time: late data is filed where it belongs.
    Event,
}

/// How records become files: see the [module](self).
#[derive(Debug, Clone, PartialEq)]
pub struct FirehoseConfig {
    pub(crate) prefix: Prefix,
    pub(crate) error_prefix: Prefix,
    pub(crate) zone: TimeZone,
    pub(crate) timestamps: Timestamps,
    pub(crate) processing: Processing,
    pub(crate) gzip: bool,
    pub(crate) extension: String,
    /// How many bytes a file takes: of records, or, if hurtig's own size is set, of the file.
    pub(crate) max_bytes: u64,
    pub(crate) max_bytes_are_the_files: bool,
    pub(crate) interval: Option<Duration>,
    pub(crate) max_open_files: usize,
}

/// Where a configuration may be: in a call's input, or in a CloudFormation resource.
const DESTINATION: &str = "ExtendedS3DestinationConfiguration";
/// `BufferingHints.SizeInMBs`, without and with dynamic partitions.
const DEFAULT_MBS: u64 = 5;
const DEFAULT_MBS_PARTITIONED: u64 = 128;
/// `BufferingHints.IntervalInSeconds`.
const DEFAULT_SECONDS: u64 = 300;
/// As [`PartOptions`](hurtig_operators::connectors::part_files::PartOptions) has it.
const DEFAULT_OPEN_FILES: usize = 64;

impl FirehoseConfig {
    /// Lines below `prefix`, what cannot be delivered below `error_prefix`: no processors, but a
    /// line feed after each record.
    pub fn new(prefix: &str, error_prefix: &str) -> Result<Self> {
        let raw = Destination {
            prefix: Some(prefix.to_owned()),
            error_output_prefix: Some(error_prefix.to_owned()),
            ..Destination::default()
        };
        Ok(Self::of(raw)?.delimiter("\n"))
    }

    /// From a file: see [`from_json`](Self::from_json).
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let json = fs::read_to_string(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
        Self::from_json(&json)
    }

    /// An `ExtendedS3DestinationConfiguration`, or an object that holds one: the input of
    /// `create-delivery-stream`, or a CloudFormation resource.
    pub fn from_json(json: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(json).map_err(|e| Error::Config(format!("not JSON: {e}")))?;
        let destination = destination(value)?;
        Self::of(serde_json::from_value(destination).map_err(|e| Error::Config(e.to_string()))?)
    }

    fn of(raw: Destination) -> Result<Self> {
        refuse_conversions(&raw)?;
        let processing = Processing::new(raw.processing_configuration)?;
        let text = raw.prefix.unwrap_or_default();
        let prefix = Prefix::parse(Field::Data, &text)?;
        let error_prefix = match raw.error_output_prefix.filter(|p| !p.is_empty()) {
            Some(errors) => Prefix::parse(Field::Errors, &errors)?,
            None if text.contains("!{") => {
                return fail("Prefix has expressions, so there must be an ErrorOutputPrefix");
            }
            None => Prefix::parse(Field::Errors, &text)?,
        };
        let dynamic = match raw.dynamic_partitioning_configuration {
            None => false,
            Some(d) => match d.enabled {
                Some(enabled) => enabled.0,
                None => return fail("DynamicPartitioningConfiguration has no Enabled: write \"Enabled\": true"),
            },
        };
        partitions(dynamic, &prefix, &processing)?;
        let (megabytes, interval) = buffering(raw.buffering_hints.unwrap_or_default(), dynamic)?;
        let gzip = match raw.compression_format.as_deref() {
            None | Some("UNCOMPRESSED") => false,
            Some("GZIP") => true,
            Some(other @ ("ZIP" | "Snappy" | "HADOOP_SNAPPY")) => {
                return fail(format!(
                    "CompressionFormat {other} is not written here, for such files cannot be gone on with: write GZIP \
                     or UNCOMPRESSED"
                ));
            }
            Some(other) => return fail(format!("CompressionFormat is GZIP or UNCOMPRESSED, not '{other}'")),
        };
        let hurtig = raw.hurtig.unwrap_or_default();
        let own_size = megabyte_option(&hurtig)?;
        Ok(FirehoseConfig {
            prefix,
            error_prefix,
            zone: time_zone(raw.custom_time_zone.as_deref())?,
            timestamps: hurtig.timestamp.unwrap_or_default(),
            processing,
            gzip,
            extension: extension(raw.file_extension.as_deref(), gzip)?,
            max_bytes: own_size.unwrap_or(megabytes) << 20,
            max_bytes_are_the_files: own_size.is_some(),
            interval,
            max_open_files: match hurtig.max_open_files {
                None => DEFAULT_OPEN_FILES,
                Some(files) => match usize::try_from(files.0) {
                    Ok(files @ 1..) => files,
                    _ => return fail("Hurtig.MaxOpenFiles must be at least 1"),
                },
            },
        })
    }

    /// Says what `!{timestamp:…}` in the prefix is the time of.
    #[must_use]
    pub fn timestamps(mut self, timestamps: Timestamps) -> Self {
        self.timestamps = timestamps;
        self
    }

    /// Sets the zone of all times, by its IANA name; UTC by default.
    pub fn time_zone(mut self, name: &str) -> Result<Self> {
        self.zone = time_zone(Some(name))?;
        Ok(self)
    }

    /// Appends this to every record.
    #[must_use]
    pub fn delimiter(mut self, delimiter: impl Into<Vec<u8>>) -> Self {
        self.processing.delimiter = delimiter.into();
        self
    }

    /// Compresses the files with gzip. Their names end in `.jsonl.gz`.
    #[must_use]
    pub fn gzip(mut self) -> Self {
        self.gzip = true;
        self.extension = "jsonl.gz".into();
        self
    }

    /// Closes a file when it has about this many bytes, as they are on disk.
    #[must_use]
    pub fn target_file_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes.max(1);
        self.max_bytes_are_the_files = true;
        self
    }

    /// Closes a file this long after its first record; `None`: only checkpoints close files.
    #[must_use]
    pub fn buffering_interval(mut self, interval: Option<Duration>) -> Self {
        self.interval = interval;
        self
    }

    /// How many files may be open, 64 by default. There may be any number of partitions.
    #[must_use]
    pub fn max_open_files(mut self, files: usize) -> Self {
        self.max_open_files = files.max(1);
        self
    }
}

fn fail<T>(reason: impl Into<String>) -> Result<T> {
    Err(Error::Config(reason.into()))
}

/// The destination's configuration in what was given.
fn destination(mut value: Value) -> Result<Value> {
    if let Some(properties) = value.get_mut("Properties") {
        value = properties.take();
    }
    let Value::Object(mut object) = value else { return fail("it is not a JSON object") };
    if let Some(destination) = object.remove(DESTINATION) {
        return Ok(destination);
    }
    // The old destination has fewer keys of the same meaning; the others go to other systems.
    match object.keys().find(|k| k.ends_with("DestinationConfiguration")) {
        Some(other) => fail(format!("{other} is not written here: there must be an {DESTINATION}")),
        None => Ok(Value::Object(object)),
    }
}

fn refuse_conversions(raw: &Destination) -> Result<()> {
    let conversion = raw.data_format_conversion_configuration.as_ref();
    if conversion.is_some_and(|c| c.enabled.is_none_or(|enabled| enabled.0)) {
        return fail(
            "DataFormatConversionConfiguration is not done here: write Parquet with the lake's own sink, beside this \
             one, and say \"Enabled\": false",
        );
    }
    match raw.s3_backup_mode.as_deref() {
        None | Some("Disabled") => Ok(()),
        Some("Enabled") => fail(
            "S3BackupMode Enabled is not done here: give the stream a second sink without processors, and say Disabled",
        ),
        Some(other) => fail(format!("S3BackupMode is Disabled or Enabled, not '{other}'")),
    }
}

fn partitions(dynamic: bool, prefix: &Prefix, processing: &Processing) -> Result<()> {
    match (dynamic, &processing.query, prefix.keys().first()) {
        (false, _, Some(key)) => fail(format!(
            "Prefix has !{{partitionKeyFromQuery:{key}}}, which needs DynamicPartitioningConfiguration with \
             \"Enabled\": true"
        )),
        (false, Some(_), None) => fail(
            "MetadataExtraction needs DynamicPartitioningConfiguration with \"Enabled\": true, and \
             !{partitionKeyFromQuery:…} in Prefix",
        ),
        (true, _, None) => {
            fail("DynamicPartitioningConfiguration is enabled, so there must be a !{partitionKeyFromQuery:…} in Prefix")
        }
        (true, None, Some(key)) => fail(format!(
            "Prefix has !{{partitionKeyFromQuery:{key}}}, which needs a MetadataExtraction processor that makes it"
        )),
        // Compiled here, so that what is wrong is said before anything runs.
        (true, Some(query), Some(_)) => Query::new(query, prefix.keys()).map(drop),
        (false, None, None) => Ok(()),
    }
}

/// Megabytes and interval.
fn buffering(hints: BufferingHints, dynamic: bool) -> Result<(u64, Option<Duration>)> {
    let default = if dynamic { DEFAULT_MBS_PARTITIONED } else { DEFAULT_MBS };
    let megabytes = hints.size.map_or(default, |n| n.0);
    let seconds = hints.interval.map_or(DEFAULT_SECONDS, |n| n.0);
    match (megabytes, seconds) {
        (0 | 129.., _) => fail(format!(
            "BufferingHints.SizeInMBs is {megabytes}; 1 to 128 are allowed (larger files: Hurtig.TargetFileSizeInMBs)"
        )),
        (..64, _) if dynamic => {
            fail(format!("BufferingHints.SizeInMBs is {megabytes}; with dynamic partitions 64 to 128 are allowed"))
        }
        (_, 901..) => fail(format!("BufferingHints.IntervalInSeconds is {seconds}; 0 to 900 are allowed")),
        (_, 0) if dynamic => fail("BufferingHints.IntervalInSeconds must not be 0 with dynamic partitions"),
        // Nothing is seen before its checkpoint, so checkpoints are the shortest interval.
        (_, 0) => Ok((megabytes, None)),
        _ => Ok((megabytes, Some(Duration::from_secs(seconds)))),
    }
}

fn megabyte_option(hurtig: &Hurtig) -> Result<Option<u64>> {
    match hurtig.target_file_size {
        None => Ok(None),
        Some(megabytes) if (1..=1 << 20).contains(&megabytes.0) => Ok(Some(megabytes.0)),
        Some(megabytes) => fail(format!("Hurtig.TargetFileSizeInMBs is {}; 1 to 1048576 are allowed", megabytes.0)),
    }
}

fn time_zone(name: Option<&str>) -> Result<TimeZone> {
    let Some(name) = name else { return Ok(TimeZone::UTC) };
    TimeZone::get(name).or_else(|_| {
        fail(format!("CustomTimeZone '{name}' is not known: write an IANA name, such as Europe/London or Asia/Tokyo"))
    })
}

/// What names end in. A pattern and a length are set:
/// <https://docs.aws.amazon.com/firehose/latest/APIReference/API_ExtendedS3DestinationConfiguration.html>.
fn extension(given: Option<&str>, gzip: bool) -> Result<String> {
    let Some(given) = given.filter(|e| !e.is_empty()) else {
        return Ok(if gzip { "jsonl.gz" } else { "jsonl" }.into());
    };
    let allowed = |c: char| c.is_ascii_digit() || c.is_ascii_lowercase() || "!-_.*'()".contains(c);
    match given.strip_prefix('.') {
        Some(rest) if !rest.is_empty() && given.len() <= 128 && rest.chars().all(allowed) => Ok(rest.to_owned()),
        _ => fail(format!(
            "FileExtension '{given}' must begin with a dot, and have at most 128 small letters, digits and !-_.*'()"
        )),
    }
}
