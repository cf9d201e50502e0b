//! The file that is ingested, and what each of its records must become.
//!
//! A row is what a meter has measured in a day, hour by hour, and a remark with commas, quotes and
//! line ends in it. Now and then a line is bad: one field where there should be 28, or bytes that are
//! no text.

use std::{
    fmt::Write as _,
    io::{BufWriter, Write},
    path::Path,
};

use anyhow::{Context, Result};

use crate::mix::mix;

/// How many meters there are.
const METERS: u64 = 2_000;
/// After so many rows comes a bad line.
const BAD_EVERY: u64 = 997;
const HOURS: u64 = 24;

/// A file that was written.
pub struct File {
    /// How large it is.
    pub bytes: u64,
    /// How many good rows it has.
    pub rows: u64,
    /// How many bad lines.
    pub bad: u64,
}

impl File {
    /// Writes one of at least so many bytes.
    pub fn write(path: &Path, bytes: u64) -> Result<Self> {
        let target = std::fs::File::create(path).with_context(|| path.display().to_string())?;
        let mut target = BufWriter::with_capacity(1 << 20, target);
        let mut file = File { bytes: 0, rows: 0, bad: 0 };
        let mut line = b"device_id,time,n,".to_vec();
        (0..HOURS).for_each(|hour| line.extend_from_slice(format!("h{hour:02},").as_bytes()));
        line.extend_from_slice(b"remark\r\n");
        loop {
            target.write_all(&line)?;
            file.bytes += line.len() as u64;
            if file.bytes >= bytes {
                target.flush()?;
                return Ok(file);
            }
            line.clear();
            if file.rows / BAD_EVERY > file.bad {
                file.bad += 1;
                line.extend_from_slice(if file.bad.is_multiple_of(2) { b"\xff,\xfe\n" } else { b"nothing but this\n" });
            } else {
                row(file.rows, &mut line)?;
                file.rows += 1;
            }
        }
    }
}

fn row(n: u64, out: &mut Vec<u8>) -> Result<()> {
    write!(out, "m-{:05},{},{n},", n % METERS, day(n))?;
    for hour in 0..HOURS {
        write!(out, "{:.3},", kwh(n, hour))?;
    }
    write!(out, "\"{}\"\r\n", remark(n).replace('"', "\"\""))?;
    Ok(())
}

/// The message of a row, up to its `record_id`.
pub fn message(n: u64) -> Result<String> {
    let mut text = format!(r#"{{"meter_id":"m-{:05}","time":"{}","n":{n},"#, n % METERS, day(n));
    for hour in 0..HOURS {
        write!(text, r#""h{hour:02}":{:.3},"#, kwh(n, hour))?;
    }
    write!(text, r#""remark":{},"record_id":""#, serde_json::to_string(&remark(n))?)?;
    Ok(text)
}

fn day(n: u64) -> String {
    let day = n / METERS;
    format!("{}-{:02}-{:02} 00:00:00", 2000 + day / 336, day / 28 % 12 + 1, day % 28 + 1)
}

fn kwh(n: u64, hour: u64) -> f64 {
    (mix(n << 5 | hour) % 1_000) as f64 / 8.0
}

fn remark(n: u64) -> String {
    format!(
        "read by \"{}\", for the {n}th time,\r\nin the cellar; the counter's seal is whole, and nobody was at home \
         when the technician rang: a note was left at the door, for the third time this year",
        ["north", "süd", "west", "öst"][n as usize % 4]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_and_its_message_say_the_same() {
        let mut line = Vec::new();
        row(4_711, &mut line).expect("a row");
        let mut csv = csv::ReaderBuilder::new().has_headers(false).from_reader(line.as_slice());
        let row = csv.records().next().expect("a row").expect("CSV");
        let text = message(4_711).expect("a message") + "x-1\"}";
        let message: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(row.len(), 28);
        assert_eq!((&row[0], &row[1]), (message["meter_id"].as_str().expect("text"), "2000-01-03 00:00:00"));
        assert_eq!(&row[27], message["remark"].as_str().expect("text"));
        assert_eq!(row[4].parse::<f64>().ok(), message["h01"].as_f64());
    }

    #[test]
    fn a_file_has_bad_lines() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("a.csv");
        let file = File::write(&path, 2_000_000).expect("a file");
        assert_eq!(std::fs::metadata(&path).expect("a file").len(), file.bytes);
        assert!(file.bytes >= 2_000_000 && file.bad >= 2, "{} {}", file.bytes, file.bad);
    }
}
