//! A run's error report: what of its rows has become no record, and why, as Timestream writes it into a bucket.

use arrow::array::RecordBatch;
use bytes::Bytes;
use hurtig_timestream_sql::datum;
use serde_json::{Value, json};

use crate::{
    record::{Measure, Record},
    unload::UnloadPlace,
    value::MeasureValue,
};

/// Errors that a report has at most; the others are counted.
const ERRORS: usize = 1_000;

/// What went wrong in a run.
#[derive(Debug, Default)]
pub struct Errors {
    errors: Vec<Value>,
    count: u64,
    first: Option<String>,
}

impl Errors {
    /// A record that the table has rejected.
    pub fn record(&mut self, reason: String, record: &Record) {
        self.add(reason, |reason| json!({ "reason": reason, "records": [written(record)] }));
    }

    /// A row that is no record.
    pub fn row(&mut self, reason: String, row: &RecordBatch) {
        let line = || match datum::rows(row) {
            Ok(rows) => json!(rows.first()).to_string(),
            Err(e) => e.to_string(),
        };
        self.add(reason, |reason| json!({ "reason": reason, "rawLine": line() }));
    }

    fn add(&mut self, reason: String, error: impl FnOnce(&str) -> Value) {
        self.count += 1;
        if self.errors.len() < ERRORS {
            self.errors.push(error(&reason));
        }
        self.first.get_or_insert(reason);
    }

    /// All of them in a sentence; `None` when there is none.
    pub fn summary(&self) -> Option<String> {
        let first = self.first.as_deref()?;
        Some(match self.count {
            1 => format!("1 record was not written: {first}"),
            n => format!("{n} records were not written; the first one: {first}"),
        })
    }

    /// Writes the report below `bucket` and `prefix`, where the server lets it be written; the key that it has then.
    pub async fn write(
        mut self,
        place: &UnloadPlace,
        bucket: &str,
        prefix: &str,
        name: &str,
        id: &str,
    ) -> crate::Result<String> {
        if self.count > self.errors.len() as u64 {
            let more = self.count - self.errors.len() as u64;
            self.errors.push(json!({ "reason": format!("{more} more records were not written.") }));
        }
        let folder = format!("s3://{bucket}/{}", prefix.trim_matches('/'));
        let folder = place.folder(&folder).map_err(|e| crate::Error::Validation(e.to_string()))?;
        let report = json!({ "reportId": id, "errors": self.errors }).to_string();
        let path = name.split('/').fold(folder.path().clone(), |path, part| path.join(part));
        folder.storage().put_at(&path, Bytes::from(report)).await?;
        Ok([prefix.trim_matches('/'), name].into_iter().filter(|p| !p.is_empty()).collect::<Vec<_>>().join("/"))
    }
}

/// A record as `WriteRecords` would have it.
fn written(record: &Record) -> Value {
    let dimensions = record.dimensions.iter();
    let dimensions: Vec<_> = dimensions.map(|(name, value)| json!({ "name": name, "value": value })).collect();
    let mut out = json!({
        "dimensions": dimensions,
        "measureName": record.measure_name,
        "time": record.time.to_string(),
        "timeUnit": "NANOSECONDS",
        "version": record.version,
    });
    match &record.measure {
        Measure::Single(value) => {
            let (text, kind) = value_of(value);
            out["measureValue"] = text.into();
            out["measureValueType"] = kind.into();
        }
        Measure::Multi(values) => {
            let values = values.iter().map(|(name, value)| {
                let (text, kind) = value_of(value);
                json!({ "name": name, "value": text, "type": kind })
            });
            out["measureValueType"] = "MULTI".into();
            out["measureValues"] = values.collect();
        }
    }
    out
}

fn value_of(value: &MeasureValue) -> (String, String) {
    let text = match value {
        MeasureValue::Double(x) => x.to_string(),
        MeasureValue::Bigint(x) | MeasureValue::Timestamp(x) => x.to_string(),
        MeasureValue::Varchar(text) => text.to_string(),
        MeasureValue::Boolean(x) => x.to_string(),
    };
    (text, value.measure_type().sql_name().to_uppercase())
}
