//! Amazon resource names: what databases, tables and scheduled queries are called from outside.

use super::fault::Fault;

/// Says what things are called.
#[derive(Debug, Clone)]
pub struct Arns {
    prefix: String,
}

/// What a name is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resource {
    Database(String),
    Table(String, String),
    /// By the last part of its name, which may have slashes in it.
    ScheduledQuery(String),
}

impl Arns {
    /// Of a region and an account.
    pub fn new(region: &str, account: &str) -> Self {
        Arns { prefix: format!("arn:aws:timestream:{region}:{account}:") }
    }

    /// A database's.
    pub fn database(&self, name: &str) -> String {
        format!("{}database/{name}", self.prefix)
    }

    /// A table's.
    pub fn table(&self, database: &str, name: &str) -> String {
        format!("{}database/{database}/table/{name}", self.prefix)
    }

    /// A scheduled query's.
    pub fn scheduled_query(&self, id: &str) -> String {
        format!("{}scheduled-query/{id}", self.prefix)
    }

    /// What a name is of.
    pub fn resource(&self, arn: &str) -> Result<Resource, Fault> {
        let path = arn.strip_prefix(&self.prefix).unwrap_or_default();
        if let Some(id) = path.strip_prefix("scheduled-query/") {
            return Ok(Resource::ScheduledQuery(id.into()));
        }
        match path.split('/').collect::<Vec<_>>()[..] {
            ["database", name] => Ok(Resource::Database(name.into())),
            ["database", database, "table", name] => Ok(Resource::Table(database.into(), name.into())),
            _ => Err(Fault::validation(format!(
                "'{arn}' is no name of a resource here: they begin with {}",
                self.prefix
            ))),
        }
    }
}
