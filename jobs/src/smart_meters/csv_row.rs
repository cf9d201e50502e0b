//! A CSV row as the message that the talk's batch path would have put on the stream.

use hurtig_operators::connectors::files::{CsvOptions, CsvRow, Meter};

use super::Options;

/// How CSV files are laid out, after `options`.
pub fn csv_options(options: &Options) -> CsvOptions {
    CsvOptions {
        delimiter: options.csv_delimiter,
        time: Some(options.csv_time.clone()),
        value: Some(options.csv_value.clone()),
        meter: options.csv_meter.clone().map_or(Meter::FileName, Meter::Column),
        region: options.csv_region.clone(),
        unit: options.csv_unit.clone(),
        arrival: options.csv_arrival.clone(),
        time_format: options.time_format.clone(),
        time_zone: options.time_zone.clone(),
        ..CsvOptions::default()
    }
}

/// Writes a row as a flat JSON message. The value's text is taken over as it is, so that not a
/// digit is lost; a value that is missing becomes `null`, and one that is no number a string:
/// both end in the dead letters, for the reason that [`TimestreamPayload`](super::TimestreamPayload) gives.
pub fn message_of(row: &CsvRow<'_>, value_column: &str) -> Result<Vec<u8>, String> {
    let stem = row.file_stem();
    let measure = row.unit().map_or_else(|| measure_by_name(stem).to_owned(), |unit| unit.trim().to_ascii_lowercase());
    let region = row.region().unwrap_or_else(|| region_by_name(stem));
    let value = row.text(value_column)?.trim();

    let mut line = String::with_capacity(128);
    line.push_str("{\"meter_id\":");
    push_text(&mut line, row.meter()?)?;
    if !region.is_empty() {
        line.push_str(",\"region\":");
        push_text(&mut line, region)?;
    }
    line.push_str(",\"time\":");
    line.push_str(&row.time()?.to_string());
    line.push(',');
    push_text(&mut line, &format!("{measure}_measure"))?;
    line.push(':');
    if row.value().is_ok_and(|v| v.is_none()) {
        line.push_str("null");
    } else if serde_json::from_str::<serde_json::Number>(value).is_ok() {
        line.push_str(value);
    } else {
        push_text(&mut line, value)?;
    }
    line.push('}');
    Ok(line.into_bytes())
}

/// `il-gas-…` meters count therms, all others kWh.
fn measure_by_name(stem: &str) -> &'static str {
    if stem.starts_with("il-gas-") { "therm" } else { "kwh" }
}

/// `uk-electricity-…` → `uk`.
fn region_by_name(stem: &str) -> &str {
    match stem.split_once('-') {
        Some((prefix, _)) if prefix.len() == 2 && prefix.bytes().all(|b| b.is_ascii_alphabetic()) => prefix,
        _ => "",
    }
}

fn push_text(line: &mut String, text: &str) -> Result<(), String> {
    line.push_str(&serde_json::to_string(text).map_err(|e| e.to_string())?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_name_says_region_and_measure() {
        for (stem, region, measure) in [
            ("uk-electricity-hdd-only-hourly-sample-1", "uk", "kwh"),
            ("il-gas-hdd-only-hourly", "il", "therm"),
            ("uk-gas-hdd-only-hourly-sample-0", "uk", "kwh"),
            ("MAC000002", "", "kwh"),
            ("block-7", "", "kwh"),
        ] {
            assert_eq!((region_by_name(stem), measure_by_name(stem)), (region, measure), "{stem}");
        }
    }
}
