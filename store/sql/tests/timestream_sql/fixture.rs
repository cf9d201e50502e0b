//! A catalog over tables in memory, and how a test asks.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use datafusion::{
    catalog::{Session, TableProvider},
    datasource::{MemTable, TableType},
    error::DataFusionError,
    logical_expr::{Expr, TableProviderFilterPushDown},
    physical_plan::ExecutionPlan,
};
use futures::FutureExt;
use hurtig_state::ManualClock;
use hurtig_timestream_sql::{
    Catalog, Engine, EngineOptions, Error,
    catalog::{AttributeType, CatalogFuture, Column, Measure},
    datum::{Datum, Row, rows},
};

/// 2024-01-01 00:00:00 UTC in milliseconds: every test's now.
pub const NOW_MS: i64 = 1_704_067_200_000;
pub const NOW_NS: i64 = NOW_MS * 1_000_000;
pub const SECOND: i64 = 1_000_000_000;

/// A table in memory that remembers which filters reached it.
#[derive(Debug)]
pub struct Table {
    memory: MemTable,
    pub filters: Arc<Mutex<Vec<String>>>,
    columns: Vec<Column>,
    measures: Vec<Measure>,
}

impl Table {
    pub fn new(batches: Vec<RecordBatch>) -> Self {
        let schema = batches[0].schema();
        // Several partitions, so that aggregates are merged.
        let partitions = batches.into_iter().map(|b| vec![b]).collect();
        let memory = MemTable::try_new(schema, partitions).expect("batches of one schema");
        Table { memory, filters: Arc::default(), columns: vec![], measures: vec![] }
    }

    pub fn described(mut self, columns: &[(&str, &str, AttributeType)], measures: Vec<Measure>) -> Self {
        self.columns = columns
            .iter()
            .map(|(name, data_type, attribute_type)| Column {
                name: (*name).to_owned(),
                data_type: (*data_type).to_owned(),
                attribute_type: *attribute_type,
            })
            .collect();
        self.measures = measures;
        self
    }
}

#[async_trait::async_trait]
impl TableProvider for Table {
    fn schema(&self) -> SchemaRef {
        self.memory.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        self.filters.lock().expect("lock").extend(filters.iter().map(Expr::to_string));
        self.memory.scan(state, projection, &[], limit).await
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>, DataFusionError> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }
}

#[derive(Debug, Default)]
pub struct Memory(pub BTreeMap<String, BTreeMap<String, Arc<Table>>>);

impl Memory {
    pub fn with(mut self, database: &str, table: &str, content: Table) -> Self {
        self.0.entry(database.to_owned()).or_default().insert(table.to_owned(), Arc::new(content));
        self
    }

    fn find(&self, database: &str, table: &str) -> Option<&Arc<Table>> {
        self.0.get(database)?.get(table)
    }
}

impl Catalog for Memory {
    fn databases(&self) -> CatalogFuture<'_, Vec<String>> {
        async { Ok(self.0.keys().cloned().collect()) }.boxed()
    }

    fn tables<'a>(&'a self, database: &'a str) -> CatalogFuture<'a, Option<Vec<String>>> {
        async move { Ok(self.0.get(database).map(|tables| tables.keys().cloned().collect())) }.boxed()
    }

    fn describe<'a>(&'a self, database: &'a str, table: &'a str) -> CatalogFuture<'a, Option<Vec<Column>>> {
        async move { Ok(self.find(database, table).map(|t| t.columns.clone())) }.boxed()
    }

    fn measures<'a>(&'a self, database: &'a str, table: &'a str) -> CatalogFuture<'a, Option<Vec<Measure>>> {
        async move { Ok(self.find(database, table).map(|t| t.measures.clone())) }.boxed()
    }

    fn table<'a>(&'a self, database: &'a str, table: &'a str) -> CatalogFuture<'a, Option<Arc<dyn TableProvider>>> {
        async move { Ok(self.find(database, table).map(|t| t.clone() as Arc<dyn TableProvider>)) }.boxed()
    }
}

pub fn engine(memory: Memory) -> Engine {
    engine_with(memory, EngineOptions::default())
}

pub fn engine_with(memory: Memory, options: EngineOptions) -> Engine {
    Engine::new(Arc::new(memory), Arc::new(ManualClock::new(NOW_MS)), options).expect("an engine")
}

/// A result: the columns' names, and the rows.
#[derive(Debug)]
pub struct Answer {
    pub names: Vec<String>,
    pub rows: Vec<Row>,
}

pub async fn try_ask(engine: &Engine, sql: &str) -> Result<Answer, Error> {
    let execution = engine.execute(sql).await?;
    let names = execution.columns().iter().map(|c| c.name.clone().expect("a name")).collect();
    let mut out = Vec::new();
    for batch in execution.collect().await? {
        out.extend(rows(&batch)?);
    }
    Ok(Answer { names, rows: out })
}

pub async fn ask(engine: &Engine, sql: &str) -> Answer {
    try_ask(engine, sql).await.unwrap_or_else(|e| panic!("{e}\n{sql}"))
}

/// The rows as texts, for comparing; a series as `time=value …`.
pub async fn table(engine: &Engine, sql: &str) -> Vec<Vec<String>> {
    ask(engine, sql).await.rows.iter().map(|row| row.data.iter().map(text).collect()).collect()
}

/// The one value of the one row.
pub async fn value(engine: &Engine, sql: &str) -> String {
    let mut rows = table(engine, sql).await;
    assert_eq!(rows.len(), 1, "{sql}");
    assert_eq!(rows[0].len(), 1, "{sql}");
    rows.remove(0).remove(0)
}

pub fn text(datum: &Datum) -> String {
    match datum {
        Datum::Scalar(text) => text.clone(),
        Datum::Null(_) => "NULL".to_owned(),
        Datum::Array(entries) => format!("[{}]", entries.iter().map(text).collect::<Vec<_>>().join(", ")),
        Datum::Row(row) => format!("({})", row.data.iter().map(text).collect::<Vec<_>>().join(", ")),
        Datum::TimeSeries(points) => {
            let points = points.iter().map(|p| format!("{}={}", &p.time[11..19], text(&p.value)));
            points.collect::<Vec<_>>().join(" ")
        }
    }
}
