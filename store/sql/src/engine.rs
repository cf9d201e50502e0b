//! The engine: a query's text in, a stream of record batches out.

use std::sync::Arc;

use arrow::{
    array::{RecordBatch, RecordBatchOptions},
    datatypes::{Field, Schema, SchemaRef},
};
use datafusion::{
    catalog::CatalogProviderList,
    catalog::{
        CatalogProvider, MemoryCatalogProvider, MemoryCatalogProviderList, MemorySchemaProvider, SchemaProvider,
    },
    execution::{
        SendableRecordBatchStream, SessionState, SessionStateBuilder,
        disk_manager::{DiskManagerBuilder, DiskManagerMode},
        memory_pool::{FairSpillPool, TrackConsumersPool},
        runtime_env::RuntimeEnvBuilder,
    },
    logical_expr::{LogicalPlan, ScalarUDF},
    optimizer::OptimizerRule,
    physical_plan::{ExecutionPlan, execute_stream, stream::RecordBatchStreamAdapter},
    prelude::SessionConfig,
    sql::{parser, sqlparser::ast},
};
use futures::{Stream, StreamExt, stream};
use hurtig_state::Clock;

use crate::{
    catalog::Catalog,
    column_info::{ColumnInfo, column_infos},
    error::{Error, Result},
    functions,
    names::{self, Spelling},
    rewrite, show,
    statement::{self, Statement},
    tokens,
    unload::UnloadOptions,
    unnest::UnnestPlanner,
};

/// Where the catalog is, in DataFusion's terms.
const CATALOG: &str = "timestream";

/// What the engine may use.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// On how many partitions, and so at most threads, a query works at once.
    pub target_partitions: usize,
    /// How much memory one query may use, in bytes. Sorts and groups that need more fail, or go to disk when
    /// `spill_dir` is given.
    pub memory_limit_bytes: usize,
    /// Where queries may put what does not fit into memory; nowhere when `None`.
    pub spill_dir: Option<std::path::PathBuf>,
    /// How many rows a batch has at most.
    pub batch_size: usize,
}

impl Default for EngineOptions {
    /// Two partitions, 256 MiB a query, no disk, batches of 8,192 rows.
    fn default() -> Self {
        EngineOptions { target_partitions: 2, memory_limit_bytes: 256 << 20, spill_dir: None, batch_size: 8_192 }
    }
}

/// Runs Timestream's SQL over a [`Catalog`].
#[derive(Clone)]
pub struct Engine {
    catalog: Arc<dyn Catalog>,
    clock: Arc<dyn Clock>,
    options: EngineOptions,
    base: SessionState,
    functions: Vec<Arc<ScalarUDF>>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("catalog", &self.catalog).field("options", &self.options).finish_non_exhaustive()
    }
}

/// A planned statement.
#[derive(Debug)]
pub struct Prepared {
    columns: Vec<ColumnInfo>,
    action: Action,
}

#[derive(Debug)]
enum Action {
    Rows(RecordBatch),
    Query { plan: LogicalPlan, names: Vec<String>, state: Box<SessionState>, limit: usize },
    Unload { query: Box<Prepared>, options: UnloadOptions },
}

/// A running query: batches as they come. Dropping it cancels the query.
pub struct Execution {
    columns: Vec<ColumnInfo>,
    stream: SendableRecordBatchStream,
    limit: usize,
}

impl std::fmt::Debug for Execution {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Execution").field("columns", &self.columns).finish_non_exhaustive()
    }
}

