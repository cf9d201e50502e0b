//! Tables: made, described, changed, listed, deleted.

use std::{collections::BTreeMap, ops::Bound};

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    arn::Arns,
    databases::{PAGE, with_token},
    fault::Fault,
    listing,
    partition_key::{self, Schema},
    request::{Text, in_range, parse, required, seconds},
    tags::{self, Tag},
};
use crate::{
    manifest::TableMeta,
    retention::Retention,
    store::{NewTable, Store},
};

/// Under which name a table's properties have where its rejected records should go.
const REJECTED_DATA_LOCATION: &str = "MagneticStoreRejectedDataLocation";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WriteTable<'a> {
    #[serde(borrow)]
    database_name: Option<Text<'a>>,
    #[serde(borrow)]
    table_name: Option<Text<'a>>,
    retention_properties: Option<RetentionProperties>,
    magnetic_store_write_properties: Option<MagneticStoreWriteProperties>,
    schema: Option<Schema>,
    #[serde(default)]
    tags: Vec<Tag>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RetentionProperties {
    memory_store_retention_period_in_hours: Option<i64>,
    magnetic_store_retention_period_in_days: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct MagneticStoreWriteProperties {
    enable_magnetic_store_writes: Option<bool>,
    magnetic_store_rejected_data_location: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OneTable<'a> {
    #[serde(borrow)]
    database_name: Option<Text<'a>>,
    #[serde(borrow)]
    table_name: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListTables<'a> {
    #[serde(borrow)]
    database_name: Option<Text<'a>>,
    #[serde(borrow)]
    next_token: Option<Text<'a>>,
    max_results: Option<i64>,
}

/// `CreateTable`
pub fn create(store: &Store, arns: &Arns, body: &[u8]) -> Result<Value, Fault> {
    let request: WriteTable<'_> = parse(body)?;
    let (database, name) = names(request.database_name.as_ref(), request.table_name.as_ref())?;
    tags::check(&request.tags)?;
    let mut new = NewTable::default();
    request.change(&mut new.retention, &mut new.properties)?;
    let meta = store.create_table(database, name, new)?;
    tags::replace(store, &arns.table(database, name), request.tags.clone())?;
    Ok(json!({ "Table": table(arns, database, name, &meta) }))
}

/// `UpdateTable`
pub fn update(store: &Store, arns: &Arns, body: &[u8]) -> Result<Value, Fault> {
    let request: WriteTable<'_> = parse(body)?;
    let (database, name) = names(request.database_name.as_ref(), request.table_name.as_ref())?;
    let old = store.table_meta(database, name)?;
    if request.schema.as_ref().is_some_and(|new| !Schema::of(&old.properties).may_become(new)) {
        return Err(Fault::validation("A table's partition key cannot be changed, only EnforcementInRecord can."));
    }
    // Looked at first: what is changed below is not undone by a wrong member.
    let (mut retention, mut properties) = (old.retention, old.properties);
    request.change(&mut retention, &mut properties)?;
    let meta = store.update_table(database, name, |meta| {
        (meta.retention, meta.properties) = (retention, properties);
    })?;
    Ok(json!({ "Table": table(arns, database, name, &meta) }))
}

/// `DescribeTable`
pub fn describe(store: &Store, arns: &Arns, body: &[u8]) -> Result<Value, Fault> {
    let request: OneTable<'_> = parse(body)?;
    let (database, name) = names(request.database_name.as_ref(), request.table_name.as_ref())?;
    let meta = store.table_meta(database, name)?;
    Ok(json!({ "Table": table(arns, database, name, &meta) }))
}

/// `DeleteTable`
pub fn delete(store: &Store, arns: &Arns, body: &[u8]) -> Result<Value, Fault> {
    let request: OneTable<'_> = parse(body)?;
    let (database, name) = names(request.database_name.as_ref(), request.table_name.as_ref())?;
    store.delete_table(database, name)?;
    tags::replace(store, &arns.table(database, name), Vec::new())?;
    Ok(Value::Null)
}

/// `ListTables`: of a database, or of all.
pub fn list(store: &Store, arns: &Arns, body: &[u8]) -> Result<Value, Fault> {
    let request: ListTables<'_> = parse(body)?;
    let most = in_range(request.max_results, "maxResults", 1, PAGE, PAGE)?;
    let after = listing::after::<(String, String)>(request.next_token.as_deref())?;
    let database = request.database_name.as_deref();
    if let Some(name) = database {
        store.database(name)?;
    }
    let (page, token) = store.with_manifest(|manifest| {
        let from = match (after, database) {
            (Some(after), _) => Bound::Excluded(after),
            (None, Some(database)) => Bound::Included((database.to_owned(), String::new())),
            (None, None) => Bound::Unbounded,
        };
        let all = manifest.tables.range::<(String, String), _>((from, Bound::Unbounded));
        let of_it = all.take_while(|((d, _), _)| database.is_none_or(|database| d == database));
        listing::page(of_it.map(|(key, meta)| (key.clone(), table(arns, &key.0, &key.1, meta))), most)
    });
    Ok(with_token(json!({ "Tables": page }), token))
}

impl WriteTable<'_> {
    /// Puts what the request says in the place of what is there.
    fn change(&self, retention: &mut Retention, properties: &mut BTreeMap<String, String>) -> Result<(), Fault> {
        if let Some(new) = &self.retention_properties {
            let member = "retentionProperties.memoryStoreRetentionPeriodInHours";
            let hours = required(new.memory_store_retention_period_in_hours, member)?;
            retention.memory_hours = whole(hours, member, 8_766)?;
            let member = "retentionProperties.magneticStoreRetentionPeriodInDays";
            let days = required(new.magnetic_store_retention_period_in_days, member)?;
            retention.magnetic_days = whole(days, member, 73_000)?;
        }
        if let Some(new) = &self.magnetic_store_write_properties {
            let member = "magneticStoreWriteProperties.enableMagneticStoreWrites";
            retention.magnetic_writes = required(new.enable_magnetic_store_writes, member)?;
            match &new.magnetic_store_rejected_data_location {
                Some(location) => properties.insert(REJECTED_DATA_LOCATION.into(), location.to_string()),
                None => properties.remove(REJECTED_DATA_LOCATION),
            };
        }
        if let Some(schema) = &self.schema {
            schema.check()?;
            properties.insert(partition_key::PROPERTY.into(), schema.to_property());
        }
        Ok(())
    }
}

