//! What happens to a record before it is written: taken apart, asked for its keys, ended.
//!
//! Source: <https://docs.aws.amazon.com/firehose/latest/APIReference/API_Processor.html> and
//! `API_ProcessorParameter.html` beside it.

use base64::{Engine, prelude::BASE64_STANDARD};

use super::raw::{Parameter, Processing as Raw, Processor};
use crate::{
    deaggregate::SubRecords,
    error::{Error, Result},
};

/// The longest parameter.
const MAX_PARAMETER: usize = 5120;

/// What the processors do, each at most once, in this order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Processing {
    /// How a record is taken apart.
    pub sub_records: Option<SubRecords>,
    /// The jq program for partition keys.
    pub query: Option<String>,
    /// What is appended to every record.
    pub delimiter: Vec<u8>,
}

impl Processing {
    /// What the configuration's processors are.
    pub fn new(raw: Option<Raw>) -> Result<Self> {
        let mut processing = Processing::default();
        let Some(raw) = raw else { return Ok(processing) };
        match raw.enabled {
            Some(enabled) if enabled.0 => {}
            None if !raw.processors.is_empty() => {
                return fail("ProcessingConfiguration has Processors but no Enabled: write \"Enabled\": true");
            }
            _ => return Ok(processing),
        }
        let mut seen: Vec<&str> = Vec::new();
        for processor in &raw.processors {
            if seen.contains(&processor.r#type.as_str()) {
                return fail(format!("the processor {} is there twice: take one out", processor.r#type));
            }
            seen.push(&processor.r#type);
            processing.add(processor)?;
        }
        Ok(processing)
    }

    fn add(&mut self, processor: &Processor) -> Result<()> {
        let name = processor.r#type.as_str();
        let parameters = Parameters { processor: name, all: &processor.parameters };
        match name {
            "RecordDeAggregation" => self.sub_records = Some(sub_records(&parameters)?),
            "MetadataExtraction" => self.query = Some(query(&parameters)?),
            "AppendDelimiterToRecord" => {
                parameters.only(&["Delimiter"])?;
                self.delimiter = parameters.get("Delimiter").map_or_else(|| b"\n".to_vec(), unescape);
            }
            "Lambda" => {
                return fail(
                    "a Lambda processor cannot run here: do in the job, before this sink, what the function does, and \
                     take the processor out",
                );
            }
            "Decompression" | "CloudWatchLogProcessing" => {
                return fail(format!(
                    "the processor {name} is not supported: decompress in the job, before this sink, and take the \
                     processor out"
                ));
            }
            _ => {
                return fail(format!(
                    "the processor '{name}' is not known: RecordDeAggregation, MetadataExtraction and \
                     AppendDelimiterToRecord are"
                ));
            }
        }
        Ok(())
    }
}

fn sub_records(parameters: &Parameters<'_>) -> Result<SubRecords> {
    parameters.only(&["SubRecordType", "Delimiter"])?;
    let delimiter = parameters.get("Delimiter");
    match parameters.need("SubRecordType", "JSON or DELIMITED")? {
        "JSON" if delimiter.is_some() => {
            fail("RecordDeAggregation of JSON has no Delimiter: take it out, or write SubRecordType DELIMITED")
        }
        "JSON" => Ok(SubRecords::Json),
        "DELIMITED" => {
            let text = parameters.need("Delimiter", "the delimiter in base64, Cg== for a line feed")?;
            let wrong = |why: String| format!("RecordDeAggregation: the Delimiter '{text}' is not base64: {why}");
            match BASE64_STANDARD.decode(text) {
                Ok(bytes) if bytes.is_empty() => fail("RecordDeAggregation: the Delimiter is empty"),
                Ok(bytes) => Ok(SubRecords::Delimited(bytes)),
                Err(e) => fail(wrong(e.to_string())),
            }
        }
        other => fail(format!("RecordDeAggregation: SubRecordType is JSON or DELIMITED, not '{other}'")),
    }
}

fn query(parameters: &Parameters<'_>) -> Result<String> {
    parameters.only(&["MetadataExtractionQuery", "JsonParsingEngine"])?;
    let engine = parameters.need("JsonParsingEngine", "JQ-1.6")?;
    if engine != "JQ-1.6" {
        return fail(format!("MetadataExtraction: JsonParsingEngine is JQ-1.6, not '{engine}'"));
    }
    parameters.need("MetadataExtractionQuery", "a jq program that makes an object of keys").map(str::to_owned)
}

/// AWS writes a line feed as `\n`, in two characters.
fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        let ahead = rest.clone().next();
        let escaped = match ahead {
            Some('n') => Some('\n'),
            Some('r') => Some('\r'),
            Some('t') => Some('\t'),
            Some('\\') => Some('\\'),
            _ => None,
        };
        let c = match escaped {
            Some(meant) if c == '\\' => {
                rest.next();
                meant
            }
            _ => c,
        };
        bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    }
    bytes
}

/// A processor's parameters.
struct Parameters<'a> {
    processor: &'a str,
    all: &'a [Parameter],
}

impl<'a> Parameters<'a> {
    fn get(&self, name: &str) -> Option<&'a str> {
        self.all.iter().find(|p| p.name == name).map(|p| p.value.as_str())
    }

    fn need(&self, name: &str, what: &str) -> Result<&'a str> {
        match self.get(name) {
            Some(value) => Ok(value),
            None => fail(format!("{} needs the parameter {name}: {what}", self.processor)),
        }
    }

    /// Refuses others, and one that comes twice.
    fn only(&self, known: &[&str]) -> Result<()> {
        for (i, p) in self.all.iter().enumerate() {
            if !known.contains(&p.name.as_str()) {
                let known = known.join(", ");
                return fail(format!("{} has no parameter '{}': it has {known}", self.processor, p.name));
            }
            if self.all[..i].iter().any(|before| before.name == p.name) {
                return fail(format!("{}: the parameter {} is there twice", self.processor, p.name));
            }
            if p.value.is_empty() || p.value.chars().count() > MAX_PARAMETER {
                return fail(format!(
                    "{}: the parameter {} has {} characters; 1 to {MAX_PARAMETER} are allowed",
                    self.processor,
                    p.name,
                    p.value.chars().count()
                ));
            }
        }
        Ok(())
    }
}

fn fail<T>(reason: impl Into<String>) -> Result<T> {
    Err(Error::Config(reason.into()))
}
