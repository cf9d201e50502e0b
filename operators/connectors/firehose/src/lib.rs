//! The lake's raw zone: lines as they were received, in the layout that Amazon Data Firehose writes,
//! exactly once.
//!
//! Firehose's own configuration is read ([`FirehoseConfig`]): records are taken apart, get their
//! partition keys by jq ([`Query`]) and go to files below the prefix; what cannot be delivered goes
//! below the error prefix, as Firehose writes it ([`ErrorRecord`]). Unlike Firehose, files become visible
//! with their checkpoint, all of them or none, and late data may be filed by its event time.
//!
//! ```
//! use hurtig_engine::record::Record;
//! use hurtig_firehose::{FirehoseConfig, FirehoseSink};
//! use hurtig_operators::connectors::testing::SinkHarness;
//!
//! let config = FirehoseConfig::from_json(r#"{
//!     "Prefix": "readings/site=!{partitionKeyFromQuery:site}/day=!{timestamp:yyyy-MM-dd}/",
//!     "ErrorOutputPrefix": "errors/!{firehose:error-output-type}/",
//!     "CustomTimeZone": "Europe/London",
//!     "DynamicPartitioningConfiguration": {"Enabled": true},
//!     "ProcessingConfiguration": {"Enabled": true, "Processors": [
//!         {"Type": "MetadataExtraction", "Parameters": [
//!             {"ParameterName": "JsonParsingEngine", "ParameterValue": "JQ-1.6"},
//!             {"ParameterName": "MetadataExtractionQuery", "ParameterValue": "{site:.site}"}]},
//!         {"Type": "AppendDelimiterToRecord", "Parameters": [
//!             {"ParameterName": "Delimiter", "ParameterValue": "\\n"}]}]},
//!     "Hurtig": {"Timestamp": "Event"}
//! }"#)?;
//!
//! let dir = std::env::temp_dir().join(format!("hurtig-doc-firehose-{}", std::process::id()));
//! let sink = FirehoseSink::new(&dir, config);
//! let mut harness = SinkHarness::start(&sink, "1")?;
//! // 23:30 in UTC on the 4th: in London it is the 5th.
//! harness.write(Record::at(r#"{"site":"s-1","kwh":0.25}"#, 1_720_135_800_000))?;
//! harness.checkpoint()?;
//! let day = dir.join("readings/site=s-1/day=2024-07-05");
//! let file = std::fs::read_dir(&day)?.next().expect("a file")?.path();
//! assert_eq!(std::fs::read_to_string(&file)?, "{\"site\":\"s-1\",\"kwh\":0.25}\n");
//! # std::fs::remove_dir_all(&dir)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod config;
mod deaggregate;
mod error;
mod error_record;
mod format;
mod layout;
mod prefix;
mod query;
mod sink;
mod writer;

pub use config::{FirehoseConfig, Timestamps};
pub use error::{Error, Result};
pub use error_record::{
    DE_AGGREGATION_FAILED, ErrorRecord, METADATA_EXTRACTION_FAILED, PREFIX_EVALUATION_FAILED, PROCESSING_FAILED,
    Problem,
};
pub use query::Query;
pub use sink::FirehoseSink;
pub use writer::FirehoseWriter;
