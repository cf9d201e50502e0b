//! Databases and tables: made, changed, listed, deleted.

use std::{collections::BTreeMap, sync::Arc};

use super::Store;
use crate::{
    error::{Error, Result},
    manifest::{DatabaseMeta, Manifest, SeriesFile, TableMeta},
    retention::Retention,
    table::Table,
};

/// Databases of a store, and tables of all of them.
const DATABASES: usize = 500;
const TABLES: usize = 50_000;

/// What a table is made with.
#[derive(Debug, Clone, Default)]
pub struct NewTable {
    /// How long it keeps what.
    pub retention: Retention,
    /// What else is said of it; it is kept for whoever asks.
    pub properties: BTreeMap<String, String>,
}

impl Store {
    /// Makes a database.
    ///
    /// # Errors
    /// [`Error::Conflict`] when it is there; a name that cannot be one.
    pub fn create_database(&self, name: &str, kms_key: Option<String>) -> Result<DatabaseMeta> {
        check_name("database", name)?;
        let now = self.now_ms();
        self.change(|manifest| {
            if manifest.databases.contains_key(name) {
                return Err(Error::Conflict(format!("The database {name} already exists.")));
            }
            if manifest.databases.len() >= DATABASES {
                return Err(Error::QuotaExceeded(format!("The store has {DATABASES} databases already.")));
            }
            let meta = DatabaseMeta { created: now, updated: now, kms_key };
            manifest.databases.insert(name.into(), meta.clone());
            Ok(meta)
        })
    }

    /// Changes a database.
    ///
    /// # Errors
    /// [`Error::NotFound`]
    pub fn update_database(&self, name: &str, kms_key: Option<String>) -> Result<DatabaseMeta> {
        let now = self.now_ms();
        self.change(|manifest| {
            let meta = manifest.databases.get_mut(name).ok_or_else(|| no_database(name))?;
            (meta.updated, meta.kms_key) = (now, kms_key);
            Ok(meta.clone())
        })
    }

    /// Deletes a database that has no tables.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Validation`] when it has tables.
    pub fn delete_database(&self, name: &str) -> Result<()> {
        self.change(|manifest| {
            if !manifest.databases.contains_key(name) {
                return Err(no_database(name));
            }
            if manifest.tables.keys().any(|(database, _)| database == name) {
                return Err(Error::Validation(format!(
                    "The database {name} cannot be deleted: it has tables. Delete them first."
                )));
            }
            manifest.databases.remove(name);
            Ok(())
        })
    }

    /// All databases, by name.
    pub fn databases(&self) -> Vec<(String, DatabaseMeta)> {
        let manifest = self.inner.manifest.lock();
        manifest.databases.iter().map(|(name, meta)| (name.clone(), meta.clone())).collect()
    }

    /// A database.
    ///
    /// # Errors
    /// [`Error::NotFound`]
    pub fn database(&self, name: &str) -> Result<DatabaseMeta> {
        self.inner.manifest.lock().databases.get(name).cloned().ok_or_else(|| no_database(name))
    }

    /// Makes a table.
    ///
    /// # Errors
    /// [`Error::Conflict`] when it is there; [`Error::NotFound`] when its database is not; a retention or a name that cannot
    /// be.
    pub fn create_table(&self, database: &str, name: &str, new: NewTable) -> Result<TableMeta> {
        check_name("table", name)?;
        check_retention(&new.retention)?;
        let now = self.now_ms();
        let key = (database.to_owned(), name.to_owned());
        let meta = self.change(|manifest| {
            if !manifest.databases.contains_key(database) {
                return Err(no_database(database));
            }
            if manifest.tables.contains_key(&key) {
                return Err(Error::Conflict(format!("The table {name} already exists.")));
            }
            if manifest.tables.len() >= TABLES {
                return Err(Error::QuotaExceeded(format!("The store has {TABLES} tables already.")));
            }
            let meta = TableMeta {
                id: manifest.next_table,
                created: now,
                updated: now,
                retention: new.retention,
                properties: new.properties,
                columns: Vec::new(),
                series_bytes: 0,
                files: Vec::new(),
            };
            manifest.next_table += 1;
            manifest.tables.insert(key.clone(), meta.clone());
            Ok(meta)
        })?;
        let table = Arc::new(Table::new(meta.id, database, name, meta.retention));
        self.inner.tables.write().insert(key, table);
        Ok(meta)
    }

