//! A file's statistics, as the log has them: readers leave out files by them without opening one.
//!
//! Delta protocol, "Per-file Statistics": counts of rows and of nulls, the least and the greatest value of each column. A bound
//! that is not certain is left out.

use std::{cmp::Ordering, fs::File, path::Path};

use jiff::Timestamp;
use parquet::{
    basic::{LogicalType, TimeUnit},
    file::{
        metadata::ParquetMetaData,
        reader::{FileReader, SerializedFileReader},
        statistics::Statistics,
    },
    schema::types::ColumnDescriptor,
};
use serde_json::{Map, Value, json};

use crate::error::{Error, Result};

/// Longer texts are no bounds.
const LONGEST: usize = 32;

/// The statistics of a Parquet file, in JSON.
pub fn of_file(path: &Path) -> Result<String> {
    let said = |reason: String| Error::File { path: path.to_owned(), reason };
    let file = File::open(path).map_err(|e| said(e.to_string()))?;
    let reader = SerializedFileReader::new(file).map_err(|e| said(e.to_string()))?;
    Ok(of(reader.metadata()))
}

/// The statistics of a Parquet file by its footer, in JSON.
pub fn of(metadata: &ParquetMetaData) -> String {
    let columns = metadata.file_metadata().schema_descr().columns();
    let (mut least, mut greatest, mut nulls) = (Map::new(), Map::new(), Map::new());
    for (at, column) in columns.iter().enumerate() {
        // Of nested columns nothing is said.
        let [name] = column.path().parts() else { continue };
        let mut all = metadata.row_groups().iter().map(|group| group.column(at).statistics());
        let of_all: Option<Vec<&Statistics>> = all.by_ref().collect();
        let Some(groups) = of_all.filter(|groups| !groups.is_empty()) else { continue };
        let counts: Option<Vec<u64>> = groups.iter().map(|s| s.null_count_opt()).collect();
        if let Some(counts) = counts {
            nulls.insert(name.clone(), json!(counts.iter().sum::<u64>()));
        }
        let bounds: Option<Vec<Bounds>> = groups.iter().map(|s| Bounds::of(s)).collect();
        let Some(bounds) = bounds.and_then(|all| all.into_iter().reduce(Bounds::around)) else { continue };
        if let Some((min, max)) = bounds.written(column) {
            least.insert(name.clone(), min);
            greatest.insert(name.clone(), max);
        }
    }
    let rows = metadata.file_metadata().num_rows();
    let stats = json!({ "numRecords": rows, "minValues": least, "maxValues": greatest, "nullCount": nulls });
    stats.to_string()
}

/// The least and the greatest value.
#[derive(Debug, Clone, PartialEq)]
enum Bounds {
    Whole(i64, i64),
    Number(f64, f64),
    Text(String, String),
}

impl Bounds {
    fn of(statistics: &Statistics) -> Option<Self> {
        if !(statistics.min_is_exact() && statistics.max_is_exact()) {
            return None;
        }
        let text = |bytes: &[u8]| std::str::from_utf8(bytes).ok().map(str::to_owned);
        let bounds = match statistics {
            Statistics::Int32(s) => Bounds::Whole((*s.min_opt()?).into(), (*s.max_opt()?).into()),
            Statistics::Int64(s) => Bounds::Whole(*s.min_opt()?, *s.max_opt()?),
            Statistics::Float(s) => Bounds::Number((*s.min_opt()?).into(), (*s.max_opt()?).into()),
            Statistics::Double(s) => Bounds::Number(*s.min_opt()?, *s.max_opt()?),
            Statistics::ByteArray(s) => Bounds::Text(text(s.min_opt()?.data())?, text(s.max_opt()?.data())?),
            _ => return None,
        };
        Some(bounds)
    }

    fn around(self, other: Self) -> Self {
        let by = |a: &f64, b: &f64| a.partial_cmp(b).unwrap_or(Ordering::Equal);
        match (self, other) {
            (Bounds::Whole(a, b), Bounds::Whole(c, d)) => Bounds::Whole(a.min(c), b.max(d)),
            (Bounds::Number(a, b), Bounds::Number(c, d)) => {
                Bounds::Number(if by(&a, &c).is_le() { a } else { c }, if by(&b, &d).is_ge() { b } else { d })
            }
            (Bounds::Text(a, b), Bounds::Text(c, d)) => Bounds::Text(a.min(c), b.max(d)),
            // A column has one type.
            (one, _) => one,
        }
    }

    /// As JSON, by what the column means.
    fn written(self, column: &ColumnDescriptor) -> Option<(Value, Value)> {
        let logical = column.logical_type_ref();
        match (self, logical) {
            (Bounds::Whole(min, max), Some(LogicalType::Timestamp(of))) => {
                let per_ms = match of.unit {
                    TimeUnit::MILLIS => 1,
                    TimeUnit::MICROS => 1_000,
                    TimeUnit::NANOS => 1_000_000,
                };
                // Milliseconds are written: the greatest is rounded up.
                let time = |ms: i64| Timestamp::from_millisecond(ms).ok().map(|t| json!(format!("{t:.3}")));
                let (min, max) =
                    (min.div_euclid(per_ms), max.div_euclid(per_ms) + i64::from(max.rem_euclid(per_ms) > 0));
                Some((time(min)?, time(max)?))
            }
            (Bounds::Whole(min, max), Some(LogicalType::Date)) => {
                let date = |days: i64| {
                    let day = jiff::civil::date(1970, 1, 1).checked_add(jiff::Span::new().try_days(days).ok()?).ok()?;
                    Some(json!(day.to_string()))
                };
                Some((date(min)?, date(max)?))
            }
            (Bounds::Whole(min, max), None) => Some((json!(min), json!(max))),
            (Bounds::Whole(min, max), Some(LogicalType::Integer(of))) if of.is_signed => Some((json!(min), json!(max))),
            (Bounds::Number(min, max), None) => (min.is_finite() && max.is_finite()).then(|| (json!(min), json!(max))),
            (Bounds::Text(min, max), Some(LogicalType::String)) => {
                (min.len() <= LONGEST && max.len() <= LONGEST).then(|| (json!(min), json!(max)))
            }
            _ => None,
        }
    }
}
