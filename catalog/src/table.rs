//! A table: its columns, how its files are read, where they are.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::Path,
    sync::Arc,
};

use arrow::datatypes::{Field, Schema, SchemaRef};

use crate::{
    error::{Error, Result},
    format::Format,
    hive_type::HiveType,
    location::Location,
    projection::Projection,
};

/// The database of a table that names none.
pub const DEFAULT_DATABASE: &str = "default";

/// A table's name, in lower case as Athena keeps it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableName {
    /// The database.
    pub database: String,
    /// The table.
    pub table: String,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// In lower case.
    pub name: String,
    /// Its type.
    pub kind: HiveType,
    /// `COMMENT`
    pub comment: Option<String>,
}

/// What `CREATE EXTERNAL TABLE` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Its name.
    pub name: TableName,
    /// The columns that are in the files.
    pub columns: Vec<Column>,
    /// `PARTITIONED BY`: the columns that are in the files' places.
    pub partitions: Vec<Column>,
    /// `COMMENT`
    pub comment: Option<String>,
    /// How files are read.
    pub format: Format,
    /// Where they are, as it was written.
    pub location: String,
    /// `TBLPROPERTIES`
    pub properties: BTreeMap<String, String>,
}

impl TableName {
    /// A name.
    pub fn new(database: impl Into<String>, table: impl Into<String>) -> Self {
        TableName { database: database.into(), table: table.into() }
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.database, self.table)
    }
}

impl Table {
    /// The columns in files as Arrow has them.
    pub fn file_schema(&self) -> SchemaRef {
        Arc::new(Schema::new(fields(&self.columns)))
    }

    /// All columns, the partitions' last.
    pub fn schema(&self) -> SchemaRef {
        let mut all = fields(&self.columns);
        all.extend(fields(&self.partitions));
        Arc::new(Schema::new(all))
    }

    /// Whether it is a Delta Lake table, `'table_type'='DELTA'`: its columns, its files and their places are in its log, and
    /// this says nothing but where that is.
    pub fn is_delta(&self) -> bool {
        self.properties.get("table_type").is_some_and(|kind| kind.eq_ignore_ascii_case("DELTA"))
    }

    /// Makes what it says about places absolute: a path that is not begins in `base`.
    pub fn rebase(&mut self, base: &Path) {
        let is_absolute = |place: &str| place.contains("://") || place.starts_with('/') || place.starts_with("file:");
        let absolute = |place: &str| match is_absolute(place) {
            true => place.to_owned(),
            false => {
                let joined = base.join(place.trim_start_matches("./"));
                joined.to_string_lossy().into_owned()
            }
        };
        self.location = absolute(&self.location);
        if let Some(template) = self.properties.get_mut("storage.location.template") {
            *template = absolute(template);
        }
    }

    /// Whether the table makes sense, its projection included.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidTable`], [`Error::InvalidTableProperty`] and [`Error::NotSupported`].
    pub fn check(&self) -> Result<()> {
        if self.is_delta() {
            return match self.columns.is_empty() && self.partitions.is_empty() {
                true => Ok(()),
                false => {
                    Err(self.invalid("a Delta Lake table's columns and partitions are in its log: leave them out"))
                }
            };
        }
        if self.columns.is_empty() {
            return Err(self.invalid("it has no columns but those in PARTITIONED BY"));
        }
        let mut names = BTreeSet::new();
        for column in self.columns.iter().chain(&self.partitions) {
            if !names.insert(&column.name) {
                let repeated = self.partitions.iter().any(|partition| partition.name == column.name)
                    && self.columns.iter().any(|plain| plain.name == column.name);
                return Err(self.invalid(match repeated {
                    true => format!("column {} is repeated in PARTITIONED BY: take it out of the columns", column.name),
                    false => format!("column {} is there twice", column.name),
                }));
            }
        }
        if let Some(column) = self.partitions.iter().find(|column| !column.kind.is_primitive()) {
            return Err(self.invalid(format!("partition column {} cannot be {}", column.name, column.kind)));
        }
        if matches!(self.format.serde, crate::SerDe::LazySimple | crate::SerDe::OpenCsv)
            && let Some(column) = self.columns.iter().find(|column| !column.kind.is_primitive())
        {
            return Err(Error::NotSupported(format!(
                "table {}: column {} is {}, and delimited text is read into plain types only",
                self.name, column.name, column.kind
            )));
        }
        Projection::of(self).map(|_| ())
    }

    /// Whether its places can be read: of a table with [relative](Self::rebase) ones this says no.
    ///
    /// # Errors
    ///
    /// [`Error::Location`].
    pub fn check_places(&self) -> Result<()> {
        Location::parse(&self.location)?;
        match Projection::of(self)? {
            Some(projection) => Location::parse(projection.template.beginning()).map(|_| ()),
            None => Ok(()),
        }
    }

    pub(crate) fn invalid(&self, message: impl Into<String>) -> Error {
        Error::InvalidTable { table: self.name.to_string(), message: message.into() }
    }

    pub(crate) fn bad_property(&self, message: impl Into<String>) -> Error {
        Error::InvalidTableProperty { table: self.name.to_string(), message: message.into() }
    }
}

fn fields(columns: &[Column]) -> Vec<Field> {
    columns.iter().map(|column| Field::new(&column.name, column.kind.to_arrow(), true)).collect()
}
