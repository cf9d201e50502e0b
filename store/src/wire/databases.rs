//! Databases: made, described, changed, listed, deleted.

use std::ops::Bound;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    arn::Arns,
    fault::Fault,
    listing,
    request::{Text, in_range, length, parse, required, seconds},
    tags::{self, Tag},
};
use crate::{
    manifest::{DatabaseMeta, Manifest},
    store::Store,
};

/// Of a list at most, and when nothing else is asked for.
pub const PAGE: usize = 20;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreateDatabase<'a> {
    #[serde(borrow)]
    database_name: Option<Text<'a>>,
    kms_key_id: Option<String>,
    #[serde(default)]
    tags: Vec<Tag>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UpdateDatabase<'a> {
    #[serde(borrow)]
    database_name: Option<Text<'a>>,
    kms_key_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OneDatabase<'a> {
    #[serde(borrow)]
    database_name: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListDatabases<'a> {
    #[serde(borrow)]
    next_token: Option<Text<'a>>,
    max_results: Option<i64>,
}

/// `CreateDatabase`
pub fn create(store: &Store, arns: &Arns, body: &[u8]) -> Result<Value, Fault> {
    let request: CreateDatabase<'_> = parse(body)?;
    let name = required(request.database_name, "databaseName")?;
    check_key(request.kms_key_id.as_deref())?;
    tags::check(&request.tags)?;
    let meta = store.create_database(&name, request.kms_key_id)?;
    tags::replace(store, &arns.database(&name), request.tags)?;
    Ok(json!({ "Database": database(arns, &name, &meta, 0) }))
}

/// `DescribeDatabase`
pub fn describe(store: &Store, arns: &Arns, body: &[u8]) -> Result<Value, Fault> {
    let request: OneDatabase<'_> = parse(body)?;
    let name = required(request.database_name, "databaseName")?;
    let meta = store.database(&name)?;
    let count = store.with_manifest(|manifest| tables(manifest, &name));
    Ok(json!({ "Database": database(arns, &name, &meta, count) }))
}

/// `UpdateDatabase`
pub fn update(store: &Store, arns: &Arns, body: &[u8]) -> Result<Value, Fault> {
    let request: UpdateDatabase<'_> = parse(body)?;
    let name = required(request.database_name, "databaseName")?;
    let key = required(request.kms_key_id, "kmsKeyId")?;
    check_key(Some(&key))?;
    let meta = store.update_database(&name, Some(key))?;
    let count = store.with_manifest(|manifest| tables(manifest, &name));
    Ok(json!({ "Database": database(arns, &name, &meta, count) }))
}

/// `DeleteDatabase`
pub fn delete(store: &Store, arns: &Arns, body: &[u8]) -> Result<Value, Fault> {
    let request: OneDatabase<'_> = parse(body)?;
    let name = required(request.database_name, "databaseName")?;
    store.delete_database(&name)?;
    tags::replace(store, &arns.database(&name), Vec::new())?;
    Ok(Value::Null)
}

/// `ListDatabases`
pub fn list(store: &Store, arns: &Arns, body: &[u8]) -> Result<Value, Fault> {
    let request: ListDatabases<'_> = parse(body)?;
    let most = in_range(request.max_results, "maxResults", 1, PAGE, PAGE)?;
    let after = listing::after::<String>(request.next_token.as_deref())?;
    let (page, token) = store.with_manifest(|manifest| {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let all = manifest.databases.range::<String, _>((from, Bound::Unbounded));
        listing::page(all.map(|(name, meta)| (name.clone(), database(arns, name, meta, tables(manifest, name)))), most)
    });
    Ok(with_token(json!({ "Databases": page }), token))
}

/// A page with the token of the next one, if there is one.
pub fn with_token(mut page: Value, token: Option<String>) -> Value {
    if let Some(token) = token {
        page["NextToken"] = token.into();
    }
    page
}

fn check_key(key: Option<&str>) -> Result<(), Fault> {
    key.map_or(Ok(()), |key| length(key, "kmsKeyId", 1, 2_048))
}

/// How many tables it has.
fn tables(manifest: &Manifest, database: &str) -> usize {
    let first = (database.to_owned(), String::new());
    manifest.tables.range(first..).take_while(|((name, _), _)| name == database).count()
}

fn database(arns: &Arns, name: &str, meta: &DatabaseMeta, tables: usize) -> Value {
    let mut out = json!({
        "Arn": arns.database(name),
        "DatabaseName": name,
        "TableCount": tables,
        "CreationTime": seconds(meta.created),
        "LastUpdatedTime": seconds(meta.updated),
    });
    if let Some(key) = &meta.kms_key {
        out["KmsKeyId"] = key.as_str().into();
    }
    out
}
