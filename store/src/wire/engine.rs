//! How the wire has queries run: by a [`QueryEngine`], which gives columns at once and batches as they come.

use std::{
    fmt,
    sync::{Arc, atomic::AtomicU64},
};

use arrow::array::RecordBatch;
use async_trait::async_trait;
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use hurtig_timestream_sql::{Error, Prepared, Result, column_info::ColumnInfo};

use crate::queries::Queries;

/// Runs Timestream's SQL.
#[async_trait]
pub trait QueryEngine: fmt::Debug + Send + Sync + 'static {
    /// The columns of a query's result, without running it.
    ///
    /// # Errors
    /// [`hurtig_timestream_sql::Error::Validation`] when the query is wrong.
    async fn prepare(&self, sql: &str) -> Result<Vec<ColumnInfo>>;

    /// Starts a query. What is dropped with the stream of its batches is the query.
    ///
    /// # Errors
    /// [`hurtig_timestream_sql::Error::Validation`] when the query is wrong; what goes wrong later comes in the stream.
    async fn start(&self, sql: &str) -> Result<RunningQuery>;

    /// As [`QueryEngine::start`], for the query that is called `id`: what it writes (UNLOAD) is called after that.
    ///
    /// # Errors
    /// As [`QueryEngine::start`].
    async fn start_as(&self, id: &str, sql: &str) -> Result<RunningQuery> {
        let _ = id;
        self.start(sql).await
    }

    /// The columns of a scheduled query's result; its `@scheduled_runtime` is `runtime`, in milliseconds since 1970.
    ///
    /// # Errors
    /// [`hurtig_timestream_sql::Error::Validation`] when the query is wrong, or scheduled queries are not run here.
    async fn prepare_scheduled(&self, sql: &str, runtime: i64) -> Result<Vec<ColumnInfo>> {
        let _ = (sql, runtime);
        Err(not_scheduled())
    }

    /// Starts a run of a scheduled query; its `@scheduled_runtime` is `runtime`, in milliseconds since 1970.
    ///
    /// # Errors
    /// As [`QueryEngine::start`], or when scheduled queries are not run here.
    async fn start_scheduled(&self, sql: &str, runtime: i64) -> Result<RunningQuery> {
        let _ = (sql, runtime);
        Err(not_scheduled())
    }
}

fn not_scheduled() -> Error {
    Error::validation("Scheduled queries are not run by this server.")
}

/// A query that runs as far as its batches are asked for.
pub struct RunningQuery {
    /// The result's columns.
    pub columns: Vec<ColumnInfo>,
    /// The result.
    pub batches: BoxStream<'static, Result<RecordBatch>>,
    /// How many bytes it has read so far, if the engine counts them; the result's own bytes are shown otherwise.
    pub bytes_scanned: Option<Arc<AtomicU64>>,
}

impl fmt::Debug for RunningQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunningQuery").field("columns", &self.columns).finish_non_exhaustive()
    }
}

#[async_trait]
impl QueryEngine for Queries {
    async fn prepare(&self, sql: &str) -> Result<Vec<ColumnInfo>> {
        Ok(Queries::prepare(self, sql).await?.columns().to_vec())
    }

    async fn start(&self, sql: &str) -> Result<RunningQuery> {
        running(Queries::prepare(self, sql).await?).await
    }

    async fn start_as(&self, id: &str, sql: &str) -> Result<RunningQuery> {
        let prepared = Queries::prepare(self, sql).await?;
        if prepared.unload().is_none() {
            return running(prepared).await;
        }
        let columns = prepared.columns().to_vec();
        let unload = self.unload(id, prepared)?;
        let batches = stream::once(async move { unload.run().await?.to_batch() });
        Ok(RunningQuery { columns, batches: batches.boxed(), bytes_scanned: None })
    }

    async fn prepare_scheduled(&self, sql: &str, runtime: i64) -> Result<Vec<ColumnInfo>> {
        let prepared = Queries::prepare_scheduled(self, sql, runtime.saturating_mul(1_000_000)).await?;
        if prepared.unload().is_some() {
            return Err(Error::validation("A scheduled query is a SELECT."));
        }
        Ok(prepared.columns().to_vec())
    }

    async fn start_scheduled(&self, sql: &str, runtime: i64) -> Result<RunningQuery> {
        running(Queries::prepare_scheduled(self, sql, runtime.saturating_mul(1_000_000)).await?).await
    }
}

async fn running(prepared: Prepared) -> Result<RunningQuery> {
    let execution = prepared.execute().await?;
    let columns = execution.columns().to_vec();
    Ok(RunningQuery { columns, batches: execution.into_stream().boxed(), bytes_scanned: None })
}
