//! Several records in one, taken apart: JSON behind JSON, or with a delimiter between them.
//!
//! Source: <https://docs.aws.amazon.com/firehose/latest/dev/dynamic-partitioning-multirecord-deaggergation.html>.
//! Firehose stops after 500; here all are taken.

use std::ops::Range;

use memchr::{memchr2, memmem};
use serde::de::IgnoredAny;

use crate::error_record::{DE_AGGREGATION_FAILED, Problem};

/// How records are put together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SubRecords {
    /// `{…}{…}`, or one a line.
    Json,
    /// With this between them.
    Delimited(Vec<u8>),
}

/// What cannot be taken apart: from here to the record's end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Broken {
    pub rest: Range<usize>,
    pub problem: Problem,
}

impl SubRecords {
    /// Where the records in `record` are. What comes before a broken one is good.
    pub fn split(&self, record: &[u8], into: &mut Vec<Range<usize>>) -> Result<(), Broken> {
        match self {
            SubRecords::Json => json(record, into)?,
            SubRecords::Delimited(delimiter) => delimited(record, delimiter, into),
        }
        if into.is_empty() { Err(broken(0..record.len(), "there is no record in it".into())) } else { Ok(()) }
    }
}

fn json(record: &[u8], into: &mut Vec<Range<usize>>) -> Result<(), Broken> {
    let mut values = serde_json::Deserializer::from_slice(record).into_iter::<IgnoredAny>();
    loop {
        let before = values.byte_offset();
        let rest = &record[before..];
        let start = before + rest.len() - rest.trim_ascii_start().len();
        match values.next() {
            None => return Ok(()),
            Some(Err(e)) => return Err(broken(start..record.len(), format!("not JSON: {e}"))),
            Some(Ok(_)) if record[start] != b'{' => {
                let why = "a JSON object was expected; arrays and bare values are not taken apart";
                return Err(broken(start..record.len(), why.into()));
            }
            Some(Ok(_)) => {}
        }
        let found = start..values.byte_offset();
        if memchr2(b'\n', b'\r', &record[found.clone()]).is_some() {
            return Err(broken(start..record.len(), "an object must be in one line".into()));
        }
        into.push(found);
    }
}

fn delimited(record: &[u8], delimiter: &[u8], into: &mut Vec<Range<usize>>) {
    let mut start = 0;
    for end in memmem::find_iter(record, delimiter).chain([record.len()]) {
        // Between two delimiters, and after the last one, there may be nothing.
        if end > start {
            into.push(start..end);
        }
        start = end + delimiter.len();
    }
}

fn broken(rest: Range<usize>, message: String) -> Broken {
    Broken { rest, problem: Problem { code: DE_AGGREGATION_FAILED, message } }
}
