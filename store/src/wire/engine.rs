//! How the wire has queries run: by a [`QueryEngine`], which gives columns at once and batches as they come.

use std::{
    fmt,
    sync::{Arc, atomic::AtomicU64},
};

use arrow::array::RecordBatch;
use async_trait::async_trait;
use futures::{StreamExt, stream::BoxStream};
use hurtig_timestream_sql::{Error, Result, column_info::ColumnInfo};

use crate::queries::Queries;

/// Runs Timestream's SQL.
#[async_trait]
pub trait QueryEngine: fmt::Debug + Send + Sync + 'static {
    /// The columns of a query's result, without running it.
    ///
    /// # Errors
    /// [`Error::Validation`] when the query is wrong.
    async fn prepare(&self, sql: &str) -> Result<Vec<ColumnInfo>>;

    /// Starts a query. What is dropped with the stream of its batches is the query.
    ///
    /// # Errors
    /// [`Error::Validation`] when the query is wrong; what goes wrong later comes in the stream.
    async fn start(&self, sql: &str) -> Result<RunningQuery>;
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

/// Everything but UNLOAD, which needs somebody who writes.
#[async_trait]
impl QueryEngine for Queries {
    async fn prepare(&self, sql: &str) -> Result<Vec<ColumnInfo>> {
        Ok(Queries::prepare(self, sql).await?.columns().to_vec())
    }

    async fn start(&self, sql: &str) -> Result<RunningQuery> {
        let prepared = Queries::prepare(self, sql).await?;
        if prepared.unload().is_some() {
            return Err(Error::validation("UNLOAD is not offered by this server"));
        }
        let execution = prepared.execute().await?;
        let columns = execution.columns().to_vec();
        Ok(RunningQuery { columns, batches: execution.into_stream().boxed(), bytes_scanned: None })
    }
}
