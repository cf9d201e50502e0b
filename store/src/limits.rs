//! What Timestream does not take, whatever the table ("Quotas", Timestream Developer Guide).

use crate::{
    record::{Measure, Record},
    value::MeasureValue,
};

/// Dimensions of a record, and of a table.
pub const DIMENSIONS: usize = 128;
/// Measures of a `MULTI` record.
pub const MEASURES_PER_RECORD: usize = 256;
/// Measures of a table, those of all `MULTI` records together.
pub const MEASURES_PER_TABLE: usize = 1_024;
/// Measure names of a table.
pub const MEASURE_NAMES: usize = 8_192;
/// Bytes of a dimension's name.
pub const DIMENSION_NAME: usize = 60;
/// Bytes of a measure's name.
pub const MEASURE_NAME: usize = 256;
/// Bytes of a record.
pub const RECORD: usize = 2_048;
/// Records of a request over the wire.
pub const RECORDS_PER_REQUEST: usize = 100;

/// Why a record is rejected for what it is, if it is.
pub fn reason(record: &Record) -> Option<String> {
    if record.dimensions.is_empty() {
        return Some("The record must have at least one dimension.".into());
    }
    if record.dimensions.len() > DIMENSIONS {
        return Some(format!(
            "The record has {} dimensions; at most {DIMENSIONS} are allowed.",
            record.dimensions.len()
        ));
    }
    for (i, (name, value)) in record.dimensions.iter().enumerate() {
        if let Some(reason) = name_reason("dimension", name, DIMENSION_NAME) {
            return Some(reason);
        }
        if value.is_empty() {
            return Some(format!("The value of the dimension '{name}' is empty."));
        }
        if record.dimensions[..i].iter().any(|(other, _)| other == name) {
            return Some(format!("The dimension '{name}' is there twice."));
        }
    }
    if let Some(reason) = name_reason("measure", &record.measure_name, MEASURE_NAME) {
        return Some(reason);
    }
    if record.version == 0 {
        return Some("The record version must be at least 1.".into());
    }
    match &record.measure {
        Measure::Single(value) => value_reason(&record.measure_name, value),
        Measure::Multi(values) => multi_reason(record, values),
    }
    .or_else(|| {
        let bytes = size(record);
        (bytes > RECORD).then(|| format!("The record has {bytes} bytes; at most {RECORD} are allowed."))
    })
}

fn multi_reason(record: &Record, values: &[(compact_str::CompactString, MeasureValue)]) -> Option<String> {
    if values.is_empty() {
        return Some("A MULTI record must have at least one measure value.".into());
    }
    if values.len() > MEASURES_PER_RECORD {
        return Some(format!("The record has {} measures; at most {MEASURES_PER_RECORD} are allowed.", values.len()));
    }
    for (i, (name, value)) in values.iter().enumerate() {
        if let Some(reason) = name_reason("measure", name, MEASURE_NAME).or_else(|| value_reason(name, value)) {
            return Some(reason);
        }
        if record.dimensions.iter().any(|(dimension, _)| dimension == name) {
            return Some(format!("'{name}' is a dimension and a measure of the record."));
        }
        if values[..i].iter().any(|(other, _)| other == name) {
            return Some(format!("The measure '{name}' is there twice."));
        }
    }
    None
}

fn name_reason(what: &str, name: &str, most: usize) -> Option<String> {
    if name.is_empty() {
        return Some(format!("The name of a {what} is empty."));
    }
    if name.len() > most {
        return Some(format!("The {what} name '{name}' has {} bytes; at most {most} are allowed.", name.len()));
    }
    let is_reserved = matches!(name, "measure_value" | "ts_non_existent_col" | "time")
        || name.starts_with("ts_")
        || name.starts_with("measure_name")
        || name.starts_with("measure_value::")
        || name.starts_with("__");
    is_reserved.then(|| format!("The {what} name '{name}' is reserved."))
}

fn value_reason(name: &str, value: &MeasureValue) -> Option<String> {
    match value {
        MeasureValue::Double(x) if !x.is_finite() => {
            Some(format!("The value of the measure '{name}' is {x}: only finite numbers are allowed."))
        }
        _ => None,
    }
}

/// Bytes of a record, as Timestream counts them.
pub fn size(record: &Record) -> usize {
    let dimensions: usize = record.dimensions.iter().map(|(n, v)| n.len() + v.len()).sum();
    let of = |value: &MeasureValue| match value {
        MeasureValue::Varchar(text) => text.len(),
        MeasureValue::Boolean(_) => 1,
        _ => 8,
    };
    let measures: usize = match &record.measure {
        Measure::Single(value) => of(value),
        Measure::Multi(values) => values.iter().map(|(n, v)| n.len() + of(v)).sum(),
    };
    // The time takes eight bytes.
    dimensions + record.measure_name.len() + measures + 8
}
