//! The configuration as AWS writes it, key by key.
//!
//! Source: `ExtendedS3DestinationConfiguration` in
//! <https://docs.aws.amazon.com/firehose/latest/APIReference/API_ExtendedS3DestinationConfiguration.html>
//! and what belongs to it. A key that is not here is an error, one that means nothing here is an
//! [`IgnoredAny`]. CloudFormation writes numbers and truth values as text too.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{self, IgnoredAny, Visitor},
};

use super::Timestamps;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Destination {
    pub prefix: Option<String>,
    pub error_output_prefix: Option<String>,
    pub buffering_hints: Option<BufferingHints>,
    pub compression_format: Option<String>,
    pub custom_time_zone: Option<String>,
    pub file_extension: Option<String>,
    pub dynamic_partitioning_configuration: Option<DynamicPartitioning>,
    pub processing_configuration: Option<Processing>,
    pub data_format_conversion_configuration: Option<FormatConversion>,
    pub s3_backup_mode: Option<String>,
    /// What hurtig adds.
    pub hurtig: Option<Hurtig>,
    #[serde(rename = "BucketARN")]
    pub _bucket: Option<IgnoredAny>,
    #[serde(rename = "RoleARN")]
    pub _role: Option<IgnoredAny>,
    #[serde(rename = "EncryptionConfiguration")]
    pub _encryption: Option<IgnoredAny>,
    #[serde(rename = "CloudWatchLoggingOptions")]
    pub _logging: Option<IgnoredAny>,
    #[serde(rename = "S3BackupConfiguration")]
    pub _backup: Option<IgnoredAny>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct BufferingHints {
    #[serde(rename = "SizeInMBs")]
    pub size: Option<Whole>,
    #[serde(rename = "IntervalInSeconds")]
    pub interval: Option<Whole>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct DynamicPartitioning {
    pub enabled: Option<Flag>,
    #[serde(rename = "RetryOptions")]
    _retry: Option<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Processing {
    pub enabled: Option<Flag>,
    #[serde(default)]
    pub processors: Vec<Processor>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Processor {
    pub r#type: String,
    #[serde(default)]
    pub parameters: Vec<Parameter>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    #[serde(rename = "ParameterName")]
    pub name: String,
    #[serde(rename = "ParameterValue")]
    pub value: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct FormatConversion {
    pub enabled: Option<Flag>,
    #[serde(rename = "InputFormatConfiguration")]
    _input: Option<IgnoredAny>,
    #[serde(rename = "OutputFormatConfiguration")]
    _output: Option<IgnoredAny>,
    #[serde(rename = "SchemaConfiguration")]
    _schema: Option<IgnoredAny>,
}

/// What hurtig adds to Firehose.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Hurtig {
    pub timestamp: Option<Timestamps>,
    pub max_open_files: Option<Whole>,
    #[serde(rename = "TargetFileSizeInMBs")]
    pub target_file_size: Option<Whole>,
}

/// A whole number, also as text.
#[derive(Debug, Clone, Copy)]
pub struct Whole(pub u64);

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Number;
        impl Visitor<'_> for Number {
            type Value = Whole;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number")
            }
            fn visit_u64<E: de::Error>(self, n: u64) -> Result<Whole, E> {
                Ok(Whole(n))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Whole, E> {
                let wrong = |_| E::invalid_value(de::Unexpected::Str(text), &self);
                text.parse().map(Whole).map_err(wrong)
            }
        }
        d.deserialize_any(Number)
    }
}

/// `true` or `false`, also as text.
#[derive(Debug, Clone, Copy)]
pub struct Flag(pub bool);

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Truth;
        impl Visitor<'_> for Truth {
            type Value = Flag;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true or false")
            }
            fn visit_bool<E: de::Error>(self, yes: bool) -> Result<Flag, E> {
                Ok(Flag(yes))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Flag, E> {
                match text {
                    "true" | "True" => Ok(Flag(true)),
                    "false" | "False" => Ok(Flag(false)),
                    _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }
        }
        d.deserialize_any(Truth)
    }
}
