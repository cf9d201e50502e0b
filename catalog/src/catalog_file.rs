//! The tables that are known, in one small file: the DDL of each, by database and name.
//!
//! The file is replaced as a whole, durably, while a lock beside it is held, so that writers in several processes lose
//! none of each other's tables and a reader sees the file of before or after.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use datafusion::{
    catalog::{CatalogProvider, MemorySchemaProvider},
    common::DataFusionError,
    prelude::SessionContext,
};
use hurtig_state::Clock;
use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, Result},
    file_table::{FileTable, ScanOptions},
    location::ObjectStores,
    statement::Statement,
    table::{DEFAULT_DATABASE, Table, TableName},
};

/// The file's form. A later one may hold more.
const VERSION: u32 = 1;

/// A catalog in a file; a file that is not there is an empty catalog.
#[derive(Debug, Clone)]
pub struct CatalogFile {
    path: PathBuf,
}

/// What a statement has done.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The table is there now. Notes say what was read although Athena would refuse it.
    Created {
        /// A line each.
        notes: Vec<String>,
    },
    /// `IF NOT EXISTS`, and it was there.
    AlreadyThere,
    /// The table is gone. Its files are where they were.
    Dropped,
    /// `IF EXISTS`, and it was not there.
    NotThere,
    /// `SHOW TABLES`: the names, in order.
    Tables(Vec<String>),
    /// `SHOW CREATE TABLE`
    Ddl(String),
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Content {
    version: u32,
    /// By database, by table: the DDL.
    databases: BTreeMap<String, BTreeMap<String, String>>,
}

