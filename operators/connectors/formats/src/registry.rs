//! A schema registry: schemas by id and by subject, over Confluent's REST API.
//!
//! Confluent, Karapace, Apicurio (below `/apis/ccompat/v7`) and Redpanda speak it. Requests block:
//! a format asks while a job is built, and afterwards once for every schema id that it meets.

mod builder;
mod http;

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};

pub use self::builder::SchemaRegistryBuilder;
use self::http::Http;
use crate::error::{Error, Result};

/// A client of a schema registry. Clones share its cache.
#[derive(Clone, Debug)]
pub struct SchemaRegistry(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    http: Http,
    /// A schema never changes once it has an id.
    by_id: Mutex<HashMap<u32, Arc<RegisteredSchema>>>,
}

/// The language of a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[non_exhaustive]
pub enum SchemaType {
    /// Avro, which the API leaves out.
    #[default]
    Avro,
    /// Protobuf.
    Protobuf,
    /// JSON Schema.
    Json,
}

/// What a schema imports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reference {
    /// What it is called there: a type's full name (Avro), a file's (Protobuf).
    pub name: String,
    /// The subject that has it.
    pub subject: String,
    /// Its version there.
    pub version: i32,
}

/// A schema as the registry has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RegisteredSchema {
    /// Its id; 0 where it is known by the question.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub id: u32,
    /// Its text.
    pub schema: String,
    /// Its language.
    #[serde(default, skip_serializing_if = "is_avro")]
    pub schema_type: SchemaType,
    /// What it imports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<Reference>,
    /// The texts of all it imports, whatever that imports first, by name.
    #[serde(skip)]
    pub imports: Vec<(String, String)>,
}

fn is_zero(id: &u32) -> bool {
    *id == 0
}

fn is_avro(kind: &SchemaType) -> bool {
    *kind == SchemaType::Avro
}

#[derive(Deserialize)]
struct Id {
    id: u32,
}

/// Imports of imports of imports; more is a circle.
const MAX_IMPORTS: usize = 32;

impl SchemaRegistry {
    /// The registry at `url`, such as `http://localhost:8081`; several, with commas between them, are
    /// asked one after the other. A user may stand in it: `https://key:secret@host`.
    pub fn new(url: &str) -> Result<Self> {
        Self::builder(url).build()
    }

    /// The same, with options.
    pub fn builder(url: &str) -> SchemaRegistryBuilder {
        SchemaRegistryBuilder::new(url)
    }

    fn with(http: Http) -> Self {
        SchemaRegistry(Arc::new(Inner { http, by_id: Mutex::default() }))
    }

    /// Its address, without credentials.
    pub fn url(&self) -> &str {
        self.0.http.url()
    }

    /// The schema `id`, from the cache if it was asked for before. `None`: there is no such id.
    pub fn schema(&self, id: u32) -> Result<Option<Arc<RegisteredSchema>>> {
        if let Some(schema) = self.cache().get(&id) {
            return Ok(Some(schema.clone()));
        }
        let Some(mut schema) = self.0.http.get::<RegisteredSchema>(&format!("/schemas/ids/{id}"))? else {
            return Ok(None);
        };
        schema.id = id;
        self.complete(schema).map(Some)
    }

    /// The newest schema of `subject`.
    pub fn latest(&self, subject: &str) -> Result<Arc<RegisteredSchema>> {
        let found = self.version(subject, "latest")?;
        self.complete(found)
    }

    /// Fetches all schemas of `subject`, so that a job that reads it need not ask on its way for those
    /// that are there at its start. Returns how many there are.
    pub fn prefetch(&self, subject: &str) -> Result<usize> {
        let versions: Option<Vec<i32>> = self.0.http.get(&format!("/subjects/{}/versions", http::escape(subject)))?;
        let versions = versions.unwrap_or_default();
        for version in &versions {
            let found = self.version(subject, &version.to_string())?;
            self.complete(found)?;
        }
        Ok(versions.len())
    }

    /// Gives the id of `schema` in `subject`, where it is registered if it is not there yet.
    pub fn register(&self, subject: &str, schema: &RegisteredSchema) -> Result<u32> {
        let body = RegisteredSchema { id: 0, ..schema.clone() };
        let id: Id = self.0.http.post(&format!("/subjects/{}/versions", http::escape(subject)), &body)?;
        Ok(id.id)
    }

    fn version(&self, subject: &str, version: &str) -> Result<RegisteredSchema> {
        let path = format!("/subjects/{}/versions/{version}", http::escape(subject));
        let found = self.0.http.get(&path)?;
        found.ok_or_else(|| Error::Registry {
            url: self.url().to_owned(),
            reason: format!(
                "subject '{subject}' has no version {version}; register its schema, or name another subject"
            ),
        })
    }

    /// Fetches what a schema imports, and keeps it.
    fn complete(&self, mut schema: RegisteredSchema) -> Result<Arc<RegisteredSchema>> {
        let (mut imports, mut seen) = (Vec::new(), HashSet::new());
        self.import(&schema.references, &mut imports, &mut seen, 0)?;
        schema.imports = imports;
        let schema = Arc::new(schema);
        self.cache().insert(schema.id, schema.clone());
        Ok(schema)
    }

    fn import(
        &self,
        references: &[Reference],
        imports: &mut Vec<(String, String)>,
        seen: &mut HashSet<String>,
        depth: usize,
    ) -> Result<()> {
        if depth > MAX_IMPORTS {
            let reason = "its references go in a circle".to_owned();
            return Err(Error::Registry { url: self.url().to_owned(), reason });
        }
        for reference in references {
            if !seen.insert(reference.name.clone()) {
                continue;
            }
            let found = self.version(&reference.subject, &reference.version.to_string())?;
            self.import(&found.references, imports, seen, depth + 1)?;
            imports.push((reference.name.clone(), found.schema));
        }
        Ok(())
    }

    fn cache(&self) -> std::sync::MutexGuard<'_, HashMap<u32, Arc<RegisteredSchema>>> {
        self.0.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