fn whole(number: i64, member: &str, most: usize) -> Result<u32, Fault> {
    let number = in_range(Some(number), member, 1, most, 1)?;
    Ok(u32::try_from(number).unwrap_or(u32::MAX))
}

/// The two names that every operation on a table has.
pub fn names<'a>(database: Option<&'a Text<'a>>, table: Option<&'a Text<'a>>) -> Result<(&'a str, &'a str), Fault> {
    Ok((required(database, "databaseName")?, required(table, "tableName")?))
}

fn table(arns: &Arns, database: &str, name: &str, meta: &TableMeta) -> Value {
    let mut magnetic = json!({ "EnableMagneticStoreWrites": meta.retention.magnetic_writes });
    let location = meta.properties.get(REJECTED_DATA_LOCATION).and_then(|text| serde_json::from_str(text).ok());
    if let Some(location) = location {
        magnetic[REJECTED_DATA_LOCATION] = location;
    }
    json!({
        "Arn": arns.table(database, name),
        "DatabaseName": database,
        "TableName": name,
        "TableStatus": "ACTIVE",
        "RetentionProperties": {
            "MemoryStoreRetentionPeriodInHours": meta.retention.memory_hours,
            "MagneticStoreRetentionPeriodInDays": meta.retention.magnetic_days,
        },
        "MagneticStoreWriteProperties": magnetic,
        "Schema": Schema::of(&meta.properties).described(),
        "CreationTime": seconds(meta.created),
        "LastUpdatedTime": seconds(meta.updated),
    })
}
