//! The tables by their names: each is opened when a query names it, and is what it is at that moment.
//!
//! So one session answers for as long as a server runs, and a table that is broken hinders only who asks for it, or for the columns
//! of all tables.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use datafusion::{
    catalog::{CatalogProvider, MemoryCatalogProvider, SchemaProvider, TableProvider},
    error::{DataFusionError, Result},
    logical_expr::TableType,
};
use hurtig_catalog::{CatalogFile, TableName, table::DEFAULT_DATABASE};

use super::{Tables, catalog, tables::NAMES};

/// The schema with the job's own tables.
pub(super) const OWN: &str = "public";

/// The job's own tables as one schema, the databases of the catalog's file as the others, and what a session adds.
#[derive(Debug)]
pub(super) struct LiveCatalog {
    own: Arc<LiveSchema>,
    file: Option<PathBuf>,
    added: MemoryCatalogProvider,
}

/// One schema.
#[derive(Debug)]
struct LiveSchema {
    own: Option<(Tables, usize)>,
    file: Option<PathBuf>,
    database: String,
}

impl LiveCatalog {
    /// Of these tables, read by so many threads, and of those in the catalog's file.
    pub fn new(tables: Tables, partitions: usize, file: Option<PathBuf>) -> Self {
        let own =
            LiveSchema { own: Some((tables, partitions)), file: file.clone(), database: DEFAULT_DATABASE.to_owned() };
        LiveCatalog { own: Arc::new(own), file, added: MemoryCatalogProvider::new() }
    }

    fn databases(&self) -> BTreeSet<String> {
        // A file that cannot be read is an error for who asks for a table in it.
        self.file.as_deref().and_then(|file| catalog::databases(file).ok()).unwrap_or_default()
    }
}

impl CatalogProvider for LiveCatalog {
    fn schema_names(&self) -> Vec<String> {
        let mut names = vec![OWN.to_owned()];
        names.extend(self.databases());
        names.extend(self.added.schema_names());
        names
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        if name == OWN {
            return Some(self.own.clone());
        }
        if let Some(added) = self.added.schema(name) {
            return Some(added);
        }
        self.file.as_ref()?;
        let schema = LiveSchema { own: None, file: self.file.clone(), database: name.to_owned() };
        Some(Arc::new(schema))
    }

    fn register_schema(&self, name: &str, schema: Arc<dyn SchemaProvider>) -> Result<Option<Arc<dyn SchemaProvider>>> {
        self.added.register_schema(name, schema)
    }
}

impl LiveSchema {
    fn is_own(&self, name: &str) -> bool {
        self.own.is_some() && NAMES.contains(&name)
    }

    fn created(&self, file: &Path) -> Vec<String> {
        CatalogFile::new(file).tables(&self.database).unwrap_or_default()
    }
}

#[async_trait]
impl SchemaProvider for LiveSchema {
    fn table_names(&self) -> Vec<String> {
        let mut names: Vec<String> = match self.own {
            Some(_) => NAMES.map(str::to_owned).into(),
            None => Vec::new(),
        };
        let created = self.file.as_deref().map(|file| self.created(file)).unwrap_or_default();
        names.extend(created.into_iter().filter(|name| !self.is_own(name)));
        names
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        if let Some((tables, partitions)) = &self.own
            && let Some(table) = tables.open(name, *partitions).await?
        {
            return Ok(Some(table));
        }
        let Some(file) = &self.file else { return Ok(None) };
        Ok(catalog::open(file, &TableName::new(self.database.as_str(), name)).await?)
    }

    /// Nobody need open a table to list it.
    async fn table_type(&self, name: &str) -> Result<Option<TableType>> {
        Ok(self.table_exist(name).then_some(TableType::Base))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.is_own(name)
            || self.file.as_deref().is_some_and(|file| self.created(file).iter().any(|table| table == name))
    }
}
