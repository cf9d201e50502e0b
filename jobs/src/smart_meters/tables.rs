//! The lake's tables as Athena's DDL has them, with partition projection: nobody has to add a partition.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufRead, BufReader},
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

use arrow::datatypes::{DataType, Schema};
use hurtig_catalog::{Column, Format, HiveType, SerDe, Table, TableName};
use hurtig_lake::ToArrow;
use serde_json::Value;

use super::{
    aggregate::Aggregate,
    reading::Reading,
    spec::{PartitionBy, Typed},
};

/// Messages that are looked at to find out what is in them.
const SAMPLE: usize = 1_000;

/// What is said of a lake.
#[derive(Debug, Clone)]
pub struct LakeTables {
    /// Where it is: a directory, or `s3://bucket/prefix`.
    pub place: String,
    /// The tables' database.
    pub database: String,
    /// How it is cut up by event time.
    pub partition_by: PartitionBy,
    /// What the typed tables are.
    pub typed: Typed,
    /// The years that are looked for.
    pub years: RangeInclusive<i16>,
}

impl LakeTables {
    /// The typed tables: `readings`, `aggregates_1m`, `aggregates_1h`. Of Delta Lake tables only the places are said: what is
    /// in them is in their logs, and whoever reads their files without it reads some twice.
    pub fn typed(&self) -> Vec<Table> {
        let (readings, aggregates) = (Reading::schema(), Aggregate::schema());
        let tables: [(&str, &Schema); 3] =
            [("readings", &readings), ("aggregates_1m", &aggregates), ("aggregates_1h", &aggregates)];
        let of = |(name, schema): (&str, &Schema)| {
            let table = self.table(name, &format!("typed/{name}"), columns(schema), format(SerDe::Parquet));
            match self.typed {
                Typed::Parquet => table,
                Typed::Delta => Table {
                    columns: Vec::new(),
                    partitions: Vec::new(),
                    properties: BTreeMap::from([("table_type".to_owned(), "DELTA".to_owned())]),
                    ..table
                },
            }
        };
        tables.into_iter().map(of).collect()
    }

    /// The table `raw`, with the columns that messages in a directory have; none when there is no message.
    pub fn raw(&self, directory: &Path) -> Option<Table> {
        let mut columns = sample(directory);
        // Names of the partitions are taken.
        columns.retain(|column| !parts(self.partition_by).contains(&column.name.as_str()));
        if columns.is_empty() {
            return None;
        }
        Some(self.table("raw", "raw", columns, format(SerDe::OpenXJson)))
    }

    fn table(&self, name: &str, below: &str, columns: Vec<Column>, format: Format) -> Table {
        let parts = parts(self.partition_by);
        let mut properties = BTreeMap::from([("projection.enabled".to_owned(), "true".to_owned())]);
        for part in parts {
            let (first, last, digits) = match *part {
                "year" => (*self.years.start(), *self.years.end(), 4),
                "month" => (1, 12, 2),
                "day" => (1, 31, 2),
                _ => (0, 23, 2),
            };
            for (property, value) in
                [("type", "integer".to_owned()), ("range", format!("{first},{last}")), ("digits", digits.to_string())]
            {
                properties.insert(format!("projection.{part}.{property}"), value);
            }
        }
        Table {
            name: TableName::new(self.database.to_lowercase(), name),
            columns,
            partitions: parts.iter().map(|part| column(part, HiveType::Int)).collect(),
            comment: None,
            format,
            location: format!("{}/{below}/", self.place.trim_end_matches('/')),
            properties,
        }
    }
}

/// The columns that directories name.
fn parts(by: PartitionBy) -> &'static [&'static str] {
    match by {
        PartitionBy::Month => &["year", "month"],
        PartitionBy::Day => &["year", "month", "day"],
        PartitionBy::Hour => &["year", "month", "day", "hour"],
    }
}

fn format(serde: SerDe) -> Format {
    Format { serde, properties: BTreeMap::new() }
}

fn column(name: &str, kind: HiveType) -> Column {
    Column { name: name.to_lowercase(), kind, comment: None }
}

/// The sinks' own columns.
fn columns(schema: &Schema) -> Vec<Column> {
    let kind = |of: &DataType| match of {
        DataType::Float64 => HiveType::Double,
        DataType::Int64 => HiveType::BigInt,
        DataType::Timestamp(..) => HiveType::Timestamp,
        _ => HiveType::String,
    };
    schema.fields().iter().map(|field| column(field.name(), kind(field.data_type()))).collect()
}

