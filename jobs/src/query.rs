//! SQL over what a job has written, by DataFusion.
//!
//! | table | what | columns |
//! |---|---|---|
//! | `readings` | every valid reading as read | `meter_id, time, measure, value, unit, region, dimensions, source, arrived` |
//! | `aggregates_1m`, `aggregates_1h` | energy by minute and hour | `meter_id, region, window_start, window_end, sum, count, min, max, avg, measure` |
//! | `timeseries` | what the embedded time-series store holds | the dimensions (`meter_id, region`, others), `measure_name, time, measure_value` |
//! | `lake_partitions` | what the logs of the lake's tables say of each partition | `table_name, partition, files, small_files, rows, bytes, first_written, last_written` |
//! | `dead_letters` | what could not be used | `time, split, position, operator, reason, raw` |
//!
//! The Parquet tables also have the columns they are partitioned by, as numbers and shown last:
//! `year` and `month`. A condition on them skips whole
//! directories without opening a file; one on `time` skips row groups by their statistics. All
//! times are UTC.
//!
//! Beside them are the tables that somebody has created with Athena's DDL ([`Query::catalog`]): `CREATE EXTERNAL TABLE`, `DROP TABLE`,
//! `SHOW CREATE TABLE` and `SHOW TABLES IN` are carried out, whatever else is a query (`docs/catalog.md`).
//!
//! `timeseries` is read beside a job that writes it: what its store had taken when the query began.
//!
//! Only what is committed is read: names that begin with `.` or `_` are pending or somebody
//! else's. A table without files is an empty table.
//!
//! ```no_run
//! use hurtig::query::{Format, Query, Tables};
//!
//! let query = Query { format: Format::Csv, ..Query::new(Tables::in_data_dir("hurtig-data")) };
//! query.run("SELECT count(*) FROM readings", &mut std::io::stdout())?;
//! # Ok::<(), hurtig::query::QueryError>(())
//! ```

#[cfg(feature = "insights")]
mod asker;
mod catalog;
mod dead_letters;
mod error;
mod lake_partitions;
mod live;
mod output;
mod parquet;
mod tables;
mod time_series;
#[cfg(feature = "postgres")]
mod wire;

#[cfg(test)]
mod tests;

use std::{io::Write, path::PathBuf, sync::Arc};

use datafusion::{
    execution::{
        context::SQLOptions,
        runtime_env::{RuntimeEnv, RuntimeEnvBuilder},
    },
    prelude::{SessionConfig, SessionContext},
};

#[cfg(feature = "insights")]
pub use self::asker::Asker;
use self::live::LiveCatalog;
#[cfg(feature = "postgres")]
pub use self::wire::SqlServer;
pub use self::{error::QueryError, output::Format, tables::Tables};

/// How to ask.
#[derive(Debug, Clone)]
pub struct Query {
    /// Where the tables are.
    pub tables: Tables,
    /// How the answer is written.
    pub format: Format,
    /// Bytes that sorting, grouping and joining may hold; beyond that they spill to disk.
    pub memory: usize,
    /// How many threads work.
    pub partitions: usize,
    /// The file with the tables that somebody has created; none without one. It need not be there.
    pub catalog: Option<PathBuf>,
}

impl Query {
    /// With a table as the answer, 256 MiB, and a thread a core.
    pub fn new(tables: Tables) -> Self {
        let partitions = std::thread::available_parallelism().map_or(1, usize::from);
        Query { tables, format: Format::Table, memory: 256 << 20, partitions, catalog: None }
    }

    /// Writes the answer to `sql` and returns how many rows it has.
    pub fn run(&self, sql: &str, out: &mut impl Write) -> Result<u64, QueryError> {
        if let Some(file) = &self.catalog
            && let Some(statement) = catalog::statement(file, &tables::NAMES, sql)?
        {
            return output::write_all(&[catalog::run(file, statement)?], self.format, out);
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(self.partitions.max(1))
            .max_blocking_threads(self.partitions.max(1) + 2)
            .thread_name("hurtig-sql")
            .enable_all()
            .build()
            .map_err(QueryError::Io)?;
        runtime.block_on(async {
            let session = self.session(self.runtime()?);
            // What a job has written is not changed from here.
            let only_reading =
                SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
            let answer = session.sql_with_options(sql, only_reading).await?;
            output::write(answer, self.format, out).await
        })
    }

    /// A session that knows all tables, and opens each when it is asked for.
    fn session(&self, runtime: Arc<RuntimeEnv>) -> SessionContext {
        let config = SessionConfig::new()
            .with_target_partitions(self.partitions.max(1))
            .with_information_schema(true)
            .with_default_catalog_and_schema(CATALOG, live::OWN)
            .with_create_default_catalog_and_schema(false)
            .set_str("datafusion.execution.time_zone", "UTC");
        let session = SessionContext::new_with_config_rt(config, runtime);
        #[cfg(feature = "store")]
        session.add_optimizer_rule(Arc::new(hurtig_store::LastPoints));
        let tables = LiveCatalog::new(self.tables.clone(), self.partitions.max(1), self.catalog.clone());
        session.register_catalog(CATALOG, Arc::new(tables));
        session
    }

    /// The bound of memory.
    fn runtime(&self) -> Result<Arc<RuntimeEnv>, QueryError> {
        Ok(Arc::new(RuntimeEnvBuilder::new().with_memory_limit(self.memory, 1.0).build()?))
    }
}

/// What SQL calls all of it.
const CATALOG: &str = "hurtig";
