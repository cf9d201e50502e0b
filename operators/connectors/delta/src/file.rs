//! A file of a table, as its log has it.

use std::{path::Path, time::UNIX_EPOCH};

use deltalake_core::kernel::Add;
use hurtig_operators::connectors::part_files::PendingFile;

use crate::{
    error::{Error, Result},
    stats,
};

/// A file that is in a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataFile {
    /// Its path below the table's directory.
    pub path: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// Its rows; none where its writer has not said.
    pub rows: Option<u64>,
    /// The partition's columns and their values, in the table's order; a NULL is an empty text.
    pub partition: Vec<(String, String)>,
    /// When it was written, in milliseconds since the epoch.
    pub written_ms: i64,
    /// What its writer says of its columns, in the log's JSON.
    pub statistics: Option<String>,
}

impl DataFile {
    /// The directory that its partition has, as `year=2024/month=07`; empty without partitions.
    pub fn directory(&self) -> &str {
        self.path.rsplit_once('/').map_or("", |(directory, _)| directory)
    }
}

/// The application transaction that a file belongs to: its writer (the name without the number), and its number.
pub(crate) fn transaction(name: &str) -> Result<(&str, i64)> {
    let parts = name.rsplit_once('-').and_then(|(writer, rest)| Some((writer, rest.split_once('.')?.0.parse().ok()?)));
    parts.ok_or_else(|| Error::Committable(name.to_owned()))
}

/// The columns and values of a partition's directory, `year=2024/month=07`: numbers as numbers are written.
pub(crate) fn partition_values(directory: &str) -> Result<Vec<(String, String)>> {
    let parts = directory.split('/').filter(|part| !part.is_empty());
    let values = parts.map(|part| {
        let (column, value) = part.split_once('=').ok_or_else(|| Error::Committable(directory.to_owned()))?;
        let value = value.parse::<i32>().map_or_else(|_| value.to_owned(), |number| number.to_string());
        Ok((column.to_owned(), value))
    });
    values.collect()
}

/// What the log says of a file that a sink has written, and that is there by its own name.
pub(crate) fn add(root: &Path, file: &PendingFile) -> Result<Add> {
    let path = file.final_path(root);
    let said = |e: std::io::Error| Error::File { path: path.clone(), reason: e.to_string() };
    let modified = path.metadata().and_then(|m| m.modified()).map_err(said)?;
    let modification_time = modified.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
    let directory = if file.partition.is_empty() { String::new() } else { format!("{}/", file.partition) };
    let values = partition_values(&file.partition)?.into_iter();
    Ok(Add {
        path: format!("{directory}{}", file.name),
        partition_values: values.map(|(column, value)| (column, Some(value))).collect(),
        size: file.bytes as i64,
        modification_time,
        data_change: true,
        stats: Some(stats::of_file(&path)?),
        ..Add::default()
    })
}

impl DataFile {
    /// What the log is to say of it. `data_change`: its rows are new to the table.
    pub(crate) fn add(&self, data_change: bool) -> Add {
        let value = |value: &String| (!value.is_empty()).then(|| value.clone());
        Add {
            path: self.path.clone(),
            partition_values: self.partition.iter().map(|(column, text)| (column.clone(), value(text))).collect(),
            size: self.bytes as i64,
            modification_time: self.written_ms,
            data_change,
            stats: self.statistics.clone(),
            ..Add::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_writer_and_a_number() {
        assert_eq!(
            transaction("part-readings-lake.5e1f0a-0-5f.1.2-17.parquet").expect("a transaction"),
            ("part-readings-lake.5e1f0a-0-5f.1.2", 17)
        );
        for wrong in ["part", "part-x.parquet", "part-1-x"] {
            assert!(matches!(transaction(wrong), Err(Error::Committable(_))), "{wrong}");
        }
    }

    #[test]
    fn a_directory_is_columns_and_values() {
        let pair = |c: &str, v: &str| (c.to_owned(), v.to_owned());
        assert_eq!(
            partition_values("year=2024/month=07/region=r-07").expect("values"),
            [pair("year", "2024"), pair("month", "7"), pair("region", "r-07")]
        );
        assert_eq!(partition_values("").expect("none"), []);
        assert!(partition_values("2024/07").is_err());
    }
}
