//! A record that could not be delivered, as Firehose writes it below the error prefix.
//!
//! Source: <https://docs.aws.amazon.com/firehose/latest/dev/data-transformation-failure-handling.html>,
//! whose document this is without the ARN of a Lambda function.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};

/// Firehose's code for a record whose partition keys cannot be found.
pub const METADATA_EXTRACTION_FAILED: &str = "DynamicPartitioning.MetadataExtractionFailed";

/// A record whose keys and times make no prefix: too long, or no directory. The code is hurtig's.
pub const PREFIX_EVALUATION_FAILED: &str = "DynamicPartitioning.PrefixEvaluationFailed";

/// What is left of a record that cannot be taken apart. The code is hurtig's.
pub const DE_AGGREGATION_FAILED: &str = "RecordDeAggregation.MalformedRecord";

/// `!{firehose:error-output-type}` of all of them.
pub const PROCESSING_FAILED: &str = "processing-failed";

/// One line below the error prefix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ErrorRecord {
    /// Always 1: another attempt would end the same.
    pub attempts_made: u32,
    /// When the record arrived, in milliseconds since the epoch.
    pub arrival_timestamp: i64,
    /// What kind of failure it is, for programs.
    pub error_code: String,
    /// What happened, for people.
    pub error_message: String,
    /// When it was tried, in milliseconds since the epoch.
    pub attempt_ending_timestamp: i64,
    /// The record's bytes in base64.
    pub raw_data: String,
}

/// Why a record cannot be delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// One of this crate's codes.
    pub code: &'static str,
    /// In one line.
    pub message: String,
}

impl ErrorRecord {
    /// The error record of `raw`.
    pub(crate) fn new(problem: Problem, raw: &[u8], arrival: i64, now: i64) -> Self {
        ErrorRecord {
            attempts_made: 1,
            arrival_timestamp: arrival,
            error_code: problem.code.to_owned(),
            error_message: problem.message,
            attempt_ending_timestamp: now,
            raw_data: BASE64_STANDARD.encode(raw),
        }
    }

    /// The record that failed.
    pub fn raw(&self) -> Result<Vec<u8>, base64::DecodeError> {
        BASE64_STANDARD.decode(&self.raw_data)
    }
}