impl Engine {
    /// An engine over `catalog`. `clock` is what `now()` and `ago()` read, once a query.
    pub fn new(catalog: Arc<dyn Catalog>, clock: Arc<dyn Clock>, options: EngineOptions) -> Result<Self> {
        let mut config = SessionConfig::new()
            .with_target_partitions(options.target_partitions.max(1))
            .with_batch_size(options.batch_size.max(1))
            .with_information_schema(false)
            .with_create_default_catalog_and_schema(false)
            .with_default_catalog_and_schema(CATALOG, "public");
        let sql = &mut config.options_mut().sql_parser;
        sql.map_string_types_to_utf8view = false;
        sql.collect_spans = true;
        sql.default_null_ordering = "nulls_last".to_owned();
        let disk = DiskManagerBuilder::default().with_mode(match &options.spill_dir {
            Some(dir) => DiskManagerMode::Directories(vec![dir.clone()]),
            None => DiskManagerMode::Disabled,
        });
        let runtime = RuntimeEnvBuilder::new()
            .with_disk_manager_builder(disk)
            .build_arc()
            .map_err(|e| Error::Execution(Box::new(e)))?;
        let mut builder =
            SessionStateBuilder::new().with_config(config).with_runtime_env(runtime).with_default_features();
        builder
            .scalar_functions()
            .get_or_insert_default()
            .extend(datafusion_functions_nested::all_default_nested_functions());
        builder.higher_order_functions().get_or_insert_default().extend(functions::higher_order_functions());
        builder.aggregate_functions().get_or_insert_default().extend(functions::aggregate_functions());
        let planners = builder.expr_planners().get_or_insert_default();
        planners.insert(0, Arc::new(datafusion_functions_nested::planner::FieldAccessPlanner));
        planners.insert(0, Arc::new(datafusion_functions_nested::planner::NestedFunctionPlanner));
        Ok(Engine { catalog, clock, options, base: builder.build(), functions: functions::scalar_functions() })
    }

    /// The same engine with a rule more, behind all others: who keeps the tables may know a shorter way to an answer.
    pub fn with_optimizer_rule(mut self, rule: Arc<dyn OptimizerRule + Send + Sync>) -> Self {
        self.base = SessionStateBuilder::new_from_existing(self.base).with_optimizer_rule(rule).build();
        self
    }

    /// Parses and plans a statement. Its `now()` is the clock's time here.
    ///
    /// # Errors
    ///
    /// [`Error::Validation`] and [`Error::NotFound`] when the statement is wrong.
    pub async fn prepare(&self, sql: &str) -> Result<Prepared> {
        self.prepare_tokens(tokens::tokenize(sql)?).await
    }

    /// As [`prepare`](Self::prepare), for a scheduled query: its `@scheduled_runtime` is `runtime`, in nanoseconds since
    /// 1970.
    ///
    /// # Errors
    ///
    /// As [`prepare`](Self::prepare).
    pub async fn prepare_scheduled(&self, sql: &str, runtime: i64) -> Result<Prepared> {
        let tokens = tokens::tokenize(sql)?;
        self.prepare_tokens(tokens::with_scheduled_runtime(tokens, runtime)).await
    }

    async fn prepare_tokens(
        &self,
        tokens: Vec<datafusion::sql::sqlparser::tokenizer::TokenWithSpan>,
    ) -> Result<Prepared> {
        let catalog = self.catalog.as_ref();
        let batch = match statement::parse(tokens.clone())? {
            Statement::Query(query) => return self.plan(&query, tokens).await,
            Statement::Unload { query, options } => {
                let query = Box::new(self.plan(&query, tokens).await?);
                let columns = ["rows", "metadataFile", "manifestFile"].map(|name| {
                    let scalar = if name == "rows" {
                        crate::column_info::ScalarType::Bigint
                    } else {
                        crate::column_info::ScalarType::Varchar
                    };
                    ColumnInfo::named(name, crate::column_info::Type::Scalar(scalar))
                });
                return Ok(Prepared { columns: columns.to_vec(), action: Action::Unload { query, options } });
            }
            Statement::ShowDatabases { like } => show::databases(catalog, like.as_deref()).await?,
            Statement::ShowTables { database, like } => show::tables(catalog, &database, like.as_deref()).await?,
            Statement::ShowMeasures { database, table, like } => {
                show::measures(catalog, &database, &table, like.as_deref()).await?
            }
            Statement::Describe { database, table } => show::describe(catalog, &database, &table).await?,
        };
        Ok(Prepared { columns: column_infos(&batch.schema()), action: Action::Rows(batch) })
    }

    /// Prepares and starts a statement.
    ///
    /// # Errors
    ///
    /// As [`prepare`](Self::prepare); what goes wrong later comes in the stream.
    pub async fn execute(&self, sql: &str) -> Result<Execution> {
        self.prepare(sql).await?.execute().await
    }

