//! `hurtig lake partitions`: what the tables' logs say of each partition.

use std::{
    io::{self, ErrorKind},
    path::PathBuf,
};

use clap::Args;

use super::super::Failure;
use crate::{
    query::{Format, Query, QueryError, Tables},
    smart_meters::{Layout, Options},
};

pub const PARTITIONS: &str = "\
The same as SQL, and which partitions were touched late:

  hurtig query \"SELECT * FROM lake_partitions WHERE small_files > 4\"
  hurtig query \"SELECT year, month, count(*) AS late, max(arrived) AS last FROM readings
                WHERE arrived > time + INTERVAL '1 hour' GROUP BY year, month\"";

/// Which tables.
#[derive(Debug, Args)]
pub struct PartitionsOptions {
    /// One table only: readings, aggregates_1m or aggregates_1h
    #[arg(value_parser = ["readings", "aggregates_1m", "aggregates_1h"])]
    table: Option<String>,
    /// The job's data directory
    #[arg(long, value_name = "DIR", default_value = "hurtig-data", env = "HURTIG_DATA_DIR", hide_env = true)]
    data_dir: PathBuf,
    /// The lake, if it is elsewhere
    #[arg(long, value_name = "DIR", env = "HURTIG_LAKE", hide_env = true)]
    lake: Option<PathBuf>,
    /// How the list is written: a table, CSV with a header, or one JSON object a line
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    format: Format,
}

impl PartitionsOptions {
    /// Lists them, a line each.
    pub fn run(&self) -> Result<(), Failure> {
        let places = Options { lake: self.lake.clone(), ..Options::default() };
        let tables = Tables::from(Layout::of(&places, &self.data_dir));
        let query = Query { format: self.format, ..Query::new(tables) };
        let of_one = self.table.iter().map(|table| format!("WHERE table_name = '{table}'")).collect::<String>();
        let sql = format!("SELECT * FROM lake_partitions {of_one} ORDER BY table_name, partition");
        match query.run(&sql, &mut io::BufWriter::new(io::stdout().lock())) {
            Ok(_) => Ok(()),
            Err(QueryError::Io(e)) if e.kind() == ErrorKind::BrokenPipe => Ok(()),
            Err(e) => Err(e.into()),
        }
    }
}