/// The columns of the first messages below a directory.
fn sample(directory: &Path) -> Vec<Column> {
    let mut columns: BTreeMap<String, HiveType> = BTreeMap::new();
    let lines = first_file(directory).and_then(|file| File::open(file).ok()).map(|file| BufReader::new(file).lines());
    for line in lines.into_iter().flatten().map_while(Result::ok).take(SAMPLE) {
        let Ok(Value::Object(message)) = serde_json::from_str(&line) else { continue };
        for (key, value) in message {
            let kind = match &value {
                Value::Null => continue,
                // Also one that is written as a text.
                _ if is_measure(&key) => HiveType::Double,
                Value::Number(number) if number.is_i64() => HiveType::BigInt,
                Value::Number(_) => HiveType::Double,
                Value::Bool(_) => HiveType::Boolean,
                _ => HiveType::String,
            };
            let known = columns.entry(key.to_lowercase()).or_insert_with(|| kind.clone());
            *known = both(known.clone(), kind);
        }
    }
    columns.iter().map(|(name, kind)| column(name, kind.clone())).collect()
}

/// What a message's key ends in that is a measure: see [`payload`](super::payload).
fn is_measure(key: &str) -> bool {
    key.to_ascii_lowercase().ends_with("_measure")
}

/// What holds values of either type.
fn both(one: HiveType, other: HiveType) -> HiveType {
    match (one, other) {
        (one, other) if one == other => one,
        (HiveType::BigInt | HiveType::Double, HiveType::BigInt | HiveType::Double) => HiveType::Double,
        _ => HiveType::String,
    }
}

/// The first visible file of lines below a directory, by name.
fn first_file(directory: &Path) -> Option<PathBuf> {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(directory).ok()?.flatten().map(|entry| entry.path()).collect();
    entries.sort();
    entries.into_iter().find_map(|path| {
        let name = path.file_name()?.to_str()?;
        if name.starts_with(['.', '_']) {
            return None;
        }
        if path.is_dir() { first_file(&path) } else { name.ends_with(".jsonl").then_some(path) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lake() -> LakeTables {
        LakeTables {
            place: "s3://meters/lake/".to_owned(),
            database: "Meters".into(),
            partition_by: PartitionBy::Day,
            typed: Typed::Parquet,
            years: 2010..=2040,
        }
    }

    #[test]
    fn typed_tables_are_those_of_the_sinks() {
        let tables = lake().typed();
        assert!(tables.iter().all(|table| table.check().is_ok() && table.check_places().is_ok()));
        let ddl = tables[0].to_ddl();
        for part in [
            "`meters`.`readings`",
            "s3://meters/lake/typed/readings/",
            "projection.year.range",
            "2010,2040",
            "projection.day.digits",
        ] {
            assert!(ddl.contains(part), "{part} in {ddl}");
        }
        let names: Vec<&str> = tables[1].columns.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(names[..4], ["meter_id", "region", "window_start", "window_end"]);
    }

    #[test]
    fn of_delta_lake_tables_the_places_are_said() {
        let tables = LakeTables { typed: Typed::Delta, ..lake() }.typed();
        assert!(tables.iter().all(|table| table.check().is_ok() && table.is_delta()));
        let ddl = tables[0].to_ddl();
        assert_eq!(
            ddl,
            "CREATE EXTERNAL TABLE `meters`.`readings`\nLOCATION\n  's3://meters/lake/typed/readings/'\nTBLPROPERTIES (\n  \
             'table_type' = 'DELTA')"
        );
    }

    #[test]
    fn raw_has_the_columns_that_messages_have() {
        let dir = tempfile::tempdir().expect("a directory");
        assert_eq!(lake().raw(dir.path()), None);
        let month = dir.path().join("year=2024/month=01");
        std::fs::create_dir_all(&month).expect("a directory");
        std::fs::write(month.join(".part-0.jsonl.pending"), "{\"no\":1}\n").expect("written");
        let lines = "{\"DeviceID\":\"m-1\",\"time\":1,\"kwh_measure\":\"1\",\"year\":1}\nno message\n\
                     {\"DeviceID\":7,\"time\":2.5,\"on\":true,\"gone\":null}\n";
        std::fs::write(month.join("part-1.jsonl"), lines).expect("written");
        let table = lake().raw(dir.path()).expect("a table");
        assert!(table.check().is_ok());
        let columns: Vec<(&str, HiveType)> = table.columns.iter().map(|c| (c.name.as_str(), c.kind.clone())).collect();
        assert_eq!(
            columns,
            [
                ("deviceid", HiveType::String),
                ("kwh_measure", HiveType::Double),
                ("on", HiveType::Boolean),
                ("time", HiveType::Double)
            ]
        );
    }
}