    async fn plan(
        &self,
        written: &ast::Query,
        mut tokens: Vec<datafusion::sql::sqlparser::tokenizer::TokenWithSpan>,
    ) -> Result<Prepared> {
        let limit = self.options.memory_limit_bytes;
        let (mut spelling, mut tables) = (Spelling::default(), Vec::new());
        for (database, table) in names::tables_of(written)? {
            let (found, name) = names::table(self.catalog.as_ref(), &database, &table).await?;
            let provider = self.catalog.table(&found, &name).await.map_err(Error::Catalog)?;
            let Some(provider) = provider else {
                return Err(table.not_found(format!("Table '{found}.{name}' does not exist")));
            };
            provider.schema().fields().iter().for_each(|field| spelling.add(field.name()));
            tables.push((database, table, (found, name), provider));
        }
        spelling.apply(&mut tokens);
        let mut query = match statement::parse(tokens)? {
            Statement::Query(query) | Statement::Unload { query, .. } => query,
            _ => return Err(Error::validation("not a query")),
        };
        let rewrite::Rewritten { names, has_lambdas } = rewrite::rewrite(&mut query, written)?;

        let catalog = MemoryCatalogProvider::new();
        let mut registered = std::collections::HashMap::new();
        for (database, table, found, provider) in tables {
            let key = (spelling.of(&database.text), spelling.of(&table.text));
            if registered.insert(key.clone(), found.clone()).is_some_and(|other| other != found) {
                return Err(table.error(format!("Table '{}' differs from another one only in case", table.text)));
            }
            let schema = match catalog.schema(&key.0) {
                Some(schema) => schema,
                None => {
                    let schema: Arc<dyn SchemaProvider> = Arc::new(MemorySchemaProvider::new());
                    catalog.register_schema(&key.0, schema.clone()).map_err(|e| Error::of_planning(e, limit))?;
                    schema
                }
            };
            if !schema.table_exist(&key.1) {
                schema.register_table(key.1, provider).map_err(|e| Error::of_planning(e, limit))?;
            }
        }
        let state = self.state(catalog, spelling, has_lambdas)?;
        let statement = parser::Statement::Statement(Box::new(ast::Statement::Query(query)));
        let plan = state.statement_to_plan(statement).await.map_err(|e| Error::of_planning(e, limit))?;
        let plan = state.optimize(&plan).map_err(|e| Error::of_planning(e, limit))?;
        let fields = plan.schema().fields();
        let names = match names {
            Some(names) if names.len() == fields.len() => names,
            _ => fields.iter().map(|field| field.name().clone()).collect(),
        };
        let mut columns = column_infos(plan.schema().as_arrow());
        for (column, name) in columns.iter_mut().zip(&names) {
            column.name = Some(name.clone());
        }
        Ok(Prepared { columns, action: Action::Query { plan, names, state: Box::new(state), limit } })
    }

    /// What one query plans and runs in: its tables, its memory, its time.
    fn state(&self, catalog: MemoryCatalogProvider, spelling: Spelling, has_lambdas: bool) -> Result<SessionState> {
        let catalogs = MemoryCatalogProviderList::new();
        catalogs.register_catalog(CATALOG.to_owned(), Arc::new(catalog));
        // The error of the one says which of the operators have how much.
        let consumers = std::num::NonZeroUsize::MIN.saturating_add(2);
        let pool = TrackConsumersPool::new(FairSpillPool::new(self.options.memory_limit_bytes), consumers);
        let runtime = RuntimeEnvBuilder::from_runtime_env(self.base.runtime_env())
            .with_memory_pool(Arc::new(pool))
            .build_arc()
            .map_err(|e| Error::Execution(Box::new(e)))?;
        let now = self.clock.now_ms().saturating_mul(1_000_000);
        let mut builder = SessionStateBuilder::new_from_existing(self.base.clone())
            .with_runtime_env(runtime)
            .with_catalog_list(Arc::new(catalogs))
            .with_relation_planners(vec![Arc::new(UnnestPlanner { spelling })]);
        // Ours come last, and here: the state that is there gives its functions in any order, and some of DataFusion's
        // have aliases (`date_format`) that mean something else.
        let scalars = builder.scalar_functions().get_or_insert_default();
        scalars.extend(self.functions.iter().cloned());
        scalars.extend([functions::now(now), functions::ago(now)]);
        if has_lambdas {
            // This rule puts a projection upon another one without counting a lambda's parameters anew, which come
            // behind the input's columns. The logical plan's projections were merged before.
            let mut rules = self.base.physical_optimizers().to_vec();
            rules.retain(|rule| rule.name() != "ProjectionPushdown");
            builder = builder.with_physical_optimizer_rules(rules);
        }
        Ok(builder.build())
    }
}