    /// Changes a table.
    ///
    /// # Errors
    /// [`Error::NotFound`]; a retention that cannot be.
    pub fn update_table(&self, database: &str, name: &str, change: impl FnOnce(&mut TableMeta)) -> Result<TableMeta> {
        let now = self.now_ms();
        let table = self.table(database, name)?;
        self.change(|manifest| {
            let key = (database.to_owned(), name.to_owned());
            let meta = manifest.tables.get_mut(&key).ok_or_else(|| no_table(name))?;
            change(meta);
            check_retention(&meta.retention)?;
            meta.updated = now;
            table.set_retention(meta.retention);
            Ok(meta.clone())
        })
    }

    /// Deletes a table with all that is in it.
    ///
    /// # Errors
    /// [`Error::NotFound`]
    pub fn delete_table(&self, database: &str, name: &str) -> Result<()> {
        let table = self.table(database, name)?;
        let key = (database.to_owned(), name.to_owned());
        self.change(|manifest| manifest.tables.remove(&key).map(|_| ()).ok_or_else(|| no_table(name)))?;
        self.inner.tables.write().remove(&key);
        self.inner.retire(table.files());
        SeriesFile::new(&self.inner.dir, table.id()).remove()
    }

    /// The tables of a database, by name; of all databases when none is named.
    ///
    /// # Errors
    /// [`Error::NotFound`]
    pub fn tables(&self, database: Option<&str>) -> Result<Vec<(String, String, TableMeta)>> {
        let manifest = self.inner.manifest.lock();
        if let Some(name) = database.filter(|name| !manifest.databases.contains_key(*name)) {
            return Err(no_database(name));
        }
        let is_wanted = |d: &str| database.is_none_or(|database| database == d);
        let all = manifest.tables.iter().filter(|((d, _), _)| is_wanted(d));
        Ok(all.map(|((d, name), meta)| (d.clone(), name.clone(), meta.clone())).collect())
    }

    /// What is known of a table.
    ///
    /// # Errors
    /// [`Error::NotFound`]
    pub fn table_meta(&self, database: &str, name: &str) -> Result<TableMeta> {
        self.table(database, name)?;
        let manifest = self.inner.manifest.lock();
        manifest.tables.get(&(database.to_owned(), name.to_owned())).cloned().ok_or_else(|| no_table(name))
    }

    /// Reads what the manifest says.
    pub fn with_manifest<T>(&self, read: impl FnOnce(&Manifest) -> T) -> T {
        read(&self.inner.manifest.lock())
    }

    /// Changes the manifest; it is on the disk when this returns. Nothing has changed when it fails.
    ///
    /// # Errors
    /// What `change` says; a disk that cannot be written; [`Error::ReadOnly`].
    pub fn change<T>(&self, change: impl FnOnce(&mut Manifest) -> Result<T>) -> Result<T> {
        self.writable()?;
        let mut manifest = self.inner.manifest.lock();
        let mut new = manifest.clone();
        let out = change(&mut new)?;
        new.save(&self.inner.dir)?;
        *manifest = new;
        Ok(out)
    }
}

fn no_database(name: &str) -> Error {
    Error::NotFound(format!("The database {name} does not exist."))
}

fn no_table(name: &str) -> Error {
    Error::NotFound(format!("The table {name} does not exist."))
}

fn check_name(what: &str, name: &str) -> Result<()> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if !(3..=256).contains(&name.len()) || !name.chars().all(is_name) {
        return Err(Error::Validation(format!(
            "'{name}' cannot be the name of a {what}: it must have 3 to 256 letters, digits, '_', '-' and '.'."
        )));
    }
    Ok(())
}

fn check_retention(retention: &Retention) -> Result<()> {
    if !(1..=8_766).contains(&retention.memory_hours) {
        return Err(Error::Validation(format!(
            "MemoryStoreRetentionPeriodInHours must be from 1 to 8766, and is {}.",
            retention.memory_hours
        )));
    }
    if !(1..=73_000).contains(&retention.magnetic_days) {
        return Err(Error::Validation(format!(
            "MagneticStoreRetentionPeriodInDays must be from 1 to 73000, and is {}.",
            retention.magnetic_days
        )));
    }
    Ok(())
}
