//! What the engine asks whoever keeps the tables.

use std::{fmt::Debug, sync::Arc};

use datafusion::catalog::TableProvider;
use futures::future::BoxFuture;

/// A table's column, as DESCRIBE shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name, with its case.
    pub name: String,
    /// Timestream's word for its type: `varchar`, `double`, `bigint`, `boolean`, `timestamp`.
    pub data_type: String,
    /// What it is in the table.
    pub attribute_type: AttributeType,
}

/// What a column is in its table: the third column of DESCRIBE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttributeType {
    /// `DIMENSION`
    Dimension,
    /// `MEASURE_NAME`
    MeasureName,
    /// `TIMESTAMP`: the record's time.
    Timestamp,
    /// `MEASURE_VALUE`: the value of single-measure records of one type.
    MeasureValue,
    /// `MULTI`: one of the values of multi-measure records.
    Multi,
}

impl AttributeType {
    /// Timestream's word.
    pub fn as_str(self) -> &'static str {
        match self {
            AttributeType::Dimension => "DIMENSION",
            AttributeType::MeasureName => "MEASURE_NAME",
            AttributeType::Timestamp => "TIMESTAMP",
            AttributeType::MeasureValue => "MEASURE_VALUE",
            AttributeType::Multi => "MULTI",
        }
    }
}

/// A measure of a table, as SHOW MEASURES shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measure {
    /// The measure's name.
    pub name: String,
    /// Its type: `double`, `bigint`, `varchar`, `boolean`, `timestamp` or `multi`.
    pub data_type: String,
    /// The dimensions of its records: name and type (`varchar`).
    pub dimensions: Vec<(String, String)>,
}

/// An error of the catalog's own.
pub type CatalogError = Box<dyn std::error::Error + Send + Sync>;
/// What the catalog's methods return.
pub type CatalogFuture<'a, T> = BoxFuture<'a, Result<T, CatalogError>>;

/// Databases and their tables. Names are case-sensitive here; the engine finds out which one a query means.
pub trait Catalog: Send + Sync + Debug {
    /// The databases' names.
    fn databases(&self) -> CatalogFuture<'_, Vec<String>>;

    /// The names of a database's tables; `None` when there is no such database.
    fn tables<'a>(&'a self, database: &'a str) -> CatalogFuture<'a, Option<Vec<String>>>;

    /// A table's columns, in the order of DESCRIBE; `None` when there is no such table.
    fn describe<'a>(&'a self, database: &'a str, table: &'a str) -> CatalogFuture<'a, Option<Vec<Column>>>;

    /// A table's measures; `None` when there is no such table.
    fn measures<'a>(&'a self, database: &'a str, table: &'a str) -> CatalogFuture<'a, Option<Vec<Measure>>>;

    /// The table itself, as this query shall see it; `None` when there is no such table. Its `time` is
    /// `Timestamp(Nanosecond, None)`, in UTC.
    fn table<'a>(&'a self, database: &'a str, table: &'a str) -> CatalogFuture<'a, Option<Arc<dyn TableProvider>>>;
}
