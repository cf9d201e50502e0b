//! `hurtig query`: SQL over what a job has written.

use std::{
    io::{self, ErrorKind, Read},
    path::PathBuf,
};

use clap::Args;

use super::{Failure, units};
use crate::{
    query::{Format, Query, QueryError, Tables},
    smart_meters::{Layout, Options},
};

/// The catalog's file in a data directory.
pub(super) const CATALOG: &str = "catalog.json";

/// Asks with SQL for what a job has written.
#[derive(Debug, Args)]
#[command(after_help = "\
Tables:
  readings                      every valid reading as read: meter_id, time, measure, value, unit, region, dimensions,
                                source, arrived
  aggregates_1m, aggregates_1h  meter_id, region, window_start, window_end, sum, count, min, max, avg, measure
  timeseries                    what the embedded time-series store holds: meter_id, region and whatever else is a dimension,
                                measure_name, time, measure_value
  dead_letters                  what could not be used: time, split, position, operator, reason, raw
  lake_partitions               the lake's partitions: table_name, partition, files, small_files, rows, bytes,
                                first_written, last_written
readings and the aggregates also have year and month, by which their files are partitioned. All times are UTC.

Tables over your own files, in directories or S3, are created as in Athena, partition projection included, and kept in --catalog:
  hurtig query \"CREATE EXTERNAL TABLE t (id string, kwh double) PARTITIONED BY (year int) STORED AS PARQUET LOCATION 's3://b/t/'\"
  hurtig query \"SHOW CREATE TABLE t\"; hurtig query \"DROP TABLE t\"
  hurtig lake ddl --create                                           # the lake's own, as meters.readings and so on

Examples:
  hurtig query \"SELECT count(*) FROM readings\"
  hurtig query --format csv \"SELECT meter_id, date_trunc('month', time) AS month, sum(value) AS kwh
      FROM readings WHERE unit = 'kWh' GROUP BY 1, 2 ORDER BY 1, 2\"
  hurtig query \"SELECT reason, count(*) FROM dead_letters GROUP BY reason\"
  hurtig query \"SHOW TABLES\"
  hurtig query - < question.sql
  hurtig query --serve 5432                       # and, elsewhere: psql -h 127.0.0.1 -c \"SELECT count(*) FROM readings\"")]
pub struct QueryCommand {
    /// The query, or `-` to read it from standard input
    #[cfg_attr(feature = "postgres", arg(required_unless_present = "serve"))]
    sql: Option<String>,

    /// Answer psql and BI tools, which speak PostgreSQL's protocol, on 127.0.0.1 at this port until Ctrl-C
    #[cfg(feature = "postgres")]
    #[arg(long, value_name = "PORT", num_args = 0..=1, default_missing_value = "5432", conflicts_with_all = ["sql", "format"])]
    serve: Option<u16>,

    /// The job's data directory
    #[arg(long, value_name = "DIR", default_value = "hurtig-data", env = "HURTIG_DATA_DIR", hide_env = true)]
    data_dir: PathBuf,

    /// The lake, if the job had it elsewhere
    #[arg(long, value_name = "DIR", env = "HURTIG_LAKE", hide_env = true)]
    lake: Option<PathBuf>,

    /// The table of the time-series store, if the job named it otherwise
    #[arg(long = "TimestreamTableName", value_name = "TABLE", env = "HURTIG_TIMESTREAMTABLENAME", hide_env = true)]
    table: Option<String>,

    /// Its database, if the job named it otherwise
    #[arg(long = "TimestreamDbName", value_name = "DB", env = "HURTIG_TIMESTREAMDBNAME", hide_env = true)]
    database: Option<String>,

    /// The dead letters, if the job had them elsewhere
    #[arg(long, value_name = "DIR", env = "HURTIG_DEAD_LETTERS", hide_env = true)]
    dead_letters: Option<PathBuf>,

    /// The tables that were created with CREATE EXTERNAL TABLE [default: catalog.json in the data directory]
    #[arg(long, value_name = "FILE", env = "HURTIG_CATALOG", hide_env = true)]
    catalog: Option<PathBuf>,

    /// How the answer is written: a table, CSV with a header, or one JSON object a line
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    format: Format,

    /// Memory for sorting, grouping and joining; beyond it they spill to disk
    #[arg(long, value_name = "SIZE", default_value = "256MiB", value_parser = units::parse_size)]
    memory: usize,

    /// Threads [default: one a core]
    #[arg(long, value_name = "N")]
    parallelism: Option<usize>,
}

impl QueryCommand {
    /// Carries it out.
    pub fn run(&self) -> Result<(), Failure> {
        if !self.data_dir.is_dir() && self.lake.is_none() && self.catalog.is_none() {
            return Err(Failure::failed(format!(
                "there is no data directory {}: give the one that the job ran with, as --data-dir, or a file for tables of your \
                 own, as --catalog",
                self.data_dir.display()
            )));
        }
        let places = Options { lake: self.lake.clone(), dead_letters: self.dead_letters.clone(), ..Options::default() };
        let mut tables = Tables::from(Layout::of(&places, &self.data_dir));
        let (database, table) = &mut tables.timeseries;
        for (name, given) in [(database, &self.database), (table, &self.table)] {
            if let Some(given) = given {
                name.clone_from(given);
            }
        }
        let mut query = Query::new(tables);
        query.format = self.format;
        query.catalog = Some(self.catalog.clone().unwrap_or_else(|| self.data_dir.join(CATALOG)));
        query.memory = self.memory;
        query.partitions = self.parallelism.unwrap_or(query.partitions);
        #[cfg(feature = "postgres")]
        if let Some(port) = self.serve {
            return serve(&query, port);
        }
        let mut sql = self.sql.clone().unwrap_or_default();
        if sql == "-" {
            sql.clear();
            io::stdin().read_to_string(&mut sql)?;
        }
        match query.run(&sql, &mut io::BufWriter::new(io::stdout().lock())) {
            Ok(_) => Ok(()),
            // The reader has seen enough: `| head`.
            Err(QueryError::Io(e)) if e.kind() == ErrorKind::BrokenPipe => Ok(()),
            Err(e) => Err(e.into()),
        }
    }
}

/// Answers clients of PostgreSQL until a signal comes.
#[cfg(feature = "postgres")]
fn serve(query: &Query, port: u16) -> Result<(), Failure> {
    super::run::log_to_stderr();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(query.partitions.max(1))
        .thread_name("hurtig-sql")
        .enable_all()
        .build()?;
    let signals = super::signals::Signals::listen(runtime.handle());
    runtime.block_on(async {
        let server = query.listen(port).await?;
        let address = server.address();
        // A line of its own, at once: a script waits for it.
        super::output::Output::new(false).result(
            &format!("answering PostgreSQL's protocol at {address}: psql -h 127.0.0.1 -p {} hurtig", address.port()),
            "listening",
            serde_json::json!({ "address": address.to_string() }),
        );
        server.serve(signals.any()).await?;
        Ok(())
    })
}
