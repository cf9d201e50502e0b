//! How a table's files are read: the SerDe and its properties.

use std::{collections::BTreeMap, fmt};

use crate::error::{Error, Result};

/// A SerDe, by its class in Hive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SerDe {
    /// JSON lines: `org.openx.data.jsonserde.JsonSerDe`
    OpenXJson,
    /// JSON lines: `org.apache.hive.hcatalog.data.JsonSerDe`, and `org.apache.hive.serde2.JsonSerDe`
    HiveJson,
    /// `org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe`
    Parquet,
    /// Delimited text: `org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe`
    LazySimple,
    /// CSV with quotes: `org.apache.hadoop.hive.serde2.OpenCSVSerde`
    OpenCsv,
}

/// A SerDe with its properties.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Format {
    /// The SerDe.
    pub serde: SerDe,
    /// `WITH SERDEPROPERTIES`
    pub properties: BTreeMap<String, String>,
}

const PARQUET_INPUT: &str = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat";
const PARQUET_OUTPUT: &str = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat";
const TEXT_INPUT: &str = "org.apache.hadoop.mapred.TextInputFormat";
const TEXT_OUTPUT: &str = "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat";

impl SerDe {
    const ALL: [SerDe; 5] = [SerDe::OpenXJson, SerDe::HiveJson, SerDe::Parquet, SerDe::LazySimple, SerDe::OpenCsv];

    /// Its class.
    pub fn class(self) -> &'static str {
        match self {
            SerDe::OpenXJson => "org.openx.data.jsonserde.JsonSerDe",
            SerDe::HiveJson => "org.apache.hive.hcatalog.data.JsonSerDe",
            SerDe::Parquet => "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe",
            SerDe::LazySimple => "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe",
            SerDe::OpenCsv => "org.apache.hadoop.hive.serde2.OpenCSVSerde",
        }
    }

    /// The SerDe of a class.
    ///
    /// # Errors
    ///
    /// [`Error::NotSupported`], with the list of those that are.
    pub fn of_class(class: &str) -> Result<Self> {
        if class == "org.apache.hive.serde2.JsonSerDe" || class == "org.apache.hadoop.hive.serde2.JsonSerDe" {
            return Ok(SerDe::HiveJson);
        }
        if let Some(found) = Self::ALL.into_iter().find(|serde| serde.class() == class) {
            return Ok(found);
        }
        let hint = if class.ends_with("RegexSerDe") { " yet" } else { "" };
        let known = Self::ALL.map(SerDe::class).join(", ");
        Err(Error::NotSupported(format!("the SerDe '{class}' is not read{hint}; there are {known}")))
    }

    /// Whether its files are lines of text.
    pub fn is_text(self) -> bool {
        self != SerDe::Parquet
    }

    /// `INPUTFORMAT` and `OUTPUTFORMAT`.
    pub(crate) fn file_formats(self) -> (&'static str, &'static str) {
        if self.is_text() { (TEXT_INPUT, TEXT_OUTPUT) } else { (PARQUET_INPUT, PARQUET_OUTPUT) }
    }
}

impl fmt::Display for SerDe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.class())
    }
}

impl Format {
    /// A SerDe without properties.
    pub fn new(serde: SerDe) -> Self {
        Format { serde, properties: BTreeMap::new() }
    }

    /// Whether a property is `true`, in any case; `default` when it is not there.
    pub(crate) fn is(&self, property: &str, default: bool) -> bool {
        self.properties.get(property).map_or(default, |value| value.trim().eq_ignore_ascii_case("true"))
    }
}
