//! Where a scheduled query's rows go: which columns become time, dimensions and measures of which table.

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch},
    compute::cast,
    datatypes::{DataType, Float64Type, Int64Type, TimestampNanosecondType},
};
use hurtig_timestream_sql::column_info::{ColumnInfo, ScalarType, Type};
use serde::{Deserialize, Serialize};

use crate::{
    record::{Measure, Record},
    schema::{TIME_TYPE, arrow_type},
    value::{MeasureType, MeasureValue},
    wire::{fault::Fault, measure::measure_type},
};

/// `TargetConfiguration`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct TargetConfiguration {
    /// Where to, and how.
    pub timestream_configuration: TimestreamConfiguration,
}

/// `TimestreamConfiguration`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct TimestreamConfiguration {
    /// The table's database.
    pub database_name: String,
    /// The table.
    pub table_name: String,
    time_column: String,
    dimension_mappings: Vec<DimensionMapping>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    multi_measure_mappings: Option<MultiMeasureMappings>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mixed_measure_mappings: Option<Vec<MixedMeasureMapping>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    measure_name_column: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DimensionMapping {
    name: String,
    dimension_value_type: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct MultiMeasureMappings {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    target_multi_measure_name: Option<String>,
    multi_measure_attribute_mappings: Vec<AttributeMapping>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AttributeMapping {
    source_column: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    target_multi_measure_attribute_name: Option<String>,
    measure_value_type: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct MixedMeasureMapping {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    measure_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source_column: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    target_measure_name: Option<String>,
    measure_value_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    multi_measure_attribute_mappings: Option<Vec<AttributeMapping>>,
}

/// A configuration that fits a result's columns: names have become places.
#[derive(Debug, Clone)]
pub struct Target {
    time: usize,
    dimensions: Vec<(String, usize)>,
    name_column: Option<usize>,
    mappings: Vec<Mapping>,
}

/// What one record is made of.
#[derive(Debug, Clone)]
struct Mapping {
    /// Rows whose measure's name is this; all rows without.
    only: Option<String>,
    /// The record's measure name; the row's own without.
    name: Option<String>,
    value: Source,
}

#[derive(Debug, Clone)]
enum Source {
    Single(usize, MeasureType),
    Multi(Vec<(String, usize, MeasureType)>),
}

/// What rows have become.
#[derive(Debug, Default)]
pub struct Mapped {
    /// The records.
    pub records: Vec<Record>,
    /// Why some rows, by their places in the batch, have become none.
    pub refused: Vec<(usize, String)>,
}

impl Target {
    /// Of a configuration, for a result with these columns.
    pub fn new(configuration: &TimestreamConfiguration, columns: &[ColumnInfo]) -> Result<Self, Fault> {
        let find = Find(columns);
        let TimestreamConfiguration { time_column, dimension_mappings, .. } = configuration;
        let time = find.typed(time_column, "TimeColumn", &[ScalarType::Timestamp])?;
        let dimensions = dimension_mappings.iter().map(|mapping| {
            if mapping.dimension_value_type != "VARCHAR" {
                let rule = "Member must satisfy enum value set: [VARCHAR]";
                return Err(Fault::constraint(&mapping.dimension_value_type, "dimensionValueType", rule));
            }
            Ok((mapping.name.clone(), find.typed(&mapping.name, "DimensionMappings", &[ScalarType::Varchar])?))
        });
        let dimensions = dimensions.collect::<Result<Vec<_>, _>>()?;
        let name_column = configuration.measure_name_column.as_deref();
        let name_column =
            name_column.map(|name| find.typed(name, "MeasureNameColumn", &[ScalarType::Varchar])).transpose()?;
        let mappings = match (&configuration.multi_measure_mappings, &configuration.mixed_measure_mappings) {
            (Some(multi), None) => vec![multi.mapping(&find, name_column.is_some())?],
            (None, Some(mixed)) if !mixed.is_empty() => {
                mixed.iter().map(|mixed| mixed.mapping(&find, name_column.is_some())).collect::<Result<_, _>>()?
            }
            _ => {
                return Err(Fault::validation(
                    "TimestreamConfiguration must have either MultiMeasureMappings or MixedMeasureMappings.",
                ));
            }
        };
        Ok(Target { time, dimensions, name_column, mappings })
    }

    /// The records of a batch's rows. Values that are NULL are left out; a row all of whose values are makes none.
    pub fn records(&self, batch: &RecordBatch, version: u64) -> Result<Mapped, arrow::error::ArrowError> {
        let times = cast(batch.column(self.time), &TIME_TYPE)?;
        let times = times.as_primitive::<TimestampNanosecondType>();
        let text = |at: usize| cast(batch.column(at), &DataType::Utf8);
        let dimensions = self.dimensions.iter().map(|(name, at)| Ok((name, text(*at)?)));
        let dimensions = dimensions.collect::<Result<Vec<_>, arrow::error::ArrowError>>()?;
        let names = self.name_column.map(text).transpose()?;
        let values = self.mappings.iter().map(|mapping| mapping.value.read(batch));
        let values = values.collect::<Result<Vec<_>, _>>()?;
        let mut mapped = Mapped::default();
        for row in 0..batch.num_rows() {
            if times.is_null(row) {
                mapped.refused.push((row, "The time is NULL.".into()));
                continue;
            }
            let own = names.as_ref().map(|names| names.as_string::<i32>()).filter(|names| names.is_valid(row));
            let own = own.map(|names| names.value(row));
            if names.is_some() && own.is_none() {
                mapped.refused.push((row, "The measure name is NULL.".into()));
                continue;
            }
            let mut fits = false;
            for (mapping, values) in self.mappings.iter().zip(&values) {
                if mapping.only.as_deref().is_some_and(|only| own != Some(only)) {
                    continue;
                }
                fits = true;
                let (Some(name), Some(measure)) = (mapping.name.as_deref().or(own), values.at(row)) else { continue };
                let dimensions = dimensions.iter().filter(|(_, values)| values.is_valid(row));
                mapped.records.push(Record {
                    dimensions: dimensions
                        .map(|(name, values)| (name.as_str().into(), values.as_string::<i32>().value(row).into()))
                        .collect(),
                    measure_name: name.into(),
                    measure,
                    time: times.value(row),
                    version,
                });
            }
            if !fits {
                let own = own.unwrap_or_default();
                mapped.refused.push((row, format!("No mapping is for the measure name '{own}'.")));
            }
        }
        Ok(mapped)
    }
}

/// A mapping's values, by row.
enum Read<'a> {
    Single(Vec<Option<MeasureValue>>),
    Multi(Vec<(&'a str, Vec<Option<MeasureValue>>)>),
}

impl Read<'_> {
    fn at(&self, row: usize) -> Option<Measure> {
        match self {
            Read::Single(values) => values.get(row).cloned().flatten().map(Measure::Single),
            Read::Multi(columns) => {
                let value = |values: &Vec<Option<MeasureValue>>| values.get(row).cloned().flatten();
                let there = columns.iter().filter_map(|(name, values)| Some(((*name).into(), value(values)?)));
                let there: smallvec::SmallVec<_> = there.collect();
                (!there.is_empty()).then_some(Measure::Multi(there))
            }
        }
    }
}

impl Source {
    fn read(&self, batch: &RecordBatch) -> Result<Read<'_>, arrow::error::ArrowError> {
        match self {
            Source::Single(at, measure) => Ok(Read::Single(values(batch.column(*at), *measure)?)),
            Source::Multi(attributes) => {
                let all = attributes
                    .iter()
                    .map(|(name, at, measure)| Ok((name.as_str(), values(batch.column(*at), *measure)?)));
                Ok(Read::Multi(all.collect::<Result<_, arrow::error::ArrowError>>()?))
            }
        }
    }
}

fn values(array: &ArrayRef, measure: MeasureType) -> Result<Vec<Option<MeasureValue>>, arrow::error::ArrowError> {
    let wanted = match measure {
        MeasureType::Varchar => DataType::Utf8,
        other => arrow_type(other),
    };
    let array = cast(array, &wanted)?;
    Ok(match measure {
        MeasureType::Double => {
            // Timestream has no negative zero.
            array.as_primitive::<Float64Type>().iter().map(|x| x.map(|x| MeasureValue::Double(x + 0.0))).collect()
        }
        MeasureType::Bigint => array.as_primitive::<Int64Type>().iter().map(|x| x.map(MeasureValue::Bigint)).collect(),
        MeasureType::Boolean => array.as_boolean().iter().map(|x| x.map(MeasureValue::Boolean)).collect(),
        MeasureType::Timestamp => {
            array.as_primitive::<TimestampNanosecondType>().iter().map(|x| x.map(MeasureValue::Timestamp)).collect()
        }
        // An empty text is none.
        MeasureType::Varchar => {
            let texts = array.as_string::<i32>().iter();
            texts.map(|x| x.filter(|x| !x.is_empty()).map(|x| MeasureValue::Varchar(x.into()))).collect()
        }
    })
}

/// Finds columns by their names.
struct Find<'a>(&'a [ColumnInfo]);

impl Find<'_> {
    fn typed(&self, name: &str, member: &str, types: &[ScalarType]) -> Result<usize, Fault> {
        let at = self.0.iter().position(|column| column.name.as_deref() == Some(name));
        let at =
            at.ok_or_else(|| Fault::validation(format!("{member}: the query's result has no column '{name}'.")))?;
        let is = self.0.get(at).map(|column| &column.data_type);
        match is {
            Some(Type::Scalar(is)) if types.contains(is) => Ok(at),
            _ => Err(Fault::validation(format!("{member}: the column '{name}' must be of the type {:?}.", types[0]))),
        }
    }

    fn value(&self, name: &str, kind: &str) -> Result<(usize, MeasureType), Fault> {
        let measure = measure_type(kind).ok_or_else(|| {
            let rule = "Member must satisfy enum value set: [BIGINT, BOOLEAN, DOUBLE, VARCHAR, TIMESTAMP]";
            Fault::constraint(kind, "measureValueType", rule)
        })?;
        let types: &[ScalarType] = match measure {
            MeasureType::Double => &[ScalarType::Double],
            MeasureType::Bigint => &[ScalarType::Bigint, ScalarType::Integer],
            MeasureType::Varchar => &[ScalarType::Varchar],
            MeasureType::Boolean => &[ScalarType::Boolean],
            MeasureType::Timestamp => &[ScalarType::Timestamp],
        };
        Ok((self.typed(name, "SourceColumn", types)?, measure))
    }

    fn attributes(&self, mappings: &[AttributeMapping]) -> Result<Source, Fault> {
        if mappings.is_empty() {
            return Err(Fault::validation("MultiMeasureAttributeMappings must have at least one mapping."));
        }
        let attributes = mappings.iter().map(|mapping| {
            let (at, measure) = self.value(&mapping.source_column, &mapping.measure_value_type)?;
            let name = mapping.target_multi_measure_attribute_name.as_ref().unwrap_or(&mapping.source_column);
            Ok((name.clone(), at, measure))
        });
        Ok(Source::Multi(attributes.collect::<Result<_, Fault>>()?))
    }
}

