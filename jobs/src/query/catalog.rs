//! Tables that somebody has created with Athena's DDL: they are kept in the catalog's file, and asked beside the job's own.

use std::{collections::BTreeSet, path::Path, sync::Arc};

use datafusion::{
    arrow::{
        array::{ArrayRef, RecordBatch, StringArray},
        error::ArrowError,
    },
    catalog::TableProvider,
};
use hurtig_catalog::{
    CatalogFile, FileTable, Location, Outcome, ScanOptions, Statement, Table, TableName, table::DEFAULT_DATABASE,
};
use hurtig_engine::time::SystemClock;
use object_store::{ObjectStore, local::LocalFileSystem};

use super::QueryError;

/// Databases that the session itself has.
const TAKEN: [&str; 3] = ["public", "information_schema", "pg_catalog"];

/// The statement, if it is one of the catalog's. A list of all tables is not, and neither is what is about a table of the
/// job's own: those are DataFusion's.
pub(super) fn statement(file: &Path, own: &[&str], sql: &str) -> Result<Option<Statement>, QueryError> {
    let Some(statement) = Statement::parse(sql)? else { return Ok(None) };
    let is_own = |name: &TableName| -> Result<bool, QueryError> {
        let could_be = name.database == DEFAULT_DATABASE && own.contains(&name.table.as_str());
        Ok(could_be && !CatalogFile::new(file).tables(DEFAULT_DATABASE)?.contains(&name.table))
    };
    let is_ours = match &statement {
        Statement::ShowTables { database: None, pattern: None } => false,
        Statement::DropTable { name, .. } | Statement::ShowCreateTable { name } => !is_own(name)?,
        _ => true,
    };
    Ok(is_ours.then_some(statement))
}

/// Carries a statement out. What it has to say are rows, as Athena has them. Places of files that are not absolute begin in
/// the directory that the caller works in.
pub(super) fn run(file: &Path, statement: Statement) -> Result<RecordBatch, QueryError> {
    let what = match &statement {
        Statement::CreateTable { table, .. } if TAKEN.contains(&table.name.database.as_str()) => {
            return Err(QueryError::Database(table.name.database.clone()));
        }
        Statement::CreateTable { table, .. } => table.name.to_string(),
        Statement::DropTable { name, .. } => name.to_string(),
        _ => String::new(),
    };
    let base = std::env::current_dir().map_err(QueryError::Io)?;
    let one = |line: String| ("result", vec![line]);
    let (column, lines) = match CatalogFile::new(file).run(statement, &base)? {
        Outcome::Created { notes } => {
            ("result", std::iter::once(format!("the table {what} is created")).chain(notes).collect())
        }
        Outcome::AlreadyThere => one(format!("the table {what} is there already, and stays as it is")),
        Outcome::Dropped => one(format!("the table {what} is dropped; its files stay")),
        Outcome::NotThere => one(format!("there is no table {what}")),
        Outcome::Tables(names) => ("tab_name", names),
        Outcome::Ddl(ddl) => ("createtab_stmt", ddl.lines().map(str::to_owned).collect()),
        // What a later version may do is done.
        _ => one("done".into()),
    };
    let lines: ArrayRef = Arc::new(StringArray::from(lines));
    RecordBatch::try_from_iter([(column, lines)]).map_err(|e: ArrowError| QueryError::Sql(e.into()))
}

/// A table that somebody has created; none by another name.
pub(super) async fn open(file: &Path, name: &TableName) -> Result<Option<Arc<dyn TableProvider>>, QueryError> {
    let catalog = CatalogFile::new(file);
    if !catalog.tables(&name.database)?.contains(&name.table) {
        return Ok(None);
    }
    let table = catalog.table(name)?;
    if table.is_delta() {
        return open_delta(table).await.map(Some);
    }
    let table = FileTable::new(table, Arc::new(open_files), Arc::new(SystemClock), ScanOptions::default())?;
    Ok(Some(Arc::new(table)))
}

/// The databases that have tables, but for those of the session's own.
pub(super) fn databases(file: &Path) -> Result<BTreeSet<String>, QueryError> {
    let tables = CatalogFile::new(file).all()?;
    Ok(tables.into_iter().map(|table| table.name.database).filter(|name| !TAKEN.contains(&name.as_str())).collect())
}

#[cfg(feature = "delta")]
async fn open_delta(table: Table) -> Result<Arc<dyn TableProvider>, QueryError> {
    let location = Location::parse(&table.location)?;
    if location.bucket().is_some() {
        return Err(QueryError::Elsewhere { table: table.name.to_string(), location: table.location });
    }
    let directory = Path::new("/").join(location.path().as_ref());
    match hurtig_delta::Table::open(&directory).await? {
        Some(opened) => Ok(Arc::new(hurtig_delta::DeltaTableProvider::new(&opened)?)),
        None => Err(QueryError::NoLog { table: table.name.to_string(), location: table.location }),
    }
}

#[cfg(not(feature = "delta"))]
async fn open_delta(table: Table) -> Result<Arc<dyn TableProvider>, QueryError> {
    Err(QueryError::Elsewhere { table: table.name.to_string(), location: table.location })
}

type Opened = Result<Arc<dyn ObjectStore>, Box<dyn std::error::Error + Send + Sync>>;

/// A directory's files; or a bucket's, with everything else from the environment's `AWS_…`, as AWS's own tools have it.
fn open_files(location: &Location) -> Opened {
    match location.bucket() {
        None => Ok(Arc::new(LocalFileSystem::new())),
        Some(bucket) => open_bucket(bucket),
    }
}

#[cfg(feature = "s3")]
fn open_bucket(bucket: &str) -> Opened {
    Ok(Arc::new(object_store::aws::AmazonS3Builder::from_env().with_bucket_name(bucket).build()?))
}

#[cfg(not(feature = "s3"))]
fn open_bucket(bucket: &str) -> Opened {
    Err(format!("s3://{bucket}: this build has no S3: build with the feature `s3`").into())
}
