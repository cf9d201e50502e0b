//! `hurtig lake ddl`: the lake's tables, for Athena and for whoever else knows Hive's DDL.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use clap::Args;
use hurtig_catalog::{CatalogFile, Table};

use super::super::{Failure, query::CATALOG};
use crate::smart_meters::{LakeTables, PartitionBy, Typed};

pub const DDL: &str = "\
Tables of files (raw, and with --typed parquet all of them) have partition projection: partitions are computed from the query
and never have to be added. Of Delta Lake tables only the place is said, as Athena wants it: the rest is in their logs.

  hurtig lake ddl                                          all tables of the lake in hurtig-data
  hurtig lake ddl readings --lake s3://meters/lake         one of them, for the same lake in S3
  hurtig lake ddl --create                                 and keep them in the catalog of `hurtig query`:
  hurtig query \"SELECT count(*) FROM meters.readings WHERE year = 2024\"

The table `raw` has the columns that the first messages have, so it is left out where there are none to look at;
for a lake in S3 those in the data directory are looked at.";

/// Which tables, and where.
#[derive(Debug, Args)]
pub struct DdlOptions {
    /// One table only: raw, readings, aggregates_1m or aggregates_1h
    table: Option<String>,
    /// The job's data directory
    #[arg(long, value_name = "DIR", default_value = "hurtig-data", env = "HURTIG_DATA_DIR", hide_env = true)]
    data_dir: PathBuf,
    /// The lake, if it is elsewhere: a directory, or s3://bucket/prefix
    #[arg(long, value_name = "PLACE", env = "HURTIG_LAKE", hide_env = true)]
    lake: Option<String>,
    /// The tables' database
    #[arg(long, value_name = "NAME", default_value = "meters")]
    database: String,
    /// How the job cuts the lake up
    #[arg(long, value_name = "SPAN", default_value = "month")]
    partition_by: PartitionBy,
    /// What the job's typed tables are
    #[arg(long, value_enum, default_value_t)]
    typed: Typed,
    /// The years that are looked for
    #[arg(long, value_name = "FIRST-LAST", default_value = "2010-2040", value_parser = parse_years)]
    years: (i16, i16),
    /// Keep the tables in the catalog, where `hurtig query` finds them
    #[arg(long)]
    create: bool,
    /// The catalog's file [default: catalog.json in the data directory]
    #[arg(long, value_name = "FILE", env = "HURTIG_CATALOG", hide_env = true)]
    catalog: Option<PathBuf>,
}

fn parse_years(text: &str) -> Result<(i16, i16), String> {
    let years = text.split_once('-').and_then(|(first, last)| Some((first.parse().ok()?, last.parse().ok()?)));
    years.filter(|(first, last)| 0 <= *first && first <= last).ok_or_else(|| format!("'{text}' is not like 2010-2040"))
}

impl DdlOptions {
    /// Writes the DDL, and keeps it where it is to be kept.
    pub fn run(&self) -> Result<(), Failure> {
        let tables = self.tables()?;
        let ddl: Vec<String> = tables.iter().map(|table| format!("{};\n", table.to_ddl())).collect();
        match io::stdout().lock().write_all(ddl.join("\n").as_bytes()) {
            // The reader has seen enough: `| head`.
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => {}
            written => written?,
        }
        if !self.create {
            return Ok(());
        }
        let path = self.catalog.clone().unwrap_or_else(|| self.data_dir.join(CATALOG));
        let catalog = CatalogFile::new(&path);
        for table in &tables {
            let said = match catalog.create(table, true)? {
                true => "is in",
                false => "was there already, and stays as it is, in",
            };
            eprintln!("{} {said} {}", table.name, path.display());
        }
        Ok(())
    }

    fn tables(&self) -> Result<Vec<Table>, Failure> {
        let place = match &self.lake {
            Some(place) if place.contains("://") => place.clone(),
            Some(directory) => absolute(Path::new(directory))?,
            None => absolute(&self.data_dir.join("lake"))?,
        };
        let (first, last) = self.years;
        let (database, partition_by) = (self.database.clone(), self.partition_by);
        let lake = LakeTables { place: place.clone(), database, partition_by, typed: self.typed, years: first..=last };
        // Messages in S3 are not looked at: those that the job has written here have the same columns.
        let sampled =
            if place.contains("://") { self.data_dir.join("lake") } else { PathBuf::from(&place) }.join("raw");
        let raw = lake.raw(&sampled);
        let mut tables: Vec<Table> = raw.into_iter().chain(lake.typed()).collect();
        if let Some(wanted) = &self.table {
            tables.retain(|table| table.name.table == *wanted);
            if tables.is_empty() {
                return Err(Failure::usage(match wanted.as_str() {
                    "raw" => {
                        format!("there is no message in {} yet, so nobody knows what columns it has", sampled.display())
                    }
                    other => {
                        format!("there is no table {other}: there are raw, readings, aggregates_1m and aggregates_1h")
                    }
                }));
            }
        }
        Ok(tables)
    }
}

/// A table's place is found from everywhere.
fn absolute(path: &Path) -> Result<String, Failure> {
    let path = std::path::absolute(path)?;
    path.to_str().map(str::to_owned).ok_or_else(|| Failure::usage(format!("{} is no UTF-8", path.display())))
}
