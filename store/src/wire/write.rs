//! `WriteRecords`: what the request says as the store's records, and what became of them.
//!
//! A request that cannot be right is refused as a whole, and nothing of it is written. A record that is rejected for what
//! is there, for its time or for a limit does not keep the others from being taken.

use serde::Deserialize;
use serde_json::{Value, json};
use smallvec::SmallVec;

use super::{
    fault::{Fault, Kind},
    measure::{self, TimeUnit},
    partition_key::{PROPERTY, Schema},
    request::{Text, parse, required},
    tables::names,
};
use crate::{
    limits::RECORDS_PER_REQUEST,
    record::{Dimension, Measure, Outcome, Record, Rejected},
    store::Store,
    value::MeasureType,
};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WriteRecords<'a> {
    #[serde(borrow)]
    database_name: Option<Text<'a>>,
    #[serde(borrow)]
    table_name: Option<Text<'a>>,
    #[serde(borrow)]
    common_attributes: Option<Attributes<'a>>,
    #[serde(borrow)]
    records: Option<Vec<Attributes<'a>>>,
}

/// A record, and what all records of a request have in common.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Attributes<'a> {
    #[serde(borrow)]
    dimensions: Option<Vec<DimensionText<'a>>>,
    #[serde(borrow)]
    measure_name: Option<Text<'a>>,
    #[serde(borrow)]
    measure_value: Option<Text<'a>>,
    #[serde(borrow)]
    measure_value_type: Option<Text<'a>>,
    #[serde(borrow)]
    time: Option<Text<'a>>,
    #[serde(borrow)]
    time_unit: Option<Text<'a>>,
    version: Option<i64>,
    #[serde(borrow)]
    measure_values: Option<Vec<MeasureText<'a>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DimensionText<'a> {
    #[serde(borrow)]
    name: Option<Text<'a>>,
    #[serde(borrow)]
    value: Option<Text<'a>>,
    #[serde(borrow)]
    dimension_value_type: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct MeasureText<'a> {
    #[serde(borrow)]
    name: Option<Text<'a>>,
    #[serde(borrow)]
    value: Option<Text<'a>>,
    #[serde(borrow)]
    r#type: Option<Text<'a>>,
}

/// `WriteRecords`
pub async fn write_records(store: &Store, body: &[u8]) -> Result<Value, Fault> {
    let request: WriteRecords<'_> = parse(body)?;
    let (database, table) = names(request.database_name.as_ref(), request.table_name.as_ref())?;
    let (common, own) = (request.common_attributes.unwrap_or_default(), required(request.records, "records")?);
    if own.is_empty() {
        return Err(Fault::constraint("[]", "records", "Member must have length greater than or equal to 1"));
    }
    if own.len() > RECORDS_PER_REQUEST {
        let rule = format!("Member must have length less than or equal to {RECORDS_PER_REQUEST}");
        return Err(Fault::constraint(format!("[{} records]", own.len()), "records", rule));
    }
    // Before the records are looked at: a table that is not there is the first thing to be told.
    store.table(database, table)?;
    let records: Vec<_> =
        own.iter().enumerate().map(|(i, own)| record(i, own, &common)).collect::<Result<Vec<_>, _>>()?;
    answer(store_records(store, database, table, records).await?)
}

/// Writes records into a table, those that its partition key lets in.
pub async fn store_records(store: &Store, database: &str, table: &str, records: Vec<Record>) -> Result<Outcome, Fault> {
    match schema(store, database, table) {
        None => Ok(store.write(database, table, &records).await?),
        Some(schema) => write_required(store, database, table, records, &schema).await,
    }
}

/// The table's partition key, if it requires something of records.
fn schema(store: &Store, database: &str, table: &str) -> Option<Schema> {
    store.with_manifest(|manifest| {
        let meta = manifest.tables.get(&(database.to_owned(), table.to_owned()))?;
        meta.properties.contains_key(PROPERTY).then(|| Schema::of(&meta.properties))
    })
}

/// Writes those that have what the partition key requires.
async fn write_required(
    store: &Store,
    database: &str,
    table: &str,
    records: Vec<Record>,
    schema: &Schema,
) -> Result<Outcome, Fault> {
    let (mut kept, mut indices, mut rejected) = (Vec::new(), Vec::new(), Vec::new());
    for (index, record) in records.into_iter().enumerate() {
        match schema.reason(&record) {
            Some(reason) => rejected.push(Rejected { index, reason, existing_version: None }),
            None => {
                kept.push(record);
                indices.push(index);
            }
        }
    }
    let mut outcome = store.write(database, table, &kept).await?;
    for rejected in &mut outcome.rejected {
        rejected.index = indices.get(rejected.index).copied().unwrap_or(rejected.index);
    }
    outcome.rejected.extend(rejected);
    outcome.rejected.sort_unstable_by_key(|rejected| rejected.index);
    Ok(outcome)
}

fn answer(outcome: Outcome) -> Result<Value, Fault> {
    if outcome.rejected.is_empty() {
        let (memory, magnetic) = (outcome.memory, outcome.magnetic);
        return Ok(json!({
            "RecordsIngested": { "Total": memory + magnetic, "MemoryStore": memory, "MagneticStore": magnetic }
        }));
    }
    let rejected: Vec<_> = outcome.rejected.into_iter().map(rejected_record).collect();
    let message = "One or more records have been rejected. See RejectedRecords for details.";
    Err(Fault::new(Kind::RejectedRecords, message).with("RejectedRecords", rejected.into()))
}

