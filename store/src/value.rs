//! What a measure can be.

use std::fmt;

use compact_str::CompactString;
use serde::{Deserialize, Serialize};

/// Timestream's types of a measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum MeasureType {
    /// 64 bits of IEEE 754.
    Double,
    /// A signed integer of 64 bits.
    Bigint,
    /// A text.
    Varchar,
    /// True or false.
    Boolean,
    /// Nanoseconds since 1970-01-01T00:00:00Z.
    Timestamp,
}

impl MeasureType {
    /// All of them.
    pub const ALL: [MeasureType; 5] = [Self::Double, Self::Bigint, Self::Varchar, Self::Boolean, Self::Timestamp];

    /// As Timestream's SQL writes it.
    pub fn sql_name(self) -> &'static str {
        match self {
            MeasureType::Double => "double",
            MeasureType::Bigint => "bigint",
            MeasureType::Varchar => "varchar",
            MeasureType::Boolean => "boolean",
            MeasureType::Timestamp => "timestamp",
        }
    }

    /// The column that holds all single measures of this type.
    pub fn single_column(self) -> &'static str {
        match self {
            MeasureType::Double => "measure_value::double",
            MeasureType::Bigint => "measure_value::bigint",
            MeasureType::Varchar => "measure_value::varchar",
            MeasureType::Boolean => "measure_value::boolean",
            MeasureType::Timestamp => "measure_value::timestamp",
        }
    }
}

impl fmt::Display for MeasureType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sql_name())
    }
}

/// A measured value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum MeasureValue {
    /// Finite.
    Double(f64),
    /// A signed integer.
    Bigint(i64),
    /// A text.
    Varchar(CompactString),
    /// True or false.
    Boolean(bool),
    /// Nanoseconds since 1970-01-01T00:00:00Z.
    Timestamp(i64),
}

impl MeasureValue {
    /// Its type.
    pub fn measure_type(&self) -> MeasureType {
        match self {
            MeasureValue::Double(_) => MeasureType::Double,
            MeasureValue::Bigint(_) => MeasureType::Bigint,
            MeasureValue::Varchar(_) => MeasureType::Varchar,
            MeasureValue::Boolean(_) => MeasureType::Boolean,
            MeasureValue::Timestamp(_) => MeasureType::Timestamp,
        }
    }
}