impl CatalogFile {
    /// The catalog in this file.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        CatalogFile { path: path.into() }
    }

    /// Does what a statement says. Relative locations of a new table begin in `base`.
    ///
    /// # Errors
    ///
    /// [`Error::TableExists`], [`Error::TableNotFound`], and what keeps the file from being read or written.
    pub fn run(&self, statement: Statement, base: &Path) -> Result<Outcome> {
        match statement {
            Statement::CreateTable { mut table, if_not_exists, notes } => {
                table.rebase(base);
                Ok(if self.create(&table, if_not_exists)? { Outcome::Created { notes } } else { Outcome::AlreadyThere })
            }
            Statement::DropTable { name, if_exists } => {
                Ok(if self.drop_table(&name, if_exists)? { Outcome::Dropped } else { Outcome::NotThere })
            }
            Statement::ShowTables { database, pattern } => {
                let mut names = self.tables(database.as_deref().unwrap_or(DEFAULT_DATABASE))?;
                if let Some(pattern) = pattern {
                    names.retain(|name| pattern.split('|').any(|one| is_like(name, &one.trim().to_lowercase())));
                }
                Ok(Outcome::Tables(names))
            }
            Statement::ShowCreateTable { name } => Ok(Outcome::Ddl(self.table(&name)?.to_ddl())),
        }
    }

    /// Adds a table; `false` when it is there and may be.
    ///
    /// # Errors
    ///
    /// [`Error::TableExists`], and what [`Table::check`] and [`Table::check_places`] find.
    pub fn create(&self, table: &Table, if_not_exists: bool) -> Result<bool> {
        table.check()?;
        table.check_places()?;
        self.change(|content| {
            let tables = content.databases.entry(table.name.database.clone()).or_default();
            if tables.contains_key(&table.name.table) {
                return if if_not_exists { Ok(false) } else { Err(Error::TableExists(table.name.to_string())) };
            }
            tables.insert(table.name.table.clone(), table.to_ddl());
            Ok(true)
        })
    }

    /// Takes a table out; `false` when it is not there and need not be. Its files stay.
    ///
    /// # Errors
    ///
    /// [`Error::TableNotFound`].
    pub fn drop_table(&self, name: &TableName, if_exists: bool) -> Result<bool> {
        self.change(|content| {
            let tables = content.databases.get_mut(&name.database);
            let dropped = tables.and_then(|tables| tables.remove(&name.table)).is_some();
            content.databases.retain(|_, tables| !tables.is_empty());
            if dropped || if_exists { Ok(dropped) } else { Err(Error::TableNotFound(name.to_string())) }
        })
    }

    /// A table.
    ///
    /// # Errors
    ///
    /// [`Error::TableNotFound`], [`Error::CatalogDamaged`].
    pub fn table(&self, name: &TableName) -> Result<Table> {
        let content = self.read()?;
        match content.databases.get(&name.database).and_then(|tables| tables.get(&name.table)) {
            Some(ddl) => self.parsed(name, ddl),
            None => Err(Error::TableNotFound(name.to_string())),
        }
    }

    /// The names of a database's tables, in order.
    ///
    /// # Errors
    ///
    /// [`Error::CatalogDamaged`], [`Error::CatalogIo`].
    pub fn tables(&self, database: &str) -> Result<Vec<String>> {
        Ok(self.read()?.databases.remove(database).unwrap_or_default().into_keys().collect())
    }

    /// All tables.
    ///
    /// # Errors
    ///
    /// [`Error::CatalogDamaged`], [`Error::CatalogIo`].
    pub fn all(&self) -> Result<Vec<Table>> {
        let content = self.read()?;
        let of = |database: &String, (table, ddl): (&String, &String)| {
            self.parsed(&TableName::new(database.as_str(), table.as_str()), ddl)
        };
        content
            .databases
            .iter()
            .flat_map(|(database, tables)| tables.iter().map(|one| of(database, one)).collect::<Vec<_>>())
            .collect()
    }

    /// Makes all tables known to a session: `database.table`, and those of the database `default` by their names alone,
    /// where the session has no table of that name. [Delta Lake tables](Table::is_delta) are left to who can read them.
    ///
    /// # Errors
    ///
    /// [`Error::CatalogDamaged`], [`Error::CatalogIo`], and what [`FileTable::new`] finds.
    pub fn register(
        &self,
        session: &SessionContext,
        stores: Arc<dyn ObjectStores>,
        clock: Arc<dyn Clock>,
        options: &ScanOptions,
    ) -> Result<()> {
        let state = session.state();
        let defaults = &state.config_options().catalog;
        let catalog = session.catalog(&defaults.default_catalog);
        let catalog: Arc<dyn CatalogProvider> =
            catalog.ok_or_else(|| DataFusionError::Plan("the session has no catalog".into()))?;
        for table in self.all()?.into_iter().filter(|table| !table.is_delta()) {
            let name = table.name.clone();
            let provider = Arc::new(FileTable::new(table, stores.clone(), clock.clone(), options.clone())?);
            if catalog.schema(&name.database).is_none() {
                catalog.register_schema(&name.database, Arc::new(MemorySchemaProvider::new()))?;
            }
            let alone = (name.database == DEFAULT_DATABASE).then_some(defaults.default_schema.as_str());
            for schema in [Some(name.database.as_str()), alone].into_iter().flatten() {
                if let Some(schema) = catalog.schema(schema)
                    && !schema.table_exist(&name.table)
                {
                    schema.register_table(name.table.clone(), provider.clone())?;
                }
            }
        }
        Ok(())
    }

    fn parsed(&self, name: &TableName, ddl: &str) -> Result<Table> {
        let damaged = |reason: String| Error::CatalogDamaged { path: self.path.clone(), reason };
        let table = Statement::parse_table(ddl).map_err(|e| damaged(format!("table {name}: {e}")))?;
        if table.name != *name {
            return Err(damaged(format!("table {name} has the DDL of {}", table.name)));
        }
        Ok(table)
    }

    fn read(&self) -> Result<Content> {
        let bytes = match fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Content { version: VERSION, ..Content::default() }),
            Err(reason) => return Err(self.failed("read", reason)),
        };
        let damaged = |reason: String| Error::CatalogDamaged { path: self.path.clone(), reason };
        let content: Content = serde_json::from_slice(&bytes).map_err(|e| damaged(e.to_string()))?;
        if content.version != VERSION {
            return Err(damaged(format!("it is of version {}, and this reads version {VERSION}", content.version)));
        }
        Ok(content)
    }

    /// Reads, changes and writes while nobody else does. What is not changed is not written.
    fn change(&self, change: impl FnOnce(&mut Content) -> Result<bool>) -> Result<bool> {
        let directory = match self.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        fs::create_dir_all(directory).map_err(|e| self.failed("written", e))?;
        let mut lock = self.path.clone().into_os_string();
        lock.push(".lock");
        // The lock goes with the process, so none is left behind by one that dies. The file stays: who removes it would
        // let two others lock two different ones.
        let lock = File::options().create(true).truncate(false).write(true).open(lock);
        let lock = lock.map_err(|e| self.failed("locked", e))?;
        lock.lock().map_err(|e| self.failed("locked", e))?;
        let mut content = self.read()?;
        let changed = change(&mut content)?;
        if changed {
            self.write(&content, directory).map_err(|e| self.failed("written", e))?;
        }
        Ok(changed)
    }

    fn write(&self, content: &Content, directory: &Path) -> std::io::Result<()> {
        // One name is enough: who writes holds the lock.
        let mut new = self.path.clone().into_os_string();
        new.push(".new");
        let mut file = File::create(&new)?;
        let mut text = serde_json::to_vec_pretty(content)?;
        text.push(b'\n');
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        File::open(directory)?.sync_all()
    }

    fn failed(&self, action: &'static str, reason: std::io::Error) -> Error {
        Error::CatalogIo { path: self.path.clone(), action, reason }
    }
}

/// Whether a name is like a pattern, in which `*` stands for anything.
fn is_like(name: &str, pattern: &str) -> bool {
    match pattern.split_once('*') {
        None => name == pattern,
        Some((before, rest)) => name.strip_prefix(before).is_some_and(|name| {
            (0..=name.len()).filter(|at| name.is_char_boundary(*at)).any(|at| is_like(&name[at..], rest))
        }),
    }
}