impl Prepared {
    /// The result's columns.
    pub fn columns(&self) -> &[ColumnInfo] {
        &self.columns
    }

    /// What UNLOAD shall write, and how; `None` for all other statements.
    pub fn unload(&self) -> Option<(&Prepared, &UnloadOptions)> {
        match &self.action {
            Action::Unload { query, options } => Some((query, options)),
            _ => None,
        }
    }

    /// The same, to run the query.
    pub fn into_unload(self) -> Option<(Prepared, UnloadOptions)> {
        match self.action {
            Action::Unload { query, options } => Some((*query, options)),
            _ => None,
        }
    }

    /// The optimized logical plan, indented, for whoever wants to see what is read; `None` when nothing is.
    pub fn explain(&self) -> Option<String> {
        match &self.action {
            Action::Query { plan, .. } => Some(plan.display_indent().to_string()),
            Action::Unload { query, .. } => query.explain(),
            Action::Rows(_) => None,
        }
    }

    /// The physical plan.
    pub async fn physical_plan(&self) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let Action::Query { plan, state, limit, .. } = &self.action else { return Ok(None) };
        let plan = state.query_planner().create_physical_plan(plan, state.as_ref()).await;
        plan.map(Some).map_err(|e| Error::of_planning(e, *limit))
    }

    /// Starts it.
    ///
    /// # Errors
    ///
    /// UNLOAD is not run here: see [`into_unload`](Self::into_unload).
    pub async fn execute(self) -> Result<Execution> {
        let physical = self.physical_plan().await?;
        match (self.action, physical) {
            (Action::Rows(batch), _) => {
                let schema = batch.schema();
                let stream = RecordBatchStreamAdapter::new(schema, stream::iter([Ok(batch)]));
                Ok(Execution { columns: self.columns, stream: Box::pin(stream), limit: 0 })
            }
            (Action::Query { names, state, limit, .. }, Some(plan)) => {
                let stream = execute_stream(plan, state.task_ctx()).map_err(|e| Error::of_running(e, limit))?;
                Ok(Execution { columns: self.columns, stream: renamed(stream, &names), limit })
            }
            _ => Err(Error::validation("UNLOAD is not supported here")),
        }
    }
}

/// The stream with its columns called as the result's are.
fn renamed(stream: SendableRecordBatchStream, names: &[String]) -> SendableRecordBatchStream {
    let fields: Vec<Field> = stream
        .schema()
        .fields()
        .iter()
        .zip(names)
        .map(|(field, name)| field.as_ref().clone().with_name(name))
        .collect();
    let schema: SchemaRef = Arc::new(Schema::new(fields));
    let to = schema.clone();
    let batches = stream.map(move |batch| {
        let batch = batch?;
        let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        Ok(RecordBatch::try_new_with_options(to.clone(), batch.columns().to_vec(), &rows)?)
    });
    Box::pin(RecordBatchStreamAdapter::new(schema, batches))
}

impl Execution {
    /// The result's columns.
    pub fn columns(&self) -> &[ColumnInfo] {
        &self.columns
    }

    /// The batches' schema.
    pub fn schema(&self) -> SchemaRef {
        self.stream.schema()
    }

    /// The next batch.
    ///
    /// # Errors
    ///
    /// [`Error::MemoryLimit`] when the query needs more than it may; [`Error::Validation`] for what only the values
    /// show (division by zero).
    pub async fn next(&mut self) -> Result<Option<RecordBatch>> {
        self.stream.next().await.transpose().map_err(|e| Error::of_running(e, self.limit))
    }

    /// All batches.
    ///
    /// # Errors
    ///
    /// As [`next`](Self::next).
    pub async fn collect(mut self) -> Result<Vec<RecordBatch>> {
        let mut batches = Vec::new();
        while let Some(batch) = self.next().await? {
            batches.push(batch);
        }
        Ok(batches)
    }

    /// The batches as a stream.
    pub fn into_stream(self) -> impl Stream<Item = Result<RecordBatch>> + Send {
        let limit = self.limit;
        self.stream.map(move |batch| batch.map_err(|e| Error::of_running(e, limit)))
    }
}
