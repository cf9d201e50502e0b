//! `hurtig query` over what the job made of the real meters, against a plain computation over
//! their files: energy per meter and month, to nine significant digits.

use std::{collections::BTreeMap, fs::File, path::Path};

use flate2::read::GzDecoder;
use hurtig_tests::{
    chaos::written::{Written, books},
    program::{query, real_meters, run_well},
};

use crate::support::directory;

/// Meter and month to kWh.
type Months = BTreeMap<(String, String), f64>;

const SQL: &str = "SELECT meter_id, date_trunc('month', time) AS month, sum(value) AS kwh \
                   FROM readings WHERE unit = 'kWh' GROUP BY 1, 2 ORDER BY 1, 2";

#[test]
fn is_what_the_files_say() {
    let dir = directory();
    let source = format!("file:{}", real_meters().display());
    let data = dir.path().display().to_string();
    let arguments =
        ["run", "smart-meters", "--source", &source, "--bounded", "--data-dir", &data, "--rest-port", "off", "--json"];
    let said = run_well(arguments).expect("the job runs");
    let summary = said.event("finished").expect("a summary");
    let books = books(&summary).expect("books that balance");
    assert_eq!(books["readings-lake"]["written"], 163_271);
    Written::below(dir.path()).expect("what it wrote").agrees_with(&books).expect("as many rows as the books say");

    let expected = from_files(&real_meters());
    assert_eq!(expected.keys().map(|(meter, _)| meter).collect::<std::collections::BTreeSet<_>>().len(), 6);
    let answered = from_query(dir.path());
    assert_eq!(answered.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (month, kwh) in &expected {
        let answer = answered[month];
        assert!((answer - kwh).abs() <= kwh.abs() * 5e-10, "{month:?}: {answer} is not {kwh}");
    }
}

fn from_query(data_dir: &Path) -> Months {
    let rows = query(data_dir, SQL).expect("an answer");
    let fields = |row: &String| {
        let [meter, month, kwh] = row.split(',').collect::<Vec<_>>()[..] else { panic!("{row}") };
        ((meter.to_owned(), month[..7].to_owned()), kwh.parse().expect("a number"))
    };
    rows.iter().map(fields).collect()
}

/// Nothing of hurtig is in here.
fn from_files(dir: &Path) -> Months {
    let mut months = Months::new();
    for file in std::fs::read_dir(dir).expect("the real meters") {
        let path = file.expect("a file").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        // The gas meters of Illinois count therms.
        let Some(meter) = name.strip_suffix(".csv.gz").filter(|m| !m.starts_with("il-gas-")) else { continue };
        let rows = csv::Reader::from_reader(GzDecoder::new(File::open(&path).expect("a file")));
        for row in rows.into_records() {
            let row = row.expect("a row");
            let kwh: f64 = row[1].parse().expect("a value");
            *months.entry((meter.to_owned(), utc_month(&row[0]))).or_default() += kwh;
        }
    }
    months
}

/// The month in UTC of `2012-01-03 00:00:00`, which is UTC, or of a time with an offset.
fn utc_month(time: &str) -> String {
    let time = match time.parse::<jiff::Timestamp>() {
        Ok(time) => time.to_zoned(jiff::tz::TimeZone::UTC).datetime(),
        Err(_) => time.parse::<jiff::civil::DateTime>().expect("a time"),
    };
    time.strftime("%Y-%m").to_string()
}
