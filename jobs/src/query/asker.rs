//! The job's tables for insights: asked from within a process that has other work, on threads of their own.

use std::{io, sync::Arc};

use async_trait::async_trait;
use datafusion::{
    arrow::array::RecordBatch,
    error::DataFusionError,
    execution::{context::SQLOptions, runtime_env::RuntimeEnv},
};
use hurtig_insights::{Ask, Error};
use tokio::{
    runtime::{Builder, Runtime},
    task::JoinSet,
};

use super::{Query, QueryError};

/// Answers statements one after the other or at once, within one bound of memory. Its threads end with it.
#[derive(Debug)]
pub struct Asker {
    query: Query,
    memory: Arc<RuntimeEnv>,
    /// Taken when it is dropped.
    threads: Option<Runtime>,
}

impl Asker {
    /// Over a query's tables, with its memory and its threads.
    ///
    /// # Errors
    /// Threads that the system does not give.
    pub fn new(query: Query) -> Result<Self, QueryError> {
        let threads = Builder::new_multi_thread()
            .worker_threads(query.partitions.max(1))
            .max_blocking_threads(query.partitions.max(1) + 2)
            .thread_name("hurtig-insights")
            .enable_all()
            .build()
            .map_err(QueryError::Io)?;
        Ok(Asker { memory: query.runtime()?, query, threads: Some(threads) })
    }
}

#[async_trait]
impl Ask for Asker {
    async fn ask(&self, sql: &str) -> Result<Vec<RecordBatch>, Error> {
        let Some(threads) = &self.threads else { return Err(Error::query("the process ends")) };
        let (query, memory, sql) = (self.query.clone(), self.memory.clone(), sql.to_owned());
        // Whoever does not wait any more drops this, and what it has begun ends.
        let mut asking = JoinSet::new();
        asking.spawn_on(async move { collect(&query, memory, &sql).await }, threads.handle());
        match asking.join_next().await {
            Some(Ok(answer)) => answer.map_err(|e| Error::query(words(&e, self.query.memory))),
            Some(Err(e)) => Err(Error::query(io::Error::other(e))),
            None => Ok(Vec::new()),
        }
    }
}

/// What somebody can do about it, who has not written the statement.
fn words(error: &QueryError, memory: usize) -> String {
    match error {
        QueryError::Sql(e) if matches!(e.find_root(), DataFusionError::ResourcesExhausted(_)) => format!(
            "so many readings need more memory than {} MiB: choose a shorter period, or give it more (hurtig report --memory, \
             hurtig view --query-memory)",
            memory >> 20
        ),
        other => other.to_string(),
    }
}

async fn collect(query: &Query, memory: Arc<RuntimeEnv>, sql: &str) -> Result<Vec<RecordBatch>, QueryError> {
    let only_reading = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    let frame = query.session(memory).sql_with_options(sql, only_reading).await?;
    let schema = frame.schema().inner().clone();
    let mut batches = frame.collect().await?;
    // An answer without rows has columns too.
    batches.push(RecordBatch::new_empty(schema));
    Ok(batches)
}

impl Drop for Asker {
    fn drop(&mut self) {
        // It may go in a task, where waiting for threads is not allowed.
        if let Some(threads) = self.threads.take() {
            threads.shutdown_background();
        }
    }
}