fn rejected_record(rejected: Rejected) -> Value {
    let mut out = json!({ "RecordIndex": rejected.index, "Reason": rejected.reason });
    if let Some(version) = rejected.existing_version {
        out["ExistingVersion"] = version.into();
    }
    out
}

/// A record with what all have in common. What both say, the record's own word goes for; dimensions must not be in both.
fn record(index: usize, own: &Attributes<'_>, common: &Attributes<'_>) -> Result<Record, Fault> {
    let member = |name: &str| format!("records.{}.member.{name}", index + 1);
    let mut dimensions: SmallVec<[Dimension; 4]> = SmallVec::new();
    for dimension in [own, common].into_iter().flat_map(|a| a.dimensions.iter().flatten()) {
        let name = required(dimension.name.as_deref(), &member("dimensions.name"))?;
        let value = required(dimension.value.as_deref(), &member("dimensions.value"))?;
        if let Some(other) = dimension.dimension_value_type.as_deref().filter(|t| *t != "VARCHAR") {
            let rule = "Member must satisfy enum value set: [VARCHAR]";
            return Err(Fault::constraint(other, &member("dimensions.dimensionValueType"), rule));
        }
        if dimensions.iter().any(|(other, _)| other == name) {
            return Err(Fault::validation(format!(
                "The record at index {index} has the dimension '{name}' twice: dimensions of a record and of \
                 CommonAttributes must not overlap."
            )));
        }
        dimensions.push((name.into(), value.into()));
    }
    let unit = match own.time_unit.as_deref().or(common.time_unit.as_deref()) {
        None => TimeUnit::Milliseconds,
        Some(name) => TimeUnit::of(name).ok_or_else(|| {
            let rule = "Member must satisfy enum value set: [MILLISECONDS, SECONDS, MICROSECONDS, NANOSECONDS]";
            Fault::constraint(name, &member("timeUnit"), rule)
        })?,
    };
    let time = required(own.time.as_deref().or(common.time.as_deref()), &member("time"))?;
    let time = unit
        .time(time)
        .ok_or_else(|| Fault::validation(format!("The time '{time}' of the record at index {index} is no number.")))?;
    let version = own.version.or(common.version).unwrap_or(1);
    let version = u64::try_from(version).ok().filter(|version| *version > 0).ok_or_else(|| {
        Fault::validation(format!("The version {version} of the record at index {index} is not 1 or greater."))
    })?;
    let name = required(own.measure_name.as_deref().or(common.measure_name.as_deref()), &member("measureName"))?;
    let measure = measured(index, own, common, unit)?;
    Ok(Record { dimensions, measure_name: name.into(), measure, time, version })
}

/// The value or the values of a record.
fn measured(index: usize, own: &Attributes<'_>, common: &Attributes<'_>, unit: TimeUnit) -> Result<Measure, Fault> {
    let member = |name: &str| format!("records.{}.member.{name}", index + 1);
    let single = own.measure_value.as_deref().or(common.measure_value.as_deref());
    let several = || [own, common].into_iter().flat_map(|a| a.measure_values.iter().flatten());
    let kind = own.measure_value_type.as_deref().or(common.measure_value_type.as_deref()).unwrap_or("DOUBLE");
    if kind == "MULTI" {
        if single.is_some() {
            return Err(Fault::validation(format!(
                "The record at index {index} is MULTI and has a MeasureValue: it must have MeasureValues only."
            )));
        }
        let mut values = SmallVec::new();
        for one in several() {
            let name = required(one.name.as_deref(), &member("measureValues.name"))?;
            let kind = required(one.r#type.as_deref(), &member("measureValues.type"))?;
            let kind = measure::measure_type(kind).ok_or_else(|| unknown_type(kind, &member("measureValues.type")))?;
            let text = required(one.value.as_deref(), &member("measureValues.value"))?;
            let value = measure::value(text, kind, unit).ok_or_else(|| no_value(index, name, text, kind))?;
            values.push((name.into(), value));
        }
        return Ok(Measure::Multi(values));
    }
    let kind = measure::measure_type(kind).ok_or_else(|| unknown_type(kind, &member("measureValueType")))?;
    if kind == MeasureType::Timestamp {
        return Err(Fault::validation(format!(
            "TIMESTAMP is an invalid measure value type for the record at index {index}: it is allowed in MeasureValues \
             of MULTI records only."
        )));
    }
    if several().next().is_some() {
        return Err(Fault::validation(format!(
            "The record at index {index} has MeasureValues and is of type {}: they are allowed in MULTI records only.",
            kind.sql_name().to_uppercase()
        )));
    }
    let text = required(single, &member("measureValue"))?;
    let value = measure::value(text, kind, unit).ok_or_else(|| no_value(index, "MeasureValue", text, kind))?;
    Ok(Measure::Single(value))
}

fn unknown_type(kind: &str, member: &str) -> Fault {
    let rule = "Member must satisfy enum value set: [DOUBLE, BIGINT, VARCHAR, BOOLEAN, TIMESTAMP, MULTI]";
    Fault::constraint(kind, member, rule)
}

fn no_value(index: usize, name: &str, text: &str, kind: MeasureType) -> Fault {
    let kind = kind.sql_name().to_uppercase();
    Fault::validation(format!("The value '{text}' of '{name}' of the record at index {index} is no {kind}."))
}