impl MultiMeasureMappings {
    fn mapping(&self, find: &Find<'_>, has_name_column: bool) -> Result<Mapping, Fault> {
        // What the row says of itself goes before.
        let name = self.target_multi_measure_name.clone().filter(|_| !has_name_column);
        if name.is_none() && !has_name_column {
            return Err(Fault::validation("TargetMultiMeasureName must be given where there is no MeasureNameColumn."));
        }
        Ok(Mapping { only: None, name, value: find.attributes(&self.multi_measure_attribute_mappings)? })
    }
}

impl MixedMeasureMapping {
    fn mapping(&self, find: &Find<'_>, has_name_column: bool) -> Result<Mapping, Fault> {
        let only = self.measure_name.clone().filter(|_| has_name_column);
        if has_name_column && only.is_none() {
            return Err(Fault::validation("MeasureName must be given where there is a MeasureNameColumn."));
        }
        let name = self.target_measure_name.as_ref().or(only.as_ref());
        if self.measure_value_type == "MULTI" {
            let attributes = self.multi_measure_attribute_mappings.as_deref().unwrap_or_default();
            if name.is_none() {
                return Err(Fault::validation("TargetMeasureName must be given for a mapping of the type MULTI."));
            }
            return Ok(Mapping { name: name.cloned(), only: only.clone(), value: find.attributes(attributes)? });
        }
        let Some(column) = &self.source_column else {
            return Err(Fault::validation("SourceColumn must be given for a mapping that is not of the type MULTI."));
        };
        let (at, measure) = find.value(column, &self.measure_value_type)?;
        let name = name.unwrap_or(column).clone();
        Ok(Mapping { only, name: Some(name), value: Source::Single(at, measure) })
    }
}
