//! What Timestream refuses whatever the table ("Quotas", Timestream Developer Guide), found before it is sent: one
//! record that breaks a rule of the request would have all hundred refused.

use crate::record::{Measure, MeasureValue, TimestreamRecord};

/// Records of a request.
pub const RECORDS_PER_REQUEST: usize = 100;
/// Dimensions of a record.
pub const DIMENSIONS: usize = 128;
/// Measures of a `MULTI` record.
pub const MEASURES: usize = 256;
/// Bytes of a dimension's name.
pub const DIMENSION_NAME: usize = 60;
/// Bytes of a measure's name.
pub const MEASURE_NAME: usize = 256;
/// Characters of a value in a request (`StringValue2048`).
pub const VALUE: usize = 2_048;
/// Bytes of a record: names and values of dimensions and measures, eight for a number or a time.
pub const RECORD: usize = 2_048;

/// Whether Timestream may take it; else why not, in one line.
pub fn check(record: &TimestreamRecord) -> Result<(), String> {
    check_dimensions(&record.dimensions)?;
    check_name("measure", &record.measure_name, MEASURE_NAME)?;
    if let Some(version) = record.version.filter(|v| *v < 1) {
        return Err(format!("its version is {version}, Timestream's begin at 1"));
    }
    if record.time < 0 {
        return Err(format!("its time is {}, before 1970", record.time));
    }
    match &record.measure {
        Measure::Single(MeasureValue::Timestamp(_)) => {
            return Err(format!(
                "its measure '{}' is a TIMESTAMP, which only a multi-measure record can hold",
                record.measure_name
            ));
        }
        Measure::Single(value) => check_value(&record.measure_name, value)?,
        Measure::Multi(values) => check_measures(values, &record.dimensions)?,
    }
    match size(record) {
        bytes if bytes > RECORD => Err(format!("it has {bytes} bytes, Timestream takes {RECORD}")),
        _ => Ok(()),
    }
}

/// What a record counts towards its limit.
pub fn size(record: &TimestreamRecord) -> usize {
    let of = |value: &MeasureValue| match value {
        MeasureValue::Varchar(text) => text.len(),
        MeasureValue::Boolean(_) => 1,
        MeasureValue::Double(_) | MeasureValue::Bigint(_) | MeasureValue::Timestamp(_) => 8,
    };
    let dimensions: usize = record.dimensions.iter().map(|(n, v)| n.len() + v.len()).sum();
    let measures: usize = match &record.measure {
        Measure::Single(value) => of(value),
        Measure::Multi(values) => values.iter().map(|(n, v)| n.len() + of(v)).sum(),
    };
    dimensions + record.measure_name.len() + measures + 8
}

fn check_dimensions(dimensions: &[(String, String)]) -> Result<(), String> {
    if dimensions.is_empty() {
        return Err("it has no dimension, Timestream wants one at least".into());
    }
    if dimensions.len() > DIMENSIONS {
        return Err(format!("it has {} dimensions, Timestream takes {DIMENSIONS}", dimensions.len()));
    }
    for (i, (name, value)) in dimensions.iter().enumerate() {
        check_name("dimension", name, DIMENSION_NAME)?;
        if value.is_empty() {
            return Err(format!("its dimension '{name}' is empty"));
        }
        if dimensions.iter().take(i).any(|(other, _)| other == name) {
            return Err(format!("its dimension '{name}' is there twice"));
        }
    }
    Ok(())
}

fn check_measures(values: &[(String, MeasureValue)], dimensions: &[(String, String)]) -> Result<(), String> {
    if values.is_empty() {
        return Err("it has no measure value, Timestream wants one at least".into());
    }
    if values.len() > MEASURES {
        return Err(format!("it has {} measures, Timestream takes {MEASURES}", values.len()));
    }
    for (i, (name, value)) in values.iter().enumerate() {
        check_name("measure", name, MEASURE_NAME)?;
        check_value(name, value)?;
        if dimensions.iter().any(|(dimension, _)| dimension == name) {
            return Err(format!("'{name}' is a dimension and a measure of it"));
        }
        if values.iter().take(i).any(|(other, _)| other == name) {
            return Err(format!("its measure '{name}' is there twice"));
        }
    }
    Ok(())
}

fn check_name(what: &str, name: &str, most: usize) -> Result<(), String> {
    if name.is_empty() {
        return Err(format!("the name of a {what} is empty"));
    }
    if name.len() > most {
        return Err(format!("its {what} name '{name}' has {} bytes, Timestream takes {most}", name.len()));
    }
    let is_reserved = matches!(name, "measure_value" | "ts_non_existent_col" | "time")
        || name.starts_with("ts_")
        || name.starts_with("measure_name");
    if is_reserved {
        return Err(format!("its {what} name '{name}' is reserved by Timestream"));
    }
    Ok(())
}

fn check_value(name: &str, value: &MeasureValue) -> Result<(), String> {
    match value {
        MeasureValue::Double(x) if !x.is_finite() => {
            Err(format!("its measure '{name}' is {x}, Timestream takes finite numbers only"))
        }
        MeasureValue::Varchar(text) if text.is_empty() => Err(format!("its measure '{name}' is an empty text")),
        MeasureValue::Varchar(text) => match text.chars().count() {
            characters if characters > VALUE => {
                Err(format!("its measure '{name}' has {characters} characters, Timestream takes {VALUE}"))
            }
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}
