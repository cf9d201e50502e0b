//! The table that is written: its name, how long it keeps what, and making it where it is missing.

use std::{fmt, sync::Arc};

use aws_sdk_timestreamwrite::{
    Client,
    types::{MagneticStoreWriteProperties, RetentionProperties},
};

use crate::failure::Failure;

/// A table and its database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableName {
    /// The database.
    pub database: Arc<str>,
    /// The table.
    pub table: Arc<str>,
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.database, self.table)
    }
}

/// How long a table keeps what, and what it takes (`DescribeTable`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableInfo {
    /// `MemoryStoreRetentionPeriodInHours`
    pub memory_hours: i64,
    /// `MagneticStoreRetentionPeriodInDays`
    pub magnetic_days: i64,
    /// `EnableMagneticStoreWrites`
    pub magnetic_writes: bool,
}

/// Asks for the table; makes it, and its database, as `create` says where they are missing.
pub(crate) async fn open(client: &Client, name: &TableName, create: Option<&TableInfo>) -> Result<TableInfo, Failure> {
    let missing = match describe(client, name).await {
        Err(Failure::NotFound(reason)) => reason,
        answer => return answer,
    };
    let Some(wanted) = create else { return Err(Failure::NotFound(missing)) };
    let database = client.create_database().database_name(&*name.database).send().await;
    unless_there(database.map(drop).map_err(|e| (is_conflict(&e), Failure::of(&e))))?;
    let invalid = |e: aws_sdk_timestreamwrite::error::BuildError| Failure::Final(e.to_string());
    let retention = RetentionProperties::builder()
        .memory_store_retention_period_in_hours(wanted.memory_hours)
        .magnetic_store_retention_period_in_days(wanted.magnetic_days)
        .build()
        .map_err(invalid)?;
    let magnetic = MagneticStoreWriteProperties::builder().enable_magnetic_store_writes(wanted.magnetic_writes);
    let table = client.create_table().database_name(&*name.database).table_name(&*name.table);
    let table = table.retention_properties(retention);
    let table = table.magnetic_store_write_properties(magnetic.build().map_err(invalid)?).send().await;
    unless_there(table.map(drop).map_err(|e| (is_conflict(&e), Failure::of(&e))))?;
    tracing::info!("Timestream: table {name} was missing and has been created");
    describe(client, name).await
}

async fn describe(client: &Client, name: &TableName) -> Result<TableInfo, Failure> {
    let answer = client.describe_table().database_name(&*name.database).table_name(&*name.table).send().await;
    let answer = answer.map_err(|e| Failure::of(&e))?;
    let table = answer.table();
    let retention = table.and_then(|t| t.retention_properties());
    let magnetic = table.and_then(|t| t.magnetic_store_write_properties());
    // What it does not tell is left to its own judgement.
    Ok(TableInfo {
        memory_hours: retention.map_or(i64::MAX, |r| r.memory_store_retention_period_in_hours()),
        magnetic_days: retention.map_or(i64::MAX, |r| r.magnetic_store_retention_period_in_days()),
        magnetic_writes: magnetic.is_some_and(|m| m.enable_magnetic_store_writes()),
    })
}

fn is_conflict<E, R>(error: &aws_sdk_timestreamwrite::error::SdkError<E, R>) -> bool
where
    E: aws_sdk_timestreamwrite::error::ProvideErrorMetadata,
{
    error.as_service_error().and_then(|e| e.code()) == Some("ConflictException")
}

/// Another subtask may have made it meanwhile.
fn unless_there(answer: Result<(), (bool, Failure)>) -> Result<(), Failure> {
    match answer {
        Err((false, failure)) => Err(failure),
        _ => Ok(()),
    }
}
