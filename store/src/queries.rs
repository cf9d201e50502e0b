//! Timestream's SQL over the store.

use std::{collections::BTreeMap, sync::Arc};

use datafusion::catalog::TableProvider;
use futures::FutureExt;
use hurtig_timestream_sql::{
    Catalog, Engine, EngineOptions, Execution, Prepared,
    catalog::{AttributeType, CatalogFuture, Column, Measure},
};

use crate::{
    error::Error,
    query::{LastPoints, StoreTable},
    schema::{MEASURE_NAME, TIME},
    store::Store,
    unload::{Unload, UnloadPlace},
    value::MeasureType,
};

/// Runs queries over a store. It is cheap to clone.
#[derive(Debug, Clone)]
pub struct Queries {
    engine: Engine,
    unload: Option<UnloadPlace>,
}

impl Queries {
    /// Queries over `store`; `options` say what each may use.
    ///
    /// # Errors
    /// What DataFusion cannot set up (a directory to spill to).
    pub fn new(store: &Store, options: EngineOptions) -> hurtig_timestream_sql::Result<Self> {
        let engine = Engine::new(Arc::new(StoreCatalog(store.clone())), store.clock(), options)?;
        Ok(Queries { engine: engine.with_optimizer_rule(Arc::new(LastPoints)), unload: None })
    }

    /// The same, where UNLOAD may write somewhere.
    pub fn with_unload(mut self, place: UnloadPlace) -> Self {
        self.unload = Some(place);
        self
    }

    /// Makes ready to write an UNLOAD's result; `id` is in all its files' names, and no other UNLOAD's.
    ///
    /// # Errors
    /// When it may not write there, or nowhere at all; a result that cannot be written as it says.
    pub fn unload(&self, id: &str, statement: Prepared) -> hurtig_timestream_sql::Result<Unload> {
        let Some(place) = &self.unload else {
            return Err(hurtig_timestream_sql::Error::validation(
                "UNLOAD has nowhere to write: this server was not given a place for it (--unload-to)",
            ));
        };
        Unload::new(place, id, statement)
    }

    /// Plans a statement.
    ///
    /// # Errors
    /// A statement that is wrong.
    pub async fn prepare(&self, sql: &str) -> hurtig_timestream_sql::Result<Prepared> {
        self.engine.prepare(sql).await
    }

    /// Plans a scheduled query's statement, whose `@scheduled_runtime` is in nanoseconds since 1970.
    ///
    /// # Errors
    /// A statement that is wrong.
    pub async fn prepare_scheduled(&self, sql: &str, runtime: i64) -> hurtig_timestream_sql::Result<Prepared> {
        self.engine.prepare_scheduled(sql, runtime).await
    }

    /// Starts a statement: its rows come as a stream, and dropping that ends it.
    ///
    /// # Errors
    /// A statement that is wrong.
    pub async fn execute(&self, sql: &str) -> hurtig_timestream_sql::Result<Execution> {
        self.engine.execute(sql).await
    }
}

/// The store's databases and tables.
#[derive(Debug)]
struct StoreCatalog(Store);

/// None for what is not there.
fn found<T>(result: Result<T, Error>) -> Result<Option<T>, hurtig_timestream_sql::catalog::CatalogError> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(Error::NotFound(_)) => Ok(None),
        Err(e) => Err(Box::new(e)),
    }
}

impl Catalog for StoreCatalog {
    fn databases(&self) -> CatalogFuture<'_, Vec<String>> {
        async { Ok(self.0.databases().into_iter().map(|(name, _)| name).collect()) }.boxed()
    }

    fn tables<'a>(&'a self, database: &'a str) -> CatalogFuture<'a, Option<Vec<String>>> {
        let tables = self.0.tables(Some(database));
        async { Ok(found(tables)?.map(|tables| tables.into_iter().map(|(_, name, _)| name).collect())) }.boxed()
    }

    fn describe<'a>(&'a self, database: &'a str, table: &'a str) -> CatalogFuture<'a, Option<Vec<Column>>> {
        async move {
            let Some(table) = found(self.0.table(database, table))? else { return Ok(None) };
            let column = |name: &str, data_type: &str, attribute_type| Column {
                name: name.to_owned(),
                data_type: data_type.to_owned(),
                attribute_type,
            };
            let mut all: Vec<Column> = Vec::new();
            for name in table.registry().read().dimension_names() {
                all.push(column(name, "varchar", AttributeType::Dimension));
            }
            all.push(column(MEASURE_NAME, "varchar", AttributeType::MeasureName));
            all.push(column(TIME, "timestamp", AttributeType::Timestamp));
            for def in table.columns().read().all() {
                let single = MeasureType::ALL.iter().any(|t| t.single_column() == def.name);
                let attribute = if single { AttributeType::MeasureValue } else { AttributeType::Multi };
                all.push(column(&def.name, def.measure_type.sql_name(), attribute));
            }
            Ok(Some(all))
        }
        .boxed()
    }

    fn measures<'a>(&'a self, database: &'a str, table: &'a str) -> CatalogFuture<'a, Option<Vec<Measure>>> {
        async move {
            let Some(table) = found(self.0.table(database, table))? else { return Ok(None) };
            let registry = table.registry().read();
            let mut measures: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
            for series in registry.all().iter() {
                let data_type = series.measure_type.map_or("multi", MeasureType::sql_name);
                let dimensions = measures.entry((&series.measure_name, data_type)).or_default();
                for (name, _) in &series.dimensions {
                    if !dimensions.contains(&name.as_str()) {
                        dimensions.push(name);
                    }
                }
            }
            let measure = |((name, data_type), dimensions): ((&str, &str), Vec<&str>)| Measure {
                name: name.to_owned(),
                data_type: data_type.to_owned(),
                dimensions: dimensions.into_iter().map(|d| (d.to_owned(), "varchar".to_owned())).collect(),
            };
            Ok(Some(measures.into_iter().map(measure).collect()))
        }
        .boxed()
    }

    fn table<'a>(&'a self, database: &'a str, table: &'a str) -> CatalogFuture<'a, Option<Arc<dyn TableProvider>>> {
        async move {
            let table = found(StoreTable::new(&self.0, database, table))?;
            Ok(table.map(|table| Arc::new(table) as Arc<dyn TableProvider>))
        }
        .boxed()
    }
}
