//! The tables and where they are.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use datafusion::{
    arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit},
    catalog::TableProvider,
};

use super::{QueryError, dead_letters, lake_partitions, parquet, time_series};

/// Where the tables' files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tables {
    /// Below it, Parquet.
    pub readings: PathBuf,
    /// Below it, Parquet.
    pub aggregates_1m: PathBuf,
    /// Below it, Parquet.
    pub aggregates_1h: PathBuf,
    /// The embedded time-series store.
    pub store: PathBuf,
    /// Its database, and the table that is asked for.
    pub timeseries: (String, String),
    /// Below it, JSON lines.
    pub dead_letters: PathBuf,
}

/// What they are called.
pub(super) const NAMES: [&str; 6] =
    ["readings", "aggregates_1m", "aggregates_1h", "timeseries", "dead_letters", "lake_partitions"];

impl Tables {
    /// Where the smart-meter job puts them by default.
    pub fn in_data_dir(data_dir: impl AsRef<Path>) -> Self {
        let data_dir = data_dir.as_ref();
        let typed = data_dir.join("lake").join("typed");
        Tables {
            readings: typed.join("readings"),
            aggregates_1m: typed.join("aggregates_1m"),
            aggregates_1h: typed.join("aggregates_1h"),
            store: data_dir.join("store"),
            timeseries: ("meters".into(), "readings".into()),
            dead_letters: data_dir.join("dead-letters"),
        }
    }

    /// One of [`NAMES`], as it is at this moment; none by another name.
    pub(super) async fn open(
        &self,
        name: &str,
        partitions: usize,
    ) -> Result<Option<Arc<dyn TableProvider>>, QueryError> {
        let table = match name {
            "readings" => typed(&self.readings, readings()).await?,
            "aggregates_1m" => typed(&self.aggregates_1m, aggregates()).await?,
            "aggregates_1h" => typed(&self.aggregates_1h, aggregates()).await?,
            "timeseries" => time_series::table(&self.store, &self.timeseries.0, &self.timeseries.1).await?,
            "dead_letters" => dead_letters::table(&self.dead_letters, partitions)?,
            "lake_partitions" => {
                let with_logs: [(&str, &Path); 3] = [
                    ("readings", &self.readings),
                    ("aggregates_1m", &self.aggregates_1m),
                    ("aggregates_1h", &self.aggregates_1h),
                ];
                lake_partitions::table(&with_logs).await?
            }
            _ => return Ok(None),
        };
        Ok(Some(table))
    }
}

#[cfg(feature = "cli")]
impl From<crate::smart_meters::Layout> for Tables {
    fn from(layout: crate::smart_meters::Layout) -> Self {
        Tables {
            readings: layout.readings,
            aggregates_1m: layout.aggregates_1m,
            aggregates_1h: layout.aggregates_1h,
            store: layout.store,
            timeseries: Self::in_data_dir("").timeseries,
            dead_letters: layout.dead_letters,
        }
    }
}

/// A typed table: what its log names where it has one, else all files.
async fn typed(directory: &Path, schema: SchemaRef) -> Result<Arc<dyn TableProvider>, QueryError> {
    #[cfg(feature = "delta")]
    if let Some(table) = hurtig_delta::Table::open(directory).await? {
        return Ok(Arc::new(hurtig_delta::DeltaTableProvider::new(&table)?));
    }
    parquet::table(directory, schema)
}

/// A time of a table, in UTC.
pub(super) fn utc(unit: TimeUnit) -> DataType {
    DataType::Timestamp(unit, Some("UTC".into()))
}

/// Whether a name is of something committed.
pub(super) fn is_visible(name: &str) -> bool {
    !name.starts_with(['.', '_'])
}

/// The visible entries of a directory in order; none if it is not there.
pub(super) fn entries(directory: &Path) -> Result<Vec<PathBuf>, QueryError> {
    let unlisted = |reason| QueryError::Listing { path: directory.to_owned(), reason };
    let listing = match fs::read_dir(directory) {
        Ok(listing) => listing,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(unlisted(e)),
    };
    let mut paths = Vec::new();
    for entry in listing {
        let entry = entry.map_err(unlisted)?;
        if entry.file_name().to_str().is_some_and(is_visible) {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

pub(super) fn readings() -> SchemaRef {
    Arc::new(Schema::new(vec![
        text("meter_id"),
        Field::new("time", utc(TimeUnit::Microsecond), true),
        text("measure"),
        Field::new("value", DataType::Float64, true),
        text("unit"),
        text("region"),
        text("dimensions"),
        text("source"),
        Field::new("arrived", utc(TimeUnit::Microsecond), true),
    ]))
}

pub(super) fn aggregates() -> SchemaRef {
    let number = |name| Field::new(name, DataType::Float64, true);
    Arc::new(Schema::new(vec![
        text("meter_id"),
        text("region"),
        Field::new("window_start", utc(TimeUnit::Microsecond), true),
        Field::new("window_end", utc(TimeUnit::Microsecond), true),
        number("sum"),
        Field::new("count", DataType::Int64, true),
        number("min"),
        number("max"),
        number("avg"),
        text("measure"),
    ]))
}

pub(super) fn text(name: &str) -> Field {
    Field::new(name, DataType::Utf8, true)
}
